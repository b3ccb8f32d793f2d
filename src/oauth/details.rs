//! `authorization_details` (RFC 9396): what exactly a client asks a PSU for.
//!
//! Each type is a closed struct; its JSON Schema is made of it and published,
//! so that what is written there is what is taken.

use domain::{AccountIdentification, ConsentId, ConsentKind, Date, Iban, Money, Pii, SortCodeAccount};
use flows::FlowError;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::{OAuth, OAuthError};

/// The types, as `authorization_details_types_supported` lists them.
pub(crate) const DETAIL_TYPES: &[&str] =
    &["account_access", "payment_initiation", "vrp", "funds_confirmation"];

/// Details in one request.
const MAX_DETAILS: usize = 10;

/// An amount (ISO 20022): decimal text and ISO 4217 code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Amount {
    /// Decimal text without sign.
    #[schema(pattern = r"^\d{1,13}(\.\d{1,5})?$")]
    amount: String,
    /// ISO 4217 code.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
}

impl Amount {
    fn money(&self) -> Result<Money, &'static str> {
        let currency = self.currency.parse().map_err(|_| "a currency is an ISO 4217 code")?;
        let money =
            Money::parse(&self.amount, currency).map_err(|_| "an amount has its currency's places")?;
        if money.amount().is_zero() { Err("an amount is above zero") } else { Ok(money) }
    }
}

/// An account: by IBAN, or by UK sort code and account number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct AccountName {
    /// ISO 13616.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    iban: Option<Pii<String>>,
    /// Six digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    sort_code: Option<Pii<String>>,
    /// Eight digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    account_number: Option<Pii<String>>,
}

impl AccountName {
    fn identification(&self) -> Result<AccountIdentification, &'static str> {
        match (&self.iban, &self.sort_code, &self.account_number) {
            (Some(iban), None, None) => iban
                .parse::<Iban>()
                .map(AccountIdentification::Iban)
                .map_err(|_| "an IBAN has its country's length and a valid checksum"),
            (None, Some(sort_code), Some(number)) => SortCodeAccount::new(sort_code, number)
                .map(AccountIdentification::SortCode)
                .map_err(|_| "a UK account is a sort code of six digits and an account number of eight"),
            _ => Err("an account is an iban, or a sortCode with an accountNumber"),
        }
    }
}

/// Access to the accounts of a consent that was lodged before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AccountAccess {
    /// The consent (`POST /v1/consents`).
    #[schema(value_type = String)]
    pub(crate) consent_id: ConsentId,
}

/// One payment: amount and payee are what the PSU approves, and no other
/// payment can be ordered with the token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PaymentInitiation {
    /// How much.
    pub(crate) instructed_amount: Amount,
    /// To which account.
    pub(crate) creditor_account: AccountName,
    /// To whom.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 140)]
    pub(crate) creditor_name: Option<Pii<String>>,
    /// From which account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    debtor_account: Option<AccountName>,
    /// Text for the payee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 140)]
    remittance_information_unstructured: Option<Pii<String>>,
    /// The payer's reference, carried to the payee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 35)]
    end_to_end_identification: Option<Pii<String>>,
    /// RFC 9396 §2.2: `initiate`, `status`, `cancel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actions: Option<Vec<String>>,
    /// RFC 9396 §2.2: where it is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    locations: Option<Vec<String>>,
}

/// A limit of a VRP mandate per period.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct PeriodicLimit {
    /// Most in one period.
    amount: Amount,
    /// `Day`, `Week`, `Fortnight`, `Month`, `Half-year` or `Year`.
    period_type: String,
    /// `Consent` or `Calendar`.
    period_alignment: String,
}

/// Variable recurring payments within limits (UK Open Banking).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct Vrp {
    /// To which account.
    creditor_account: AccountName,
    /// To whom.
    #[schema(value_type = String, max_length = 140)]
    creditor_name: Pii<String>,
    /// Most in one payment.
    maximum_individual_amount: Amount,
    /// Most per period.
    periodic_limits: Vec<PeriodicLimit>,
    /// Last day, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = Date)]
    valid_to: Option<String>,
}

