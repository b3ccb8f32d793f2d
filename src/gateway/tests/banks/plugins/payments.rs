//! Payments at the bank of the example: paid once, however its plugin fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use consentry::demo::RETURN;
use domain::Clock;
use jiff::ToSpan;
use secrecy::SecretString;
use serde_json::json;

use super::*;

/// A gateway with the bank of the example, and a fintech.
struct Stand {
    sandbox: Sandbox,
    bank: Arc<Lilybank>,
    tpp: Tpp,
    own: SecretString,
    access: Access,
    stop: CancellationToken,
    _desk: Desk,
}

impl Stand {
    async fn open(component: &[u8], changed: impl FnOnce(Router) -> Router) -> Self {
        let (desk, stop) = (Desk::new(), CancellationToken::new());
        desk.plug(component);
        let sandbox = desk.sandbox().await;
        let access = sandbox.access();
        let bank = open_bank_as(&access, &stop, changed).await;
        let tpp = registered(&access).await;
        desk.profile("banks", &bank.origin);
        becomes(&tpp, |bank| bank["connectable"] == true).await;
        let own = tpp.own_token("payments").await.unwrap();
        Self { sandbox, bank, tpp, own, access, stop, _desk: desk }
    }

    /// Orders a payment and has the person at the bank's desk approve it; its id.
    async fn approved(&self, order: &Value) -> String {
        let ordered = self.tpp.post(&self.own, "/v1/payments", order).await.unwrap().expect(201).unwrap();
        let mut person = Browser::new(Client::new(&self.access.pki.root, None).unwrap(), "anna", "sandbox");
        person.walk(&ordered.text("/authorization/href"), RETURN).await.unwrap();
        ordered.text("/id")
    }

    async fn until(&self, id: &str, done: impl Fn(&Value) -> bool) -> Value {
        crate::support::payment_until(&self.tpp, &self.own, id, done).await
    }

    /// How often the bank heard a message that begins so.
    fn heard(&self, word: &str) -> usize {
        self.bank.heard().iter().filter(|heard| heard.line.starts_with(word)).count()
    }

    async fn close(self) {
        self.stop.cancel();
        self.sandbox.stop().await;
    }
}

fn transfer(amount: &str) -> Value {
    json!({
        "institution_id": LILYBANK,
        "amount": { "amount": amount, "currency": "EUR" },
        "creditor": { "name": "Corner | Bookshop" },
        "creditor_account": { "iban": "DE42999100002000000018" },
        "debtor_account": { "iban": "DE75512108001245126199" },
        "remittance": { "unstructured": ["Rent"] },
        "redirect_uri": RETURN,
    })
}

fn is_final(payment: &Value) -> bool {
    payment["final"] == true
}

/// The states that a payment has had.
fn states(payment: &Value) -> Vec<&str> {
    payment["status_history"].as_array().unwrap().iter().map(|step| step["to"].as_str().unwrap()).collect()
}

/// The plugin of the example with one piece of its source changed, under another name.
fn changed(from: &str, to: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("plugins");
    for place in ["wit", "example/src", "example/.cargo"] {
        fs::create_dir_all(home.join(place)).unwrap();
    }
    let source = root().join("src/plugins");
    let mut changes = 0;
    for place in ["wit", "example", "example/src", "example/.cargo"] {
        for entry in fs::read_dir(source.join(place)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            changes += text.matches(from).count();
            let text = text.replace("name = \"lilybank\"", "name = \"otherbank\"").replace(from, to);
            fs::write(home.join(path.strip_prefix(&source).unwrap()), text).unwrap();
        }
    }
    assert_eq!(changes, 1, "{from} stands in one place");
    built(&home.join("example"), "otherbank")
}

