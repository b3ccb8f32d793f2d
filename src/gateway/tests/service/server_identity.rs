//! What the gateway shows of itself: to clients a certificate of the operator's, with its key on a token and
//! what its authority says of it; to banks its QWAC, as it is now.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use consentry::demo::Tpp;
use crypto::pki::Authority;
use domain::{Clock, SystemClock};
use serde_json::json;

use crate::cli::free_ports;
use crate::softhsm::{PIN, TOKEN, import, module, with_token};
use crate::support::served::Place;
use crate::support::webhooks::until;

/// A running `consentry sandbox`, stopped when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with an authority and a certificate of localhost.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        let ca = Authority::new("Public CA of the test", SystemClock.now()).unwrap();
        let server = ca.issue_server(&["localhost"], &[]).unwrap();
        for (name, text) in [
            ("ca.pem", ca.certificate_pem()),
            ("ca.key", &ca.key_pem()),
            ("server.pem", &server.certificate_pem),
            ("server.key", &server.key_pem),
            ("pin", PIN),
            ("wrong-pin", "0000"),
        ] {
            std::fs::write(home.path(name), text).unwrap();
        }
        home
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn openssl(&self, arguments: &[&str]) -> Output {
        let run = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("openssl is here");
        assert!(run.status.success(), "{arguments:?}: {run:?}");
        run
    }

    /// What the authority says of the certificate today.
    fn ocsp_response(&self) -> String {
        let serial =
            String::from_utf8(self.openssl(&["x509", "-in", "server.pem", "-noout", "-serial"]).stdout);
        let serial = serial.unwrap().trim().trim_start_matches("serial=").to_owned();
        std::fs::write(
            self.path("index.txt"),
            format!("V\t491231235959Z\t\t{serial}\tunknown\t/CN=localhost\n"),
        )
        .unwrap();
        let signs = ["-rsigner", "ca.pem", "-rkey", "ca.key"];
        let asks =
            ["ocsp", "-issuer", "ca.pem", "-cert", "server.pem", "-index", "index.txt", "-CA", "ca.pem"];
        self.openssl(&[&asks[..], &signs, &["-ndays", "1", "-respout", "staple.der"]].concat());
        self.path("staple.der")
    }

    fn sandbox(&self, port: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_consentry"));
        command.args(["sandbox", "--data-dir", &self.path("data"), "--port-base", port]).args(more);
        command.env_remove("CONSENTRY_DATABASE_URL").env_remove("CONSENTRY_REDIS_URL");
        command
    }

    /// What a client of TLS sees at a port.
    fn seen(&self, port: u16) -> String {
        let at = format!("localhost:{port}");
        let asks = ["s_client", "-connect", &at, "-servername", "localhost", "-status", "-CAfile", "ca.pem"];
        String::from_utf8_lossy(&self.openssl(&[&asks[..], &["-verify_return_error"]].concat()).stdout)
            .into_owned()
    }
}

fn assert_shown(home: &Home, more: &[&str]) {
    let port = free_ports();
    let (staple, certificate) = (home.ocsp_response(), home.path("server.pem"));
    let options = [&["--server-cert", &certificate, "--server-ocsp-response", &staple], more].concat();
    let child = home.sandbox(&port, &options).stdout(Stdio::piped()).spawn().unwrap();
    let mut running = Running(child);
    let mut said = BufReader::new(running.0.stdout.take().unwrap()).lines();
    assert!(said.next().is_some_and(|line| line.is_ok()), "it starts");
    let first: u16 = port.parse().unwrap();
    for port in [first, first + 1] {
        let seen = home.seen(port);
        assert!(seen.contains("Verify return code: 0 (ok)"), "{seen}");
        assert!(
            seen.contains("CN=Public CA of the test") || seen.contains("CN = Public CA of the test"),
            "{seen}"
        );
        assert!(
            seen.contains("OCSP Response Status: successful") && seen.contains("Cert Status: good"),
            "{seen}"
        );
    }
}

/// Both ports show the operator's certificate, and what its authority says of it.
#[test]
fn the_operators_certificate_is_shown_with_its_ocsp_response() {
    let home = Home::new();
    assert_shown(&home, &["--server-key", &home.path("server.key")]);
}

#[test]
fn the_key_of_the_server_may_be_on_a_token() {
    with_token("server_identity::shows_a_certificate_of_the_token");
}

