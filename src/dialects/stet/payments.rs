//! Payment requests (STET 1.4 sections 4.5 to 4.7): a credit transfer, at once, on a
//! day or again and again, is posted, approved by the PSU, and executed after our
//! confirmation.

use connect::{
    BankConsentStatus, BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, CallContext,
    CancelAnswer, Echo, Effect, ExplicitStart, LodgedPayment, PaymentCancellation, PaymentInitiation,
    PaymentReport, RedirectUris, ScaStart,
};
use domain::{ChargeBearer, IsoPaymentStatus, Order, PaymentOrder};
use http::Method;
use serde_json::json;
use url::Url;

use super::accounts::identification;
use super::requests::{Head, beneficiary, payment_request, transfer};
use super::{Stet, after, request, success};
use crate::echo;
use crate::node::Node;
use crate::tree::Tree;

impl PaymentInitiation for Stet {
    fn submits_after_sca(&self) -> bool {
        true
    }

    fn lodge(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        let bearer = order.abroad.as_ref().map(|abroad| abroad.charge_bearer);
        let head = Head {
            name: &order.instruction_id,
            debtor: order.debtor_account.as_ref(),
            scheme: order.scheme,
            day: order.execution.first_day(),
            bearer: bearer.unwrap_or(ChargeBearer::ServiceLevel),
            beneficiary: Some(beneficiary(cx, order)?),
        };
        let body = payment_request(cx, head, vec![transfer(order)], redirects)?;
        let url = cx.profile.payments_api()?.join(&["payment-requests"]);
        request(cx, Method::POST, url, Effect::Write, Some(&body))
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        _order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        lodged(cx, response)
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

    fn cancellation(&self) -> Option<&dyn PaymentCancellation> {
        Some(&Cancellation)
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        _order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        Some(confirmation(cx, bank_id))
    }

    fn submitted(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let read = |body: Tree<'_>| {
            let mut report = report(&Node::root(&cx.profile.id, &body), order)?;
            report.bank_payment_id = cx.bank_consent_id.map(str::to_owned);
            Ok(report)
        };
        let body = success(cx, response, Effect::Write)?.unwrap_or(Tree::Null);
        read(body).map_err(|error: BankError| after(Effect::Write, error))
    }

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        _order: &PaymentOrder,
    ) -> Result<BankRequest, BankError> {
        inquiry(cx, ids)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?.unwrap_or(Tree::Null);
        let report = report(&Node::root(&cx.profile.id, &body), order)?;
        Ok(if ids.payment.is_none() { before_confirmation(report) } else { report })
    }
}

