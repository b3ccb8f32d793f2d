//! Revoked certificates, by asking (RFC 6960): OpenSSL answers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use consentry_edge::{
    ClientFiles, Fetched, HttpOcsp, OcspCache, OcspFailed, OcspSource, Revocation, TlsFiles, TlsWatch,
};
use crypto::pki::{Authority, Issued};
use domain::{ManualClock, SystemClock};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::openssl;
use crate::rotation::Folder;
use crate::support::{GET, GET_AND_CLOSE, Gate, Plan, ask, ask_on, authority};

/// A responder in a folder of OpenSSL.
struct Responder {
    home: tempfile::TempDir,
    asked: AtomicUsize,
    /// Whether it is there.
    is_up: Mutex<bool>,
    /// Who signs: the files of certificate and key, and further arguments.
    signs: Mutex<Vec<&'static str>>,
}

const BY_ISSUER: [&str; 4] = ["-rsigner", "ca.pem", "-rkey", "ca.key"];
const BY_DELEGATE: [&str; 4] = ["-rsigner", "delegate.pem", "-rkey", "delegate.key"];

impl Responder {
    fn of(ca: &Authority, delegate: &Issued) -> Arc<Self> {
        let home = openssl::home(ca);
        fs::write(home.path().join("delegate.pem"), &delegate.certificate_pem).unwrap();
        fs::write(home.path().join("delegate.key"), &delegate.key_pem).unwrap();
        let signs = Mutex::new(BY_DELEGATE.to_vec());
        Arc::new(Self { home, asked: AtomicUsize::new(0), is_up: Mutex::new(true), signs })
    }

    fn signs(&self, how: &[&'static str]) {
        *self.signs.lock().unwrap() = how.to_vec();
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    fn answer(&self, request: &[u8]) -> Vec<u8> {
        let home = self.home.path();
        fs::write(home.join("request.der"), request).unwrap();
        let fixed = [
            "ocsp",
            "-index",
            "index.txt",
            "-CA",
            "ca.pem",
            "-reqin",
            "request.der",
            "-respout",
            "answer.der",
        ];
        let arguments = [fixed.as_slice(), &self.signs.lock().unwrap()].concat();
        openssl::run(home, &arguments).unwrap();
        fs::read(home.join("answer.der")).unwrap()
    }
}

impl OcspSource for Responder {
    fn fetch<'a>(&'a self, responder: &'a str, request: &'a [u8]) -> Fetched<'a> {
        assert_eq!(responder, "http://ocsp.example/");
        self.asked.fetch_add(1, Ordering::Relaxed);
        let up = *self.is_up.lock().unwrap();
        Box::pin(async move { if up { Ok(self.answer(request)) } else { Err(OcspFailed::NoAnswer) } })
    }
}

struct World {
    folder: Folder,
    responder: Arc<Responder>,
    fintech: Issued,
    clock: Arc<ManualClock>,
}

impl World {
    /// `None` where OpenSSL is absent.
    fn new() -> Option<Self> {
        let folder = Folder::new();
        let fintech = folder.ca.issue_client_asked_at("fintech", "http://ocsp.example/").unwrap();
        let responder = Responder::of(&folder.ca, &folder.ca.issue_ocsp_signer("responder").unwrap());
        let this = Self { folder, responder, fintech, clock: Arc::new(ManualClock::at(now())) };
        this.list("V", &this.fintech)?;
        this.responder.signs(&[&BY_DELEGATE[..], &["-nmin", "600"]].concat());
        Some(this)
    }

    /// Notes a certificate in the index; OpenSSL knows no other way to say "good".
    fn list(&self, state: &str, issued: &Issued) -> Option<()> {
        openssl::run(self.responder.home.path(), &["version"])?;
        let serial = crypto::Certificate::from_pem(&issued.certificate_pem).unwrap().serial_hex;
        let revoked = if state == "R" { "260101000000Z" } else { "" };
        let line = format!("{state}\t491231235959Z\t{revoked}\t{serial}\tunknown\t/CN=x\n");
        fs::write(self.responder.home.path().join("index.txt"), line).unwrap();
        Some(())
    }