#[test]
#[ignore = "runs in a process of its own, with a token"]
fn shows_a_certificate_of_the_token() {
    let home = Home::new();
    import(Path::new(&home.path("server.key")), "tls", "01");
    std::fs::remove_file(home.path("server.key")).unwrap();
    let module = module().unwrap().display().to_string();
    let on_token = |label: &'static str, pin: &'static str| {
        let place =
            ["--server-key-module", &module, "--server-key-token", TOKEN, "--server-key-label", label];
        let pin = home.path(pin);
        place.iter().copied().chain(["--server-key-pin-file", &pin]).map(str::to_owned).collect::<Vec<_>>()
    };
    let refused = |options: &[String]| {
        let cert = ["--server-cert".to_owned(), home.path("server.pem")];
        let run = home.sandbox(&free_ports(), &[]).args(cert).args(options).output().unwrap();
        assert!(!run.status.success(), "{run:?}");
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    let said = refused(&on_token("nobody", "pin"));
    assert!(said.contains("key nobody of token test") && said.contains("not exactly one key pair"), "{said}");
    let said = refused(&on_token("tls", "wrong-pin"));
    assert!(said.contains("did not take the PIN") && !said.contains("0000"), "{said}");
    let said = refused(&on_token("tls", "pin")[..6]);
    assert!(said.contains("--server-key-pin-file"), "{said}");
    let options = on_token("tls", "pin");
    assert_shown(&home, &options.iter().map(String::as_str).collect::<Vec<_>>());
}

/// A pair that is none, and half of one, are told before anything listens.
#[test]
fn a_certificate_without_its_key_is_told() {
    let home = Home::new();
    let other = Home::new();
    let said = |options: &[&str]| {
        let run = home.sandbox(&free_ports(), options).output().unwrap();
        assert!(!run.status.success(), "{run:?}");
        String::from_utf8_lossy(&run.stderr).into_owned()
    };
    let cert = home.path("server.pem");
    let alone = said(&["--server-cert", &cert]);
    assert!(alone.contains("--server-key"), "{alone}");
    let key = other.path("server.key");
    let none = said(&["--server-cert", &cert, "--server-key", &key]);
    assert!(none.contains(&key), "{none}");
}

/// A QWAC is renewed every few weeks: banks are shown the new one without a restart, and what is none changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn banks_are_shown_a_new_certificate_without_a_restart() {
    const TAKEN_UP: &str = "Banks are shown the certificate as it is now";
    let place = Place::ready().await;
    let served = place.serve().await;
    let mut tpp = Tpp::discover(&place.access(), Arc::new(SystemClock)).await.unwrap();
    tpp.register().await.unwrap();
    let own = tpp.own_token("payments").await.unwrap();
    let payee = json!({
        "institution_id": "de-rheinbank", "name": "Ben Yilmaz", "account": { "iban": "DE42999100002000000018" },
    });
    let verified = async || {
        let answer = tpp.post(&own, "/v1/payee-verifications", &payee).await.unwrap();
        answer.text("/result") == "MATCH"
    };
    assert!(verified().await, "the bank knows us");
    let [certificate, key] =
        ["gateway-qwac.pem", "gateway-qwac.key"].map(|name| place.path("banks/pki").join(name));
    let [qwac, qwac_key] = [&certificate, &key].map(|file| std::fs::read_to_string(file).unwrap());

    std::fs::write(&certificate, "no such thing").unwrap();
    let counted =
        async || served.asked("/metrics").filter(|(_, page)| page.contains("failures_total{what=\"tls\"} 1"));
    until("what is none is counted", counted).await;
    assert!(verified().await, "it stays as it was");

    // Somebody whom the bank does not let in.
    let stranger =
        Authority::new("Strangers", SystemClock.now()).unwrap().issue_client_plain("stranger").unwrap();
    std::fs::write(&key, &stranger.key_pem).unwrap();
    std::fs::write(&certificate, &stranger.certificate_pem).unwrap();
    let taken_up = async |times: usize| (served.lines(TAKEN_UP).len() == times).then_some(());
    until("another one is taken up", async || taken_up(1).await).await;
    assert!(!verified().await, "the bank is shown it");

    std::fs::write(&key, qwac_key).unwrap();
    std::fs::write(&certificate, qwac).unwrap();
    until("the former one is taken up", async || taken_up(2).await).await;
    // It was left alone for a moment, as it could not be reached.
    until("the bank knows us again", async || verified().await.then_some(())).await;
}
