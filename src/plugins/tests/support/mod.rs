//! Guests, and a bank that they speak for.

#![allow(dead_code, reason = "each test file uses its own part of this")]

pub mod guest;

use std::time::Duration;

use connect::{ApiBase, BankResponse, CallContext, Profile};
use consentry_plugins::{Host, Limits, NotAPlugin, Plugin};
use http::{HeaderMap, StatusCode};
use secrecy::SecretString;

pub use guest::{Guest, at};

/// The plugin that a guest makes.
pub fn plugin(guest: &Guest, limits: Limits) -> Plugin {
    Plugin::load(&Host::new(limits).unwrap(), "test", &guest.component()).unwrap()
}

/// Why bytes are no plugin.
pub fn refusal(component: &[u8]) -> NotAPlugin {
    // Few steps and much time: however slow the machine, it is the steps that run out.
    let limits = Limits { fuel: 20_000_000, time: Duration::from_secs(3600), ..Limits::default() };
    Plugin::load(&Host::new(limits).unwrap(), "test", component).err().unwrap()
}

/// A bank at `https://bank.example/api`.
pub fn bank() -> Profile {
    let (id, region) = ("xx-testbank".parse().unwrap(), "eu".parse().unwrap());
    let mut profile = Profile::blank(id, "Testbank", region, "plugin:test");
    profile.accounts_api =
        Some(ApiBase { url: "https://bank.example/api".parse().unwrap(), version: "1".into() });
    profile
}

/// A call of that bank.
pub fn call<'a>(profile: &'a Profile, token: Option<&'a SecretString>) -> CallContext<'a> {
    CallContext {
        profile,
        request_id: uuid::Uuid::nil(),
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        psu: None,
        psu_id: None,
        access_token: token,
        bank_consent_id: Some("c-1"),
    }
}

/// An answer of that bank.
pub fn answer(status: u16) -> BankResponse {
    let status = StatusCode::from_u16(status).unwrap();
    BankResponse { status, headers: HeaderMap::new(), body: Vec::new().into() }
}
