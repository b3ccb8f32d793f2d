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
        /// Who holds the accounts or may act for them.
        ReadParty = "READ_PARTY",
        /// Payees the PSU has stored.
        ReadBeneficiaries = "READ_BENEFICIARIES",
        /// Standing orders.
        ReadStandingOrders = "READ_STANDING_ORDERS",
        /// Mandates of direct debits.
        ReadDirectDebits = "READ_DIRECT_DEBITS",
        /// Payments of a day to come.
        ReadScheduled = "READ_SCHEDULED",
        /// Statements.
        ReadStatements = "READ_STATEMENTS",
    }
);

words!(
    /// What a consent is to.
    ConsentKind {
        /// Reading accounts.
        AccountInformation = "ACCOUNT_INFORMATION",
        /// Asking whether one account covers an amount (PSD2 art. 65).
        FundsConfirmation = "FUNDS_CONFIRMATION",
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
        /// Approved by some of those who must; the bank waits for the others.
        PartiallyAuthorized = "PARTIALLY_AUTHORIZED",
        /// In force.
        Authorized = "AUTHORIZED",
        /// Given, and out of force until what stopped it is lifted.
        Suspended = "SUSPENDED",
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

words!(
    /// What stops a consent that was given.
    SuspensionCause {
        /// The TPP has not confirmed in time that the PSU wants to go on.
        ReconfirmationOverdue = "reconfirmation-overdue",
        /// An operator of the gateway stopped it.
        Operator = "operator",
    }
);

words!(
    /// Whose word the end of a consent is.
    ExpirySource {
        /// The TPP's, or ours where it named none.
        Requested = "REQUESTED",
        /// The bank's: it gives consents for less.
        BankCapped = "BANK_CAPPED",
        /// The rules' of the institution's country.
        RuleCapped = "RULE_CAPPED",
    }
);

words!(
    /// What was read under a consent.
    ReadKind {
        /// Accounts and their details.
        Accounts = "ACCOUNTS",
        /// Balances.
        Balances = "BALANCES",
        /// Transactions.
        Transactions = "TRANSACTIONS",
        /// Holders and those who may act for them.
        Parties = "PARTIES",
        /// Stored payees.
        Beneficiaries = "BENEFICIARIES",
        /// Standing orders.
        StandingOrders = "STANDING_ORDERS",
        /// Mandates of direct debits.
        DirectDebits = "DIRECT_DEBITS",
        /// Payments of a day to come.
        ScheduledPayments = "SCHEDULED_PAYMENTS",
        /// Statements.
        Statements = "STATEMENTS",
        /// Whether the account covers an amount.
        Funds = "FUNDS",
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
            Self::Created
            | Self::AwaitingRedirect
            | Self::AwaitingDecoupled
            | Self::PartiallyAuthorized
            | Self::Authorized
            | Self::Suspended => false,
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
        // What was given ends; it is not refused, and does not fail to come about.
        let ends_given = to.is_final() && !matches!(to, S::Rejected | S::Failed);
        let allowed = match self {
            S::Created | S::AwaitingRedirect | S::AwaitingDecoupled => {
                // A PSU who comes back to our page may start again.
                matches!(
                    to,
                    S::AwaitingRedirect | S::AwaitingDecoupled | S::PartiallyAuthorized | S::Authorized
                ) || to.is_final()
            }
            // The others approve at the bank, not on our page.
            S::PartiallyAuthorized => to == S::Authorized || to.is_final(),
            S::Authorized => to == S::Suspended || ends_given,
            S::Suspended => to == S::Authorized || ends_given,
            S::Rejected
            | S::RevokedByPsu
            | S::RevokedByClient
            | S::RevokedByInstitution
            | S::Expired
            | S::Failed => false,
        };
        if allowed { Ok(to) } else { Err(WrongTransition { from: self, to }) }
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

    /// Every pair of statuses: the steps below are legal and no other is.
    #[test]
    fn a_consent_takes_these_steps_and_no_others() {
        use ConsentStatus::{
            Authorized, AwaitingDecoupled, AwaitingRedirect, Created, Expired, Failed, PartiallyAuthorized,
            Rejected, RevokedByClient, RevokedByInstitution, RevokedByPsu, Suspended,
        };
        let ends = [RevokedByPsu, RevokedByClient, RevokedByInstitution, Expired];
        let begins = [AwaitingRedirect, AwaitingDecoupled, PartiallyAuthorized, Authorized, Rejected, Failed];
        let legal = |from: ConsentStatus| -> Vec<ConsentStatus> {
            match from {
                Created | AwaitingRedirect | AwaitingDecoupled => [&begins[..], &ends].concat(),
                PartiallyAuthorized => [&[Authorized, Rejected, Failed][..], &ends].concat(),
                Authorized => [&[Suspended][..], &ends].concat(),
                Suspended => [&[Authorized][..], &ends].concat(),
                Rejected | RevokedByPsu | RevokedByClient | RevokedByInstitution | Expired | Failed => {
                    Vec::new()
                }
            }
        };
        for from in ConsentStatus::ALL {
            for to in ConsentStatus::ALL {
                // A PSU who begins again is where they were.
                let again = from == to && matches!(from, AwaitingRedirect | AwaitingDecoupled);
                let wanted = legal(*from).contains(to) || again;
                assert_eq!(from.step(*to).is_ok(), wanted, "{from} -> {to}");
            }
        }
    }
}
