//! Scheduled, standing, international and file payments of the UK bank.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod world;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consentry_modelbank::BankKind;
use domain::{Clock, Entropy, SystemEntropy, Timestamp};
use jiff::SignedDuration;
use rust_decimal::Decimal;
use serde_json::{Value, json};
use world::{Answer, Bank, Tpp, World, hidden, parameter};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-long";
const DAY: i64 = 86_400;

struct Scene {
    world: World,
    tpp: Tpp,
    bank: Bank,
    version: &'static str,
}

impl Scene {
    async fn new(version: &'static str) -> Self {
        let world = World::new();
        let tpp = world.both();
        let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
        Self { world, tpp, bank, version }
    }

    fn day(&self, later: i64) -> Timestamp {
        self.world.clock.now().checked_add(SignedDuration::from_secs(later * DAY)).unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("{}/open-banking/{}/pisp{path}", self.bank.running.api_url, self.version)
    }

    async fn send(&self, path: &str, token: &str, key: &str, body: &str) -> Answer {
        let sealed = self.tpp.sealed(self.world.clock.now().as_second(), body);
        let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", key)];
        self.tpp.uk(&self.bank, "POST", &self.url(path), token, &headers, body).await
    }

    /// Sends something that nothing before was like.
    async fn post(&self, path: &str, token: &str, body: &Value) -> Answer {
        self.send(path, token, &SystemEntropy.uuid_v4().to_string(), &body.to_string()).await
    }

    async fn client(&self) -> String {
        self.tpp.client_token(&self.bank, "payments").await
    }

    async fn get(&self, path: &str) -> Answer {
        let token = self.client().await;
        self.tpp.uk(&self.bank, "GET", &self.url(path), &token, &[], "").await.expect(200)
    }

    async fn consent(&self, name: &str, body: &Value) -> Answer {
        self.post(&format!("/{name}-consents"), &self.client().await, body).await
    }

    /// The customer's token for a consent.
    async fn approved(&self, consent: &str) -> String {
        let url = self.tpp.push(&self.bank, consent, "openid payments", VERIFIER).await;
        let back = self.world.browser().send("GET", &url, &[], "").await.expect(303);
        let code = parameter(&back, "code").unwrap();
        self.tpp.redeem(&self.bank, &code, VERIFIER).await.expect(200).at("/access_token")
    }

    /// Consent, approval and order, each sent twice; answers the order's path and the order.
    async fn placed(&self, name: &str, id: &str, body: &Value) -> (String, Answer) {
        let (path, client) = (format!("/{name}-consents"), self.client().await);
        let made = self.send(&path, &client, "c", &body.to_string()).await.expect(201);
        let again = self.send(&path, &client, "c", &body.to_string()).await.expect(201);
        let consent = made.at("/Data/ConsentId");
        assert_eq!(again.at("/Data/ConsentId"), consent);
        let token = self.approved(&consent).await;
        let order = ordered(&consent, body);
        let mut other = order.clone();
        other["Data"]["Initiation"]["CreditorAccount"]["Name"] = json!("Mallory");
        let refused = self.post(&format!("/{name}s"), &token, &other).await.expect(400);
        assert!(refused.text.contains("U008") || refused.text.contains("ConsentMismatch"));
        let placed = self.send(&format!("/{name}s"), &token, "o", &order.to_string()).await.expect(201);
        let twice = self.send(&format!("/{name}s"), &token, "o", &order.to_string()).await.expect(201);
        let id = placed.at(&format!("/Data/{id}"));
        assert!(twice.text.contains(&id));
        self.post(&format!("/{name}s"), &token, &order).await.expect(400);
        let status = self.get(&format!("/{name}-consents/{consent}")).await.at("/Data/Status");
        assert!(["COND", "Consumed"].contains(&status.as_str()), "{status}");
        (format!("/{name}s/{id}"), placed)
    }

    async fn status(&self, path: &str) -> String {
        self.get(path).await.at("/Data/Status")
    }

    /// What the transfers of this name moved.
    fn moved(&self, name: &str) -> Vec<Decimal> {
        let ledger = self.bank.running.ledger();
        let moved = ledger.iter().filter(|line| line.end_to_end_id == name && line.executed_at.is_some());
        moved.map(|line| line.amount).collect()
    }
}

fn ordered(consent: &str, body: &Value) -> Value {
    let mut order = body.clone();
    let data = order["Data"].as_object_mut().unwrap();
    data.remove("Permission");
    data.insert("ConsentId".into(), consent.into());
    order
}