/// Has the bank say another amount wherever it says a word.
fn misprinting(word: &'static str) -> impl FnOnce(Router) -> Router {
    let misprint = move |response: Response| async move {
        let (head, body) = response.into_parts();
        let text = String::from_utf8(to_bytes(body, 1 << 20).await.unwrap().to_vec()).unwrap();
        let text = if text.starts_with(word) { text.replace("|1234|", "|1243|") } else { text };
        let mut changed = Response::from_parts(head, Body::from(text));
        changed.headers_mut().remove("content-length");
        changed
    };
    move |routes| routes.layer(axum::middleware::map_response(misprint))
}

/// "A plugin that pays": ordered, approved at the bank, submitted, settled; and refused
/// in the bank's words.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_at_a_plugins_bank_is_paid_once() {
    let Some(component) = lilybank() else { return };
    let stand = Stand::open(&component, |routes| routes).await;
    let id = stand.approved(&transfer("12.34")).await;
    let payment = stand.until(&id, is_final).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("SETTLED"), &json!("executed")));
    assert_eq!(
        (&payment["iso_status"], &payment["bank_refs"]["payment_id"]),
        (&json!("ACSC"), &json!("p-0"))
    );
    assert_eq!((stand.bank.paid().len(), stand.heard("ORDER|"), stand.heard("PAY|")), (1, 1, 1));
    let ordered = stand.bank.heard().into_iter().find(|heard| heard.line.starts_with("ORDER|")).unwrap();
    assert_eq!(ordered.customer_at.as_deref(), Some("127.0.0.1"));
    assert!(
        ordered.line.contains(
            "|1234|EUR|Corner   Bookshop|DE42999100002000000018|DE75512108001245126199|-|Rent|https://"
        ),
        "{}",
        ordered.line
    );

    let id = stand.approved(&transfer("10000.01")).await;
    let payment = stand.until(&id, is_final).await;
    assert_eq!(payment["state"], "REJECTED");
    assert_eq!(payment["failure"]["iso_reason"], "AM04");

    // What the profile does not offer does not reach the plugin.
    let mut series = transfer("12.34");
    series["periodic"] = json!({ "frequency": "MONTHLY", "start_date": later(3) });
    let refused = stand.tpp.post(&stand.own, "/v1/payments", &series).await.unwrap();
    assert!(refused.status.is_client_error(), "{}", refused.json());
    assert_eq!(stand.heard("ORDER|"), 2);
    stand.close().await;
}

/// Whoever fails after the money may have moved does not get to move it again: the
/// payment is open until the bank tells what became of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_that_traps_after_the_submission_pays_once() {
    if lilybank().is_none() {
        return;
    }
    let trapping =
        changed("Operation::Submit => report(line).map(Answer::Report),", "Operation::Submit => panic!(),");
    let stand = Stand::open(&trapping, |routes| routes).await;
    let id = stand.approved(&transfer("12.34")).await;
    let payment = stand.until(&id, is_final).await;
    assert_eq!((&payment["state"], &payment["outcome"]), (&json!("SETTLED"), &json!("executed")));
    let states = states(&payment);
    assert_eq!(&states[states.len() - 3..], ["SUBMITTED", "UNKNOWN", "SETTLED"]);
    assert!(stand.heard("HOW|") >= 1, "the bank was asked");
    assert_eq!((stand.bank.paid().len(), stand.heard("PAY|")), (1, 1));
    stand.close().await;
}

/// A bank that repeats another amount has another order: it is not submitted, and where
/// it says so after the submission nobody believes that it is settled.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_amount_that_differs_is_caught() {
    let Some(component) = lilybank() else { return };
    for (word, state, paid) in [("SLIP|", "FAILED", 0), ("PAID|", "UNKNOWN", 1)] {
        let stand = Stand::open(&component, misprinting(word)).await;
        let id = stand.approved(&transfer("12.34")).await;
        let payment = stand.until(&id, |payment| payment["state"] == state).await;
        assert_eq!(payment["failure"]["code"], "institution.echo-mismatch", "{payment}");
        assert_eq!((stand.bank.paid().len(), stand.heard("PAY|")), (paid, paid));
        stand.close().await;
    }
}

