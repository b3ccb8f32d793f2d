//! Mandates (variable recurring payments): given, paid under within limits, ended.

use std::time::Duration;

use crate::support::customer::Customer;
use crate::support::operator::clients;
use crate::support::{EU, TestGateway, UK, Wanted, assert_problem, rows};
use consentry::demo::{Answer, Delivery, RETURN, Receiver, Tpp, verifier};
use domain::MandateId;
use modelbank::Fault;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use store::mandates::Draw;

/// At most 50 GBP a payment and 80 GBP a day.
fn mandate() -> Value {
    json!({
        "institution_id": UK,
        "scheme": "SWEEPING",
        "constraints": {
            "max_per_payment": { "amount": "50.00", "currency": "GBP" },
            "periodic_limits": [{
                "period": "DAY", "alignment": "CONSENT",
                "max_amount": { "amount": "80.00", "currency": "GBP" },
            }],
        },
        "creditor": { "name": "Anna Archer" },
        "creditor_account": {
            "sort_code_account_number": { "sort_code": "990011", "account_number": "20000018" },
        },
        "redirect_uri": RETURN,
    })
}

fn of(amount: &str) -> Value {
    json!({ "amount": { "amount": amount, "currency": "GBP" } })
}

/// A gateway and a fintech with a mandate.
struct World {
    gw: TestGateway,
    tpp: Tpp,
    own: SecretString,
    mandate: String,
}

impl World {
    async fn start() -> Self {
        Self::on(TestGateway::start().await).await
    }

    async fn on(gw: TestGateway) -> Self {
        Self::given(gw, &mandate()).await
    }

    async fn given(gw: TestGateway, wanted: &Value) -> Self {
        let tpp = gw.tpp().await;
        let own = tpp.own_token("payments").await.unwrap();
        let ordered = order(&tpp, &own, wanted).await;
        let visit = gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
        let mandate = ordered.text("/id");
        assert_eq!(crate::support::parameter(&visit, "mandate_id"), mandate);
        let world = Self { gw, tpp, own, mandate };
        world.until("AUTHORIZED").await;
        world
    }

    fn pay_path(&self) -> String {
        format!("/v1/mandates/{}/payments", self.mandate)
    }

    async fn shown(&self) -> Value {
        let path = format!("/v1/mandates/{}", self.mandate);
        self.tpp.get(&self.own, &path).await.unwrap().expect(200).unwrap().json()
    }

    async fn until(&self, status: &str) -> Value {
        let look = async {
            let mut beat = tokio::time::interval(Duration::from_millis(30));
            loop {
                beat.tick().await;
                let shown = self.shown().await;
                if shown["status"] == status {
                    return shown;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), look).await.expect("the mandate gets there")
    }

    async fn pay(&self, amount: &str) -> Answer {
        self.tpp.post(&self.own, &self.pay_path(), &of(amount)).await.unwrap()
    }

    async fn delete(&self, path: &str) -> Answer {
        self.tpp.delete(&self.own, path).await.unwrap()
    }

    async fn ended(&self, paid: &Answer) -> Value {
        let id = paid.text("/id");
        self.gw.payment_until(&self.tpp, &self.own, &id, |payment| payment["final"] == true).await
    }

    fn orders_at_bank(&self) -> usize {
        let journal = self.gw.sandbox.bank(UK).unwrap().1.entries();
        journal
            .iter()
            .filter(|entry| entry.method == "POST" && entry.path.ends_with("/domestic-vrps"))
            .count()
    }
}

/// The number of payments is held here alone: the bank, whose standard has no such limit,
/// is not told of it, and not called when it is reached. What came to nothing does not count.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_payments_are_made_than_the_mandate_counts() {
    let mut wanted = mandate();
    wanted["constraints"]["max_count"] = json!(2);
    let world = World::given(TestGateway::start().await, &wanted).await;
    let counted = async || {
        let constraints = world.shown().await["constraints"].clone();
        (constraints["max_count"].clone(), constraints["used_count"].clone())
    };
    assert_eq!(counted().await, (json!(2), json!(0)));
    let closed = world.pay("4.04").await.expect(201).unwrap();
    assert_eq!(world.ended(&closed).await["outcome"], "not_executed");
    assert_eq!(counted().await, (json!(2), json!(0)));
    for amount in ["1.00", "2.00"] {
        let paid = world.pay(amount).await.expect(201).unwrap();
        assert_eq!(world.ended(&paid).await["state"], "SETTLED");
    }
    assert_eq!(counted().await, (json!(2), json!(2)));
    let orders = world.orders_at_bank();
    let refused = world.pay("1.00").await;
    assert_problem(&refused, 422, "mandate.breach");
    assert_eq!(refused.json()["errors"][0]["code"], "mandate.max_count");
    assert_eq!((world.orders_at_bank(), used(&world.shown().await)), (orders, &json!("3.00")));
    wanted["constraints"]["max_count"] = json!(0);
    let none = world.tpp.post(&world.own, "/v1/mandates", &wanted).await.unwrap();
    assert_problem(&none, 422, "request.invalid");
    world.gw.sandbox.stop().await;
}

