//! Pingora as a proxy with client certificates on both sides: a peer that `make bench` measures beside the gateway.
//!
//! `passes-on PORT PKI BANK`: listens at the port of the loopback, with certificates and keys of the folder, and passes
//! what it is asked on to the bank at the other port; `/healthz` it answers itself.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::HOST;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::listeners::tls::TlsSettings;
use pingora::prelude::{HttpPeer, ProxyHttp, Result, Server, Session, http_proxy_service};
use pingora::server::configuration::ServerConf;
use pingora::tls::pkey::PKey;
use pingora::tls::ssl::SslVerifyMode;
use pingora::tls::x509::X509;
use pingora::utils::tls::CertKey;

struct PassesOn {
    bank: u16,
    identity: Arc<CertKey>,
    roots: Arc<Box<[X509]>>,
}

#[async_trait]
impl ProxyHttp for PassesOn {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn request_filter(&self, session: &mut Session, _: &mut ()) -> Result<bool> {
        if session.req_header().uri.path() != "/healthz" {
            return Ok(false);
        }
        let mut head = ResponseHeader::build(200, None)?;
        head.insert_header("content-length", "0")?;
        session.write_response_header(Box::new(head), false).await?;
        session.write_response_body(Some(Bytes::new()), true).await?;
        Ok(true)
    }

    async fn upstream_peer(&self, _: &mut Session, _: &mut ()) -> Result<Box<HttpPeer>> {
        let mut peer = HttpPeer::new(("127.0.0.1", self.bank), true, "localhost".to_owned());
        peer.client_cert_key = Some(Arc::clone(&self.identity));
        peer.options.ca = Some(Arc::clone(&self.roots));
        Ok(Box::new(peer))
    }

    async fn upstream_request_filter(&self, _: &mut Session, asked: &mut RequestHeader, _: &mut ()) -> Result<()> {
        asked.insert_header(HOST, format!("localhost:{}", self.bank))
    }
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, port, pki, bank] = arguments.as_slice() else { return Err("passes-on PORT PKI BANK".into()) };
    let file = |name: &str| PathBuf::from(pki).join(name);
    let text = |name: &str| file(name).display().to_string();
    let roots = X509::stack_from_pem(&std::fs::read(file("root.pem"))?)?;
    let identity = CertKey::new(
        X509::stack_from_pem(&std::fs::read(file("gateway-qwac.pem"))?)?,
        PKey::private_key_from_pem(&std::fs::read(file("gateway-qwac.key"))?)?,
    );
    let passes_on =
        PassesOn { bank: bank.parse()?, identity: Arc::new(identity), roots: Arc::new(roots.into_boxed_slice()) };

    let mut tls = TlsSettings::intermediate(&text("server.pem"), &text("server.key"))?;
    tls.enable_h2();
    tls.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
    tls.set_ca_file(text("root.pem"))?;
    // Without one OpenSSL resumes no session of who showed a certificate.
    tls.set_session_id_context(b"passes-on")?;
    let conf = ServerConf { threads: 1, upstream_keepalive_pool_size: 64, ..ServerConf::default() };
    let mut server = Server::new_with_opt_and_conf(None, conf);
    server.bootstrap();
    let mut service = http_proxy_service(&server.configuration, passes_on);
    service.add_tls_with_settings(&format!("127.0.0.1:{port}"), None, tls);
    server.add_service(service);
    server.run_forever()
}
