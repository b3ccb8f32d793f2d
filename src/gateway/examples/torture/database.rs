//! The database server, and the way to it: a proxy that can be cut.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;
use url::Url;

/// A PostgreSQL behind a proxy.
pub struct Database {
    cut: Arc<watch::Sender<bool>>,
    held: Arc<watch::Sender<bool>>,
    /// `TOOL kill` ends the server at once, `TOOL start` starts it again.
    tool: Option<String>,
}

impl Database {
    /// Puts a proxy in front of the server that `url` names; the address through it.
    pub async fn behind_proxy(url: &str, tool: Option<String>) -> anyhow::Result<(Self, String)> {
        let mut address = Url::parse(url)?;
        let host = address.host_str().context("no host in the address of the database")?.to_owned();
        let port = address.port().unwrap_or(5432);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        address.set_host(Some("127.0.0.1"))?;
        let _ = address.set_port(Some(listener.local_addr()?.port()));
        let (cut, cuts) = watch::channel(false);
        let (held, holds) = watch::channel(false);
        tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                let (host, mut cuts, holds) = (host.clone(), cuts.clone(), holds.clone());
                tokio::spawn(async move {
                    let severed = async { drop(cuts.wait_for(|cut| *cut).await) };
                    tokio::select! {
                        () = severed => {}
                        () = carry(inner, &host, port, holds) => {}
                    }
                });
            }
        });
        Ok((Self { cut: Arc::new(cut), held: Arc::new(held), tool }, address.into()))
    }

    /// Ends every connection, and lets none come for a while.
    pub async fn cut(&self, time: Duration) {
        let _ = self.cut.send(true);
        tokio::time::sleep(time).await;
        let _ = self.cut.send(false);
    }

    /// Lets nothing through for a while, and then what was held up.
    pub async fn hold(&self, time: Duration) {
        let _ = self.held.send(true);
        tokio::time::sleep(time).await;
        let _ = self.held.send(false);
    }

    /// Ends the server as a power cut would, and starts it again.
    pub async fn kill(&self) -> anyhow::Result<()> {
        let Some(tool) = &self.tool else {
            self.cut(Duration::from_millis(500)).await;
            return Ok(());
        };
        killed_and_started(tool).await
    }
}

/// Has a tool end a server at once, and start it again.
pub async fn killed_and_started(tool: &str) -> anyhow::Result<()> {
    for what in ["kill", "start"] {
        let done = Command::new(tool).arg(what).stdout(Stdio::null()).status().await?;
        anyhow::ensure!(done.success(), "{tool} {what} failed");
    }
    Ok(())
}

async fn carry(inner: TcpStream, host: &str, port: u16, holds: watch::Receiver<bool>) {
    let Ok(outer) = TcpStream::connect((host, port)).await else { return };
    let _ = outer.set_nodelay(true);
    let _ = inner.set_nodelay(true);
    let ((from_inner, to_inner), (from_outer, to_outer)) = (inner.into_split(), outer.into_split());
    tokio::select! {
        () = pour(from_inner, to_outer, holds.clone()) => {}
        () = pour(from_outer, to_inner, holds) => {}
    }
}

/// One direction, until it ends.
async fn pour(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut holds: watch::Receiver<bool>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = from.read(&mut buffer).await {
        drop(holds.wait_for(|held| !held).await);
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
