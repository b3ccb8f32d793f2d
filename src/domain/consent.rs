//! The life of a consent.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::institution::words;

words!(
    /// What a consent lets a TPP read.
    Permission {
        /// Account list without identifications.
        ReadAccountsBasic = "READ_ACCOUNTS_BASIC",
        /// Account list with identifications and holders.
        ReadAccountsDetail = "READ_ACCOUNTS_DETAIL",
        /// Balances.
        ReadBalances = "READ_BALANCES",
        /// Transactions without counterparties and remittance.
        ReadTransactionsBasic = "READ_TRANSACTIONS_BASIC",
        /// Transactions in full.
        ReadTransactionsDetail = "READ_TRANSACTIONS_DETAIL",
    }
);

words!(
    /// Where a consent stands.
    ConsentStatus {
        /// Lodged by the TPP; the PSU has not been asked.
        Created = "CREATED",
        /// Approved on our page; the PSU is on the way to the bank.
        AwaitingRedirect = "AWAITING_REDIRECT",
        /// The bank asks the PSU in its app.
        AwaitingDecoupled = "AWAITING_DECOUPLED",
        /// In force.
        Authorized = "AUTHORIZED",
        /// Refused by the PSU or the bank.
        Rejected = "REJECTED",
        /// Withdrawn by the PSU.
        RevokedByPsu = "REVOKED_BY_PSU",
        /// Withdrawn by the TPP.
        RevokedByClient = "REVOKED_BY_CLIENT",
        /// Withdrawn by the bank.
        RevokedByInstitution = "REVOKED_BY_INSTITUTION",
        /// Past its end.
        Expired = "EXPIRED",
        /// Never came about, by a fault of ours or the bank's.
        Failed = "FAILED",
    }
);

/// A consent cannot go from where it is to where it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a consent that is {from} cannot become {to}")]
pub struct WrongTransition {
    /// Where it is.
    pub from: ConsentStatus,
    /// Where it was sent.
    pub to: ConsentStatus,
}

impl ConsentStatus {
    /// True once nothing can change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Created | Self::AwaitingRedirect | Self::AwaitingDecoupled | Self::Authorized => false,
            Self::Rejected
            | Self::RevokedByPsu
            | Self::RevokedByClient
            | Self::RevokedByInstitution
            | Self::Expired
            | Self::Failed => true,
        }
    }

    /// Checks one step of the life of a consent.
    ///
    /// # Errors
    ///
    /// [`WrongTransition`] if the step is not one a consent can take.
    pub fn step(self, to: Self) -> Result<Self, WrongTransition> {
        use ConsentStatus as S;
        let allowed = match self {
            S::Created => {
                matches!(to, S::AwaitingRedirect | S::AwaitingDecoupled | S::Authorized) || to.is_final()
            }
            S::AwaitingRedirect | S::AwaitingDecoupled => {
                // A PSU who comes back to our page may start again.
                matches!(to, S::Authorized | S::AwaitingRedirect | S::AwaitingDecoupled) || to.is_final()
            }
            S::Authorized => to.is_final() && to != S::Rejected && to != S::Failed,
            S::Rejected
            | S::RevokedByPsu
            | S::RevokedByClient
            | S::RevokedByInstitution
            | S::Expired
            | S::Failed => false,
        };
        if allowed { Ok(to) } else { Err(WrongTransition { from: self, to }) }
    }

    /// The statuses from which a consent may become `to`.
    pub fn sources_of(to: Self) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |from| from.step(to).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ended_consent_never_comes_back() {
        for from in ConsentStatus::ALL.iter().filter(|status| status.is_final()) {
            for to in ConsentStatus::ALL {
                assert!(from.step(*to).is_err(), "{from} -> {to}");
            }
        }
    }

    #[test]
    fn only_a_consent_on_its_way_becomes_authorized() {
        let sources: Vec<_> = ConsentStatus::sources_of(ConsentStatus::Authorized).collect();
        use ConsentStatus::{AwaitingDecoupled, AwaitingRedirect, Created};
        assert_eq!(sources, [Created, AwaitingRedirect, AwaitingDecoupled]);
    }
}
