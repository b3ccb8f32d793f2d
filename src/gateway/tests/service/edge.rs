//! The edge: what no handler should have to look at, through raw sockets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::served::Place;
use crate::support::webhooks::until;
use crate::support::{TestGateway, UK, assert_problem};
use axum::Router;
use axum::routing::get;
use consentry::demo::{Answer, Client, bearer};
use crypto::pki::{Authority, Issued};
use domain::{Clock, SystemClock, SystemEntropy};
use edge::{BlockList, EdgeConfig, Listener, ListenerConfig, Overload, ServerTls, protect};
use http::Method;
use limits::{Limiter, Policies};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

/// A TLS connection that sends what a well-behaved client would not.
async fn raw(port: u16, root: &str, shown: Option<&Issued>, alpn: &[&str]) -> TlsStream<TcpStream> {
    connected(&connector(root, shown, alpn), port).await
}

pub async fn connected(connector: &TlsConnector, port: u16) -> TlsStream<TcpStream> {
    let stream = TcpStream::connect(("localhost", port)).await.unwrap();
    connector.connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// What makes such connections.
pub fn connector(root: &str, shown: Option<&Issued>, alpn: &[&str]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(root.as_bytes()) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let mut config = match shown {
        Some(shown) => {
            let chain = CertificateDer::pem_slice_iter(shown.certificate_pem.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(shown.key_pem.as_bytes()).unwrap();
            config.with_client_auth_cert(chain.collect::<Result<_, _>>().unwrap(), key).unwrap()
        }
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

/// What comes back until the peer closes; at most ten seconds.
async fn rest(stream: &mut TlsStream<TcpStream>) -> String {
    let mut bytes = Vec::new();
    // A peer that has refused a body may cut the connection; what it said counts.
    let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
    assert!(read.is_ok(), "the connection ends");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Sends `request` to the API and reads the answer.
async fn said(gw: &TestGateway, request: &str) -> String {
    let access = gw.sandbox.access();
    let mut stream = raw(port_of(&access.api), &access.pki.root, Some(&access.pki.fintech), &[]).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    rest(&mut stream).await
}

pub fn port_of(origin: &str) -> u16 {
    url::Url::parse(origin).unwrap().port().unwrap()
}

#[track_caller]
fn assert_said(answer: &str, status: u16, code: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    assert!(answer.contains("application/problem+json") && answer.contains("x-request-id: req_"), "{answer}");
}

/// edge.md §1: one plain spelling per path, so that what is guarded is what is served.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_in_disguise_is_refused() {
    let gw = TestGateway::start().await;
    for path in [
        "/v1%2finstitutions",
        "/v1%5Cinstitutions",
        "/v1/../v1/institutions",
        "/v1/accounts/..",
        "/v1/./institutions",
        "/v1/institutions/.",
        "/v1/%2e%2e/institutions",
        "/v1//institutions",
        "/v1/institutions;jsessionid=1",
        "/v1/institutions%00",
        "/v1\\institutions",
        // RFC 9112 §3.2.3: that is for CONNECT.
        "localhost",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        let answer = said(&gw, &request).await;
        // What is no path at all the HTTP library refuses by itself.
        if path.contains('\\') && answer.starts_with("HTTP/1.1 400 ") {
            continue;
        }
        assert_said(&answer, 400, "request.path");
    }
    gw.sandbox.stop().await;
}

/// RFC 9112 §3.2, §6.3: one Host, one length, one message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ambiguous_messages_are_refused() {
    let gw = TestGateway::start().await;
    let path = "/v1/institutions";
    let two_hosts =
        format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nhost: evil\r\nconnection: close\r\n\r\n");
    assert_said(&said(&gw, &two_hosts).await, 400, "request.header");
    let misled =
        format!("GET https://evil.example{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    assert_said(&said(&gw, &misled).await, 400, "request.header");
    let no_host = format!("GET {path} HTTP/1.1\r\nconnection: close\r\n\r\n");
    assert_said(&said(&gw, &no_host).await, 400, "request.header");
    for host in
        ["localhost@evil.example", "localhost/x", "", "a b", "a;b", "a:", "a:99999", ":80", "[::1", "[x]"]
    {
        let odd = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        assert_said(&said(&gw, &odd).await, 400, "request.header");
    }
    for host in ["[::1]:8441", "a_b.example.:443"] {
        let other = format!(
            "GET /nothing HTTP/1.1\r\nhost: {host}\r\nx-forwarded-for: (null)\r\nconnection: close\r\n\r\n"
        );
        assert_said(&said(&gw, &other).await, 404, "request.path_unknown");
    }
    let logged = "x-forwarded-for: ${jndi:ldap://x.example/a}";
    let logged = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n{logged}\r\nconnection: close\r\n\r\n");
    assert_said(&said(&gw, &logged).await, 400, "request.header");
    let two_lengths = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1\r\ncontent-length: 2\r\nconnection: close\r\n\r\nab"
    );
    assert!(said(&gw, &two_lengths).await.starts_with("HTTP/1.1 400 "));
    let encoded = "POST /v1/consents HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: gzip\r\n\
                   content-length: 0\r\nconnection: close\r\n\r\n";
    assert_said(&said(&gw, encoded).await, 415, "request.media_type");
    let long = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n", "x".repeat(1_000_000));
    let access = gw.sandbox.access();
    let mut stream = raw(port_of(&access.api), &access.pki.root, Some(&access.pki.fintech), &[]).await;
    let _ = stream.write_all(long.as_bytes()).await;
    let mut head = [0; 16];
    if let Ok(read) = stream.read(&mut head).await {
        let head = String::from_utf8_lossy(&head[..read]).into_owned();
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 431 "), "{head}");
    }
    gw.sandbox.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn methods_that_nobody_needs_are_refused() {
    let gw = TestGateway::start().await;
    for method in ["TRACE", "OPTIONS", "PROPFIND", "BREW"] {
        let request =
            format!("{method} /v1/institutions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        assert_said(&said(&gw, &request).await, 405, "request.method");
    }
    gw.sandbox.stop().await;
}

/// Ten megabytes are refused whether they are announced or not, and only what
/// is allowed is read.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_too_large_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let bearer = bearer(&tpp.own_token("accounts").await.unwrap());
    let head = format!(
        "POST /v1/consents HTTP/1.1\r\nhost: localhost\r\nauthorization: {bearer}\r\nidempotency-key: k\r\n\
         content-type: application/json\r\nconnection: close\r\n"
    );
    let announced = format!("{head}content-length: 10485760\r\n\r\n");
    assert_said(&said(&gw, &announced).await, 413, "request.body_too_large");

    let access = gw.sandbox.access();
    // One who sends it all the same has the answer in the end, and no reset.
    let mut stream = raw(port_of(&access.api), &access.pki.root, Some(&access.pki.fintech), &[]).await;
    stream.write_all(announced.as_bytes()).await.unwrap();
    for _ in 0..160 {
        stream.write_all(&[b' '; 65_536]).await.unwrap();
    }
    assert_said(&rest(&mut stream).await, 413, "request.body_too_large");

    let mut stream = raw(port_of(&access.api), &access.pki.root, Some(&access.pki.fintech), &[]).await;
    stream.write_all(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", "[".repeat(0x10000));
    // Five of 64 KiB are over the limit of 256 KiB; the rest is never asked for.
    for _ in 0..5 {
        stream.write_all(chunk.as_bytes()).await.unwrap();
    }
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).await.unwrap();
    assert_said(&String::from_utf8_lossy(&answer[..read]), 413, "request.body_too_large");
    gw.sandbox.stop().await;
}

/// Depth is counted before anything recurses.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_ten_thousand_levels_deep_is_refused() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let bearer = bearer(&tpp.own_token("accounts").await.unwrap());
    let headers =
        [("authorization", bearer.as_str()), ("idempotency-key", "k"), ("content-type", "application/json")];
    let url = format!("{}/v1/consents", tpp.api);
    for body in ["[".repeat(10_000), "{\"a\":".repeat(10_000)] {
        let answer = tpp.http.send(Method::POST, &url, &headers, body).await.unwrap();
        assert_problem(&answer, 400, "request.malformed_json");
    }
    gw.sandbox.stop().await;
}

/// Only our own TLS says who a peer is; headers by which proxies say it
/// change nothing, in neither direction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identity_headers_change_nothing() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let bearer = bearer(&granted.token);
    let url = format!("{}/v1/accounts", tpp.api);
    let fintech = gw.sandbox.access().pki.fintech.certificate_pem.clone().replace('\n', "%0A");
    for name in ["x-forwarded-client-cert", "x-client-cert", "ssl-client-cert", "client-cert", "x-ssl-cert"] {
        let claimed = [("authorization", bearer.as_str()), (name, fintech.as_str())];
        let answer = gw.anybody().get(&url, &claimed).await.unwrap();
        assert_problem(&answer, 401, "auth.certificate_missing");
        let foreign = [("authorization", bearer.as_str()), (name, "MIIB"), ("psu-ip-address", "192.0.2.1")];
        assert_eq!(tpp.http.get(&url, &foreign).await.unwrap().status, 200, "{name}");
    }
    gw.sandbox.stop().await;
}

/// BCP 195 (RS1): TLS 1.1 is refused with `protocol_version` (70).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_1_1_is_refused() {
    let gw = TestGateway::start().await;
    let mut hello = vec![0x03, 0x02];
    hello.extend([7; 32]);
    // No session, ECDHE_RSA_AES_128_CBC_SHA, no compression, the group P-256,
    // ECDSA with SHA-256.
    hello.extend([0, 0, 2, 0xc0, 0x13, 1, 0]);
    hello.extend([0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3]);
    let length = u8::try_from(hello.len()).unwrap();
    let mut record = vec![0x16, 0x03, 0x01, 0, length + 4, 1, 0, 0, length];
    record.extend(hello);
    for origin in [gw.sandbox.access().api, gw.sandbox.access().issuer] {
        let mut stream = TcpStream::connect(("localhost", port_of(&origin))).await.unwrap();
        stream.write_all(&record).await.unwrap();
        let mut alert = [0; 7];
        stream.read_exact(&mut alert).await.unwrap();
        assert_eq!((alert[0], alert[5], alert[6]), (21, 2, 70));
    }
    gw.sandbox.stop().await;
}

/// A listener of the edge alone, with bounds as small as a test's patience.
struct Small {
    ca: Authority,
    address: SocketAddr,
    stop: CancellationToken,
    served: JoinHandle<()>,
}

impl Small {
    async fn start(router: Router, per_peer: u32) -> Self {
        let ca = Authority::new("edge test root", SystemClock.now()).unwrap();
        let server = ca.issue_server(&["localhost"], &["127.0.0.1".parse().unwrap()]).unwrap();
        let anchors = [ca.certificate_pem().to_owned()];
        let tls = ServerTls::for_clients(&server.certificate_pem, &server.key_pem, &anchors).unwrap();
        let config = ListenerConfig {
            handshake_timeout: Duration::from_millis(300),
            head_timeout: Duration::from_millis(300),
            drain_timeout: Duration::from_secs(5),
            ..ListenerConfig::default()
        };
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), tls, config).await.unwrap();
        let address = listener.local_addr().unwrap();
        let text = format!(
            "[[policy]]\nname = \"peer\"\npartition = \"peer\"\nquota = {per_peer}\nwindow = {per_peer}\n\
             [load]\nin_flight = 1000\nlag_ms = 10000\n"
        );
        let limiter = Arc::new(Limiter::new(Policies::parse(&text).unwrap()));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let edge = EdgeConfig {
            filter: None,
            refuse: web::refuse,
            moves_money: web::moves_money,
            evidence: Arc::default(),
            side: edge::Side::Api,
            region_of: |_| None,
            only_region: None,
            witness: None,
            blocked: BlockList::new(Arc::clone(&limiter), Arc::clone(&clock)),
            max_body: 1_024,
            deadline: Duration::from_secs(1),
            body_timeout: Duration::from_millis(300),
            counters: Arc::default(),
            overload: Overload::new(Arc::clone(&limiter)),
            limiter,
            clock: Arc::clone(&clock),
            entropy: Arc::new(SystemEntropy),
        };
        let stop = CancellationToken::new();
        let served = tokio::spawn(listener.serve(protect(router, edge), clock, stop.clone()));
        Self { ca, address, stop, served }
    }

    fn client(&self, shown: Option<&Issued>) -> Client {
        let identity = shown.map(|shown| (shown.certificate_pem.as_str(), shown.key_pem.as_str()));
        Client::new(self.ca.certificate_pem(), identity).unwrap()
    }

    async fn get(&self, shown: Option<&Issued>, path: &str) -> Answer {
        let url = format!("https://localhost:{}{path}", self.address.port());
        self.client(shown).get(&url, &[]).await.unwrap()
    }

    async fn stop(self) {
        self.stop.cancel();
        self.served.await.unwrap();
    }
}

