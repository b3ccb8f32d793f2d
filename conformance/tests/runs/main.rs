//! Runs at the command line: which cases they play, what they forgive, and what is other than before.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod diff;
mod only;
mod waivers;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use consentry_conformance::cli::{ConformanceArgs, run};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: ConformanceArgs,
}

async fn ends_with(args: &[&str], code: u8) {
    let line = Line::try_parse_from([&["conformance"], args].concat()).unwrap();
    let ended = run(line.args).await.unwrap_or(ExitCode::from(2));
    assert_eq!(format!("{ended:?}"), format!("{:?}", ExitCode::from(code)), "{args:?}");
}

/// A server that answers with 200 where something good is named, and with 404 elsewhere; and a folder
/// with a case for each name, which wants 200 there.
struct Stage {
    folder: TempDir,
    target: String,
}

impl Stage {
    async fn new(good: &'static [&'static str], cases: &[&str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                tokio::spawn(answer(connection, good));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cases")).unwrap();
        for name in cases {
            let case = format!(
                "id = \"stage-{name}\"\ntitle = \"It is there\"\nclause = \"None\"\nclients = []\n\n\
                 [[steps]]\ndo = \"request\"\nurl = \"${{issuer}}/{name}\"\nexpect.status = 200\n"
            );
            std::fs::write(folder.path().join(format!("cases/{name}.toml")), case).unwrap();
        }
        Self { folder, target }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Plays the cases, and no others but those of the arguments. The folder of the run.
    async fn plays(&self, arguments: &[&str], code: u8) -> PathBuf {
        let (cases, out) = (self.path("cases"), self.path("out"));
        let _ = std::fs::remove_dir_all(&out);
        let mut args = vec!["run", "--profile", "tls", "--target", &self.target];
        args.extend(["--cases", cases.to_str().unwrap(), "--out", out.to_str().unwrap()]);
        if !arguments.contains(&"--only") {
            args.extend(["--only", "stage-"]);
        }
        args.extend(arguments);
        ends_with(&args, code).await;
        out
    }
}

async fn answer(mut connection: TcpStream, good: &[&str]) {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\r\n\r\n") {
        match connection.read_u8().await {
            Ok(byte) => asked.push(byte),
            Err(_) => return,
        }
    }
    let asked = String::from_utf8(asked).unwrap();
    let name = asked.split(' ').nth(1).unwrap().trim_start_matches('/');
    let status = if good.contains(&name) { "200 OK" } else { "404 Not Found" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    // Who asked may be gone.
    let _ = connection.write_all(answer.as_bytes()).await;
}

fn report(run: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(run.join("report.json")).unwrap()).unwrap()
}

/// What came of each case: its id without what all have, and the verdict.
fn verdicts(run: &Path) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().trim_start_matches("stage-").to_owned();
    let report = report(run);
    let outcomes = report["outcomes"].as_array().unwrap().iter();
    outcomes.map(|outcome| (text(&outcome["case"]), text(&outcome["verdict"]))).collect()
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}
