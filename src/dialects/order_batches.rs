//! Batches in every standard: where they go, in which words, and what comes back.

use connect::{BankErrorKind, BankPaymentIds, Dialect, FileReport, PaymentReport};
use domain::{
    AccountIdentification, BatchOrder, Execution, IsoPaymentStatus, Money, PaymentOrder, PaymentScheme,
    SortCodeAccount,
};
use serde_json::{Value, json};

use crate::order_kinds::{held, profile, token};
use crate::world::{answer, order, redirects, sent};
use crate::{BerlinGroup, PolishApi, Stet, UkOpenBanking};

fn batch(scheme: PaymentScheme, currency: &str) -> BatchOrder {
    let transfer = |number: u8, amount: &str| PaymentOrder {
        scheme,
        amount: Money::parse(amount, currency.parse().unwrap()).unwrap(),
        end_to_end_id: format!("E2E-{number}").into(),
        instruction_id: format!("I-{number}"),
        ..order()
    };
    BatchOrder {
        instruction_id: "B-1".into(),
        debtor_account: Some(AccountIdentification::Iban("DE89370400440532013000".parse().unwrap())),
        scheme,
        execution: Execution::On("2026-07-31".parse().unwrap()),
        batch_booking: Some(true),
        transfers: vec![transfer(1, "10.00"), transfer(2, "5.50")],
    }
}

fn in_pounds() -> BatchOrder {
    let account = SortCodeAccount::new("20-00-00", "55779911").unwrap();
    let mut batch = batch(PaymentScheme::FasterPayments, "GBP");
    for transfer in &mut batch.transfers {
        transfer.creditor_account = AccountIdentification::SortCode(account.clone());
    }
    batch
}

fn lodged(dialect: &dyn Dialect, version: &str, batch: &BatchOrder) -> (String, Value) {
    let (profile, token) = (profile(dialect, version), token());
    let request = dialect.batches().unwrap().lodge(&held(&profile, &token), batch, &redirects()).unwrap();
    (request.url.path().trim_start_matches("/base").to_owned(), sent(&request))
}

/// What is read of an answer about an order that the bank holds.
fn read(dialect: &dyn Dialect, batch: &BatchOrder, body: &Value) -> Result<PaymentReport, BankErrorKind> {
    let (profile, token) = (profile(dialect, "4.0"), token());
    let ids = BankPaymentIds { lodged: "c-1".into(), payment: Some("p-1".into()) };
    let batches = dialect.batches().unwrap();
    let report = batches.status_read(&held(&profile, &token), &ids, batch, &answer(200, &[], body));
    report.map_err(|error| error.kind)
}

/// Status and reason of every transfer.
fn each(report: &PaymentReport) -> Vec<(usize, &'static str, Option<&str>)> {
    let one = |transfer: &connect::TransferReport| transfer.status.as_str();
    report.transfers.iter().map(|of| (of.index, one(of), of.iso_reason.as_deref())).collect()
}

#[test]
fn a_uk_file_follows_the_consent_that_names_its_digest() {
    let batch = in_pounds();
    let (path, body) = lodged(&UkOpenBanking, "4.0", &batch);
    assert_eq!(path, "/file-payment-consents");
    let initiation = &body["Data"]["Initiation"];
    assert_eq!(initiation["NumberOfTransactions"], "2");
    assert_eq!(initiation["ControlSum"], json!(15.5));
    assert_eq!(initiation["RequestedExecutionDateTime"], "2026-07-31T00:00:00+00:00");

    let (profile, token) = (profile(&UkOpenBanking, "4.0"), token());
    let (cx, batches) = (held(&profile, &token), UkOpenBanking.batches().unwrap());
    let upload = batches.filling().unwrap().fill(&cx, "c-1", &batch).unwrap();
    assert_eq!(upload.url.path(), "/base/file-payment-consents/c-1/file");
    let file = upload.body.clone().unwrap();
    let digest =
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, crypto::digest::sha256(&file));
    assert_eq!(initiation["FileHash"], digest);
    let file: Value = serde_json::from_slice(&file).unwrap();
    assert_eq!(file["Data"]["DomesticPayments"][1]["EndToEndIdentification"], "E2E-2");

    let submit = batches.submit(&cx, "c-1", &batch).unwrap().unwrap();
    assert_eq!(sent(&submit)["Data"]["Initiation"], *initiation);
    // Another digest is another file.
    let mut other = initiation.clone();
    other["FileHash"] = json!("bm90aGluZw==");
    let body = |initiation: &Value| json!({ "Data": { "FilePaymentId": "p-1", "Status": "INCO", "Initiation": initiation } });
    let report = read(&UkOpenBanking, &batch, &body(initiation)).unwrap();
    assert_eq!((report.status, report.last_word), (Some(IsoPaymentStatus::InitiationCompleted), true));
    assert_eq!(read(&UkOpenBanking, &batch, &body(&other)), Err(BankErrorKind::EchoMismatch));
}