/// UK VRP `POST /domestic-vrp-consents/{ConsentId}/funds-confirmation`: the bank's yes or no
/// about an amount that the mandate would allow; nothing is drawn.
/// [connector: funds under a mandate at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_says_whether_the_account_of_a_mandate_covers_an_amount() {
    let world = World::start().await;
    let path = format!("/v1/mandates/{}/funds-confirmations", world.mandate);
    let ask = async |amount: &str| world.tpp.post(&world.own, &path, &of(amount)).await.unwrap();
    let yes = ask("40.00").await.expect(200).unwrap().json();
    assert_eq!((&yes["available"], &yes["reliable"]), (&json!(true), &json!(true)));
    assert_eq!((&yes["mandate_id"], &yes["institution_id"]), (&json!(world.mandate), &json!(UK)));
    assert!(yes["bank_reference"].as_str().unwrap().starts_with("vfc-"));
    assert_eq!(ask("5.11").await.expect(200).unwrap().json()["available"], false);
    assert_eq!(used(&world.shown().await), "0.00");
    let calls = || world.gw.sandbox.bank(UK).unwrap().1.entries().len();
    let before = calls();
    assert_problem(&ask("50.01").await, 422, "mandate.breach");
    assert_problem(&ask("0.00").await, 422, "request.invalid");
    assert_eq!(calls(), before, "what could not be paid is not asked");
    let other = world.gw.tpp().await;
    let token = other.own_token("payments").await.unwrap();
    assert_problem(&other.post(&token, &path, &of("1.00")).await.unwrap(), 404, "resource.not_found");
    world.delete(&format!("/v1/mandates/{}", world.mandate)).await.expect(204).unwrap();
    assert_problem(&ask("1.00").await, 403, "mandate.not_in_force");
    world.gw.sandbox.stop().await;
}

/// Where a profile says that the bank does not answer such questions, none is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bank_that_does_not_confirm_funds_under_mandates_is_not_asked() {
    let world = World::start().await;
    let registry = world.gw.sandbox.gateway().registry();
    let mut profile = (*registry.profile(&UK.parse().unwrap()).unwrap()).clone();
    profile.absent_paths.push("/domestic-vrp-consents/{id}/funds-confirmation".to_owned());
    registry.put(profile);
    let path = format!("/v1/mandates/{}/funds-confirmations", world.mandate);
    let refused = world.tpp.post(&world.own, &path, &of("1.00")).await.unwrap();
    assert_problem(&refused, 422, "institution.unsupported");
    let journal = world.gw.sandbox.bank(UK).unwrap().1.entries();
    assert!(!journal.iter().any(|entry| entry.path.ends_with("/funds-confirmation")));
    world.gw.sandbox.stop().await;
}

async fn order(tpp: &Tpp, own: &SecretString, wanted: &Value) -> Answer {
    let ordered = tpp.post(own, "/v1/mandates", wanted).await.unwrap().expect(201).unwrap();
    assert_eq!(ordered.text("/status"), "CREATED");
    ordered
}

fn used(mandate: &Value) -> &Value {
    &mandate["constraints"]["periodic_limits"][0]["used_amount"]["amount"]
}