fn payee() -> Value {
    json!({
        "SchemeName": "UK.OBIE.SortCodeAccountNumber",
        "Identification": "99001120000018",
        "Name": "Ben Okafor",
    })
}

fn pounds(amount: &str) -> Value {
    json!({"Amount": amount, "Currency": "GBP"})
}

fn pound(amount: i64) -> Decimal {
    Decimal::new(amount, 0)
}

fn initiation(name: &str, amount: &str) -> Value {
    json!({
        "InstructionIdentification": name,
        "EndToEndIdentification": name,
        "InstructedAmount": pounds(amount),
        "CreditorAccount": payee(),
    })
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn creating(initiation: Value) -> Value {
    json!({"Data": {"Permission": "Create", "Initiation": initiation}, "Risk": {}})
}

#[tokio::test]
async fn a_scheduled_payment_moves_money_once_on_its_day() {
    for (version, [waits, done]) in
        [("v4.0", ["ACCP", "ACSC"]), ("v3.1", ["InitiationPending", "InitiationCompleted"])]
    {
        let scene = Scene::new(version).await;
        let name = "domestic-scheduled-payment";
        let on = |day: Timestamp| {
            creating(with(
                initiation("later", "12.00"),
                json!({"RequestedExecutionDateTime": day.to_string()}),
            ))
        };
        let late = scene.consent(name, &on(scene.day(-1))).await.expect(400);
        assert!(late.text.contains("U003") || late.text.contains("UK.OBIE.Field.InvalidDate"));
        scene.consent(name, &creating(initiation("never", "12.00"))).await.expect(400);
        let mut nothing = on(scene.day(2));
        nothing["Data"].as_object_mut().unwrap().remove("Permission");
        scene.consent(name, &nothing).await.expect(400);
        let (path, _) = scene.placed(name, "DomesticScheduledPaymentId", &on(scene.day(2))).await;
        assert_eq!(scene.status(&path).await, waits);
        assert!(scene.moved("later").is_empty());
        scene.world.clock.advance(2 * DAY);
        assert_eq!(scene.status(&path).await, done);
        scene.world.clock.advance(9 * DAY);
        assert_eq!(scene.moved("later"), [pound(12)]);
        scene.bank.stop().await;
    }
}

#[tokio::test]
async fn a_consent_to_one_type_of_payment_is_good_for_no_other() {
    let scene = Scene::new("v4.0").await;
    let later = json!({"RequestedExecutionDateTime": scene.day(2).to_string()});
    let body = creating(with(initiation("later", "12.00"), later));
    let made = scene.consent("domestic-scheduled-payment", &body).await.expect(201);
    let consent = made.at("/Data/ConsentId");
    let token = scene.approved(&consent).await;
    let order = ordered(&consent, &body);
    let refused = scene.post("/domestic-payments", &token, &order).await.expect(400);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "U009");
    let url = scene.url(&format!("/domestic-payment-consents/{consent}/funds-confirmation"));
    scene.tpp.uk(&scene.bank, "GET", &url, &token, &[], "").await.expect(400);
    scene.post("/domestic-scheduled-payments", &token, &order).await.expect(201);
    assert!(scene.moved("later").is_empty());
    scene.bank.stop().await;
}

#[tokio::test]
async fn a_scheduled_payment_without_funds_is_rejected_on_its_day() {
    let scene = Scene::new("v4.0").await;
    let day = json!({"RequestedExecutionDateTime": scene.day(1).to_string()});
    let body = creating(with(initiation("much", "99999.00"), day));
    let (path, _) = scene.placed("domestic-scheduled-payment", "DomesticScheduledPaymentId", &body).await;
    assert_eq!(scene.status(&path).await, "ACCP");
    scene.world.clock.advance(DAY);
    let rejected = scene.get(&path).await;
    assert_eq!(rejected.at("/Data/Status"), "RJCT");
    assert_eq!(rejected.at("/Data/StatusReason/0/StatusReasonCode"), "AM04");
    scene.bank.stop().await;
}

fn standing(first: Timestamp, frequency: Value) -> Value {
    creating(json!({
        "MandateRelatedInformation": {
            "MandateIdentification": "m-1",
            "FirstPaymentDateTime": first.to_string(),
            "Frequency": frequency,
        },
        "NumberOfPayments": "3",
        "FirstPaymentAmount": pounds("10.00"),
        "RecurringPaymentAmount": pounds("20.00"),
        "FinalPaymentAmount": pounds("30.00"),
        "CreditorAccount": payee(),
        "RemittanceInformation": {"Unstructured": ["Rent"]},
    }))
}

