//! Guests that mean harm: each has its own error, which is its bank's alone.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod support;

use std::time::{Duration, Instant};

use connect::{AccountInformation, BankErrorKind, ConsentLodging, Dialect, Outcome};
use consentry_plugins::{GuestFailed, Limits, NotAPlugin};
use support::guest::component_of;
use support::{Guest, answer, at, bank, call, plugin, refusal};

/// What reading balances comes to, of a guest that reads them so.
fn reading(body: &str, limits: Limits) -> connect::BankError {
    let plugin = plugin(&Guest { parse_response: body.to_owned(), ..Guest::default() }, limits);
    plugin.balances_read(&call(&bank(), None), &answer(200)).unwrap_err()
}

const ENDLESS: &str = "(loop $on (br $on)) (unreachable)";

/// A trap, and whatever else goes beyond a limit, is a typed error of the one bank.
#[test]
fn what_goes_beyond_a_limit_is_an_error_of_its_bank() {
    let roomy = Limits { fuel: u64::MAX, time: Duration::from_millis(50), ..Limits::default() };
    let hog = "(loop $on (br_if $on (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) (unreachable)";
    let large = Limits { answer: 64, ..Limits::default() };
    for (what, body, limits, why) in [
        ("an endless loop", ENDLESS, Limits { fuel: 100_000, ..Limits::default() }, "out of fuel"),
        ("a slow call", ENDLESS, roomy, "out of time"),
        ("a memory hog", hog, Limits::default(), "out of memory"),
        ("a trap", "(unreachable)", Limits::default(), "trap"),
        ("a division by zero", "(i32.div_u (i32.const 1) (i32.const 0))", Limits::default(), "trap"),
        ("endless recursion", "(call $parse (local.get 0))", Limits::default(), "trap"),
        ("a result outside its memory", "(i32.const -8)", Limits::default(), "unreadable"),
    ] {
        let error = reading(body, limits);
        assert_eq!(error.kind, BankErrorKind::PluginFailed, "{what}");
        assert_eq!(error.field, Some(format!("plugin:test ({why})")), "{what}");
        assert_eq!(error.institution.as_str(), "xx-testbank");
        assert!(!error.kind.counts_against_bank(), "the bank is well");
    }
    // What the host writes into the guest counts as well as what it takes out.
    let error = reading(&at(2048), large);
    assert_eq!(error.kind, BankErrorKind::PluginFailed);
}

/// No call sees anything of the one before, and after a trap the next one is as good.
#[test]
fn no_call_leaves_anything_behind() {
    let mut guest = Guest::default();
    // Ends in a trap unless the heap is where it is in a new instance.
    let fine = guest.parse_response.clone();
    guest.parse_response = format!(
        "(if (i32.load8_u (i32.const 900)) (then (unreachable))) (i32.store8 (i32.const 900) (i32.const 1)) {fine}"
    );
    let plugin = plugin(&guest, Limits::default());
    let profile = bank();
    for _ in 0..3 {
        assert_eq!(plugin.balances_read(&call(&profile, None), &answer(200)).unwrap(), []);
    }
}

/// A slow plugin holds up nobody but its own caller.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_plugin_that_hangs_holds_up_no_other_task() {
    let limits = Limits { fuel: u64::MAX, time: Duration::from_millis(500), ..Limits::default() };
    let plugin = plugin(&Guest { parse_response: ENDLESS.to_owned(), ..Guest::default() }, limits);
    let hanging = tokio::spawn(async move {
        let profile = bank();
        let error = plugin.balances_read(&call(&profile, None), &answer(200)).unwrap_err();
        (error.kind, Instant::now())
    });
    // The only worker is taken as soon as the plugin runs; this needs another.
    for _ in 0..100 {
        tokio::spawn(tokio::task::yield_now()).await.unwrap();
    }
    let others = Instant::now();
    let (kind, hung) = hanging.await.unwrap();
    assert_eq!(kind, BankErrorKind::PluginFailed);
    assert!(others < hung, "the others waited for it");
}

/// What the bank may have done is not undone by a plugin that cannot say it.
#[test]
fn a_lodged_consent_that_cannot_be_read_is_unknown_and_not_undone() {
    let guest = Guest { parse_response: "(unreachable)".to_owned(), ..Guest::default() };
    let plugin = plugin(&guest, Limits::default());
    let profile = bank();
    let error = plugin.lodged(&call(&profile, None), &answer(201)).err().unwrap();
    assert_eq!((error.kind, error.outcome), (BankErrorKind::PluginFailed, Outcome::Unknown));
    // The bank's own refusal stays what it is, and so does its failure, which no
    // plugin is asked about.
    let error = plugin.balances_read(&call(&profile, None), &answer(503)).unwrap_err();
    assert_eq!(error.kind, BankErrorKind::BankUnavailable);
    let error = plugin.balances_read(&call(&profile, None), &answer(429)).unwrap_err();
    assert_eq!(error.kind, BankErrorKind::Throttled);
}