    fn files(&self, revocation: Revocation, cache: Arc<OcspCache>) -> TlsFiles {
        let files = self.folder.files(revocation);
        let clients = files.clients.map(|clients| ClientFiles { responders: Some(cache), ..clients });
        TlsFiles { clients, ..files }
    }

    async fn start(&self, revocation: Revocation) -> Gate {
        let cache = Arc::new(OcspCache::new(self.responder.clone()));
        let watch = TlsWatch::open(self.files(revocation, cache)).unwrap();
        Plan { tls: watch.tls(), clock: self.clock.clone(), ..Plan::new() }.start().await
    }

    /// What a new connection is judged as.
    async fn judged(&self, revocation: Revocation) -> String {
        let gate = self.start(revocation).await;
        let mut stream = self.folder.client(&self.fintech).connect(gate.address).await.unwrap();
        let answer = ask(&mut stream, GET_AND_CLOSE).await;
        gate.stop().await;
        answer.rsplit(' ').next().unwrap().to_owned()
    }
}

fn now() -> domain::Timestamp {
    use domain::Clock;
    SystemClock.now()
}

#[tokio::test]
async fn a_responder_says_good_or_revoked_itself_or_by_delegate() {
    let Some(world) = World::new() else { return };
    for signs in [BY_ISSUER, BY_DELEGATE] {
        world.list("V", &world.fintech);
        world.responder.signs(&[&signs[..], &["-nmin", "600"]].concat());
        assert_eq!(world.judged(Revocation::Hard).await, "Some(Trusted)");
        world.list("R", &world.fintech);
        for revocation in [Revocation::Soft, Revocation::Hard] {
            assert_eq!(world.judged(revocation).await, "Some(Revoked)");
        }
        assert_eq!(world.judged(Revocation::Off).await, "Some(Trusted)");
    }
}

/// An answer that proves nothing is none: fine if soft, not if hard.
#[tokio::test]
async fn an_answer_that_is_not_believed_is_none() {
    let Some(world) = World::new() else { return };
    let home = world.responder.home.path().to_owned();
    let foreign = authority("rotation root");
    let foreigner = foreign.issue_ocsp_signer("responder").unwrap();
    let no_signer = world.folder.ca.issue_client_plain("nobody").unwrap();
    for (name, issued) in [("foreign", &foreigner), ("nobody", &no_signer)] {
        fs::write(home.join(format!("{name}.pem")), &issued.certificate_pem).unwrap();
        fs::write(home.join(format!("{name}.key")), &issued.key_pem).unwrap();
    }
    world.list("R", &world.fintech);
    for signs in [
        // Of a look-alike, of one who may not sign, and in a form that is signed by nobody.
        ["-rsigner", "foreign.pem", "-rkey", "foreign.key", "-nmin", "600"],
        ["-rsigner", "nobody.pem", "-rkey", "nobody.key", "-nmin", "600"],
        ["-rsigner", "delegate.pem", "-rkey", "delegate.key", "-badsig", "-resp_no_certs"],
    ] {
        world.responder.signs(&signs);
        assert_eq!(world.judged(Revocation::Soft).await, "Some(Trusted)", "{signs:?}");
        assert_eq!(world.judged(Revocation::Hard).await, "Some(RevocationUnknown)", "{signs:?}");
    }
    // One that the responder does not know.
    world.list("V", &no_signer);
    world.responder.signs(&BY_DELEGATE);
    assert_eq!(world.judged(Revocation::Hard).await, "Some(RevocationUnknown)");
}

