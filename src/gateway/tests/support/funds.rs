//! A card issuer: what it registers, lodges and asks.

use consentry::demo::{Answer, Browser, RETURN, Tpp, verifier};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::{DECOUPLED, EMBEDDED, EU, POLISH, STET, TestGateway, UK, parameter};

/// The scope of all of this.
pub const SCOPE: &str = "fundsconfirmations";

/// A client that is registered for confirmation of funds, and for nothing else.
pub async fn issuer(gw: &TestGateway) -> Tpp {
    let mut tpp = Tpp::discover(&gw.sandbox.access(), gw.clock.clone()).await.unwrap();
    tpp.register_as(&json!({ "scope": format!("openid {SCOPE}") })).await.unwrap();
    tpp
}

/// Anna's current account at a bank.
pub fn account_at(bank: &str) -> Value {
    match bank {
        UK => json!({ "sort_code_account_number": { "sort_code": "990011", "account_number": "10000017" } }),
        EU => json!({ "iban": "DE17999100001000000017" }),
        DECOUPLED => json!({ "iban": "FR7699901000010001000001722" }),
        EMBEDDED => json!({ "iban": "AT679990300000010017" }),
        STET => json!({ "iban": "FR7699902000010001000001730" }),
        POLISH => json!({ "iban": "PL82999010060000000000010017" }),
        other => panic!("no account of {other} is known here"),
    }
}

/// Lodges a consent to questions about an account.
pub async fn lodge(tpp: &Tpp, own: &SecretString, bank: &str, account: &Value) -> Answer {
    let body = json!({ "type": "FUNDS_CONFIRMATION", "institution_id": bank, "account": account });
    tpp.post(own, "/v1/consents", &body).await.unwrap()
}

/// Pushes an authorization request for a consent.
pub async fn push(tpp: &Tpp, consent: &str, verifier: &SecretString) -> Answer {
    push_with(tpp, consent, verifier, &[]).await
}

/// The same, with further parameters.
pub async fn push_with(tpp: &Tpp, consent: &str, verifier: &SecretString, more: &[(&str, &str)]) -> Answer {
    let details = json!([{ "type": "funds_confirmation", "consent_id": consent }]).to_string();
    let scope = format!("openid {SCOPE}");
    let challenge = crypto::digest::pkce_challenge(verifier.expose_secret());
    let mut form = vec![
        ("response_type", "code"),
        ("redirect_uri", RETURN),
        ("scope", &scope),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("authorization_details", details.as_str()),
    ];
    form.extend_from_slice(more);
    tpp.authenticated("pushed_authorization_request_endpoint", &form).await.unwrap()
}

/// A consent, and a token of it.
pub struct Given {
    pub consent: String,
    pub token: SecretString,
}

/// A consent that a person gives, or why there is none.
pub async fn given(tpp: &Tpp, bank: &str, person: Browser) -> Result<Given, String> {
    let own = tpp.own_token(SCOPE).await.unwrap();
    let lodged = lodge(tpp, &own, bank, &account_at(bank)).await;
    let consent = lodged.expect(201).map_err(|error| error.to_string())?.text("/id");
    token_of(tpp, consent, person).await
}

/// A token of a consent, which the person gives unless it was given before.
pub async fn token_of(tpp: &Tpp, consent: String, mut person: Browser) -> Result<Given, String> {
    let verifier = verifier();
    let pushed = push(tpp, &consent, &verifier).await.expect(201).unwrap();
    let visit = person.walk(&tpp.start_of(&pushed).unwrap(), RETURN).await.unwrap();
    let code = parameter(&visit, "code");
    if code.is_empty() {
        return Err(format!("no code: {}", visit.url));
    }
    let tokens = tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap();
    Ok(Given { consent, token: tokens.text("/access_token").into() })
}

/// Asks whether an amount is there.
pub async fn ask(tpp: &Tpp, given: &Given, amount: &str, currency: &str) -> Answer {
    let amount = json!({ "amount": amount, "currency": currency });
    let body = json!({ "consent_id": given.consent, "amount": amount, "reference": "order 7" });
    tpp.post(&given.token, "/v1/funds-confirmations", &body).await.unwrap()
}
