//! Receivers of webhooks: whether one takes what it should and refuses what it should (Standard
//! Webhooks 1.0).
//!
//! Sends deliveries that are right and deliveries that are wrong in one way each. What arrives
//! twice has to be taken twice, because a sender that got no answer sends again.

mod client;
mod signing;

use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use url::{Host, Url};
use uuid::Uuid;

pub use client::Trust;
pub use signing::{InvalidKey, SigningKey};

use client::{Answer, Client, Failure};

use super::Finding;
use crate::clock::Clock;

const VERIFYING: &str = "Standard Webhooks 1.0, Verifying webhook authenticity";
const RETRIES: &str = "Standard Webhooks 1.0, Deliverability and reliability";
const PAYLOAD: &str = "Standard Webhooks 1.0, Payload structure";
/// How far from now a delivery is that has to be refused. Receivers allow five minutes.
const LONG_AGO_S: i64 = 3_600;
const LARGE: usize = 2 << 20;

/// The receiver that is checked, and how.
#[derive(Debug)]
pub struct Receiver {
    /// Where it listens.
    pub url: Url,
    /// What its deliveries are signed with.
    pub key: SigningKey,
    /// Whose certificates it may have.
    pub trust: Trust,
    /// How long it may take to answer.
    pub patience: Duration,
}

impl Receiver {
    /// With the authorities of this system, and fifteen seconds for an answer.
    #[must_use]
    pub fn new(url: Url, key: SigningKey) -> Self {
        Self { url, key, trust: Trust::System, patience: Duration::from_secs(15) }
    }
}

/// One delivery: what is in it, and what is wrong with it.
struct Delivery {
    id: String,
    timestamp: i64,
    body: Bytes,
    signature: Option<String>,
}

/// Sends deliveries to a receiver and judges its answers.
pub async fn check_receiver(receiver: &Receiver, clock: &Clock) -> Vec<Finding> {
    if receiver.url.scheme() != "https" && !(receiver.url.scheme() == "http" && is_loopback(&receiver.url)) {
        return vec![
            Finding::error(
                "receiver-not-https",
                "RTS (EU) 2018/389 Article 35",
                "The receiver is not reached over TLS",
            )
            .meant("an https address; plain http is for receivers on this machine")
            .at(receiver.url.as_str()),
        ];
    }
    let client = match Client::new(&receiver.url, &receiver.trust, receiver.patience) {
        Ok(client) => client,
        Err(failure) => return vec![of_failure(&failure, "a delivery", receiver)],
    };
    let mut check = Check { receiver, clock, client, findings: Vec::new() };
    if check.good().await {
        check.refused().await;
        check.taken_again().await;
        check.unusual().await;
    }
    check.findings
}

struct Check<'a> {
    receiver: &'a Receiver,
    clock: &'a Clock,
    client: Client,
    findings: Vec<Finding>,
}

