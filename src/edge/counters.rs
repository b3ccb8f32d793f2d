//! What the edge counts about connections, for whoever exports it.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::Timestamp;

use crate::evidence::Written;

/// Why a connection was refused or ended from our side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The TLS handshake took too long.
    HandshakeTimeout,
    /// The TLS handshake failed.
    HandshakeFailed,
    /// Its address is blocked for what came from it before.
    Blocked,
    /// There was more to do than could be done in time.
    Overload,
    /// Its address began as many handshakes as one may begin in a time.
    HandshakeRate,
    /// Its address has as many connections as one may have.
    AddressCap,
    /// Its client certificate has as many connections as one may have.
    ClientCap,
    /// The PROXY header is missing, malformed, or from somebody who may send none.
    ProxyHeader,
    /// A request head, or the start of HTTP/2, took too long.
    HeadTimeout,
    /// A request body took too long.
    BodyTimeout,
    /// The peer took nothing of what it was sent.
    WriteTimeout,
    /// The peer broke off request after request (CVE-2023-44487).
    Resets,
    /// The peer sent frame after frame that is part of no request.
    Flood,
    /// What came was not HTTP, or after the handshake not TLS.
    Protocol,
    /// The connection was as old as one may become.
    Aged,
}

impl Closed {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::HandshakeTimeout,
        Self::HandshakeFailed,
        Self::Blocked,
        Self::Overload,
        Self::HandshakeRate,
        Self::AddressCap,
        Self::ClientCap,
        Self::ProxyHeader,
        Self::HeadTimeout,
        Self::BodyTimeout,
        Self::WriteTimeout,
        Self::Resets,
        Self::Flood,
        Self::Protocol,
        Self::Aged,
    ];

    /// Whether the peer was sent away, and did not go by itself or at the end of its time.
    const fn is_refusal(self) -> bool {
        !matches!(self, Self::HandshakeFailed | Self::Aged)
    }

    /// The word in metrics and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::HandshakeTimeout => "handshake_timeout",
            Self::HandshakeFailed => "handshake_failed",
            Self::Blocked => "blocked",
            Self::Overload => "overload",
            Self::HandshakeRate => "handshake_rate",
            Self::AddressCap => "address_cap",
            Self::ClientCap => "client_cap",
            Self::ProxyHeader => "proxy_header",
            Self::HeadTimeout => "head_timeout",
            Self::BodyTimeout => "body_timeout",
            Self::WriteTimeout => "write_timeout",
            Self::Resets => "resets",
            Self::Flood => "flood",
            Self::Protocol => "protocol",
            Self::Aged => "aged",
        }
    }
}

/// Counts connections. May be shared by listeners.
#[derive(Debug, Default)]
pub struct EdgeCounters {
    accepted: AtomicU64,
    open: AtomicU64,
    closed: [AtomicU64; Closed::ALL.len()],
    written: Written,
}

impl EdgeCounters {
    /// Connections that were accepted.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Connections that ended for this reason.
    #[must_use]
    pub fn closed(&self, reason: Closed) -> u64 {
        self.slot(reason).map_or(0, |slot| slot.load(Ordering::Relaxed))
    }

    /// Counts it, and writes an entry of the target `audit` where it is a refusal and there is room for one. Who it
    /// was is not told: an address is a person's more often than not.
    pub(crate) fn count(&self, reason: Closed, now: Timestamp) {
        if let Some(slot) = self.slot(reason) {
            slot.fetch_add(1, Ordering::Relaxed);
        }
        if reason.is_refusal() && self.written.has_room(reason.as_str(), now) {
            tracing::info!(target: "audit", reason = reason.as_str(), "Connection refused");
        }
    }

    /// Counts a connection as open until the guard is dropped.
    pub(crate) fn opened(self: &std::sync::Arc<Self>) -> Open {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open(std::sync::Arc::clone(self))
    }

    fn slot(&self, reason: Closed) -> Option<&AtomicU64> {
        let mut slots = Closed::ALL.iter().zip(&self.closed);
        slots.find_map(|(known, slot)| (*known == reason).then_some(slot))
    }
}

/// An open connection.
pub(crate) struct Open(std::sync::Arc<EdgeCounters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