/// What is read of the report on a file.
fn reported(batch: &BatchOrder, status: u16, entries: &str) -> Result<PaymentReport, BankErrorKind> {
    let (profile, token) = (profile(&UkOpenBanking, "4.0"), token());
    let body = format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.002.001.10\"><CstmrPmtStsRpt>\
         <OrgnlPmtInfAndSts>{entries}</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>"
    );
    let mut response = answer(status, &[], &Value::Null);
    response.body = body.into();
    let reporting = UkOpenBanking.batches().unwrap().reporting().unwrap();
    let transfers = reporting.report_read(&held(&profile, &token), batch, &response);
    transfers
        .map(|transfers| PaymentReport { transfers, ..PaymentReport::default() })
        .map_err(|error| error.kind)
}

fn entry(names: &str, status: &str) -> String {
    format!("<TxInfAndSts>{names}<TxSts>{status}</TxSts></TxInfAndSts>")
}

#[test]
fn a_uk_file_is_reported_on_by_the_names_of_its_payments() {
    let batch = in_pounds();
    let first = "<OrgnlInstrId>I-1</OrgnlInstrId><OrgnlEndToEndId>E2E-1</OrgnlEndToEndId>";
    let second = "<OrgnlEndToEndId>E2E-2</OrgnlEndToEndId>";
    let reason = "<TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd></Rsn></StsRsnInf><OrgnlTxRef>\
                  <Amt><InstdAmt Ccy=\"GBP\">5.5</InstdAmt></Amt></OrgnlTxRef>";
    let rejected = format!("<TxInfAndSts>{second}{reason}</TxInfAndSts>");
    let report = reported(&batch, 200, &format!("{rejected}{}", entry(first, "ACSC"))).unwrap();
    assert_eq!(each(&report), [(1, "RJCT", Some("AC04")), (0, "ACSC", None)]);
    // Of a payment that it leaves out, or has no status or name of, nothing is believed.
    let nothing = format!("<TxInfAndSts>{second}</TxInfAndSts>{}", entry("", "ACSC"));
    let report = reported(&batch, 200, &format!("{}{nothing}", entry(first, "ACSP"))).unwrap();
    assert_eq!(each(&report), [(0, "ACSP", None)]);
    let mut twins = batch.clone();
    twins.transfers[1].end_to_end_id = "E2E-1".into();
    let both = entry("<OrgnlEndToEndId>E2E-1</OrgnlEndToEndId>", "ACSC");
    assert!(each(&reported(&twins, 200, &both).unwrap()).is_empty(), "it is either's");
    assert!(each(&reported(&batch, 404, "").unwrap()).is_empty(), "there is no report yet");
}

#[test]
fn a_report_on_another_file_or_none_at_all_is_not_believed() {
    let batch = in_pounds();
    let ours = entry("<OrgnlEndToEndId>E2E-1</OrgnlEndToEndId>", "ACSC");
    let amount = |amount| {
        let amount = format!("<InstdAmt Ccy=\"GBP\">{amount}</InstdAmt>");
        let of = format!("<OrgnlTxRef><Amt>{amount}</Amt></OrgnlTxRef>");
        ours.replace("</TxInfAndSts>", &format!("{of}</TxInfAndSts>"))
    };
    let (mismatch, malformed) = (BankErrorKind::EchoMismatch, BankErrorKind::MalformedResponse);
    let other = "<OrgnlInstrId>I-9</OrgnlInstrId><OrgnlEndToEndId>E2E-2</OrgnlEndToEndId>";
    for (entries, kind) in [
        (format!("{ours}{}", entry(other, "ACSC")), mismatch),
        (format!("{ours}{}", entry("<OrgnlEndToEndId>E2E-3</OrgnlEndToEndId>", "ACSC")), mismatch),
        (amount("10.01"), mismatch),
        (format!("{ours}{}", ours.replace("ACSC", "RJCT")), mismatch),
        (amount("ten"), malformed),
        (ours.replace("ACSC", "DONE"), malformed),
        (format!("{ours}<TxInfAndSts>"), malformed),
        (format!("{ours}&file;"), malformed),
    ] {
        assert_eq!(reported(&batch, 200, &entries).unwrap_err(), kind, "{entries}");
    }
    assert_eq!(reported(&batch, 500, &ours).unwrap_err(), BankErrorKind::BankFailed);
}

