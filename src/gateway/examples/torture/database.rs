//! The database server, and the way to it: a proxy that can be cut.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::watch;
use url::Url;

/// A PostgreSQL behind a proxy.
pub struct Database {
    cut: Arc<watch::Sender<bool>>,
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
        tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                let (host, mut cuts) = (host.clone(), cuts.clone());
                tokio::spawn(async move {
                    let severed = async { drop(cuts.wait_for(|cut| *cut).await) };
                    tokio::select! {
                        () = severed => {}
                        () = carry(inner, &host, port) => {}
                    }
                });
            }
        });
        Ok((Self { cut: Arc::new(cut), tool }, address.into()))
    }

    /// Ends every connection, and lets none come for a while.
    pub async fn cut(&self, time: Duration) {
        let _ = self.cut.send(true);
        tokio::time::sleep(time).await;
        let _ = self.cut.send(false);
    }

    /// Ends the server as a power cut would, and starts it again.
    pub async fn kill(&self) -> anyhow::Result<()> {
        let Some(tool) = &self.tool else {
            self.cut(Duration::from_millis(500)).await;
            return Ok(());
        };
        for what in ["kill", "start"] {
            let done = Command::new(tool).arg(what).stdout(Stdio::null()).status().await?;
            anyhow::ensure!(done.success(), "{tool} {what} failed");
        }
        Ok(())
    }
}

async fn carry(mut inner: TcpStream, host: &str, port: u16) {
    if let Ok(mut outer) = TcpStream::connect((host, port)).await {
        let _ = outer.set_nodelay(true);
        let _ = inner.set_nodelay(true);
        let _ = tokio::io::copy_bidirectional(&mut inner, &mut outer).await;
    }
}