/// UK VRP: payments under a mandate settle without the PSU, and the one over the
/// period's limit is refused before the bank hears of it.
/// [connector: recurring payments at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_settle_under_a_mandate_until_its_limit() {
    let world = World::start().await;
    assert_eq!(used(&world.shown().await), "0.00");
    for amount in ["40.00", "30.00"] {
        let paid = world.pay(amount).await.expect(201).unwrap();
        assert_eq!((paid.text("/type"), paid.text("/mandate_id")), ("VRP".into(), world.mandate.clone()));
        let payment = world.ended(&paid).await;
        assert_eq!((&payment["state"], &payment["outcome"]), (&json!("SETTLED"), &json!("executed")));
        assert!(payment["refund"]["account"]["sort_code_account_number"].is_object(), "{payment}");
    }
    let shown = world.shown().await;
    assert_eq!(used(&shown), "70.00");
    let refused = world.pay("10.01").await;
    assert_problem(&refused, 422, "mandate.used_up");
    assert_eq!(refused.text("/outcome"), "not_executed");
    let refused = world.pay("50.01").await;
    assert_problem(&refused, 422, "mandate.breach");
    assert_eq!(refused.text("/errors/0/code"), "mandate.max_per_payment");
    assert_eq!((used(&world.shown().await), world.orders_at_bank()), (&json!("70.00"), 2));
    let listed = world.tpp.get(&world.own, &world.pay_path()).await.unwrap().expect(200).unwrap();
    let amounts: Vec<_> = rows(&listed).iter().map(|row| row["amount"]["amount"].clone()).collect();
    assert_eq!(amounts, ["30.00", "40.00"]);
    world.gw.sandbox.stop().await;
}

/// draft-ietf-httpapi-idempotency-key-header: one key pays once; what was refused
/// for its limits used no key up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_pays_once_under_a_mandate() {
    let world = World::start().await;
    let (path, body) = (world.pay_path(), of("20.00"));
    let tries = (0..6).map(|_| world.tpp.post_once(&world.own, &path, "rent-1", &body));
    let mut ids = std::collections::BTreeSet::new();
    for answer in futures_util::future::join_all(tries).await {
        ids.insert(answer.unwrap().expect(201).unwrap().text("/id"));
    }
    assert_eq!(ids.len(), 1);
    let again = world.tpp.post_once(&world.own, &world.pay_path(), "rent-1", &of("20.00")).await.unwrap();
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    world.ended(&again).await;
    assert_eq!((used(&world.shown().await), world.orders_at_bank()), (&json!("20.00"), 1));
    let reused = world.tpp.post_once(&world.own, &world.pay_path(), "rent-1", &of("21.00")).await.unwrap();
    assert_problem(&reused, 422, "idempotency.reused");
    let key = "rent-2";
    let refused = world.tpp.post_once(&world.own, &world.pay_path(), key, &of("50.01")).await.unwrap();
    assert_problem(&refused, 422, "mandate.breach");
    let paid = world.tpp.post_once(&world.own, &world.pay_path(), key, &of("50.00")).await.unwrap();
    world.ended(&paid.expect(201).unwrap()).await;
    world.gw.sandbox.stop().await;
}

/// Many at once that fit one by one and not together: one is paid.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn payments_at_once_never_exceed_a_limit_together() {
    let world = World::start().await;
    let tries = (0..6).map(|_| world.pay("45.00"));
    let (mut paid, mut refused) = (Vec::new(), 0);
    for answer in futures_util::future::join_all(tries).await {
        if answer.status == 201 {
            paid.push(answer);
        } else {
            assert_problem(&answer, 422, "mandate.used_up");
            refused += 1;
        }
    }
    assert_eq!((paid.len(), refused), (1, 5));
    assert_eq!(used(&world.shown().await), "45.00");
    world.gw.sandbox.stop().await;
}

/// UK VRP U014: where our count is blind, the bank's own is what holds. What came
/// to nothing is given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_beyond_the_banks_own_count_is_rejected_there() {
    let world = World::start().await;
    world.ended(&world.pay("45.00").await.expect(201).unwrap()).await;
    // As if the first had never been counted here.
    let id: MandateId = world.mandate.parse().unwrap();
    let gateway = world.gw.sandbox.gateway();
    let window = gateway.limits_of(&gateway.any_mandate(id).await.unwrap()).await.unwrap()[0].window.unwrap();
    let given_back = store::transaction!(gateway.stores().region(id.region()).unwrap(), tx => {
        tx.give_back(id, Draw { place: 0, window_start: window.start }, 4_500).await
    });
    given_back.unwrap();
    let payment = world.ended(&world.pay("45.00").await.expect(201).unwrap()).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("REJECTED"), &json!("not_executed")));
    assert_eq!(payment["failure"]["code"], "institution.payment-limit");
    assert_eq!((used(&world.shown().await), world.orders_at_bank()), (&json!("0.00"), 2));
    world.gw.sandbox.stop().await;
}

