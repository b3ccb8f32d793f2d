//! File payments: a consent to a file by its digest, the file, and one order for all of it.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::Psd2Role;
use domain::Timestamp;
use quick_xml::escape::escape;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::initiation::{self, day, text};
use super::orders::{At, Service, idempotency_key, own_order, remember, replayed};
use super::refusal::Refusal;
use super::signature::{demand, signed_as};
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::{ConsentState, Instruction, Order, OrderState, Plan, Transfer};
use crate::pain::{Message, statuses};

pub(super) static FILE: Service = Service {
    name: "file-payment",
    id: "FilePaymentId",
    prefixes: ("pfc-", "pfp-"),
    product: "file",
    judge: |bank, _, body| judge(bank, body),
    read,
    begins: ConsentState::Incomplete,
    more: |_, _| Vec::new(),
    status,
};

const NAMESPACE: &str = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.08";
const XML: &str = "UK.OBIE.pain.001.001.08";
/// Kinds of files.
const KINDS: [&str; 3] = ["UK.OBIE.PaymentInitiation.3.1", "UK.OBIE.PaymentInitiation.4.0", XML];
/// The member of a consent that keeps its file.
const KEPT: &str = "File";

fn judge(bank: &Bank, body: &Value) -> Result<(), Refusal> {
    let initiation = initiation::of(body)?;
    let path = "Data.Initiation.FileType";
    if !KINDS.contains(&text(initiation, "/FileType", path)?) {
        return Err(Refusal::field("U002", "The kind of file is not supported", path));
    }
    let path = "Data.Initiation.FileHash";
    let digest = STANDARD.decode(text(initiation, "/FileHash", path)?);
    if digest.map_or(0, |digest| digest.len()) != 32 {
        return Err(Refusal::field("U002", "The digest is no SHA-256 in base64", path));
    }
    plan(bank, initiation).map(|_| ())
}

fn plan(bank: &Bank, initiation: &Value) -> Result<Plan, Refusal> {
    let path = "Data.Initiation.RequestedExecutionDateTime";
    Ok(Plan::on(day(bank, initiation.get("RequestedExecutionDateTime"), path)?, bank.today()))
}

/// Where the initiation of all that a file holds stands.
fn status(order: &Order, _: Timestamp) -> &'static str {
    match order.state {
        OrderState::Received | OrderState::Approved(_) | OrderState::Waiting(_) => "PDNG",
        OrderState::Executed(_) => "INCO",
        OrderState::Rejected(..) | OrderState::Cancelled(_) => "INFA",
    }
}

fn read(bank: &Bank, body: &Value) -> Result<Instruction, Refusal> {
    let initiation = initiation::of(body)?;
    let file = body.get(KEPT).and_then(Value::as_str);
    let file = file.ok_or_else(|| Refusal::bad("U009", "The file has not been uploaded"))?;
    let xml = initiation.get("FileType").is_some_and(|kind| kind == XML);
    let transfers = if xml { of_message(file)? } else { of_list(bank, file)? };
    Ok(Instruction { transfers, plan: plan(bank, initiation)? })
}

/// Takes the file of a consent.
pub(super) async fn upload(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(at): Extension<At>,
    Path(id): Path<String>,
    file: Bytes,
) -> Result<StatusCode, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?.to_owned();
    caller.token(&bank, "payments")?;
    let key = idempotency_key(&caller, &organisation, &format!("file-of-{id}"))?;
    demand(&bank, &caller, &file)?;
    let consent = at.own_consent(&bank, &organisation, &id)?;
    if replayed(&bank, &caller, &key).is_some() {
        return Ok(StatusCode::OK);
    }
    let uploaded = || Refusal::bad("U009", "The consent does not await its file");
    let mut body = consent.body;
    let initiation = initiation::of(&body)?;
    if initiation.get("FileHash") != Some(&json!(STANDARD.encode(crypto::digest::sha256(&file)))) {
        return Err(Refusal::field("U002", "The file is another", "Data.Initiation.FileHash"));
    }
    let text = std::str::from_utf8(&file).map_err(|_| unreadable())?.to_owned();
    if let Some(members) = body.as_object_mut() {
        members.insert(KEPT.to_owned(), text.into());
    }
    let asked = read(&bank, &body)?;
    adds_up(initiation::of(&body)?, &asked)?;
    let now = bank.now();
    bank.vault.change(|book| {
        let consent = book.consents.get_mut(&id).filter(|it| it.state == ConsentState::Incomplete);
        let consent = consent.ok_or_else(uploaded)?;
        consent.body = body;
        consent.becomes(ConsentState::Awaiting, now);
        remember(book, key, &id, now);
        Ok::<_, Refusal>(())
    })?;
    bank.vault.keep().await?;
    Ok(StatusCode::OK)
}

