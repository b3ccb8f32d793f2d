//! The steps of the demo.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crypto::{Jwks, webhook};
use domain::SystemClock;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use super::browser::Browser;
use super::client::Client;
use super::receiver::Receiver;
use super::report::{Report, Step};
use super::tpp::{RETURN, Tpp, verifier};
use crate::sandbox::Access;

/// Keeps time and score.
struct Score {
    steps: Vec<Step>,
    show: bool,
}

impl Score {
    /// Runs one step. After one that did not hold, the journey ends.
    async fn step<T>(
        &mut self,
        name: &'static str,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let started = Instant::now();
        let result = work.await;
        let why = result.as_ref().err().map(|error| format!("{error:#}"));
        let step = Step { name, ok: why.is_none(), ms: started.elapsed().as_millis(), why };
        if self.show {
            let mark = if step.ok { "ok" } else { "FAILED" };
            eprintln!("  {mark:<7}{name} ({} ms)", step.ms);
        }
        self.steps.push(step);
        result
    }
}

/// Plays the whole journey. Never fails: the report says what did not hold.
pub async fn play(access: &Access, show: bool) -> Report {
    let started = Instant::now();
    let mut score = Score { steps: Vec::new(), show };
    let mut report = Report::default();
    if let Err(error) = journey(access, &mut score, &mut report).await
        && score.steps.iter().all(|step| step.ok)
    {
        score.steps.push(Step { name: "prepare", ok: false, ms: 0, why: Some(format!("{error:#}")) });
    }
    report.steps = score.steps;
    report.total_ms = started.elapsed().as_millis();
    report
}

async fn journey(access: &Access, score: &mut Score, report: &mut Report) -> anyhow::Result<()> {
    let pki = &access.pki;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await?;
    let mut browser = Browser::new(Client::new(&pki.root, None)?, "anna", "sandbox");

    let mut tpp = score.step("discover", Tpp::discover(access, Arc::new(SystemClock))).await?;
    score.step("register", tpp.register()).await?;
    let tpp = tpp;
    let own = score.step("own token", tpp.own_token("accounts payments")).await?;
    score.step("webhook endpoint", add_webhook(&tpp, &own, &receiver.url)).await?;
    let (uk, eu) = (bank_of(access, "uk")?, bank_of(access, "eu")?);
    let consents = score.step("lodge two consents", tpp.lodge(&own, &[uk, eu])).await?;
    let verifier = verifier();
    let pushed =
        score.step("push the request", async { tpp.push(&consents, &verifier).await?.expect(201) }).await?;
    let start = tpp.start_of(&pushed)?;
    let code =
        score.step("approve here and at both banks", approve(&mut browser, &start, &access.issuer)).await?;
    let token = score.step("token", async { tpp.redeem(&code, &verifier).await?.expect(200) }).await?;
    let token = SecretString::from(token.text("/access_token"));
    report.accounts = score.step("accounts", read(&tpp, &token, "/v1/accounts", 2)).await?;
    report.balances = score.step("balances", read(&tpp, &token, "/v1/balances", 2)).await?;
    report.transactions =
        score.step("transactions", read(&tpp, &token, "/v1/transactions?limit=1000", 2)).await?;
    let paying = Instant::now();
    let order = score.step("order a payment", async {
        Ok(tpp.post(&own, "/v1/payments", &Tpp::small_payment(uk)).await?.expect(201)?.json())
    });
    let order = order.await?;
    score.step("approve the payment", approve_payment(&mut browser, &order)).await?;
    let id = order.pointer("/id").and_then(Value::as_str).unwrap_or_default().to_owned();
    report.payment = score.step("settled", settled(&tpp, &own, &id)).await?;
    report.payment_ms = paying.elapsed().as_millis();
    score.step("webhook, signature verified", verify_webhook(&tpp, access, &receiver, &id)).await?;
    report.webhook_verified = true;
    Ok(())
}

/// The first bank of a region.
fn bank_of<'a>(access: &'a Access, region: &str) -> anyhow::Result<&'a str> {
    let found = access.banks.iter().find(|(_, home)| home == region);
    found.map(|(id, _)| id.as_str()).with_context(|| format!("the sandbox has no bank in {region}"))
}

async fn add_webhook(tpp: &Tpp, token: &SecretString, url: &str) -> anyhow::Result<()> {
    let body = json!({ "url": url, "events": ["payment.settled"] });
    tpp.post(token, "/v1/webhook-endpoints", &body).await?.expect(201)?;
    Ok(())
}

/// Reads an aggregate, and holds it to all banks having answered.
async fn read(tpp: &Tpp, token: &SecretString, path: &str, banks: usize) -> anyhow::Result<Value> {
    let body = tpp.get(token, path).await?.expect(200)?.json();
    let sources = body.get("sources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let answered = sources.iter().filter(|source| source.get("status").and_then(Value::as_str) == Some("OK"));
    let rows = body.get("data").and_then(Value::as_array).map_or(0, Vec::len);
    if answered.count() != banks || rows == 0 {
        bail!("not every bank answered");
    }
    Ok(body)
}

/// Asks until the payment is final; it has to be settled.
async fn settled(tpp: &Tpp, token: &SecretString, id: &str) -> anyhow::Result<Value> {
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..200 {
        beat.tick().await;
        let payment = tpp.get(token, &format!("/v1/payments/{id}")).await?.expect(200)?.json();
        if payment.get("final").and_then(Value::as_bool) == Some(true) {
            let state = payment.get("state").and_then(Value::as_str).unwrap_or_default();
            if state == "SETTLED" {
                return Ok(payment);
            }
            bail!("the payment ended as {state}");
        }
    }
    bail!("the payment did not settle in ten seconds")
}

/// The person approves on our page and at each bank. The code.
async fn approve(browser: &mut Browser, start: &str, issuer: &str) -> anyhow::Result<String> {
    let visit = browser.walk(start, RETURN).await?;
    if let Some(page) = &visit.page {
        bail!("the walk ended on a page of {} with status {}", visit.url.path(), page.status);
    }
    let find = |name: &str| {
        visit.url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
    };
    if find("state").as_deref() != Some("demo-state") || find("iss").as_deref() != Some(issuer) {
        bail!("state or iss of the answer is not ours");
    }
    find("code").with_context(|| format!("no code came back: {}", find("error").unwrap_or_default()))
}

async fn approve_payment(browser: &mut Browser, order: &Value) -> anyhow::Result<()> {
    let start =
        order.pointer("/authorization/href").and_then(Value::as_str).context("no address to approve at")?;
    let visit = browser.walk(start, RETURN).await?;
    match visit.page {
        None => Ok(()),
        Some(page) => bail!("the walk ended on a page of {} with status {}", visit.url.path(), page.status),
    }
}

async fn verify_webhook(
    tpp: &Tpp,
    access: &Access,
    receiver: &Receiver,
    payment: &str,
) -> anyhow::Result<()> {
    let about = |delivery: &super::Delivery| {
        let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
        body.pointer("/resource/id").and_then(Value::as_str) == Some(payment)
    };
    let delivery = receiver.wait_for(about, Duration::from_secs(10)).await?;
    let keys = tpp.http.get(&format!("{}/.well-known/webhook-keys.json", access.issuer), &[]).await?;
    let keys = Jwks::parse(&keys.expect(200)?.body)?;
    let verified = keys.iter().any(|key| {
        let verifier = webhook::Verifier::Key(key.key());
        webhook::verify(verifier, &delivery.id, delivery.timestamp, &delivery.body, &delivery.signature)
    });
    if verified { Ok(()) } else { bail!("the signature of the webhook is wrong") }
}