/// Asking whether the account of a consent that was lodged before covers amounts
/// (PSD2 art. 65).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FundsConfirmation {
    /// The consent (`POST /v1/consents` with the type `FUNDS_CONFIRMATION`).
    #[schema(value_type = String)]
    pub(crate) consent_id: ConsentId,
}

/// One thing that a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Detail {
    AccountAccess(AccountAccess),
    PaymentInitiation(PaymentInitiation),
    Vrp(Vrp),
    FundsConfirmation(FundsConfirmation),
}

/// What the PSU is shown of a detail that names no consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// What is asked for.
    pub(crate) kind: ShownKind,
    /// Payee.
    pub(crate) payee: Option<String>,
    /// Account of the payee.
    pub(crate) account: String,
    /// Limits: the period's type and the most in one.
    pub(crate) limits: Vec<(String, Money)>,
    /// Text for the payee.
    pub(crate) purpose: Option<String>,
    /// Last day.
    pub(crate) until: Option<Date>,
}

/// What a detail on a page asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShownKind {
    /// One payment.
    Payment(Money),
    /// Payments again and again, each up to an amount.
    Recurring(Money),
}

impl Detail {
    /// Reads the members of a detail of a type. Not by the tag: what is buffered until it is found
    /// takes a list for an object.
    fn of_type(kind: &str, members: Value) -> Result<Self, serde_json::Error> {
        match kind {
            "account_access" => web::strictly(members).map(Self::AccountAccess),
            "payment_initiation" => web::strictly(members).map(Self::PaymentInitiation),
            "vrp" => web::strictly(members).map(Self::Vrp),
            "funds_confirmation" => web::strictly(members).map(Self::FundsConfirmation),
            other => Err(serde::de::Error::unknown_variant(other, DETAIL_TYPES)),
        }
    }

    /// The scope that the detail needs.
    pub(crate) fn scope(&self) -> &'static str {
        match self {
            Self::AccountAccess(_) => "accounts",
            Self::PaymentInitiation(_) | Self::Vrp(_) => "payments",
            Self::FundsConfirmation(_) => "fundsconfirmations",
        }
    }

    /// What the PSU is shown; `None` where a consent is shown instead.
    pub(crate) fn shown(&self) -> Option<Shown> {
        let account =
            |name: &AccountName| name.identification().map(|account| spoken(&account)).unwrap_or_default();
        let day = |day: &Option<String>| day.as_ref().and_then(|day| day.parse().ok());
        match self {
            Self::AccountAccess(_) | Self::FundsConfirmation(_) => None,
            Self::PaymentInitiation(payment) => Some(Shown {
                kind: ShownKind::Payment(payment.instructed_amount.money().ok()?),
                payee: payment.creditor_name.clone().map(Pii::into_inner),
                account: account(&payment.creditor_account),
                limits: Vec::new(),
                purpose: payment.remittance_information_unstructured.clone().map(Pii::into_inner),
                until: None,
            }),
            Self::Vrp(vrp) => Some(Shown {
                kind: ShownKind::Recurring(vrp.maximum_individual_amount.money().ok()?),
                payee: Some(vrp.creditor_name.clone().into_inner()),
                account: account(&vrp.creditor_account),
                limits: vrp
                    .periodic_limits
                    .iter()
                    .filter_map(|limit| Some((limit.period_type.clone(), limit.amount.money().ok()?)))
                    .collect(),
                purpose: None,
                until: day(&vrp.valid_to),
            }),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        let line = |text: Option<&str>, most: usize| {
            let fits = |text: &str| {
                (1..=most).contains(&text.chars().count()) && !text.chars().any(char::is_control)
            };
            text.is_none_or(fits).then_some(()).ok_or("a text is empty, too long or not printable")
        };
        let day = |text: &Option<String>| {
            let is_day = |text: &String| text.parse::<domain::Date>().is_ok();
            text.as_ref().is_none_or(is_day).then_some(()).ok_or("a day is written YYYY-MM-DD")
        };
        match self {
            Self::AccountAccess(_) | Self::FundsConfirmation(_) => Ok(()),
            Self::PaymentInitiation(payment) => {
                payment.instructed_amount.money()?;
                payment.creditor_account.identification()?;
                payment.debtor_account.as_ref().map(AccountName::identification).transpose()?;
                line(payment.creditor_name.as_deref(), 140)?;
                line(payment.remittance_information_unstructured.as_deref(), 140)?;
                line(payment.end_to_end_identification.as_deref(), 35)?;
                let known = |action: &String| ["initiate", "status", "cancel"].contains(&action.as_str());
                if payment.actions.as_ref().is_some_and(|actions| !actions.iter().all(known)) {
                    return Err("actions are initiate, status and cancel");
                }
                Ok(())
            }
            Self::Vrp(vrp) => {
                vrp.creditor_account.identification()?;
                line(Some(&vrp.creditor_name), 140)?;
                vrp.maximum_individual_amount.money()?;
                for limit in &vrp.periodic_limits {
                    limit.amount.money()?;
                    let periods = ["Day", "Week", "Fortnight", "Month", "Half-year", "Year"];
                    if !periods.contains(&limit.period_type.as_str())
                        || !["Consent", "Calendar"].contains(&limit.period_alignment.as_str())
                    {
                        return Err("a periodicLimit has a known periodType and periodAlignment");
                    }
                }
                if vrp.periodic_limits.is_empty() {
                    return Err("a vrp has at least one of periodicLimits");
                }
                day(&vrp.valid_to)
            }
        }
    }
}

