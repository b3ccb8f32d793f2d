//! Time that goes on and can be moved, and what a consent's life is read from.

use std::sync::Arc;
use std::time::Duration;

use consentry::demo::{Receiver, Tpp};
pub use domain::ShiftedClock;
use domain::{Clock, ConsentId, RequestId};
use flows::{Asker, FlowError, Gateway, Read, Reading};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::{TestGateway, Wanted};

/// Seconds of a day.
pub const DAY: i64 = 86_400;
/// Longest time that a test waits for a condition.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Reads as a TPP does at this gateway, whatever has become of its tokens meanwhile.
pub async fn read_from(
    gateway: &Gateway,
    tpp: &Tpp,
    consents: &[String],
    read: Read<'_>,
) -> Result<Reading, FlowError> {
    let ids: Vec<ConsentId> = consents.iter().map(|id| id.parse().unwrap()).collect();
    let psu = connect::PsuPresence {
        ip_address: "192.0.2.10".parse().unwrap(),
        user_agent: None,
        accept_language: None,
        last_authenticated: None,
    };
    let asker =
        Asker { client: &tpp.client_id, consents: &ids, request: RequestId::default(), certificate: None };
    gateway.read(asker, None, read, Some(&psu)).await
}

impl TestGateway {
    /// A sandbox whose clock can be moved ahead.
    pub async fn with_shifted_clock() -> (Self, Arc<ShiftedClock>) {
        let clock = Arc::new(ShiftedClock::default());
        let virtual_time = Some(Arc::clone(&clock));
        let wanted = Wanted { clock: clock.clone(), virtual_time, ..Wanted::default() };
        (Self::wanted(wanted).await, clock)
    }

    /// Reads as the TPP does, whatever has become of its tokens meanwhile.
    pub async fn read(&self, tpp: &Tpp, consents: &[String], read: Read<'_>) -> Result<Reading, FlowError> {
        read_from(self.sandbox.gateway(), tpp, consents, read).await
    }

    /// A consent as the TPP sees it now.
    pub async fn shown(&self, tpp: &Tpp, consent: &str) -> Value {
        let own = tpp.own_token("accounts").await.unwrap();
        tpp.get(&own, &format!("/v1/consents/{consent}")).await.unwrap().expect(200).unwrap().json()
    }

    /// Waits until the TPP sees a consent in a status.
    pub async fn until_status(&self, tpp: &Tpp, consent: &str, status: &str) -> Value {
        let look = async {
            let mut beat = tokio::time::interval(Duration::from_millis(50));
            loop {
                beat.tick().await;
                let shown = self.shown(tpp, consent).await;
                if shown["status"] == status {
                    return shown;
                }
            }
        };
        tokio::time::timeout(PATIENCE, look).await.expect("the consent gets there")
    }

    /// A receiver of every event of the TPP.
    pub async fn listening(&self, tpp: &Tpp) -> Receiver {
        self.listening_with(tpp, "accounts").await
    }

    /// The same, of a TPP whose scope is another.
    pub async fn listening_with(&self, tpp: &Tpp, scope: &str) -> Receiver {
        let pki = self.sandbox.access().pki;
        let receiver = Receiver::start(&pki.server.certificate_pem, &pki.server.key_pem).await.unwrap();
        let own = tpp.own_token(scope).await.unwrap();
        let endpoint = json!({ "url": receiver.url });
        tpp.post(&own, "/v1/webhook-endpoints", &endpoint).await.unwrap().expect(201).unwrap();
        receiver
    }
}

/// Lodges a consent with these terms.
pub async fn lodge_until(tpp: &Tpp, own: &SecretString, bank: &str, days: i64, clock: &dyn Clock) -> Value {
    let until = domain::Timestamp::from_second(clock.now().as_second() + days * 86_400).unwrap();
    let body = json!({
        "type": "ACCOUNT_INFORMATION",
        "institution_id": bank,
        "permissions": consentry::demo::PERMISSIONS,
        "access": { "valid_until": until.to_string()[..10] },
    });
    tpp.post(own, "/v1/consents", &body).await.unwrap().expect(201).unwrap().json()
}

/// Why each step of a life was taken, or where it led.
pub fn steps(consent: &Value) -> Vec<String> {
    let history = consent["history"].as_array().unwrap().iter();
    history
        .map(|step| {
            let to = step["to"].as_str().unwrap();
            step["reason"].as_str().map_or_else(|| to.to_owned(), |reason| format!("{to} {reason}"))
        })
        .collect()
}

/// The types of the events about a consent that have arrived.
pub fn events(receiver: &Receiver, consent: &str) -> Vec<String> {
    let bodies = receiver.told().into_iter().map(|one| serde_json::from_slice::<Value>(&one.body).unwrap());
    let about = bodies.filter(|event| event["resource"]["id"] == consent);
    let mut about: Vec<_> = about.map(|event| (event["sequence"].as_i64(), event["type"].clone())).collect();
    about.sort_by_key(|(sequence, _)| *sequence);
    about.into_iter().map(|(_, kind)| kind.as_str().unwrap().to_owned()).collect()
}

/// Waits for an event about a consent.
pub async fn event(receiver: &Receiver, consent: &str, kind: &str) {
    let wanted = |one: &consentry::demo::Delivery| {
        let event: Value = serde_json::from_slice(&one.body).unwrap();
        event["resource"]["id"] == consent && event["type"] == kind
    };
    receiver.wait_for(wanted, PATIENCE).await.unwrap_or_else(|error| panic!("{kind}: {error}"));
}
