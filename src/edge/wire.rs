//! The bytes of a connection, between TLS and HTTP.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use crate::Closed;
use crate::conduct::Conduct;

/// A stream whose first bytes were read before, and whose peer has to take
/// what it is sent.
pub(crate) struct Wire<S> {
    inner: S,
    /// What was read before, and how much of it was given on.
    before: (Vec<u8>, usize),
    patience: Duration,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
    conduct: Arc<Conduct>,
}

impl<S> Wire<S> {
    pub(crate) fn new(inner: S, before: Vec<u8>, patience: Duration, conduct: Arc<Conduct>) -> Self {
        Self { inner, before: (before, 0), patience, stalled: None, conduct }
    }

    /// Lets a write through, or ends the connection if none got through for long.
    fn written<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.stalled = None;
            return polled;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(self.patience)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.conduct.end(Closed::WriteTimeout);
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, given) = &mut self.before;
        if let Some(rest) = before.get(*given..).filter(|rest| !rest.is_empty()) {
            let now = rest.len().min(out.remaining());
            out.put_slice(rest.get(..now).unwrap_or_default());
            *given = given.saturating_add(now);
            return Poll::Ready(Ok(()));
        }
        let filled = out.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, out);
        if !self.conduct.read(out.filled().len().saturating_sub(filled)) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Poll::Ready(Err(error)) = &polled
            && is_peers_fault(error)
        {
            self.conduct.end(Closed::Protocol);
        }
        polled
    }
}

/// Whether the peer did what TLS forbids, as to ask for one more handshake again and again. It is none if the peer
/// went away, or said that it does not like us.
fn is_peers_fault(error: &io::Error) -> bool {
    use rustls::Error as Tls;
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Tls>());
    matches!(
        tls,
        Some(
            Tls::PeerMisbehaved(_)
                | Tls::InvalidMessage(_)
                | Tls::InappropriateMessage { .. }
                | Tls::InappropriateHandshakeMessage { .. }
                | Tls::DecryptError
                | Tls::PeerSentOversizedRecord
        )
    )
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.inner).poll_write_vectored(cx, parts);
        self.written(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(cx, polled)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.written(cx, polled)
    }
}
