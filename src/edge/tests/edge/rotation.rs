//! Certificates, authorities and keys that are replaced while they are in use.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use consentry_edge::{ClientFiles, Revocation, ServerKey, TlsFiles, TlsWatch};
use crypto::pki::{Authority, Issued};
use domain::{Clock, ManualClock, SystemClock};

use crate::support::{GET, GET_AND_CLOSE, Gate, Plan, TestClient, ask, ask_on, authority};

/// The files of a listener.
pub struct Folder {
    folder: tempfile::TempDir,
    pub ca: Authority,
}

impl Folder {
    pub fn new() -> Self {
        let this = Self { folder: tempfile::tempdir().unwrap(), ca: authority("rotation root") };
        fs::create_dir(this.path("anchors")).unwrap();
        fs::create_dir(this.path("lists")).unwrap();
        this.put("anchors/ours.pem", this.ca.certificate_pem());
        this.renew();
        this
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a file in place at once, as who cares does.
    pub fn put(&self, name: &str, contents: impl AsRef<[u8]>) {
        let fresh = self.path(".fresh");
        fs::write(&fresh, contents).unwrap();
        fs::rename(fresh, self.path(name)).unwrap();
    }

    pub fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    /// A new server certificate with a new key.
    pub fn renew(&self) -> Issued {
        let issued = self.ca.issue_server(&["localhost"], &[]).unwrap();
        self.put("server.pem", &issued.certificate_pem);
        self.put("server.key", &issued.key_pem);
        issued
    }

    pub fn files(&self, revocation: Revocation) -> TlsFiles {
        TlsFiles {
            certificate: self.path("server.pem"),
            key: ServerKey::File(self.path("server.key")),
            staple: None,
            clients: Some(ClientFiles {
                anchors: vec![self.path("anchors")],
                lists: vec![self.path("lists")],
                revocation,
                responders: None,
                profiles: Vec::new(),
            }),
        }
    }

    pub async fn start(&self, revocation: Revocation) -> (Gate, TlsWatch) {
        let watch = TlsWatch::open(self.files(revocation)).unwrap();
        (Plan { tls: watch.tls(), ..Plan::new() }.start().await, watch)
    }

    pub fn client(&self, shown: &Issued) -> TestClient {
        TestClient::shows(self.ca.certificate_pem(), shown)
    }
}

/// The certificate that a new connection is shown.
async fn shown(gate: &Gate, client: &TestClient) -> Vec<u8> {
    let stream = client.connect(gate.address).await.unwrap();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// Two of which one resumes its sessions, without pause, and a third that stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_new_certificates_break_no_request() {
    let folder = Folder::new();
    let (gate, mut watch) = folder.start(Revocation::Off).await;
    let fintech = folder.ca.issue_client_plain("fintech").unwrap();
    let (over, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut askers = Vec::new();
    for resumes in [true, false] {
        let (over, asked, address) = (Arc::clone(&over), Arc::clone(&asked), gate.address);
        let mut client = folder.client(&fintech);
        if !resumes {
            client.0.resumption = rustls::client::Resumption::disabled();
        }
        askers.push(tokio::spawn(async move {
            while !over.load(Ordering::Relaxed) {
                let mut stream = client.connect(address).await.unwrap();
                let answer = ask(&mut stream, GET_AND_CLOSE).await;
                assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("Some(Trusted)"), "{answer}");
                asked.fetch_add(1, Ordering::Relaxed);
            }
        }));
    }
    let mut kept = folder.client(&fintech).connect(gate.address).await.unwrap();
    let mut last = None;
    for _ in 0..100 {
        let before = asked.load(Ordering::Relaxed);
        last = Some(folder.renew());
        watch.look();
        assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
        while asked.load(Ordering::Relaxed) == before && !askers.iter().any(|asker| asker.is_finished()) {
            tokio::task::yield_now().await;
        }
    }
    over.store(true, Ordering::Relaxed);
    for asker in askers {
        asker.await.unwrap();
    }
    let last = crypto::Certificate::from_pem(&last.unwrap().certificate_pem).unwrap();
    assert_eq!(shown(&gate, &folder.client(&fintech)).await, last.der);
    eprintln!("{} requests under 100 changes, 0 failed", asked.load(Ordering::Relaxed));
    gate.stop().await;
}

/// What cannot be used is named, and changes nothing.
#[tokio::test]
async fn a_broken_file_leaves_everything_as_it_was() {
    let folder = Folder::new();
    let (gate, mut watch) = folder.start(Revocation::Soft).await;
    let fintech = folder.ca.issue_client_plain("fintech").unwrap();
    let before = shown(&gate, &folder.client(&fintech)).await;
    let other = folder.ca.issue_server(&["localhost"], &[]).unwrap();
    let read = |name: &str| fs::read(folder.path(name)).ok();
    for (name, contents, why) in [
        ("server.pem", "", "no usable certificate"),
        ("server.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n", "is not the one"),
        ("server.key", "nonsense", "no usable private key"),
        ("server.key", other.key_pem.as_str(), "the key is not the one of the certificate"),
        ("anchors/other.pem", "nonsense", "no usable authority"),
        ("lists/other.crl", "\x30\x03nonsense", "no usable revocation list"),
        ("lists/other.crl", "", "no usable revocation list"),
    ] {
        let good = read(name);
        folder.put(name, contents);
        watch.look();
        assert_eq!(shown(&gate, &folder.client(&fintech)).await, before, "{name}");
        let refused = TlsWatch::open(folder.files(Revocation::Soft)).unwrap_err();
        let said = format!("{refused}: {}", std::error::Error::source(&refused).unwrap());
        assert!(said.contains(why), "{said}");
        let named = if why.contains("is not the one") { "server.key" } else { name };
        assert!(said.contains(named) && !said.contains("PRIVATE"), "{said}");
        match good {
            Some(good) => folder.put(name, good),
            None => folder.remove(name),
        }
    }
    folder.remove("server.pem");
    watch.look();
    assert_eq!(shown(&gate, &folder.client(&fintech)).await, before);
    let now = crypto::Certificate::from_pem(&folder.renew().certificate_pem).unwrap().der;
    watch.look();
    assert_eq!(shown(&gate, &folder.client(&fintech)).await, now, "the next good ones are taken up");
    gate.stop().await;
}

/// An authority that goes takes its clients with it, and brings them back.
#[tokio::test]
async fn whom_we_trust_is_asked_with_every_request() {
    let folder = Folder::new();
    let (gate, mut watch) = folder.start(Revocation::Off).await;
    let client = folder.client(&folder.ca.issue_client_plain("fintech").unwrap());
    let mut kept = client.connect(gate.address).await.unwrap();
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
    let other = authority("another root");
    folder.put("anchors/other.pem", other.certificate_pem());
    folder.remove("anchors/ours.pem");
    watch.look();
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Unknown)"));
    let mut resumed = client.connect(gate.address).await.unwrap();
    assert_eq!(resumed.get_ref().1.handshake_kind(), Some(rustls::HandshakeKind::Resumed));
    assert!(ask(&mut resumed, GET_AND_CLOSE).await.ends_with("Some(Unknown)"));
    let theirs = folder.client(&other.issue_client_plain("fintech").unwrap());
    let mut theirs = theirs.connect(gate.address).await.unwrap();
    assert!(ask(&mut theirs, GET_AND_CLOSE).await.ends_with("Some(Trusted)"));
    folder.put("anchors/ours.pem", folder.ca.certificate_pem());
    watch.look();
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
    // A folder of files that nobody can use at all changes nothing.
    fs::remove_dir_all(folder.path("anchors")).unwrap();
    watch.reload();
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
    gate.stop().await;
}