/// Reads the answer to a request that was posted.
pub(super) fn lodged(cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedPayment, BankError> {
    let body = success(cx, response, Effect::Write)?.unwrap_or(Tree::Null);
    let root = Node::root(&cx.profile.id, &body);
    let read = || {
        let bank_id = named_by_location(cx, response)?;
        let approach = root.get("appliedAuthenticationApproach");
        let sca = match approach.text()?.as_deref() {
            Some("REDIRECT") | None => ScaStart::Redirect(approval(&root)?),
            Some("DECOUPLED") => ScaStart::Decoupled { message: None },
            Some("NONE") => ScaStart::NotNeeded,
            Some(_) => ScaStart::Unsupported,
        };
        Ok(LodgedPayment { bank_id, sca, status: None })
    };
    read().map_err(|error| after(Effect::Write, error))
}

/// `POST /payment-requests/{paymentRequestResourceId}/confirmation`.
pub(super) fn confirmation(cx: &CallContext<'_>, bank_id: &str) -> Result<BankRequest, BankError> {
    let url = cx.profile.payments_api()?.join(&["payment-requests", bank_id, "confirmation"]);
    // Only the embedded approach has an authentication factor to send.
    request(cx, Method::POST, url, Effect::Write, Some(&json!({})))
}

/// `GET /payment-requests/{paymentRequestResourceId}`.
pub(super) fn inquiry(cx: &CallContext<'_>, ids: &BankPaymentIds) -> Result<BankRequest, BankError> {
    let url = cx.profile.payments_api()?.join(&["payment-requests", &ids.lodged]);
    request(cx, Method::GET, url, Effect::Read, None)
}

/// `PUT /payment-requests/{paymentRequestResourceId}` (STET 1.4 section 4.8): the request
/// with its status, and the reason that the customer wants it.
struct Cancellation;

impl PaymentCancellation for Cancellation {
    fn cancel(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &Order,
    ) -> Result<BankRequest, BankError> {
        let url = cx.profile.payments_api()?.join(&["payment-requests", &ids.lodged]);
        let body = json!({
            "paymentInformationId": order.instruction_id(),
            "paymentInformationStatus": IsoPaymentStatus::Cancelled.as_str(),
            "statusReasonInformation": "DS02",
        });
        request(cx, Method::PUT, url, Effect::Write, Some(&json!({ "paymentRequest": body })))
    }

    fn cancelled(
        &self,
        cx: &CallContext<'_>,
        _ids: &BankPaymentIds,
        _order: &Order,
        response: &BankResponse,
    ) -> Result<CancelAnswer, BankError> {
        let body = success(cx, response, Effect::Write)?.unwrap_or(Tree::Null);
        let root = Node::root(&cx.profile.id, &body);
        // The PSU is to approve it at the bank, and the request stands until she has.
        let asks = root.get("_links").get("consentApproval").exists();
        if asks { Err(cx.error(BankErrorKind::PsuActionRequired)) } else { Ok(CancelAnswer::Taken) }
    }
}

/// Before it is confirmed a request is accepted or not, and no order yet: its
/// status says how far the PSU's approval has come.
pub(super) fn before_confirmation(report: PaymentReport) -> PaymentReport {
    let consent = match report.status {
        Some(
            IsoPaymentStatus::Received | IsoPaymentStatus::Pending | IsoPaymentStatus::AcceptedTechnical,
        ) => BankConsentStatus::AwaitingAuthorisation,
        Some(IsoPaymentStatus::PartiallyAuthorised) => BankConsentStatus::PartiallyAuthorised,
        Some(IsoPaymentStatus::AcceptedCustomerProfile) => BankConsentStatus::Authorised,
        Some(
            IsoPaymentStatus::AcceptedFundsChecked
            | IsoPaymentStatus::AcceptedSettlementInProcess
            | IsoPaymentStatus::AcceptedWithChange
            | IsoPaymentStatus::AcceptedSettlementCompleted
            | IsoPaymentStatus::AcceptedWithoutPosting
            | IsoPaymentStatus::AcceptedCreditSettlementCompleted
            | IsoPaymentStatus::PartiallyAccepted
            | IsoPaymentStatus::InitiationCompleted
            | IsoPaymentStatus::InitiationFailed
            | IsoPaymentStatus::Blocked
            | IsoPaymentStatus::Cancelled
            | IsoPaymentStatus::Rejected,
        )
        | None => return report,
    };
    PaymentReport { status: None, consent: Some(consent), ..report }
}

/// The request's identifier: the end of its location, which is never followed.
fn named_by_location(cx: &CallContext<'_>, response: &BankResponse) -> Result<String, BankError> {
    let malformed = || BankError::malformed(&cx.profile.id, "location");
    let location = response.header_text("location").ok_or_else(malformed)?;
    let url = cx.profile.payments_api()?.url.join(location).map_err(|_| malformed())?;
    let mut segments = url.path_segments().ok_or_else(malformed)?;
    let last = segments.next_back().unwrap_or_default().to_owned();
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let fits = (1..=128).contains(&last.len()) && last.bytes().all(plain) && !last.starts_with('.');
    if fits { Ok(last) } else { Err(malformed()) }
}

/// Where the browser goes to approve.
fn approval(root: &Node<'_>) -> Result<Url, BankError> {
    let links = root.get("_links");
    let approval = links.get("consentApproval");
    let href = approval.get("href");
    let url = href.required_text()?.parse::<Url>().map_err(|_| href.malformed())?;
    if url.scheme() == "https" { Ok(url) } else { Err(href.malformed()) }
}

fn report(root: &Node<'_>, order: &PaymentOrder) -> Result<PaymentReport, BankError> {
    let request = root.get("paymentRequest");
    let transfers = request.get("creditTransferTransaction");
    let items = transfers.required_items()?;
    let transfer = items.first().ok_or_else(|| transfers.malformed())?;
    let whole = request.get("paymentInformationStatus");
    let single = transfer.get("transactionStatus");
    let status = if single.exists() { &single } else { &whole };
    let status = crate::berlin_group::payment_status(status)?;
    let reason = transfer.get("statusReasonInformation").text()?;
    let reason = reason.or(request.get("statusReasonInformation").text()?);
    Ok(PaymentReport {
        status: Some(status),
        iso_reason: crate::status::iso_reason(reason),
        echo: echoed(&request, transfer, order)?,
        ..PaymentReport::default()
    })
}

/// Compares what is repeated of a transfer, or of the request for all of them.
pub(super) fn echoed(
    request: &Node<'_>,
    transfer: &Node<'_>,
    order: &PaymentOrder,
) -> Result<Echo, BankError> {
    let money = echo::amount(&transfer.get("instructedAmount"), "amount", "currency", &order.amount)?;
    let single = transfer.get("beneficiary");
    let whole = request.get("beneficiary");
    let beneficiary = if single.exists() { &single } else { &whole };
    let creditor = beneficiary.get("creditorAccount");
    let account = echo::account(&creditor, identification(&creditor)?.as_ref(), &order.creditor_account)?;
    Ok(if money == Echo::Same && account == Echo::Same { Echo::Same } else { Echo::Absent })
}