#[tokio::test]
async fn a_standing_order_moves_its_amounts_on_its_days() {
    let scene = Scene::new("v4.0").await;
    let name = "domestic-standing-order";
    for frequency in [
        json!({"Type": "ADHO"}),
        json!({"Type": "WEEK", "PointInTime": "08"}),
        json!({"Type": "MNTH", "CountPerPeriod": 3}),
        json!({"Type": "IntrvlMnthDay:07:15"}),
        json!({"Type": "IntrvlWkDay:01"}),
        json!({"Type": "QtrDay:WELSH"}),
    ] {
        let refused = scene.consent(name, &standing(scene.day(1), frequency)).await.expect(400);
        assert_eq!(refused.at("/Errors/0/ErrorCode"), "U025");
    }
    let mut dateless = standing(scene.day(1), json!({"Type": "WEEK"}));
    dateless["Data"]["Initiation"]["MandateRelatedInformation"]["FinalPaymentDateTime"] =
        json!(scene.day(0).to_string());
    scene.consent(name, &dateless).await.expect(400);
    for frequency in
        ["WEEK", "FRTN", "WODL", "MIAN", "YEAR", "EvryDay", "WkInMnthDay:02:03", "QtrDay:ENGLISH"]
    {
        scene.consent(name, &standing(scene.day(1), json!({"Type": frequency}))).await.expect(201);
    }
    let body = standing(scene.day(1), json!({"Type": "WEEK"}));
    let (path, _) = scene.placed(name, "DomesticStandingOrderId", &body).await;
    assert_eq!(scene.status(&path).await, "INCO");
    assert!(scene.moved("m-1").is_empty());
    scene.world.clock.advance(DAY);
    assert_eq!(scene.moved("m-1"), [pound(10)]);
    assert_eq!(scene.moved("m-1"), [pound(10)]);
    scene.world.clock.advance(90 * DAY);
    assert_eq!(scene.status(&path).await, "INCO");
    assert_eq!(scene.moved("m-1"), [pound(10), pound(20), pound(30)]);
    let details = scene.get(&format!("{path}/payment-details")).await;
    assert_eq!(details.json()["Data"]["PaymentStatus"].as_array().unwrap().len(), 3);
    scene.bank.stop().await;
}

#[tokio::test]
async fn a_standing_order_of_version_3_has_its_frequency_in_one_text() {
    let scene = Scene::new("v3.1").await;
    let name = "domestic-standing-order";
    let order = |frequency: &str| {
        creating(json!({
            "Frequency": frequency,
            "Reference": "rent-7",
            "FirstPaymentDateTime": scene.day(1).to_string(),
            "FirstPaymentAmount": pounds("10.00"),
            "FinalPaymentDateTime": scene.day(4).to_string(),
            "CreditorAccount": payee(),
        }))
    };
    let refused = scene.consent(name, &order("Sometimes")).await.expect(400);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "UK.OBIE.Unsupported.Frequency");
    let newer = standing(scene.day(1), json!({"Type": "WEEK"}));
    scene.consent(name, &newer).await.expect(400);
    let (path, placed) = scene.placed(name, "DomesticStandingOrderId", &order("EvryDay")).await;
    assert_eq!(placed.at("/Data/Status"), "InitiationCompleted");
    scene.world.clock.advance(90 * DAY);
    assert_eq!(scene.status(&path).await, "InitiationCompleted");
    assert_eq!(scene.moved("rent-7"), [pound(10); 4]);
    scene.bank.stop().await;
}

fn abroad(amount: Value, currency: &str) -> Value {
    let more = json!({
        "CurrencyOfTransfer": currency,
        "InstructedAmount": amount,
        "ChargeBearer": "Shared",
        "ExchangeRateInformation": {"UnitCurrency": currency, "RateType": "Actual"},
        "CreditorAgent": {"SchemeName": "UK.OBIE.BICFI", "Identification": "RHBADEFF"},
        "CreditorAccount": {
            "SchemeName": "UK.OBIE.IBAN",
            "Identification": "DE42999100002000000018",
            "Name": "Ben Yilmaz",
        },
    });
    json!({"Data": {"Initiation": with(initiation("abroad", "1.00"), more)}, "Risk": {}})
}