/// The bank took the order and the answer was lost: unknown, never sent again, and
/// still counted; also after the process ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_whose_answer_was_lost_is_never_sent_again() {
    let world = World::start().await;
    world.gw.sandbox.bank(UK).unwrap().0.arm("POST", "/domestic-vrps", Fault::LoseAnswer, 1);
    let paid = world.pay("40.00").await.expect(201).unwrap();
    let id = paid.text("/id");
    let unknown = |payment: &Value| payment["state"] == "UNKNOWN";
    let payment = world.gw.payment_until(&world.tpp, &world.own, &id, unknown).await;
    assert_eq!((&payment["outcome"], &payment["final"]), (&json!("unknown"), &json!(false)));
    let id: domain::PaymentId = id.parse().unwrap();
    let polls = world.gw.sandbox.gateway().any_payment(id).await.unwrap().bank.polls;
    let looked = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while world.gw.sandbox.gateway().any_payment(id).await.unwrap().bank.polls < polls + 2 {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), looked).await.expect("the reconciler looks at it");
    assert_eq!((used(&world.shown().await), world.orders_at_bank()), (&json!("40.00"), 1));
    let gw = world.gw.restarted().await;
    let again = gw.sandbox.gateway().any_payment(id).await.unwrap();
    assert_eq!(again.state, domain::PaymentState::Unknown);
    assert!(gw.sandbox.bank(UK).unwrap().1.entries().is_empty(), "nothing is sent");
    gw.sandbox.stop().await;
}

/// Given up by the client: nothing is paid any more, and the bank knows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mandate_that_was_given_up_pays_nothing() {
    let world = World::start().await;
    let path = format!("/v1/mandates/{}", world.mandate);
    assert_eq!(world.delete(&path).await.status, 204);
    let shown = world.until("REVOKED").await;
    assert_eq!(shown["status_reason"], "client.revoked");
    let refused = world.pay("1.00").await;
    assert_problem(&refused, 403, "mandate.not_in_force");
    assert_eq!(refused.text("/outcome"), "not_executed");
    let journal = world.gw.sandbox.bank(UK).unwrap().1;
    let told = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while !journal.entries().iter().any(|entry| entry.method == "DELETE" && entry.status == 204) {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.expect("the bank is told");
    assert_eq!(world.orders_at_bank(), 0);
    world.gw.sandbox.stop().await;
}

/// Withdrawn at the bank: the next payment fails there, and the mandate ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawal_at_the_bank_ends_the_mandate() {
    let world = World::start().await;
    Customer::of(&world.gw, UK, "anna").withdraw().await;
    let payment = world.ended(&world.pay("1.00").await.expect(201).unwrap()).await;
    assert_eq!(payment["outcome"], "not_executed");
    let shown = world.until("REVOKED").await;
    assert_eq!(shown["status_reason"], "revoked-at-bank");
    assert_eq!(used(&shown), "0.00");
    world.gw.sandbox.stop().await;
}

/// Its last day over, a mandate pays nothing and ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mandate_ends_with_its_last_day() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let mut wanted = mandate();
    wanted["constraints"]["valid_to"] = json!(domain::utc_day(gw.clock.now()).to_string());
    let ordered = tpp.post(&own, "/v1/mandates", &wanted).await.unwrap().expect(201).unwrap();
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let mut world = World { gw, tpp, own, mandate: ordered.text("/id") };
    world.until("AUTHORIZED").await;
    clock.advance(86_400);
    world.own = world.tpp.own_token("payments").await.unwrap();
    let refused = world.pay("1.00").await;
    assert_eq!(refused.text("/outcome"), "not_executed");
    world.until("EXPIRED").await;
    assert_problem(&world.pay("1.00").await, 403, "mandate.not_in_force");
    world.gw.sandbox.stop().await;
}

/// The PSU says no on our page, or at the bank.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declined_mandate_is_rejected_and_pays_nothing() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Default::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = order(&tpp, &own, &mandate()).await;
    let mut person = gw.person();
    person.decision = "decline";
    person.walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let world = World { gw, tpp, own, mandate: ordered.text("/id") };
    assert_eq!(world.until("REJECTED").await["status_reason"], "psu.declined");
    assert!(world.gw.sandbox.bank(UK).unwrap().1.entries().is_empty(), "the bank was never called");
    assert_problem(&world.pay("1.00").await, 403, "mandate.not_in_force");
    world.gw.sandbox.stop().await;

    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    gw.sandbox.bank(UK).unwrap().0.decline(1);
    let ordered = order(&tpp, &own, &mandate()).await;
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let world = World { gw, tpp, own, mandate: ordered.text("/id") };
    world.until("REJECTED").await;
    world.gw.sandbox.stop().await;
}

