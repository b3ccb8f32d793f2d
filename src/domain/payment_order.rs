//! What a TPP orders: how much, to whom, on which rail and when.

use std::fmt;

use jiff::ToSpan;
use serde::{Deserialize, Serialize};

use crate::institution::words;
use crate::{AccountIdentification, Country, Date, Money, Pii, PostalAddress};

words!(
    /// Rail a payment runs on.
    PaymentScheme {
        /// SEPA credit transfer.
        SepaCreditTransfer = "SEPA_CT",
        /// SEPA instant credit transfer.
        SepaInstant = "SEPA_INST",
        /// UK Faster Payments.
        FasterPayments = "FPS",
        /// Poland's batch transfers, within the day or by the next.
        Elixir = "ELIXIR",
        /// Poland's instant transfers.
        ExpressElixir = "EXPRESS_ELIXIR",
        /// To another country or in another currency, through correspondent banks.
        CrossBorder = "CROSS_BORDER",
    }
);

/// Countries whose accounts SEPA credit transfers reach (EPC409-09), by the letters that
/// their IBANs begin with: those of dependencies that have letters of their own beside them.
const SEPA: [&str; 44] = [
    "AD", "AL", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FO", "FR", "GB", "GI",
    "GL", "GR", "HR", "HU", "IE", "IS", "IT", "LI", "LT", "LU", "LV", "MC", "MD", "ME", "MK", "MT", "NL",
    "NO", "PL", "PT", "RO", "RS", "SE", "SI", "SK", "SM", "VA",
];

impl PaymentScheme {
    /// The one currency of a rail (ISO 4217), if it has one.
    #[must_use]
    pub fn currency(self) -> Option<&'static str> {
        match self {
            Self::SepaCreditTransfer | Self::SepaInstant => Some("EUR"),
            Self::FasterPayments => Some("GBP"),
            Self::Elixir | Self::ExpressElixir => Some("PLN"),
            Self::CrossBorder => None,
        }
    }

    /// Whether a rail reaches accounts in a country.
    #[must_use]
    pub fn reaches(self, country: Country) -> bool {
        match self {
            Self::SepaCreditTransfer | Self::SepaInstant => SEPA.contains(&country.as_str()),
            Self::FasterPayments => country.as_str() == "GB",
            Self::Elixir | Self::ExpressElixir => country.as_str() == "PL",
            Self::CrossBorder => true,
        }
    }

    /// Whether a rail takes an order, as far as the rail itself goes.
    #[must_use]
    pub fn carries(self, amount: &Money, destination: Option<Country>) -> bool {
        self.currency().is_none_or(|own| own == amount.currency().code())
            && destination.is_none_or(|country| self.reaches(country))
    }

    /// How soon the creditor has the money: less is sooner.
    #[must_use]
    pub fn slowness(self) -> u8 {
        match self {
            Self::SepaInstant | Self::FasterPayments | Self::ExpressElixir => 0,
            Self::SepaCreditTransfer | Self::Elixir => 1,
            Self::CrossBorder => 2,
        }
    }
}

words!(
    /// What kind of order a payment is.
    PaymentType {
        /// One transfer, at once.
        Single = "SINGLE",
        /// One transfer, on a later day.
        Scheduled = "SCHEDULED",
        /// The same transfer again and again.
        Periodic = "PERIODIC",
        /// Many transfers together.
        Bulk = "BULK",
        /// A payment under a mandate.
        Vrp = "VRP",
    }
);

words!(
    /// How often a transfer repeats (ISO 20022 EventFrequency7Code).
    PaymentFrequency {
        /// Every day.
        Daily = "DAILY",
        /// Every week.
        Weekly = "WEEKLY",
        /// Every second week.
        EveryTwoWeeks = "EVERY_TWO_WEEKS",
        /// Every month.
        Monthly = "MONTHLY",
        /// Every second month.
        EveryTwoMonths = "EVERY_TWO_MONTHS",
        /// Every third month.
        Quarterly = "QUARTERLY",
        /// Every sixth month.
        SemiAnnual = "SEMI_ANNUAL",
        /// Every year.
        Annual = "ANNUAL",
    }
);

