//! What a TPP orders: read, and found to be an order.

use domain::{
    Abroad, AccountIdentification, ChargeBearer, Date, Execution, ExecutionRule, InstitutionId, Order,
    PaymentContext, PaymentFrequency, PaymentOrder, PaymentRisk, PaymentScheme, Pii, Recurrence,
    RemittanceInformation, Violations,
};
use flows::{FlowError, Gateway, PaymentRequest, SchemeWish};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use web::Problem;

use crate::address::Address;
use crate::view::{AccountName, Amount};

/// Who is paid.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Creditor {
    /// Name, at most 140 characters.
    #[schema(value_type = String, max_length = 140)]
    name: Pii<String>,
    /// Where the creditor lives; many banks want it of payments abroad.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Address>,
}

/// The bank that holds an account.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Agent {
    /// ISO 9362, 8 or 11 characters.
    #[schema(example = "POFICHBEXXX")]
    bic: String,
}

/// A series of days on which the same is paid.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Periodic {
    /// DAILY, WEEKLY, EVERY_TWO_WEEKS, MONTHLY, EVERY_TWO_MONTHS, QUARTERLY, SEMI_ANNUAL or ANNUAL.
    #[schema(example = "MONTHLY")]
    frequency: String,
    /// The first day, later than today; the others follow from it.
    #[schema(value_type = String, format = Date, example = "2027-01-31")]
    start_date: String,
    /// No day of the series is after it; without end, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = Date)]
    end_date: Option<String>,
    /// FOLLOWING or PRECEDING: the working day taken in place of a day off. As the bank
    /// has it, if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    execution_rule: Option<String>,
}

/// What you know about the risk of a payment; passed to the bank where its standard has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Risk {
    /// BILL_IN_ADVANCE, BILL_IN_ARREARS, ECOMMERCE, POINT_OF_SALE, TRANSFER_TO_SELF or
    /// TRANSFER_TO_THIRD_PARTY.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    /// Trade of the merchant (ISO 18245), four digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{4}$")]
    merchant_category: Option<String>,
    /// What the merchant calls the customer, at most 70 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 70)]
    merchant_customer: Option<Pii<String>>,
    /// Where goods go.
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_address: Option<Address>,
}

/// A creditor reference.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StructuredReference {
    /// At most 35 SEPA characters.
    #[schema(value_type = String, max_length = 35, pattern = "^[A-Za-z0-9/?:().,'+ -]{1,35}$")]
    reference: Pii<String>,
}

/// What the creditor is told.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Remittance {
    /// Free text, one line of at most 140 characters.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 1)]
    unstructured: Vec<Pii<String>>,
    /// Creditor reference, at most one.
    #[serde(default)]
    #[schema(max_items = 1)]
    structured: Vec<StructuredReference>,
}

/// An order.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PaymentCreate {
    /// Where it is paid from.
    #[schema(example = "gb-albion-bank")]
    institution_id: String,
    /// How much.
    amount: Amount,
    /// Who is paid.
    creditor: Creditor,
    /// Account that is paid: `iban` or `sort_code_account_number`; abroad also `bban`.
    creditor_account: AccountName,
    /// The bank that holds it, for a payment abroad.
    #[serde(default)]
    creditor_agent: Option<Agent>,
    /// Who bears the charges of a payment abroad: DEBT, CRED, SHAR or SLEV; SHAR if absent.
    #[serde(default)]
    charge_bearer: Option<String>,
    /// Account to pay from; otherwise the PSU chooses at the bank.
    #[serde(default)]
    debtor_account: Option<AccountName>,
    /// What the creditor is told.
    #[serde(default)]
    remittance: Remittance,
    /// SEPA_CT, SEPA_INST, FPS, ELIXIR, EXPRESS_ELIXIR or CROSS_BORDER; default is the
    /// institution's first. AUTO chooses the fastest that takes the order, and says why.
    #[serde(default)]
    scheme: Option<String>,
    /// A later day on which it is carried out (`SCHEDULED`); at once, if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Date)]
    requested_execution_date: Option<String>,
    /// The days on which it is carried out again and again (`PERIODIC`).
    #[serde(default)]
    periodic: Option<Periodic>,
    /// What you know about its risk.
    #[serde(default)]
    risk: Option<Risk>,
    /// Ask the creditor's bank whether the account is the creditor's, before the PSU sees the
    /// payment, and tell the PSU what it says; `payee_verification` shows it.
    #[serde(default)]
    verify_payee: bool,
    /// Travels to the creditor, at most 35 characters; ours if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 35)]
    end_to_end_id: Option<Pii<String>>,
    /// Where the PSU's browser goes in the end; one of the client's `redirect_uris`.
    redirect_uri: String,
    /// Opaque value returned with it, at most 1024 bytes.
    #[serde(default)]
    state: Option<String>,
    /// Your own name for it, at most 64 characters.
    #[serde(default)]
    #[schema(max_length = 64)]
    client_reference: Option<String>,
}

