//! Credit transfers as a pain.001.001.03 message (ISO 20022
//! `CustomerCreditTransferInitiation`), as banks take it that take no JSON.

use connect::{BankError, BankErrorKind, CallContext};
use domain::{AccountIdentification, BatchOrder, Date, Money, PaymentOrder, PaymentScheme};
use jiff::tz::TimeZone;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, Event};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.03";

/// The transfers of one message, and what is the same for all of them.
pub(crate) struct Payment<'a> {
    debtor: Option<&'a AccountIdentification>,
    scheme: PaymentScheme,
    day: Option<Date>,
    batch_booking: Option<bool>,
    transfers: &'a [PaymentOrder],
}

impl<'a> Payment<'a> {
    /// One transfer.
    pub(crate) fn of(order: &'a PaymentOrder) -> Self {
        Self {
            debtor: order.debtor_account.as_ref(),
            scheme: order.scheme,
            day: order.execution.first_day(),
            batch_booking: None,
            transfers: std::slice::from_ref(order),
        }
    }

    /// All of a batch.
    pub(crate) fn of_batch(batch: &'a BatchOrder) -> Self {
        Self {
            debtor: batch.debtor_account.as_ref(),
            scheme: batch.scheme,
            day: batch.execution.first_day(),
            batch_booking: batch.batch_booking,
            transfers: &batch.transfers,
        }
    }
}

/// The message. It bears the identifier of the request.
///
/// # Errors
///
/// `invalid-request` without a debtor's account, `unsupported` for an account without
/// an IBAN.
pub(crate) fn credit_transfers(cx: &CallContext<'_>, payment: &Payment<'_>) -> Result<String, BankError> {
    let refused = |kind, place| cx.error(kind).at(place);
    // Who pays is no option of the message.
    let debtor = payment.debtor.ok_or_else(|| refused(BankErrorKind::InvalidRequest, "debtor_account"))?;
    let debtor = iban(cx, debtor, "debtor_account")?;
    let sum = Money::sum(payment.transfers.iter().map(|order| order.amount));
    let sum = sum.ok_or_else(|| refused(BankErrorKind::InvalidRequest, "amount"))?.amount_text();
    let id = cx.request_id.simple().to_string();
    let at = cx.now.to_zoned(TimeZone::UTC);
    let count = payment.transfers.len().to_string();
    let mut kind = vec![list("SvcLvl", [leaf("Cd", "SEPA")])];
    if payment.scheme == PaymentScheme::SepaInstant {
        kind.push(list("LclInstrm", [leaf("Cd", "INST")]));
    }
    let header = list(
        "GrpHdr",
        [
            leaf("MsgId", id.as_str()),
            leaf("CreDtTm", at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            leaf("NbOfTxs", count),
            leaf("CtrlSum", sum),
            // The bank knows who we are by our seal.
            list("InitgPty", [leaf("Nm", "NOTPROVIDED")]),
        ],
    );
    let at_once = cx.profile.berlin_group.pain_day_of_at_once;
    let day = payment.day.or(at_once).unwrap_or_else(|| at.date());
    let mut parts = vec![leaf("PmtInfId", id.as_str()), leaf("PmtMtd", "TRF")];
    parts.extend(payment.batch_booking.map(|wanted| leaf("BtchBookg", wanted.to_string())));
    parts.extend([
        Part::List("PmtTpInf", kind),
        leaf("ReqdExctnDt", day.to_string()),
        list("Dbtr", [leaf("Nm", "NOTPROVIDED")]),
        list("DbtrAcct", [list("Id", [leaf("IBAN", debtor)])]),
        list("DbtrAgt", [list("FinInstnId", [list("Othr", [leaf("Id", "NOTPROVIDED")])])]),
        leaf("ChrgBr", "SLEV"),
    ]);
    for order in payment.transfers {
        parts.push(transfer(cx, order)?);
    }
    let document = list("CstmrCdtTrfInitn", [header, Part::List("PmtInf", parts)]);
    written(&document).ok_or_else(|| refused(BankErrorKind::Internal, "pain.001"))
}

fn iban(
    cx: &CallContext<'_>,
    account: &AccountIdentification,
    place: &'static str,
) -> Result<String, BankError> {
    match account {
        AccountIdentification::Iban(iban) => Ok(iban.as_str().to_owned()),
        AccountIdentification::SortCode(_)
        | AccountIdentification::Bban(_)
        | AccountIdentification::MaskedPan(_)
        | AccountIdentification::Other { .. } => Err(cx.unsupported(place)),
    }
}

/// `CdtTrfTxInf`.
fn transfer(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<Part, BankError> {
    let creditor = iban(cx, &order.creditor_account, "creditor_account")?;
    let currency = ("Ccy", order.amount.currency().code());
    let mut transfer = vec![
        list(
            "PmtId",
            [
                leaf("InstrId", order.instruction_id.as_str()),
                leaf("EndToEndId", order.end_to_end_id.as_str()),
            ],
        ),
        list("Amt", [Part::Leaf("InstdAmt", Some(currency), order.amount.amount_text())]),
        list("Cdtr", [leaf("Nm", order.creditor_name.as_str())]),
        list("CdtrAcct", [list("Id", [leaf("IBAN", creditor)])]),
    ];
    let mut told = Vec::new();
    told.extend(order.remittance.unstructured.as_deref().map(|text| leaf("Ustrd", text)));
    told.extend(order.remittance.reference.as_deref().map(|reference| {
        let kind = list("Tp", [list("CdOrPrtry", [leaf("Cd", "SCOR")])]);
        list("Strd", [list("CdtrRefInf", [kind, leaf("Ref", reference)])])
    }));
    if !told.is_empty() {
        transfer.push(Part::List("RmtInf", told));
    }
    Ok(Part::List("CdtTrfTxInf", transfer))
}

/// An element.
enum Part {
    Leaf(&'static str, Option<(&'static str, &'static str)>, String),
    List(&'static str, Vec<Part>),
}

fn leaf(name: &'static str, text: impl Into<String>) -> Part {
    Part::Leaf(name, None, text.into())
}

fn list<const N: usize>(name: &'static str, parts: [Part; N]) -> Part {
    Part::List(name, parts.into())
}

fn written(document: &Part) -> Option<String> {
    let mut writer = Writer::new(Vec::new());
    writer.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None))).ok()?;
    let root = writer.create_element("Document").with_attribute(("xmlns", NAMESPACE));
    root.write_inner_content(|writer| write(writer, document)).ok()?;
    String::from_utf8(writer.into_inner()).ok()
}

fn write(writer: &mut Writer<Vec<u8>>, part: &Part) -> std::io::Result<()> {
    match part {
        Part::Leaf(name, attribute, text) => {
            let element = writer.create_element(*name).with_attributes(*attribute);
            element.write_text_content(quick_xml::events::BytesText::new(text))?;
        }
        Part::List(name, parts) => {
            writer
                .create_element(*name)
                .write_inner_content(|writer| parts.iter().try_for_each(|part| write(writer, part)))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
