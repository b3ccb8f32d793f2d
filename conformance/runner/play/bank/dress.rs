//! Headers and signatures of each dialect.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::Call;
use crate::bank;
use crate::case::Step;
use crate::jose::{base64url, sha256};
use crate::play::{Failure, Play};
use crate::target::{Approach, BankConfiguration, Signing};

/// Claims of the UK signature (Read/Write API, "Process for Signing a Payload").
pub(super) const UK_CLAIMS: [&str; 3] =
    ["http://openbanking.org.uk/iat", "http://openbanking.org.uk/iss", "http://openbanking.org.uk/tan"];

/// Where the imagined person is (RFC 5737).
const PERSON_AT: &str = "192.0.2.1";

/// Ticks of 100 ns from the beginning of the Gregorian calendar to that of Unix (RFC 9562 §5.1).
const GREGORIAN: u64 = 0x01B2_1DD2_1381_4000;

impl Play<'_> {
    /// The UK: `x-fapi-interaction-id` on everything; what moves money is signed and has a key.
    pub(super) fn dress_uk(
        &mut self,
        bank: &BankConfiguration,
        step: &Step,
        call: &mut Call,
    ) -> Result<(), Failure> {
        let id = uuid::Uuid::new_v4().to_string();
        call.put("accept", "application/json");
        call.put("x-fapi-interaction-id", id);
        let moves = !call.body.is_empty() && matches!(call.api.as_str(), "payments" | "recurring");
        if !call.body.is_empty() {
            call.put("content-type", "application/json; charset=utf-8");
        }
        if moves {
            call.put("x-idempotency-key", crate::case::random(24));
        }
        call.headers = step.headers.pairs(std::mem::take(&mut call.headers), &self.values);
        for (name, header) in
            [("interaction_id", "x-fapi-interaction-id"), ("idempotency_key", "x-idempotency-key")]
        {
            if let Some(value) = call.header(header) {
                self.values.set(name, value);
            }
        }
        if (moves || step.signature.force) && !step.signature.omit {
            let signature = self.detached_uk(bank, step, &call.body)?;
            self.values.set("last_signature", signature.as_str());
            call.put("x-jws-signature", signature);
        }
        Ok(())
    }

    fn detached_uk(&self, bank: &BankConfiguration, step: &Step, body: &[u8]) -> Result<String, Failure> {
        let client = self.client(step)?;
        let [iat, iss, tan] = UK_CLAIMS;
        let mut header = Map::new();
        header.insert("typ".to_owned(), json!("JOSE"));
        header.insert("cty".to_owned(), json!("application/json"));
        header.insert("kid".to_owned(), json!(bank.kid));
        header.insert(iat.to_owned(), json!(self.clock.now()));
        header.insert(iss.to_owned(), json!(bank.iss.as_deref().unwrap_or(&client.is.client_id)));
        header.insert(tan.to_owned(), json!(bank.tan.as_deref().unwrap_or("openbanking.org.uk")));
        header.insert("crit".to_owned(), json!(UK_CLAIMS));
        self.detached(step, header, body)
    }

    fn detached(&self, step: &Step, mut header: Map<String, Value>, body: &[u8]) -> Result<String, Failure> {
        let edit = &step.signature;
        if let Some(text) = &edit.text {
            return Ok(self.values.filled(text));
        }
        let mut fresh = None;
        let key = self.sealing(edit, &mut fresh)?;
        let alg = edit.alg.clone().unwrap_or_else(|| key.alg().to_owned());
        header.insert("alg".to_owned(), json!(alg));
        let header = edit.header.members(header, &self.values);
        Ok(bank::sign_detached(&header, body, |signed| {
            let mut signature = key.sign(&alg, signed);
            if edit.tamper
                && let Some(byte) = signature.first_mut()
            {
                *byte ^= 1;
            }
            signature
        }))
    }

    /// Berlin Group: `X-Request-ID` on everything, `Consent-ID` where data is read, digest and
    /// signature by the seal on what has a body (Implementation Guidelines §12).
    pub(super) fn dress_berlin(
        &mut self,
        bank: &BankConfiguration,
        step: &Step,
        call: &mut Call,
    ) -> Result<(), Failure> {
        call.put("accept", "application/json");
        call.put("x-request-id", uuid::Uuid::new_v4().to_string());
        call.put("psu-ip-address", PERSON_AT);
        let path = call.url.path().to_owned();
        let reads = path.contains("/accounts") || path.contains("/card-accounts");
        if let Some(consent) = self.values.text("consent_id").filter(|_| reads) {
            call.put("consent-id", consent);
        }
        let begins = call.method == "POST" && !path.ends_with("/funds-confirmations");
        if begins && bank.sca == Approach::Redirect {
            call.put("tpp-redirect-uri", self.values.text("redirect_uri").unwrap_or_default());
        } else if begins {
            call.put("tpp-redirect-preferred", "false");
        }
        let identifies = bank.sca != Approach::Redirect && (begins || call.method == "PUT");
        if let Some(customer) = bank.customer.as_ref().filter(|_| identifies) {
            call.put("psu-id", &*customer.id);
        }
        if !call.body.is_empty() {
            call.put("content-type", "application/json");
        }
        let signs = matches!(call.method.as_str(), "POST" | "PUT") && bank.seal.is_some();
        if signs {
            match bank.signing {
                Signing::Cavage => call.put("digest", bank::digest(&call.body)),
                Signing::Rfc9421 => call.put("content-digest", bank::content_digest(&call.body)),
            }
            call.put("tpp-signature-certificate", BASE64_STANDARD.encode(self.seal_certificate(bank)));
        }
        call.headers = step.headers.pairs(std::mem::take(&mut call.headers), &self.values);
        self.remember_request_id(call);
        if signs && !step.signature.omit {
            let id = bank::key_id(&self.seal_certificate(bank)).unwrap_or_default();
            let there = |name: &str| Some((name.to_owned(), call.header(name)?.to_owned()));
            let mut covered: Vec<_> =
                ["x-request-id", "psu-id", "psu-corporate-id", "date", "tpp-redirect-uri"]
                    .into_iter()
                    .filter_map(there)
                    .collect();
            match bank.signing {
                Signing::Cavage => {
                    covered.extend(there("digest"));
                    let signature = self.cavage(step, &id, covered)?;
                    call.put("signature", signature);
                }
                Signing::Rfc9421 => {
                    covered.extend(there("content-digest"));
                    covered.push(("@method".to_owned(), call.method.clone()));
                    covered.push(("@target-uri".to_owned(), call.url.to_string()));
                    self.sign_message(bank, step, call, &id, covered)?;
                }
            }
        }
        Ok(())
    }

    /// Signs by RFC 9421. Claims of a step's signature that are set are its parameters: `created`, `keyid` and `tag`; those
    /// that are removed are components that it does not cover.
    fn sign_message(
        &self,
        bank: &BankConfiguration,
        step: &Step,
        call: &mut Call,
        id: &str,
        mut covered: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        let edit = &step.signature;
        let mut fresh = None;
        let key = self.sealing(edit, &mut fresh)?;
        let tag = bank.signature_tag.as_ref().map(|tag| ("tag", json!(tag)));
        let parameters = [("created", json!(self.clock.now())), ("keyid", json!(id))].into_iter().chain(tag);
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value)).collect();
        let parameters = edit.claims.members(parameters, &self.values);
        covered.retain(|(name, _)| !edit.claims.remove.contains(name));
        let made = bank::Made {
            key_id: parameters.get("keyid").and_then(Value::as_str).unwrap_or_default(),
            created: parameters.get("created").map_or(0, number),
            tag: parameters.get("tag").and_then(Value::as_str),
            spoiled: edit.tamper,
        };
        let (input, signature) = bank::sign_message(key, &made, &covered);
        call.put("signature-input", input);
        call.put("signature", signature);
        Ok(())
    }

    /// STET: everything is signed, `(request-target)` and date included (STET PSD2 API §3.4).
    pub(super) fn dress_stet(
        &mut self,
        bank: &BankConfiguration,
        step: &Step,
        call: &mut Call,
    ) -> Result<(), Failure> {
        let now = jiff::Timestamp::from_second(self.clock.now()).unwrap_or_default();
        call.put("accept", "application/hal+json; charset=utf-8");
        call.put("x-request-id", uuid::Uuid::new_v4().to_string());
        call.put("date", now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string());
        call.put("psu-ip-address", PERSON_AT);
        call.put("digest", bank::digest(&call.body));
        if !call.body.is_empty() {
            call.put("content-type", "application/json");
            call.put("content-length", call.body.len().to_string());
        }
        call.headers = step.headers.pairs(std::mem::take(&mut call.headers), &self.values);
        self.remember_request_id(call);
        if step.signature.omit {
            return Ok(());
        }
        let fingerprint = hex::encode(sha256(&self.seal_certificate(bank)));
        let address = bank.seal_url.as_deref().unwrap_or("https://tpp.example/{sha256}.pem");
        let target = match call.url.query() {
            Some(query) => format!("{}?{query}", call.url.path()),
            None => call.url.path().to_owned(),
        };
        let mut covered =
            vec![("(request-target)".to_owned(), format!("{} {target}", call.method.to_lowercase()))];
        let unsigned = ["authorization", "accept"];
        covered.extend(call.headers.iter().filter(|(name, _)| !unsigned.contains(&name.as_str())).cloned());
        let signature = self.cavage(step, &address.replace("{sha256}", &fingerprint), covered)?;
        call.put("signature", signature);
        Ok(())
    }

    fn cavage(&self, step: &Step, id: &str, covered: Vec<(String, String)>) -> Result<String, Failure> {
        let edit = &step.signature;
        if let Some(text) = &edit.text {
            return Ok(self.values.filled(text));
        }
        let mut fresh = None;
        let key = self.sealing(edit, &mut fresh)?;
        let made = bank::sign_cavage(key, id, &covered);
        if !edit.tamper {
            return Ok(made);
        }
        let read = bank::Cavage::read(&made).unwrap_or_default();
        let before = BASE64_STANDARD.encode(&read.signature);
        let mut bytes = read.signature;
        if let Some(byte) = bytes.first_mut() {
            *byte ^= 1;
        }
        Ok(made.replace(&before, &BASE64_STANDARD.encode(bytes)))
    }

    fn remember_request_id(&mut self, call: &Call) {
        if let Some(id) = call.header("x-request-id") {
            self.values.set("request_id", id);
        }
    }

    /// PolishAPI: who asks stands in the body, whose detached signature is a header (PolishAPI 2.1 §5).
    /// Changes of the step's form are changes to `requestHeader`.
    pub(super) fn dress_polish(
        &mut self,
        bank: &BankConfiguration,
        step: &Step,
        call: &mut Call,
    ) -> Result<(), Failure> {
        let client = self.client(step)?;
        let id = self.time_based();
        let now = jiff::Timestamp::from_second(self.clock.now()).unwrap_or_default();
        let mut header = Map::new();
        header.insert("requestId".to_owned(), json!(id));
        header.insert("userAgent".to_owned(), json!("consentry conformance"));
        header.insert("ipAddress".to_owned(), json!(PERSON_AT));
        header.insert("sendDate".to_owned(), json!(now.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()));
        header.insert("tppId".to_owned(), json!(client.is.client_id));
        header.insert("isDirectPsu".to_owned(), json!(true));
        if let Some(token) = call.header("authorization").and_then(|value| value.strip_prefix("Bearer ")) {
            header.insert("token".to_owned(), json!(token));
        }
        if let Ok(Value::Object(mut body)) = serde_json::from_slice(&call.body) {
            body.insert("requestHeader".to_owned(), json!(step.form.members(header, &self.values)));
            call.body = json!(body).to_string().into_bytes();
        }
        for (name, value) in [
            ("content-type", "application/json"),
            ("accept", "application/json"),
            ("accept-encoding", "gzip"),
            ("accept-language", "pl"),
            ("accept-charset", "utf-8"),
            ("x-request-id", &id),
        ] {
            call.put(name, value);
        }
        call.headers = step.headers.pairs(std::mem::take(&mut call.headers), &self.values);
        self.remember_request_id(call);
        if !step.signature.omit {
            let mut header = Map::new();
            header.insert("typ".to_owned(), json!("JOSE"));
            if let Some(kid) = &bank.kid {
                header.insert("kid".to_owned(), json!(kid));
            }
            let fingerprint = base64url(&sha256(&self.seal_certificate(bank)));
            header.insert("x5t#S256".to_owned(), json!(fingerprint));
            let signature = self.detached(step, header, &call.body)?;
            call.put("x-jws-signature", signature);
        }
        Ok(())
    }

    /// A UUID of version 1, of the target's time.
    fn time_based(&self) -> String {
        let micros = u64::try_from(crate::clock::Clock::machine().as_microsecond()).unwrap_or_default();
        let ticks = micros.saturating_mul(10).saturating_add(GREGORIAN);
        let chance = crate::case::random(8);
        let mut node = [0_u8; 6];
        for (place, byte) in node.iter_mut().zip(chance.bytes()) {
            *place = byte;
        }
        // Not the address of a machine (RFC 9562 §6.10).
        node[0] |= 1;
        uuid::Builder::from_gregorian_timestamp(ticks, u16::from(node[5]), &node).into_uuid().to_string()
    }
}

/// A number, also where it was filled into a text.
fn number(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default()
}