fn greeting() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// edge.md §1: counted per peer, with a time to come back after.
#[tokio::test]
async fn a_peer_that_asks_too_often_is_told_when_to_come_back() {
    let small = Small::start(greeting(), 3).await;
    for _ in 0..3 {
        assert_eq!(small.get(None, "/").await.status, 200);
    }
    let answer = small.get(None, "/").await;
    assert_problem(&answer, 429, "quota.exceeded");
    assert!((1..=3).contains(&answer.header("retry-after").unwrap().parse::<u64>().unwrap()));
    small.stop().await;
}

/// A certificate that we trust is a peer of its own; one that anybody can make
/// is no way around the count.
#[tokio::test]
async fn a_self_made_certificate_does_not_escape_the_count() {
    let small = Small::start(greeting(), 3).await;
    let self_made = || Authority::new("mine", SystemClock.now()).unwrap().issue_client_plain("me").unwrap();
    for _ in 0..3 {
        assert_eq!(small.get(Some(&self_made()), "/").await.status, 200);
    }
    assert_eq!(small.get(Some(&self_made()), "/").await.status, 429);
    let trusted = small.ca.issue_client_plain("fintech").unwrap();
    assert_eq!(small.get(Some(&trusted), "/").await.status, 200);
    small.stop().await;
}

