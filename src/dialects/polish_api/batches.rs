//! Bundles: the PSU authorises all transfers together, and the token of that authorization
//! places them, once.

use connect::{
    BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, BatchInitiation, CallContext,
    Effect, LodgedPayment, PaymentReport, RedirectUris, TransferReport,
};
use domain::{BatchOrder, Execution, IsoPaymentStatus, PaymentOrder};
use serde_json::{Map, Value, json};

use super::payments::{asked_until, iso_status, rail, transfer};
use super::{Inside, address, after, authorize, authorized, request, success};
use crate::node::Node;

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
        let mut asked = bundle(cx, batch)?;
        asked.insert("scopeUsageLimit".into(), json!("single"));
        let status = json!({ "scopeUsageLimit": "multiple", "tppBundleId": batch.instruction_id });
        let privileges = json!([{ "pis:bundle": asked, "pis:getBundle": status }]);
        let until = asked_until(cx, &batch.execution);
        authorize(cx, cx.profile.payments_api()?, "pis", (until, privileges), redirects)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        _batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        let (bank_id, sca) = authorized(cx, response)?;
        Ok(LodgedPayment { bank_id, sca, status: None })
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        _bank_id: &str,
        batch: &BatchOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        let build = || {
            let mut members = bundle(cx, batch)?;
            members.insert("tppBundleId".into(), json!(batch.instruction_id));
            let url = address(cx.profile.payments_api()?, "payments", "bundle");
            request(cx, url, Effect::Write, Inside::Payment, members)
        };
        Some(build())
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

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        batch: &BatchOrder,
    ) -> Result<BankRequest, BankError> {
        let mut members = Map::new();
        members.insert("transactionsIncluded".into(), json!(true));
        // Without an answer to the order, it is found under the name that we gave it.
        match &ids.payment {
            Some(bundle) => members.insert("bundleId".into(), json!(bundle)),
            None => members.insert("tppBundleId".into(), json!(batch.instruction_id)),
        };
        let url = address(cx.profile.payments_api()?, "payments", "getBundle");
        request(cx, url, Effect::Read, Inside::Payment, members)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        _ids: &BankPaymentIds,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let named = root.get("tppBundleId");
        if named.text()?.is_some_and(|id| id != batch.instruction_id) {
            return Err(crate::echo::mismatch(&named));
        }
        report(&root, batch)
    }
}

/// The standard names each transfer as we did, and repeats neither amount nor recipient.
fn report(root: &Node<'_>, batch: &BatchOrder) -> Result<PaymentReport, BankError> {
    let mut transfers = Vec::new();
    for payment in root.get("payments").items()? {
        let named = payment.get("tppTransactionId");
        let name = named.required_text()?;
        let place = batch.transfers.iter().position(|transfer| transfer.instruction_id == name);
        let index = place.ok_or_else(|| crate::echo::mismatch(&named))?;
        let status = iso_status(&payment.get("generalStatus"))?;
        let detail = payment.get("detailedStatus").text()?;
        let iso_reason = crate::status::iso_reason(detail.filter(|_| status == IsoPaymentStatus::Rejected));
        transfers.push(TransferReport { index, status, iso_reason });
    }
    let status = root.get("bundleStatus");
    Ok(PaymentReport {
        status: Some(iso_status(&status)?),
        bank_payment_id: Some(root.get("bundleId").required_id()?),
        transfers,
        ..PaymentReport::default()
    })
}

/// The parts of a bundle that the PSU authorises and the order repeats.
fn bundle(cx: &CallContext<'_>, batch: &BatchOrder) -> Result<Map<String, Value>, BankError> {
    let (kind, _, _) = rail(batch.scheme);
    let list = match kind {
        "domestic" => "domesticTransfers",
        "EEA" => "EEATransfers",
        "nonEEA" => "nonEEATransfers",
        _ => return Err(cx.unsupported("scheme")),
    };
    let total = batch.total().ok_or_else(|| cx.error(BankErrorKind::InvalidRequest).at("amount"))?;
    let mode = if batch.execution == Execution::AtOnce { "Immediate" } else { "FutureDated" };
    let one = |ordered: &PaymentOrder| {
        // Each transfer states what is the bundle's.
        let debtor_account = batch.debtor_account.clone();
        let order = PaymentOrder { debtor_account, execution: batch.execution.clone(), ..ordered.clone() };
        let mut transfer = transfer(cx, &order)?;
        transfer.insert("tppTransactionId".into(), json!(ordered.instruction_id));
        transfer.insert("executionMode".into(), json!(mode));
        Ok(Value::Object(transfer))
    };
    let transfers = batch.transfers.iter().map(one).collect::<Result<Vec<_>, BankError>>()?;
    Ok(Map::from_iter([
        ("transfersTotalAmount".to_owned(), json!(total.amount_text())),
        ("typeOfTransfers".to_owned(), json!(kind)),
        (list.to_owned(), json!(transfers)),
    ]))
}
