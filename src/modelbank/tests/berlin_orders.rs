//! Dated, periodic, bulk and foreign payments of the Berlin Group banks, and taking them
//! back.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::BankKind;
use domain::Clock;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use world::{Answer, Bank, REDIRECTED, Tpp, World, hidden};

const DAY: i64 = 86_400;

fn transfer(name: &str, amount: &str) -> Value {
    json!({
        "endToEndIdentification": name,
        "instructedAmount": {"currency": "EUR", "amount": amount},
        "creditorName": "Ben Yilmaz",
        "creditorAccount": {"iban": "DE42999100002000000018"},
        "remittanceInformationUnstructured": "Rent",
    })
}

fn with(mut body: Value, more: Value) -> Value {
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn from_anna(body: Value) -> Value {
    with(body, json!({"debtorAccount": {"iban": "DE17999100001000000017"}}))
}

struct Scene {
    world: World,
    tpp: Tpp,
    bank: Bank,
}

impl Scene {
    async fn new() -> Self {
        let world = World::new();
        let tpp = world.both();
        let bank = world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
        Self { world, tpp, bank }
    }

    fn day(&self, later: i64) -> Date {
        let today = self.world.clock.now().to_zoned(TimeZone::UTC).date();
        today.checked_add(later.days()).unwrap()
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.tpp.berlin(&self.bank, "POST", &format!("/v1{path}"), &REDIRECTED, &body.to_string()).await
    }

    async fn approve(&self, placed: &Answer) {
        let url = placed.at("/_links/scaRedirect/href");
        self.world.browser().send("GET", &url, &[], "").await.expect(303);
    }

    async fn placed_and_approved(&self, path: &str, body: &Value) -> Answer {
        let placed = self.post(path, body).await.expect(201);
        assert_eq!(self.status(&placed).await, "RCVD");
        self.approve(&placed).await;
        placed
    }

    async fn status(&self, placed: &Answer) -> String {
        let link = placed.at("/_links/status/href");
        self.tpp.berlin(&self.bank, "GET", &link, &[], "").await.expect(200).at("/transactionStatus")
    }

    async fn read(&self, placed: &Answer) -> Answer {
        self.tpp.berlin(&self.bank, "GET", &placed.at("/_links/self/href"), &[], "").await.expect(200)
    }

    async fn cancel(&self, placed: &Answer) -> Answer {
        self.tpp.berlin(&self.bank, "DELETE", &placed.at("/_links/self/href"), &[], "").await
    }

    /// How often the transfer of this name moved money.
    fn moved(&self, name: &str) -> usize {
        let ledger = self.bank.running.ledger();
        ledger.iter().filter(|line| line.end_to_end_id == name && line.executed_at.is_some()).count()
    }
}

#[tokio::test]
async fn a_dated_payment_waits_for_its_day_across_a_restart_and_moves_money_once() {
    let mut scene = Scene::new().await;
    let path = "/payments/sepa-credit-transfers";
    let dated =
        |day: Date| from_anna(with(transfer("dated", "12.50"), json!({"requestedExecutionDate": day})));
    let late = scene.post(path, &dated(scene.day(-1))).await.expect(400);
    assert_eq!(late.at("/tppMessages/0/code"), "EXECUTION_DATE_INVALID");
    let placed = scene.placed_and_approved(path, &dated(scene.day(2))).await;
    assert_eq!((scene.status(&placed).await.as_str(), scene.moved("dated")), ("ACCP", 0));
    scene.bank.stop().await;
    scene.bank = scene.world.bank(BankKind::BerlinGroupRedirect, true, &[]).await;
    let path = format!("/v1{path}/{}", placed.at("/paymentId"));
    scene.world.clock.advance(2 * DAY);
    let status = async || {
        let path = format!("{path}/status");
        scene.tpp.berlin(&scene.bank, "GET", &path, &[], "").await.expect(200).at("/transactionStatus")
    };
    assert_eq!((status().await.as_str(), scene.moved("dated")), ("ACSC", 1));
    scene.world.clock.advance(30 * DAY);
    assert_eq!((status().await.as_str(), scene.moved("dated")), ("ACSC", 1));
    scene.bank.stop().await;
}

#[tokio::test]
async fn a_payment_without_funds_on_its_day_is_rejected_that_day() {
    let scene = Scene::new().await;
    let day = json!({"requestedExecutionDate": scene.day(1)});
    let body = from_anna(with(transfer("much", "9999.00"), day));
    let placed = scene.placed_and_approved("/payments/sepa-credit-transfers", &body).await;
    assert_eq!(scene.status(&placed).await, "ACCP");
    scene.world.clock.advance(DAY);
    assert_eq!(scene.status(&placed).await, "RJCT");
    let status = placed.at("/_links/status/href");
    let status = scene.tpp.berlin(&scene.bank, "GET", &status, &[], "").await;
    assert_eq!(status.at("/reasonCode"), "AM04");
    assert_eq!(scene.moved("much"), 0);
    scene.bank.stop().await;
}

#[tokio::test]
async fn a_periodic_payment_moves_money_on_each_of_its_days_until_its_end() {
    let scene = Scene::new().await;
    let path = "/periodic-payments/sepa-credit-transfers";
    let periodic = |name: &str, more: Value| {
        let period = json!({"startDate": scene.day(1), "endDate": scene.day(15), "frequency": "Weekly"});
        from_anna(with(with(transfer(name, "10.00"), period), more))
    };
    let bad = [
        (json!({"startDate": scene.day(-1)}), "PERIOD_INVALID"),
        (json!({"endDate": scene.day(0)}), "PERIOD_INVALID"),
        (json!({"frequency": "Sometimes"}), "FORMAT_ERROR"),
        (json!({"frequency": "MonthlyVariable"}), "FORMAT_ERROR"),
        (json!({"dayOfExecution": "32"}), "FORMAT_ERROR"),
        (json!({"executionRule": "skip"}), "FORMAT_ERROR"),
    ];
    for (more, code) in bad {
        let refused = scene.post(path, &periodic("bad", more)).await.expect(400);
        assert_eq!(refused.at("/tppMessages/0/code"), code);
    }
    let placed = scene.placed_and_approved(path, &periodic("weekly", json!({}))).await;
    let seen = async || (scene.status(&placed).await, scene.moved("weekly"));
    assert_eq!(seen().await, ("ACCP".into(), 0));
    scene.world.clock.advance(DAY);
    assert_eq!(seen().await, ("ACSP".into(), 1));
    assert_eq!(seen().await, ("ACSP".into(), 1));
    scene.world.clock.advance(60 * DAY);
    assert_eq!(seen().await, ("ACSC".into(), 3));
    assert_eq!(scene.read(&placed).await.at("/frequency"), "Weekly");
    scene.cancel(&placed).await.expect(405);
    scene.bank.stop().await;
}

#[tokio::test]
async fn a_bulk_shows_the_state_of_each_of_its_payments() {
    let scene = Scene::new().await;
    let path = "/bulk-payments/sepa-credit-transfers";
    let bulk = |payments: Value| from_anna(json!({"batchBookingPreferred": true, "payments": payments}));
    for payments in [json!([]), json!([from_anna(transfer("x", "1.00"))]), json!([{}])] {
        scene.post(path, &bulk(payments)).await.expect(400);
    }
    let all = [transfer("first", "1.00"), transfer("closed", "4.04"), transfer("third", "2.00")];
    let placed = scene.placed_and_approved(path, &bulk(json!(all))).await;
    assert_eq!(scene.status(&placed).await, "RCVD");
    scene.world.clock.advance(1);
    assert_eq!(scene.status(&placed).await, "PART");
    let whole = scene.read(&placed).await;
    let each = [0, 1, 2].map(|number| whole.at(&format!("/payments/{number}/transactionStatus")));
    assert_eq!(each, ["ACSC", "RJCT", "ACSC"]);
    assert_eq!(["first", "closed", "third"].map(|name| scene.moved(name)), [1, 0, 1]);
    let dated =
        with(bulk(json!([transfer("later", "1.00")])), json!({"requestedExecutionDate": scene.day(1)}));
    let placed = scene.placed_and_approved(path, &dated).await;
    assert_eq!(scene.status(&placed).await, "ACCP");
    scene.world.clock.advance(DAY);
    assert_eq!((scene.status(&placed).await.as_str(), scene.moved("later")), ("ACSC", 1));
    scene.bank.stop().await;
}

fn pain(number: usize, sum: &str, day: Date, transfers: &[(&str, &str)]) -> String {
    let transfer = |(name, amount): &(&str, &str)| {
        format!(
            "<CdtTrfTxInf><PmtId><EndToEndId>{name}</EndToEndId></PmtId>\
             <Amt><InstdAmt Ccy=\"EUR\">{amount}</InstdAmt></Amt><Cdtr><Nm>Ben &amp; Co</Nm></Cdtr>\
             <CdtrAcct><Id><IBAN>DE42999100002000000018</IBAN></Id></CdtrAcct>\
             <RmtInf><Ustrd>Rent</Ustrd></RmtInf></CdtTrfTxInf>"
        )
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Document xmlns=\"urn:iso:std:iso:20022:tech:xsd:pain.001.001.03\"><CstmrCdtTrfInitn>\
         <GrpHdr><MsgId>M-1</MsgId><NbOfTxs>{number}</NbOfTxs><CtrlSum>{sum}</CtrlSum></GrpHdr>\
         <PmtInf><PmtMtd>TRF</PmtMtd><PmtTpInf><SvcLvl><Cd>SEPA</Cd></SvcLvl></PmtTpInf>\
         <ReqdExctnDt>{day}</ReqdExctnDt><DbtrAcct><Id><IBAN>DE17999100001000000017</IBAN></Id></DbtrAcct>\
         {}</PmtInf></CstmrCdtTrfInitn></Document>",
        transfers.iter().map(transfer).collect::<String>()
    )
}

#[tokio::test]
async fn a_bulk_in_xml_is_counted_summed_and_followed_in_xml() {
    let scene = Scene::new().await;
    let path = "/v1/bulk-payments/pain.001-sepa-credit-transfers";
    let headers = [&REDIRECTED[..], &[("content-type", "application/xml")]].concat();
    let send = async |path: &str, message: &str| {
        scene.tpp.berlin(&scene.bank, "POST", path, &headers, message).await
    };
    let both = [("a", "1.00"), ("b", "4.04")];
    let today = scene.day(0);
    for wrong in [
        pain(1, "5.04", today, &both),
        pain(2, "5.05", today, &both),
        pain(2, "5.04", today, &both).replace("</PmtInf>", "</PmtInf><PmtInf></PmtInf>"),
    ] {
        send(path, &wrong).await.expect(400);
    }
    send("/v1/payments/pain.001-sepa-credit-transfers", &pain(2, "5.04", today, &both)).await.expect(400);
    let placed = send(path, &pain(2, "5.04", scene.day(1), &both)).await.expect(201);
    scene.approve(&placed).await;
    assert_eq!(scene.status(&placed).await, "ACCP");
    scene.world.clock.advance(DAY);
    let link = placed.at("/_links/status/href");
    let url = if link.starts_with("http") { link } else { format!("{}{link}", scene.bank.running.api_url) };
    let accept = [("x-request-id", "99391c7e-ad88-49ec-a2ad-99ddcb1f7721"), ("accept", "application/xml")];
    let report = scene.tpp.http.try_send("GET", &url, &accept, "").await.unwrap().expect(200).text;
    for part in [
        "<OrgnlMsgId>M-1</OrgnlMsgId>",
        "<GrpSts>PART</GrpSts>",
        "<OrgnlEndToEndId>a</OrgnlEndToEndId><TxSts>ACSC</TxSts>",
        "<OrgnlEndToEndId>b</OrgnlEndToEndId><TxSts>RJCT</TxSts><StsRsnInf><Rsn><Cd>AC04</Cd>",
    ] {
        assert!(report.contains(part), "{part} in {report}");
    }
    assert_eq!((scene.moved("a"), scene.moved("b")), (1, 0));
    scene.bank.stop().await;
}

#[tokio::test]
async fn foreign_money_goes_abroad_with_the_payees_bank_and_address() {
    let scene = Scene::new().await;
    let path = "/payments/cross-border-credit-transfers";
    let abroad = json!({
        "instructedAmount": {"currency": "USD", "amount": "100.00"},
        "creditorAccount": {"bban": "021000021123456789"},
        "creditorAgent": "CHASUS33",
        "creditorAddress": {"townName": "Springfield", "country": "US"},
        "chargeBearer": "SHAR",
    });
    let whole = from_anna(with(transfer("abroad", "1.00"), abroad));
    for missing in ["creditorAgent", "creditorAddress"] {
        let mut body = whole.clone();
        body.as_object_mut().unwrap().remove(missing);
        scene.post(path, &body).await.expect(400);
    }
    scene.post("/payments/sepa-credit-transfers", &whole).await.expect(400);
    let placed = scene.placed_and_approved(path, &whole).await;
    scene.world.clock.advance(1);
    assert_eq!((scene.status(&placed).await.as_str(), scene.moved("abroad")), ("ACSC", 1));
    let unknown = with(whole, json!({"instructedAmount": {"currency": "JPY", "amount": "100"}}));
    let placed = scene.placed_and_approved(path, &unknown).await;
    assert_eq!(scene.status(&placed).await, "RJCT");
    scene.bank.stop().await;
}

#[tokio::test]
async fn an_order_is_cancelled_until_it_is_carried_out() {
    let scene = Scene::new().await;
    let day = json!({"requestedExecutionDate": scene.day(3)});
    let path = "/payments/sepa-credit-transfers";
    // Before the customer approved, who then has nothing to approve.
    let placed = scene.post(path, &from_anna(with(transfer("a", "1.00"), day.clone()))).await.expect(201);
    scene.cancel(&placed).await.expect(204);
    let url = placed.at("/_links/scaRedirect/href");
    scene.world.browser().send("GET", &url, &[], "").await.expect(400);
    let waiting = scene.placed_and_approved(path, &from_anna(with(transfer("b", "1.00"), day.clone()))).await;
    scene.cancel(&waiting).await.expect(204);
    let bulk = from_anna(with(json!({"payments": [transfer("c", "1.00"), transfer("d", "1.00")]}), day));
    let bulk = scene.placed_and_approved("/bulk-payments/sepa-credit-transfers", &bulk).await;
    scene.cancel(&bulk).await.expect(204);
    let period = json!({"startDate": scene.day(0), "frequency": "Monthly", "executionRule": "following"});
    let periodic = from_anna(with(transfer("e", "1.00"), period));
    let periodic = scene.placed_and_approved("/periodic-payments/sepa-credit-transfers", &periodic).await;
    scene.world.clock.advance(3 * DAY);
    scene.cancel(&periodic).await.expect(204);
    scene.world.clock.advance(100 * DAY);
    for placed in [&placed, &waiting, &bulk, &periodic] {
        assert_eq!(scene.status(placed).await, "CANC");
        let again = scene.cancel(placed).await.expect(405);
        assert_eq!(again.at("/tppMessages/0/code"), "CANCELLATION_INVALID");
    }
    assert_eq!(["a", "b", "c", "d", "e"].map(|name| scene.moved(name)), [0, 0, 0, 0, 1]);
    let other = scene.world.tpp(100_009, &[crypto::Psd2Role::PaymentInitiation]);
    let link = periodic.at("/_links/self/href");
    other.berlin(&scene.bank, "DELETE", &link, &[], "").await.expect(404);
    scene.bank.stop().await;
}

/// XS2A 4.1: the same X-Request-ID again is the same request.
#[tokio::test]
async fn an_order_that_comes_twice_is_one_order() {
    let scene = Scene::new().await;
    let id = "99391c7e-ad88-49ec-a2ad-99ddcb1f7721";
    let bulk = from_anna(json!({"payments": [transfer("a", "1.00"), transfer("b", "2.00")]}));
    let path = "/v1/bulk-payments/sepa-credit-transfers";
    let send = async |body: &Value| {
        let body = body.to_string();
        scene.tpp.berlin_with(&scene.bank, "POST", path, id, &REDIRECTED, &body, &scene.tpp.key).await
    };
    let first = send(&bulk).await.expect(201);
    let again = send(&bulk).await.expect(201);
    assert_eq!(again.at("/paymentId"), first.at("/paymentId"));
    assert_eq!(again.at("/_links/self/href"), first.at("/_links/self/href"));
    send(&from_anna(json!({"payments": [transfer("a", "1.00")]}))).await.expect(400);
    scene.approve(&first).await;
    scene.world.clock.advance(1);
    assert_eq!((scene.moved("a"), scene.moved("b")), (1, 1));
    scene.bank.stop().await;
}

#[tokio::test]
async fn the_embedded_bank_takes_the_code_for_every_service() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupEmbedded, false, &[]).await;
    let scene = Scene { world, tpp, bank };
    let ip = ("psu-ip-address", "192.0.2.1");
    let from_ben = |body: Value| with(body, json!({"debtorAccount": {"iban": "AT889990300000020018"}}));
    let period = json!({
        "startDate": scene.day(0), "frequency": "MonthlyVariable",
        "dayOfExecution": "31", "monthsOfExecution": ["2", "4"],
    });
    let bulk = json!({"payments": [transfer("a", "1.00"), transfer("b", "2.00")]});
    for (path, body, status) in [
        ("/v1/periodic-payments/sepa-credit-transfers", with(transfer("c", "3.00"), period), "ACCP"),
        ("/v1/bulk-payments/sepa-credit-transfers", bulk, "RCVD"),
    ] {
        let (body, headers) = (from_ben(body).to_string(), [ip, ("psu-id", "ben")]);
        let placed = scene.tpp.berlin(&scene.bank, "POST", path, &headers, &body).await.expect(201);
        let place = placed.at("/_links/updatePsuAuthentication/href");
        for step in [json!({"psuData": {"password": "sandbox"}}), json!({"scaAuthenticationData": "123456"})]
        {
            scene.tpp.berlin(&scene.bank, "PUT", &place, &[ip], &step.to_string()).await.expect(200);
        }
        assert_eq!(scene.status(&placed).await, status);
    }
    assert_eq!(["a", "b", "c"].map(|name| scene.moved(name)), [1, 1, 0]);
    scene.bank.stop().await;
}

