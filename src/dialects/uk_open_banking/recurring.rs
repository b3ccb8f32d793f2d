//! Variable recurring payments: a consent with limits, and orders that repeat its
//! initiation and bring their own instruction.

use connect::{
    BankConsentStatus, BankError, BankErrorKind, BankRequest, BankResponse, CallContext, Echo, Effect,
    FundsAnswer, LodgedMandate, PaymentReport, QuirkName, RecurringPayments, ScaStart,
};
use domain::{
    AccountIdentification, Alignment, MandateOrder, MandateScheme, Money, PaymentOrder, PaymentScheme,
    Period, PeriodicLimit, Timestamp,
};
use http::Method;
use serde_json::{Map, Value, json};

use super::orders::{creditor, instructed, remittance};
use super::payments::{
    asks_refund, iso_reason, payment_status, quirk, refund, risk, same_indicator, without_fields,
};
use super::{after, consent_status, ended, identification, request, sealed, signed, success};
use crate::echo;
use crate::node::Node;

/// Step of the profile's deviations at which a mandate is lodged.
const CONSENT: &str = "vrp.consent";
/// Step at which a payment is made.
const PAYMENT: &str = "vrp.payment";
/// How a profile's `absent_paths` names the question about funds.
const FUNDS_PATH: &str = "/domestic-vrp-consents/{id}/funds-confirmation";
/// The PSU is not there when a payment is made.
const NO_AUTHENTICATION: &str = "UK.OBIE.SCANotRequired";

/// Recurring payments of the UK standard; without state.
#[derive(Clone, Copy, Debug)]
pub(super) struct UkRecurring;

impl RecurringPayments for UkRecurring {
    fn lodge(&self, cx: &CallContext<'_>, mandate: &MandateOrder) -> Result<BankRequest, BankError> {
        let mut data = Map::new();
        if asks_refund(cx, CONSENT) {
            data.insert("ReadRefundAccount".into(), json!("Yes"));
        }
        data.insert("ControlParameters".into(), control_parameters(mandate));
        data.insert("Initiation".into(), initiation(cx, mandate)?);
        let body = without_fields(
            cx,
            "vrp.consent.post",
            json!({ "Data": data, "Risk": risk_of(cx, CONSENT, mandate) }),
        );
        let url = cx.profile.recurring_api()?.join(&["domestic-vrp-consents"]);
        signed(cx, request(cx, Method::POST, url, Effect::Write, Some(&body))?)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        mandate: &MandateOrder,
        response: &BankResponse,
    ) -> Result<LodgedMandate, BankError> {
        let body = success(cx, response, Effect::Write)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let read = || {
            let bank_id = data.get("ConsentId").required_id()?;
            let status = consent_status(&data.get("Status"))?;
            let known = quirk(cx, CONSENT, QuirkName::StatusUnreliable).is_some();
            if status == BankConsentStatus::Rejected {
                return Err(cx.error(BankErrorKind::PaymentRejected));
            }
            if status != BankConsentStatus::AwaitingAuthorisation && !known {
                return Err(data.get("Status").malformed());
            }
            same_indicator(cx, CONSENT, &root.get("Risk"))?;
            same_limits(&data, mandate)?;
            let scope = "openid payments".into();
            let sca = ScaStart::OAuth { scope, intent_id: Some(bank_id.clone()), metadata: None };
            Ok(LodgedMandate { bank_id, sca, created_at: data.get("CreationDateTime").instant()? })
        };
        read().map_err(|error: BankError| {
            if error.kind == BankErrorKind::PaymentRejected { error } else { after(Effect::Write, error) }
        })
    }

    fn inquire(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        about(cx, Method::GET, Effect::Read)
    }

