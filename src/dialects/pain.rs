//! One credit transfer as a pain.001.001.03 message (ISO 20022
//! `CustomerCreditTransferInitiation`), as banks take it that take no JSON.

use connect::{BankError, BankErrorKind, CallContext};
use domain::{AccountIdentification, PaymentOrder, PaymentScheme};
use jiff::tz::TimeZone;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, Event};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.03";

/// The message. It bears the identifier of the request.
///
/// # Errors
///
/// `invalid-request` without a debtor's account, `unsupported` for an account without
/// an IBAN.
pub(crate) fn credit_transfer(cx: &CallContext<'_>, order: &PaymentOrder) -> Result<String, BankError> {
    let refused = |kind, place| cx.error(kind).at(place);
    let iban = |account: &AccountIdentification, place| match account {
        AccountIdentification::Iban(iban) => Ok(iban.as_str().to_owned()),
        AccountIdentification::SortCode(_)
        | AccountIdentification::Bban(_)
        | AccountIdentification::MaskedPan(_)
        | AccountIdentification::Other { .. } => Err(refused(BankErrorKind::Unsupported, place)),
    };
    // Who pays is no option of the message.
    let debtor = order.debtor_account.as_ref();
    let debtor = debtor.ok_or_else(|| refused(BankErrorKind::InvalidRequest, "debtor_account"))?;
    let debtor = iban(debtor, "debtor_account")?;
    let creditor = iban(&order.creditor_account, "creditor_account")?;
    let id = cx.request_id.simple().to_string();
    let at = cx.now.to_zoned(TimeZone::UTC);
    let amount = order.amount.amount_text();

    let mut transfer = vec![
        list(
            "PmtId",
            [
                leaf("InstrId", order.instruction_id.as_str()),
                leaf("EndToEndId", order.end_to_end_id.as_str()),
            ],
        ),
        list("Amt", [Part::Leaf("InstdAmt", Some(("Ccy", order.amount.currency().code())), amount.clone())]),
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
    let mut kind = vec![list("SvcLvl", [leaf("Cd", "SEPA")])];
    if order.scheme == PaymentScheme::SepaInstant {
        kind.push(list("LclInstrm", [leaf("Cd", "INST")]));
    }
    let header = list(
        "GrpHdr",
        [
            leaf("MsgId", id.as_str()),
            leaf("CreDtTm", at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            leaf("NbOfTxs", "1"),
            leaf("CtrlSum", amount),
            // The bank knows who we are by our seal.
            list("InitgPty", [leaf("Nm", "NOTPROVIDED")]),
        ],
    );
    let payment = list(
        "PmtInf",
        [
            leaf("PmtInfId", id.as_str()),
            leaf("PmtMtd", "TRF"),
            Part::List("PmtTpInf", kind),
            leaf("ReqdExctnDt", order.first_day().unwrap_or_else(|| at.date()).to_string()),
            list("Dbtr", [leaf("Nm", "NOTPROVIDED")]),
            list("DbtrAcct", [list("Id", [leaf("IBAN", debtor)])]),
            list("DbtrAgt", [list("FinInstnId", [list("Othr", [leaf("Id", "NOTPROVIDED")])])]),
            leaf("ChrgBr", "SLEV"),
            Part::List("CdtTrfTxInf", transfer),
        ],
    );
    let document = list("CstmrCdtTrfInitn", [header, payment]);
    written(&document).ok_or_else(|| refused(BankErrorKind::Internal, "pain.001"))
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