/// An amount that is none ends the whole answer, and the error names its place.
#[test]
fn an_amount_that_is_none_is_not_passed_on() {
    for (amount, currency, place) in [
        ("1e3", "EUR", "balances[0].amount"),
        ("NaN", "EUR", "balances[0].amount"),
        ("99999999999999999", "EUR", "balances[0].amount"),
        ("0.0000001", "EUR", "balances[0].amount"),
        ("12,50", "EUR", "balances[0].amount"),
        ("12.50", "EURO", "balances[0].currency"),
    ] {
        let mut guest = Guest::default();
        let ([amount, long], [code, short]) = (guest.image.text(amount), guest.image.text(currency));
        let balance = guest.image.record(&[0, amount, long, code, short, 0, 0, 0, 0, 0, 0, 0]);
        let result = guest.image.record(&[0, 4, balance, 1]);
        guest.parse_response = at(result);
        let plugin = plugin(&guest, Limits::default());
        let error = plugin.balances_read(&call(&bank(), None), &answer(200)).unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (BankErrorKind::PluginFailed, Some(place)));
    }
}

/// A plugin sends neither our requests nor the person's browser to another place.
#[test]
fn neither_browser_nor_request_leaves_the_banks_hosts() {
    let lodged = |address: &str| {
        let mut guest = Guest::default();
        let ([id, short], [url, long]) = (guest.image.text("c-1"), guest.image.text(address));
        let consent = [id, short, 0, 0, url, long, 0, 0, 0, 0, 0, 0];
        let result = guest.image.record(&[&[0, 0], &consent[..]].concat());
        guest.parse_response = at(result);
        plugin(&guest, Limits::default()).lodged(&call(&bank(), None), &answer(201))
    };
    assert!(lodged("https://bank.example/login").is_ok());
    for address in
        ["https://evil.example/", "http://bank.example/", "https://bank.example:444/", "//x", "javascript:x"]
    {
        let error = lodged(address).err().unwrap();
        assert_eq!(error.kind, BankErrorKind::PluginFailed, "{address}");
        assert_eq!(error.field.as_deref(), Some("lodged.authentication.redirect"));
    }

    let asked = |segment: &str| {
        let mut guest = Guest::default();
        let text = guest.image.text(segment);
        let path = guest.image.record(&text);
        let request = guest.image.record(&[0, 0, path, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        guest.build_request = at(request);
        AccountInformation::accounts(&plugin(&guest, Limits::default()), &call(&bank(), None))
    };
    assert_eq!(asked("accounts").unwrap().url.as_str(), "https://bank.example/api/accounts");
    // An address is a segment like any other.
    let inside = asked("https://evil.example/").unwrap().url;
    assert_eq!(inside.as_str(), "https://bank.example/api/https:%2F%2Fevil.example%2F");
    for segment in ["..", ".", "", "a b", "a\n"] {
        let error = asked(segment).err().unwrap();
        assert_eq!(error.field.as_deref(), Some("target.path"), "{segment:?}");
    }
}

/// An answer of another kind than was asked for is none.
#[test]
fn an_answer_of_another_kind_is_none() {
    let plugin = plugin(&Guest::default(), Limits::default());
    let error = plugin.accounts_read(&call(&bank(), None), &answer(200)).err().unwrap();
    assert_eq!((error.kind, error.field.as_deref()), (BankErrorKind::PluginFailed, Some("answer")));
    assert_eq!(plugin.name(), "plugin:test");
    assert!(plugin.payments().is_none());
}

/// Nothing is there to be reached: what wants anything from the host is not loaded.
#[test]
fn what_imports_anything_is_not_loaded() {
    let clock = r#"(component (import "wasi:clocks/monotonic-clock@0.2.0"
        (instance (export "now" (func (result u64))))))"#;
    let refused = refusal(&wat::parse_str(clock).unwrap());
    assert_eq!(refused, NotAPlugin::Imports("wasi:clocks/monotonic-clock@0.2.0".into()));
    assert!(refused.to_string().contains("wasi:clocks"), "{refused}");
}

/// Each way of being no plugin is told in words.
#[test]
fn what_is_no_plugin_is_told_so() {
    assert!(matches!(refusal(b"no wasm at all"), NotAPlugin::NoComponent(_)));
    assert!(matches!(refusal(&wat::parse_str("(module)").unwrap()), NotAPlugin::NoComponent(_)));
    assert!(matches!(refusal(&wat::parse_str("(component)").unwrap()), NotAPlugin::Exports(_)));
    let endless = Guest { describe: ENDLESS.into(), ..Guest::default() }.component();
    assert_eq!(refusal(&endless), NotAPlugin::Describe(GuestFailed::Fuel));
    let hungry = component_of(&Guest::default().text().replace("\"memory\") 2", "\"memory\") 2000"));
    assert_eq!(refusal(&hungry), NotAPlugin::Describe(GuestFailed::Memory));
}
