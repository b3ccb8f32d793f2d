//! File payments: a consent that names a file by its digest, the file, the PSU's approval,
//! then one order for all of it. The file is JSON, a list of initiations. What became of
//! each payment stands in a report whose form is the bank's own (`file_report.rs`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect::{
    BankConsentStatus, BankError, BankErrorKind, BankPaymentIds, BankRequest, BankResponse, BatchFilling,
    BatchInitiation, BatchReporting, CallContext, Echo, Effect, LodgedPayment, PaymentReport, RedirectUris,
    ScaStart,
};
use domain::{BatchOrder, IsoPaymentStatus, PaymentScheme};
use http::Method;
use serde_json::{Map, Value, json};

use super::file_report::awaits_report;
use super::orders::{initiation, start_of};
use super::payments::{iso_reason, payment_status};
use super::{after, consent_status, request, signed, success, written};
use crate::echo;
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
        _redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        let body = json!({ "Data": { "Initiation": of_file(cx, batch)? } });
        let url = cx.profile.payments_api()?.join(&["file-payment-consents"]);
        signed(cx, request(cx, Method::POST, url, Effect::Write, Some(&body))?)
    }

    fn lodged(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<LodgedPayment, BankError> {
        let body = success(cx, response, Effect::Write)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let read = || {
            let bank_id = data.get("ConsentId").required_id()?;
            same_file(cx, &data, batch)?;
            let scope = "openid payments".into();
            let sca = ScaStart::OAuth { scope, intent_id: Some(bank_id.clone()), metadata: None };
            Ok(LodgedPayment { bank_id, sca, status: None })
        };
        read().map_err(|error: BankError| after(Effect::Write, error))
    }

    fn filling(&self) -> Option<&dyn BatchFilling> {
        Some(self)
    }

    fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        batch: &BatchOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        let build = || {
            let body = json!({ "Data": { "ConsentId": bank_id, "Initiation": of_file(cx, batch)? } });
            let url = cx.profile.payments_api()?.join(&["file-payments"]);
            signed(cx, request(cx, Method::POST, url, Effect::Write, Some(&body))?)
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
        let root = Node::root(&cx.profile.id, &body);
        report(cx, &root.get("Data"), batch).map_err(|error| after(Effect::Write, error))
    }

    fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        _batch: &BatchOrder,
    ) -> Result<BankRequest, BankError> {
        let api = cx.profile.payments_api()?;
        let url = match &ids.payment {
            Some(payment) => api.join(&["file-payments", payment]),
            None => api.join(&["file-payment-consents", &ids.lodged]),
        };
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        if ids.payment.is_some() {
            return report(cx, &data, batch);
        }
        let status = data.get("Status");
        // The file is not there yet, which is no word on the PSU's decision.
        let waits = matches!(status.text()?.as_deref(), Some("AwaitingUpload" | "AWUP"));
        let consent = if waits { BankConsentStatus::AwaitingAuthorisation } else { consent_status(&status)? };
        Ok(PaymentReport {
            consent: Some(consent),
            echo: same_file(cx, &data, batch)?,
            ..PaymentReport::default()
        })
    }

    fn reporting(&self) -> Option<&dyn BatchReporting> {
        Some(self)
    }
}

impl BatchFilling for Batches {
    fn fill(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        batch: &BatchOrder,
    ) -> Result<BankRequest, BankError> {
        let url = cx.profile.payments_api()?.join(&["file-payment-consents", bank_id, "file"]);
        let bare = request(cx, Method::POST, url, Effect::Write, None)?;
        signed(cx, bare.body("application/json", file(cx, batch)?))
    }

    fn filled(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        super::accepted(cx, response)
    }
}

fn report(cx: &CallContext<'_>, data: &Node<'_>, batch: &BatchOrder) -> Result<PaymentReport, BankError> {
    let told = payment_status(&data.get("Status"))?;
    // Of a file, that is all of it.
    let failed = told == IsoPaymentStatus::InitiationFailed;
    let status = if failed { IsoPaymentStatus::Rejected } else { told };
    Ok(PaymentReport {
        status: Some(status),
        iso_reason: iso_reason(data)?,
        bank_payment_id: Some(data.get("FilePaymentId").required_id()?),
        echo: same_file(cx, data, batch)?,
        // Its status is that of the file's initiation, and never another.
        last_word: status == IsoPaymentStatus::InitiationCompleted && !awaits_report(cx, data, batch),
        ..PaymentReport::default()
    })
}

/// The standard repeats the digest of the file, and with it all that is in it.
fn same_file(cx: &CallContext<'_>, data: &Node<'_>, batch: &BatchOrder) -> Result<Echo, BankError> {
    let initiation = data.get("Initiation");
    let repeated = initiation.get("FileHash");
    match repeated.text()? {
        None => Ok(Echo::Absent),
        Some(found) if found == digest(&file(cx, batch)?) => Ok(Echo::Same),
        Some(_) => Err(echo::mismatch(&repeated)),
    }
}

/// The file: a list of initiations as a payment of its own would have them.
fn file(cx: &CallContext<'_>, batch: &BatchOrder) -> Result<String, BankError> {
    if batch.scheme != PaymentScheme::FasterPayments {
        return Err(cx.unsupported("scheme"));
    }
    let payments = batch.transfers.iter().map(|transfer| initiation(cx, transfer));
    let payments = payments.collect::<Result<Vec<Value>, _>>()?;
    Ok(json!({ "Data": { "DomesticPayments": payments } }).to_string())
}

fn digest(file: &str) -> String {
    STANDARD.encode(crypto::digest::sha256(file.as_bytes()))
}

/// `OBFile2`: what the file is, how many payments and how much.
fn of_file(cx: &CallContext<'_>, batch: &BatchOrder) -> Result<Value, BankError> {
    let three = cx.profile.payments_api()?.version.starts_with('3');
    let total = batch.total().ok_or_else(|| cx.error(BankErrorKind::InvalidRequest).at("amount"))?;
    // A JSON number: the text of a decimal is one.
    let sum = total.amount_text().parse::<serde_json::Number>();
    let sum = sum.map_err(|_| cx.error(BankErrorKind::Internal).at("amount"))?;
    let kind = if three { "UK.OBIE.PaymentInitiation.3.1" } else { "UK.OBIE.PaymentInitiation.4.0" };
    let mut body = Map::from_iter([
        ("FileType".to_owned(), json!(kind)),
        ("FileHash".to_owned(), json!(digest(&file(cx, batch)?))),
        ("FileReference".to_owned(), json!(batch.instruction_id)),
        ("NumberOfTransactions".to_owned(), json!(batch.transfers.len().to_string())),
        ("ControlSum".to_owned(), Value::Number(sum)),
    ]);
    if let Some(day) = batch.execution.first_day() {
        body.insert("RequestedExecutionDateTime".into(), json!(start_of(day)));
    }
    if let Some(debtor) = &batch.debtor_account {
        let (scheme, identification) = written(cx, debtor)?;
        body.insert(
            "DebtorAccount".into(),
            json!({ "SchemeName": scheme, "Identification": identification }),
        );
    }
    Ok(Value::Object(body))
}
