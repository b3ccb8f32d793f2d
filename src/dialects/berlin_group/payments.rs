//! Credit transfers, at once, on a day or again and again (XS2A 5). The order is with
//! the bank from the moment it is lodged; the PSU only releases it.

use connect::{
    BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, CallContext, CancelAnswer, Echo,
    Effect, ExplicitStart, LodgedPayment, PaymentCancellation, PaymentInitiation, PaymentReport,
    RedirectUris, ScaStart,
};
use domain::{
    Abroad, Execution, ExecutionRule, IsoPaymentStatus, Order, PaymentFrequency, PaymentOrder, Recurrence,
};
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

use super::options::{complete, is_pain, payment_status_formats, product, product_of, reference};
use super::{
    BerlinGroup, after, need_psu_id, request, sca_start, start_authorisation, success, with_redirects,
};
use crate::echo;
use crate::node::Node;

impl PaymentInitiation for BerlinGroup {
    fn submits_after_sca(&self) -> bool {
        false
    }

    fn lodge(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        need_psu_id(cx)?;
        complete(cx, order)?;
        let product = product(cx, order)?;
        let url = cx.profile.payments_api()?.join(&[service(order), product]);
        let request = if is_pain(product) {
            let message = crate::pain::credit_transfers(cx, &crate::pain::Payment::of(order))?;
            request(cx, Method::POST, url, Effect::Write, None)?.body("application/xml", message)
        } else {
            request(cx, Method::POST, url, Effect::Write, Some(&initiation(cx, order)?))?
        };
        with_redirects(cx, request, redirects)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        lodged_as(cx, response, |root| echoed(root, order).map(|_| ()), |id| authorisations(cx, order, id))
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        Some(&PaymentAuthorisation)
    }

    fn cancellation(&self) -> Option<&dyn PaymentCancellation> {
        Some(&Cancellation)
    }

    fn submit(
        &self,
        _cx: &CallContext<'_>,
        _bank_id: &str,
        _order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        None
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Write)?;
        report(&Node::root(&cx.profile.id, &body), order).map_err(|error| after(Effect::Write, error))
    }

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError> {
        let segments = [service(order), product(cx, order)?, &ids.lodged, "status"];
        let url = cx.profile.payments_api()?.join(&segments);
        request(cx, Method::GET, url, Effect::Read, None)?
            .header("accept", &payment_status_formats(cx))
            .map_err(|name| cx.error(BankErrorKind::Internal).at(name))
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let media = response.header_text("content-type").unwrap_or_default();
        let mut report = if response.status.is_success() && media.contains("xml") {
            let (status, iso_reason) = crate::camt::payment_status(&cx.profile.id, &response.body)?;
            PaymentReport { status: Some(status), iso_reason, ..PaymentReport::default() }
        } else {
            let body = success(cx, response, Effect::Read)?;
            report(&Node::root(&cx.profile.id, &body), order)?
        };
        report.bank_payment_id = Some(ids.lodged.clone());
        Ok(report)
    }
}

