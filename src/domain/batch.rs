//! Many transfers in one order.

use crate::{AccountIdentification, Date, Execution, Money, PaymentOrder, PaymentScheme, PaymentType};

/// Many transfers from one account on one rail and day: the PSU approves them together, and
/// each has an end of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchOrder {
    /// Identification between us and the bank, at most 35 characters.
    pub instruction_id: String,
    /// Account to pay from, if the TPP knows it; otherwise the PSU chooses at the bank.
    pub debtor_account: Option<AccountIdentification>,
    /// Rail of every transfer.
    pub scheme: PaymentScheme,
    /// When; never again and again.
    pub execution: Execution,
    /// Whether the PSU wants one entry for all of it on the account, if that was said.
    pub batch_booking: Option<bool>,
    /// The transfers, at least one, in one currency. Account, rail and day are the batch's.
    pub transfers: Vec<PaymentOrder>,
}

impl BatchOrder {
    /// The sum of all transfers; `None` if they are in several currencies, or too much.
    #[must_use]
    pub fn total(&self) -> Option<Money> {
        Money::sum(self.transfers.iter().map(|transfer| transfer.amount))
    }
}

/// What a TPP orders.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most orders are transfers")]
pub enum Order {
    /// One transfer, once or again and again.
    Transfer(PaymentOrder),
    /// Many transfers.
    Batch(BatchOrder),
}

impl Order {
    /// What kind of order it is, apart from mandates.
    #[must_use]
    pub fn kind(&self) -> PaymentType {
        match self {
            Self::Transfer(order) => order.kind(),
            Self::Batch(_) => PaymentType::Bulk,
        }
    }

    /// The accounts that it names, of whoever pays and of whoever is paid.
    pub fn accounts(&self) -> impl Iterator<Item = &AccountIdentification> {
        let (payer, transfers) = match self {
            Self::Transfer(order) => (order.debtor_account.as_ref(), std::slice::from_ref(order)),
            Self::Batch(batch) => (batch.debtor_account.as_ref(), batch.transfers.as_slice()),
        };
        payer.into_iter().chain(transfers.iter().map(|transfer| &transfer.creditor_account))
    }

    /// When it is carried out.
    #[must_use]
    pub fn execution(&self) -> &Execution {
        match self {
            Self::Transfer(order) => &order.execution,
            Self::Batch(batch) => &batch.execution,
        }
    }

    /// The day on which it is carried out first, if that is not at once.
    #[must_use]
    pub fn first_day(&self) -> Option<Date> {
        self.execution().first_day()
    }

    /// The rail.
    #[must_use]
    pub fn scheme(&self) -> PaymentScheme {
        match self {
            Self::Transfer(order) => order.scheme,
            Self::Batch(batch) => batch.scheme,
        }
    }

    /// The transfer, if it is one.
    #[must_use]
    pub fn transfer(&self) -> Option<&PaymentOrder> {
        match self {
            Self::Transfer(order) => Some(order),
            Self::Batch(_) => None,
        }
    }

    /// What it is called between us and the bank.
    #[must_use]
    pub fn instruction_id(&self) -> &str {
        match self {
            Self::Transfer(order) => &order.instruction_id,
            Self::Batch(batch) => &batch.instruction_id,
        }
    }

    /// All that is paid by it, one after the other.
    #[must_use]
    pub fn transfers(&self) -> &[PaymentOrder] {
        match self {
            Self::Transfer(order) => std::slice::from_ref(order),
            Self::Batch(batch) => &batch.transfers,
        }
    }

    /// The batch, if it is one.
    #[must_use]
    pub fn batch(&self) -> Option<&BatchOrder> {
        match self {
            Self::Transfer(_) => None,
            Self::Batch(batch) => Some(batch),
        }
    }
}