/// How long a connection lives on which nothing more comes.
async fn life(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Duration {
    let begin = Instant::now();
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
    begin.elapsed()
}

/// Slow loris: a connection is cut off that does not begin TLS, does not send
/// a request, does not end its head, or says HTTP/2 and then nothing.
#[tokio::test]
async fn a_peer_that_dawdles_is_cut_off() {
    let small = Small::start(greeting(), 100).await;
    let (port, root) = (small.address.port(), small.ca.certificate_pem().to_owned());
    let patience = Duration::from_secs(3);
    let mut silent = TcpStream::connect(small.address).await.unwrap();
    assert!(life(&mut silent).await < patience, "before TLS");
    for alpn in [vec![], vec!["http/1.1"], vec!["h2"]] {
        let mut idle = raw(port, &root, None, &alpn).await;
        assert!(life(&mut idle).await < patience, "{alpn:?}");
    }
    for part in ["G", "PRI * HT", "GET / HTTP/1.1\r\nhost: local"] {
        let mut partial = raw(port, &root, None, &[]).await;
        partial.write_all(part.as_bytes()).await.unwrap();
        assert!(life(&mut partial).await < patience, "{part}");
    }
    let mut preface = raw(port, &root, None, &["h2"]).await;
    preface.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    assert!(life(&mut preface).await < patience, "half a preface");
    // One that keeps its connection after an answer, and then sleeps.
    let mut kept = raw(port, &root, None, &[]).await;
    kept.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    assert!(life(&mut kept).await < patience, "kept alive");
    assert_eq!(small.get(None, "/").await.status, 200);
    small.stop().await;
}

/// Both versions that ALPN offers are spoken, and HTTP/1.1 where nothing is said.
#[tokio::test]
async fn http_2_is_spoken_where_it_is_asked_for() {
    let small = Small::start(greeting(), 100).await;
    let stream = raw(small.address.port(), small.ca.certificate_pem(), None, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/").body(http_body_util::Empty::<bytes::Bytes>::new());
    let answer = sender.send_request(request.unwrap()).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, http::Version::HTTP_2));
    connection.abort();
    small.stop().await;
}

