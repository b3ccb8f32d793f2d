//! Payment requests (STET 1.4 sections 4.5 to 4.7): a credit transfer, at once, on a
//! day or again and again, is posted, approved by the PSU, and executed after our
//! confirmation.

use connect::{
    BankConsentStatus, BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, CallContext,
    Echo, Effect, ExplicitStart, LodgedPayment, PaymentCancellation, PaymentInitiation, PaymentReport,
    RedirectUris, ScaFlow, ScaStart,
};
use domain::{
    Abroad, ChargeBearer, Date, Execution, ExecutionRule, IsoPaymentStatus, PaymentFrequency, PaymentOrder,
    PaymentScheme, Recurrence,
};
use http::Method;
use serde_json::{Map, Value, json};
use url::Url;

use super::accounts::{identification, written};
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
        let url = cx.profile.payments_api()?.join(&["payment-requests"]);
        request(cx, Method::POST, url, Effect::Write, Some(&payment_request(cx, order, redirects)?))
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        _order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
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
        let build = || {
            let url = cx.profile.payments_api()?.join(&["payment-requests", bank_id, "confirmation"]);
            // Only the embedded approach has an authentication factor to send.
            request(cx, Method::POST, url, Effect::Write, Some(&json!({})))
        };
        Some(build())
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
        let url = cx.profile.payments_api()?.join(&["payment-requests", &ids.lodged]);
        request(cx, Method::GET, url, Effect::Read, None)
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

/// `PUT /payment-requests/{paymentRequestResourceId}` (STET 1.4 section 4.8): the request
/// with its status, and the reason that the customer wants it.
struct Cancellation;

impl PaymentCancellation for Cancellation {
    fn cancel(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
    ) -> Result<BankRequest, BankError> {
        let url = cx.profile.payments_api()?.join(&["payment-requests", &ids.lodged]);
        let body = json!({
            "paymentInformationId": order.instruction_id,
            "paymentInformationStatus": IsoPaymentStatus::Cancelled.as_str(),
            "statusReasonInformation": "DS02",
        });
        request(cx, Method::PUT, url, Effect::Write, Some(&json!({ "paymentRequest": body })))
    }

    fn cancelled(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        let body = success(cx, response, Effect::Write)?.unwrap_or(Tree::Null);
        let root = Node::root(&cx.profile.id, &body);
        // The PSU is to approve it at the bank, and the request stands until she has.
        let asks = root.get("_links").get("consentApproval").exists();
        if asks { Err(cx.error(BankErrorKind::PsuActionRequired)) } else { Ok(()) }
    }
}

/// Before it is confirmed a request is accepted or not, and no order yet: its
/// status says how far the PSU's approval has come.
fn before_confirmation(report: PaymentReport) -> PaymentReport {
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
    let money = echo::amount(&transfer.get("instructedAmount"), "amount", "currency", &order.amount)?;
    let single = transfer.get("beneficiary");
    let whole = request.get("beneficiary");
    let beneficiary = if single.exists() { &single } else { &whole };
    let creditor = beneficiary.get("creditorAccount");
    let account = echo::account(&creditor, identification(&creditor)?.as_ref(), &order.creditor_account)?;
    Ok(PaymentReport {
        status: Some(status),
        iso_reason: crate::status::iso_reason(reason),
        echo: if money == Echo::Same && account == Echo::Same { Echo::Same } else { Echo::Absent },
        ..PaymentReport::default()
    })
}

fn payment_request(
    cx: &CallContext<'_>,
    order: &PaymentOrder,
    redirects: &RedirectUris,
) -> Result<Value, BankError> {
    let mut kind = Map::new();
    let level = if order.scheme == PaymentScheme::CrossBorder { "NURG" } else { "SEPA" };
    kind.insert("serviceLevel".into(), json!(level));
    kind.insert("categoryPurpose".into(), json!("CASH"));
    match order.scheme {
        PaymentScheme::SepaCreditTransfer | PaymentScheme::CrossBorder => {}
        PaymentScheme::SepaInstant => {
            kind.insert("localInstrument".into(), json!("INST"));
        }
        PaymentScheme::FasterPayments | PaymentScheme::Elixir | PaymentScheme::ExpressElixir => {
            return Err(cx.error(BankErrorKind::Unsupported).at("scheme"));
        }
    }
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
    let now = cx.now.to_string();
    let bearer = order.abroad.as_ref().map_or(ChargeBearer::ServiceLevel, |abroad| abroad.charge_bearer);
    let client =
        cx.profile.client_id.as_deref().ok_or_else(|| BankError::profile(&cx.profile.id, "client_id"))?;
    let mut approaches = vec!["REDIRECT"];
    if cx.profile.sca.contains(&ScaFlow::Decoupled) {
        approaches.push("DECOUPLED");
    }
    let mut body = json!({
        "paymentInformationId": order.instruction_id,
        "creationDateTime": now,
        "numberOfTransactions": 1,
        "initiatingParty": { "name": client },
        "paymentTypeInformation": kind,
        "beneficiary": {
            "creditor": { "name": order.creditor_name },
            "creditorAccount": written(cx, &order.creditor_account)?,
        },
        "chargeBearer": bearer.as_str(),
        "requestedExecutionDate": order.first_day().map_or_else(|| now.clone(), start_of),
        "creditTransferTransaction": [transfer],
        "supplementaryData": {
            "acceptedAuthenticationApproach": approaches,
            "successfulReportUrl": redirects.ok,
            "unsuccessfulReportUrl": redirects.nok,
        },
    });
    if let (Some(debtor), Some(body)) = (&order.debtor_account, body.as_object_mut()) {
        body.insert("debtorAccount".into(), written(cx, debtor)?);
    }
    if let (Some(abroad), Some(beneficiary)) = (&order.abroad, body.get_mut("beneficiary")) {
        add_abroad(beneficiary, abroad);
    }
    Ok(body)
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
        let line = |parts: [&Option<String>; 2]| {
            let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
            parts.join(" ")
        };
        let lines = address.lines.iter().cloned().chain([line(street), line(town)]);
        let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        let mut written = json!({ "addressLine": lines });
        if let (Some(country), Some(written)) = (&address.country, written.as_object_mut()) {
            written.insert("country".into(), json!(country));
        }
        creditor.insert("postalAddress".into(), written);
    }
}