words!(
    /// Where a day of a series goes that is no working day of the bank's.
    ExecutionRule {
        /// To the next working day.
        Following = "FOLLOWING",
        /// To the working day before.
        Preceding = "PRECEDING",
    }
);

words!(
    /// Who bears the charges of a transfer (ISO 20022 ChargeBearerType1Code).
    ChargeBearer {
        /// The debtor.
        Debtor = "DEBT",
        /// The creditor.
        Creditor = "CRED",
        /// Each its own bank's.
        Shared = "SHAR",
        /// As the rail's rules say.
        ServiceLevel = "SLEV",
    }
);

words!(
    /// What a payment is made for, as far as it bears on its risk (UK `OBRisk1`).
    PaymentContext {
        /// A bill for what comes later.
        BillInAdvance = "BILL_IN_ADVANCE",
        /// A bill for what came before.
        BillInArrears = "BILL_IN_ARREARS",
        /// A purchase from a merchant on the web.
        Ecommerce = "ECOMMERCE",
        /// A purchase at a till.
        PointOfSale = "POINT_OF_SALE",
        /// To an account of the PSU's own.
        TransferToSelf = "TRANSFER_TO_SELF",
        /// To somebody else.
        TransferToThirdParty = "TRANSFER_TO_THIRD_PARTY",
    }
);

/// What a creditor is told about the purpose of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemittanceInformation {
    /// Free text, at most 140 characters.
    pub unstructured: Option<Pii<String>>,
    /// Creditor reference, at most 35 characters.
    pub reference: Option<Pii<String>>,
}

/// When an order is carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Execution {
    /// As soon as the bank can.
    #[default]
    AtOnce,
    /// On a day to come.
    On(Date),
    /// Again and again.
    Repeated(Recurrence),
}

impl Execution {
    /// The day on which an order is carried out first, if that is not at once.
    #[must_use]
    pub fn first_day(&self) -> Option<Date> {
        match self {
            Self::AtOnce => None,
            Self::On(day) => Some(*day),
            Self::Repeated(series) => Some(series.first),
        }
    }
}

/// A series of days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurrence {
    /// The first day; the others follow from it.
    pub first: Date,
    /// No day of the series is after this one; without end, if `None`.
    pub last: Option<Date>,
    /// How often.
    pub frequency: PaymentFrequency,
    /// What becomes of a day on which the bank does not work; as the bank has it, if `None`.
    pub rule: Option<ExecutionRule>,
}

impl Recurrence {
    /// The day of the series after so many others; the last of its month, where the
    /// month has no such day.
    #[must_use]
    pub fn day(&self, index: u16) -> Option<Date> {
        let step = match self.frequency {
            PaymentFrequency::Daily => 1.day(),
            PaymentFrequency::Weekly => 1.week(),
            PaymentFrequency::EveryTwoWeeks => 2.weeks(),
            PaymentFrequency::Monthly => 1.month(),
            PaymentFrequency::EveryTwoMonths => 2.months(),
            PaymentFrequency::Quarterly => 3.months(),
            PaymentFrequency::SemiAnnual => 6.months(),
            PaymentFrequency::Annual => 1.year(),
        };
        let day = self.first.checked_add(step.checked_mul(i64::from(index)).ok()?).ok()?;
        self.last.is_none_or(|last| day <= last).then_some(day)
    }
}

/// Whom a bank abroad is to pay, and at whose cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abroad {
    /// BIC (ISO 9362) of the bank that holds the creditor's account.
    pub creditor_agent: Option<String>,
    /// Where the creditor lives.
    pub creditor_address: Option<PostalAddress>,
    /// Who bears the charges.
    pub charge_bearer: ChargeBearer,
}

/// What the TPP knows about the risk of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentRisk {
    /// What it is made for.
    pub context: Option<PaymentContext>,
    /// Trade of the merchant, four digits (ISO 18245).
    pub merchant_category: Option<String>,
    /// What the merchant calls the customer, at most 70 characters.
    pub merchant_customer: Option<Pii<String>>,
    /// Where goods go.
    pub delivery_address: Option<PostalAddress>,
}

