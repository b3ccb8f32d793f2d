//! A small client of banks that can be careless in one way at a time: proof that the banks notice.

mod answer;
mod flaw;
mod id_token;
mod requests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use url::Url;

use super::bank::Bank;
use super::judge::Told;
use super::mode::{Drive, Mode};
use crate::case::random;
use crate::http::{Client as HttpClient, Identity, Request, Response, Setup};
use crate::jose::SigningKey;
use requests::Tokens;

pub use flaw::Flaw;

/// The largest answer that a careful client reads.
const LARGEST: usize = 1024 * 1024;

/// Why a journey ended without data.
type Refused = String;

/// What ties an answer to a request.
#[derive(Clone, Debug)]
struct Session {
    mode: Mode,
    browser: u32,
    state: String,
    nonce: String,
    verifier: String,
    redirect_uri: String,
    intent: String,
}

/// What the bank says about itself, as far as the client believes it.
#[derive(Clone, Debug)]
struct Server {
    issuer: String,
    authorization: Url,
    token: Url,
    push: Url,
    keys: Url,
}

/// The client.
#[derive(Debug)]
pub struct Client<'b> {
    bank: &'b Bank,
    http: HttpClient,
    client_id: String,
    key: SigningKey,
    flaw: Option<Flaw>,
    sessions: BTreeMap<String, Session>,
    servers: BTreeMap<Mode, Server>,
    held: Option<(Session, Tokens)>,
}

impl<'b> Client<'b> {
    /// A client that trusts the issuer of these certificates, and is careless in this way if in any.
    ///
    /// # Errors
    ///
    /// If a certificate is none, or there is no key.
    pub fn new(
        bank: &'b Bank,
        roots: &[String],
        own: Identity,
        client_id: &str,
        flaw: Option<Flaw>,
    ) -> anyhow::Result<Self> {
        let mut store = RootCertStore::empty();
        for root in roots {
            store.add(CertificateDer::from_pem_slice(root.as_bytes())?)?;
        }
        let http = HttpClient::new(Setup {
            roots: store,
            identities: BTreeMap::from([("own".to_owned(), Arc::new(own))]),
            connect: BTreeMap::new(),
            deadline: Duration::from_secs(20),
        })?;
        Ok(Self {
            bank,
            http,
            client_id: client_id.to_owned(),
            key: SigningKey::fresh_p256().ok_or_else(|| anyhow::anyhow!("this machine makes no key"))?,
            flaw,
            sessions: BTreeMap::new(),
            servers: BTreeMap::new(),
            held: None,
        })
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// One journey at a bank.
    pub async fn journey(&mut self, mode: Mode) -> Told {
        self.bank.forget(mode);
        if mode.drive() == Drive::Twice {
            let _ = self.once(mode, 1).await;
            if mode != Mode::RequestFresh {
                self.bank.forget_seen(mode);
            }
        }
        match self.once(mode, 2).await {
            Ok(data) => Told { authorised: true, data, says: "data".to_owned() },
            Err(says) => Told { authorised: says.starts_with("authorised"), data: false, says },
        }
    }

    async fn once(&mut self, mode: Mode, browser: u32) -> Result<bool, Refused> {
        let server = self.discover(mode).await?;
        self.servers.insert(mode, server.clone());
        let intent = self.lodge(mode, &server).await?;
        let fixed = self.has(Flaw::FixedState);
        let fresh = || if fixed { "always-the-same-text-of-32-chars".to_owned() } else { random(43) };
        let session = Session {
            mode,
            browser,
            state: fresh(),
            nonce: fresh(),
            verifier: random(64),
            redirect_uri: format!("https://client.example/callback/{}", mode.institution()),
            intent,
        };
        self.sessions.insert(session.state.clone(), session.clone());
        let start = self.push(&server, &session).await?;
        let answer = self.http.send(&Request::new("GET", start)).await.map_err(text)?;
        let back = answer.header("location").and_then(|to| Url::parse(to).ok());
        let back = back.ok_or("the browser did not come back")?;
        let first = if mode.drive() == Drive::Stranger {
            // The answer was meant for this browser, and another one opens it.
            self.callback(browser.saturating_add(1), &back).await
        } else {
            self.callback(browser, &back).await
        };
        if mode.drive() == Drive::Again {
            let _ = self.callback(browser, &back).await;
        }
        if mode.drive() == Drive::Later && first.is_ok() {
            self.bank.end_tokens(mode);
            self.again().await?;
            self.bank.end_tokens(mode);
            return self.again().await;
        }
        first
    }

    /// The browser comes back.
    async fn callback(&mut self, browser: u32, back: &Url) -> Result<bool, Refused> {
        let (session, code) = self.check_answer(browser, back).await?;
        let mut server = self.servers.get(&session.mode).cloned().ok_or("no server")?;
        if self.has(Flaw::MixedUp) && mixed_up(back, &server.issuer) {
            server = self.discover(Mode::Happy).await?;
        }
        let mut tokens = self.redeem(&server, &session, &code).await?;
        let data = self.read(&server, &session, &mut tokens).await;
        self.held = Some((session, tokens));
        data
    }

    /// Reads with the tokens that it holds.
    async fn again(&mut self) -> Result<bool, Refused> {
        let (session, mut tokens) = self.held.take().ok_or("there is no token")?;
        let server = self.servers.get(&session.mode).cloned().ok_or("no server")?;
        let data = self.read(&server, &session, &mut tokens).await;
        self.held = Some((session, tokens));
        data
    }

    /// Sends a request with the client's certificate; answers of status 3xx are followed by the careless.
    async fn send(&self, request: Request, follow: Option<Flaw>) -> Result<Response, Refused> {
        let certificate = Some("own")
            .filter(|_| !(self.has(Flaw::NoCertificate) && request.url.path().contains(super::data::AISP)));
        let request = request.with(certificate);
        let answer = self.http.send(&request).await.map_err(text)?;
        let to = answer.header("location").and_then(|to| request.url.join(to).ok());
        match to.filter(|_| follow.is_some_and(|flaw| self.has(flaw))) {
            Some(url) => self.http.send(&Request { url, ..request }).await.map_err(text),
            None => Ok(answer),
        }
    }
}

/// The answer names another bank than the one that was asked.
fn mixed_up(back: &Url, issuer: &str) -> bool {
    back.query_pairs().any(|(name, value)| name == "iss" && value != issuer)
}

fn text(error: impl std::fmt::Display) -> Refused {
    error.to_string()
}