/// Reads the answer to an order that was lodged. `same` compares what it repeats; `own` is
/// the address at which authentication begins.
pub(super) fn lodged_as(
    cx: &CallContext<'_>,
    response: &BankResponse,
    same: impl Fn(&Node<'_>) -> Result<(), BankError>,
    own: impl Fn(&str) -> Result<Url, BankError>,
) -> Result<LodgedPayment, BankError> {
    let body = success(cx, response, Effect::Write)?;
    let root = Node::root(&cx.profile.id, &body);
    let read = || {
        let bank_id = root.get("paymentId").required_id()?;
        let status = payment_status(&root.get("transactionStatus"))?;
        same(&root)?;
        if status == IsoPaymentStatus::Rejected {
            return Err(cx.error(BankErrorKind::PaymentRejected).with_bank_code(status.as_str()));
        }
        let sca = sca_start(cx.profile, response, &root, format!("PIS:{bank_id}"), &own(&bank_id)?)?;
        Ok(LodgedPayment { bank_id, sca, status: Some(status) })
    };
    read().map_err(|error| {
        if error.kind == BankErrorKind::PaymentRejected { error } else { after(Effect::Write, error) }
    })
}

/// `DELETE /{service}/{product}/{paymentId}` (XS2A 5.3.5), and where the PSU approves that.
struct Cancellation;

impl PaymentCancellation for Cancellation {
    fn cancel(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &Order,
    ) -> Result<BankRequest, BankError> {
        let (service, product) = place(cx, order)?;
        let url = cx.profile.payments_api()?.join(&[service, product, &ids.lodged]);
        request(cx, Method::DELETE, url, Effect::Write, None)
    }

    fn cancelled(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &Order,
        response: &BankResponse,
    ) -> Result<CancelAnswer, BankError> {
        match response.status {
            StatusCode::NO_CONTENT => Ok(CancelAnswer::Taken),
            // Whatever its links say, that begins at the place of the standard.
            StatusCode::ACCEPTED => {
                let (service, product) = place(cx, order)?;
                let path = [service, product, &ids.lodged, "cancellation-authorisations"];
                Ok(CancelAnswer::Approval { link: cx.profile.payments_api()?.join(&path) })
            }
            _ => success(cx, response, Effect::Write).map(|_| CancelAnswer::Taken),
        }
    }
}

/// Service and product of an order.
fn place<'c>(cx: &CallContext<'c>, order: &Order) -> Result<(&'static str, &'c str), BankError> {
    Ok(match order {
        Order::Transfer(order) => (service(order), product(cx, order)?),
        Order::Batch(batch) => (super::batches::SERVICE, product_of(cx, batch.scheme, true)?),
    })
}

/// `POST /{service}/{product}/{paymentId}/authorisations`.
pub(super) struct PaymentAuthorisation;

impl ExplicitStart for PaymentAuthorisation {
    fn authorise(
        &self,
        cx: &CallContext<'_>,
        link: &Url,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        start_authorisation(cx, link, redirects)
    }

    fn authorised(
        &self,
        cx: &CallContext<'_>,
        link: &Url,
        response: &BankResponse,
    ) -> Result<ScaStart, BankError> {
        let body = success(cx, response, Effect::Write)?;
        let root = Node::root(&cx.profile.id, &body);
        let payment = cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ResourceUnknown))?;
        sca_start(cx.profile, response, &root, format!("PIS:{payment}"), link)
            .map_err(|error| after(Effect::Write, error))
    }
}

fn report(root: &Node<'_>, order: &PaymentOrder) -> Result<PaymentReport, BankError> {
    let echo = echoed(root, order)?;
    let status = payment_status(&root.get("transactionStatus"))?;
    Ok(PaymentReport {
        status: Some(status),
        iso_reason: iso_reason(root)?,
        bank_payment_id: root.get("paymentId").text()?,
        echo,
        ..PaymentReport::default()
    })
}

pub(super) fn iso_reason(root: &Node<'_>) -> Result<Option<String>, BankError> {
    let messages = root.get("tppMessages");
    let items = messages.items()?;
    let from_message = items.first().map(|message| message.get("code").text()).transpose()?.flatten();
    let reason = root.get("reasonCode").text()?.or(from_message);
    Ok(crate::status::iso_reason(reason))
}

/// `transactionStatus`.
pub(crate) fn payment_status(node: &Node<'_>) -> Result<IsoPaymentStatus, BankError> {
    IsoPaymentStatus::from_word(&node.required_text()?).ok_or_else(|| node.malformed())
}

/// Compares what the answer repeats of the order.
pub(super) fn echoed(root: &Node<'_>, order: &PaymentOrder) -> Result<Echo, BankError> {
    let creditor = root.get("creditorAccount");
    let (amount, unit) = ("amount", "currency");
    let money = echo::amount(&root.get("instructedAmount"), amount, unit, &order.amount)?;
    let account = super::reading::identifications(&creditor)?;
    let account = echo::account(&creditor, account.first(), &order.creditor_account)?;
    Ok(if money == Echo::Same && account == Echo::Same { Echo::Same } else { Echo::Absent })
}

