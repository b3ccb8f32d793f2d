use domain::InstitutionId;

use super::*;

fn bank() -> InstitutionId {
    "de-examplebank".parse().unwrap()
}

/// A message of this kind with these entries.
fn message(message: &str, part: &str, entries: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:x\">\
         <{message}><GrpHdr><MsgId>1</MsgId></GrpHdr><{part}>{entries}</{part}></{message}></Document>"
    )
}

/// A booked debit with these details.
fn entry(amount: &str, details: &str) -> String {
    format!(
        "<Ntry><NtryRef>batch-1</NtryRef><Amt Ccy=\"EUR\">{amount}</Amt><CdtDbtInd>DBIT</CdtDbtInd>\
         <Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2026-03-02</Dt></BookgDt><AcctSvcrRef>svc-1</AcctSvcrRef>\
         <NtryDtls>{details}</NtryDtls></Ntry>"
    )
}

/// One transaction of a batch.
fn part(amount: &str, way: &str, name: &str) -> String {
    format!(
        "<TxDtls><Refs><EndToEndId>{name}-e2e</EndToEndId></Refs>{amount}<CdtDbtInd>{way}</CdtDbtInd>\
         <RltdPties><Cdtr><Pty><Nm>{name}</Nm></Pty></Cdtr></RltdPties>\
         <RmtInf><Ustrd>for {name}</Ustrd></RmtInf></TxDtls>"
    )
}

fn euros(amount: &str) -> String {
    format!("<Amt Ccy=\"EUR\">{amount}</Amt>")
}

fn statement(entries: &str) -> Vec<Transaction> {
    transactions(&bank(), message("BkToCstmrStmt", "Stmt", entries).as_bytes()).unwrap()
}

/// A transaction as its amount, its direction and its payee.
fn told(transaction: &Transaction) -> (String, CreditDebit, Option<&str>) {
    (transaction.amount.to_string(), transaction.direction, transaction.creditor_name.as_deref())
}

/// ISO 20022 camt.052, camt.053 and camt.054 share their entries.
#[test]
fn reports_statements_and_notifications_are_read_alike() {
    let entries = entry("12.50", &part(&euros("12.50"), "DBIT", "Grocer"));
    let read: Vec<_> =
        [("BkToCstmrAcctRpt", "Rpt"), ("BkToCstmrStmt", "Stmt"), ("BkToCstmrDbtCdtNtfctn", "Ntfctn")]
            .map(|(kind, part)| transactions(&bank(), message(kind, part, &entries).as_bytes()).unwrap())
            .into();
    for found in &read {
        assert_eq!(found, &read[0]);
        let [found] = found.as_slice() else { panic!("one entry") };
        assert_eq!(told(found), ("12.50 EUR".into(), CreditDebit::Debit, Some("Grocer")));
        assert_eq!(found.bank_transaction_id.as_deref(), Some("svc-1"));
        assert_eq!(found.entry_reference.as_deref(), Some("batch-1"));
        assert_eq!(found.end_to_end_id.as_deref(), Some("Grocer-e2e"));
        assert_eq!(found.remittance, ["for Grocer"]);
    }
    assert!(transactions(&bank(), message("BkToCstmrOther", "Rpt", &entries).as_bytes()).is_err());
}

/// One line of a statement that pays three people is three payments, one of them sent
/// back, and no identifier of the line stands for any of them.
#[test]
fn a_batch_is_told_payment_by_payment_where_the_bank_tells_the_amounts() {
    let older = format!("<AmtDtls><TxAmt>{}</TxAmt></AmtDtls>", euros("30.00"));
    let parts = [
        part(&euros("80.00"), "DBIT", "Ann"),
        part(&older, "DBIT", "Bob"),
        part(&euros("10.00"), "CRDT", "Cy"),
    ];
    let found = statement(&entry("100.00", &parts.concat()));
    let all: Vec<_> = found.iter().map(told).collect();
    assert_eq!(
        all,
        [
            ("80.00 EUR".into(), CreditDebit::Debit, Some("Ann")),
            ("30.00 EUR".into(), CreditDebit::Debit, Some("Bob")),
            ("10.00 EUR".into(), CreditDebit::Credit, Some("Cy")),
        ]
    );
    for transaction in &found {
        assert_eq!((&transaction.bank_transaction_id, &transaction.entry_reference), (&None, &None));
    }
}

/// A reference that several parts of a batch share would make them one payment.
#[test]
fn a_part_of_a_batch_keeps_only_a_reference_of_its_own() {
    let parts = [("Ann", "a"), ("Bob", "same"), ("Cy", "same"), ("Di", "svc-1")].map(|(name, reference)| {
        let part = part(&euros("25.00"), "DBIT", name);
        part.replace("<Refs>", &format!("<Refs><AcctSvcrRef>{reference}</AcctSvcrRef>"))
    });
    let found = statement(&entry("100.00", &parts.concat()));
    let ids: Vec<_> = found.iter().map(|found| found.bank_transaction_id.as_deref()).collect();
    assert_eq!(ids, [Some("a"), None, None, None]);
}

/// A batch whose parts do not come to its amount, or have none, is one amount of
/// nobody in particular: the first of many payees is not its payee.
#[test]
fn a_batch_without_its_amounts_is_one_and_of_nobody() {
    let unequal = [part(&euros("80.00"), "DBIT", "Ann"), part(&euros("30.00"), "DBIT", "Bob")].concat();
    let silent = [part("", "DBIT", "Ann"), part(&euros("100.00"), "DBIT", "Bob")].concat();
    let foreign =
        [part("<Amt Ccy=\"PLN\">70.00</Amt>", "DBIT", "Ann"), part(&euros("30.00"), "DBIT", "Bob")].concat();
    for parts in [unequal, silent, foreign] {
        let found = statement(&entry("100.00", &parts));
        let [found] = found.as_slice() else { panic!("one entry") };
        assert_eq!(told(found), ("100.00 EUR".into(), CreditDebit::Debit, None));
        assert_eq!(found.bank_transaction_id.as_deref(), Some("svc-1"));
        assert!(found.remittance.is_empty() && found.end_to_end_id.is_none());
    }
}

/// The place of what cannot be read counts entries, not the transactions in them.
#[test]
fn an_entry_that_cannot_be_read_is_named() {
    let batch =
        entry("3.00", &[part(&euros("1.00"), "DBIT", "Ann"), part(&euros("2.00"), "DBIT", "Bob")].concat());
    let broken = batch.replace("BOOK", "DONE");
    let error = transactions(&bank(), message("BkToCstmrStmt", "Stmt", &[batch, broken].concat()).as_bytes())
        .unwrap_err();
    assert_eq!(error.field.as_deref(), Some("/Stmt/Ntry/1/Sts"));
}

#[test]
fn a_document_type_is_refused_before_it_can_expand() {
    let bomb = b"<?xml version=\"1.0\"?><!DOCTYPE d [<!ENTITY a \"aaaa\">]><Document>&a;</Document>";
    assert!(transactions(&bank(), bomb).is_err());
    let deep = format!("{}{}", "<a>".repeat(10_000), "</a>".repeat(10_000));
    assert!(transactions(&bank(), deep.as_bytes()).is_err());
}
