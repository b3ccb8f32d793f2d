//! What a plugin says of itself decides what it is asked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod support;

use connect::{AccountInformation, Consents, Dialect, Operation, RedirectUris, ScaStart, TokenKind};
use consentry_plugins::{GuestFailed, Limits, NotAPlugin, Plugin};
use support::{Guest, at, bank, call, plugin, refusal};

/// A guest that describes itself so: how consents come to be, and its abilities.
fn described(
    standard: &str,
    consents: impl FnOnce(&mut support::guest::Image) -> [u32; 4],
    abilities: u32,
) -> Guest {
    let mut guest = Guest::default();
    let (text, way) = (guest.image.text(standard), consents(&mut guest.image));
    let fields = [&text[..], &way[..], &[abilities]].concat();
    let description = guest.image.record(&fields);
    Guest { describe: at(description), ..guest }
}

fn loaded(guest: &Guest) -> Plugin {
    plugin(guest, Limits::default())
}

/// A consent is lodged with a token of the scope that the plugin names, or none.
#[test]
fn a_consent_is_lodged_with_the_token_that_the_plugin_names() {
    let scope = |image: &mut support::guest::Image| {
        let [at, long] = image.text("books");
        [0, 1, at, long]
    };
    let (with, without) = (loaded(&described("A", scope, 0)), loaded(&described("B", |_| [0; 4], 0)));
    let profile = bank();
    assert_eq!(with.token_for(&profile, Operation::Consent), TokenKind::Client("books"));
    assert_eq!(without.token_for(&profile, Operation::Consent), TokenKind::None);
    for plugin in [&with, &without] {
        assert_eq!(plugin.token_for(&profile, Operation::AccountData), TokenKind::PsuIfHeld);
        assert!(matches!(plugin.consents(), Consents::Lodged(_)));
    }
}

/// A consent that the person's authorization makes is begun without a request.
#[test]
fn a_consent_is_made_by_authorization_where_the_plugin_says_so() {
    let scope = |image: &mut support::guest::Image| {
        let [at, long] = image.text("books");
        [1, at, long, 0]
    };
    let plugin = loaded(&described("A", scope, 0));
    let profile = bank();
    assert_eq!(plugin.token_for(&profile, Operation::AccountData), TokenKind::Psu);
    let Consents::Authorized(way) = plugin.consents() else { panic!("it is lodged") };
    let back: url::Url = "https://gateway.example/callback".parse().unwrap();
    let redirects = RedirectUris { ok: back.clone(), nok: back.clone(), callback: back, state: "s".into() };
    let order = connect::ConsentOrder {
        permissions: Vec::new(),
        accounts: Vec::new(),
        valid_until: None,
        recurring: true,
        frequency_per_day: 4,
        transactions_from: None,
        redirects,
    };
    let begun = way.begin(&call(&profile, None), &order).unwrap();
    assert!(matches!(begun.sca, ScaStart::OAuth { scope, .. } if scope == "books"));
}

/// What the bank's interface lacks is not asked for.
#[test]
fn what_the_interface_lacks_is_not_asked_for() {
    let has = |abilities| {
        let plugin = loaded(&described("A", |_| [0; 4], abilities));
        (plugin.inquiry().is_some(), plugin.revocation().is_some())
    };
    assert_eq!([0, 1, 2, 3].map(has), [(false, false), (true, false), (false, true), (true, true)]);
}

/// A name for people is short and printable.
#[test]
fn a_standard_has_a_name_that_can_be_shown() {
    for standard in ["", " ", "a\nb"] {
        let refused = refusal(&described(standard, |_| [0; 4], 0).component());
        assert_eq!(refused, NotAPlugin::Describe(GuestFailed::Unreadable), "{standard:?}");
    }
    let long = loaded(&described(&"ä".repeat(200), |_| [0; 4], 0));
    assert_eq!(long.standard(&bank()).chars().count(), 80);
}