fn authorisations(cx: &CallContext<'_>, order: &PaymentOrder, bank_id: &str) -> Result<Url, BankError> {
    let segments = [service(order), product(cx, order)?, bank_id, "authorisations"];
    Ok(cx.profile.payments_api()?.join(&segments))
}

/// `payment-service`: a series has one of its own.
fn service(order: &PaymentOrder) -> &'static str {
    match order.execution {
        Execution::AtOnce | Execution::On(_) => "payments",
        Execution::Repeated(_) => "periodic-payments",
    }
}

/// `paymentInitiation_json` or `periodicPaymentInitiation_json`.
pub(super) fn initiation(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<Value, BankError> {
    let mut body = Map::new();
    body.insert("endToEndIdentification".into(), json!(order.end_to_end_id));
    if let Some(debtor) = &order.debtor_account {
        body.insert("debtorAccount".into(), reference(cx, debtor)?);
    }
    body.insert(
        "instructedAmount".into(),
        json!({ "currency": order.amount.currency().code(), "amount": order.amount.amount_text() }),
    );
    body.insert("creditorAccount".into(), reference(cx, &order.creditor_account)?);
    body.insert("creditorName".into(), json!(order.creditor_name));
    if let Some(text) = &order.remittance.unstructured {
        body.insert("remittanceInformationUnstructured".into(), json!(text));
    }
    if let Some(reference) = &order.remittance.reference {
        body.insert("remittanceInformationStructured".into(), json!({ "reference": reference }));
    }
    match &order.execution {
        Execution::AtOnce => {}
        Execution::On(day) => {
            body.insert("requestedExecutionDate".into(), json!(day.to_string()));
        }
        Execution::Repeated(series) => body.append(&mut periodic(series)),
    }
    if let Some(abroad) = &order.abroad {
        body.append(&mut cross_border(abroad));
    }
    Ok(Value::Object(body))
}

/// What makes a series of a payment.
fn periodic(series: &Recurrence) -> Map<String, Value> {
    let (frequency, in_months) = match series.frequency {
        PaymentFrequency::Daily => ("Daily", false),
        PaymentFrequency::Weekly => ("Weekly", false),
        PaymentFrequency::EveryTwoWeeks => ("EveryTwoWeeks", false),
        PaymentFrequency::Monthly => ("Monthly", true),
        PaymentFrequency::EveryTwoMonths => ("EveryTwoMonths", true),
        PaymentFrequency::Quarterly => ("Quarterly", true),
        PaymentFrequency::SemiAnnual => ("SemiAnnual", true),
        PaymentFrequency::Annual => ("Annual", true),
    };
    let rule = series.rule.map(|rule| match rule {
        ExecutionRule::Following => "following",
        ExecutionRule::Preceding => "preceding",
    });
    let members = [
        ("startDate", Some(series.first.to_string())),
        ("endDate", series.last.map(|last| last.to_string())),
        ("executionRule", rule.map(str::to_owned)),
        ("frequency", Some(frequency.to_owned())),
        // 31 is the last day of every month.
        ("dayOfExecution", in_months.then(|| series.first.day().to_string())),
    ];
    members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))).collect()
}

/// What a bank abroad needs.
fn cross_border(abroad: &Abroad) -> Map<String, Value> {
    let mut members = Map::new();
    if let Some(bic) = &abroad.creditor_agent {
        members.insert("creditorAgent".into(), json!(bic));
    }
    if let Some(address) = &abroad.creditor_address {
        let parts = [
            ("streetName", &address.street_name),
            ("buildingNumber", &address.building_number),
            ("townName", &address.town_name),
            ("postCode", &address.post_code),
            ("country", &address.country),
        ];
        let given =
            parts.into_iter().filter_map(|(name, part)| Some((name.to_owned(), json!(part.as_ref()?))));
        members.insert("creditorAddress".into(), Value::Object(given.collect()));
    }
    members.insert("chargeBearer".into(), json!(abroad.charge_bearer.as_str()));
    members
}
