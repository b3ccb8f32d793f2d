//! OpenSSL as a partner that shares nothing with the prober, where the machine has it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;

use consentry_conformance::tls::probes::{self, Asked, Judge};
use consentry_conformance::tls::{Fact, Greeting, Place, TLS12, Verdict, greet, servers, suites};
use rustls::RootCertStore;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::{BRIEF, PATIENT, failures, stranger};

/// `openssl s_server` with a certificate of its own.
struct Partner {
    place: Place,
    folder: TempDir,
    _child: Child,
}

impl Partner {
    /// `None`, loudly, where there is no OpenSSL.
    async fn start(key: &str, more: &[&str]) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        if Command::new("openssl").arg("version").output().await.is_err() {
            eprintln!("SKIPPED: there is no openssl on this machine, so nobody else judges the prober");
            return None;
        }
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-newkey", key, "-days", "5", "-subj", "/CN=tls.test"])
            .args([
                "-sha1",
                "-addext",
                "subjectAltName=DNS:tls.test",
                "-keyout",
                "key.pem",
                "-out",
                "cert.pem",
            ])
            .current_dir(&folder)
            .output()
            .await
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        std::fs::write(folder.path().join("small.pem"), SMALL_GROUP).unwrap();
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem"])
            .args(more)
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = timeout(PATIENT, async {
            loop {
                let line = lines.next_line().await.unwrap().expect("s_server ended");
                if let Some(address) = line.strip_prefix("ACCEPT ") {
                    break address.parse().unwrap();
                }
            }
        })
        .await
        .unwrap();
        // What it tells goes on being read, or it would stop at a full pipe.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Some(Self { place: Place { host: servers::HOST.into(), address }, folder, _child: child })
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn says(facts: &[Fact], verdict: Verdict, part: &str) {
    assert!(
        facts.iter().any(|fact| fact.verdict == verdict && fact.sentence.contains(part)),
        "no fact {verdict:?} with {part:?}: {facts:#?}"
    );
}

#[tokio::test]
async fn openssl_of_today_is_sound_but_for_cbc_and_static_rsa() {
    let Some(partner) = Partner::start("rsa:2048", &["-www"]).await else { return };
    let facts = probes::all(&partner.place, PATIENT).await.unwrap();
    let failed = failures(&facts);
    assert!(
        failed.iter().all(|told| told.contains("The server takes TLS_")),
        "{:#?}",
        failed.iter().filter(|told| !told.contains("The server takes TLS_")).collect::<Vec<_>>()
    );
    says(&facts, Verdict::Fails, "static RSA");
    says(&facts, Verdict::Holds, "A fallback is refused as inappropriate");
    says(&facts, Verdict::Holds, "no_renegotiation");
    says(&facts, Verdict::Holds, "renegotiation_info with content in a first handshake the server refused");
    says(&facts, Verdict::Holds, "the group x25519");
}

/// The suites that are found one by one are those that OpenSSL says it has for such a certificate.
#[tokio::test]
async fn every_suite_of_openssl_is_found() {
    const ALL: &str = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
    let Some(partner) = Partner::start("rsa:2048", &["-www", "-cipher", ALL]).await else { return };
    let listed =
        Command::new("openssl").args(["ciphers", "-V", "-s", "-tls1_2", ALL]).output().await.unwrap();
    let listed: BTreeSet<u16> = String::from_utf8(listed.stdout)
        .unwrap()
        .lines()
        .filter(|line| ["Au=RSA ", "Au=None"].iter().any(|by| line.contains(by)))
        .filter(|line| ["Kx=RSA ", "Kx=DH ", "Kx=ECDH "].iter().any(|by| line.contains(by)))
        .map(|line| u16::from_str_radix(&line.trim().replace("0x", "").replace(',', "")[..4], 16).unwrap())
        .collect();
    let facts = probes::suites12(&partner.place, PATIENT).await.unwrap();
    let found: BTreeSet<u16> = suites::BEFORE_13
        .iter()
        .filter(|(_, name)| {
            facts.iter().any(|fact| {
                let told = fact.sentence.trim_start_matches("The server takes ");
                told.split([':', '.']).next() == Some(*name)
            })
        })
        .map(|(code, _)| *code)
        .collect();
    assert_eq!(found, listed);
    assert!(found.len() > 40, "{found:?}");
}

#[tokio::test]
async fn old_versions_of_openssl_are_noticed() {
    let Some(partner) = Partner::start("rsa:2048", &["-www", "-cipher", "ALL:@SECLEVEL=0"]).await else {
        return;
    };
    let facts = probes::versions(&partner.place, PATIENT).await.unwrap();
    says(&facts, Verdict::Fails, "Asked for TLS 1.0 at most, the server agreed to TLS 1.0");
    says(&facts, Verdict::Fails, "Asked for TLS 1.1 at most, the server agreed to TLS 1.1");
    says(&facts, Verdict::Holds, "The server takes TLS 1.2 and TLS 1.3");
    let facts = probes::signatures(&partner.place, PATIENT).await.unwrap();
    says(&facts, Verdict::Fails, "SHA-1");
}

#[tokio::test]
async fn a_small_diffie_hellman_group_of_openssl_is_noticed() {
    let more = ["-www", "-cipher", "ALL:@SECLEVEL=0", "-dhparam", "small.pem"];
    let Some(partner) = Partner::start("rsa:2048", &more).await else { return };
    let facts = probes::dhe(&partner.place, PATIENT).await.unwrap();
    says(&facts, Verdict::Fails, "1024 bits");
}

#[tokio::test]
async fn renegotiation_with_openssl_is_noticed() {
    let more = ["-www", "-tls1_2", "-client_renegotiation"];
    let Some(partner) = Partner::start("rsa:2048", &more).await else { return };
    let facts = probes::renegotiation(&partner.place, PATIENT).await.unwrap();
    says(&facts, Verdict::Fails, "can renegotiate");
}

#[tokio::test]
async fn early_data_with_openssl_is_noticed() {
    let more = ["-early_data", "-max_early_data", "4096", "-no_anti_replay"];
    let Some(partner) = Partner::start("rsa:2048", &more).await else { return };
    let facts = probes::early_data(&partner.place, BRIEF).await.unwrap();
    says(&facts, Verdict::Fails, "took early data");
}

/// SHA-1 and 1024 bits as OpenSSL really makes them, and not as this crate writes them down.
#[tokio::test]
async fn a_weak_certificate_of_openssl_is_noticed() {
    let more = ["-www", "-cipher", "ALL:@SECLEVEL=0"];
    let Some(partner) = Partner::start("rsa:1024", &more).await else { return };
    let judge = Judge {
        roots: RootCertStore::empty(),
        now: consentry_conformance::clock::Clock::machine().as_second(),
    };
    let facts = probes::certificate(&partner.place, &judge, PATIENT).await.unwrap();
    says(&facts, Verdict::Fails, "signed by itself");
    says(&facts, Verdict::Fails, "signed over SHA-1");
    says(&facts, Verdict::Fails, "RSA with 1024 bits");
    says(&facts, Verdict::Holds, "is for tls.test");
}

#[tokio::test]
async fn openssl_that_wants_a_client_certificate_refuses_strangers() {
    let more = ["-www", "-Verify", "1", "-CAfile", "cert.pem", "-verify_return_error"];
    let Some(partner) = Partner::start("rsa:2048", &more).await else { return };
    assert!(partner.folder().join("cert.pem").exists());
    let place = &partner.place;
    let facts = probes::client_certificates(place, Asked::Wanted, &stranger(), "/", PATIENT).await.unwrap();
    says(&facts, Verdict::Holds, "asks for a client certificate");
    says(&facts, Verdict::Holds, "certificate from nowhere");
    let reply = greet(place, &Greeting::tls12(place), PATIENT).await.unwrap();
    let hello = reply.hello().unwrap();
    assert!(hello.asks_for_certificate && hello.whole && hello.version == TLS12, "{hello:?}");
}

/// The second Oakley group (RFC 2409 §6.2), which has 1024 bits.
const SMALL_GROUP: &str = "-----BEGIN DH PARAMETERS-----
MIGHAoGBAP//////////yQ/aoiFowjTExmKLgNwc0SkCTgiKZ8x0Agu+pjsTmyJR
Sgh5jjQE3e+VGbPNOkMbMCsKbfJfFDdP4TVtbVHCReSFtXZiXn7G9ExC6aY37WsL
/1y29Aa37e44a/taiZ+lrp8kEXxLH+ZJKGZR7OZTgf//////////AgEC
-----END DH PARAMETERS-----
";