/// A stop lets an open request have its answer, and takes no new one.
#[tokio::test]
async fn a_stop_lets_open_requests_end() {
    let (begun, wait) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
    let (inside, release) = (Arc::clone(&begun), Arc::clone(&wait));
    let router = Router::new().route(
        "/slow",
        get(async move || {
            inside.notify_one();
            release.notified().await;
            "done"
        }),
    );
    let small = Small::start(router, 100).await;
    let client = small.client(None);
    let url = format!("https://localhost:{}/slow", small.address.port());
    let open = tokio::spawn(async move { client.get(&url, &[]).await.unwrap() });
    begun.notified().await;
    small.stop.cancel();
    // Once the socket is gone nobody new gets in.
    while TcpStream::connect(small.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!open.is_finished());
    wait.notify_one();
    let answer = open.await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, b"done".as_slice()));
    small.served.await.unwrap();
}

/// Invariant 8: what should not happen is a problem document without detail,
/// and the next request is served.
#[tokio::test]
async fn a_panic_or_a_hanging_handler_is_a_problem_document() {
    let router = greeting()
        .route("/panic", get(async || -> &'static str { panic!("DE89370400440532013000") }))
        .route("/hang", get(async || std::future::pending::<&'static str>().await));
    let small = Small::start(router, 100).await;
    let answer = small.get(None, "/panic").await;
    assert_problem(&answer, 500, "gateway.internal");
    assert!(!String::from_utf8_lossy(&answer.body).contains("DE89"));
    let answer = small.get(None, "/hang").await;
    assert_problem(&answer, 503, "gateway.timeout");
    assert!(answer.header("retry-after").is_some());
    assert_eq!(small.get(None, "/").await.status, 200);
    small.stop().await;
}

/// No origin is allowed to read anything with a script: whatever is asked, also by a preflight, and
/// by origins that look like ours, no answer allows one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_other_origin_is_allowed_to_read_an_answer() {
    let gw = TestGateway::start().await;
    let access = gw.sandbox.access();
    let tpp = gw.tpp().await;
    let document: serde_json::Value =
        serde_json::from_str(include_str!("../../../../openapi/consentry.json")).unwrap();
    let mut paths: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    paths.extend(["/oauth/token", "/oauth/par", "/oauth/revoke", "/oauth/register"].map(str::to_owned));
    let pages = ["/.well-known/openid-configuration", "/.well-known/jwks.json", "/oauth/authorize", "/me"];
    let urls = paths.iter().map(|path| format!("{}{}", access.api, path.replace(['{', '}'], "")));
    let urls = urls.chain(pages.iter().map(|path| format!("{}{path}", access.issuer)));
    let mut asked = 0;
    for url in urls {
        let alike = format!("{}.evil.example", access.issuer);
        for origin in ["https://evil.example", "null", alike.as_str(), access.issuer.as_str()] {
            for method in [Method::OPTIONS, Method::GET] {
                let headers = [("origin", origin), ("access-control-request-method", "GET")];
                let answer = tpp.http.send(method, &url, &headers, "").await.unwrap();
                let allows = |name: &http::HeaderName| name.as_str().starts_with("access-control-");
                assert!(!answer.headers.keys().any(allows), "{url} {origin}: {:?}", answer.headers);
                asked += 1;
            }
        }
    }
    assert!(asked > 300, "{asked}");
    gw.sandbox.stop().await;
}

/// What a person's data is in is kept by nobody on the way, and asked for over TLS for two years (RFC 6797).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_is_kept_by_nobody_and_asked_for_over_tls_only() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let token = gw.granted(&tpp, &[UK]).await.token;
    for path in ["/v1/accounts", "/v1/balances", "/v1/transactions", "/v1/consents", "/v1/nowhere"] {
        let answer = tpp.get(&token, path).await.unwrap();
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=63072000"), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
    }
    gw.sandbox.stop().await;
}

/// Each refusal is in the log that auditors read, of requests and of connections, with its reason and without an
/// address.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_in_the_audit_log() {
    let place = Place::ready().await;
    let served = place.serve().await;
    let root = &place.access().pki.root;
    for sent in [
        "GET /v1/%2e%2e/x HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
        "this is no HTTP\r\n\r\n",
    ] {
        let mut stream = raw(place.port(1), root, None, &[]).await;
        stream.write_all(sent.as_bytes()).await.unwrap();
        rest(&mut stream).await;
    }
    let told = until("both are told", async || {
        let logged = served.logged();
        let lines = logged.lines().filter(|line| line.contains("\"audit\"") && line.contains(" refused\""));
        let lines: Vec<_> = lines.map(str::to_owned).collect();
        let has = |what: &str, reason: &str| {
            let reason = format!("\"reason\":\"{reason}\"");
            lines.iter().any(|line| line.contains(what) && line.contains(&reason))
        };
        (has("Request refused", "request.path") && has("Connection refused", "protocol")).then_some(lines)
    })
    .await;
    assert!(told.iter().all(|line| !line.contains("127.0.0.1") && !line.contains("::1")), "{told:?}");
}
