//! Responders as certificates name them: plain HTTP (RFC 6960 §A.1), since the
//! answers are signed.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use crypto::ocsp::LARGEST_ANSWER;
use domain::is_public;
use http::header::{ACCEPT, CONTENT_TYPE, HOST};
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::{Fetched, OcspFailed, OcspSource};

/// Asks the hosts that are permitted, and nobody else: a certificate that is
/// shown to us must not choose whom we call.
#[derive(Clone, Debug)]
pub struct HttpOcsp {
    /// Names of responders, in lower case.
    pub hosts: Vec<String>,
    /// Whether they may have addresses that are not public.
    pub private_too: bool,
    /// Longest time until the answer is there.
    pub timeout: Duration,
}

impl OcspSource for HttpOcsp {
    fn fetch<'a>(&'a self, responder: &'a str, request: &'a [u8]) -> Fetched<'a> {
        Box::pin(async move {
            let asked = tokio::time::timeout(self.timeout, self.ask(responder, request));
            asked.await.map_err(|_| OcspFailed::NoAnswer)?
        })
    }
}

impl HttpOcsp {
    async fn ask(&self, responder: &str, request: &[u8]) -> Result<Vec<u8>, OcspFailed> {
        let uri: Uri = responder.parse().map_err(|_| OcspFailed::NotPermitted)?;
        let authority = uri.authority().filter(|_| uri.scheme_str() == Some("http"));
        let authority = authority.ok_or(OcspFailed::NotPermitted)?;
        // The name is resolved, every address judged, and the connection made
        // to a judged address.
        let addresses = self.addresses(authority.host(), authority.port_u16().unwrap_or(80)).await?;
        let stream = TcpStream::connect(addresses.as_slice()).await.map_err(|_| OcspFailed::NoAnswer)?;
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::post(path)
            .header(HOST, authority.as_str())
            .header(CONTENT_TYPE, "application/ocsp-request")
            .header(ACCEPT, "application/ocsp-response")
            .body(Full::new(Bytes::copy_from_slice(request)))
            .map_err(|_| OcspFailed::NotPermitted)?;
        post(stream, request).await.ok_or(OcspFailed::NoAnswer)
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, OcspFailed> {
        if !self.hosts.contains(&host.to_ascii_lowercase()) {
            return Err(OcspFailed::NotPermitted);
        }
        let host = host.trim_matches(['[', ']']);
        let found = tokio::net::lookup_host((host, port)).await.map_err(|_| OcspFailed::NoAnswer)?;
        let found: Vec<_> = found.collect();
        let admitted = |address: &SocketAddr| self.private_too || is_public(address.ip().to_canonical());
        if found.iter().all(admitted) { Ok(found) } else { Err(OcspFailed::NotPermitted) }
    }
}

async fn post(stream: TcpStream, request: Request<Full<Bytes>>) -> Option<Vec<u8>> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.ok()?;
    let answer = async {
        let answer = sender.send_request(request).await.ok()?;
        let is_ocsp =
            answer.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/ocsp-response");
        if answer.status() != StatusCode::OK || !is_ocsp {
            return None;
        }
        let body = Limited::new(answer.into_body(), LARGEST_ANSWER).collect().await.ok()?;
        Some(body.to_bytes().to_vec())
    };
    // The connection ends with the answer, so neither outlives the other.
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}
