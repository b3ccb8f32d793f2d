//! Tells TPPs of changes: looks for them, and posts what there is to tell, each bank in the
//! words of its standard.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use domain::Timestamp;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use url::{Position, Url};

use crate::bank::Bank;
use crate::engine::notices::{News, Notice};
use crate::fault::Fault;
use crate::listen::{certificates, provider};
use crate::{BankConfig, BankKind, StartFailed, berlin, uk};

/// How often the bank looks for changes.
const LOOKS: Duration = Duration::from_millis(25);
/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Deliveries after which the bank gives up.
const TRIES: u8 = 5;
/// Time between two of them, in milliseconds, for each that went before.
const PAUSE_MS: i64 = 200;

/// Something to be posted.
pub(crate) struct Post {
    pub(crate) url: String,
    pub(crate) content_type: &'static str,
    pub(crate) body: String,
}

/// Posts to TPPs.
#[derive(Clone)]
pub(crate) struct Crier(Arc<ClientConfig>);

impl Crier {
    /// One that trusts whoever issues the certificates of TPPs.
    pub(crate) fn new(config: &BankConfig) -> Result<Self, StartFailed> {
        let mut roots = RootCertStore::empty();
        for root in certificates(&config.client_ca_pem, "the client authorities")? {
            roots.add(root).map_err(StartFailed::Tls)?;
        }
        let tls = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(StartFailed::Tls)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Arc::new(tls)))
    }

    /// Looks for changes and tells of them until the bank ends.
    pub(crate) async fn run(self, bank: Arc<Bank>, shutdown: CancellationToken) {
        let mut beat = tokio::time::interval(LOOKS);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = beat.tick() => {}
            }
            look(&bank);
            for notice in due(&bank) {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = self.tell(&bank, &notice) => {}
                }
            }
        }
    }

    /// Tells of one change. What cannot be delivered is tried again a few times.
    async fn tell(&self, bank: &Bank, notice: &Notice) {
        let Some(post) = post_of(bank, notice) else { return };
        let times = if notice.twice { 2 } else { 1 };
        let mut delivered = true;
        for _ in 0..times {
            let posted = tokio::time::timeout(PATIENCE, self.post(&post)).await;
            delivered &= matches!(posted, Ok(Some(status)) if status.is_success());
        }
        let now = bank.now();
        bank.vault.change(|book| {
            let Some(kept) = book.notices.waiting.get_mut(&notice.id) else { return };
            kept.tries = kept.tries.saturating_add(1);
            kept.not_before = in_millis(now, PAUSE_MS.saturating_mul(i64::from(kept.tries)));
            if delivered || kept.tries >= TRIES {
                book.notices.waiting.remove(&notice.id);
            }
        });
    }

    async fn post(&self, post: &Post) -> Option<hyper::StatusCode> {
        let url = Url::parse(&post.url).ok().filter(|url| url.scheme() == "https")?;
        let host = url.host_str()?.to_owned();
        let stream = TcpStream::connect((host.as_str(), url.port_or_known_default()?)).await.ok()?;
        let name = ServerName::try_from(host).ok()?;
        let stream = TlsConnector::from(Arc::clone(&self.0)).connect(name, stream).await.ok()?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
        let connection = tokio::spawn(connection);
        let request = Request::post(&url[Position::BeforePath..])
            .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
            .header(CONTENT_TYPE, post.content_type)
            .body(Full::new(Bytes::from(post.body.clone())))
            .ok()?;
        let answer = sender.send_request(request).await;
        connection.abort();
        answer.ok().map(|answer| answer.status())
    }
}

/// Looks for changes, and notes that they are to be told.
fn look(bank: &Bank) {
    if !bank.vault.read(|book| book.notices.are_wanted()) {
        return;
    }
    bank.settle();
    let now = bank.now();
    let news = bank.vault.read(|book| book.news(now));
    for one in news {
        let notice = notice_of(bank, &one, now);
        bank.vault.change(|book| {
            book.note_seen(&one);
            book.notices.waiting.insert(notice.id.clone(), notice);
        });
    }
}

/// A change as it is to be told, with what goes wrong in that.
fn notice_of(bank: &Bank, news: &News, now: Timestamp) -> Notice {
    let fault = bank.faults.take_of_notices();
    let late = if let Some(Fault::NoticeLate(late)) = fault { late } else { Duration::ZERO };
    let late = i64::try_from(late.as_millis()).unwrap_or(i64::MAX);
    let stranger = fault == Some(Fault::NoticeOfStranger);
    Notice {
        id: bank.uuid(),
        tpp: news.tpp.clone(),
        about: if stranger { bank.fresh("pmt-") } else { news.about.clone() },
        withdrawn: news.withdrawn,
        at: now,
        not_before: in_millis(now, late),
        tries: 0,
        twice: fault == Some(Fault::NoticeTwice),
        forged: fault == Some(Fault::NoticeForged),
    }
}

fn due(bank: &Bank) -> Vec<Notice> {
    let now = bank.now();
    bank.vault.read(|book| {
        let waiting = book.notices.waiting.values();
        waiting.filter(|notice| notice.not_before <= now).cloned().collect()
    })
}

/// What is posted; nothing where the TPP comes to ask.
fn post_of(bank: &Bank, notice: &Notice) -> Option<Post> {
    match bank.kind {
        BankKind::UkOpenBanking => uk::events::post(bank, notice),
        BankKind::BerlinGroupRedirect | BankKind::BerlinGroupDecoupled | BankKind::BerlinGroupEmbedded => {
            berlin::notices::post(bank, notice)
        }
        BankKind::Stet | BankKind::PolishApi => None,
    }
}

fn in_millis(from: Timestamp, millis: i64) -> Timestamp {
    from.checked_add(jiff::SignedDuration::from_millis(millis)).unwrap_or(from)
}