#[tokio::test]
async fn an_international_payment_is_exchanged_at_the_rate_it_was_told() {
    for (version, done) in [("v4.0", "ACSC"), ("v3.1", "AcceptedSettlementCompleted")] {
        let scene = Scene::new(version).await;
        let name = "international-payment";
        let euros = json!({"Amount": "100.00", "Currency": "EUR"});
        let body = abroad(euros.clone(), "EUR");
        for (member, value) in [
            ("CurrencyOfTransfer", json!("XAU")),
            ("ChargeBearer", json!("Nobody")),
            ("InstructedAmount", json!({"Amount": "1.00", "Currency": "XAU"})),
            ("ExchangeRateInformation", json!({"UnitCurrency": "EUR", "RateType": "Agreed"})),
        ] {
            let mut bad = body.clone();
            bad["Data"]["Initiation"][member] = value;
            scene.consent(name, &bad).await.expect(400);
        }
        let made = scene.consent(name, &body).await.expect(201);
        assert_eq!(made.at("/Data/ExchangeRateInformation/ExchangeRate"), "0.8621");
        let consent = made.at("/Data/ConsentId");
        let token = scene.approved(&consent).await;
        let url = scene.url(&format!("/{name}-consents/{consent}/funds-confirmation"));
        let funds = scene.tpp.uk(&scene.bank, "GET", &url, &token, &[], "").await.expect(200);
        assert_eq!(funds.at("/Data/FundsAvailableResult/FundsAvailable"), "true");
        let other = scene.url(&format!("/domestic-payment-consents/{consent}"));
        scene.tpp.uk(&scene.bank, "GET", &other, &scene.client().await, &[], "").await.expect(400);
        let (path, _) = scene.placed(name, "InternationalPaymentId", &body).await;
        scene.world.clock.advance(1);
        assert_eq!(scene.status(&path).await, done);
        assert_eq!(scene.moved("abroad"), [pound(100)]);
        scene.bank.stop().await;
    }
}

fn file_consent(kind: &str, file: &str, number: &str, sum: f64) -> Value {
    let digest = STANDARD.encode(crypto::digest::sha256(file.as_bytes()));
    json!({"Data": {"Initiation": {
        "FileType": kind,
        "FileHash": digest,
        "FileReference": "wages",
        "NumberOfTransactions": number,
        "ControlSum": sum,
    }}})
}

fn list() -> String {
    json!({"Data": {"DomesticPayments": [initiation("a", "10.00"), initiation("b", "4.04")]}}).to_string()
}

fn message() -> String {
    let transfer = |name: &str, amount: &str| {
        format!(
            "<CdtTrfTxInf><PmtId><EndToEndId>{name}</EndToEndId></PmtId>\
             <Amt><InstdAmt Ccy=\"GBP\">{amount}</InstdAmt></Amt><Cdtr><Nm>Ben Okafor</Nm></Cdtr>\
             <CdtrAcct><Id><Othr><Id>99001120000018</Id></Othr></Id></CdtrAcct></CdtTrfTxInf>"
        )
    };
    format!(
        "<Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.08\"><CstmrCdtTrfInitn>\
         <GrpHdr><MsgId>M-1</MsgId><NbOfTxs>2</NbOfTxs><CtrlSum>14.04</CtrlSum></GrpHdr>\
         <PmtInf><PmtMtd>TRF</PmtMtd>{}{}</PmtInf></CstmrCdtTrfInitn></Document>",
        transfer("a", "10.00"),
        transfer("b", "4.04"),
    )
}