#[test]
fn a_uk_bank_is_asked_for_a_report_by_profile_only_and_not_for_ever() {
    let (batch, token) = (in_pounds(), token());
    let mut profile = profile(&UkOpenBanking, "4.0");
    let standing = |profile: &connect::Profile, status: &str| {
        let data = json!({ "FilePaymentId": "p/1", "Status": status, "StatusUpdateDateTime": "2026-07-01T00:00:00Z" });
        let ids = BankPaymentIds { lodged: "c-1".into(), payment: Some("p-1".into()) };
        let response = answer(200, &[], &json!({ "Data": data }));
        let at = |now: &str| connect::CallContext { now: now.parse().unwrap(), ..held(profile, &token) };
        let read = |now: &str| {
            let batches = UkOpenBanking.batches().unwrap();
            batches.status_read(&at(now), &ids, &batch, &response).unwrap()
        };
        let report = read("2026-08-06T23:59:59Z");
        let asked = UkOpenBanking.batches().unwrap().reporting().unwrap();
        let asked = asked.report(&held(profile, &token), &report).map(|request| request.unwrap());
        let path = asked.map(|request| request.url.path().to_owned());
        (path, report.last_word, read("2026-08-07T00:00:00Z").last_word, report.status)
    };
    let taken = Some(IsoPaymentStatus::InitiationCompleted);
    assert_eq!(standing(&profile, "INCO"), (None, true, true, taken));
    profile.uk_open_banking.file_report = Some(FileReport::Pain002);
    let path = Some("/base/file-payments/p%2F1/report-file".to_owned());
    // Its day is the last of July.
    assert_eq!(standing(&profile, "InitiationCompleted"), (path, false, true, taken));
    for failed in ["INFA", "InitiationFailed"] {
        assert_eq!(standing(&profile, failed), (None, false, false, Some(IsoPaymentStatus::Rejected)));
    }
}

#[test]
fn a_berlin_bulk_has_one_debtor_and_day_and_each_payment_its_status() {
    let batch = batch(PaymentScheme::SepaCreditTransfer, "EUR");
    let (path, body) = lodged(&BerlinGroup, "1.3", &batch);
    assert_eq!(path, "/bulk-payments/sepa-credit-transfers");
    assert_eq!(body["requestedExecutionDate"], "2026-07-31");
    assert_eq!(body["batchBookingPreferred"], true);
    assert_eq!(body["debtorAccount"], json!({ "iban": "DE89370400440532013000" }));
    let payments = body["payments"].as_array().unwrap();
    assert!(payments.iter().all(|payment| payment.get("debtorAccount").is_none()));
    let mut told = body.clone();
    told["transactionStatus"] = json!("PART");
    told["payments"][0]["transactionStatus"] = json!("ACSC");
    told["payments"][1]["transactionStatus"] = json!("RJCT");
    told["payments"][1]["reasonCode"] = json!("AC04");
    let report = read(&BerlinGroup, &batch, &told).unwrap();
    assert_eq!(report.status, Some(IsoPaymentStatus::PartiallyAccepted));
    assert_eq!(each(&report), [(0, "ACSC", None), (1, "RJCT", Some("AC04"))]);
    told["payments"][1]["instructedAmount"]["amount"] = json!("5.51");
    assert_eq!(read(&BerlinGroup, &batch, &told), Err(BankErrorKind::EchoMismatch));
    told["payments"].as_array_mut().unwrap().pop();
    assert_eq!(read(&BerlinGroup, &batch, &told), Err(BankErrorKind::EchoMismatch));
}

