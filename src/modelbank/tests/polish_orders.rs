//! Dated, foreign, bundled and recurring transfers of the Polish bank, and taking them
//! back.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::BankKind;
use domain::Clock;
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use world::{Answer, Bank, REDIRECT, Tpp, World, hidden, parameter};

const DAY: i64 = 86_400;

struct Scene {
    world: World,
    tpp: Tpp,
    bank: Bank,
}

impl Scene {
    async fn new(auto_approve: bool) -> Self {
        let world = World::new();
        let tpp = world.both();
        let bank = world.bank(BankKind::PolishApi, auto_approve, &[&tpp]).await;
        Self { world, tpp, bank }
    }

    fn day(&self, later: i64) -> Date {
        let today = self.world.clock.now().to_zoned(TimeZone::UTC).date();
        today.checked_add(later.days()).unwrap()
    }

    async fn asked(&self, consent: &str, privileges: Value) -> Answer {
        let request = json!({
            "response_type": "code",
            "client_id": self.tpp.client_id,
            "redirect_uri": REDIRECT,
            "scope": "pis",
            "state": "the state",
            "scope_details": {
                "consentId": consent,
                "scopeGroupType": "pis",
                "scopeTimeLimit": "2099-01-01T00:00:00Z",
                "throttlingPolicy": "psd2Regulatory",
                "privilegeList": [privileges],
            },
        });
        self.tpp.polish(&self.bank, "authorize", None, request).await
    }

    /// The token of an authorization by Anna.
    async fn token(&self, consent: &str, privileges: Value) -> String {
        let page = self.asked(consent, privileges).await.expect(200).at("/aspspRedirectUri");
        let back = self.world.browser().send("GET", &page, &[], "").await.expect(303);
        let code = parameter(&back, "code").unwrap();
        let members = json!({
            "grant_type": "authorization_code",
            "Code": code,
            "redirect_uri": REDIRECT,
            "client_id": self.tpp.client_id,
        });
        self.tpp.polish(&self.bank, "token", None, members).await.expect(200).at("/access_token")
    }

    async fn ask(&self, operation: &str, token: &str, members: Value) -> Answer {
        self.tpp.polish(&self.bank, operation, Some(token), members).await
    }

