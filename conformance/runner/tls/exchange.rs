//! One connection: what is said, and what comes back before the time is over.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};

use super::reply::End;
use super::wire::{HANDSHAKE, MOST, records};
use super::{Greeting, Place, Reply};

/// There was no connection.
#[derive(Debug, thiserror::Error)]
#[error("no connection to {address}")]
pub struct Unreachable {
    /// Where it should have gone.
    pub address: SocketAddr,
    /// Why it did not come about.
    #[source]
    pub source: io::Error,
}

/// How a greeting is cut into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// As few records as it takes, in one write.
    Whole,
    /// Records of one byte each, in one write (RFC 8446 §5.1 allows fragments of any size).
    Records,
    /// One record, and one write to the network for each byte of it.
    Writes,
}

/// Greets a server and reads its answer.
///
/// # Errors
///
/// Where there is no connection. Everything after that is an answer, silence too.
pub async fn greet(place: &Place, greeting: &Greeting, within: Duration) -> Result<Reply, Unreachable> {
    greet_cut(place, greeting, Cut::Whole, within).await
}

/// Greets a server in pieces and reads its answer.
///
/// # Errors
///
/// As [`greet`].
pub async fn greet_cut(
    place: &Place,
    greeting: &Greeting,
    cut: Cut,
    within: Duration,
) -> Result<Reply, Unreachable> {
    let most = if cut == Cut::Records { 1 } else { MOST };
    let bytes = records(HANDSHAKE, greeting.record_version, &greeting.message(), most);
    let step = if cut == Cut::Writes { 1 } else { bytes.len() };
    talk(place, &bytes, step, within).await
}

/// Says any bytes to a server and reads its answer.
///
/// # Errors
///
/// As [`greet`].
pub async fn say(place: &Place, bytes: &[u8], within: Duration) -> Result<Reply, Unreachable> {
    talk(place, bytes, bytes.len(), within).await
}

/// A connection, opened before the time is over.
pub(super) async fn open(place: &Place, until: Instant) -> Result<TcpStream, Unreachable> {
    let address = place.address;
    let unreachable = |source| Unreachable { address, source };
    let stream = timeout_at(until, TcpStream::connect(address))
        .await
        .map_err(|_| unreachable(io::ErrorKind::TimedOut.into()))?
        .map_err(unreachable)?;
    stream.set_nodelay(true).map_err(unreachable)?;
    Ok(stream)
}

async fn talk(place: &Place, bytes: &[u8], step: usize, within: Duration) -> Result<Reply, Unreachable> {
    let until = Instant::now() + within;
    let stream = open(place, until).await?;
    let (mut reader, mut writer) = stream.into_split();
    let mut heard = Vec::new();
    let speaking = async {
        for piece in bytes.chunks(step.max(1)) {
            // A server may have answered and closed before it heard everything.
            if writer.write_all(piece).await.is_err() {
                break;
            }
        }
        std::future::pending::<Option<Reply>>().await
    };
    let listening = async {
        loop {
            match reader.read_buf(&mut heard).await {
                Ok(count) if count > 0 && heard.len() < LONGEST => {
                    if let Some(reply) = Reply::read(&heard, None) {
                        return Some(reply);
                    }
                }
                Ok(_) | Err(_) => return Reply::read(&heard, Some(End::Closed)),
            }
        }
    };
    // Both at once: a server that answers early must not block one that still speaks.
    let both = async {
        tokio::select! {
            reply = listening => reply,
            never = speaking => never,
        }
    };
    let reply = timeout_at(until, both).await.ok().flatten();
    Ok(reply.or_else(|| Reply::read(&heard, Some(End::Late))).unwrap_or(Reply::Silent))
}

/// No server says more than this in the clear.
const LONGEST: usize = 1 << 18;
