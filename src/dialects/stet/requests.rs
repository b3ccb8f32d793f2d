//! The body of a payment request: what is the same for all of its transfers, and each of
//! them.

use connect::{BankError, CallContext, RedirectUris, ScaFlow};
use domain::{
    Abroad, AccountIdentification, ChargeBearer, Date, Execution, ExecutionRule, PaymentFrequency,
    PaymentOrder, PaymentScheme, Pii, Recurrence,
};
use serde_json::{Map, Value, json};

use super::accounts::written;

/// What is the same for all transfers of a request.
pub(super) struct Head<'a> {
    pub(super) name: &'a str,
    pub(super) debtor: Option<&'a AccountIdentification>,
    pub(super) scheme: PaymentScheme,
    pub(super) day: Option<Date>,
    pub(super) bearer: ChargeBearer,
    /// Who is paid, where that is one for all.
    pub(super) beneficiary: Option<Value>,
}

/// `PaymentRequestResource`.
pub(super) fn payment_request(
    cx: &CallContext<'_>,
    head: Head<'_>,
    transfers: Vec<Map<String, Value>>,
    redirects: &RedirectUris,
) -> Result<Value, BankError> {
    let mut kind = Map::new();
    let level = if head.scheme == PaymentScheme::CrossBorder { "NURG" } else { "SEPA" };
    kind.insert("serviceLevel".into(), json!(level));
    kind.insert("categoryPurpose".into(), json!("CASH"));
    match head.scheme {
        PaymentScheme::SepaCreditTransfer | PaymentScheme::CrossBorder => {}
        PaymentScheme::SepaInstant => {
            kind.insert("localInstrument".into(), json!("INST"));
        }
        PaymentScheme::FasterPayments | PaymentScheme::Elixir | PaymentScheme::ExpressElixir => {
            return Err(cx.unsupported("scheme"));
        }
    }
    let now = cx.now.to_string();
    let client =
        cx.profile.client_id.as_deref().ok_or_else(|| BankError::profile(&cx.profile.id, "client_id"))?;
    let mut approaches = vec!["REDIRECT"];
    if cx.profile.sca.contains(&ScaFlow::Decoupled) {
        approaches.push("DECOUPLED");
    }
    let mut body = json!({
        "paymentInformationId": head.name,
        "creationDateTime": now,
        "numberOfTransactions": transfers.len(),
        "initiatingParty": { "name": client },
        "paymentTypeInformation": kind,
        "chargeBearer": head.bearer.as_str(),
        "requestedExecutionDate": head.day.map_or(now, start_of),
        "creditTransferTransaction": transfers,
        "supplementaryData": {
            "acceptedAuthenticationApproach": approaches,
            "successfulReportUrl": redirects.ok,
            "unsuccessfulReportUrl": redirects.nok,
        },
    });
    let debtor = head.debtor.map(|debtor| written(cx, debtor)).transpose()?;
    for (name, value) in [("debtorAccount", debtor), ("beneficiary", head.beneficiary)] {
        if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
            body.insert(name.into(), value);
        }
    }
    Ok(body)
}

/// One of `creditTransferTransaction`, without who is paid.
pub(super) fn transfer(order: &PaymentOrder) -> Map<String, Value> {
    let mut transfer = Map::new();
    transfer.insert(
        "paymentId".into(),
        json!({ "instructionId": order.instruction_id, "endToEndId": order.end_to_end_id }),
    );
    transfer.insert(
        "instructedAmount".into(),
        json!({ "currency": order.amount.currency().code(), "amount": order.amount.amount_text() }),
    );
    let mut remittance = Map::new();
    if let Some(text) = &order.remittance.unstructured {
        remittance.insert("unstructured".into(), json!([text]));
    }
    if let Some(reference) = &order.remittance.reference {
        let structured = json!([{ "creditorReferenceInformation": { "reference": reference } }]);
        remittance.insert("structured".into(), structured);
    }
    if !remittance.is_empty() {
        transfer.insert("remittanceInformation".into(), Value::Object(remittance));
    }
    if let Execution::Repeated(series) = &order.execution {
        transfer.append(&mut standing(series));
    }
    transfer
}

/// Who is paid, on which account.
pub(super) fn beneficiary(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<Value, BankError> {
    let mut beneficiary = json!({
        "creditor": { "name": order.creditor_name },
        "creditorAccount": written(cx, &order.creditor_account)?,
    });
    if let Some(abroad) = &order.abroad {
        add_abroad(&mut beneficiary, abroad);
    }
    Ok(beneficiary)
}

/// Midnight of a day, as the standard's moments are written.
fn start_of(day: Date) -> String {
    format!("{day}T00:00:00Z")
}

/// What makes a standing order of a transfer.
fn standing(series: &Recurrence) -> Map<String, Value> {
    let frequency = match series.frequency {
        PaymentFrequency::Daily => "DAIL",
        PaymentFrequency::Weekly => "WEEK",
        PaymentFrequency::EveryTwoWeeks => "TOWK",
        PaymentFrequency::Monthly => "MNTH",
        PaymentFrequency::EveryTwoMonths => "TOMN",
        PaymentFrequency::Quarterly => "QUTR",
        PaymentFrequency::SemiAnnual => "SEMI",
        PaymentFrequency::Annual => "YEAR",
    };
    let rule = series.rule.map(|rule| match rule {
        ExecutionRule::Following => "FWNG",
        ExecutionRule::Preceding => "PREC",
    });
    let members = [
        ("frequency", Some(frequency.to_owned())),
        ("endDate", series.last.map(start_of)),
        ("executionRule", rule.map(str::to_owned)),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
}

/// The creditor's bank and address.
fn add_abroad(beneficiary: &mut Value, abroad: &Abroad) {
    if let (Some(bic), Some(members)) = (&abroad.creditor_agent, beneficiary.as_object_mut()) {
        members.insert("creditorAgent".into(), json!({ "bicFi": bic }));
    }
    let creditor = beneficiary.get_mut("creditor").and_then(Value::as_object_mut);
    if let (Some(address), Some(creditor)) = (&abroad.creditor_address, creditor) {
        let street = [&address.building_number, &address.street_name];
        let town = [&address.post_code, &address.town_name];
        let line = |parts: [&Option<Pii<String>>; 2]| {
            let parts: Vec<_> = parts.into_iter().flatten().map(Pii::as_str).collect();
            parts.join(" ")
        };
        let lines = address.lines.iter().cloned().chain([line(street), line(town)].map(Pii::from));
        let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let mut written = json!({ "addressLine": lines });
        if let (Some(country), Some(written)) = (&address.country, written.as_object_mut()) {
            written.insert("country".into(), json!(country));
        }
        creditor.insert("postalAddress".into(), written);
    }
}
