//! Deviations on the way to the bank and back.

use connect::QuirkName as Name;
use modelbank::Habit;

use crate::quirks::journeys::Journey::{Accounts, AccountsLater, Renewal, Transactions};
use crate::quirks::{Pair, World, in_the_browser};

/// Open Banking Security Profile; RFC 8414, RFC 9101, RFC 6749 §4.1.1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_banks_want_of_an_authorization_request() {
    let world = World::start().await;
    let pages = world.gw.sandbox.bank_pages(crate::quirks::UK).unwrap();
    let mut channel = toml::Table::new();
    channel.insert("channel".to_owned(), "tpp".into());
    let wrapped = || toml::Value::from("data");
    world
        .hold([
            Pair::fails(Name::AuthorizationEndpointForRole, Accounts)
                .with("address", format!("{pages}/authorize/accounts")),
            Pair::fails(Name::ConsentInQuery, Accounts).with("parameter", "consent").prepared(in_the_browser),
            Pair::fails(Name::ExtraQuery, Accounts).with("always", channel).prepared(in_the_browser),
            Pair::fails(Name::HybridAnswerInQuery, Accounts).prepared(|profile| {
                in_the_browser(profile);
                let server = profile.authorization_server.as_mut().unwrap();
                server.response_type = connect::ResponseType::CodeIdToken;
            }),
            Pair::fails(Name::NonceInQueryToo, Accounts).prepared(in_the_browser),
            Pair::fails(Name::QueryWrapped, Accounts).with("parameter", wrapped()).prepared(in_the_browser),
            Pair::fails(Name::QueryNotEncoded, Accounts).beside(&[Habit::QueryWrapped]).prepared(|profile| {
                in_the_browser(profile);
                let wrapped = Pair::fails(Name::QueryWrapped, Accounts).with("parameter", "data");
                crate::quirks::state(profile, wrapped.quirk());
            }),
            Pair::fails(Name::RequestAudience, Accounts)
                .with("audience", "https://tpp.albion.example")
                .with("also_id_token_issuer", true),
            Pair::fails(Name::ScopeReplaced, Accounts).with("scope", "openid ais"),
            Pair::passes(Name::PkceExpected, Accounts).with("method", "S256"),
        ])
        .await;
    world.gw.sandbox.stop().await;
}

/// UK Open Banking leaves open when a consent can be used, how long its accounts can be
/// listed and whether it can be authorised again. We lodge a new one, where another asks again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_becomes_of_a_consent_at_banks() {
    let world = World::start().await;
    world
        .hold([
            Pair::fails(Name::ConsentSettles, Accounts).with("seconds", 1),
            Pair::fails(Name::AccountListOnce, AccountsLater),
            Pair::passes(Name::NoSecondAuthorization, Renewal),
            Pair::passes(Name::SecondAuthorizationByStatus, Renewal).with("initial_status", "AWAU"),
        ])
        .await;
    world.gw.sandbox.stop().await;
}

/// RFC 8414 §3, OpenID Connect Discovery §4.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_banks_publish_their_metadata() {
    let world = World::start().await;
    let pages = world.gw.sandbox.bank_pages(crate::quirks::UK).unwrap();
    world
        .hold([
            Pair::fails(Name::MetadataElsewhere, Accounts)
                .with("address", format!("{pages}/metadata.json"))
                .at_first_sight(),
            Pair::fails(Name::MetadataUnpublished, Accounts)
                .prepared(|profile| {
                    let api = profile.accounts_api.as_ref().unwrap().url.clone();
                    let server = profile.authorization_server.as_mut().unwrap();
                    let pages = server.issuer.clone().unwrap();
                    server.authorization_endpoint = format!("{pages}/authorize").parse().ok();
                    server.jwks_uri = format!("{pages}/jwks.json").parse().ok();
                    server.token_endpoint = api.join("/token").ok();
                    server.pushed_authorization_request_endpoint = api.join("/par").ok();
                })
                .at_first_sight(),
            Pair::passes(Name::MetadataResponseModes, Accounts).with("supply", vec!["query"]),
        ])
        .await;
    world.gw.sandbox.stop().await;
}

/// Links are followed below the bank's own address only.
/// [connector: transactions at uk]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_links_of_banks_lead() {
    let world = World::start().await;
    world
        .hold([
            Pair::fails(Name::LinksOfAnotherBrand, Transactions)
                .with("also", "https://sister.example/open-banking/{version}/aisp"),
            Pair::fails(Name::LinksUnreliable, Transactions),
            Pair::passes(Name::LinkEndsInSlash, Accounts),
        ])
        .await;
    world.gw.sandbox.stop().await;
}