impl Remittance {
    pub(crate) fn of(told: &RemittanceInformation) -> Self {
        let structured = told.reference.iter();
        Self {
            unstructured: told.unstructured.iter().cloned().collect(),
            structured: structured
                .map(|reference| StructuredReference { reference: reference.clone() })
                .collect(),
        }
    }

    /// So many lines and references, which [`Remittance::parse`] judges.
    pub(crate) fn lines(unstructured: Vec<String>, references: Vec<String>) -> Self {
        let structured =
            references.into_iter().map(|reference| StructuredReference { reference: reference.into() });
        Self {
            unstructured: unstructured.into_iter().map(Pii::from).collect(),
            structured: structured.collect(),
        }
    }

    /// One line and one reference at most.
    pub(crate) fn parse(&self, v: &mut Violations) -> RemittanceInformation {
        let unstructured = self.unstructured.first().cloned();
        if self.unstructured.len() > 1 || unstructured.as_ref().is_some_and(|text| !is_line(text, 140)) {
            v.add("/remittance/unstructured", "text.invalid", "one line of 1 to 140 printable characters");
        }
        let reference = self.structured.first().map(|one| one.reference.clone());
        if self.structured.len() > 1 || reference.as_ref().is_some_and(|text| !is_reference(text, 35)) {
            v.add("/remittance/structured", "reference.invalid", "one reference of 1 to 35 SEPA characters");
        }
        RemittanceInformation { unstructured, reference }
    }
}

/// Names that a client gives: within what everybody takes.
pub(crate) fn check_names(
    v: &mut Violations,
    end_to_end_id: Option<&str>,
    state: Option<&String>,
    client_reference: Option<&String>,
) {
    if end_to_end_id.is_some_and(|id| !is_reference(id, 35)) {
        v.add("/end_to_end_id", "reference.invalid", "1 to 35 SEPA characters");
    }
    if state.is_some_and(|state| state.len() > 1_024) {
        v.add("/state", "text.too_long", "at most 1024 bytes");
    }
    if client_reference.is_some_and(|text| text.chars().count() > 64) {
        v.add("/client_reference", "text.too_long", "at most 64 characters");
    }
}

impl Creditor {
    pub(crate) fn named(name: Pii<String>, address: Option<Address>) -> Self {
        Self { name, address }
    }

    /// The name alone, for what goes to no bank abroad.
    pub(crate) fn parse_plain(&self, most: usize, v: &mut Violations) -> String {
        if self.address.is_some() {
            v.add("/creditor/address", "field.unknown", "an address is for payments abroad");
        }
        self.parse(most, v)
    }

    /// The name, of at most so many characters.
    pub(crate) fn parse(&self, most: usize, v: &mut Violations) -> String {
        if !is_line(&self.name, most) {
            v.add("/creditor/name", "text.invalid", format!("1 to {most} printable characters"));
        }
        self.name.clone().into_inner()
    }
}

/// Characters of the SEPA Latin set (EPC217-08): what every scheme takes in an id.
fn is_reference(text: &str, most: usize) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"/-?:().,'+ ".contains(&b);
    (1..=most).contains(&text.len()) && text.bytes().all(allowed) && !text.starts_with('/')
}

pub(crate) fn is_line(text: &str, most: usize) -> bool {
    let length = text.chars().count();
    (1..=most).contains(&length) && !text.chars().any(char::is_control) && !text.trim().is_empty()
}

/// A word of a list; a violation names the list.
fn word<T: Copy + std::fmt::Display>(
    v: &mut Violations,
    pointer: &str,
    all: &[T],
    found: Option<T>,
) -> Option<T> {
    if found.is_none() {
        let words: Vec<_> = all.iter().map(T::to_string).collect();
        v.add(pointer, "word.unknown", words.join(", "));
    }
    found
}

/// A day that is still to come.
fn coming_day(v: &mut Violations, pointer: &str, text: &str, today: Date) -> Option<Date> {
    let day = text.parse::<Date>().map_err(|_| "a day (YYYY-MM-DD)");
    let day = v.take(pointer, "date.invalid", day)?;
    if day <= today {
        v.add(pointer, "date.past", "a day later than today (UTC)");
        return None;
    }
    Some(day)
}

