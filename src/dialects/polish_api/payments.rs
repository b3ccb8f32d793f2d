//! Domestic transfers: the PSU authorises one transfer, named in all its parts,
//! and the token of that authorization places it, once.

use connect::{
    BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, CallContext, Echo, Effect,
    ExplicitStart, LodgedPayment, PaymentInitiation, PaymentReport, RedirectUris,
};
use domain::{IsoPaymentStatus, PaymentOrder, PaymentScheme};
use jiff::ToSpan;
use serde_json::{Map, Value, json};

use super::accounts::written;
use super::{Inside, PolishApi, address, after, authorize, authorized, request, success};
use crate::node::Node;

/// Longest line of a name.
const LINE: usize = 35;

impl PaymentInitiation for PolishApi {
    fn submits_after_sca(&self) -> bool {
        true
    }

    fn lodge(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        let mut domestic = transfer(cx, order)?;
        domestic.insert("scopeUsageLimit".into(), json!("single"));
        let privileges = json!([{
            "pis:domestic": domestic,
            "pis:getPayment": { "scopeUsageLimit": "multiple", "tppTransactionId": order.instruction_id },
        }]);
        let until = cx.now.checked_add(24.hours()).unwrap_or(cx.now);
        authorize(cx, cx.profile.payments_api()?, "pis", (until, privileges), redirects)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        _order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        let (bank_id, sca) = authorized(cx, response)?;
        Ok(LodgedPayment { bank_id, sca, status: None })
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        _bank_id: &str,
        order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        let build = || {
            let mut members = transfer(cx, order)?;
            members.insert("tppTransactionId".into(), json!(order.instruction_id));
            members.insert("hold".into(), json!(false));
            let url = address(cx.profile.payments_api()?, "payments", "domestic");
            request(cx, url, Effect::Write, Inside::Payment, members)
        };
        Some(build())
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        _order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Write)?;
        report(&Node::root(&cx.profile.id, &body)).map_err(|error| after(Effect::Write, error))
    }

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError> {
        let mut members = Map::new();
        // Without an answer to the order, it is found under the name that we gave it.
        match &ids.payment {
            Some(payment) => members.insert("paymentId".into(), json!(payment)),
            None => members.insert("tppTransactionId".into(), json!(order.instruction_id)),
        };
        let url = address(cx.profile.payments_api()?, "payments", "getPayment");
        request(cx, url, Effect::Read, Inside::Payment, members)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        _ids: &BankPaymentIds,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let named = root.get("tppTransactionId");
        if named.text()?.is_some_and(|id| id != order.instruction_id) {
            let mut error = named.malformed();
            error.kind = BankErrorKind::EchoMismatch;
            return Err(error);
        }
        report(&root)
    }
}

/// `generalStatus`. The standard repeats neither amount nor recipient.
fn report(root: &Node<'_>) -> Result<PaymentReport, BankError> {
    let status = root.get("generalStatus");
    let iso = match status.required_text()?.as_str() {
        "submitted" => IsoPaymentStatus::Received,
        "scheduled" => IsoPaymentStatus::AcceptedTechnical,
        "pending" => IsoPaymentStatus::AcceptedSettlementInProcess,
        "done" => IsoPaymentStatus::AcceptedSettlementCompleted,
        "rejected" => IsoPaymentStatus::Rejected,
        "cancelled" => IsoPaymentStatus::Cancelled,
        _ => return Err(status.malformed()),
    };
    let detail = root.get("detailedStatus").text()?;
    Ok(PaymentReport {
        status: Some(iso),
        consent: None,
        iso_reason: crate::status::iso_reason(detail.filter(|_| iso == IsoPaymentStatus::Rejected)),
        bank_payment_id: Some(root.get("paymentId").required_id()?),
        echo: Echo::Absent,
        refund_account: None,
    })
}

/// The parts of a transfer that the PSU authorises and the order repeats.
fn transfer(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<Map<String, Value>, BankError> {
    let unsupported = |field: &'static str| cx.error(BankErrorKind::Unsupported).at(field);
    let (system, mode) = match order.scheme {
        PaymentScheme::Elixir => ("Elixir", "StandardD1"),
        PaymentScheme::ExpressElixir => ("ExpressElixir", "ExpressD0"),
        PaymentScheme::SepaCreditTransfer | PaymentScheme::SepaInstant | PaymentScheme::FasterPayments => {
            return Err(unsupported("scheme"));
        }
    };
    if order.amount.currency().code() != "PLN" {
        return Err(unsupported("currency"));
    }
    let remittance = order.remittance.unstructured.as_ref().or(order.remittance.reference.as_ref());
    let mut sender = Map::new();
    if let Some(debtor) = &order.debtor_account {
        sender.insert("accountNumber".into(), json!(written(cx, debtor)?));
    }
    let value = json!({
        "recipient": {
            "accountNumber": written(cx, &order.creditor_account)?,
            "nameAddress": { "value": lines(&order.creditor_name) },
        },
        "sender": sender,
        "transferData": {
            "description": remittance.unwrap_or(&order.end_to_end_id),
            "amount": order.amount.amount_text(),
            "currency": "PLN",
        },
        "deliveryMode": mode,
        "system": system,
        "executionMode": "Immediate",
    });
    Ok(value.as_object().cloned().unwrap_or_default())
}

/// A name in lines of at most 35 characters, four at the most.
fn lines(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    letters.chunks(LINE).take(4).map(|line| line.iter().collect()).collect()
}
