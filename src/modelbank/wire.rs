//! The wire to a bank: where no packet of it arrives for a while, no byte is read or
//! written, and nobody is told.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Holds the wire up for all connections of a bank.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    held: AtomicBool,
    waiting: Mutex<Vec<Waker>>,
}

impl Gate {
    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
        if !held {
            for waker in self.waiting.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                waker.wake();
            }
        }
    }

    fn pass(&self, cx: &Context<'_>) -> Poll<()> {
        if !self.held.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // Let go in between: whoever lets go wakes those that wait by then.
        if !self.held.load(Ordering::SeqCst) {
            return Poll::Ready(());
        }
        waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

/// A connection on that wire.
pub(crate) struct Wire<S> {
    socket: S,
    gate: Arc<Gate>,
}

impl<S> Wire<S> {
    pub(crate) fn new(socket: S, gate: Arc<Gate>) -> Self {
        Self { socket, gate }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        std::task::ready!(self.gate.pass(cx));
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.gate.pass(cx));
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_is_held_up_arrives_when_it_is_let_go() {
        let (mut near, far) = tokio::io::duplex(64);
        let gate = Arc::new(Gate::default());
        let mut wire = Wire::new(far, Arc::clone(&gate));
        gate.hold(true);
        near.write_all(b"hello").await.unwrap();
        let mut read = [0; 5];
        {
            let mut reading = std::pin::pin!(wire.read_exact(&mut read));
            let looked = futures_util::poll!(reading.as_mut());
            assert!(looked.is_pending());
            gate.hold(false);
            reading.await.unwrap();
        }
        assert_eq!(&read, b"hello");
    }
}
