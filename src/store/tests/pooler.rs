//! PgBouncer in front of PostgreSQL, handing out connections for a transaction at a time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod world;

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use consentry_store::{GlobalStore, StoreError, transaction};
use domain::{Clock, SystemClock};
use tempfile::TempDir;
use tokio::task::JoinSet;
use world::World;

/// A PgBouncer with two connections to each database, so that whoever asks shares them.
struct Bouncer {
    process: Child,
    port: u16,
    user: String,
    _folder: TempDir,
}

impl Bouncer {
    /// Starts one before the server of `CONSENTRY_TEST_POSTGRES`; none, said loudly, without it or
    /// the program that `CONSENTRY_TEST_PGBOUNCER` names.
    fn start() -> Option<Self> {
        let (Ok(server), Ok(program)) =
            (std::env::var("CONSENTRY_TEST_POSTGRES"), std::env::var("CONSENTRY_TEST_PGBOUNCER"))
        else {
            eprintln!("SKIPPED: set CONSENTRY_TEST_POSTGRES and CONSENTRY_TEST_PGBOUNCER to run this");
            return None;
        };
        let server = url::Url::parse(&server).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let users = folder.path().join("users");
        let (user, password) = (server.username(), server.password().unwrap_or_default());
        std::fs::write(&users, format!("\"{user}\" \"{password}\"\n")).unwrap();
        let settings = format!(
            "[databases]\n* = host={} port={}\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\n\
             pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 100\n\
             ignore_startup_parameters = extra_float_digits\n",
            server.host_str().unwrap(),
            server.port().unwrap_or(5432),
            users.display(),
        );
        let file = folder.path().join("pgbouncer.ini");
        std::fs::write(&file, settings).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(program);
        if Command::new("id").arg("-u").output().unwrap().stdout.trim_ascii() == b"0" {
            // It refuses to be root.
            command.args(["-u", "nobody"]);
        }
        let mut process = command.arg(&file).stdin(Stdio::null()).stderr(log).spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = process.try_wait().unwrap();
            let said = || std::fs::read_to_string(folder.path().join("log")).unwrap();
            assert!(ended.is_none(), "{}", said());
            std::thread::yield_now();
        }
        Some(Self { process, port, user: user.to_owned(), _folder: folder })
    }

    /// The address of a database through it.
    fn address(&self, database: &str, parameters: &str) -> String {
        format!("postgres://{}@127.0.0.1:{}/{database}{parameters}", self.user, self.port)
    }
}

impl Drop for Bouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn put(store: &GlobalStore, client: &str) -> Result<(), StoreError> {
    transaction!(keyed store, tx => { tx.put_client(client, &serde_json::json!({}), SystemClock.now()).await })
}

/// Two gateways begin at the same time and do much at once, over two connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_pooler_may_hand_out_connections_for_a_transaction() {
    let Some(bouncer) = Bouncer::start() else { return };
    let scratch = world::scratch().await.unwrap();
    let address = bouncer.address(&world::name_of(&scratch), "?pooler=transaction");
    let (one, other) = tokio::join!(World::at(&address), World::at(&address));
    let worlds = [Arc::new(one), Arc::new(other)];

    let mut working = JoinSet::new();
    for number in 0..120 {
        let world = Arc::clone(&worlds[number % 2]);
        working.spawn(async move {
            let client = format!("tpp-{number}");
            put(&world.global, &client).await.unwrap();
            assert_eq!(world.global.client(&client).await.unwrap().unwrap().client_id, client);
            let (consent, payment) = (world.consent().await, world.payment().await);
            assert_eq!(world.region.consent(consent.id).await.unwrap().unwrap().terms, consent.terms);
            assert_eq!(
                world.region.payment(payment.id).await.unwrap().unwrap().terms.order,
                payment.terms.order
            );
        });
    }
    working.join_all().await;

    // Who has not said that there is a pooler meets what others left.
    let unsaid = bouncer.address(&format!("{}_global", world::name_of(&scratch)), "");
    let unsaid = GlobalStore::open(&unsaid).await;
    let all = async |store: GlobalStore| {
        let mut reading = JoinSet::new();
        for number in 0..60 {
            let store = store.clone();
            reading.spawn(async move { store.client(&format!("tpp-{number}")).await.map(drop) });
        }
        reading.join_all().await.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
    };
    let met = match unsaid {
        Ok(store) => all(store).await,
        Err(error) => Err(error),
    };
    assert!(met.is_err(), "the pooler has to be one that shares connections");
}