    fn inquired(
        &self,
        cx: &CallContext<'_>,
        mandate: &MandateOrder,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        same_limits(&data, mandate)?;
        consent_status(&data.get("Status"))
    }

    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        about(cx, Method::DELETE, Effect::Write)
    }

    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        ended(cx, response)
    }

    fn ask_funds(&self, cx: &CallContext<'_>, amount: &Money) -> Option<Result<BankRequest, BankError>> {
        let served = cx.profile.serves(FUNDS_PATH);
        served.then(|| question(cx, amount))
    }

    fn funds_answer(
        &self,
        cx: &CallContext<'_>,
        amount: &Money,
        response: &BankResponse,
    ) -> Result<FundsAnswer, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let consent = data.get("ConsentId");
        if consent.word()?.is_some_and(|id| Some(&*id) != cx.bank_consent_id) {
            return Err(echo::mismatch(&consent));
        }
        echo::amount(&data.get("InstructedAmount"), "Amount", "Currency", amount)?;
        let result = data.get("FundsAvailableResult");
        let said = result.get("FundsAvailable");
        let available = match &*said.required_word()? {
            "Available" => true,
            "NotAvailable" => false,
            _ => return Err(said.malformed()),
        };
        let bank_reference = data.get("FundsConfirmationId").identifier()?;
        Ok(FundsAnswer { available, reliable: true, bank_reference })
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        mandate: &MandateOrder,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError> {
        if order.scheme != PaymentScheme::FasterPayments {
            return Err(cx.unsupported("scheme"));
        }
        let mut instruction = instructed(order);
        instruction
            .insert("CreditorAccount".into(), creditor(cx, &order.creditor_account, &order.creditor_name)?);
        if let Some(remittance) = remittance(cx.profile.recurring_api()?, &order.remittance) {
            instruction.insert("RemittanceInformation".into(), remittance);
        }
        let body = json!({
            "Data": {
                "ConsentId": cx.bank_consent_id.unwrap_or_default(),
                "PSUAuthenticationMethod": NO_AUTHENTICATION,
                "PSUInteractionType": "OffSession",
                "VRPType": vrp_type(mandate.scheme),
                "Initiation": initiation(cx, mandate)?,
                "Instruction": instruction,
            },
            "Risk": risk_of(cx, PAYMENT, mandate),
        });
        let body = without_fields(cx, "vrp.payment.post", body);
        let url = cx.profile.recurring_api()?.join(&["domestic-vrps"]);
        signed(cx, request(cx, Method::POST, url, Effect::Write, Some(&body))?)
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Write)?;
        report(cx, &Node::root(&cx.profile.id, &body), order).map_err(|error| after(Effect::Write, error))
    }

    fn status(&self, cx: &CallContext<'_>, bank_payment_id: &str) -> Result<BankRequest, BankError> {
        let url = cx.profile.recurring_api()?.join(&["domestic-vrps", bank_payment_id]);
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?;
        report(cx, &Node::root(&cx.profile.id, &body), order)
    }
}

/// A request about the consent at hand.
fn about(cx: &CallContext<'_>, method: Method, effect: Effect) -> Result<BankRequest, BankError> {
    let id = cx.bank_consent_id.unwrap_or_default();
    let url = cx.profile.recurring_api()?.join(&["domestic-vrp-consents", id]);
    request(cx, method, url, effect, None)
}

/// `OBVRPFundsConfirmationRequest`: signed like an order, and without a key against repeats.
fn question(cx: &CallContext<'_>, amount: &Money) -> Result<BankRequest, BankError> {
    let id = cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ConsentMissing))?;
    let body = json!({ "Data": { "ConsentId": id, "InstructedAmount": written_amount(amount) } });
    let url = cx.profile.recurring_api()?.join(&["domestic-vrp-consents", id, "funds-confirmation"]);
    Ok(sealed(cx, request(cx, Method::POST, url, Effect::Read, Some(&body))?))
}

fn report(cx: &CallContext<'_>, root: &Node<'_>, order: &PaymentOrder) -> Result<PaymentReport, BankError> {
    let data = root.get("Data");
    let instruction = data.get("Instruction");
    let creditor = instruction.get("CreditorAccount");
    // Version 3.1 has words of its own here, which are no ISO reasons.
    let words = cx.profile.recurring_api()?.version.starts_with('3');
    let money = echo::amount(&instruction.get("InstructedAmount"), "Amount", "Currency", &order.amount)?;
    let payee = echo::account(&creditor, identification(&creditor)?.as_ref(), &order.creditor_account)?;
    Ok(PaymentReport {
        status: Some(payment_status(&data.get("Status"))?),
        iso_reason: if words { None } else { iso_reason(&data)? },
        bank_payment_id: Some(data.get("DomesticVRPId").required_id()?),
        echo: if money == Echo::Same && payee == Echo::Same { Echo::Same } else { Echo::Absent },
        refund_account: refund_account(cx, &data)?,
        ..PaymentReport::default()
    })
}

/// `Data.Refund` is the account itself, or at some banks holds it (a quirk).
fn refund_account(cx: &CallContext<'_>, data: &Node<'_>) -> Result<Option<AccountIdentification>, BankError> {
    let refund_node = data.get("Refund");
    let nested = quirk(cx, PAYMENT, QuirkName::VrpRefundNested).and_then(|quirk| quirk.text("path"));
    match nested.and_then(|path| path.strip_prefix("Data.Refund.")) {
        Some(name) => refund(cx, PAYMENT, &refund_node.get(name)),
        None => refund(cx, PAYMENT, &refund_node),
    }
}