/// A certificate that runs out does so on an open connection, too.
#[tokio::test]
async fn a_certificate_runs_out_while_it_is_in_use() {
    let folder = Folder::new();
    let watch = TlsWatch::open(folder.files(Revocation::Off)).unwrap();
    let clock = Arc::new(ManualClock::at(SystemClock.now()));
    let plan = Plan { tls: watch.tls(), clock: clock.clone(), ..Plan::new() };
    let gate = plan.start().await;
    let client = folder.client(&folder.ca.issue_client_plain("fintech").unwrap());
    let mut kept = client.connect(gate.address).await.unwrap();
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
    clock.advance(366 * 86_400);
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(OutOfDate)"));
    clock.advance(-366 * 86_400);
    assert!(ask_on(&mut kept, GET).await.ends_with("Some(Trusted)"));
    gate.stop().await;
}

#[test]
fn a_hidden_file_of_a_folder_does_not_count() {
    let folder = Folder::new();
    fs::write(folder.path("anchors/.swp"), "nonsense").unwrap();
    fs::create_dir(folder.path("anchors/..data")).unwrap();
    assert!(TlsWatch::open(folder.files(Revocation::Off)).is_ok());
    let missing =
        TlsFiles { staple: Some(Path::new("/no/such.der").into()), ..folder.files(Revocation::Off) };
    assert!(TlsWatch::open(missing).unwrap_err().to_string().contains("/no/such.der"));
}