/// Not one bit of what is signed can be changed; what is not signed changes nothing.
#[tokio::test]
async fn a_changed_answer_is_never_another_answer() {
    let Some(world) = World::new() else { return };
    let der = |pem: &str| crypto::Certificate::from_pem(pem).unwrap().der;
    let issuer = der(world.folder.ca.certificate_pem()).into();
    let issuer = webpki::anchor_from_trusted_cert(&issuer).unwrap().to_owned();
    let question = crypto::ocsp::Question::about(&der(&world.fintech.certificate_pem), &issuer).unwrap();
    let answer = world.responder.answer(question.request());
    let good = question.read(&answer, now()).unwrap();
    for place in 0..answer.len() {
        for bit in [0x01, 0x20, 0x80] {
            let mut changed = answer.clone();
            changed[place] ^= bit;
            assert!(question.read(&changed, now()).map_or(true, |read| read == good), "byte {place}");
        }
        assert!(question.read(&answer[..place], now()).is_err());
    }
    // An answer to another question.
    let other = world.folder.ca.issue_client_asked_at("other", "http://ocsp.example/").unwrap();
    let question = crypto::ocsp::Question::about(&der(&other.certificate_pem), &issuer).unwrap();
    assert_eq!(question.read(&answer, now()), Err(crypto::ocsp::Unbelieved::OtherCertificate));
}

/// Asked once per certificate and hour; a revocation reaches open connections,
/// and what was said holds until it is said to end.
#[tokio::test]
async fn answers_are_remembered_and_asked_for_again() {
    let Some(world) = World::new() else { return };
    let for_minutes = |minutes| world.responder.signs(&[&BY_DELEGATE[..], &["-nmin", minutes]].concat());
    for_minutes("10");
    let gate = world.start(Revocation::Hard).await;
    let client = world.folder.client(&world.fintech);
    let mut kept = client.connect(gate.address).await.unwrap();
    for _ in 0..3 {
        assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
        let mut fresh = client.connect(gate.address).await.unwrap();
        assert!(ask(&mut fresh, GET_AND_CLOSE).await.ends_with("Some(Trusted)"));
    }
    assert_eq!(world.responder.asked(), 1);
    // Half of its ten minutes, and five for clocks, later: nobody answers, but what was said holds.
    *world.responder.is_up.lock().unwrap() = false;
    world.clock.advance(460);
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
    assert_eq!(world.responder.asked(), 2);
    world.clock.advance(460);
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(RevocationUnknown)"));
    assert_eq!(world.responder.asked(), 3);
    // Left alone for a minute after it failed.
    let mut fresh = client.connect(gate.address).await.unwrap();
    assert!(ask(&mut fresh, GET_AND_CLOSE).await.ends_with("Some(RevocationUnknown)"));
    assert_eq!(world.responder.asked(), 3);
    *world.responder.is_up.lock().unwrap() = true;
    world.list("R", &world.fintech);
    for_minutes("60");
    world.clock.advance(-900);
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"), "what was said holds");
    world.clock.advance(965);
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Revoked)"));
    gate.stop().await;
}

/// RFC 6066 §8: what the authority says of our own certificate comes with it,
/// and is exchanged with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_own_response_is_stapled() {
    let Some(world) = World::new() else { return };
    let server = world.folder.renew();
    world.list("V", &server);
    let der = |pem: &str| crypto::Certificate::from_pem(pem).unwrap().der;
    let issuer = der(world.folder.ca.certificate_pem()).into();
    let issuer = webpki::anchor_from_trusted_cert(&issuer).unwrap().to_owned();
    let question = crypto::ocsp::Question::about(&der(&server.certificate_pem), &issuer).unwrap();
    world.folder.put("staple.der", world.responder.answer(question.request()));
    let files =
        TlsFiles { staple: Some(world.folder.path("staple.der")), ..world.folder.files(Revocation::Off) };
    let watch = TlsWatch::open(files).unwrap();
    let gate = Plan { tls: watch.tls(), ..Plan::new() }.start().await;
    let at = gate.address.to_string();
    let said = openssl::run(world.responder.home.path(), &["s_client", "-connect", &at, "-status"]).unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(
        said.contains("OCSP Response Status: successful") && said.contains("Cert Status: good"),
        "{said}"
    );
    gate.stop().await;
}

/// `openssl ocsp` as a server, stopped when dropped.
struct Served(Child);

