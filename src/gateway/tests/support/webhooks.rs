//! A fintech with a webhook endpoint.

use std::time::Duration;

use consentry::demo::{Delivery, Receiver, Tpp};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{TestGateway, rows};

pub const PATIENCE: Duration = Duration::from_secs(10);

/// A fintech and its endpoint.
pub struct Hooked {
    pub tpp: Tpp,
    pub own: SecretString,
    pub receiver: Receiver,
    /// The endpoint, as it was answered.
    pub endpoint: Value,
}

impl Hooked {
    /// A fintech that has added an endpoint with these members.
    pub async fn with(gw: &TestGateway, members: Value) -> Self {
        let pki = gw.sandbox.access().pki;
        let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
        Self::at(gw, receiver, members).await
    }

    /// The same, of an endpoint that is there.
    pub async fn at(gw: &TestGateway, receiver: Receiver, mut members: Value) -> Self {
        let tpp = gw.tpp().await;
        let own = tpp.own_token("accounts").await.unwrap();
        members["url"] = json!(receiver.url);
        let added = tpp.post(&own, "/v1/webhook-endpoints", &members).await.unwrap().expect(201).unwrap();
        Self { tpp, own, receiver, endpoint: added.json() }
    }

    /// A path below the endpoint.
    pub fn path(&self, below: &str) -> String {
        format!("/v1/webhook-endpoints/{}{below}", self.endpoint["id"].as_str().unwrap())
    }

    /// Posts to a path below the endpoint.
    pub async fn post(&self, below: &str) -> consentry::demo::Answer {
        self.tpp.post(&self.own, &self.path(below), &json!({})).await.unwrap()
    }

    /// Sends a test, and the delivery of it.
    pub async fn tested(&self) -> Delivery {
        let sent = self.post("/test").await.expect(202).unwrap().text("/event_id");
        self.receiver.wait_for(|it| it.id == sent, PATIENCE).await.unwrap()
    }

    /// The list of deliveries.
    pub async fn log(&self) -> Vec<Value> {
        rows(&self.tpp.get(&self.own, &self.path("/deliveries")).await.unwrap())
    }
}

/// The body of a delivery.
pub fn body(delivery: &Delivery) -> Value {
    serde_json::from_slice(&delivery.body).unwrap()
}

/// Looks again and again until there is something; at most ten seconds.
pub async fn until<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let looking = async {
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        loop {
            beat.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| panic!("in time: {what}"))
}