/// An order whose submission the bank never had is not submitted again: it stays open,
/// for a person to look at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_submission_that_was_lost_is_not_sent_again() {
    let Some(component) = lilybank() else { return };
    let lost = Arc::new(AtomicUsize::new(0));
    let losing = Arc::clone(&lost);
    let lose = move |request: Request, next: Next| {
        let lost = Arc::clone(&losing);
        async move {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, 1 << 20).await.unwrap();
            if body.starts_with(b"PAY|") {
                lost.fetch_add(1, Ordering::SeqCst);
                return StatusCode::BAD_GATEWAY.into_response();
            }
            next.run(Request::from_parts(head, Body::from(body))).await
        }
    };
    let stand = Stand::open(&component, |routes| routes.layer(axum::middleware::from_fn(lose))).await;
    let id = stand.approved(&transfer("12.34")).await;
    let asked = |payment: &Value| payment["state"] == "UNKNOWN" && stand.heard("HOW|") >= 3;
    let payment = stand.until(&id, asked).await;
    assert_eq!(payment["outcome"], "unknown", "{payment}");
    assert_eq!((lost.load(Ordering::SeqCst), stand.bank.paid().len()), (1, 0));
    stand.close().await;
}

/// An order for a later day is taken back at the bank before it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_payment_is_taken_back_at_a_plugins_bank() {
    let Some(component) = lilybank() else { return };
    let stand = Stand::open(&component, |routes| routes).await;
    let mut order = transfer("12.34");
    order["requested_execution_date"] = json!(later(3));
    let id = stand.approved(&order).await;
    let held = |payment: &Value| payment["bank_refs"]["payment_id"] == "p-0";
    let payment = stand.until(&id, held).await;
    assert_eq!((&payment["state"], &payment["can_cancel"]), (&json!("SUBMITTED"), &json!(true)), "{payment}");
    let path = format!("/v1/payments/{id}/cancel");
    let cancelled = stand.tpp.post(&stand.own, &path, &json!({})).await.unwrap().expect(200).unwrap().json();
    assert_eq!((&cancelled["state"], &cancelled["outcome"]), (&json!("CANCELLED"), &json!("not_executed")));
    assert_eq!((&cancelled["iso_status"], stand.heard("STOP|")), (&json!("CANC"), 1));
    stand.close().await;
}

/// A day so many days from now.
fn later(days: i32) -> String {
    domain::utc_day(SystemClock.now()).saturating_add(days.days()).to_string()
}

/// What a plugin's bank tells of an account beside balances and transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugins_bank_tells_whom_its_customer_pays() {
    let Some(component) = lilybank() else { return };
    let stand = Stand::open(&component, |routes| routes).await;
    let own = stand.tpp.own_token("accounts").await.unwrap();
    let permissions = ["READ_ACCOUNTS_DETAIL", "READ_BENEFICIARIES"];
    let order =
        json!({ "type": "ACCOUNT_INFORMATION", "institution_id": LILYBANK, "permissions": permissions });
    let consent = stand.tpp.post(&own, "/v1/consents", &order).await.unwrap().expect(201).unwrap();
    let person = Browser::new(Client::new(&stand.access.pki.root, None).unwrap(), "anna", "sandbox");
    let given = crate::support::given(&stand.tpp, vec![consent.text("/id")], person).await;
    let accounts = rows(&stand.tpp.get(&given.token, "/v1/accounts").await.unwrap().expect(200).unwrap());
    let current = accounts.iter().find(|row| row["display_name"] == "Current account").unwrap();
    let path = format!("/v1/accounts/{}/beneficiaries", current["id"].as_str().unwrap());
    let list = rows(&stand.tpp.get(&given.token, &path).await.unwrap().expect(200).unwrap());
    assert_eq!(list.len(), 1);
    assert!(list[0].to_string().contains("Corner Bookshop"), "{}", list[0]);
    let bank =
        stand.tpp.http.get(&format!("{}/v1/institutions/{LILYBANK}", stand.tpp.api), &[]).await.unwrap();
    assert_eq!(bank.json()["account_resources"], json!(["beneficiaries"]));
    stand.close().await;
}