impl Check<'_> {
    fn delivery(&self, kind: &str, padding: usize) -> Delivery {
        self.delivery_at(self.clock.now(), kind, padding)
    }

    fn delivery_at(&self, timestamp: i64, kind: &str, padding: usize) -> Delivery {
        let id = format!("evt_{}", Uuid::new_v4().simple());
        let occurred = jiff::Timestamp::from_second(timestamp).map(|at| at.to_string()).unwrap_or_default();
        let body = json!({
            "id": id, "type": kind, "api_version": "v1", "created_at": occurred, "timestamp": occurred,
            "sequence": 1, "region": "eu",
            "resource": {"type": "webhook_endpoint", "id": "whe_1", "href": "/v1/webhooks/whe_1"},
            "data": {"status": "TEST", "padding": "x".repeat(padding)},
        });
        let body = Bytes::from(body.to_string());
        let signature = Some(self.receiver.key.sign(&id, timestamp, &body));
        Delivery { id, timestamp, body, signature }
    }

    /// The answer, or nothing after a finding about why there is none.
    async fn send(&mut self, delivery: &Delivery, what: &str) -> Option<Answer> {
        let mut headers =
            vec![("webhook-id", delivery.id.clone()), ("webhook-timestamp", delivery.timestamp.to_string())];
        headers.extend(delivery.signature.clone().map(|signature| ("webhook-signature", signature)));
        match self.client.post(&headers, delivery.body.clone()).await {
            Ok(answer) => {
                if answer.status.is_redirection() {
                    self.once(
                        Finding::error(
                            "receiver-redirects",
                            RETRIES,
                            format!("The receiver answers {what} with {}", answer.status.as_u16()),
                        )
                        .meant("the address that it redirects to, registered as the receiver")
                        .at(self.receiver.url.as_str()),
                    );
                    return None;
                }
                Some(answer)
            }
            Err(failure) => {
                self.once(of_failure(&failure, what, self.receiver));
                None
            }
        }
    }

    /// One finding of a rule is enough where every delivery would give it.
    fn once(&mut self, finding: Finding) {
        if !self.findings.iter().any(|one| one.rule == finding.rule) {
            self.findings.push(finding);
        }
    }

    async fn good(&mut self) -> bool {
        let delivery = self.delivery("webhook.test", 0);
        let Some(answer) = self.send(&delivery, "a delivery").await else { return false };
        if !answer.status.is_success() {
            self.findings.push(
                Finding::error(
                    "good-delivery-refused",
                    VERIFYING,
                    format!("The receiver answers a delivery signed well with {}", answer.status.as_u16()),
                )
                .meant("the same secret at both sides, and id, timestamp and the body as it arrived under it")
                .at(self.receiver.url.as_str()),
            );
        }
        answer.status.is_success()
    }

    /// What anybody could have sent.
    async fn refused(&mut self) {
        let now = self.clock.now();
        let forged = {
            let good = self.delivery("webhook.test", 0);
            Delivery {
                signature: Some(self.receiver.key.forge(&good.id, good.timestamp, &good.body)),
                ..good
            }
        };
        let unsigned = Delivery { signature: None, ..self.delivery("webhook.test", 0) };
        let altered = {
            let good = self.delivery("webhook.test", 0);
            let body = Bytes::from([good.body.as_ref(), b" "].concat());
            Delivery { body, ..good }
        };
        let moved = {
            let good = self.delivery("webhook.test", 0);
            Delivery { id: format!("evt_{}", Uuid::new_v4().simple()), ..good }
        };
        let old = self.delivery_at(now - LONG_AGO_S, "webhook.test", 0);
        let early = self.delivery_at(now + LONG_AGO_S, "webhook.test", 0);
        let cases = [
            ("forgery-taken", "a delivery with a wrong signature", forged),
            ("unsigned-taken", "a delivery without a signature", unsigned),
            ("altered-taken", "a delivery whose body was altered", altered),
            ("other-id-taken", "a delivery whose id was altered", moved),
            ("old-taken", "a delivery from an hour ago", old),
            ("early-taken", "a delivery from an hour ahead", early),
        ];
        for (rule, what, delivery) in cases {
            let Some(answer) = self.send(&delivery, what).await else { continue };
            if answer.status.is_success() {
                let finding = Finding::error(rule, VERIFYING, format!("The receiver takes {what}"))
                    .meant("401 or 400, and nothing done with it")
                    .at(self.receiver.url.as_str());
                self.findings.push(finding);
            } else if !answer.status.is_client_error() {
                let status = answer.status.as_u16();
                let finding = Finding::warning(
                    "refusal-status",
                    VERIFYING,
                    format!("The receiver answers {what} with {status}"),
                )
                .meant("401 or 400; other statuses make the sender try again")
                .at(self.receiver.url.as_str());
                self.once(finding);
            }
        }
    }

    /// A sender that got no answer sends again.
    async fn taken_again(&mut self) {
        let delivery = self.delivery("webhook.test", 0);
        if self.send(&delivery, "a delivery").await.is_none_or(|answer| !answer.status.is_success()) {
            return;
        }
        let timestamp = self.clock.now();
        let signature = Some(self.receiver.key.sign(&delivery.id, timestamp, &delivery.body));
        let retry = Delivery { id: delivery.id.clone(), body: delivery.body.clone(), timestamp, signature };
        for again in [delivery, retry] {
            let Some(answer) = self.send(&again, "a delivery that it has already").await else { continue };
            if !answer.status.is_success() {
                let status = answer.status.as_u16();
                self.once(
                    Finding::error(
                        "replay-refused",
                        RETRIES,
                        format!("The receiver answers a delivery that it has already with {status}"),
                    )
                    .meant("2xx and nothing done a second time; the webhook-id tells that it is the same")
                    .at(self.receiver.url.as_str()),
                );
            }
        }
    }

    async fn unusual(&mut self) {
        let mut rotated = self.delivery("webhook.test", 0);
        let forged = self.receiver.key.forge(&rotated.id, rotated.timestamp, &rotated.body);
        rotated.signature = rotated.signature.map(|good| format!("{forged} {good}"));
        let unknown = self.delivery("something.nobody_knows_yet", 0);
        for (rule, clause, what, meant, delivery) in [
            (
                "rotation-refused",
                VERIFYING,
                "a delivery with two signatures of which the second is right",
                "each signature of the list tried, because both secrets sign while one replaces the other",
                rotated,
            ),
            (
                "unknown-type-refused",
                PAYLOAD,
                "a type of event that it does not know",
                "2xx and nothing done; new types come without notice",
                unknown,
            ),
        ] {
            let Some(answer) = self.send(&delivery, what).await else { continue };
            if !answer.status.is_success() {
                let says = format!("The receiver answers {what} with {}", answer.status.as_u16());
                self.findings
                    .push(Finding::error(rule, clause, says).meant(meant).at(self.receiver.url.as_str()));
            }
        }
        self.large().await;
    }

    /// A large delivery may be refused; the receiver has to outlive it.
    async fn large(&mut self) {
        let delivery = self.delivery("webhook.test", LARGE);
        let headers = [
            ("webhook-id", delivery.id.clone()),
            ("webhook-timestamp", delivery.timestamp.to_string()),
            ("webhook-signature", delivery.signature.unwrap_or_default()),
        ];
        let answer = self.client.post(&headers, delivery.body).await;
        // A connection that is cut while we send is a refusal too.
        let is_bad = match answer {
            Ok(answer) => answer.status.is_server_error(),
            Err(Failure::Slow) => true,
            Err(Failure::Cut(_) | Failure::Unreachable(_) | Failure::Tls(_) | Failure::Roots(_)) => false,
        };
        let after = self.delivery("webhook.test", 0);
        let lives =
            self.send(&after, "a delivery after a large one").await.is_some_and(|a| a.status.is_success());
        if is_bad || !lives {
            self.findings.push(
                Finding::warning(
                    "large-delivery-fails",
                    RETRIES,
                    "The receiver fails on a delivery of two megabytes",
                )
                .meant("2xx, or 413 before the body is kept in memory")
                .at(self.receiver.url.as_str()),
            );
        }
    }
}