/// An account as a person reads it.
pub(crate) fn spoken(account: &AccountIdentification) -> String {
    match account {
        AccountIdentification::Iban(iban) => {
            let letters: Vec<char> = iban.as_str().chars().collect();
            letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
        }
        AccountIdentification::SortCode(account) => {
            format!("{} {}", account.sort_code(), account.account_number())
        }
        AccountIdentification::Bban(text)
        | AccountIdentification::MaskedPan(text)
        | AccountIdentification::Other { identification: text, .. } => text.clone(),
    }
}

/// `invalid_authorization_details` (RFC 9396 §5).
pub(crate) fn invalid(why: &'static str) -> OAuthError {
    OAuthError::new("invalid_authorization_details", why)
}

/// Reads `authorization_details`: an array of typed objects, each of a type
/// that the client is registered for.
pub(crate) fn read(text: &str, types: &[String]) -> Result<Vec<Detail>, OAuthError> {
    let Ok(Value::Array(given)) = crypto::json::unique_value(text.as_bytes()) else {
        return Err(invalid("authorization_details is a JSON array whose names are unique"));
    };
    if given.is_empty() || given.len() > MAX_DETAILS {
        return Err(invalid("authorization_details holds 1 to 10 objects"));
    }
    let mut details = Vec::new();
    for mut detail in given {
        let kind = detail.as_object_mut().and_then(|members| members.remove("type"));
        let kind = kind
            .as_ref()
            .and_then(Value::as_str)
            .filter(|kind| DETAIL_TYPES.contains(kind))
            .ok_or_else(|| invalid("each of authorization_details has a type that the metadata lists"))?;
        if !types.iter().any(|known| known == kind) {
            return Err(invalid("the client is not registered for this type of authorization_details"));
        }
        let detail = Detail::of_type(kind, detail)
            .map_err(|_| invalid("a member of authorization_details does not fit the schema of its type"))?;
        detail.check().map_err(invalid)?;
        if details.contains(&detail) {
            return Err(invalid("one of authorization_details is there twice"));
        }
        details.push(detail);
    }
    Ok(details)
}

