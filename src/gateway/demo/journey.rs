//! The steps of the demo.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use crypto::{Jwks, SigningKey, webhook};
use domain::{Entropy, SystemEntropy};
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use tokio::time::MissedTickBehavior;

use super::browser::Browser;
use super::client::Client;
use super::receiver::Receiver;
use super::report::{Report, Step};
use crate::sandbox::Access;

/// Where the fintech's browser flows end; nothing listens there.
const RETURN: &str = "https://fintech.consentry.example/return";
const PERMISSIONS: [&str; 3] = ["READ_ACCOUNTS_DETAIL", "READ_BALANCES", "READ_TRANSACTIONS_DETAIL"];

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
    let identity = (pki.fintech.certificate_pem.as_str(), pki.fintech.key_pem.as_str());
    let fintech = Client::new(&pki.root, Some(identity))?;
    let person = Client::new(&pki.root, None)?;
    let key = SigningKey::from_pem(&pki.fintech.key_pem, "demo-1")?;
    let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await?;

    let server = score.step("discover", discover(&fintech, &access.issuer)).await?;
    let client_id = score.step("register", register(&fintech, &server, &key)).await?;
    let tpp = Tpp {
        http: &fintech,
        server: &server,
        client_id,
        key: &key,
        issuer: &access.issuer,
        api: &access.api,
    };
    let own = score.step("own token", tpp.own_token("accounts payments")).await?;
    score.step("webhook endpoint", tpp.add_webhook(&own, &receiver.url)).await?;
    let uk = bank_of(access, "uk")?;
    let eu = bank_of(access, "eu")?;
    let consents = score.step("lodge two consents", tpp.lodge(&own, &[uk, eu])).await?;
    let verifier = crypto::token(&SystemEntropy, 32);
    let start = score.step("push the request", tpp.push(&consents, &verifier)).await?;
    let mut browser = Browser::new(person, "anna", "sandbox");
    let code =
        score.step("approve here and at both banks", approve(&mut browser, &start, &access.issuer)).await?;
    let token = score.step("token", tpp.redeem(&code, &verifier)).await?;
    report.accounts = score.step("accounts", tpp.read(&token, "/v1/accounts", 2)).await?;
    report.balances = score.step("balances", tpp.read(&token, "/v1/balances", 2)).await?;
    report.transactions =
        score.step("transactions", tpp.read(&token, "/v1/transactions?limit=1000", 2)).await?;
    let paying = Instant::now();
    let order = score.step("order a payment", tpp.order(&own, uk)).await?;
    score.step("approve the payment", approve_payment(&mut browser, &order)).await?;
    let id = order.pointer("/id").and_then(Value::as_str).unwrap_or_default().to_owned();
    report.payment = score.step("settled", tpp.settled(&own, &id)).await?;
    report.payment_ms = paying.elapsed().as_millis();
    score.step("webhook, signature verified", verify_webhook(&tpp, &receiver, &id)).await?;
    report.webhook_verified = true;
    Ok(())
}

/// The first redirect bank of a region.
fn bank_of<'a>(access: &'a Access, region: &str) -> anyhow::Result<&'a str> {
    let found = access.banks.iter().find(|(_, home)| home == region);
    found.map(|(id, _)| id.as_str()).with_context(|| format!("the sandbox has no bank in {region}"))
}

async fn discover(http: &Client, issuer: &str) -> anyhow::Result<Value> {
    let url = format!("{issuer}/.well-known/oauth-authorization-server");
    let metadata = http.get(&url, &[]).await?.expect(200)?.json();
    if metadata.get("issuer").and_then(Value::as_str) != Some(issuer) {
        bail!("the metadata names another issuer");
    }
    Ok(metadata)
}

fn endpoint<'a>(server: &'a Value, name: &str) -> anyhow::Result<&'a str> {
    server.get(name).and_then(Value::as_str).with_context(|| format!("the metadata has no {name}"))
}

async fn register(http: &Client, server: &Value, key: &SigningKey) -> anyhow::Result<String> {
    let metadata = json!({
        "client_name": "Demo Fintech",
        "redirect_uris": [RETURN],
        "grant_types": ["authorization_code", "client_credentials"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "private_key_jwt",
        "jwks": Jwks::of([key]).to_value(),
        "scope": "accounts payments",
    });
    let answer =
        http.post_json(endpoint(server, "registration_endpoint")?, &[], &metadata).await?.expect(201)?;
    Ok(answer.text("/client_id"))
}

/// The fintech.
struct Tpp<'a> {
    http: &'a Client,
    server: &'a Value,
    client_id: String,
    key: &'a SigningKey,
    issuer: &'a str,
    api: &'a str,
}

