//! Asks an authorization server for tokens as fast as it gives them:
//! `client_credentials`, `private_key_jwt` with ES256, over connections with a
//! client certificate that stay open. Any server: the benchmark runs a peer
//! beside ours with the same client.
//!
//! `token_speed jwks KEY.pem` prints the key set to register;
//! `token_speed run --endpoint URL …` prints one JSON object.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::{Args, Parser};
use crypto::{Jwks, SigningKey};
use domain::{Clock, Entropy, SystemClock, SystemEntropy};
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Map, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

#[derive(Parser)]
enum What {
    /// Print the public half of a key as a key set.
    Jwks {
        /// EC key (PEM).
        key: PathBuf,
    },
    /// Ask for tokens.
    Run(Run),
}

#[derive(Args, Clone)]
struct Run {
    /// The token endpoint.
    #[arg(long)]
    endpoint: Url,
    /// The issuer, for the audience of assertions.
    #[arg(long)]
    issuer: String,
    /// Who asks.
    #[arg(long)]
    client_id: String,
    /// Key and certificate of the client (PEM).
    #[arg(long)]
    key: PathBuf,
    #[arg(long)]
    certificate: PathBuf,
    /// Who signed the server's certificate (PEM).
    #[arg(long)]
    root: PathBuf,
    /// Requests in all, after as many as a tenth of them to warm up.
    #[arg(long, default_value_t = 20_000)]
    requests: usize,
    /// Connections.
    #[arg(long, default_value_t = 32)]
    connections: usize,
}

fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match What::parse() {
        What::Jwks { key } => println!("{}", Jwks::of([&signing_key(&key)?]).to_value()),
        What::Run(run) => measure(run).await?,
    }
    Ok(())
}

fn signing_key(path: &Path) -> anyhow::Result<SigningKey> {
    Ok(SigningKey::from_pem(&read(path)?, "bench-1")?)
}

/// One form per request: an assertion is used once. Signed beforehand, so that
/// what is measured is the server.
fn forms(run: &Run, count: usize) -> anyhow::Result<Vec<Bytes>> {
    let key = signing_key(&run.key)?;
    let now = SystemClock.now().as_second();
    let form = |_| {
        let claims = json!({
            "iss": run.client_id, "sub": run.client_id, "aud": run.issuer,
            "jti": SystemEntropy.uuid_v4(), "iat": now, "exp": now.saturating_add(600),
        });
        let assertion = crypto::jws::sign_compact(&key, &Map::new(), claims.to_string().as_bytes())?;
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("scope", "accounts");
        form.append_pair("client_id", &run.client_id);
        form.append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        form.append_pair("client_assertion", &assertion);
        Ok(Bytes::from(form.finish()))
    };
    (0..count).map(form).collect()
}

fn tls(run: &Run) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(read(&run.root)?.as_bytes()) {
        roots.add(certificate?)?;
    }
    let chain = read(&run.certificate)?;
    let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(read(&run.key)?.as_bytes())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    Ok(Arc::new(config))
}

type Connection = SendRequest<Full<Bytes>>;

async fn connect(run: &Run, tls: &Arc<ClientConfig>) -> anyhow::Result<Connection> {
    let host = run.endpoint.host_str().context("the endpoint has no host")?.to_owned();
    let port = run.endpoint.port_or_known_default().context("the endpoint has no port")?;
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    let stream = TlsConnector::from(Arc::clone(tls)).connect(ServerName::try_from(host)?, stream).await?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}

async fn ask(run: &Run, connection: &mut Connection, form: Bytes) -> anyhow::Result<()> {
    let host = run.endpoint.authority();
    let request = Request::post(run.endpoint.path())
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(Full::new(form))?;
    connection.ready().await?;
    let answer = connection.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    if status != StatusCode::OK {
        bail!("answered {status}: {}", String::from_utf8_lossy(&body));
    }
    Ok(())
}

async fn measure(run: Run) -> anyhow::Result<()> {
    let tls = tls(&run)?;
    let warm_up = run.requests.div_ceil(10);
    let mut forms = forms(&run, run.requests.saturating_add(warm_up))?;
    let mut connections = Vec::new();
    for _ in 0..run.connections {
        connections.push(connect(&run, &tls).await?);
    }
    let measured = forms.split_off(warm_up);
    let (_, mut connections) = round(&run, connections, forms).await?;
    connections.truncate(run.connections);
    let started = Instant::now();
    let (mut times, _) = round(&run, connections, measured).await?;
    let took = started.elapsed();
    times.sort_unstable();
    let at = |share: usize| times.get(times.len().saturating_mul(share) / 100).map(Duration::as_micros);
    let per_second = u128::try_from(times.len())?.saturating_mul(1_000_000) / took.as_micros().max(1);
    println!(
        "{}",
        json!({ "requests": times.len(), "per_second": per_second, "p50_us": at(50), "p99_us": at(99) })
    );
    Ok(())
}

/// Sends every form once, and says how long each took.
async fn round(
    run: &Run,
    connections: Vec<Connection>,
    forms: Vec<Bytes>,
) -> anyhow::Result<(Vec<Duration>, Vec<Connection>)> {
    let queue = Arc::new(std::sync::Mutex::new(forms));
    let workers = connections.into_iter().map(|mut connection| {
        let (run, queue) = (run.clone(), Arc::clone(&queue));
        tokio::spawn(async move {
            let mut times = Vec::new();
            loop {
                let next = queue.lock().ok().and_then(|mut queue| queue.pop());
                let Some(form) = next else { return anyhow::Ok((times, connection)) };
                let started = Instant::now();
                ask(&run, &mut connection, form).await?;
                times.push(started.elapsed());
            }
        })
    });
    let workers: Vec<_> = workers.collect();
    let (mut all, mut back) = (Vec::new(), Vec::new());
    for worker in workers {
        let (times, connection) = worker.await??;
        all.extend(times);
        back.push(connection);
    }
    Ok((all, back))
}