/// The page shows payee, account, the most in one payment and in each period.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_of_a_mandate_shows_what_is_approved() {
    let gw = TestGateway::wanted(Wanted { auto_approve: false, ..Default::default() }).await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let ordered = order(&tpp, &own, &mandate()).await;
    let page = {
        let (mut person, url) = (gw.person(), ordered.text("/authorization/href").parse().unwrap());
        // The first look binds the browser, the second shows the page.
        person.request(http::Method::GET, &url, None).await.unwrap();
        person.request(http::Method::GET, &url, None).await.unwrap().expect(200).unwrap()
    };
    let page = String::from_utf8_lossy(&page.body).into_owned();
    for text in
        ["Anna Archer", "990011 20000018", "50.00", "At most per day", "80.00", "until you withdraw it"]
    {
        assert!(page.contains(text), "{text} is on the page: {page}");
    }
    gw.sandbox.stop().await;
}

/// Another client sees no mandate of ours and pays nothing under it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_client_cannot_use_a_mandate() {
    let world = World::start().await;
    let stranger = world.gw.tpp().await;
    let token = stranger.own_token("payments").await.unwrap();
    let one = format!("/v1/mandates/{}", world.mandate);
    for path in [one.clone(), world.pay_path()] {
        assert_problem(&stranger.get(&token, &path).await.unwrap(), 404, "resource.not_found");
    }
    let refused = stranger.post(&token, &world.pay_path(), &of("1.00")).await.unwrap();
    assert_problem(&refused, 404, "resource.not_found");
    assert!(rows(&stranger.get(&token, "/v1/mandates").await.unwrap()).is_empty());
    assert_eq!(rows(&world.tpp.get(&world.own, "/v1/mandates").await.unwrap()).len(), 1);
    assert_eq!(world.orders_at_bank(), 0);
    world.gw.sandbox.stop().await;
}

/// RFC 9396: a token that was granted for a `vrp` orders that mandate, and no other
/// one and no single payment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_granted_for_a_mandate_orders_no_other() {
    let gw = TestGateway::start().await;
    let mut tpp = gw.tpp().await;
    let types = json!({ "authorization_details_types": ["vrp"] });
    tpp.register_as(&types).await.unwrap();
    let gbp = |amount: &str| json!({ "amount": amount, "currency": "GBP" });
    let detail = json!([{
        "type": "vrp",
        "creditorAccount": { "sortCode": "990011", "accountNumber": "20000018" },
        "creditorName": "Anna Archer",
        "maximumIndividualAmount": gbp("50.00"),
        "periodicLimits": [{ "amount": gbp("80.00"), "periodType": "Day", "periodAlignment": "Consent" }],
    }]);
    let verifier = verifier();
    let challenge = crypto::digest::pkce_challenge(verifier.expose_secret());
    let details = detail.to_string();
    let form = [
        ("response_type", "code"),
        ("redirect_uri", RETURN),
        ("scope", "payments"),
        ("state", "demo-state"),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("authorization_details", details.as_str()),
    ];
    let pushed = tpp.authenticated("pushed_authorization_request_endpoint", &form).await.unwrap();
    let start = tpp.start_of(&pushed.expect(201).unwrap()).unwrap();
    let visit = gw.person().walk(&start, RETURN).await.unwrap();
    let code = crate::support::parameter(&visit, "code");
    let token: SecretString =
        tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap().text("/access_token").into();
    for (pointer, value) in [
        ("/constraints/max_per_payment/amount", json!("60.00")),
        ("/constraints/periodic_limits/0/period", json!("WEEK")),
        ("/creditor/name", json!("Somebody Else")),
        ("/creditor_account/sort_code_account_number/account_number", json!("20000026")),
    ] {
        let mut other = mandate();
        *other.pointer_mut(pointer).unwrap() = value;
        let refused = tpp.post(&token, "/v1/mandates", &other).await.unwrap();
        assert_problem(&refused, 403, "mandate.not_granted");
    }
    let refused = tpp.post(&token, "/v1/payments", &Tpp::small_payment(UK)).await.unwrap();
    assert_problem(&refused, 403, "payment.not_granted");
    order(&tpp, &token, &mandate()).await;
    gw.sandbox.stop().await;
}

