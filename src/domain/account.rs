//! Accounts, balances and transactions as the gateway understands them,
//! whatever the bank's standard. Names follow ISO 20022.

use crate::{AccountIdentification, Currency, Date, Decimal, Money, Pii, Timestamp};

/// Whether money came or went, from the account holder's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CreditDebit {
    /// Money in, or a balance above zero.
    Credit,
    /// Money out, or a balance below zero.
    Debit,
}

impl CreditDebit {
    /// ISO 20022 code: `CRDT` or `DBIT`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Credit => "CRDT",
            Self::Debit => "DBIT",
        }
    }

    /// Direction of a signed number.
    #[must_use]
    pub fn of(amount: Decimal) -> Self {
        if amount.is_sign_negative() && !amount.is_zero() { Self::Debit } else { Self::Credit }
    }
}

/// Who uses an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountUsage {
    /// A person.
    Private,
    /// An organisation.
    Organisation,
    /// The bank does not say.
    #[default]
    Unknown,
}

/// Whether an account can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccountStatus {
    /// In use.
    Enabled,
    /// Blocked for a time.
    Blocked,
    /// Closed for good.
    Closed,
    /// The bank does not say.
    #[default]
    Unknown,
}

/// A payment account as a bank reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The bank's own name of the resource; only the connector uses it.
    pub resource_id: String,
    /// All known identifications; the first is the primary one.
    pub identifications: Vec<AccountIdentification>,
    /// Currency of the account, if it has one.
    pub currency: Option<Currency>,
    /// Name the PSU or the bank gave the account.
    pub display_name: Option<Pii<String>>,
    /// The bank's product name.
    pub product: Option<String>,
    /// Names of the account holders.
    pub holders: Vec<Pii<String>>,
    /// ISO 20022 cash account type: CACC, SVGS, CARD, LOAN, …
    pub cash_account_type: Option<String>,
    /// Private or business.
    pub usage: AccountUsage,
    /// Usable or not.
    pub status: AccountStatus,
    /// BIC (ISO 9362) of the servicing bank.
    pub bic: Option<String>,
    /// Balances, where the bank sends them with the account.
    pub balances: Vec<Balance>,
}

/// ISO 20022 balance type, four letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BalanceType {
    /// Closing booked.
    ClosingBooked,
    /// Closing available.
    ClosingAvailable,
    /// Interim booked.
    InterimBooked,
    /// Interim available.
    InterimAvailable,
    /// Opening booked.
    OpeningBooked,
    /// Opening available.
    OpeningAvailable,
    /// Expected.
    Expected,
    /// Forward available.
    ForwardAvailable,
    /// Previously closed booked.
    PreviouslyClosedBooked,
    /// Information only.
    Information,
    /// Another type of the bank's.
    Other,
}

impl BalanceType {
    /// ISO 20022 code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::ClosingBooked => "CLBD",
            Self::ClosingAvailable => "CLAV",
            Self::InterimBooked => "ITBD",
            Self::InterimAvailable => "ITAV",
            Self::OpeningBooked => "OPBD",
            Self::OpeningAvailable => "OPAV",
            Self::Expected => "XPCD",
            Self::ForwardAvailable => "FWAV",
            Self::PreviouslyClosedBooked => "PRCD",
            Self::Information => "INFO",
            Self::Other => "OTHR",
        }
    }
}

/// One balance of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Balance {
    /// What it measures.
    pub kind: BalanceType,
    /// How much.
    pub amount: Money,
    /// Above or below zero.
    pub direction: CreditDebit,
    /// Whether a credit line is counted in; `None` where the bank does not say.
    pub credit_line_included: Option<bool>,
    /// Day the balance refers to.
    pub reference_date: Option<Date>,
    /// Instant of the last change.
    pub last_change_at: Option<Timestamp>,
}

/// The balances that answer "how much is there": what is booked, and what can
/// be spent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalanceSummary {
    /// What is booked.
    pub booked: Option<Balance>,
    /// What can be spent.
    pub available: Option<Balance>,
}

impl BalanceSummary {
    /// Chooses from what a bank gives: the balance of now before that of the end
    /// of a day, and that of the latest day among equals.
    #[must_use]
    pub fn of(balances: &[Balance]) -> Self {
        use BalanceType as T;
        let booked = [T::InterimBooked, T::ClosingBooked, T::OpeningBooked, T::PreviouslyClosedBooked];
        let available = [T::InterimAvailable, T::ClosingAvailable, T::ForwardAvailable, T::OpeningAvailable];
        let choose = |kinds: [BalanceType; 4]| {
            let of_kind = |kind| {
                let of_kind = balances.iter().filter(move |balance| balance.kind == kind);
                of_kind.max_by_key(|balance| (balance.reference_date, balance.last_change_at))
            };
            kinds.into_iter().find_map(of_kind).cloned()
        };
        Self { booked: choose(booked), available: choose(available) }
    }
}

