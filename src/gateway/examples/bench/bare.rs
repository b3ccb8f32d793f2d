//! The least that axum can do behind TLS with client certificates: a handler that has its answer ready, or
//! passes the request on to the bank. The latter is our libraries without what we do: what we take more
//! than it is the price of that.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::routing::get;
use bytes::Bytes;
use clap::Args;
use http::header::{CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{StatusCode, Uri, Version};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// What is served, and how.
#[derive(Args, Clone, Debug)]
pub struct Options {
    #[arg(long)]
    port: u16,
    /// Folder of certificates and keys.
    #[arg(long)]
    pki: PathBuf,
    /// The answer.
    #[arg(long, required_unless_present = "bank")]
    answer: Option<PathBuf>,
    /// Port of the bank, that is asked for the answer.
    #[arg(long)]
    bank: Option<u16>,
}

type Bank = Client<HttpsConnector<HttpConnector>, Body>;

/// Serves until the process is ended.
pub async fn serve(options: &Options) -> anyhow::Result<()> {
    let read = |name: &str| std::fs::read(options.pki.join(name));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read("root.pem")?) {
        roots.add(certificate?)?;
    }
    let identity = |name: &str| {
        let chain = read(&format!("{name}.pem"))?;
        let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>()?;
        anyhow::Ok((chain, PrivateKeyDer::from_pem_slice(&read(&format!("{name}.key"))?)?))
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let roots = Arc::new(roots);
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider)).build()?;
    let (chain, key) = identity("server")?;
    let mut tls = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    let router = if let Some(answer) = &options.answer {
        let answer = Bytes::from(std::fs::read(answer)?);
        Router::new()
            .fallback(move || std::future::ready(([(CONTENT_TYPE, "application/json")], answer.clone())))
    } else {
        let (chain, key) = identity("gateway-qwac")?;
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(client).https_only().enable_http1().build();
        let bank: Bank = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
        let authority: Authority = format!("localhost:{}", options.bank.unwrap_or_default()).parse()?;
        Router::new()
            .route("/healthz", get(StatusCode::OK))
            .fallback(move |request| pass_on(bank.clone(), authority.clone(), request))
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let (tls, service) = (tls.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            stream.set_nodelay(true)?;
            let stream = TokioIo::new(tls.accept(stream).await?);
            // Whoever goes is gone.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(stream, service).await;
            anyhow::Ok(())
        });
    }
}

/// Asks the bank what is asked, and answers what it answers.
async fn pass_on(
    bank: Bank,
    authority: Authority,
    mut request: Request,
) -> Result<axum::response::Response, StatusCode> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    (parts.scheme, parts.authority) = (Some(http::uri::Scheme::HTTPS), Some(authority));
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| StatusCode::BAD_REQUEST)?;
    *request.version_mut() = Version::HTTP_11;
    request.headers_mut().remove(HOST);
    let answer = bank.request(request).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(answer.map(Body::new))
}
