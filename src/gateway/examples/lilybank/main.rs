//! Runs Lilybank, the bank of the example plugin, with the certificates of a
//! sandbox: `cargo run -p consentry --example lilybank -- .consentry 8470`.

mod bank;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use domain::SystemClock;
use edge::{Listener, ListenerConfig, ServerTls};
use tokio_util::sync::CancellationToken;

use bank::Lilybank;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().context("name the data folder of a sandbox")?).join("pki");
    let port: u16 = arguments.next().context("name a port")?.parse().context("the port")?;
    let read = |name: &str| {
        let file = folder.join(name);
        std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))
    };
    let tls = ServerTls::for_pages(&read("server.pem")?, &read("server.key")?)?;
    let listener = Listener::bind((Ipv4Addr::LOCALHOST, port).into(), tls, ListenerConfig::default()).await?;
    let clock = Arc::new(SystemClock);
    let bank = Lilybank::new(format!("https://localhost:{port}"), clock.clone());
    println!("Lilybank is open at {}/counter. Stop with Ctrl-C.", bank.origin);
    let stop = CancellationToken::new();
    let closing = stop.clone();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        closing.cancel();
    });
    listener.serve(bank.routes(), clock, stop).await;
    println!("{} messages were heard, {} orders paid.", bank.heard().len(), bank.paid().len());
    Ok(())
}
