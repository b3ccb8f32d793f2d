//! The message, whole.

use super::*;
use crate::world::{context, order};
use connect::Profile;

fn profile() -> Profile {
    Profile::blank("de-examplebank".parse().unwrap(), "Example", "eu".parse().unwrap(), "berlin-group")
}

fn ordered() -> PaymentOrder {
    let debtor = AccountIdentification::Iban("DE89370400440532013000".parse().unwrap());
    PaymentOrder { debtor_account: Some(debtor), ..order() }
}

/// ISO 20022 pain.001.001.03: every element where the schema has it.
#[test]
fn a_transfer_is_one_message_with_one_payment() {
    let profile = profile();
    let cx = context(&profile);
    let mut order = ordered();
    order.creditor_name = "Müller & <Söhne>".into();
    let id = cx.request_id.simple();
    let day = cx.now.to_zoned(TimeZone::UTC).date();
    let at = cx.now.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let expected = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.03\"><CstmrCdtTrfInitn>\
         <GrpHdr><MsgId>{id}</MsgId><CreDtTm>{at}</CreDtTm><NbOfTxs>1</NbOfTxs><CtrlSum>123.50</CtrlSum>\
         <InitgPty><Nm>NOTPROVIDED</Nm></InitgPty></GrpHdr>\
         <PmtInf><PmtInfId>{id}</PmtInfId><PmtMtd>TRF</PmtMtd>\
         <PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl><LclInstrm><Cd>INST</Cd></LclInstrm></PmtTpInf>\
         <ReqdExctnDt>{day}</ReqdExctnDt><Dbtr><Nm>NOTPROVIDED</Nm></Dbtr>\
         <DbtrAcct><Id><IBAN>DE89370400440532013000</IBAN></Id></DbtrAcct>\
         <DbtrAgt><FinInstnId><Othr><Id>NOTPROVIDED</Id></Othr></FinInstnId></DbtrAgt>\
         <ChrgBr>SLEV</ChrgBr><CdtTrfTxInf>\
         <PmtId><InstrId>I-1</InstrId><EndToEndId>E2E-1</EndToEndId></PmtId>\
         <Amt><InstdAmt Ccy=\"EUR\">123.50</InstdAmt></Amt>\
         <Cdtr><Nm>Müller &amp; &lt;Söhne&gt;</Nm></Cdtr>\
         <CdtrAcct><Id><IBAN>DE02120300000000202051</IBAN></Id></CdtrAcct>\
         <RmtInf><Ustrd>Invoice 7</Ustrd></RmtInf>\
         </CdtTrfTxInf></PmtInf></CstmrCdtTrfInitn></Document>"
    );
    assert_eq!(credit_transfers(&cx, &Payment::of(&order)).unwrap(), expected);
}

/// EPC132-08: a creditor reference is structured, and a transfer that is not instant
/// says nothing of its kind.
#[test]
fn a_reference_and_a_plain_transfer_are_written_as_such() {
    let profile = profile();
    let mut order = ordered();
    order.scheme = PaymentScheme::SepaCreditTransfer;
    order.remittance.unstructured = None;
    order.remittance.reference = Some("RF18539007547034".into());
    let message = credit_transfers(&context(&profile), &Payment::of(&order)).unwrap();
    let reference = "<RmtInf><Strd><CdtrRefInf><Tp><CdOrPrtry><Cd>SCOR</Cd></CdOrPrtry></Tp>\
                     <Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf>";
    assert!(message.contains(reference) && !message.contains("LclInstrm"), "{message}");
    order.remittance.reference = None;
    assert!(!credit_transfers(&context(&profile), &Payment::of(&order)).unwrap().contains("RmtInf"));
}

#[test]
fn a_transfer_from_no_account_or_to_no_iban_is_refused() {
    let profile = profile();
    let cx = context(&profile);
    let error = credit_transfers(&cx, &Payment::of(&order())).unwrap_err();
    assert_eq!((error.kind, error.field.as_deref()), (BankErrorKind::InvalidRequest, Some("debtor_account")));
    let mut order = ordered();
    order.creditor_account = AccountIdentification::Bban("12345".into());
    let error = credit_transfers(&cx, &Payment::of(&order)).unwrap_err();
    assert_eq!((error.kind, error.field.as_deref()), (BankErrorKind::Unsupported, Some("creditor_account")));
}

#[test]
fn a_transfer_at_once_has_the_day_that_the_bank_wants() {
    let mut bank = profile();
    let day = |bank: &Profile| {
        let order = ordered();
        let text = credit_transfers(&context(bank), &Payment::of(&order)).unwrap();
        let (_, rest) = text.split_once("<ReqdExctnDt>").unwrap();
        rest[..10].to_owned()
    };
    assert_ne!(day(&bank), "1999-01-01");
    bank.berlin_group.pain_day_of_at_once = "1999-01-01".parse().ok();
    assert_eq!(day(&bank), "1999-01-01");
}