impl Periodic {
    fn parse(&self, v: &mut Violations, today: Date) -> Option<Recurrence> {
        let frequency = word(
            v,
            "/periodic/frequency",
            PaymentFrequency::ALL,
            PaymentFrequency::from_word(&self.frequency),
        );
        let first = coming_day(v, "/periodic/start_date", &self.start_date, today);
        let last = self.end_date.as_ref().map(|end| coming_day(v, "/periodic/end_date", end, today));
        if let (Some(first), Some(Some(last))) = (first, last)
            && last < first
        {
            v.add("/periodic/end_date", "date.order", "not before start_date");
        }
        let rule = self.execution_rule.as_deref().map(|rule| {
            word(v, "/periodic/execution_rule", ExecutionRule::ALL, ExecutionRule::from_word(rule))
        });
        Some(Recurrence { first: first?, last: last.flatten(), frequency: frequency?, rule: rule.flatten() })
    }

    pub(crate) fn of(series: &Recurrence) -> Self {
        Self {
            frequency: series.frequency.to_string(),
            start_date: series.first.to_string(),
            end_date: series.last.map(|last| last.to_string()),
            execution_rule: series.rule.map(|rule| rule.to_string()),
        }
    }
}

impl Risk {
    fn parse(&self, v: &mut Violations) -> PaymentRisk {
        let context = self.context.as_deref().and_then(|context| {
            word(v, "/risk/context", PaymentContext::ALL, PaymentContext::from_word(context))
        });
        let category = self.merchant_category.as_ref();
        if category.is_some_and(|code| code.len() != 4 || !code.bytes().all(|b| b.is_ascii_digit())) {
            v.add("/risk/merchant_category", "merchant_category.invalid", "four digits (ISO 18245)");
        }
        if self.merchant_customer.as_ref().is_some_and(|text| !is_line(text, 70)) {
            v.add("/risk/merchant_customer", "text.invalid", "1 to 70 printable characters");
        }
        let delivery = self.delivery_address.as_ref();
        PaymentRisk {
            context,
            merchant_category: self.merchant_category.clone(),
            merchant_customer: self.merchant_customer.clone(),
            delivery_address: delivery.map(|address| address.parse("/risk/delivery_address", v)),
        }
    }

    /// None where nothing is known.
    pub(crate) fn of(risk: &PaymentRisk) -> Option<Self> {
        (*risk != PaymentRisk::default()).then(|| Self {
            context: risk.context.map(|context| context.to_string()),
            merchant_category: risk.merchant_category.clone(),
            merchant_customer: risk.merchant_customer.clone(),
            delivery_address: risk.delivery_address.as_ref().map(Address::from),
        })
    }
}

impl Agent {
    pub(crate) fn of(bic: &str) -> Self {
        Self { bic: bic.to_owned() }
    }
}

impl PaymentCreate {
    /// The order that this is.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub(crate) fn parse(self, gateway: &Gateway) -> Result<PaymentRequest, Problem> {
        let mut violations = Violations::default();
        let v = &mut violations;
        let today = domain::utc_day(gateway.now());
        let institution = self.institution_id.parse::<InstitutionId>();
        let institution = v.take("/institution_id", "institution.invalid", institution);
        let wish = wish(self.scheme.as_deref(), v);
        let transfer = TransferCreate {
            amount: self.amount,
            creditor: self.creditor,
            creditor_account: self.creditor_account,
            creditor_agent: self.creditor_agent,
            charge_bearer: self.charge_bearer,
            remittance: self.remittance,
            end_to_end_id: self.end_to_end_id,
        };
        let draft = transfer.parse(wish, v);
        let debtor_account = self.debtor_account.as_ref().map(|account| account.parse("/debtor_account", v));
        check_names(v, None, self.state.as_ref(), self.client_reference.as_ref());
        let execution = execution(self.requested_execution_date.as_deref(), self.periodic.as_ref(), v, today);
        let risk = self.risk.as_ref().map(|risk| risk.parse(v)).unwrap_or_default();
        match (institution, draft, violations.is_empty()) {
            (Some(institution), Some(draft), true) => {
                let draft =
                    PaymentOrder { debtor_account: debtor_account.flatten(), execution, risk, ..draft };
                let (order, scheme_choice) = gateway.on_a_rail(&institution, draft, wish)?;
                Ok(PaymentRequest {
                    policy: None,
                    institution,
                    order: Order::Transfer(order),
                    scheme_choice,
                    verify_payee: self.verify_payee,
                    refund_of: None,
                    redirect_uri: self.redirect_uri,
                    state: self.state,
                    client_reference: self.client_reference,
                })
            }
            _ => Err(FlowError::Invalid(violations).into()),
        }
    }
}

/// One transfer of a batch.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferCreate {
    /// How much.
    pub(crate) amount: Amount,
    /// Who is paid.
    pub(crate) creditor: Creditor,
    /// Account that is paid: `iban` or `sort_code_account_number`; abroad also `bban`.
    pub(crate) creditor_account: AccountName,
    /// The bank that holds it, for a payment abroad.
    #[serde(default)]
    pub(crate) creditor_agent: Option<Agent>,
    /// Who bears the charges of a payment abroad: DEBT, CRED, SHAR or SLEV; SHAR if absent.
    #[serde(default)]
    pub(crate) charge_bearer: Option<String>,
    /// What the creditor is told.
    #[serde(default)]
    pub(crate) remittance: Remittance,
    /// Travels to the creditor, at most 35 characters; ours if absent.
    #[serde(default)]
    #[schema(value_type = Option<String>, max_length = 35)]
    pub(crate) end_to_end_id: Option<Pii<String>>,
}

