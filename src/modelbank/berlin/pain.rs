//! Orders and statuses in XML: pain.001 in, pain.002 out (XS2A 5.3.1, 5.4).

use std::collections::HashMap;

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use serde_json::{Value, json};

use super::refusal::Refusal;
use crate::engine::Order;

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.03";
const TRANSFER: &str = "/Document/CstmrCdtTrfInitn/PmtInf/CdtTrfTxInf";

/// True if orders of this product are XML.
pub(super) fn is_xml(product: &str) -> bool {
    product.starts_with("pain.001-")
}

/// A pain.001 message with one transfer, in the words that the rest of the bank knows.
pub(super) fn order(product: &str, body: &[u8]) -> Result<Value, Refusal> {
    let unreadable = || Refusal::format("The body is not a readable pain.001.001.03 message");
    let text = std::str::from_utf8(body).map_err(|_| unreadable())?;
    let found = elements(text).ok_or_else(unreadable)?;
    let at = |path: &str| found.get(path).map(String::as_str);
    let in_header = |name: &str| at(&format!("/Document/CstmrCdtTrfInitn/GrpHdr/{name}"));
    let in_payment = |name: &str| at(&format!("/Document/CstmrCdtTrfInitn/PmtInf/{name}"));
    let in_transfer = |name: &str| at(&format!("{TRANSFER}/{name}"));
    if at("/Document/@xmlns") != Some(NAMESPACE) {
        return Err(Refusal::format("The message is not of version 001.001.03"));
    }
    if in_header("NbOfTxs") != Some("1") || in_payment("PmtMtd") != Some("TRF") {
        return Err(Refusal::format("The message is not one transfer"));
    }
    if in_header("CtrlSum") != in_transfer("Amt/InstdAmt") {
        return Err(Refusal::format("CtrlSum is not the amount"));
    }
    let instant = in_payment("PmtTpInf/LclInstrm/Cd") == Some("INST");
    if in_payment("PmtTpInf/SvcLvl/Cd") != Some("SEPA") || instant != product.contains("instant") {
        return Err(Refusal::format("PmtTpInf is not that of the product"));
    }
    if in_header("MsgId").is_none() || in_payment("ReqdExctnDt").is_none() {
        return Err(Refusal::format("MsgId or ReqdExctnDt is missing"));
    }
    Ok(json!({
        "endToEndIdentification": in_transfer("PmtId/EndToEndId"),
        "debtorAccount": { "iban": in_payment("DbtrAcct/Id/IBAN") },
        "instructedAmount": {
            "currency": in_transfer("Amt/InstdAmt/@Ccy"), "amount": in_transfer("Amt/InstdAmt"),
        },
        "creditorAccount": { "iban": in_transfer("CdtrAcct/Id/IBAN") },
        "creditorName": in_transfer("Cdtr/Nm"),
        "remittanceInformationUnstructured": in_transfer("RmtInf/Ustrd"),
        "message": text,
    }))
}

/// How an order stands, as pain.002.
pub(super) fn status(order: &Order, status: &str) -> String {
    let message = order.body.get("message").and_then(Value::as_str).and_then(elements).unwrap_or_default();
    let id = message.get("/Document/CstmrCdtTrfInitn/GrpHdr/MsgId").map_or("", String::as_str);
    let reason = order.reason().map_or_else(String::new, |reason| {
        format!("<StsRsnInf><Rsn><Cd>{}</Cd></Rsn></StsRsnInf>", escape(reason))
    });
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.002.001.03\"><CstmrPmtStsRpt>\
         <GrpHdr><MsgId>{}</MsgId><CreDtTm>{}</CreDtTm></GrpHdr>\
         <OrgnlGrpInfAndSts><OrgnlMsgId>{}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.03</OrgnlMsgNmId>\
         <GrpSts>{}</GrpSts>{reason}</OrgnlGrpInfAndSts></CstmrPmtStsRpt></Document>",
        escape(order.id.as_str()),
        order.created,
        escape(id),
        escape(status),
    )
}

/// The texts of all elements and attributes, by their path; none, if an element with a
/// text comes twice or the text is no XML.
fn elements(text: &str) -> Option<HashMap<String, String>> {
    let mut reader = Reader::from_str(text);
    let (mut path, mut found) = (String::new(), HashMap::new());
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                path.push('/');
                path.push_str(start.name().as_ref());
                for attribute in start.attributes() {
                    let attribute = attribute.ok()?;
                    found.insert(format!("{path}/@{}", attribute.key.as_ref()), attribute.value.into_owned());
                }
            }
            Event::Text(text) => {
                found.entry(path.clone()).or_insert_with(String::new).push_str(&text);
            }
            Event::GeneralRef(name) => {
                let text = quick_xml::escape::resolve_predefined_entity(&name)?;
                found.entry(path.clone()).or_insert_with(String::new).push_str(text);
            }
            Event::End(_) => path.truncate(path.rfind('/')?),
            Event::Eof => break,
            Event::Empty(_) | Event::CData(_) | Event::DocType(_) => return None,
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
        }
    }
    path.is_empty().then_some(found)
}