/// Mandates that make no sense name every mistake; other banks have none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mandate_that_no_bank_could_keep_names_every_mistake() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("payments").await.unwrap();
    let mut wrong = mandate();
    wrong["scheme"] = json!("PIGEON");
    wrong["creditor"]["name"] = json!("");
    wrong["constraints"]["valid_to"] = json!("2020-01-01");
    wrong["constraints"]["periodic_limits"] = json!([
        { "period": "FORTNIGHT", "alignment": "CALENDAR", "max_amount": { "amount": "1.00", "currency": "GBP" } },
        { "period": "DECADE", "alignment": "CONSENT", "max_amount": { "amount": "1.00", "currency": "EUR" } },
    ]);
    let refused = tpp.post(&own, "/v1/mandates", &wrong).await.unwrap();
    assert_problem(&refused, 422, "request.invalid");
    let body = refused.json();
    let mut pointers: Vec<_> =
        body["errors"].as_array().unwrap().iter().map(|error| error["pointer"].as_str().unwrap()).collect();
    pointers.sort_unstable();
    let limits = "/constraints/periodic_limits";
    let fortnight = format!("{limits}/0/alignment");
    let decade = format!("{limits}/1/period");
    assert_eq!(pointers, [fortnight.as_str(), &decade, "/constraints/valid_to", "/creditor/name", "/scheme"]);
    let mut elsewhere = mandate();
    elsewhere["institution_id"] = json!(EU);
    let refused = tpp.post(&own, "/v1/mandates", &elsewhere).await.unwrap();
    assert_problem(&refused, 422, "institution.unsupported");
    gw.sandbox.stop().await;
}

/// Clients are told that a mandate is given, that a limit nears (once in its
/// period), and that it is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_told_of_their_mandates() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts payments").await.unwrap();
    let pki = gw.sandbox.access().pki;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
    let told = ["mandate.authorized", "mandate.limit_nearing", "mandate.revoked"];
    let endpoint = json!({ "url": receiver.url, "events": told });
    tpp.post(&own, "/v1/webhook-endpoints", &endpoint).await.unwrap().expect(201).unwrap();
    let ordered = order(&tpp, &own, &mandate()).await;
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
    let world = World { gw, tpp, own, mandate: ordered.text("/id") };
    world.until("AUTHORIZED").await;
    for amount in ["45.00", "19.00", "5.00"] {
        world.ended(&world.pay(amount).await.expect(201).unwrap()).await;
    }
    assert_eq!(world.delete(&format!("/v1/mandates/{}", world.mandate)).await.status, 204);
    let event = |delivery: &Delivery| serde_json::from_slice::<Value>(&delivery.body).unwrap();
    let last =
        receiver.wait_for(|delivery| event(delivery)["type"] == told[2], Duration::from_secs(10)).await;
    assert_eq!(event(&last.unwrap())["resource"]["id"], world.mandate.as_str());
    let all = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while receiver.told().len() < told.len() {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.expect("each is told");
    let mut kinds: Vec<_> =
        receiver.told().iter().map(|delivery| event(delivery)["type"].as_str().unwrap().to_owned()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, told);
    world.gw.sandbox.stop().await;
}

/// What the operator lets a client pay holds under a mandate as well, and nothing is drawn
/// on the mandate by what is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_under_a_mandate_is_held_against_the_clients_policy() {
    let world = World::start().await;
    let file = world.gw.folder().join("policy.toml");
    std::fs::write(&file, "max_per_payment = [\"20.00 GBP\"]\nmax_per_day = [\"30.00 GBP\"]\n").unwrap();
    let set = ["policy", &world.tpp.client_id, "--set", file.to_str().unwrap()];
    assert!(clients(&world.gw, &set, &Value::Null).status.success());
    assert_problem(&world.pay("20.01").await, 403, "policy.refused");
    world.pay("20.00").await.expect(201).unwrap();
    assert_problem(&world.pay("10.01").await, 422, "policy.day_used_up");
    assert_eq!(used(&world.shown().await), "20.00");
    world.gw.sandbox.stop().await;
}

/// Nobody would have asked before tomorrow.
/// [connector: notifications at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mandate_that_is_withdrawn_at_the_bank_ends_because_the_bank_notified() {
    let wanted = Wanted { bank_notifications: true, ..Wanted::default() };
    let world = World::on(TestGateway::wanted(wanted).await).await;
    Customer::of(&world.gw, UK, "anna").withdraw().await;
    world.until("REVOKED").await;
    world.gw.sandbox.stop().await;
}
