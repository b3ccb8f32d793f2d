//! The target as a sender of webhooks (Standard Webhooks 1.0).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use url::Url;

use super::receiver::{Delivery, Planned, Receiver};
use super::{Failure, Play};
use crate::case::{Action, Step};
use crate::http::{Request, Response};
use crate::jose::Jwk;

type Outcome = Result<(), Failure>;

fn broken(says: &str) -> Failure {
    Failure::Broken(says.to_owned())
}

/// A registered endpoint.
struct Endpoint {
    id: String,
    secret: Option<String>,
}

impl Play<'_> {
    /// One question to the sender.
    pub(super) async fn webhooks(&mut self, step: &Step) -> Outcome {
        let name = self.target.is.webhook_receiver.clone().unwrap_or_default();
        let identity = self.target.http.identity(&name).cloned().ok_or_else(|| {
            Failure::NotApplicable("webhook_receiver names no certificate that the sender trusts".to_owned())
        })?;
        let receiver =
            Receiver::start(&identity).await.map_err(|error| Failure::Blocked(error.to_string()))?;
        let ask = Step { action: Action::ClientCredentials, ..Step::default() };
        let asked = self.client_credentials(&ask).await?;
        self.succeeded(&ask, &asked)?;
        match step.with.get("check").and_then(Value::as_str).unwrap_or_default() {
            "key" => self.signed_by_key(&receiver).await,
            "secret" => self.signed_by_secret(&receiver).await,
            "rotated" => self.rotated(&receiver).await,
            "again" => self.again(&receiver).await,
            "redirect" => self.redirect(&receiver).await,
            "gone" => self.gone(&receiver).await,
            "removed" => self.removed(&receiver).await,
            "thin" => self.thin(&receiver).await,
            other => Err(Failure::Blocked(format!("no question is called {other:?}"))),
        }
    }

    async fn hook_call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response, Failure> {
        let api = self.values.text("api").unwrap_or_default();
        let url = Url::parse(&format!("{api}{path}"))
            .map_err(|_| Failure::Blocked("there is no api".to_owned()))?;
        let token = self.values.text("own_token").unwrap_or_default().to_owned();
        let certificate = self.target.client(&self.role).and_then(|client| client.is.certificate.clone());
        let mut request = Request::new(method, url)
            .header("authorization", format!("Bearer {token}"))
            .header("idempotency-key", uuid::Uuid::new_v4().to_string())
            .with(certificate.as_deref());
        if let Some(body) = body {
            request = request.body("application/json", body.to_string());
        }
        self.send(&request).await.map_err(|error| Failure::Broken(format!("no answer: {error}")))
    }

    async fn hook(&mut self, receiver: &Receiver, signature: &str) -> Result<Endpoint, Failure> {
        let body = json!({"url": receiver.url(), "events": ["payment.settled"], "signature": signature});
        let answer = self.hook_call("POST", "/v1/webhook-endpoints", Some(body)).await?;
        let json = answer.json();
        let text = |name: &str| json.get(name).and_then(Value::as_str).map(str::to_owned);
        match text("id") {
            Some(id) if answer.status == 201 => Ok(Endpoint { id, secret: text("secret") }),
            Some(_) | None => Err(Failure::Broken(format!("no endpoint was added: {}", answer.status))),
        }
    }

    async fn test(&mut self, endpoint: &Endpoint) -> Outcome {
        let answer =
            self.hook_call("POST", &format!("/v1/webhook-endpoints/{}/test", endpoint.id), None).await?;
        if (200..300).contains(&answer.status) {
            return Ok(());
        }
        Err(Failure::Broken(format!("a test was answered with {}", answer.status)))
    }

    async fn delivered(&mut self, receiver: &Receiver, number: usize) -> Result<Vec<Delivery>, Failure> {
        let arrived = receiver.wait_for(number).await;
        let arrived = arrived.ok_or_else(|| Failure::Broken(format!("delivery {number} did not come")))?;
        for delivery in &arrived {
            self.note(format!(
                "delivered to {}: webhook-id {}, webhook-timestamp {}, {} bytes",
                delivery.path,
                delivery.header("webhook-id"),
                delivery.header("webhook-timestamp"),
                delivery.body.len()
            ));
        }
        Ok(arrived)
    }

    /// What is over every delivery: an id, a time of now, and what is signed.
    fn content(&self, delivery: &Delivery) -> Result<Vec<u8>, Failure> {
        let (id, at) = (delivery.header("webhook-id"), delivery.header("webhook-timestamp"));
        if id.is_empty() {
            return Err(broken("there is no webhook-id"));
        }
        let now = self.clock.now();
        if !at.parse::<i64>().is_ok_and(|at| (at - now).abs() <= 300) {
            return Err(broken("webhook-timestamp is not within five minutes of now"));
        }
        Ok([format!("{id}.{at}.").as_bytes(), &delivery.body].concat())
    }

    async fn signed_by_key(&mut self, receiver: &Receiver) -> Outcome {
        let endpoint = self.hook(receiver, "v1a").await?;
        self.test(&endpoint).await?;
        let arrived = self.delivered(receiver, 1).await?;
        let issuer = self.values.text("issuer").unwrap_or_default();
        let place = Url::parse(&format!("{issuer}/.well-known/webhook-keys.json"))
            .map_err(|_| Failure::Blocked("there is no issuer".to_owned()))?;
        let answer = self
            .send(&Request::new("GET", place))
            .await
            .map_err(|error| Failure::Broken(error.to_string()))?;
        let keys = Jwk::set(&answer.json());
        let delivery = arrived.first().ok_or_else(|| broken("nothing came"))?;
        let content = self.content(delivery)?;
        let signed =
            delivery.header("webhook-signature").split(' ').filter_map(|part| part.strip_prefix("v1a,"));
        let holds = signed
            .filter_map(|signature| BASE64_STANDARD.decode(signature).ok())
            .any(|signature| keys.iter().any(|key| key.verifies("EdDSA", &content, &signature)));
        if holds { Ok(()) } else { Err(broken("no published key made a signature")) }
    }

    async fn signed_by_secret(&mut self, receiver: &Receiver) -> Outcome {
        let endpoint = self.hook(receiver, "v1").await?;
        self.test(&endpoint).await?;
        let arrived = self.delivered(receiver, 1).await?;
        let delivery = arrived.first().ok_or_else(|| broken("nothing came"))?;
        let content = self.content(delivery)?;
        if by_secret(delivery, &content, endpoint.secret.as_deref()) {
            return Ok(());
        }
        Err(broken("the secret of the endpoint made no signature"))
    }

    async fn rotated(&mut self, receiver: &Receiver) -> Outcome {
        let endpoint = self.hook(receiver, "v1").await?;
        let path = format!("/v1/webhook-endpoints/{}/rotate-secret", endpoint.id);
        let answer = self.hook_call("POST", &path, None).await?;
        let next = answer.json().get("secret").and_then(Value::as_str).map(str::to_owned);
        self.test(&endpoint).await?;
        let arrived = self.delivered(receiver, 1).await?;
        let delivery = arrived.first().ok_or_else(|| broken("nothing came"))?;
        let content = self.content(delivery)?;
        if !by_secret(delivery, &content, next.as_deref()) {
            return Err(broken("the new secret made no signature"));
        }
        if !by_secret(delivery, &content, endpoint.secret.as_deref()) {
            return Err(broken("the secret before made no signature"));
        }
        Ok(())
    }

    async fn again(&mut self, receiver: &Receiver) -> Outcome {
        let endpoint = self.hook(receiver, "v1a").await?;
        receiver.plan([Planned { status: 500, location: None }]);
        self.test(&endpoint).await?;
        self.delivered(receiver, 1).await?;
        self.wait(&Step { seconds: 10, ..Step::default() }).await?;
        let arrived = self.delivered(receiver, 2).await?;
        match arrived.as_slice() {
            [first, second, ..] if first.header("webhook-id") != second.header("webhook-id") => {
                Err(broken("what came again has another webhook-id"))
            }
            [first, second, ..] if first.body != second.body => {
                Err(broken("what came again is not the same"))
            }
            [_, second, ..] => self.content(second).map(drop),
            _ => Err(broken("it did not come again")),
        }
    }

    async fn redirect(&mut self, receiver: &Receiver) -> Outcome {
        let endpoint = self.hook(receiver, "v1a").await?;
        let location = receiver.url().replace("/hooks", "/elsewhere");
        receiver.plan([Planned { status: 307, location: Some(location) }]);
        self.test(&endpoint).await?;
        self.delivered(receiver, 1).await?;
        self.wait(&Step { seconds: 10, ..Step::default() }).await?;
        let arrived = self.delivered(receiver, 2).await?;
        if arrived.iter().any(|delivery| delivery.path == "/elsewhere") {
            return Err(broken("a redirect was followed"));
        }
        Ok(())
    }

    async fn gone(&mut self, receiver: &Receiver) -> Outcome {
        let endpoint = self.hook(receiver, "v1a").await?;
        receiver.plan([Planned { status: 410, location: None }]);
        self.test(&endpoint).await?;
        self.delivered(receiver, 1).await?;
        // The answer has been given; how the sender took it shows in a moment.
        for _ in 0..50 {
            let answer =
                self.hook_call("GET", &format!("/v1/webhook-endpoints/{}", endpoint.id), None).await?;
            if answer.json().get("status") == Some(&json!("disabled")) {
                return Ok(());
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        Err(broken("410 did not switch the endpoint off"))
    }

    async fn removed(&mut self, receiver: &Receiver) -> Outcome {
        let endpoint = self.hook(receiver, "v1a").await?;
        let path = format!("/v1/webhook-endpoints/{}", endpoint.id);
        let answer = self.hook_call("DELETE", &path, None).await?;
        if answer.status != 204 {
            return Err(Failure::Broken(format!("the endpoint was not removed: {}", answer.status)));
        }
        let answer = self.hook_call("POST", &format!("{path}/test"), None).await?;
        if answer.status != 404 {
            return Err(Failure::Broken(format!("a removed endpoint was tested: {}", answer.status)));
        }
        if receiver.arrived().is_empty() { Ok(()) } else { Err(broken("something was delivered to it")) }
    }

    async fn thin(&mut self, receiver: &Receiver) -> Outcome {
        let endpoint = self.hook(receiver, "v1a").await?;
        self.test(&endpoint).await?;
        let arrived = self.delivered(receiver, 1).await?;
        let delivery = arrived.first().ok_or_else(|| broken("nothing came"))?;
        let body: Value =
            serde_json::from_slice(&delivery.body).map_err(|_| broken("the body is no JSON"))?;
        for name in ["type", "data"] {
            if body.get(name).is_none() {
                return Err(Failure::Broken(format!("the body has no {name}")));
            }
        }
        let text = body.to_string().to_lowercase();
        match ["iban", "account_number", "\"name\"", "remittance"].iter().find(|word| text.contains(**word)) {
            Some(word) => Err(Failure::Broken(format!("the body has what is about a person: {word}"))),
            None => Ok(()),
        }
    }
}

/// Whether a secret of Standard Webhooks (`whsec_…`) made one of the signatures.
fn by_secret(delivery: &Delivery, content: &[u8], secret: Option<&str>) -> bool {
    let key = secret.and_then(|secret| BASE64_STANDARD.decode(secret.strip_prefix("whsec_")?).ok());
    let Some(key) = key else { return false };
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    delivery
        .header("webhook-signature")
        .split(' ')
        .filter_map(|part| BASE64_STANDARD.decode(part.strip_prefix("v1,")?).ok())
        .any(|signature| ring::hmac::verify(&key, content, &signature).is_ok())
}
