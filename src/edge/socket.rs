//! A socket that can move to other threads.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connected socket. Whichever threads it was made on hear of it first when something
/// arrives, until it settles elsewhere.
#[derive(Debug)]
pub(crate) struct Socket(Option<TcpStream>);

impl Socket {
    /// Moves to the threads that this is called on.
    pub(crate) fn settle(&mut self) -> io::Result<()> {
        let moved = self.0.take().ok_or(io::ErrorKind::NotConnected)?.into_std()?;
        self.0 = Some(TcpStream::from_std(moved)?);
        Ok(())
    }

    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        Ok(Pin::new(self.0.as_mut().ok_or(io::ErrorKind::NotConnected)?))
    }
}

impl From<TcpStream> for Socket {
    fn from(stream: TcpStream) -> Self {
        Self(Some(stream))
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, out)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;
    use crate::Lobby;

    #[tokio::test]
    async fn a_socket_that_moved_goes_on_where_it_was() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut socket = Socket::from(listener.accept().await.unwrap().0);
        peer.write_all(b"before").await.unwrap();
        let mut read = [0; 6];
        socket.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"before");
        let lobby = Lobby::open().unwrap();
        peer.write_all(b"waits ").await.unwrap();
        let there = async move {
            socket.settle().unwrap();
            socket.read_exact(&mut read).await.unwrap();
            assert_eq!(&read, b"waits ");
            socket.write_all(b"answer").await.unwrap();
            socket.shutdown().await.unwrap();
            socket.read_exact(&mut read).await.unwrap();
            read
        };
        let there = tokio::spawn(async move { lobby.run(there).await });
        peer.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"answer");
        peer.write_all(b"after ").await.unwrap();
        assert_eq!(there.await.unwrap(), Some(*b"after "));
    }
}