/// The published JSON Schema of a type.
pub(crate) fn schema(kind: &str) -> Option<Value> {
    let mut names = Vec::new();
    let (schema, ()) = match kind {
        "account_access" => (AccountAccess::schema(), AccountAccess::schemas(&mut names)),
        "payment_initiation" => (PaymentInitiation::schema(), PaymentInitiation::schemas(&mut names)),
        "vrp" => (Vrp::schema(), Vrp::schemas(&mut names)),
        "funds_confirmation" => (FundsConfirmation::schema(), FundsConfirmation::schemas(&mut names)),
        _ => return None,
    };
    let mut schema = serde_json::to_value(schema).ok()?;
    let definitions: serde_json::Map<String, Value> = names
        .into_iter()
        .filter_map(|(name, schema)| Some((name, serde_json::to_value(schema).ok()?)))
        .collect();
    let members = schema.as_object_mut()?;
    members.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    members.insert("$id".into(), format!("/.well-known/authorization-details/{kind}").into());
    if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("type".into(), json!({ "const": kind }));
    }
    if let Some(required) = members.get_mut("required").and_then(Value::as_array_mut) {
        required.insert(0, "type".into());
    }
    if !definitions.is_empty() {
        members.insert("$defs".into(), Value::Object(definitions));
    }
    let text = schema.to_string().replace("#/components/schemas/", "#/$defs/");
    serde_json::from_str(&text).ok()
}

/// Details as grants keep them: those of a consent name it; whatever
/// names accounts and people is kept in its home region and known by id.
pub(crate) async fn keep(
    oauth: &OAuth,
    client_id: &str,
    details: &[Detail],
) -> Result<Vec<Value>, OAuthError> {
    let mut kept = Vec::new();
    for detail in details {
        let body = serde_json::to_value(detail).map_err(|_| OAuthError::server())?;
        let account = match detail {
            Detail::AccountAccess(_) | Detail::FundsConfirmation(_) => {
                kept.push(body);
                continue;
            }
            Detail::PaymentInitiation(payment) => {
                payment.debtor_account.as_ref().unwrap_or(&payment.creditor_account)
            }
            Detail::Vrp(vrp) => &vrp.creditor_account,
        };
        let account = account.identification().map_err(invalid)?;
        let region = oauth.gateway.home_of(&account);
        let region = region.ok_or_else(|| invalid("no region that is held here is home to the account"))?;
        let kind = body.get("type").and_then(Value::as_str).unwrap_or_default();
        kept.push(oauth.gateway.keep_detail(client_id, region, kind, &body).await?);
    }
    Ok(kept)
}

/// Details as a page shows them, in full.
pub(crate) async fn shown(oauth: &OAuth, client_id: &str, kept: &[Value]) -> Result<Vec<Shown>, FlowError> {
    let full = oauth.gateway.details_in_full(client_id, &Value::Array(kept.to_vec())).await?;
    let full = full.as_array().cloned().unwrap_or_default();
    let detail = |value| serde_json::from_value::<Detail>(value).ok();
    Ok(full.into_iter().filter_map(detail).filter_map(|detail| detail.shown()).collect())
}

/// What is granted of what was asked for: without the consents that came to
/// nothing.
pub(crate) fn granted(kept: &[Value], refused: &[ConsentId]) -> Value {
    let refused: Vec<String> = refused.iter().map(ToString::to_string).collect();
    let gone = |detail: &&Value| {
        let consent = detail.get("consent_id").and_then(Value::as_str);
        consent.is_some_and(|consent| refused.iter().any(|refused| refused == consent))
    };
    kept.iter().filter(|detail| !gone(detail)).cloned().collect()
}

/// The consents that details ask for, and what each must be a consent to.
pub(crate) fn consents(details: &[Detail]) -> Vec<(ConsentId, ConsentKind)> {
    details
        .iter()
        .filter_map(|detail| match detail {
            Detail::AccountAccess(access) => Some((access.consent_id, ConsentKind::AccountInformation)),
            Detail::FundsConfirmation(funds) => Some((funds.consent_id, ConsentKind::FundsConfirmation)),
            Detail::PaymentInitiation(_) | Detail::Vrp(_) => None,
        })
        .collect()
}
