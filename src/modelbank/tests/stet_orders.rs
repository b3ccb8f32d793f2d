//! Dated, standing, multiple and foreign payment requests of the STET bank, and taking
//! them back.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::BankKind;
use domain::{Clock, Timestamp};
use jiff::SignedDuration;
use serde_json::{Value, json};
use world::{Answer, Bank, Tpp, World, hidden};

const PRESENT: (&str, &str) = ("psu-ip-address", "192.0.2.1");
const DAY: i64 = 86_400;

struct Scene {
    world: World,
    tpp: Tpp,
    bank: Bank,
    bearer: String,
}

impl Scene {
    async fn new(auto_approve: bool) -> Self {
        let world = World::new();
        let tpp = world.both();
        let bank = world.bank(BankKind::Stet, auto_approve, &[&tpp]).await;
        let bearer = format!("Bearer {}", tpp.client_token(&bank, "pisp").await);
        Self { world, tpp, bank, bearer }
    }

    fn day(&self, later: i64) -> Timestamp {
        self.world.clock.now().checked_add(SignedDuration::from_secs(later * DAY)).unwrap()
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        // Tokens last an hour, and these tests for months.
        let bearer = match method {
            "POST" if path == "/payment-requests" => self.bearer.clone(),
            _ => format!("Bearer {}", self.tpp.client_token(&self.bank, "pisp").await),
        };
        let headers = [("authorization", bearer.as_str()), PRESENT];
        self.tpp.stet(&self.bank, method, path, &headers, body).await
    }

    async fn posted(&self, body: &Value) -> (String, String) {
        let posted = self.send("POST", "/payment-requests", &body.to_string()).await.expect(201);
        let path = posted.header("location").strip_prefix("/stet/psd2/v1.4").unwrap().to_owned();
        (path, posted.at("/_links/consentApproval/href"))
    }

    /// Posted, approved and confirmed twice; answers the path.
    async fn placed(&self, body: &Value) -> String {
        let (path, approval) = self.posted(body).await;
        self.world.browser().send("GET", &approval, &[], "").await.expect(303);
        for _ in 0..2 {
            self.send("POST", &format!("{path}/confirmation"), "{}").await.expect(200);
        }
        path
    }

    async fn refused(&self, body: &Value) {
        self.send("POST", "/payment-requests", &body.to_string()).await.expect(400);
    }

    async fn read(&self, path: &str) -> Answer {
        self.send("GET", path, "").await.expect(200)
    }

    async fn status(&self, path: &str) -> String {
        self.read(path).await.at("/paymentRequest/paymentInformationStatus")
    }

