//! Deviations of tokens and id_tokens.

use connect::QuirkName as Name;

use crate::quirks::journeys::Journey::{Accounts, Refresh};
use crate::quirks::{Pair, World};

/// OpenID Connect Core §3.1.3.7, Open Banking Security Profile §5.2.2.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_id_tokens_of_banks_lack() {
    let world = World::start().await;
    world
        .hold([
            Pair::fails(Name::IdTokenAcrMissing, Accounts),
            Pair::fails(Name::IdTokenAcrUnreliable, Accounts),
            Pair::fails(Name::IdTokenAuthTimeMissing, Accounts),
            Pair::fails(Name::IdTokenExpiryInMillis, Accounts),
            Pair::fails(Name::IdTokenIntentMissing, Accounts),
            Pair::fails(Name::IdTokenNonceMissing, Accounts),
            Pair::fails(Name::IdTokenUnreliable, Accounts),
            Pair::fails(Name::NoOpenIdConnect, Accounts),
            Pair::passes(Name::IdTokenSubject, Accounts).with("value", "client_id"),
            Pair::passes(Name::IdTokenMissingOnRefresh, Refresh),
        ])
        .await;
    world.gw.sandbox.stop().await;
}

/// RFC 6749 §5.1, §4.4.3, §6.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_token_endpoints_of_banks_answer() {
    let world = World::start().await;
    world
        .hold([
            Pair::fails(Name::TokenScopeEmpty, Accounts),
            Pair::fails(Name::TokenScopeExpected, Accounts).with("scope", "ais-session"),
            Pair::fails(Name::TokenScopeRequested, Accounts).with("scope", "openid"),
            Pair::fails(Name::TokenScopeWider, Accounts),
            Pair::passes(Name::BearerAnyCase, Accounts),
            Pair::passes(Name::RefreshTokenForClient, Accounts),
            Pair::passes(Name::RefreshTokenMissing, Accounts),
        ])
        .await;
    world.gw.sandbox.stop().await;
}
