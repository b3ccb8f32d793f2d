//! Payments: a payment consent first, the PSU's approval, then the order itself with
//! the same initiation, byte for byte the same values.

use connect::{
    BankConsentStatus, BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, CallContext,
    Echo, Effect, ExplicitStart, LodgedPayment, PaymentInitiation, PaymentReport, Quirk, QuirkName,
    RedirectUris, ScaStart,
};
use domain::{AccountIdentification, IsoPaymentStatus, PaymentContext, PaymentOrder, PaymentRisk};
use http::Method;
use serde_json::{Map, Value, json};

use super::orders::{Kind, initiation, postal};
use super::{UkOpenBanking, after, consent_status, identification, request, signed, success};
use crate::echo;
use crate::node::Node;

impl PaymentInitiation for UkOpenBanking {
    fn submits_after_sca(&self) -> bool {
        true
    }

    fn lodge(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        _redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        let kind = Kind::of(cx, order)?;
        let mut data = Map::new();
        if kind.permission {
            data.insert("Permission".into(), json!("Create"));
        }
        if asks_refund(cx, "pisp.consent") {
            data.insert("ReadRefundAccount".into(), json!("Yes"));
        }
        data.insert("Initiation".into(), initiation(cx, order)?);
        let risk = risk_of(cx, "pisp.consent", &order.risk);
        let body = without_fields(cx, "pisp.consent.post", json!({ "Data": data, "Risk": risk }));
        let url = cx.profile.payments_api()?.join(&[kind.consents]);
        signed(cx, request(cx, Method::POST, url, Effect::Write, Some(&body))?)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        let body = success(cx, response, Effect::Write)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let read = || {
            let bank_id = data.get("ConsentId").required_id()?;
            match consent_status(&data.get("Status"))? {
                BankConsentStatus::Rejected => return Err(cx.error(BankErrorKind::PaymentRejected)),
                BankConsentStatus::AwaitingAuthorisation => {}
                BankConsentStatus::PartiallyAuthorised
                | BankConsentStatus::Authorised
                | BankConsentStatus::RevokedByPsu
                | BankConsentStatus::TerminatedByTpp
                | BankConsentStatus::Expired
                | BankConsentStatus::Consumed => {
                    let known = quirk(cx, "pisp.consent", QuirkName::StatusUnreliable).is_some();
                    known.then_some(()).ok_or_else(|| data.get("Status").malformed())?;
                }
            }
            same_indicator(cx, "pisp.consent", &root.get("Risk"))?;
            echoed(cx, "pisp.consent", &data, order)?;
            let scope = "openid payments".into();
            let sca = ScaStart::OAuth { scope, intent_id: Some(bank_id.clone()), metadata: None };
            Ok(LodgedPayment { bank_id, sca, status: None })
        };
        read().map_err(|error: BankError| {
            if error.kind == BankErrorKind::PaymentRejected { error } else { after(Effect::Write, error) }
        })
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        let build = || {
            let body = json!({
                "Data": { "ConsentId": bank_id, "Initiation": initiation(cx, order)? },
                "Risk": risk_of(cx, "pisp.payment", &order.risk),
            });
            let body = without_fields(cx, "pisp.payment.post", body);
            let url = cx.profile.payments_api()?.join(&[Kind::of(cx, order)?.orders]);
            signed(cx, request(cx, Method::POST, url, Effect::Write, Some(&body))?)
        };
        Some(build())
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Write)?;
        let root = Node::root(&cx.profile.id, &body);
        payment(cx, &root.get("Data"), order).map_err(|error| after(Effect::Write, error))
    }

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError> {
        let (api, kind) = (cx.profile.payments_api()?, Kind::of(cx, order)?);
        let url = match &ids.payment {
            Some(payment) => api.join(&[kind.orders, payment]),
            None => api.join(&[kind.consents, &ids.lodged]),
        };
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        if ids.payment.is_some() {
            return payment(cx, &data, order);
        }
        Ok(PaymentReport {
            consent: Some(consent_status(&data.get("Status"))?),
            iso_reason: iso_reason(&data)?,
            echo: echoed(cx, "pisp.consent", &data, order)?,
            ..PaymentReport::default()
        })
    }
}