impl Tpp<'_> {
    /// RFC 7523 client assertion: fresh for every request.
    fn assertion(&self) -> anyhow::Result<String> {
        let now = std::time::UNIX_EPOCH.elapsed()?.as_secs();
        let claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": self.issuer,
            "jti": SystemEntropy.uuid_v4(),
            "iat": now,
            "exp": now.saturating_add(60),
        });
        Ok(crypto::jws::sign_compact(self.key, &Map::new(), claims.to_string().as_bytes())?)
    }

    async fn authenticated(
        &self,
        endpoint_name: &str,
        form: &[(&str, &str)],
    ) -> anyhow::Result<super::Answer> {
        let assertion = self.assertion()?;
        let mut form = form.to_vec();
        form.push(("client_id", &self.client_id));
        form.push(("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"));
        form.push(("client_assertion", &assertion));
        self.http.post_form(endpoint(self.server, endpoint_name)?, &form).await
    }

    async fn own_token(&self, scope: &str) -> anyhow::Result<SecretString> {
        let form = [("grant_type", "client_credentials"), ("scope", scope)];
        let answer = self.authenticated("token_endpoint", &form).await?.expect(200)?;
        Ok(answer.text("/access_token").into())
    }

    async fn add_webhook(&self, token: &SecretString, url: &str) -> anyhow::Result<()> {
        let bearer = bearer(token);
        let body = json!({ "url": url, "events": ["payment.settled"] });
        let address = format!("{}/v1/webhook-endpoints", self.api);
        self.http.post_json(&address, &[("authorization", &bearer)], &body).await?.expect(201)?;
        Ok(())
    }

    async fn lodge(&self, token: &SecretString, banks: &[&str]) -> anyhow::Result<Vec<String>> {
        let bearer = bearer(token);
        let mut consents = Vec::new();
        for bank in banks {
            let key = SystemEntropy.uuid_v4().to_string();
            let headers = [("authorization", bearer.as_str()), ("idempotency-key", &key)];
            let body = json!({
                "type": "ACCOUNT_INFORMATION",
                "institution_id": bank,
                "permissions": PERMISSIONS,
            });
            let address = format!("{}/v1/consents", self.api);
            let answer = self.http.post_json(&address, &headers, &body).await?.expect(201)?;
            consents.push(answer.text("/id"));
        }
        Ok(consents)
    }

    async fn push(&self, consents: &[String], verifier: &SecretString) -> anyhow::Result<String> {
        let details: Value =
            consents.iter().map(|id| json!({ "type": "account_access", "consent_id": id })).collect();
        let details = details.to_string();
        let challenge = crypto::digest::pkce_challenge(verifier.expose_secret());
        let form = [
            ("response_type", "code"),
            ("redirect_uri", RETURN),
            ("scope", "accounts"),
            ("state", "demo-state"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("authorization_details", &details),
        ];
        let answer = self.authenticated("pushed_authorization_request_endpoint", &form).await?.expect(201)?;
        let mut url = url::Url::parse(endpoint(self.server, "authorization_endpoint")?)?;
        url.query_pairs_mut()
            .append_pair("client_id", &self.client_id)
            .append_pair("request_uri", &answer.text("/request_uri"));
        Ok(url.into())
    }

    async fn redeem(&self, code: &str, verifier: &SecretString) -> anyhow::Result<SecretString> {
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", RETURN),
            ("code_verifier", verifier.expose_secret()),
        ];
        let answer = self.authenticated("token_endpoint", &form).await?.expect(200)?;
        Ok(answer.text("/access_token").into())
    }

    /// Reads an aggregate, and holds it to all banks having answered.
    async fn read(&self, token: &SecretString, path: &str, banks: usize) -> anyhow::Result<Value> {
        let bearer = bearer(token);
        let headers = [("authorization", bearer.as_str()), ("psu-ip-address", "192.0.2.10")];
        let body = self.http.get(&format!("{}{path}", self.api), &headers).await?.expect(200)?.json();
        let sources = body.get("sources").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let answered =
            sources.iter().filter(|source| source.get("status").and_then(Value::as_str) == Some("OK"));
        let rows = body.get("data").and_then(Value::as_array).map_or(0, Vec::len);
        if answered.count() != banks || rows == 0 {
            bail!("not every bank answered");
        }
        Ok(body)
    }

    async fn order(&self, token: &SecretString, bank: &str) -> anyhow::Result<Value> {
        let (bearer, key) = (bearer(token), SystemEntropy.uuid_v4().to_string());
        let headers = [("authorization", bearer.as_str()), ("idempotency-key", &key)];
        let body = json!({
            "institution_id": bank,
            "amount": { "amount": "12.34", "currency": "GBP" },
            "creditor": { "name": "Corner Bookshop" },
            "creditor_account": { "sort_code_account_number": { "sort_code": "990011", "account_number": "20000018" } },
            "remittance": { "unstructured": ["Invoice 2041"] },
            "redirect_uri": RETURN,
        });
        let address = format!("{}/v1/payments", self.api);
        Ok(self.http.post_json(&address, &headers, &body).await?.expect(201)?.json())
    }

    async fn settled(&self, token: &SecretString, id: &str) -> anyhow::Result<Value> {
        let bearer = bearer(token);
        let address = format!("{}/v1/payments/{id}", self.api);
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        for _ in 0..200 {
            beat.tick().await;
            let payment = self.http.get(&address, &[("authorization", &bearer)]).await?.expect(200)?.json();
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
}

fn bearer(token: &SecretString) -> String {
    format!("Bearer {}", token.expose_secret())
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

async fn verify_webhook(tpp: &Tpp<'_>, receiver: &Receiver, payment: &str) -> anyhow::Result<()> {
    let about = |delivery: &super::Delivery| {
        let body: Value = serde_json::from_slice(&delivery.body).unwrap_or_default();
        body.pointer("/resource/id").and_then(Value::as_str) == Some(payment)
    };
    let delivery = receiver.wait_for(about, Duration::from_secs(10)).await?;
    let keys =
        tpp.http.send(Method::GET, &format!("{}/.well-known/webhook-keys.json", tpp.issuer), &[], "").await?;
    let keys = Jwks::parse(&keys.expect(200)?.body)?;
    let verified = keys.iter().any(|key| {
        let verifier = webhook::Verifier::Key(key.key());
        webhook::verify(verifier, &delivery.id, delivery.timestamp, &delivery.body, &delivery.signature)
    });
    if verified { Ok(()) } else { bail!("the signature of the webhook is wrong") }
}