    fn moved(&self, name: &str) -> usize {
        let ledger = self.bank.running.ledger();
        ledger.iter().filter(|line| line.end_to_end_id == name && line.executed_at.is_some()).count()
    }
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn transaction(name: &str, amount: &str) -> Value {
    json!({
        "paymentId": { "instructionId": name, "endToEndId": name },
        "instructedAmount": { "currency": "EUR", "amount": amount },
        "remittanceInformation": { "unstructured": ["Facture 7"] },
    })
}

fn request(transactions: &[Value]) -> Value {
    json!({
        "paymentInformationId": "P-1",
        "creationDateTime": "2026-06-01T10:00:00Z",
        "numberOfTransactions": transactions.len(),
        "initiatingParty": { "name": "Fintech A" },
        "paymentTypeInformation": { "serviceLevel": "SEPA" },
        "beneficiary": {
            "creditor": { "name": "Merchant" },
            "creditorAccount": { "iban": "DE17999100001000000017" },
        },
        "creditTransferTransaction": transactions,
        "supplementaryData": {
            "acceptedAuthenticationApproach": ["REDIRECT"],
            "successfulReportUrl": "https://tpp.example/ok",
            "unsuccessfulReportUrl": "https://tpp.example/nok",
        },
    })
}

#[tokio::test]
async fn a_dated_request_moves_money_once_on_its_day() {
    let scene = Scene::new(true).await;
    let dated = |name: &str, amount: &str, later: i64| {
        let day = json!({ "requestedExecutionDate": scene.day(later).to_string() });
        with(request(&[transaction(name, amount)]), day)
    };
    scene.refused(&dated("late", "1.00", -1)).await;
    let (path, much) = (scene.placed(&dated("later", "12.50", 2)).await, dated("much", "9999.00", 2));
    let much = scene.placed(&much).await;
    assert_eq!((scene.status(&path).await.as_str(), scene.moved("later")), ("ACCP", 0));
    scene.world.clock.advance(2 * DAY);
    assert_eq!((scene.status(&path).await.as_str(), scene.moved("later")), ("ACSC", 1));
    assert_eq!(scene.status(&much).await, "RJCT");
    assert_eq!(scene.read(&much).await.at("/paymentRequest/statusReasonInformation"), "AM04");
    scene.world.clock.advance(30 * DAY);
    assert_eq!((scene.status(&path).await.as_str(), scene.moved("later")), ("ACSC", 1));
    scene.bank.stop().await;
}

#[tokio::test]
async fn a_standing_order_moves_money_on_each_of_its_days() {
    let scene = Scene::new(true).await;
    let standing = |more: Value| {
        let dates = json!({
            "requestedExecutionDate": scene.day(1).to_string(),
            "endDate": scene.day(29).to_string(),
            "frequency": "TOWK",
        });
        request(&[with(transaction("rent", "10.00"), with(dates, more))])
    };
    for bad in [
        json!({ "frequency": "OFTN" }),
        json!({ "executionRule": "SKIP" }),
        json!({ "endDate": scene.day(0).to_string() }),
        json!({ "requestedExecutionDate": null }),
    ] {
        scene.refused(&standing(bad)).await;
    }
    for frequency in ["DAIL", "WEEK", "MNTH", "TOMN", "QUTR", "SEMI", "YEAR"] {
        let more = json!({ "frequency": frequency, "executionRule": "FWNG" });
        scene.posted(&standing(more)).await;
    }
    let path = scene.placed(&standing(json!({}))).await;
    assert_eq!((scene.status(&path).await.as_str(), scene.moved("rent")), ("ACCP", 0));
    scene.world.clock.advance(DAY);
    assert_eq!((scene.status(&path).await.as_str(), scene.moved("rent")), ("ACSP", 1));
    scene.world.clock.advance(90 * DAY);
    assert_eq!((scene.status(&path).await.as_str(), scene.moved("rent")), ("ACSC", 3));
    scene.bank.stop().await;
}

#[tokio::test]
async fn each_transaction_of_a_request_has_a_status_of_its_own() {
    let scene = Scene::new(true).await;
    let all = [transaction("a", "1.00"), transaction("b", "4.04"), transaction("c", "2.00")];
    scene.refused(&with(request(&all), json!({ "numberOfTransactions": 2 }))).await;
    let other = with(transaction("d", "1.00"), json!({ "requestedExecutionDate": scene.day(1).to_string() }));
    scene.refused(&request(&[transaction("e", "1.00"), other])).await;
    let path = scene.placed(&request(&all)).await;
    scene.world.clock.advance(1);
    let read = scene.read(&path).await;
    assert_eq!(read.at("/paymentRequest/paymentInformationStatus"), "PART");
    let status =
        |number| read.at(&format!("/paymentRequest/creditTransferTransaction/{number}/transactionStatus"));
    assert_eq!([0, 1, 2].map(status), ["ACSC", "RJCT", "ACSC"]);
    assert_eq!(["a", "b", "c"].map(|name| scene.moved(name)), [1, 0, 1]);
    let ledger = scene.bank.running.ledger();
    assert!(ledger.iter().all(|line| line.asked == 2), "{ledger:?}");
    scene.bank.stop().await;
}

#[tokio::test]
async fn foreign_money_goes_abroad_with_the_payees_bank() {
    let scene = Scene::new(true).await;
    let dollars = json!({ "instructedAmount": { "currency": "USD", "amount": "100.00" } });
    let whole = with(
        request(&[with(transaction("abroad", "1.00"), dollars)]),
        json!({
            "paymentTypeInformation": { "serviceLevel": "NURG" },
            "chargeBearer": "SHAR",
            "beneficiary": {
                "creditor": { "name": "Merchant", "postalAddress": { "country": "US" } },
                "creditorAgent": { "bicFi": "CHASUS33" },
                "creditorAccount": { "other": { "identification": "021000021123456789" } },
            },
        }),
    );
    let agentless = json!({
        "creditor": { "name": "Merchant" },
        "creditorAccount": { "iban": "DE17999100001000000017" },
    });
    for bad in [
        json!({ "chargeBearer": "SLEV" }),
        json!({ "paymentTypeInformation": { "serviceLevel": "SEPA" } }),
        json!({ "beneficiary": agentless }),
    ] {
        scene.refused(&with(whole.clone(), bad)).await;
    }
    let path = scene.placed(&whole).await;
    scene.world.clock.advance(1);
    assert_eq!((scene.status(&path).await.as_str(), scene.moved("abroad")), ("ACSC", 1));
    scene.bank.stop().await;
}

#[tokio::test]
async fn a_request_is_cancelled_until_it_is_carried_out() {
    let scene = Scene::new(true).await;
    let dated = |name: &str| {
        let day = json!({ "requestedExecutionDate": scene.day(3).to_string() });
        with(request(&[transaction(name, "1.00")]), day)
    };
    let cancelled = |reason: &str| {
        let status = json!({ "paymentInformationStatus": "CANC", "statusReasonInformation": reason });
        with(dated("a"), status).to_string()
    };
    let (early, approval) = scene.posted(&dated("a")).await;
    let waiting = scene.placed(&dated("b")).await;
    let done = scene.placed(&request(&[transaction("c", "1.00")])).await;
    for bad in [cancelled("AM04"), dated("a").to_string(), "[]".to_owned()] {
        scene.send("PUT", &waiting, &bad).await.expect(400);
    }
    for path in [&early, &waiting] {
        let answer = scene.send("PUT", path, &cancelled("DS02")).await.expect(200);
        assert_eq!(answer.at("/paymentRequest/paymentInformationStatus"), "CANC");
        assert_eq!(answer.at("/paymentRequest/statusReasonInformation"), "DS02");
        scene.send("PUT", path, &cancelled("DS02")).await.expect(409);
    }
    scene.world.browser().send("GET", &approval, &[], "").await.expect(400);
    scene.send("PUT", &done, &cancelled("DS02")).await.expect(409);
    scene.world.clock.advance(30 * DAY);
    assert_eq!(["a", "b", "c"].map(|name| scene.moved(name)), [0, 0, 1]);
    assert_eq!(scene.status(&waiting).await, "CANC");
    scene.bank.stop().await;
}

#[tokio::test]
async fn the_customer_sees_the_day_the_rhythm_and_every_transfer() {
    let scene = Scene::new(false).await;
    let page = async |body: &Value, texts: &[&str]| {
        let (_, approval) = scene.posted(body).await;
        let browser = scene.world.browser();
        let login = browser.send("GET", &approval, &[], "").await.expect(200);
        let about = hidden(&login, "about");
        let fields = [("about", about.as_str()), ("user", "anna"), ("password", "sandbox")];
        let page =
            browser.form(&format!("{}/login", scene.bank.running.pages_url), &fields).await.expect(200);
        for text in texts {
            assert!(page.text.contains(text), "{text} in {}", page.text);
        }
    };
    let dates = json!({ "requestedExecutionDate": "2090-03-05", "frequency": "SEMI" });
    let standing = request(&[with(transaction("a", "1.00"), dates)]);
    page(&standing, &["every 6 months", "5 March 2090", "you end it", "1.00 EUR"]).await;
    let both = request(&[transaction("a", "1.00"), transaction("b", "2.50")]);
    page(&both, &["<dd>2</dd>", "3.50 EUR", "2.50 EUR to Merchant"]).await;
    scene.bank.stop().await;
}