    /// Authorised, placed, and refused a second time; answers the token and the order.
    async fn placed(&self, kind: &str, consent: &str, body: &Value, name: Value) -> (String, Answer) {
        let token = self.token(consent, json!({ format!("pis:{kind}"): body })).await;
        let order = with(body.clone(), name);
        let placed = self.ask(kind, &token, order.clone()).await.expect(200);
        self.ask(kind, &token, order).await.expect(403);
        (token, placed)
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

fn domestic(amount: &str) -> Value {
    json!({
        "recipient": {
            "accountNumber": "PL06999010060000000000020018",
            "nameAddress": { "value": ["Sklep Nadwiślański"] },
        },
        "sender": { "accountNumber": "PL82999010060000000000010017" },
        "transferData": { "description": "Faktura 7", "amount": amount, "currency": "PLN" },
        "deliveryMode": "StandardD1",
        "system": "Elixir",
    })
}

fn dated(body: Value, day: Date) -> Value {
    let mut body = with(body, json!({ "executionMode": "FutureDated" }));
    body["transferData"]["executionDate"] = json!(day);
    body
}

fn abroad(currency: &str, amount: &str, more: Value) -> Value {
    let foreign = json!({
        "recipient": {
            "accountNumber": "DE42999100002000000018",
            "nameAddress": { "value": ["Ben Yilmaz"] },
        },
        "transferData": { "description": "Rechnung", "amount": amount, "currency": currency },
    });
    with(with(domestic(amount), foreign), more)
}

fn euros() -> Value {
    abroad("EUR", "100.00", json!({ "system": "SEPA", "deliveryMode": "StandardD1" }))
}

fn dollars() -> Value {
    let more = json!({
        "recipientBank": { "bicOrSwift": "CHASUS33", "name": "A bank", "countryCode": "US" },
        "recipient": { "accountNumber": "021000021123456789", "nameAddress": { "value": ["Ann"] } },
        "transferCharges": "SHA",
        "system": "Swift",
        "deliveryMode": "UrgentD1",
    });
    abroad("USD", "100.00", more)
}

#[tokio::test]
async fn a_dated_transfer_moves_money_once_on_its_day() {
    let scene = Scene::new(true).await;
    let later = dated(domestic("12.50"), scene.day(2));
    for bad in [
        with(later.clone(), json!({ "executionMode": "Immediate" })),
        with(domestic("12.50"), json!({ "executionMode": "FutureDated" })),
        with(domestic("12.50"), json!({ "executionMode": "Whenever" })),
    ] {
        scene.asked("c-0", json!({ "pis:domestic": bad })).await.expect(400);
    }
    scene.asked("c-0", json!({ "pis:domestic": dated(domestic("12.50"), scene.day(-1)) })).await.expect(422);
    let name = json!({ "tppTransactionId": "later" });
    let (token, placed) = scene.placed("domestic", "c-1", &later, name.clone()).await;
    assert_eq!(placed.at("/generalStatus"), "scheduled");
    let much = dated(domestic("99999.00"), scene.day(2));
    let (much, _) = scene.placed("domestic", "c-2", &much, json!({ "tppTransactionId": "much" })).await;
    let found = scene.ask("getPayment", &token, name).await.expect(200);
    assert_eq!(found.at("/executionMode"), "FutureDated");
    assert_eq!(scene.moved("later"), 0);
    scene.world.clock.advance(2 * DAY);
    assert_eq!(scene.moved("later"), 1);
    scene.world.clock.advance(9 * DAY);
    assert_eq!((scene.moved("later"), scene.moved("much")), (1, 0));
    // Tokens do not live so long; a fresh one takes back what is to be taken back.
    scene.ask("getPayment", &much, json!({ "tppTransactionId": "much" })).await.expect(401);
    scene.bank.stop().await;
}

#[tokio::test]
async fn foreign_transfers_are_made_by_their_systems() {
    let scene = Scene::new(true).await;
    for (kind, bad) in [
        ("EEA", with(euros(), json!({ "system": "Swift" }))),
        ("EEA", abroad("USD", "1.00", json!({ "system": "SEPA" }))),
        ("nonEEA", with(dollars(), json!({ "system": "SEPA" }))),
    ] {
        scene.asked("c-0", json!({ format!("pis:{kind}"): bad })).await.expect(422);
    }
    for (kind, bad) in [
        ("EEA", with(euros(), json!({ "recipient": dollars()["recipient"] }))),
        ("nonEEA", with(dollars(), json!({ "recipientBank": {} }))),
        ("nonEEA", with(dollars(), json!({ "transferCharges": "ALL" }))),
    ] {
        scene.asked("c-0", json!({ format!("pis:{kind}"): bad })).await.expect(400);
    }
    for (kind, body) in [("EEA", euros()), ("nonEEA", dollars())] {
        let name = json!({ "tppTransactionId": kind });
        let (token, _) = scene.placed(kind, kind, &body, name.clone()).await;
        scene.world.clock.advance(1);
        let found = scene.ask("getPayment", &token, name).await.expect(200);
        assert_eq!((found.at("/generalStatus").as_str(), scene.moved(kind)), ("done", 1));
    }
    scene.bank.stop().await;
}

fn bundle(transfers: &[Value], total: &str) -> Value {
    json!({
        "transfersTotalAmount": total,
        "typeOfTransfers": "domestic",
        "domesticTransfers": transfers,
    })
}

fn named(name: &str, amount: &str) -> Value {
    with(domestic(amount), json!({ "tppTransactionId": name }))
}

#[tokio::test]
async fn each_transfer_of_a_bundle_has_a_state_of_its_own() {
    let scene = Scene::new(true).await;
    let all = [named("a", "1.00"), named("b", "4.04"), named("c", "2.00")];
    for bad in [bundle(&all, "7.05"), bundle(&[], "0.00"), bundle(&[domestic("1.00")], "1.00")] {
        scene.asked("c-0", json!({ "pis:bundle": bad })).await.expect(400);
    }
    let tax = with(bundle(&all, "7.04"), json!({ "typeOfTransfers": "tax" }));
    scene.asked("c-0", json!({ "pis:bundle": tax })).await.expect(422);
    let name = json!({ "tppBundleId": "B-1" });
    let (token, placed) = scene.placed("bundle", "c-1", &bundle(&all, "7.04"), name.clone()).await;
    assert_eq!(placed.at("/bundleStatus"), "inProgress");
    scene.world.clock.advance(1);
    let whole = with(name, json!({ "transactionsIncluded": true }));
    let found = scene.ask("getBundle", &token, whole).await.expect(200);
    assert_eq!(found.at("/bundleStatus"), "partiallyDone");
    assert_eq!(found.at("/tppBundleId"), "B-1");
    let each = [0, 1, 2].map(|number| found.at(&format!("/payments/{number}/generalStatus")));
    assert_eq!(each, ["done", "rejected", "done"]);
    assert_eq!(found.at("/payments/1/detailedStatus"), "AC04");
    let one = json!({ "paymentId": found.at("/payments/2/paymentId") });
    let one = scene.ask("getPayment", &token, one).await.expect(200);
    assert_eq!(one.at("/tppTransactionId"), "c");
    let short = json!({ "bundleId": placed.at("/bundleId"), "transactionsIncluded": false });
    let short = scene.ask("getBundle", &token, short).await.expect(200);
    assert!(short.json().get("payments").is_none());
    assert_eq!(["a", "b", "c"].map(|name| scene.moved(name)), [1, 0, 1]);
    scene.bank.stop().await;
}

fn recurring(first: Date, last: Date) -> Value {
    json!({
        "recurrence": {
            "startDate": first,
            "endDate": last,
            "frequency": { "periodType": "week", "periodValue": 1 },
            "dayOffOffsetType": "after",
        },
        "typeOfPayment": "domestic",
        "domesticPayment": domestic("10.00"),
    })
}

#[tokio::test]
async fn a_recurring_payment_moves_money_on_each_of_its_days() {
    let scene = Scene::new(true).await;
    let body = recurring(scene.day(1), scene.day(22));
    for (member, value, status) in [
        ("startDate", json!(scene.day(-1)), 422),
        ("endDate", json!(scene.day(0)), 422),
        ("frequency", json!({ "periodType": "year", "periodValue": 1 }), 400),
        ("frequency", json!({ "periodType": "week", "periodValue": 0 }), 400),
        ("dayOffOffsetType", json!("never"), 400),
    ] {
        let mut bad = body.clone();
        bad["recurrence"][member] = value;
        scene.asked("c-0", json!({ "pis:recurring": bad })).await.expect(status);
    }
    let name = json!({ "tppRecurringPaymentId": "rent" });
    let (token, placed) = scene.placed("recurring", "c-1", &body, name.clone()).await;
    assert_eq!(placed.at("/recurringPaymentStatus"), "submitted");
    assert_eq!(placed.at("/recurrence/frequency/periodType"), "week");
    let found = scene.ask("getRecurringPayment", &token, name).await.expect(200);
    assert_eq!(found.at("/recurringPaymentId"), placed.at("/recurringPaymentId"));
    assert_eq!(scene.moved("rent"), 0);
    scene.world.clock.advance(4 * DAY);
    assert_eq!(scene.moved("rent"), 1);
    scene.world.clock.advance(90 * DAY);
    assert_eq!(scene.moved("rent"), 4);
    scene.bank.stop().await;
}

#[tokio::test]
async fn what_waits_is_cancelled_and_what_is_done_is_told() {
    let scene = Scene::new(true).await;
    let name = |name: &str| json!({ "tppTransactionId": name });
    let later = dated(domestic("1.00"), scene.day(3));
    let (token, placed) = scene.placed("domestic", "c-1", &later, name("a")).await;
    let id = json!({ "paymentId": placed.at("/paymentId") });
    scene.ask("cancelPayments", &token, json!({})).await.expect(400);
    scene.ask("cancelPayments", &token, json!({ "paymentId": "pay-0" })).await.expect(422);
    scene.ask("cancelPayments", &token, id.clone()).await.expect(204);
    let found = scene.ask("getPayment", &token, id).await.expect(200);
    assert_eq!(found.at("/generalStatus"), "cancelled");

    // By an authorization of its own, which is good for nothing else.
    let all = [dated(named("b", "1.00"), scene.day(3)), dated(named("c", "1.00"), scene.day(3))];
    let (_, bundled) =
        scene.placed("bundle", "c-2", &bundle(&all, "2.00"), json!({ "tppBundleId": "B-1" })).await;
    let bundle_id = json!({ "bundleId": bundled.at("/bundleId") });
    scene.ask("cancelPayments", &token, bundle_id.clone()).await.expect(403);
    let own = scene.token("c-3", json!({ "pis:cancelPayment": bundle_id })).await;
    scene.ask("domestic", &own, with(domestic("1.00"), name("x"))).await.expect(422);
    scene.ask("cancelPayments", &own, bundle_id).await.expect(204);

    let body = recurring(scene.day(1), scene.day(22));
    let (token, placed) =
        scene.placed("recurring", "c-4", &body, json!({ "tppRecurringPaymentId": "d" })).await;
    let id = json!({ "recurringPaymentId": placed.at("/recurringPaymentId") });
    let ended = scene.ask("cancelRecurringPayment", &token, id.clone()).await.expect(200);
    assert_eq!(ended.at("/recurringPaymentStatus"), "cancelled");
    assert_eq!(ended.at("/tppRecurringPaymentId"), "d");
    scene.ask("cancelRecurringPayment", &token, id).await.expect(422);

    let (token, placed) = scene.placed("domestic", "c-5", &domestic("1.00"), name("e")).await;
    scene.world.clock.advance(1);
    let id = json!({ "paymentId": placed.at("/paymentId") });
    let left = scene.ask("cancelPayments", &token, id).await.expect(200);
    assert_eq!(left.at("/payments/0/generalStatus"), "done");
    scene.world.clock.advance(90 * DAY);
    assert_eq!(["a", "b", "c", "d", "e"].map(|name| scene.moved(name)), [0, 0, 0, 0, 1]);
    scene.bank.stop().await;
}

#[tokio::test]
async fn the_customer_sees_what_is_authorised() {
    let scene = Scene::new(false).await;
    let page = async |consent: &str, privileges: Value, texts: &[&str]| {
        let page = scene.asked(consent, privileges).await.expect(200).at("/aspspRedirectUri");
        let browser = scene.world.browser();
        let login = browser.send("GET", &page, &[], "").await.expect(200);
        let about = hidden(&login, "about");
        let fields = [("about", about.as_str()), ("user", "anna"), ("password", "sandbox")];
        let page =
            browser.form(&format!("{}/login", scene.bank.running.pages_url), &fields).await.expect(200);
        for text in texts {
            assert!(page.text.contains(text), "{text} in {}", page.text);
        }
        assert!(page.text.contains("wis-10017") && !page.text.contains("wis-10025"), "{}", page.text);
    };
    let (first, last) = ("2090-03-06".parse().unwrap(), "2091-03-05".parse().unwrap());
    let texts = ["every week", "6 March 2090", "5 March 2091", "10.00 PLN", "Faktura 7"];
    page("c-1", json!({ "pis:recurring": recurring(first, last) }), &texts).await;
    let all = [named("a", "1.00"), named("b", "2.50")];
    let texts = ["<dd>2</dd>", "3.50 PLN", "2.50 PLN to Sklep"];
    page("c-2", json!({ "pis:bundle": bundle(&all, "3.50") }), &texts).await;
    scene.bank.stop().await;
}
