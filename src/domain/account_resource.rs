//! What banks tell of an account beside balances and transactions.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::institution::words;
use crate::{AccountIdentification, Date, Money, Permission, Pii, ReadKind, Timestamp};

words!(
    /// A kind of further information on an account.
    AccountResource {
        /// Who holds the account or may act for it.
        Parties = "parties",
        /// Payees the PSU has stored.
        Beneficiaries = "beneficiaries",
        /// Payments that repeat.
        StandingOrders = "standing-orders",
        /// Mandates under which others collect.
        DirectDebits = "direct-debits",
        /// Single payments of a day to come.
        ScheduledPayments = "scheduled-payments",
        /// Periods for which the bank wrote a statement.
        Statements = "statements",
    }
);

words!(
    /// How often something repeats (ISO 20022 Frequency code).
    Frequency {
        /// Every day.
        Daily = "DAIL",
        /// Every week.
        Weekly = "WEEK",
        /// Every two weeks.
        Fortnightly = "TOWK",
        /// Every month.
        Monthly = "MNTH",
        /// Every two months.
        EveryTwoMonths = "TOMN",
        /// Every quarter.
        Quarterly = "QUTR",
        /// Twice a year.
        SemiAnnual = "SEMI",
        /// Every year.
        Annual = "YEAR",
        /// In another way, or the bank does not say.
        Other = "OTHR",
    }
);

words!(
    /// Whether a standing order or mandate is in use.
    OrderStatus {
        /// In use.
        Active = "ACTIVE",
        /// Ended or suspended.
        Inactive = "INACTIVE",
        /// The bank does not say.
        Unknown = "UNKNOWN",
    }
);

/// An address by its parts (ISO 20022 PostalAddress).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PostalAddress {
    /// Lines, where the bank gives no parts.
    pub lines: Vec<Pii<String>>,
    /// Street.
    pub street_name: Option<Pii<String>>,
    /// Number of the building.
    pub building_number: Option<Pii<String>>,
    /// Post code.
    pub post_code: Option<Pii<String>>,
    /// Town.
    pub town_name: Option<Pii<String>>,
    /// State, county, canton.
    pub country_sub_division: Option<Pii<String>>,
    /// ISO 3166-1.
    pub country: Option<Pii<String>>,
}

/// Who holds an account or may act for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The bank's identifier.
    pub bank_id: Option<String>,
    /// Name.
    pub name: Option<Pii<String>>,
    /// Full legal name.
    pub legal_name: Option<Pii<String>>,
    /// What the party is to the account, in the bank's words (`Sole`, `Joint`, …).
    pub role: Option<String>,
    /// Addresses of e-mail.
    pub emails: Vec<Pii<String>>,
    /// Numbers of telephones.
    pub phones: Vec<Pii<String>>,
    /// Postal addresses.
    pub addresses: Vec<PostalAddress>,
}

/// Who is paid, and at which account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payee {
    /// Name.
    pub name: Option<Pii<String>>,
    /// Account.
    pub account: Option<AccountIdentification>,
    /// BIC of the bank that holds it.
    pub bic: Option<String>,
}

/// A payee the PSU has stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Beneficiary {
    /// The bank's identifier.
    pub bank_id: Option<String>,
    /// Who.
    pub payee: Payee,
    /// Reference the PSU stored with it.
    pub reference: Option<Pii<String>>,
    /// Whether payments to it need no authentication (RTS Art. 13).
    pub trusted: Option<bool>,
}

/// One payment of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Day.
    pub date: Option<Date>,
    /// How much, where it is known.
    pub amount: Option<Money>,
}

/// A payment that repeats.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingOrder {
    /// The bank's identifier.
    pub bank_id: Option<String>,
    /// In use or not.
    pub status: OrderStatus,
    /// How often.
    pub frequency: Frequency,
    /// Day of the month or week (1 is Monday), where the bank names one.
    pub day: Option<u8>,
    /// The first payment.
    pub first: Option<Occurrence>,
    /// The next payment.
    pub next: Option<Occurrence>,
    /// The payment made last.
    pub previous: Option<Occurrence>,
    /// The last payment there will be.
    pub last: Option<Occurrence>,
    /// Payments that are left.
    pub remaining: Option<u32>,
    /// Who is paid.
    pub payee: Payee,
    /// What the payee is told.
    pub reference: Option<Pii<String>>,
}

/// A mandate under which somebody collects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectDebit {
    /// The bank's identifier.
    pub bank_id: Option<String>,
    /// Mandate, as the collector names it.
    pub mandate_id: Option<String>,
    /// In use or not.
    pub status: OrderStatus,
    /// Who collects.
    pub creditor_name: Option<Pii<String>>,
    /// How often.
    pub frequency: Frequency,
    /// What was collected last.
    pub previous: Option<Occurrence>,
}

/// A single payment of a day to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduledPayment {
    /// The bank's identifier.
    pub bank_id: Option<String>,
    /// Day on which it is made, or arrives.
    pub date: Date,
    /// True if the day is that of arrival.
    pub arrives: bool,
    /// How much.
    pub amount: Money,
    /// Who is paid.
    pub payee: Payee,
    /// What the payee is told.
    pub reference: Option<Pii<String>>,
}

/// A period for which the bank wrote a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The bank's identifier.
    pub bank_id: Option<String>,
    /// Number of the statement.
    pub reference: Option<String>,
    /// Kind in the bank's words (`RegularPeriodic`, `Annual`, …).
    pub kind: Option<String>,
    /// First day.
    pub from: Option<Date>,
    /// Last day.
    pub to: Option<Date>,
    /// When it was written.
    pub created_at: Option<Timestamp>,
}

impl AccountResource {
    /// What a consent must allow.
    #[must_use]
    pub fn permission(self) -> Permission {
        match self {
            Self::Parties => Permission::ReadParty,
            Self::Beneficiaries => Permission::ReadBeneficiaries,
            Self::StandingOrders => Permission::ReadStandingOrders,
            Self::DirectDebits => Permission::ReadDirectDebits,
            Self::ScheduledPayments => Permission::ReadScheduled,
            Self::Statements => Permission::ReadStatements,
        }
    }

    /// What reading it is called in the ledger of a consent.
    #[must_use]
    pub fn read_kind(self) -> ReadKind {
        match self {
            Self::Parties => ReadKind::Parties,
            Self::Beneficiaries => ReadKind::Beneficiaries,
            Self::StandingOrders => ReadKind::StandingOrders,
            Self::DirectDebits => ReadKind::DirectDebits,
            Self::ScheduledPayments => ReadKind::ScheduledPayments,
            Self::Statements => ReadKind::Statements,
        }
    }
}

/// One entry of an [`AccountResource`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResourceEntry {
    /// Of [`AccountResource::Parties`].
    Party(Party),
    /// Of [`AccountResource::Beneficiaries`].
    Beneficiary(Beneficiary),
    /// Of [`AccountResource::StandingOrders`].
    StandingOrder(StandingOrder),
    /// Of [`AccountResource::DirectDebits`].
    DirectDebit(DirectDebit),
    /// Of [`AccountResource::ScheduledPayments`].
    ScheduledPayment(ScheduledPayment),
    /// Of [`AccountResource::Statements`].
    Statement(Statement),
}