impl TransferCreate {
    /// The transfer that this is, at once and on no rail yet.
    pub(crate) fn parse(self, wish: SchemeWish, v: &mut Violations) -> Option<PaymentOrder> {
        let amount = self.amount.parse("/amount", v);
        if amount.is_some_and(|amount| amount.amount().is_zero()) {
            v.add("/amount/amount", "amount.zero", "an amount above zero");
        }
        let creditor_name = self.creditor.parse(140, v);
        let abroad = self.abroad(v, wish);
        let creditor_account = match &self.creditor_account.bban {
            Some(bban) if abroad.is_some() => national(v, bban),
            Some(_) | None => self.creditor_account.parse("/creditor_account", v),
        };
        let remittance = self.remittance.parse(v);
        check_names(v, self.end_to_end_id.as_deref(), None, None);
        Some(PaymentOrder {
            end_to_end_id: self.end_to_end_id.unwrap_or_default(),
            instruction_id: String::new(),
            amount: amount?,
            debtor_account: None,
            creditor_name: creditor_name.into(),
            creditor_account: creditor_account?,
            remittance,
            // Settled when the institution is known.
            scheme: PaymentScheme::CrossBorder,
            execution: Execution::AtOnce,
            abroad,
            risk: PaymentRisk::default(),
        })
    }

    /// What makes a payment one abroad: said by its scheme, or by what only such a one has.
    fn abroad(&self, v: &mut Violations, wish: SchemeWish) -> Option<Abroad> {
        let said = self.creditor_agent.is_some() || self.charge_bearer.is_some();
        let cross_border = wish == SchemeWish::Named(PaymentScheme::CrossBorder);
        let address = self.creditor.address.as_ref().map(|address| address.parse("/creditor/address", v));
        let agent = self.creditor_agent.as_ref().map(|agent| agent.bic.to_ascii_uppercase());
        if agent.as_deref().is_some_and(|bic| !domain::is_bic(bic)) {
            v.add("/creditor_agent/bic", "bic.invalid", "a BIC (ISO 9362) of 8 or 11 characters");
        }
        let bearer = match self.charge_bearer.as_deref() {
            None => Some(ChargeBearer::Shared),
            Some(text) => word(v, "/charge_bearer", ChargeBearer::ALL, ChargeBearer::from_word(text)),
        };
        let abroad = said || cross_border || address.is_some();
        abroad.then(|| Abroad {
            creditor_agent: agent,
            creditor_address: address,
            charge_bearer: bearer.unwrap_or(ChargeBearer::Shared),
        })
    }
}

/// How a rail is named.
pub(crate) fn wish(scheme: Option<&str>, v: &mut Violations) -> SchemeWish {
    match scheme {
        None => SchemeWish::First,
        Some("AUTO") => SchemeWish::Auto,
        Some(named) => {
            let scheme = PaymentScheme::from_word(named);
            if scheme.is_none() {
                let words: Vec<_> = PaymentScheme::ALL.iter().map(|scheme| scheme.as_str()).collect();
                v.add("/scheme", "scheme.unknown", format!("AUTO, {}", words.join(", ")));
            }
            scheme.map_or(SchemeWish::First, SchemeWish::Named)
        }
    }
}

/// When an order is carried out.
pub(crate) fn execution(
    day: Option<&str>,
    periodic: Option<&Periodic>,
    v: &mut Violations,
    today: Date,
) -> Execution {
    match (day, periodic) {
        (None, None) => Execution::AtOnce,
        (Some(day), None) => {
            coming_day(v, "/requested_execution_date", day, today).map_or(Execution::AtOnce, Execution::On)
        }
        (None, Some(periodic)) => periodic.parse(v, today).map_or(Execution::AtOnce, Execution::Repeated),
        (Some(_), Some(_)) => {
            let detail = "either a day or a series: a series begins with its start_date";
            v.add("/requested_execution_date", "execution.ambiguous", detail);
            Execution::AtOnce
        }
    }
}

/// An account number of a country without IBANs.
fn national(v: &mut Violations, bban: &str) -> Option<AccountIdentification> {
    let plain = (4..=34).contains(&bban.len()) && bban.bytes().all(|b| b.is_ascii_alphanumeric());
    if !plain {
        v.add("/creditor_account/bban", "bban.invalid", "4 to 34 letters and digits");
    }
    plain.then(|| AccountIdentification::Bban(bban.to_owned()))
}
