//! Revoked certificates, by lists (RFC 5280 §5).

use consentry_edge::{Revocation, TlsWatch};
use crypto::pki::Issued;

use crate::rotation::Folder;
use crate::support::{GET, GET_AND_CLOSE, TestClient, ask, ask_on, authority};

/// What a new connection of this client is answered.
async fn said(gate: &crate::support::Gate, client: &TestClient) -> String {
    let mut stream = client.connect(gate.address).await.unwrap();
    ask(&mut stream, GET_AND_CLOSE).await
}

#[tokio::test]
async fn a_revocation_reaches_open_connections_and_resumed_sessions() {
    for revocation in [Revocation::Soft, Revocation::Hard] {
        let folder = Folder::new();
        let fintech = folder.ca.issue_client_plain("fintech").unwrap();
        let other = folder.ca.issue_client_plain("other").unwrap();
        folder.put("lists/ours.crl", folder.ca.revocation_list(&[], 7).unwrap());
        let (gate, mut watch) = folder.start(revocation).await;
        let client = folder.client(&fintech);
        let mut kept = client.connect(gate.address).await.unwrap();
        assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
        folder.put("lists/ours.crl", folder.ca.revocation_list(&[&fintech], 7).unwrap());
        watch.look();
        assert!(ask_on(&mut kept, GET).await.ends_with("Some(Revoked)"));
        let mut resumed = client.connect(gate.address).await.unwrap();
        assert_eq!(resumed.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
        assert!(ask(&mut resumed, GET_AND_CLOSE).await.ends_with("Some(Revoked)"));
        assert!(said(&gate, &folder.client(&other)).await.ends_with("Some(Trusted)"));
        gate.stop().await;
    }
}

/// What nobody says anything about, or nobody any more: fine if soft, not if hard.
#[tokio::test]
async fn a_missing_or_old_list_is_fatal_if_it_is_to_be() {
    let folder = Folder::new();
    let fintech = folder.ca.issue_client_plain("fintech").unwrap();
    let client = folder.client(&fintech);
    let foreign = authority("rotation root");
    let lists = [
        None,
        Some(folder.ca.revocation_list(&[], -1).unwrap()),
        // By one of the same name with another key.
        Some(foreign.revocation_list(&[&fintech], 7).unwrap()),
    ];
    for list in lists {
        if let Some(list) = list {
            folder.put("lists/ours.crl", list);
        }
        for (revocation, trust) in [
            (Revocation::Off, "Some(Trusted)"),
            (Revocation::Soft, "Some(Trusted)"),
            (Revocation::Hard, "Some(RevocationUnknown)"),
        ] {
            let (gate, _watch) = folder.start(revocation).await;
            let answer = said(&gate, &client).await;
            assert!(answer.ends_with(trust), "{revocation:?}: {answer}");
            gate.stop().await;
        }
    }
    // Once revoked is revoked, however old the list.
    folder.put("lists/ours.crl", folder.ca.revocation_list(&[&fintech], -1).unwrap());
    let (gate, _watch) = folder.start(Revocation::Soft).await;
    assert!(said(&gate, &client).await.ends_with("Some(Revoked)"));
    gate.stop().await;
}

/// What an authority says of one below it holds for all that is below that.
#[tokio::test]
async fn an_authority_in_between_can_be_revoked_and_revokes_itself() {
    let folder = Folder::new();
    let between = folder.ca.subordinate("issuing authority").unwrap();
    let chained = |mut issued: Issued| {
        issued.certificate_pem.push_str(between.certificate_pem());
        issued
    };
    let fintech = chained(between.issue_client_plain("fintech").unwrap());
    let other = chained(between.issue_client_plain("other").unwrap());
    let (gate, mut watch) = folder.start(Revocation::Hard).await;
    let client = folder.client(&fintech);
    assert!(said(&gate, &client).await.ends_with("Some(RevocationUnknown)"));
    folder.put("lists/between.crl", between.revocation_list(&[&other], 7).unwrap());
    watch.look();
    assert!(said(&gate, &client).await.ends_with("Some(Trusted)"), "it is the leaf that has to be known");
    assert!(said(&gate, &folder.client(&other)).await.ends_with("Some(Revoked)"));
    let certificate_pem = between.certificate_pem().to_owned();
    let revoked = Issued { certificate_pem, key_pem: String::new() };
    folder.put("lists/root.crl", folder.ca.revocation_list(&[&revoked], 7).unwrap());
    watch.look();
    assert!(said(&gate, &client).await.ends_with("Some(Revoked)"));
    gate.stop().await;
}

/// `openssl ca` makes its lists otherwise than our own authority does.
#[tokio::test]
async fn a_list_by_openssl_is_heeded_in_pem_and_der() {
    let folder = Folder::new();
    let fintech = folder.ca.issue_client_plain("fintech").unwrap();
    let Some(list) = crate::openssl::revocation_list(&folder.ca, &fintech) else { return };
    let (gate, mut watch) = folder.start(Revocation::Hard).await;
    for list in [list.pem, list.der] {
        folder.put("lists/theirs.crl", list);
        watch.look();
        assert!(said(&gate, &folder.client(&fintech)).await.ends_with("Some(Revoked)"));
        folder.remove("lists/theirs.crl");
        watch.look();
        assert!(said(&gate, &folder.client(&fintech)).await.ends_with("Some(RevocationUnknown)"));
    }
    gate.stop().await;
}

#[test]
fn lists_are_read_where_revocation_is_off_too() {
    let folder = Folder::new();
    folder.put("lists/ours.crl", "nonsense");
    assert!(TlsWatch::open(folder.files(Revocation::Off)).is_err(), "a typing error shows at once");
}
