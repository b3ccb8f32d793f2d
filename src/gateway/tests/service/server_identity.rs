//! What the gateway shows of itself: a certificate of the operator's, with its key on a token and
//! what its authority says of it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use crypto::pki::Authority;
use domain::{Clock, SystemClock};

use crate::cli::free_ports;
use crate::softhsm::{PIN, TOKEN, import, module, with_token};

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
