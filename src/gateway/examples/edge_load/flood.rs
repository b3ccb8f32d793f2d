//! Clients that ask without waiting for answers: as many requests as somebody wants, whether they are answered or
//! not (an open loop), one behind the other on each connection (RFC 9112 §9.3.2).

use std::sync::Mutex;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep_until, timeout};

use crate::wire::Site;

/// How often a connection sends what has become due.
const BEAT: Duration = Duration::from_millis(50);
/// How long a connection waits for the other side to take what it sends, before it is given up.
const PATIENCE: Duration = Duration::from_secs(1);
/// How a status line begins.
const STATUS: &[u8] = b"HTTP/1.1 ";

/// What became of requests.
#[derive(Default, Debug, Serialize)]
pub struct Flooded {
    /// That became due.
    pub offered: u64,
    /// That the other side let us send.
    pub sent: u64,
    /// Answered as they ought to be.
    pub served: u64,
    /// Answered 429.
    pub over_quota: u64,
    /// Answered 503.
    pub sent_away: u64,
    /// Answered in another way.
    pub refused: u64,
}

impl Flooded {
    fn add(&mut self, status: &[u8]) {
        *match status {
            [b'2', ..] => &mut self.served,
            b"429" => &mut self.over_quota,
            b"503" => &mut self.sent_away,
            _ => &mut self.refused,
        } += 1;
    }
}

/// The requests of one connection.
pub struct Flood<'a> {
    pub path: &'a str,
    pub token: &'a str,
    /// Connections that flood together.
    pub connections: u32,
    /// Requests of all of them, a second.
    pub per_second: u32,
}

impl Flood<'_> {
    /// Sends what is due at a connection until `until`, over another one whenever the other side has enough.
    pub async fn pour(&self, number: u32, site: &Site, until: Instant, told: &Mutex<Flooded>) {
        let Self { path, token, .. } = self;
        let host = &site.host;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\r\n");
        let pause = Duration::from_secs(1) * self.connections / self.per_second.max(1);
        let mut due = Instant::now() + BEAT * number / self.connections;
        while Instant::now() < until {
            let Ok(Ok(stream)) = timeout(PATIENCE, site.tls()).await else {
                let lost = became_due(&mut due, pause);
                add(told, |told| told.offered += lost);
                sleep_until(Instant::now() + BEAT).await;
                continue;
            };
            let (mut reader, mut writer) = tokio::io::split(stream);
            let sending = async {
                while Instant::now() < until {
                    sleep_until(Instant::now() + BEAT).await;
                    let now_due = became_due(&mut due, pause);
                    add(told, |told| told.offered += now_due);
                    let many = request.repeat(usize::try_from(now_due).unwrap_or(0));
                    if !matches!(timeout(PATIENCE, writer.write_all(many.as_bytes())).await, Ok(Ok(()))) {
                        return;
                    }
                    add(told, |told| told.sent += now_due);
                }
            };
            let reading = async {
                let (mut buffer, mut held) = (vec![0; 16 * 1024], 0);
                while let Some(read) = reader.read(&mut buffer[held..]).await.ok().filter(|read| *read > 0) {
                    held = self.counted(&mut buffer, held + read, told);
                }
            };
            tokio::select! {
                () = sending => {}
                () = reading => {}
            }
        }
    }

    /// Counts the status lines in so many bytes, and keeps what may be the beginning of another.
    fn counted(&self, buffer: &mut [u8], filled: usize, told: &Mutex<Flooded>) -> usize {
        let whole = STATUS.len() + 3;
        let mut at = 0;
        let next = |from: usize| buffer[from..filled].windows(STATUS.len()).position(|it| it == STATUS);
        while let Some(found) = next(at) {
            let status = at + found + STATUS.len()..at + found + whole;
            if status.end > filled {
                break;
            }
            at = status.end;
            add(told, |told| told.add(&buffer[status]));
        }
        let kept = at.max(filled.saturating_sub(whole - 1));
        buffer.copy_within(kept..filled, 0);
        filled - kept
    }
}

/// Requests that have become due since, where `due` is when the next one is.
fn became_due(due: &mut Instant, pause: Duration) -> u64 {
    let mut many = 0;
    while *due <= Instant::now() {
        many += 1;
        *due += pause;
    }
    many
}

fn add(told: &Mutex<Flooded>, change: impl FnOnce(&mut Flooded)) {
    change(&mut told.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
}
