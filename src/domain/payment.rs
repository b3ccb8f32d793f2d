//! The life of a payment.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::institution::words;

words!(
    /// Where a payment stands, in our words.
    PaymentState {
        /// Recorded; the bank has not been called.
        Created = "CREATED",
        /// Known to the bank, waits for the PSU.
        AuthorizationRequired = "AUTHORIZATION_REQUIRED",
        /// The PSU is at the bank.
        Authorizing = "AUTHORIZING",
        /// Approved by the PSU; the order is not yet with the bank.
        Authorized = "AUTHORIZED",
        /// The order is with the bank, or may be.
        Submitted = "SUBMITTED",
        /// The bank took the order on.
        Accepted = "ACCEPTED",
        /// Settled on the debtor's side.
        Settled = "SETTLED",
        /// Refused by the bank or the PSU.
        Rejected = "REJECTED",
        /// Failed before the bank took it on: not executed.
        Failed = "FAILED",
        /// Cancelled.
        Cancelled = "CANCELLED",
        /// The PSU never came: not executed.
        Expired = "EXPIRED",
        /// Nobody can say yet; the reconciler asks the bank.
        Unknown = "UNKNOWN",
    }
);

impl PaymentState {
    /// True once the outcome cannot change.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Settled | Self::Rejected | Self::Failed | Self::Cancelled | Self::Expired => true,
            Self::Created
            | Self::AuthorizationRequired
            | Self::Authorizing
            | Self::Authorized
            | Self::Submitted
            | Self::Accepted
            | Self::Unknown => false,
        }
    }

    /// Whether a payment can be ended on our word: no bank can execute it without us.
    /// `submits_after_sca`: banks execute it on our submission alone.
    #[must_use]
    pub fn can_cancel(self, submits_after_sca: bool) -> bool {
        match self {
            Self::Created | Self::AuthorizationRequired => true,
            Self::Authorizing => submits_after_sca,
            Self::Authorized
            | Self::Submitted
            | Self::Accepted
            | Self::Unknown
            | Self::Settled
            | Self::Rejected
            | Self::Failed
            | Self::Cancelled
            | Self::Expired => false,
        }
    }

    /// How far a payment has come; a step never goes back.
    fn rank(self) -> u8 {
        match self {
            Self::Created => 0,
            Self::AuthorizationRequired => 1,
            Self::Authorizing => 2,
            Self::Authorized => 3,
            Self::Submitted | Self::Unknown => 4,
            Self::Accepted => 5,
            Self::Settled | Self::Rejected | Self::Failed | Self::Cancelled | Self::Expired => 6,
        }
    }

    /// Whether a payment may go from here to `to`. Once an order may be with the
    /// bank it can no longer fail or expire on our word alone.
    #[must_use]
    pub fn may_become(self, to: Self) -> bool {
        let ours_alone = matches!(to, Self::Failed | Self::Expired);
        let with_bank = matches!(self, Self::Submitted | Self::Accepted | Self::Unknown);
        let unknown_again = self == Self::Unknown && to == Self::Submitted;
        let forward = self != to && to.rank() >= self.rank();
        let forbidden = (ours_alone && with_bank) || unknown_again;
        !self.is_final() && forward && !forbidden
    }

    /// The states from which a payment may become `to`.
    pub fn sources_of(to: Self) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |from| from.may_become(to))
    }
}

words!(
    /// ISO 20022 payment status (ExternalPaymentTransactionStatus1Code) as banks report it.
    IsoPaymentStatus {
        /// Received.
        Received = "RCVD",
        /// Pending.
        Pending = "PDNG",
        /// Technical validation done.
        AcceptedTechnical = "ACTC",
        /// Partially authorised: another signature is needed.
        PartiallyAuthorised = "PATC",
        /// Customer profile checked.
        AcceptedCustomerProfile = "ACCP",
        /// Funds checked.
        AcceptedFundsChecked = "ACFC",
        /// Settlement in process.
        AcceptedSettlementInProcess = "ACSP",
        /// Accepted with a change.
        AcceptedWithChange = "ACWC",
        /// Settled on the debtor's side.
        AcceptedSettlementCompleted = "ACSC",
        /// Accepted without posting.
        AcceptedWithoutPosting = "ACWP",
        /// Settled on the creditor's side.
        AcceptedCreditSettlementCompleted = "ACCC",
        /// Part of a bulk accepted.
        PartiallyAccepted = "PART",
        /// Blocked.
        Blocked = "BLCK",
        /// Cancelled.
        Cancelled = "CANC",
        /// Rejected.
        Rejected = "RJCT",
        /// A series or a batch is in the bank's books (UK Open Banking, no ISO code).
        InitiationCompleted = "INCO",
        /// A payment of a series or a batch failed, and the order goes on (UK Open Banking,
        /// no ISO code).
        InitiationFailed = "INFA",
    }
);

impl IsoPaymentStatus {
    /// Our state for a status that the bank reports of an order it holds.
    #[must_use]
    pub fn state(self) -> PaymentState {
        match self {
            Self::Received | Self::Pending | Self::AcceptedTechnical | Self::AcceptedCustomerProfile => {
                PaymentState::Submitted
            }
            Self::PartiallyAuthorised => PaymentState::Authorizing,
            Self::AcceptedFundsChecked
            | Self::AcceptedSettlementInProcess
            | Self::AcceptedWithChange
            | Self::AcceptedWithoutPosting
            | Self::PartiallyAccepted
            | Self::InitiationCompleted
            | Self::InitiationFailed => PaymentState::Accepted,
            Self::AcceptedSettlementCompleted | Self::AcceptedCreditSettlementCompleted => {
                PaymentState::Settled
            }
            Self::Blocked | Self::Rejected => PaymentState::Rejected,
            Self::Cancelled => PaymentState::Cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_payment_never_moves() {
        for from in PaymentState::ALL.iter().filter(|state| state.is_final()) {
            assert!(PaymentState::ALL.iter().all(|to| !from.may_become(*to)), "{from}");
        }
    }

    #[test]
    fn an_order_that_may_be_with_the_bank_is_never_declared_unexecuted_by_us() {
        use PaymentState::{Accepted, Expired, Failed, Submitted, Unknown};
        for from in [Submitted, Accepted, Unknown] {
            assert!(!from.may_become(Failed) && !from.may_become(Expired), "{from}");
        }
    }

    #[test]
    fn every_state_is_reached_and_left_or_final() {
        for state in PaymentState::ALL {
            let reached = *state == PaymentState::Created || PaymentState::sources_of(*state).count() > 0;
            let left = PaymentState::ALL.iter().any(|to| state.may_become(*to));
            assert!(reached && left != state.is_final(), "{state}");
        }
    }
}
