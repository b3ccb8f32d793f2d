//! What became of each payment of a file, at a bank that reports in pain.002. Its entries
//! name payments as the file did.

use connect::{
    BankError, BankErrorKind, BankRequest, BankResponse, BatchReporting, CallContext, Effect, FileReport,
    PaymentReport, TransferReport,
};
use domain::{BatchOrder, IsoPaymentStatus};
use http::{Method, StatusCode};
use jiff::SignedDuration;

use super::batches::Batches;
use super::error::failure;
use super::request;
use crate::camt::ReportedPayment;
use crate::node::Node;

/// How long a report is waited for after a file was taken, and after its day.
const PATIENCE: SignedDuration = SignedDuration::from_hours(7 * 24);

impl BatchReporting for Batches {
    fn report(
        &self,
        cx: &CallContext<'_>,
        standing: &PaymentReport,
    ) -> Option<Result<BankRequest, BankError>> {
        let FileReport::Pain002 = cx.profile.uk_open_banking.file_report?;
        let taken = standing.status == Some(IsoPaymentStatus::InitiationCompleted);
        let id = standing.bank_payment_id.as_deref().filter(|_| taken)?;
        Some(asked(cx, id))
    }

    fn report_read(
        &self,
        cx: &CallContext<'_>,
        batch: &BatchOrder,
        response: &BankResponse,
    ) -> Result<Vec<TransferReport>, BankError> {
        if response.status == StatusCode::NOT_FOUND {
            return Ok(Vec::new());
        }
        if !response.status.is_success() {
            return Err(failure(&cx.profile.id, response, Effect::Read));
        }
        let mut told: Vec<TransferReport> = Vec::new();
        for entry in crate::camt::payment_statuses(&cx.profile.id, &response.body)? {
            let Some(transfer) = transfer(cx, batch, &entry)? else { continue };
            if told.iter().any(|known| known.index == transfer.index) {
                return Err(mismatch(cx, &entry));
            }
            told.push(transfer);
        }
        Ok(told)
    }
}

fn asked(cx: &CallContext<'_>, id: &str) -> Result<BankRequest, BankError> {
    let url = cx.profile.payments_api()?.join(&["file-payments", id, "report-file"]);
    request(cx, Method::GET, url, Effect::Read, None)?
        .header("accept", "application/xml, application/json")
        .map_err(|name| cx.error(BankErrorKind::Internal).at(name))
}

/// Whether more is to come of a file that was taken. One whose report never comes is left at
/// that in the end.
pub(super) fn awaits_report(cx: &CallContext<'_>, data: &Node<'_>, batch: &BatchOrder) -> bool {
    let taken = data.get("StatusUpdateDateTime").instant().ok().flatten();
    let day = batch.execution.first_day().and_then(domain::utc_midnight);
    let over = taken.max(day).and_then(|since| since.checked_add(PATIENCE).ok());
    cx.profile.uk_open_banking.file_report.is_some() && over.is_none_or(|over| cx.now < over)
}

/// What an entry tells of a payment; nothing, where it has no status or no name, or two
/// payments have that.
fn transfer(
    cx: &CallContext<'_>,
    batch: &BatchOrder,
    entry: &ReportedPayment,
) -> Result<Option<TransferReport>, BankError> {
    let same = |told: &Option<String>, ours: &str| told.as_ref().is_none_or(|told| told == ours);
    let named = batch.transfers.iter().enumerate().filter(|(_, ordered)| {
        same(&entry.instruction_id, &ordered.instruction_id)
            && same(&entry.end_to_end_id, &ordered.end_to_end_id)
    });
    let named: Vec<_> = named.collect();
    let nameless = entry.instruction_id.is_none() && entry.end_to_end_id.is_none();
    let (index, ordered) = match named.as_slice() {
        _ if nameless => return Ok(None),
        [] => return Err(mismatch(cx, entry)),
        [one] => *one,
        [_, _, ..] => return Ok(None),
    };
    if entry.amount.as_ref().is_some_and(|amount| *amount != ordered.amount) {
        return Err(mismatch(cx, entry));
    }
    let iso_reason = crate::status::iso_reason(entry.iso_reason.clone());
    Ok(entry.status.map(|status| TransferReport { index, status, iso_reason }))
}

/// The report is on another file.
fn mismatch(cx: &CallContext<'_>, entry: &ReportedPayment) -> BankError {
    cx.error(BankErrorKind::EchoMismatch).at(entry.place.as_str())
}
