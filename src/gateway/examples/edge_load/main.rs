//! Load for the edge: clients that behave, of any server that speaks TLS with client
//! certificates, and clients that do not.
//!
//! `edge_load run|rate|handshakes|idle …` prints one JSON object; `edge_load siege …` starts a
//! gateway, besieges it, and prints one JSON object per attack.

#![allow(clippy::arithmetic_side_effects, clippy::indexing_slicing, reason = "a benchmark")]

mod attack;
mod flood;
mod insider;
mod renegotiation;
mod siege;
mod steady;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Parser};
use http::Method;
use serde_json::json;

use attack::{Attack, Means};
use siege::Siege;
use wire::{Site, What};

/// A server on this machine, and who we are to it.
#[derive(Args, Clone)]
pub struct Place {
    #[arg(long)]
    port: u16,
    /// Who signed the server's certificate (PEM).
    #[arg(long)]
    root: PathBuf,
    /// Certificate and key of the client (PEM).
    #[arg(long)]
    certificate: PathBuf,
    #[arg(long)]
    key: PathBuf,
}

/// What is asked.
#[derive(Args, Clone)]
struct Asked {
    #[command(flatten)]
    place: Place,
    #[arg(long, default_value = "/")]
    path: String,
    /// File of a body that is posted.
    #[arg(long)]
    body: Option<PathBuf>,
    /// A header, `name: value`.
    #[arg(long)]
    header: Vec<String>,
    /// File of tokens, a line each, which the connections show in turn.
    #[arg(long)]
    tokens: Option<PathBuf>,
    /// Show a token of the demo client's.
    #[arg(long)]
    token: bool,
    #[arg(long)]
    http2: bool,
    #[arg(long, default_value_t = 32)]
    connections: u32,
    #[arg(long, default_value_t = 5)]
    seconds: u64,
}

#[derive(Parser)]
enum Command {
    /// As many requests as are answered.
    Run(Asked),
    /// So many a second.
    Rate {
        #[command(flatten)]
        asked: Asked,
        #[arg(long)]
        per_second: u32,
    },
    /// A connection for each request.
    Handshakes {
        #[command(flatten)]
        asked: Asked,
        /// With tickets of earlier connections.
        #[arg(long)]
        resume: bool,
    },
    /// Connections that were asked once and then stay; prints when they are there, and ends
    /// with its input.
    Idle(Asked),
    /// What does not behave.
    Attack {
        attack: Attack,
        #[command(flatten)]
        place: Place,
        #[arg(long)]
        connections: u32,
        #[arg(long)]
        seconds: u64,
        /// Requests a second of what overloads.
        #[arg(long, default_value_t = 10_000)]
        per_second: u32,
        /// What it shows.
        #[arg(long, default_value = "nobody")]
        token: String,
    },
    /// All attacks on a gateway of its own.
    Siege {
        /// The binary.
        #[arg(long)]
        binary: PathBuf,
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        port_base: u16,
        #[arg(long, default_value_t = 5_000)]
        connections: u32,
        /// Of each attack.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        /// Only these.
        #[arg(long)]
        only: Vec<Attack>,
        /// The core that attackers compute on; the gateway is where this is.
        #[arg(long)]
        attackers_on: Option<u32>,
        /// The binary is not optimised: nobody is to fail, however long it takes.
        #[arg(long)]
        debug: bool,
    },
}

impl Asked {
    async fn prepared(&self) -> anyhow::Result<(Site, What)> {
        let mut what = What::get(&self.path, None, self.http2);
        if self.token {
            let token = wire::token(&Site::of(&self.place, true, false)?, wire::DEMO).await?;
            what.headers.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        if let Some(tokens) = &self.tokens {
            what.tokens = std::fs::read_to_string(tokens)?.lines().map(str::to_owned).collect();
        }
        for header in &self.header {
            let (name, value) = header.split_once(": ").context("a header is NAME: VALUE")?;
            what.headers.push((name.to_owned(), value.to_owned()));
        }
        if let Some(body) = &self.body {
            what.method = Method::POST;
            what.body = Bytes::from(std::fs::read(body)?);
        }
        Ok((Site::of(&self.place, true, self.http2)?, what))
    }

    fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Command::parse() {
        Command::Run(asked) => {
            let (site, what) = asked.prepared().await?;
            let mut outcome = steady::closed_loop(&site, &what, asked.connections, asked.time()).await;
            println!("{}", outcome.view());
        }
        Command::Rate { asked, per_second } => {
            let (site, what) = asked.prepared().await?;
            let mut outcome =
                steady::at_rate(&site, &what, asked.connections, per_second, asked.time()).await;
            println!("{}", outcome.view());
        }
        Command::Handshakes { asked, resume } => {
            let (site, what) = asked.prepared().await?;
            let site = if resume { site.resuming() } else { site };
            let mut outcome = steady::handshakes(&site, &what, asked.connections, asked.time()).await;
            println!("{}", outcome.view());
        }
        Command::Idle(asked) => idle(&asked).await?,
        Command::Attack { attack, place, connections, seconds, per_second, token } => {
            let site = Site::of(&place, attack.is_of_client(), attack == Attack::Resets)?;
            let means = Means { most: connections, per_second, token, time: Duration::from_secs(seconds) };
            println!("{}", attack::run(&site, attack, means).await?);
        }
        Command::Siege { binary, folder, port_base, connections, seconds, only, attackers_on, debug } => {
            let time = Duration::from_secs(seconds);
            Siege { binary, folder, port_base, connections, time, only, attackers_on, debug }.lay().await?;
        }
    }
    Ok(())
}

async fn idle(asked: &Asked) -> anyhow::Result<()> {
    let (site, what) = asked.prepared().await?;
    let mut kept = Vec::new();
    for _ in 0..asked.connections {
        let mut connection = site.connect().await?;
        connection.ask(site.request(&what)?).await?;
        kept.push(connection);
    }
    println!("{}", json!({ "open": kept.len() }));
    tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink())).await??;
    Ok(())
}