impl Served {
    fn at(home: &Path) -> Option<(Self, u16)> {
        let arguments =
            [&["ocsp", "-port", "0", "-index", "index.txt", "-CA", "ca.pem"], &BY_ISSUER[..]].concat();
        let child = Command::new("openssl").args(arguments).current_dir(home).stdout(Stdio::piped()).spawn();
        let mut served = Self(child.ok()?);
        // ACCEPT 0.0.0.0:45678 PID=…
        let said = BufReader::new(served.0.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut port = said.filter_map(|line| line.split([':', ' ']).find_map(|word| word.parse().ok()));
        let port = port.next().unwrap();
        Some((served, port))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn over_http(hosts: &[&str], private_too: bool) -> HttpOcsp {
    let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
    HttpOcsp { hosts, private_too, timeout: Duration::from_secs(5) }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_responder_is_asked_over_http() {
    let Some(mut world) = World::new() else { return };
    let Some((_served, port)) = Served::at(world.responder.home.path()) else { return };
    world.fintech =
        world.folder.ca.issue_client_asked_at("fintech", &format!("http://127.0.0.1:{port}/ocsp")).unwrap();
    let cache = Arc::new(OcspCache::new(Arc::new(over_http(&["127.0.0.1"], true))));
    let watch = TlsWatch::open(world.files(Revocation::Hard, cache)).unwrap();
    let gate = Plan { tls: watch.tls(), ..Plan::new() }.start().await;
    let client = world.folder.client(&world.fintech);
    let mut stream = client.connect(gate.address).await.unwrap();
    // The server has read its index before this certificate was there.
    let answer = ask(&mut stream, GET_AND_CLOSE).await;
    assert!(answer.ends_with("Some(RevocationUnknown)"), "{answer}");
    gate.stop().await;
    drop(_served);

    world.list("R", &world.fintech);
    let Some((_served, port)) = Served::at(world.responder.home.path()) else { return };
    let source = over_http(&["127.0.0.1"], true);
    let der = crypto::Certificate::from_pem(&world.fintech.certificate_pem).unwrap().der;
    let issuer = crypto::Certificate::from_pem(world.folder.ca.certificate_pem()).unwrap().der.into();
    let issuer = webpki::anchor_from_trusted_cert(&issuer).unwrap().to_owned();
    let question = crypto::ocsp::Question::about(&der, &issuer).unwrap();
    let answer = source.fetch(&format!("http://127.0.0.1:{port}/"), question.request()).await.unwrap();
    let answer = question.read(&answer, now()).unwrap();
    assert_eq!(answer.status, crypto::ocsp::Status::Revoked);
}

/// Who is asked is not the certificate's choice.
#[tokio::test]
async fn only_permitted_hosts_are_asked() {
    let source = over_http(&["127.0.0.1", "localhost", "[::1]", "10.0.0.1"], false);
    for address in [
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "http://[::1]:1/",
        "http://10.0.0.1/",
        "http://other.example/",
        "https://127.0.0.1/",
        "ldap://127.0.0.1/",
        "http://user@other.example/",
        "/path",
        "",
    ] {
        assert_eq!(source.fetch(address, b"0").await, Err(OcspFailed::NotPermitted), "{address}");
    }
}

/// What answers is not always a responder.
#[tokio::test]
async fn an_answer_is_of_its_kind_and_bounded() {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", socket.local_addr().unwrap());
    let source = over_http(&["127.0.0.1"], true);
    let kind = "content-type: application/ocsp-response\r\n";
    for (head, body, taken) in [
        (format!("200 OK\r\n{kind}"), vec![b'x'; 100], true),
        (format!("404 Not Found\r\n{kind}"), vec![b'x'; 100], false),
        ("200 OK\r\ncontent-type: text/html\r\n".to_owned(), vec![b'x'; 100], false),
        (format!("200 OK\r\n{kind}"), vec![b'x'; 100_000], false),
    ] {
        let answered = async {
            let (mut stream, _) = socket.accept().await.unwrap();
            let mut request = [0; 1_024];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            assert!(request.starts_with("POST / HTTP/1.1\r\n"), "{request}");
            assert!(request.contains("content-type: application/ocsp-request"), "{request}");
            let length = body.len();
            let head = format!("HTTP/1.1 {head}content-length: {length}\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
        };
        let (fetched, ()) = tokio::join!(source.fetch(&address, b"question"), answered);
        assert_eq!(fetched.is_ok(), taken, "{head}");
    }
}