fn of_failure(failure: &Failure, what: &str, receiver: &Receiver) -> Finding {
    let finding = match failure {
        Failure::Unreachable(why) => {
            Finding::error("receiver-unreachable", RETRIES, format!("Nobody answers at the address: {why}"))
                .meant("an address that can be reached from here, with the receiver running")
        }
        Failure::Tls(why) => Finding::error(
            "receiver-tls",
            "RFC 8446 §4.4.2",
            format!("The receiver's TLS cannot be trusted: {why}"),
        )
        .meant("a certificate for this host with its chain, from an authority that is trusted here"),
        Failure::Roots(why) => Finding::error(
            "authorities-unreadable",
            "RFC 7468 §5.1",
            format!("The file of authorities cannot be used: {why}"),
        )
        .meant("a PEM file with the certificates of the authorities to trust"),
        Failure::Slow => Finding::error(
            "receiver-slow",
            RETRIES,
            format!("The receiver does not answer {what} within {} seconds", receiver.patience.as_secs_f32()),
        )
        .meant("an answer as soon as the delivery is stored, and the work afterwards"),
        Failure::Cut(why) => Finding::error(
            "receiver-cuts",
            RETRIES,
            format!("The receiver ends the connection instead of answering {what}: {why}"),
        )
        .meant("an answer of HTTP"),
    };
    finding.at(receiver.url.as_str())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
