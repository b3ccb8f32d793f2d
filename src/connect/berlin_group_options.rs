//! What the Berlin Group standard leaves to each bank.

use domain::Date;
use http::{HeaderMap, HeaderName};
use url::Url;

/// Which of the standard's options a bank takes. The default is what most
/// banks do: a profile states where its bank differs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BerlinGroupOptions {
    /// How access may be asked for; empty: account list, bank-offered, global.
    pub consents: Vec<ConsentKind>,
    /// Consents for one use are refused: all are asked for as recurring.
    pub recurring_only: bool,
    /// Most accesses a day without the PSU that may be asked for; `None` is the standard's 4.
    pub max_frequency_per_day: Option<u8>,
    /// Booking statuses that can be asked for; empty: all.
    pub booking_statuses: Vec<BookingFilter>,
    /// Transactions are given only under consents that name balances too.
    pub transactions_need_balances: bool,
    /// Media types of transactions, the preferred one first; empty: JSON, XML, text.
    pub transaction_formats: Vec<String>,
    /// Media types of a payment's status, the preferred one first; empty: JSON.
    pub payment_status_formats: Vec<String>,
    /// How accounts may be named; empty: every way.
    pub account_references: Vec<AccountReference>,
    /// Card accounts are listed beside the accounts (XS2A 6.5.5).
    pub card_accounts: bool,
    /// One transaction can be asked for by its identifier (XS2A 6.5.4).
    pub transaction_details: bool,
    /// Where the bank takes consents to confirmation of funds through its interface: what
    /// stands before `/consents/confirmation-of-funds`, version included. `None`: the PSU
    /// gives them to the bank in another way.
    pub funds_consents: Option<Url>,
    /// Products of single payments; empty: those of the profile's payment schemes.
    pub payment_products: Vec<String>,
    /// What a payment order must have beyond the standard.
    pub required_payment_fields: Vec<PaymentField>,
    /// Who begins authentication after lodging.
    pub start_authorisation: StartAuthorisation,
    /// Headers of every request, as the bank fixes them.
    pub headers: HeaderMap,
    /// Headers about the PSU that are sent together or not at all.
    pub psu_headers_together: Vec<String>,
    /// `PSU-ID-Type`, where the bank wants one beside the identifier.
    pub psu_id_type: Option<String>,
    /// The identifier of the PSU must not be sent with a consent or payment.
    pub psu_id_unwanted: bool,
    /// Where the bank wants the access token; `None`: in `Authorization` (RFC 6750).
    pub token_header: Option<HeaderName>,
    /// What stands in pain.001 as the day of a payment at once; `None`: the day of the order.
    pub pain_day_of_at_once: Option<Date>,
}

/// A way to ask for access (XS2A 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsentKind {
    /// Named accounts.
    AccountList,
    /// The PSU chooses the accounts at the bank.
    BankOffered,
    /// All accounts, all data (`allPsd2`).
    Global,
    /// The list of accounts only.
    AvailableAccounts,
    /// The list of accounts with their balances.
    AvailableAccountsWithBalance,
}

/// A value of `bookingStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BookingFilter {
    /// `booked`.
    Booked,
    /// `pending`.
    Pending,
    /// `both`.
    Both,
}

/// A member of `accountReference`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountReference {
    /// `iban`.
    Iban,
    /// `bban`.
    Bban,
    /// `maskedPan`.
    MaskedPan,
}

/// A part of a payment order that the standard leaves optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentField {
    /// The account that pays.
    DebtorAccount,
    /// Free remittance text.
    Remittance,
}

/// Who begins authentication (`TPP-Explicit-Authorisation-Preferred`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartAuthorisation {
    /// The bank decides; nothing is said.
    #[default]
    Auto,
    /// The bank, with the answer to lodging.
    Implicit,
    /// We, by a request of its own.
    Explicit,
}

macro_rules! words {
    ($($name:ident { $($variant:ident = $word:literal,)+ })+) => {
        $(impl $name {
            /// Every word of profiles.
            pub(crate) const WORDS: &'static [&'static str] = &[$($word),+];

            /// The value of a word.
            pub(crate) fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }
        })+
    };
}

words! {
    ConsentKind {
        AccountList = "account-list",
        BankOffered = "bank-offered",
        Global = "global",
        AvailableAccounts = "available-accounts",
        AvailableAccountsWithBalance = "available-accounts-with-balance",
    }
    BookingFilter { Booked = "booked", Pending = "pending", Both = "both", }
    AccountReference { Iban = "iban", Bban = "bban", MaskedPan = "masked-pan", }
    PaymentField { DebtorAccount = "debtor-account", Remittance = "remittance", }
    StartAuthorisation { Auto = "auto", Implicit = "implicit", Explicit = "explicit", }
}

impl BerlinGroupOptions {
    /// Whether access may be asked for this way.
    #[must_use]
    pub fn offers(&self, kind: ConsentKind) -> bool {
        let usual = [ConsentKind::AccountList, ConsentKind::BankOffered, ConsentKind::Global];
        if self.consents.is_empty() { usual.contains(&kind) } else { self.consents.contains(&kind) }
    }

    /// Whether entries of this status can be asked for.
    #[must_use]
    pub fn filters(&self, filter: BookingFilter) -> bool {
        self.booking_statuses.is_empty() || self.booking_statuses.contains(&filter)
    }

    /// Whether accounts may be named this way.
    #[must_use]
    pub fn takes(&self, reference: AccountReference) -> bool {
        self.account_references.is_empty() || self.account_references.contains(&reference)
    }
}