/// What the bank repeats of limits and payee must be what was lodged.
fn same_limits(data: &Node<'_>, mandate: &MandateOrder) -> Result<(), BankError> {
    let parameters = data.get("ControlParameters");
    let constraints = &mandate.constraints;
    let most = parameters.get("MaximumIndividualAmount");
    echo::amount(&most, "Amount", "Currency", &constraints.max_per_payment)?;
    let limits = parameters.get("PeriodicLimits");
    let repeated = limits.items()?;
    if limits.exists() && repeated.len() != constraints.periodic_limits.len() {
        return Err(echo::mismatch(&limits));
    }
    for (node, limit) in repeated.iter().zip(&constraints.periodic_limits) {
        echo::amount(node, "Amount", "Currency", &limit.max_amount())?;
        for (name, word) in
            [("PeriodType", period(limit.period())), ("PeriodAlignment", alignment(limit.alignment()))]
        {
            if node.get(name).required_word()? != word {
                return Err(echo::mismatch(&node.get(name)));
            }
        }
    }
    let initiation = data.get("Initiation");
    let creditor = initiation.get("CreditorAccount");
    echo::account(&creditor, identification(&creditor)?.as_ref(), &mandate.creditor_account)?;
    Ok(())
}

/// `OBDomesticVRPInitiation`: what stays the same in every payment.
fn initiation(cx: &CallContext<'_>, mandate: &MandateOrder) -> Result<Value, BankError> {
    let mut body = Map::new();
    body.insert("CreditorAccount".into(), creditor(cx, &mandate.creditor_account, &mandate.creditor_name)?);
    if let Some(remittance) = remittance(cx.profile.recurring_api()?, &mandate.remittance) {
        body.insert("RemittanceInformation".into(), remittance);
    }
    Ok(Value::Object(body))
}

/// `OBDomesticVRPControlParameters`.
fn control_parameters(mandate: &MandateOrder) -> Value {
    let constraints = &mandate.constraints;
    let limits: Vec<Value> = constraints.periodic_limits.iter().map(periodic_limit).collect();
    let mut parameters = Map::new();
    let moment = |at: Timestamp| json!(at.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string());
    for (name, at) in
        [("ValidFromDateTime", constraints.valid_from), ("ValidToDateTime", constraints.valid_to)]
    {
        if let Some(at) = at {
            parameters.insert(name.into(), moment(at));
        }
    }
    parameters.insert("MaximumIndividualAmount".into(), written_amount(&constraints.max_per_payment));
    parameters.insert("PeriodicLimits".into(), limits.into());
    parameters.insert("VRPType".into(), json!([vrp_type(mandate.scheme)]));
    parameters.insert("PSUAuthenticationMethods".into(), json!([NO_AUTHENTICATION]));
    parameters.insert("PSUInteractionTypes".into(), json!(["OffSession"]));
    Value::Object(parameters)
}

fn written_amount(money: &Money) -> Value {
    json!({ "Amount": money.amount_text(), "Currency": money.currency().code() })
}

fn periodic_limit(limit: &PeriodicLimit) -> Value {
    json!({
        "PeriodType": period(limit.period()),
        "PeriodAlignment": alignment(limit.alignment()),
        "Amount": limit.max_amount().amount_text(),
        "Currency": limit.max_amount().currency().code(),
    })
}

fn period(period: Period) -> &'static str {
    match period {
        Period::Day => "Day",
        Period::Week => "Week",
        Period::Fortnight => "Fortnight",
        Period::Month => "Month",
        Period::HalfYear => "Half-year",
        Period::Year => "Year",
    }
}

fn alignment(alignment: Alignment) -> &'static str {
    match alignment {
        Alignment::Consent => "Consent",
        Alignment::Calendar => "Calendar",
    }
}

fn vrp_type(scheme: MandateScheme) -> &'static str {
    match scheme {
        MandateScheme::Sweeping => "UK.OBIE.VRPType.Sweeping",
        MandateScheme::Commercial => "UK.OBIE.VRPType.Other",
    }
}

/// Sweeping moves money between accounts of the same person.
fn risk_of(cx: &CallContext<'_>, step: &str, mandate: &MandateOrder) -> Value {
    let context = match mandate.scheme {
        MandateScheme::Sweeping => "TransferToSelf",
        MandateScheme::Commercial => "TransferToThirdParty",
    };
    Value::Object(risk(cx, step, context))
}
