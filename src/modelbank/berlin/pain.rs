//! Orders and statuses in XML: pain.001 in, pain.002 out (XS2A 5.3.1, 5.4).

use domain::Timestamp;
use jiff::civil::Date;
use quick_xml::escape::escape;
use serde_json::{Value, json};

use super::orders::Service;
use super::refusal::Refusal;
use crate::engine::Order;
use crate::pain::{Message, reason, statuses};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.03";

/// True if orders of this product are XML.
pub(super) fn is_xml(product: &str) -> bool {
    product.starts_with("pain.001-")
}

/// A pain.001 message, in the words that the rest of the bank knows. A day that is over
/// means at once.
pub(super) fn order(service: Service, product: &str, body: &[u8], today: Date) -> Result<Value, Refusal> {
    let text = std::str::from_utf8(body).ok();
    let read = text.and_then(|text| Some((text, Message::read(text, NAMESPACE)?)));
    let (text, message) =
        read.ok_or(Refusal::format("The body is not a readable message of version 001.001.03"))?;
    let one = service != Service::Bulk;
    if message.payment("PmtMtd") != Some("TRF") || (one && message.transfers != 1) {
        return Err(Refusal::format("The message does not have the transfers of its service"));
    }
    if !message.adds_up() {
        return Err(Refusal::format("NbOfTxs or CtrlSum is not that of the transfers"));
    }
    let instant = message.payment("PmtTpInf/LclInstrm/Cd") == Some("INST");
    if message.payment("PmtTpInf/SvcLvl/Cd") != Some("SEPA") || instant != product.contains("instant") {
        return Err(Refusal::format("PmtTpInf is not that of the product"));
    }
    let day = message.payment("ReqdExctnDt").and_then(|day| day.parse::<Date>().ok());
    let day = day.ok_or(Refusal::format("ReqdExctnDt is missing or not valid"))?;
    if message.header("MsgId").is_none() {
        return Err(Refusal::format("MsgId is missing"));
    }
    let mut order = if one { transfer(&message, 0) } else { json!({ "payments": transfers(&message) }) };
    let all = [
        ("debtorAccount", json!({ "iban": message.payment("DbtrAcct/Id/IBAN") })),
        ("requestedExecutionDate", json!(day.max(today).to_string())),
        ("message", json!(text)),
    ];
    if let Some(order) = order.as_object_mut() {
        order.extend(all.map(|(name, value)| (name.to_owned(), value)));
    }
    Ok(order)
}

fn transfers(message: &Message) -> Vec<Value> {
    (0..message.transfers).map(|number| transfer(message, number)).collect()
}

fn transfer(message: &Message, number: usize) -> Value {
    let at = |name: &str| message.transfer(number, name);
    json!({
        "endToEndIdentification": at("PmtId/EndToEndId"),
        "instructedAmount": { "currency": at("Amt/InstdAmt/@Ccy"), "amount": at("Amt/InstdAmt") },
        "creditorAccount": { "iban": at("CdtrAcct/Id/IBAN") },
        "creditorName": at("Cdtr/Nm"),
        "remittanceInformationUnstructured": at("RmtInf/Ustrd"),
    })
}

/// How an order stands, as pain.002; a bulk has a status for each of its transfers, too.
pub(super) fn status(order: &Order, now: Timestamp) -> String {
    let text = order.body.get("message").and_then(Value::as_str).unwrap_or_default();
    let message = Message::read(text, NAMESPACE);
    let id = message.as_ref().and_then(|message| message.header("MsgId")).unwrap_or_default();
    let each = if order.body.get("payments").is_some() { statuses(order, now) } else { String::new() };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.002.001.03\"><CstmrPmtStsRpt>\
         <GrpHdr><MsgId>{}</MsgId><CreDtTm>{}</CreDtTm></GrpHdr>\
         <OrgnlGrpInfAndSts><OrgnlMsgId>{}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.03</OrgnlMsgNmId>\
         <GrpSts>{}</GrpSts>{}</OrgnlGrpInfAndSts>{each}</CstmrPmtStsRpt></Document>",
        escape(order.id.as_str()),
        order.created,
        escape(id),
        escape(order.status(now)),
        reason(order.reason()),
    )
}