#[tokio::test]
async fn a_file_is_uploaded_approved_and_paid_once() {
    for (version, kind, file, [upload, waits, done]) in [
        ("v4.0", "UK.OBIE.PaymentInitiation.4.0", list(), ["AWUP", "AWAU", "INCO"]),
        ("v4.0", "UK.OBIE.pain.001.001.08", message(), ["AWUP", "AWAU", "INCO"]),
        (
            "v3.1",
            "UK.OBIE.PaymentInitiation.3.1",
            list(),
            ["AwaitingUpload", "AwaitingAuthorisation", "InitiationCompleted"],
        ),
    ] {
        let scene = Scene::new(version).await;
        let (name, client) = ("file-payment", scene.client().await);
        let body = file_consent(kind, &file, "2", 14.04);
        let made = scene.consent(name, &body).await.expect(201);
        assert_eq!(made.at("/Data/Status"), upload);
        let consent = made.at("/Data/ConsentId");
        let place = format!("/{name}-consents/{consent}/file");
        scene.send(&place, &client, "f0", &file.replace("Ben", "Eve")).await.expect(400);
        for key in ["f1", "f1"] {
            scene.send(&place, &client, key, &file).await.expect(200);
        }
        scene.send(&place, &client, "f2", &file).await.expect(400);
        assert_eq!(scene.get(&format!("/{name}-consents/{consent}")).await.at("/Data/Status"), waits);
        let token = scene.approved(&consent).await;
        let order = ordered(&consent, &body);
        let placed = scene.send("/file-payments", &token, "o", &order.to_string()).await.expect(201);
        let id = placed.at("/Data/FilePaymentId");
        let twice = scene.send("/file-payments", &token, "o", &order.to_string()).await.expect(201);
        assert_eq!(twice.at("/Data/FilePaymentId"), id);
        assert_eq!(scene.status(&format!("/file-payments/{id}")).await, done);
        assert_eq!(scene.moved("a"), [pound(10)]);
        assert!(scene.moved("b").is_empty(), "the account of its payee is closed");
        scene.world.clock.advance(1);
        let details = scene.get(&format!("/file-payments/{id}/payment-details")).await;
        let each = [0, 1].map(|number| details.at(&format!("/Data/PaymentStatus/{number}/Status")));
        let settled = ["ACSC", "AcceptedSettlementCompleted"].contains(&each[0].as_str());
        assert!(settled && ["RJCT", "Rejected"].contains(&each[1].as_str()), "{each:?}");
        let report = scene.get(&format!("/file-payments/{id}/report-file")).await;
        for entry in [
            "<OrgnlEndToEndId>a</OrgnlEndToEndId><TxSts>ACSC</TxSts></TxInfAndSts>",
            "<OrgnlEndToEndId>b</OrgnlEndToEndId><TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd>",
        ] {
            assert!(report.text.contains(entry), "{}", report.text);
        }
        scene.bank.stop().await;
    }
}

#[tokio::test]
async fn a_file_that_is_not_the_one_consented_to_is_refused() {
    let scene = Scene::new("v4.0").await;
    let (kind, file, client) = ("UK.OBIE.PaymentInitiation.3.1", list(), scene.client().await);
    for bad in [
        file_consent("UK.OBIE.csv", &file, "2", 14.04),
        json!({"Data": {"Initiation": {"FileType": kind, "FileHash": "c2hvcnQ="}}}),
        json!({"Data": {"Initiation": {"FileType": kind}}}),
    ] {
        scene.consent("file-payment", &bad).await.expect(400);
    }
    for (number, sum, file) in [("3", 14.04, file.as_str()), ("2", 14.05, &file), ("2", 14.04, "{}")] {
        let made = scene.consent("file-payment", &file_consent(kind, file, number, sum)).await.expect(201);
        let consent = made.at("/Data/ConsentId");
        let place = format!("/file-payment-consents/{consent}/file");
        scene.send(&place, &client, &format!("{number}{sum}"), file).await.expect(400);
        // Nobody can be asked about a file that has not come.
        scene.tpp.pushed(&scene.bank, &consent, "openid payments", VERIFIER).await.expect(400);
    }
    scene.bank.stop().await;
}

#[tokio::test]
async fn the_customer_sees_what_a_consent_is_to() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, false, &[&tpp]).await;
    let scene = Scene { world, tpp, bank, version: "v4.0" };
    let page = async |consent: &str, texts: &[&str]| {
        let url = scene.tpp.push(&scene.bank, consent, "openid payments", VERIFIER).await;
        let browser = scene.world.browser();
        let login = browser.send("GET", &url, &[], "").await.expect(200);
        let about = hidden(&login, "about");
        let fields = [("about", about.as_str()), ("user", "anna"), ("password", "sandbox")];
        let page =
            browser.form(&format!("{}/login", scene.bank.running.pages_url), &fields).await.expect(200);
        for text in texts {
            assert!(page.text.contains(text), "{text} in {}", page.text);
        }
    };
    let first: Timestamp = "2090-03-05T00:00:00Z".parse().unwrap();
    let made = scene.consent("domestic-standing-order", &standing(first, json!({"Type": "MNTH"}))).await;
    let texts = ["every month", "5 March 2090", "20.00 GBP", "10.00", "30.00", "<dd>3</dd>", "Ben Okafor"];
    page(&made.expect(201).at("/Data/ConsentId"), &texts).await;
    let file = list();
    let body = file_consent("UK.OBIE.PaymentInitiation.3.1", &file, "2", 14.04);
    let consent = scene.consent("file-payment", &body).await.expect(201).at("/Data/ConsentId");
    let place = format!("/file-payment-consents/{consent}/file");
    scene.send(&place, &scene.client().await, "f", &file).await.expect(200);
    page(&consent, &["<dd>2</dd>", "14.04 GBP", "10.00 GBP to Ben Okafor"]).await;
    scene.bank.stop().await;
}