/// A credit transfer as the TPP ordered it. What a bank echoes is compared with this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PaymentOrder {
    /// Identification that travels to the creditor, at most 35 characters.
    pub end_to_end_id: Pii<String>,
    /// Identification between us and the bank, at most 35 characters.
    pub instruction_id: String,
    /// How much.
    pub amount: Money,
    /// Account to pay from, if the TPP knows it; otherwise the PSU chooses at the bank.
    pub debtor_account: Option<AccountIdentification>,
    /// Who is paid, at most 140 characters.
    pub creditor_name: Pii<String>,
    /// Account that is paid.
    pub creditor_account: AccountIdentification,
    /// Purpose.
    pub remittance: RemittanceInformation,
    /// Rail.
    pub scheme: PaymentScheme,
    /// When.
    pub execution: Execution,
    /// What only a transfer through correspondent banks needs.
    pub abroad: Option<Abroad>,
    /// What the TPP knows about its risk.
    pub risk: PaymentRisk,
}

impl PaymentOrder {
    /// What kind of order it is, apart from mandates.
    #[must_use]
    pub fn kind(&self) -> PaymentType {
        match self.execution {
            Execution::AtOnce => PaymentType::Single,
            Execution::On(_) => PaymentType::Scheduled,
            Execution::Repeated(_) => PaymentType::Periodic,
        }
    }

    /// The country of the creditor's bank, as far as the order tells it: by its BIC, or
    /// by the IBAN.
    #[must_use]
    pub fn destination(&self) -> Option<Country> {
        let agent = self.abroad.as_ref().and_then(|abroad| abroad.creditor_agent.as_deref());
        let by_agent = agent.and_then(|bic| bic.get(4..6)?.parse().ok());
        by_agent.or_else(|| match &self.creditor_account {
            AccountIdentification::Iban(iban) => iban.as_str().get(..2)?.parse().ok(),
            AccountIdentification::SortCode(_) => "GB".parse().ok(),
            AccountIdentification::Bban(_)
            | AccountIdentification::MaskedPan(_)
            | AccountIdentification::Other { .. } => None,
        })
    }
}

/// Whether a text has the form of a BIC (ISO 9362): 8 or 11 letters and digits, upper case.
#[must_use]
pub fn is_bic(text: &str) -> bool {
    let letters = |part: Option<&str>| part.is_some_and(|part| part.bytes().all(|b| b.is_ascii_uppercase()));
    let plain = text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    matches!(text.len(), 8 | 11) && plain && letters(text.get(4..6))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(first: &str, last: Option<&str>, frequency: PaymentFrequency) -> Recurrence {
        let day = |text: &str| text.parse().expect("a day");
        Recurrence { first: day(first), last: last.map(day), frequency, rule: None }
    }

    #[test]
    fn a_month_without_such_a_day_has_its_last() {
        let series = series("2026-01-31", None, PaymentFrequency::Monthly);
        let days: Vec<_> = (0..4).filter_map(|index| series.day(index)).map(|day| day.to_string()).collect();
        assert_eq!(days, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]);
    }

    #[test]
    fn a_series_ends_with_its_last_day() {
        let series = series("2026-01-05", Some("2026-01-19"), PaymentFrequency::Weekly);
        assert_eq!(series.day(2), "2026-01-19".parse().ok());
        assert_eq!(series.day(3), None);
    }

    #[test]
    fn every_frequency_has_a_step_of_its_own() {
        let second = |frequency: &PaymentFrequency| series("2026-01-01", None, *frequency).day(1);
        let days: std::collections::BTreeSet<_> = PaymentFrequency::ALL.iter().map(second).collect();
        assert_eq!(days.len(), PaymentFrequency::ALL.len());
    }

    #[test]
    fn a_bic_has_eight_or_eleven_characters_and_a_country() {
        for good in ["DEUTDEFF", "DEUTDEFF500", "N26CDEB1"] {
            assert!(is_bic(good), "{good}");
        }
        for bad in ["DEUTDEF", "deutdeff", "DEUT12FF", "DEUTDEFF50", "DEUT DEF", "ÄÖÜÄÖÜÄÖ"] {
            assert!(!is_bic(bad), "{bad}");
        }
    }
}