#[test]
fn a_berlin_bulk_says_who_pays() {
    let batch = BatchOrder { debtor_account: None, ..batch(PaymentScheme::SepaCreditTransfer, "EUR") };
    let (profile, token) = (profile(&BerlinGroup, "1.3"), token());
    let refused = BerlinGroup.batches().unwrap().lodge(&held(&profile, &token), &batch, &redirects());
    let refused = refused.unwrap_err();
    assert_eq!(
        (refused.kind, refused.field.as_deref()),
        (BankErrorKind::InvalidRequest, Some("debtor_account"))
    );
}

#[test]
fn a_bulk_in_xml_is_one_message_with_all_transfers() {
    let batch = batch(PaymentScheme::SepaCreditTransfer, "EUR");
    let mut profile = profile(&BerlinGroup, "1.3");
    profile.berlin_group.payment_products = vec!["pain.001-sepa-credit-transfers".into()];
    let token = token();
    let request =
        BerlinGroup.batches().unwrap().lodge(&held(&profile, &token), &batch, &redirects()).unwrap();
    let message = String::from_utf8(request.body.unwrap().to_vec()).unwrap();
    for part in [
        "<NbOfTxs>2</NbOfTxs><CtrlSum>15.50</CtrlSum>",
        "<BtchBookg>true</BtchBookg>",
        "<ReqdExctnDt>2026-07-31</ReqdExctnDt>",
        "<EndToEndId>E2E-1</EndToEndId>",
        "<EndToEndId>E2E-2</EndToEndId>",
    ] {
        assert!(message.contains(part), "{part} in {message}");
    }
}

#[test]
fn a_stet_request_names_the_creditor_of_each_transfer() {
    let batch = batch(PaymentScheme::SepaCreditTransfer, "EUR");
    let (path, body) = lodged(&Stet, "1.4", &batch);
    assert_eq!(path, "/payment-requests");
    assert_eq!(body["numberOfTransactions"], 2);
    assert!(body.get("beneficiary").is_none());
    let transfers = body["creditTransferTransaction"].as_array().unwrap();
    assert!(transfers.iter().all(|transfer| transfer["beneficiary"]["creditorAccount"]["iban"].is_string()));
    let mut told = body.clone();
    told["paymentInformationStatus"] = json!("ACSP");
    told["creditTransferTransaction"][0]["transactionStatus"] = json!("RJCT");
    told["creditTransferTransaction"][0]["statusReasonInformation"] = json!("AC01");
    let report = read(&Stet, &batch, &json!({ "paymentRequest": told })).unwrap();
    assert_eq!(each(&report), [(0, "RJCT", Some("AC01"))]);
    told["creditTransferTransaction"][1]["beneficiary"]["creditorAccount"]["iban"] =
        json!("DE89370400440532013000");
    assert_eq!(read(&Stet, &batch, &json!({ "paymentRequest": told })), Err(BankErrorKind::EchoMismatch));
}

#[test]
fn a_polish_bundle_is_authorised_and_ordered_in_the_same_words() {
    let batch = batch(PaymentScheme::Elixir, "PLN");
    let (_, body) = lodged(&PolishApi, "2.1", &batch);
    let asked = &body["scope_details"]["privilegeList"][0]["pis:bundle"];
    assert_eq!(asked["transfersTotalAmount"], "15.50");
    assert_eq!(asked["typeOfTransfers"], "domestic");
    let (profile, token) = (profile(&PolishApi, "2.1"), token());
    let submit = PolishApi.batches().unwrap().submit(&held(&profile, &token), "c", &batch).unwrap().unwrap();
    let ordered = sent(&submit);
    assert_eq!(ordered["domesticTransfers"], asked["domesticTransfers"]);
    assert_eq!(ordered["tppBundleId"], "B-1");
    let payment = |name: &str, status: &str, detail: &str| json!({ "paymentId": "x", "tppTransactionId": name, "generalStatus": status, "detailedStatus": detail });
    let told = |second: &str| {
        json!({
            "bundleId": "p-1", "tppBundleId": "B-1", "bundleStatus": "partiallyDone",
            "payments": [payment(second, "rejected", "AC01"), payment("I-1", "done", "x")],
        })
    };
    let report = read(&PolishApi, &batch, &told("I-2")).unwrap();
    assert_eq!(each(&report), [(1, "RJCT", Some("AC01")), (0, "ACSC", None)]);
    assert_eq!(read(&PolishApi, &batch, &told("I-9")), Err(BankErrorKind::EchoMismatch));
}
