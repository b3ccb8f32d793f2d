//! A Redis that fails over while it is used: sentinels say where it is.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test stops at the first surprise")]

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use consentry_store::bell::{Bell, Heard};
use consentry_store::quotas::RedisPool;
use limits::{Key, Pool, Spent};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// A process that ends with its test.
struct Server(Child);

impl Server {
    fn start(folder: &TempDir, port: u16, arguments: &[&str]) -> Self {
        let mut command = Command::new("redis-server");
        command.current_dir(folder.path()).args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
        let server = Self(command.spawn().unwrap());
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            std::thread::yield_now();
        }
        server
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").args([signal, &self.0.id().to_string()]).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A primary, its copy and the sentinel that watches them; the sentinel's port.
fn watched(folder: &TempDir) -> (Server, [Server; 2], u16) {
    let [primary, copy, sentinel] = [free_port(), free_port(), free_port()];
    let (first, second) = (primary.to_string(), copy.to_string());
    let common = ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
    let leads = Server::start(folder, primary, &[&["--port", &first], &common[..]].concat());
    let of = format!("127.0.0.1 {first}");
    let follows =
        Server::start(folder, copy, &[&["--port", &second, "--replicaof", &of], &common[..]].concat());
    let settings = format!(
        "port {sentinel}\nbind 127.0.0.1\nsentinel monitor consentry 127.0.0.1 {first} 1\n\
         sentinel down-after-milliseconds consentry 500\nsentinel failover-timeout consentry 2000\n"
    );
    std::fs::write(folder.path().join("sentinel.conf"), settings).unwrap();
    let watches = Server::start(folder, sentinel, &["sentinel.conf", "--sentinel"]);
    // It has to have heard of the copy, before it can make it the primary.
    let knows = || {
        let asked = Command::new("redis-cli")
            .args(["-p", &sentinel.to_string(), "sentinel", "replicas", "consentry"])
            .output();
        let said = String::from_utf8(asked.unwrap().stdout).unwrap();
        said.contains(&second) && said.contains("master-link-status\nok")
    };
    while !knows() {
        std::thread::yield_now();
    }
    (leads, [follows, watches], sentinel)
}

fn spent() -> [Spent; 1] {
    [Spent { policy: "reads".into(), key: Key::Id("tpp".into()), part: Duration::from_millis(1) }]
}

/// Rings until the ring is heard.
async fn ring_until_heard(bell: &Bell, hears: &mut mpsc::UnboundedReceiver<Heard>) {
    loop {
        let _ = bell.ring().await;
        match tokio::time::timeout(Duration::from_millis(50), hears.recv()).await {
            Ok(Some(Heard::Ring)) => return,
            Ok(heard) => assert!(heard.is_some()),
            Err(_) => {}
        }
    }
}

async fn goes_on_after(how: &str) {
    if Command::new("redis-server").arg("--version").output().is_err() {
        eprintln!("SKIPPED: redis-server is not here");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (primary, _others, sentinel) = watched(&folder);
    // The first one that is named does not answer at all.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = silent.local_addr().unwrap();
    let url = format!("redis+sentinel://{nobody},127.0.0.1:{sentinel}/consentry");
    let (bell, pool) = (Bell::at(&url).unwrap(), RedisPool::at(&url, "one".to_owned()).unwrap());
    let (told, mut hears) = mpsc::unbounded_channel();
    let listener = tokio::spawn({
        let bell = bell.clone();
        async move {
            loop {
                let _ = bell.listen(|heard| told.send(heard).unwrap()).await;
            }
        }
    });
    ring_until_heard(&bell, &mut hears).await;
    assert_eq!(pool.settle(&spent()).await.unwrap().1, 1);

    primary.signal(how);
    // While nobody is the primary it says so and does not hang.
    while pool.settle(&spent()).await.is_ok() {
        tokio::task::yield_now().await;
    }
    while pool.settle(&spent()).await.is_err() {
        tokio::task::yield_now().await;
    }
    while hears.try_recv().is_ok() {}
    ring_until_heard(&bell, &mut hears).await;
    listener.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_killed_is_followed_to_its_copy() {
    goes_on_after("-KILL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_hangs_is_followed_to_its_copy() {
    goes_on_after("-STOP").await;
}

#[test]
fn an_address_names_what_the_sentinels_watch() {
    assert!(Bell::at("redis+sentinel://one:26379,two:26379/consentry").is_ok());
    assert!(Bell::at("rediss+sentinel://me:pass%20word@one/consentry?sentinel_password=x").is_ok());
    for invalid in ["redis+sentinel://one:26379", "redis+sentinel://one:26379/", "redis+sentinel://:1/x"] {
        assert!(Bell::at(invalid).is_err(), "{invalid}");
    }
}