/// A deviation of the bank at a step of single or recurring payments.
pub(super) fn quirk<'c>(cx: &'c CallContext<'_>, step: &str, name: QuirkName) -> Option<&'c Quirk> {
    let recurring = step.starts_with("vrp");
    let api = if recurring { &cx.profile.recurring_api } else { &cx.profile.payments_api };
    let version = api.as_ref().map_or("", |api| api.version.as_str());
    cx.profile.quirks.find(name, step, version)
}

/// Whether the bank is asked for the account to refund to.
pub(super) fn asks_refund(cx: &CallContext<'_>, step: &str) -> bool {
    quirk(cx, step, QuirkName::RefundAccountNotAsked).is_none()
}

/// The account to refund to, if the bank gives one. It is asked for, so that one
/// without scheme or number is an answer that cannot be relied on.
pub(super) fn refund(
    cx: &CallContext<'_>,
    step: &str,
    account: &Node<'_>,
) -> Result<Option<AccountIdentification>, BankError> {
    if !account.exists() {
        return Ok(None);
    }
    let scheme = account.get("SchemeName");
    let read = scheme.required_text().and_then(|_| identification(account));
    let read = read.and_then(|found| found.map(Some).ok_or_else(|| account.malformed()));
    read.or_else(|error| {
        let known = quirk(cx, step, QuirkName::RefundUnreliable).is_some();
        if known { Ok(None) } else { Err(error) }
    })
}

fn payment(cx: &CallContext<'_>, data: &Node<'_>, order: &PaymentOrder) -> Result<PaymentReport, BankError> {
    let refunds = data.get("Refund");
    let refund_node = refunds.get("Account");
    if refunds.exists()
        && !refund_node.exists()
        && quirk(cx, "pisp.payment", QuirkName::RefundUnreliable).is_none()
    {
        return Err(refund_node.malformed());
    }
    let status = data.get("Status");
    Ok(PaymentReport {
        status: Some(payment_status(&status)?),
        iso_reason: iso_reason(data)?,
        bank_payment_id: Some(data.get(Kind::of(cx, order)?.id).required_id()?),
        echo: echoed(cx, "pisp.payment", data, order)?,
        refund_account: refund(cx, "pisp.payment", &refund_node)?,
        // Of what becomes of such an order on its days, 3.1 has no word.
        last_word: status.text()?.as_deref() == Some("InitiationCompleted"),
        ..PaymentReport::default()
    })
}

/// Words of 3.1, codes of 4.0.
pub(super) fn payment_status(node: &Node<'_>) -> Result<IsoPaymentStatus, BankError> {
    let word = node.required_text()?;
    Ok(match word.as_str() {
        "Pending" | "InitiationPending" => IsoPaymentStatus::Pending,
        "Rejected" | "InitiationFailed" => IsoPaymentStatus::Rejected,
        "InitiationCompleted" => IsoPaymentStatus::InitiationCompleted,
        "Cancelled" => IsoPaymentStatus::Cancelled,
        "AcceptedSettlementInProcess" => IsoPaymentStatus::AcceptedSettlementInProcess,
        "AcceptedSettlementCompleted" => IsoPaymentStatus::AcceptedSettlementCompleted,
        "AcceptedWithoutPosting" => IsoPaymentStatus::AcceptedWithoutPosting,
        "AcceptedCreditSettlementCompleted" => IsoPaymentStatus::AcceptedCreditSettlementCompleted,
        code => return IsoPaymentStatus::from_word(code).ok_or_else(|| node.malformed()),
    })
}

pub(super) fn iso_reason(data: &Node<'_>) -> Result<Option<String>, BankError> {
    let reasons = data.get("StatusReason");
    let items = reasons.items()?;
    let code = items.first().map(|reason| reason.get("StatusReasonCode").text()).transpose()?.flatten();
    Ok(crate::status::iso_reason(code))
}

