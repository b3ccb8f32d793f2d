//! A collector of traces, which takes them, is silent, or is gone.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Between two tries to listen.
const AGAIN: Duration = Duration::from_millis(200);

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Takes,
    Silent,
    Gone,
}

/// It, while this program runs.
pub struct Collector(watch::Sender<Mood>);

impl Collector {
    pub fn start(port: u16) -> Self {
        let (tell, told) = watch::channel(Mood::Takes);
        tokio::spawn(serve(port, told));
        Self(tell)
    }

    pub fn be(&self, mood: Mood) {
        let _ = self.0.send(mood);
    }
}

async fn serve(port: u16, mut mood: watch::Receiver<Mood>) {
    while mood.wait_for(|mood| *mood != Mood::Gone).await.is_ok() {
        let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await else {
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let mut connections = JoinSet::new();
        let mut leaving = mood.clone();
        let gone = leaving.wait_for(|mood| *mood == Mood::Gone);
        tokio::select! {
            _ = gone => {}
            () = async {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.spawn(take(stream, mood.clone()));
                }
            } => {}
        }
    }
}

/// Takes what comes, and answers each request. Which parts it has is not looked at.
async fn take(mut stream: TcpStream, mut mood: watch::Receiver<Mood>) -> Option<()> {
    let mut read = Vec::new();
    loop {
        let head = read.windows(4).position(|four| four == b"\r\n\r\n");
        let Some(head) = head else {
            more(&mut stream, &mut read).await?;
            continue;
        };
        let text = String::from_utf8_lossy(read.get(..head)?).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        let end = head.checked_add(4)?.checked_add(length.unwrap_or(0))?;
        while read.len() < end {
            more(&mut stream, &mut read).await?;
        }
        read.drain(..end);
        mood.wait_for(|mood| *mood != Mood::Silent).await.ok()?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
    }
}

async fn more(stream: &mut TcpStream, read: &mut Vec<u8>) -> Option<()> {
    (stream.read_buf(read).await.ok()? > 0).then_some(())
}
