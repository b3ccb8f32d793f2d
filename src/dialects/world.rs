//! What the tests of every dialect share.

use connect::{BankRequest, BankResponse, CallContext, ConsentOrder, Profile, PsuPresence, RedirectUris};
use domain::{
    AccountIdentification, Execution, Money, PaymentOrder, PaymentRisk, PaymentScheme, Permission,
    RemittanceInformation,
};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

pub(crate) fn context(profile: &Profile) -> CallContext<'_> {
    CallContext {
        profile,
        request_id: "99391c7e-ad88-49ec-a2ad-99ddcb1f7721".parse().unwrap(),
        now: "2026-06-01T10:00:00Z".parse().unwrap(),
        psu: None,
        psu_id: None,
        access_token: None,
        bank_consent_id: Some("consent-1"),
    }
}

pub(crate) fn redirects() -> RedirectUris {
    RedirectUris {
        ok: "https://gateway.example/callback".parse().unwrap(),
        nok: "https://gateway.example/refused".parse().unwrap(),
        callback: "https://gateway.example/callback".parse().unwrap(),
        state: "state-1".into(),
    }
}

/// A recurring consent to these, for the accounts that the PSU chooses.
pub(crate) fn wanted(permissions: &[Permission]) -> ConsentOrder {
    ConsentOrder {
        permissions: permissions.to_vec(),
        accounts: Vec::new(),
        valid_until: None,
        recurring: true,
        frequency_per_day: 4,
        transactions_from: None,
        redirects: redirects(),
    }
}

pub(crate) fn order() -> PaymentOrder {
    PaymentOrder {
        end_to_end_id: "E2E-1".into(),
        instruction_id: "I-1".into(),
        amount: Money::parse("123.50", "EUR".parse().unwrap()).unwrap(),
        debtor_account: None,
        creditor_name: "Merchant".into(),
        creditor_account: AccountIdentification::Iban("DE02120300000000202051".parse().unwrap()),
        remittance: RemittanceInformation { unstructured: Some("Invoice 7".into()), reference: None },
        scheme: PaymentScheme::SepaInstant,
        execution: Execution::AtOnce,
        abroad: None,
        risk: PaymentRisk::default(),
    }
}

pub(crate) fn answer(status: u16, headers: &[(&'static str, &'static str)], body: &Value) -> BankResponse {
    raw(status, headers, body.to_string().into_bytes())
}

pub(crate) fn raw(status: u16, headers: &[(&'static str, &'static str)], body: Vec<u8>) -> BankResponse {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    BankResponse { status: StatusCode::from_u16(status).unwrap(), headers: map, body: body.into() }
}

pub(crate) fn sent(request: &BankRequest) -> Value {
    serde_json::from_slice(request.body.as_deref().unwrap()).unwrap()
}

pub(crate) fn psu() -> PsuPresence {
    PsuPresence {
        ip_address: "192.0.2.1".parse().unwrap(),
        user_agent: Some("Browser/1.0".into()),
        accept_language: None,
        last_authenticated: None,
    }
}