/// How far an entry has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BookingStatus {
    /// On the account.
    Booked,
    /// Not yet on the account.
    Pending,
    /// Known ahead (standing order, announced entry).
    Information,
    /// Refused.
    Rejected,
}

impl BookingStatus {
    /// Code of our API: `BOOK`, `PDNG`, `INFO` or `RJCT`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Booked => "BOOK",
            Self::Pending => "PDNG",
            Self::Information => "INFO",
            Self::Rejected => "RJCT",
        }
    }
}

/// One entry of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The bank's identifier, where it has a usable one.
    pub bank_transaction_id: Option<String>,
    /// Entry reference (position in the account statement).
    pub entry_reference: Option<String>,
    /// End-to-end identification of the payment.
    pub end_to_end_id: Option<Pii<String>>,
    /// Mandate of a direct debit.
    pub mandate_id: Option<String>,
    /// How far it has come.
    pub status: BookingStatus,
    /// How much.
    pub amount: Money,
    /// In or out.
    pub direction: CreditDebit,
    /// Day of booking.
    pub booking_date: Option<Date>,
    /// Day of value.
    pub value_date: Option<Date>,
    /// Instant of booking, where the bank gives one with a zone.
    pub booked_at: Option<Timestamp>,
    /// Name of who was paid.
    pub creditor_name: Option<Pii<String>>,
    /// Account that was paid.
    pub creditor_account: Option<AccountIdentification>,
    /// Name of who paid.
    pub debtor_name: Option<Pii<String>>,
    /// Account that paid.
    pub debtor_account: Option<AccountIdentification>,
    /// Free remittance text, in the bank's order.
    pub remittance: Vec<Pii<String>>,
    /// Structured creditor references.
    pub references: Vec<Pii<String>>,
    /// ISO bank transaction code `DOMN-FMLY-SUBF`, where given.
    pub bank_transaction_code: Option<String>,
    /// The bank's own transaction code.
    pub proprietary_code: Option<String>,
    /// Merchant category code (ISO 18245).
    pub merchant_category_code: Option<String>,
    /// Balance after the entry, signed by its direction.
    pub balance_after: Option<(Money, CreditDebit)>,
}

impl Transaction {
    /// What is `told` of this entry alone, and what was listed where that says nothing.
    /// Identifiers, day, status and amount stay those of the list.
    #[must_use]
    pub fn completed_by(self, told: Self) -> Self {
        let some = |told: Vec<Pii<String>>, listed| if told.is_empty() { listed } else { told };
        Self {
            bank_transaction_id: self.bank_transaction_id,
            entry_reference: self.entry_reference,
            status: self.status,
            amount: self.amount,
            direction: self.direction,
            booking_date: self.booking_date,
            end_to_end_id: told.end_to_end_id.or(self.end_to_end_id),
            mandate_id: told.mandate_id.or(self.mandate_id),
            value_date: told.value_date.or(self.value_date),
            booked_at: told.booked_at.or(self.booked_at),
            creditor_name: told.creditor_name.or(self.creditor_name),
            creditor_account: told.creditor_account.or(self.creditor_account),
            debtor_name: told.debtor_name.or(self.debtor_name),
            debtor_account: told.debtor_account.or(self.debtor_account),
            remittance: some(told.remittance, self.remittance).into_iter().collect(),
            references: some(told.references, self.references).into_iter().collect(),
            bank_transaction_code: told.bank_transaction_code.or(self.bank_transaction_code),
            proprietary_code: told.proprietary_code.or(self.proprietary_code),
            merchant_category_code: told.merchant_category_code.or(self.merchant_category_code),
            balance_after: told.balance_after.or(self.balance_after),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn balance(kind: BalanceType, amount: &str, day: &str) -> Balance {
        Balance {
            kind,
            amount: Money::parse(amount, "EUR".parse().unwrap()).unwrap(),
            direction: CreditDebit::Credit,
            credit_line_included: None,
            reference_date: Some(day.parse().unwrap()),
            last_change_at: None,
        }
    }

    #[test]
    fn the_balance_of_now_goes_before_that_of_yesterday() {
        let yesterday = balance(BalanceType::ClosingBooked, "1.00", "2026-01-01");
        let now = balance(BalanceType::InterimBooked, "2.00", "2026-01-02");
        let older = balance(BalanceType::InterimBooked, "3.00", "2026-01-01");
        let expected = balance(BalanceType::Expected, "9.00", "2026-01-02");
        let all = [yesterday.clone(), older, now.clone(), expected.clone()];
        let summary = BalanceSummary::of(&all);
        assert_eq!((summary.booked, summary.available), (Some(now), None));
        assert_eq!(BalanceSummary::of(std::slice::from_ref(&yesterday)).booked, Some(yesterday));
        // What is expected is neither booked nor there to be spent.
        assert_eq!(BalanceSummary::of(&[expected]), BalanceSummary::default());
    }
}
