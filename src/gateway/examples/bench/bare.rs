//! The least that axum can do behind TLS with client certificates: a handler that has its answer ready.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use bytes::Bytes;
use clap::Args;
use http::header::CONTENT_TYPE;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
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
    #[arg(long)]
    answer: PathBuf,
}

/// Serves until the process is ended.
pub async fn serve(options: &Options) -> anyhow::Result<()> {
    let read = |name: &str| std::fs::read(options.pki.join(name));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&read("root.pem")?) {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
    let chain = read("server.pem")?;
    let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>()?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(&read("server.key")?)?)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let tls = TlsAcceptor::from(Arc::new(tls));
    let answer = Bytes::from(std::fs::read(&options.answer)?);
    let router = Router::new()
        .fallback(move || std::future::ready(([(CONTENT_TYPE, "application/json")], answer.clone())));
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
