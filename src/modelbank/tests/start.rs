//! Starting a bank: what it makes for itself, and what it refuses.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::{BankConfig, BankKind, ModelBank, StartFailed};
use serde_json::json;
use world::World;

async fn refused(config: BankConfig) -> StartFailed {
    ModelBank::start(config).await.unwrap_err()
}

#[tokio::test]
async fn a_bank_makes_its_signing_key_once_and_keeps_it_to_itself() {
    let world = World::new();
    let mut kids = Vec::new();
    for _ in 0..2 {
        let (mut config, shutdown) = world.config("uk", BankKind::UkOpenBanking, true, &[]);
        config.signing_key_pem = None;
        let bank = ModelBank::start(config).await.unwrap();
        let keys = world.browser().send("GET", &format!("{}/jwks.json", bank.pages_url), &[], "").await;
        kids.push(keys.at("/keys/0/kid"));
        shutdown.cancel();
        bank.stopped().await;
    }
    assert_eq!(kids.first(), kids.last());
    #[cfg(unix)]
    {
        let file = std::fs::metadata(world.state.path().join("uk-signing.pem")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.permissions());
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }
}

#[tokio::test]
async fn what_a_bank_cannot_run_with_is_said_at_the_start() {
    let world = World::new();
    let tpp = world.both();
    let config = |id: &str| world.config(id, BankKind::UkOpenBanking, true, &[&tpp]).0;

    std::fs::write(world.state.path().join("damaged.json"), "{\"consents\": [").unwrap();
    assert!(matches!(refused(config("damaged")).await, StartFailed::State(_)));
    let mut pem = config("a");
    pem.server_key_pem = "nothing".into();
    assert!(matches!(refused(pem).await, StartFailed::Pem("the server key")));
    let mut trust = config("a");
    trust.client_ca_pem.clear();
    assert!(matches!(refused(trust).await, StartFailed::Pem("the client authorities")));
    let mut foreign = config("a");
    foreign.server_key_pem = crypto::pki::generate_p256().unwrap();
    assert!(matches!(refused(foreign).await, StartFailed::Tls(_)), "a key of another certificate");
    let mut leaking = config("a");
    leaking.clients.first_mut().unwrap().jwks = json!({"keys": [{"kty": "oct", "k": "AA"}]});
    assert!(matches!(refused(leaking).await, StartFailed::ClientKeys(..)));
    let mut signing = config("a");
    signing.signing_key_pem = Some("nothing".into());
    assert!(matches!(refused(signing).await, StartFailed::SigningKey));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut address = config("a");
    address.api_addr = taken.local_addr().unwrap();
    assert!(matches!(refused(address).await, StartFailed::Listen(..)));
}