/// What became of each payment of a file, in pain.002; there is none until it was processed.
pub(super) async fn report(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Extension(at): Extension<At>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let organisation = caller.organisation(Psd2Role::PaymentInitiation)?;
    caller.token(&bank, "payments")?;
    let order = own_order(&bank, organisation, &id, at.service.product)?;
    if order.is_open() {
        return Err(Refusal::not_found());
    }
    let now = bank.now();
    let reference = order.body.pointer("/Data/Initiation/FileReference").and_then(Value::as_str);
    let message = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.002.001.10\"><CstmrPmtStsRpt>\
         <GrpHdr><MsgId>{}</MsgId><CreDtTm>{now}</CreDtTm></GrpHdr>\
         <OrgnlGrpInfAndSts><OrgnlMsgId>{}</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.08</OrgnlMsgNmId>\
         </OrgnlGrpInfAndSts>{}</CstmrPmtStsRpt></Document>",
        escape(id.as_str()),
        escape(reference.unwrap_or("NOTPROVIDED")),
        statuses(&order, now),
    );
    Ok(signed_as(&bank, StatusCode::OK, "application/xml", message))
}

/// `NumberOfTransactions` and `ControlSum`, where they are stated, are those of the file.
fn adds_up(initiation: &Value, asked: &Instruction) -> Result<(), Refusal> {
    let number = initiation.get("NumberOfTransactions");
    let number = number.map(|number| number.as_str().and_then(|number| number.parse().ok()));
    if number.is_some_and(|number| number != Some(asked.transfers.len())) {
        let path = "Data.Initiation.NumberOfTransactions";
        return Err(Refusal::field("U002", "The file has another number of payments", path));
    }
    let told = initiation.get("ControlSum").map(|sum| sum.to_string().parse::<Decimal>());
    if told.is_some_and(|told| told != Ok(asked.total())) {
        return Err(Refusal::field("U002", "The file has another sum", "Data.Initiation.ControlSum"));
    }
    Ok(())
}

fn unreadable() -> Refusal {
    Refusal::bad("U010", "The file cannot be read")
}

/// The payments of a list of initiations in JSON.
fn of_list(bank: &Bank, file: &str) -> Result<Vec<Transfer>, Refusal> {
    let file: Value = serde_json::from_str(file).map_err(|_| unreadable())?;
    let list = file.as_array().or_else(|| file.pointer("/Data/DomesticPayments")?.as_array());
    let list = list.filter(|list| !list.is_empty()).ok_or_else(unreadable)?;
    list.iter().map(|each| initiation::transfer(bank, each)).collect()
}

/// The payments of a pain.001 message.
fn of_message(file: &str) -> Result<Vec<Transfer>, Refusal> {
    let message = Message::read(file, NAMESPACE).filter(Message::adds_up).ok_or_else(unreadable)?;
    (0..message.transfers).map(|number| of_transfer(&message, number).ok_or_else(unreadable)?).collect()
}

fn of_transfer(message: &Message, number: usize) -> Option<Result<Transfer, Refusal>> {
    let at = |name: &str| message.transfer(number, name);
    let (scheme, account) = match at("CdtrAcct/Id/IBAN") {
        Some(iban) => ("UK.OBIE.IBAN", iban),
        None => ("UK.OBIE.SortCodeAccountNumber", at("CdtrAcct/Id/Othr/Id")?),
    };
    let initiation = json!({
        "EndToEndIdentification": at("PmtId/EndToEndId")?,
        "CreditorAccount": { "SchemeName": scheme, "Identification": account, "Name": at("Cdtr/Nm")? },
        "RemittanceInformation": at("RmtInf/Ustrd"),
    });
    let amount = json!({ "Amount": at("Amt/InstdAmt")?, "Currency": at("Amt/InstdAmt/@Ccy")? });
    let money = initiation::money(Some(&amount), "Data.Initiation");
    Some(money.and_then(|(amount, currency)| initiation::named(&initiation, amount, currency)))
}
