//! Bulk payments (XS2A 5.3.3): many transfers from one account, released together.

use connect::{
    BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, BatchInitiation, CallContext,
    Effect, ExplicitStart, LodgedPayment, PaymentReport, RedirectUris, TransferReport,
};
use domain::{BatchOrder, IsoPaymentStatus, PaymentOrder};
use http::Method;
use serde_json::{Map, Value, json};

use super::options::{is_pain, product_of, reference};
use super::payments::{PaymentAuthorisation, echoed, initiation, iso_reason, lodged_as, payment_status};
use super::{after, need_psu_id, request, success, with_redirects};
use crate::node::Node;

pub(super) const SERVICE: &str = "bulk-payments";

/// Batches of the standard; without state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches;

impl BatchInitiation for Batches {
    fn submits_after_sca(&self) -> bool {
        false
    }

    fn lodge(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        need_psu_id(cx)?;
        let product = product_of(cx, batch.scheme, true)?;
        let url = cx.profile.payments_api()?.join(&[SERVICE, product]);
        let request = if is_pain(product) {
            let message = crate::pain::credit_transfers(cx, &crate::pain::Payment::of_batch(batch))?;
            request(cx, Method::POST, url, Effect::Write, None)?.body("application/xml", message)
        } else {
            request(cx, Method::POST, url, Effect::Write, Some(&bulk(cx, batch)?))?
        };
        with_redirects(cx, request, redirects)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        let own = |id: &str| {
            let segments = [SERVICE, product_of(cx, batch.scheme, true)?, id, "authorisations"];
            Ok(cx.profile.payments_api()?.join(&segments))
        };
        lodged_as(cx, response, |_| Ok(()), own)
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        Some(&PaymentAuthorisation)
    }

    fn submit(&self, _: &CallContext<'_>, _: &str, _: &BatchOrder) -> Option<Result<BankRequest, BankError>> {
        None
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Write)?;
        report(&Node::root(&cx.profile.id, &body), batch).map_err(|error| after(Effect::Write, error))
    }

    /// The batch itself: its status alone says nothing of its payments.
    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        batch: &BatchOrder,
    ) -> Result<BankRequest, BankError> {
        let product = product_of(cx, batch.scheme, true)?;
        // A message in XML is repeated as such, without any status.
        let path = [SERVICE, product, &ids.lodged, "status"];
        let path = if is_pain(product) { &path[..] } else { &path[..3] };
        request(cx, Method::GET, cx.profile.payments_api()?.join(path), Effect::Read, None)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let mut report = report(&Node::root(&cx.profile.id, &body), batch)?;
        report.bank_payment_id = Some(ids.lodged.clone());
        Ok(report)
    }
}

fn report(root: &Node<'_>, batch: &BatchOrder) -> Result<PaymentReport, BankError> {
    let payments = root.get("payments");
    let mut transfers = Vec::new();
    if payments.exists() {
        let listed = payments.required_items()?;
        if listed.len() != batch.transfers.len() {
            return Err(crate::echo::mismatch(&payments));
        }
        for (index, (listed, ordered)) in listed.iter().zip(&batch.transfers).enumerate() {
            transfers.extend(transfer(listed, ordered, index)?);
        }
    }
    Ok(PaymentReport {
        status: Some(payment_status(&root.get("transactionStatus"))?),
        iso_reason: iso_reason(root)?,
        bank_payment_id: root.get("paymentId").text()?,
        transfers,
        ..PaymentReport::default()
    })
}

/// One payment of the list, which repeats the order; its status is no part of the standard,
/// and many banks give it.
fn transfer(
    listed: &Node<'_>,
    ordered: &PaymentOrder,
    index: usize,
) -> Result<Option<TransferReport>, BankError> {
    echoed(listed, ordered)?;
    let status = listed.get("transactionStatus");
    if !status.exists() {
        return Ok(None);
    }
    let status: IsoPaymentStatus = payment_status(&status)?;
    Ok(Some(TransferReport { index, status, iso_reason: iso_reason(listed)? }))
}

/// `bulkPaymentInitiation_json`.
fn bulk(cx: &CallContext<'_>, batch: &BatchOrder) -> Result<Value, BankError> {
    // Who pays is no option of a bulk.
    let debtor = batch.debtor_account.as_ref();
    let debtor = debtor.ok_or_else(|| cx.error(BankErrorKind::InvalidRequest).at("debtor_account"))?;
    let mut body = Map::new();
    if let Some(wanted) = batch.batch_booking {
        body.insert("batchBookingPreferred".into(), json!(wanted));
    }
    if let Some(day) = batch.execution.first_day() {
        body.insert("requestedExecutionDate".into(), json!(day.to_string()));
    }
    body.insert("debtorAccount".into(), reference(cx, debtor)?);
    let payments = batch.transfers.iter().map(|transfer| initiation(cx, transfer));
    body.insert("payments".into(), payments.collect::<Result<Vec<_>, _>>()?.into());
    Ok(Value::Object(body))
}
