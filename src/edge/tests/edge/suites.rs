//! Which TLS is spoken: BCP 195 (RFC 9325), and hybrid key exchange.

use std::process::Command;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
use rustls::{NamedGroup, ProtocolVersion};

use crate::support::{GET_AND_CLOSE, Gate, TestClient, ask};

fn offering(groups: &[&'static dyn rustls::crypto::SupportedKxGroup]) -> CryptoProvider {
    CryptoProvider { kx_groups: groups.to_vec(), ..default_provider() }
}

#[tokio::test]
async fn the_hybrid_group_is_spoken_alone_and_preferred_among_others() {
    let gate = Gate::start().await;
    for (groups, chosen) in [
        (vec![X25519MLKEM768], NamedGroup::X25519MLKEM768),
        // Both have a share in the first message.
        (vec![X25519MLKEM768, X25519], NamedGroup::X25519MLKEM768),
        (vec![SECP256R1], NamedGroup::secp256r1),
    ] {
        let client = TestClient::of(gate.ca.certificate_pem(), offering(&groups));
        let mut stream = client.connect(gate.address).await.unwrap();
        assert!(ask(&mut stream, GET_AND_CLOSE).await.starts_with("HTTP/1.1 200"));
        let tls = stream.get_ref().1;
        assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        assert_eq!(tls.negotiated_key_exchange_group().map(|group| group.name()), Some(chosen));
    }
    gate.stop().await;
}

/// One by one, as OpenSSL offers them: what is not AEAD with ECDHE finds nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_tls_1_2_only_aead_with_ecdhe_is_spoken() {
    let gate = Gate::start().await;
    for (suite, spoken) in [
        ("ECDHE-ECDSA-AES128-GCM-SHA256", true),
        ("ECDHE-ECDSA-AES256-GCM-SHA384", true),
        ("ECDHE-ECDSA-CHACHA20-POLY1305", true),
        ("ECDHE-ECDSA-AES128-SHA256", false),
        ("ECDHE-ECDSA-AES256-SHA", false),
        ("ECDHE-RSA-AES128-SHA", false),
        ("AES128-GCM-SHA256", false),
        ("AES256-SHA", false),
        ("DHE-RSA-AES128-GCM-SHA256", false),
    ] {
        let at = gate.address.to_string();
        let arguments = ["s_client", "-connect", &at, "-tls1_2", "-cipher", suite];
        let Ok(said) = Command::new("openssl").args(arguments).stdin(std::process::Stdio::null()).output()
        else {
            eprintln!("SKIPPED: openssl is not here");
            break;
        };
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        assert_eq!(said.contains(&format!("Cipher    : {suite}")), spoken, "{suite}: {said}");
        let renegotiates = said.contains("Secure Renegotiation IS supported");
        assert_eq!(renegotiates, spoken, "RFC 5746 is signalled, so that nobody in between can do it");
    }
    gate.stop().await;
}

/// A second connection resumes the first, and the peer is the same.
#[tokio::test]
async fn a_session_is_resumed_with_its_certificate() {
    let gate = Gate::start().await;
    let issued = gate.ca.issue_client_plain("fintech").unwrap();
    let client = TestClient::shows(gate.ca.certificate_pem(), &issued);
    for kind in [rustls::HandshakeKind::Full, rustls::HandshakeKind::Resumed] {
        let mut stream = client.connect(gate.address).await.unwrap();
        let answer = ask(&mut stream, GET_AND_CLOSE).await;
        assert!(answer.ends_with("Some(Trusted)"), "{answer}");
        assert_eq!(stream.get_ref().1.handshake_kind(), Some(kind));
    }
    gate.stop().await;
}