/// The standard repeats the whole initiation; amount, creditor and a debtor that
/// we named must be ours.
fn echoed(
    cx: &CallContext<'_>,
    step: &str,
    data: &Node<'_>,
    order: &PaymentOrder,
) -> Result<Echo, BankError> {
    let initiation = data.get("Initiation");
    let creditor = initiation.get("CreditorAccount");
    if quirk(cx, step, QuirkName::DebtorEchoUnreliable).is_none() {
        let debtor = initiation.get("DebtorAccount");
        echo::debtor(&debtor, identification(&debtor)?.as_ref(), order)?;
    }
    let (instructed, first) = (initiation.get("InstructedAmount"), initiation.get("FirstPaymentAmount"));
    let repeated = if first.exists() { &first } else { &instructed };
    let money = echo::amount(repeated, "Amount", "Currency", &order.amount)?;
    let account = identification(&creditor)?;
    let account = echo::account(&creditor, account.as_ref(), &order.creditor_account)?;
    Ok(if money == Echo::Same && account == Echo::Same { Echo::Same } else { Echo::Absent })
}

/// `OBRisk1`. The contract indicator says that the payee has a contract with
/// us or the TPP; we know of none. Version 3.1 misspelt its name, and banks
/// differ in which they read.
pub(super) fn risk(cx: &CallContext<'_>, step: &str, context: &'static str) -> Map<String, Value> {
    let quirk = |name| quirk(cx, step, name);
    let mut risk = Map::new();
    let context = quirk(QuirkName::PaymentContextFixed).map_or(context, |_| "PartyToParty");
    risk.insert("PaymentContextCode".into(), json!(context));
    if quirk(QuirkName::ContractIndicatorLeftOut).is_none() {
        let misspelt = quirk(QuirkName::ContractIndicatorMisspelt).and_then(|quirk| quirk.text("field_name"));
        let name = misspelt.unwrap_or("ContractPresentIndicator");
        risk.insert(name.into(), json!(false));
    }
    risk
}

/// The same, with what the TPP said of a payment.
fn risk_of(cx: &CallContext<'_>, step: &str, known: &PaymentRisk) -> Value {
    let context = match known.context {
        Some(PaymentContext::BillInAdvance) => "BillingGoodsAndServicesInAdvance",
        Some(PaymentContext::BillInArrears) => "BillingGoodsAndServicesInArrears",
        Some(PaymentContext::Ecommerce) => "EcommerceMerchantInitiatedPayment",
        Some(PaymentContext::PointOfSale) => "FaceToFacePointOfSale",
        Some(PaymentContext::TransferToSelf) => "TransferToSelf",
        Some(PaymentContext::TransferToThirdParty) | None => "TransferToThirdParty",
    };
    let mut risk = risk(cx, step, context);
    let words = [
        ("MerchantCategoryCode", known.merchant_category.as_deref()),
        ("MerchantCustomerIdentification", known.merchant_customer.as_deref()),
    ];
    for (name, word) in words {
        if let Some(word) = word {
            risk.insert(name.into(), json!(word));
        }
    }
    if let Some(address) = &known.delivery_address {
        risk.insert("DeliveryAddress".into(), postal(address));
    }
    Value::Object(risk)
}

/// The contract indicator that the bank repeats must be the one sent.
pub(super) fn same_indicator(cx: &CallContext<'_>, step: &str, risk: &Node<'_>) -> Result<(), BankError> {
    let indicator = risk.get("ContractPresentIndicator");
    let known = quirk(cx, step, QuirkName::ContractIndicatorUnreliable).is_some();
    if known || indicator.boolean()?.is_none_or(|present| !present) {
        return Ok(());
    }
    Err(echo::mismatch(&indicator))
}

/// The body without the field that this bank does not take (a quirk), which the
/// profile names by its path (`Data.VRPType`).
pub(super) fn without_fields(cx: &CallContext<'_>, step: &str, mut body: Value) -> Value {
    let field = quirk(cx, step, QuirkName::FieldLeftOut).and_then(|quirk| quirk.text("field"));
    if let Some((place, name)) = field.and_then(|field| field.rsplit_once('.'))
        && let Some(object) = body.pointer_mut(&format!("/{}", place.replace('.', "/")))
        && let Some(members) = object.as_object_mut()
    {
        members.remove(name);
    }
    body
}
