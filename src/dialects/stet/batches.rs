//! Payment requests with many transfers, each to a creditor of its own.

use connect::{
    BankError, BankPaymentIds, BankRequest, BankResponse, BatchInitiation, CallContext, Effect,
    LodgedPayment, PaymentReport, RedirectUris, TransferReport,
};
use domain::{BatchOrder, ChargeBearer, PaymentOrder};
use http::Method;
use serde_json::Value;

use super::payments::{before_confirmation, confirmation, echoed, inquiry, lodged};
use super::requests::{Head, beneficiary, payment_request, transfer};
use super::{after, request, success};
use crate::berlin_group::payment_status;
use crate::node::Node;
use crate::tree::Tree;

/// Batches of the standard; without state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batches;

impl BatchInitiation for Batches {
    fn submits_after_sca(&self) -> bool {
        true
    }

    fn lodge(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        let of = |order: &PaymentOrder| {
            let mut transfer = transfer(order);
            transfer.insert("beneficiary".into(), beneficiary(cx, order)?);
            Ok(transfer)
        };
        let transfers = batch.transfers.iter().map(of).collect::<Result<Vec<_>, BankError>>()?;
        let head = Head {
            name: &batch.instruction_id,
            debtor: batch.debtor_account.as_ref(),
            scheme: batch.scheme,
            day: batch.execution.first_day(),
            bearer: ChargeBearer::ServiceLevel,
            beneficiary: None,
        };
        let mut body = payment_request(cx, head, transfers, redirects)?;
        if let (Some(wanted), Some(body)) = (batch.batch_booking, body.as_object_mut()) {
            body.insert("batchBooking".into(), Value::Bool(wanted));
        }
        let url = cx.profile.payments_api()?.join(&["payment-requests"]);
        request(cx, Method::POST, url, Effect::Write, Some(&body))
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        _batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        lodged(cx, response)
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        _batch: &BatchOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        Some(confirmation(cx, bank_id))
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Write)?.unwrap_or(Tree::Null);
        let report = report(&Node::root(&cx.profile.id, &body), batch);
        let named = cx.bank_consent_id.map(str::to_owned);
        report
            .map(|report| PaymentReport { bank_payment_id: named, ..report })
            .map_err(|error| after(Effect::Write, error))
    }

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        _batch: &BatchOrder,
    ) -> Result<BankRequest, BankError> {
        inquiry(cx, ids)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?.unwrap_or(Tree::Null);
        let report = report(&Node::root(&cx.profile.id, &body), batch)?;
        Ok(if ids.payment.is_none() { before_confirmation(report) } else { report })
    }
}

fn report(root: &Node<'_>, batch: &BatchOrder) -> Result<PaymentReport, BankError> {
    let request = root.get("paymentRequest");
    let listed = request.get("creditTransferTransaction");
    let items = listed.required_items()?;
    if items.len() != batch.transfers.len() {
        return Err(crate::echo::mismatch(&listed));
    }
    let mut transfers = Vec::new();
    for (index, (item, ordered)) in items.iter().zip(&batch.transfers).enumerate() {
        echoed(&request, item, ordered)?;
        let status = item.get("transactionStatus");
        if status.exists() {
            let iso_reason = crate::status::iso_reason(item.get("statusReasonInformation").text()?);
            transfers.push(TransferReport { index, status: payment_status(&status)?, iso_reason });
        }
    }
    let reason = request.get("statusReasonInformation").text()?;
    Ok(PaymentReport {
        status: Some(payment_status(&request.get("paymentInformationStatus"))?),
        iso_reason: crate::status::iso_reason(reason),
        transfers,
        ..PaymentReport::default()
    })
}