#[tokio::test]
async fn the_customer_sees_the_day_the_rhythm_the_number_and_the_total() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::BerlinGroupRedirect, false, &[]).await;
    let scene = Scene { world, tpp, bank };
    let page = async |path: &str, body: &Value| {
        let placed = scene.post(path, body).await.expect(201);
        let browser = scene.world.browser();
        let login = browser.send("GET", &placed.at("/_links/scaRedirect/href"), &[], "").await.expect(200);
        let about = hidden(&login, "about");
        let fields = [("about", about.as_str()), ("user", "anna"), ("password", "sandbox")];
        browser.form(&format!("{}/login", scene.bank.running.pages_url), &fields).await.expect(200).text
    };
    let shown = |page: &str, texts: &[&str]| {
        for text in texts {
            assert!(page.contains(text), "{text} in {page}");
        }
    };
    let day = json!({"requestedExecutionDate": "2090-03-05"});
    let bulk = with(json!({"payments": [transfer("a", "1.00"), transfer("b", "2.50")]}), day);
    let bulk = page("/bulk-payments/sepa-credit-transfers", &from_anna(bulk)).await;
    shown(&bulk, &["<dd>2</dd>", "3.50 EUR", "2.50 EUR to Ben Yilmaz", "5 March 2090"]);
    let period = json!({"startDate": "2090-03-05", "endDate": "2091-03-05", "frequency": "Quarterly"});
    let periodic = from_anna(with(transfer("a", "1.00"), period));
    let periodic = page("/periodic-payments/sepa-credit-transfers", &periodic).await;
    shown(&periodic, &["every quarter", "5 March 2090", "5 March 2091", "1.00 EUR"]);
    scene.bank.stop().await;
}
