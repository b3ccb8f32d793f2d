//! Mandates: what a PSU lets a TPP pay again and again, within limits (UK variable
//! recurring payments).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::institution::words;
use crate::{AccountIdentification, Money, PeriodicLimit, Pii, RemittanceInformation, Timestamp};

words!(
    /// Where a mandate stands.
    MandateStatus {
        /// Recorded; the PSU has not been asked.
        Created = "CREATED",
        /// The PSU is at the bank.
        Authorizing = "AUTHORIZING",
        /// In force.
        Authorized = "AUTHORIZED",
        /// Withdrawn, by the PSU, the client or the bank.
        Revoked = "REVOKED",
        /// Past its end, or never given while there was time.
        Expired = "EXPIRED",
        /// Refused by the PSU or the bank, or never came about.
        Rejected = "REJECTED",
    }
);

impl MandateStatus {
    /// True once nothing can change any more.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Created | Self::Authorizing | Self::Authorized => false,
            Self::Revoked | Self::Expired | Self::Rejected => true,
        }
    }

    /// Whether a mandate may go from here to `to`. What was given is not refused
    /// any more, and what is over stays over.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        match self {
            Self::Created => to != Self::Created && to != Self::Authorized,
            Self::Authorizing => to != Self::Created && to != Self::Authorizing,
            Self::Authorized => matches!(to, Self::Revoked | Self::Expired),
            Self::Revoked | Self::Expired | Self::Rejected => false,
        }
    }
}

words!(
    /// What a mandate is for.
    MandateScheme {
        /// Between accounts of the same person.
        Sweeping = "SWEEPING",
        /// To anybody else.
        Commercial = "COMMERCIAL",
    }
);

/// Within which limits payments are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MandateConstraints {
    /// First instant of a payment.
    pub valid_from: Option<Timestamp>,
    /// Last instant of a payment.
    pub valid_to: Option<Timestamp>,
    /// Most in one payment.
    pub max_per_payment: Money,
    /// Most per period, at least one.
    pub periodic_limits: Vec<PeriodicLimit>,
    /// Most payments in all; as many as the other limits allow, if none. No standard
    /// has it, so that it is held here alone.
    pub max_count: Option<u32>,
}

/// Why a payment does not fit a mandate, apart from what its periods have left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Breach {
    /// The mandate is in another currency.
    #[error("the mandate is in another currency")]
    Currency,
    /// More than one payment may have.
    #[error("a payment under this mandate has at most {0}")]
    PerPayment(Money),
    /// Before the mandate's first instant.
    #[error("the mandate is not valid yet")]
    Early,
    /// After the mandate's last instant.
    #[error("the mandate is not valid any more")]
    Late,
    /// As many payments were made as there may be.
    #[error("at most {0} payments are made under this mandate")]
    Count(u32),
}

impl MandateConstraints {
    /// Judges a payment by itself.
    ///
    /// # Errors
    ///
    /// [`Breach`].
    pub fn admit(&self, amount: &Money, at: Timestamp) -> Result<(), Breach> {
        if amount.currency() != self.max_per_payment.currency() {
            return Err(Breach::Currency);
        }
        if amount.amount() > self.max_per_payment.amount() {
            return Err(Breach::PerPayment(self.max_per_payment));
        }
        if self.valid_from.is_some_and(|from| at < from) {
            return Err(Breach::Early);
        }
        if self.valid_to.is_some_and(|to| at > to) {
            return Err(Breach::Late);
        }
        Ok(())
    }
}

/// A mandate as the TPP wants it; the PSU chooses the account to pay from at the
/// bank. What a bank echoes is compared with this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MandateOrder {
    /// What it is for.
    pub scheme: MandateScheme,
    /// Its limits.
    pub constraints: MandateConstraints,
    /// Who is paid, at most 70 characters.
    pub creditor_name: Pii<String>,
    /// Account that is paid.
    pub creditor_account: AccountIdentification,
    /// Purpose of every payment.
    pub remittance: RemittanceInformation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mandate_takes_these_steps_and_no_others() {
        use MandateStatus::{Authorized, Authorizing, Created, Expired, Rejected, Revoked};
        let legal = |from| -> Vec<MandateStatus> {
            match from {
                Created => vec![Authorizing, Revoked, Expired, Rejected],
                Authorizing => vec![Authorized, Revoked, Expired, Rejected],
                Authorized => vec![Revoked, Expired],
                Revoked | Expired | Rejected => Vec::new(),
            }
        };
        for from in MandateStatus::ALL {
            let taken: Vec<_> =
                MandateStatus::ALL.iter().filter(|to| from.may_become(**to)).copied().collect();
            assert_eq!(taken, legal(*from), "{from}");
            assert_eq!(from.is_final(), taken.is_empty(), "{from}");
        }
    }

    #[test]
    fn a_payment_is_judged_by_amount_currency_and_time() {
        let gbp = |text: &str| Money::parse(text, "GBP".parse().unwrap()).unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let constraints = MandateConstraints {
            valid_from: Some(at("2026-01-01T00:00:00Z")),
            valid_to: Some(at("2026-12-31T23:59:59Z")),
            max_per_payment: gbp("50.00"),
            periodic_limits: Vec::new(),
            max_count: None,
        };
        let summer = at("2026-07-01T12:00:00Z");
        assert_eq!(constraints.admit(&gbp("50.00"), summer), Ok(()));
        assert_eq!(constraints.admit(&gbp("50.01"), summer), Err(Breach::PerPayment(gbp("50.00"))));
        let euro = Money::parse("1.00", "EUR".parse().unwrap()).unwrap();
        assert_eq!(constraints.admit(&euro, summer), Err(Breach::Currency));
        assert_eq!(constraints.admit(&gbp("1.00"), at("2025-12-31T23:59:59Z")), Err(Breach::Early));
        assert_eq!(constraints.admit(&gbp("1.00"), at("2027-01-01T00:00:00Z")), Err(Breach::Late));
    }
}
