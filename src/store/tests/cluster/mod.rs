//! A PostgreSQL of a test's own, with a copy that follows it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A primary and its copy, in a folder that is gone afterwards.
pub struct Cluster {
    bin: PathBuf,
    folder: TempDir,
    primary: u16,
    copy: u16,
}

impl Cluster {
    /// Starts both; none, said loudly, where PostgreSQL's programs are not here.
    pub fn with_a_copy() -> Option<Self> {
        let Some(bin) = programs() else {
            eprintln!("SKIPPED: the programs of PostgreSQL (initdb, pg_basebackup) are not here");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            // PostgreSQL refuses to be root.
            let owned = Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap();
            assert!(owned.success());
        }
        let cluster = Self { bin, folder, primary: free_port(), copy: free_port() };
        let primary = cluster.data("primary");
        cluster
            .run("initdb", &["-D", &primary, "-U", "consentry", "--auth=trust", "-E", "UTF8", "--no-sync"]);
        cluster.start("primary", cluster.primary);
        let (port, copy) = (cluster.primary.to_string(), cluster.data("copy"));
        let from = ["-h", "127.0.0.1", "-p", &port, "-U", "consentry", "-D", &copy, "-R", "--no-sync"];
        cluster.run("pg_basebackup", &[&from[..], &["-c", "fast"]].concat());
        cluster.start("copy", cluster.copy);
        Some(cluster)
    }

    /// The address of both, the copy first.
    pub fn address(&self) -> String {
        format!("postgres://consentry@127.0.0.1:{},127.0.0.1:{}/postgres", self.copy, self.primary)
    }

    /// The address of a database of the copy.
    pub fn at_the_copy(&self, database: &str) -> String {
        format!("postgres://consentry@127.0.0.1:{}/{database}", self.copy)
    }

    /// The port of the copy.
    pub fn copy_port(&self) -> String {
        self.copy.to_string()
    }

    /// Ends the primary as a machine that loses its power does.
    pub fn kill_primary(&self) {
        self.run("pg_ctl", &["stop", "-D", &self.data("primary"), "-m", "immediate", "-s"]);
    }

    /// Has the copy take over.
    pub fn promote(&self) {
        self.run("pg_ctl", &["promote", "-D", &self.data("copy"), "-w", "-s"]);
    }

    fn data(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn start(&self, name: &str, port: u16) {
        let options = format!(
            "-c port={port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off \
             -c shared_buffers=16MB -c max_connections=40"
        );
        let log = self.data(&format!("{name}.log"));
        self.run("pg_ctl", &["start", "-D", &self.data(name), "-w", "-s", "-l", &log, "-o", &options]);
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let program = self.bin.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // A server that goes on must not keep what this waits for.
        let said = std::env::temp_dir().join(format!("pg-{}", self.primary));
        let log = std::fs::File::create(&said).unwrap();
        let run = command
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .status()
            .unwrap();
        let text = std::fs::read_to_string(&said).unwrap_or_default();
        let _ = std::fs::remove_file(said);
        assert!(run.success(), "{command:?}: {text}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for name in ["primary", "copy"] {
            if Path::new(&self.data(name)).join("postmaster.pid").exists() {
                self.run("pg_ctl", &["stop", "-D", &self.data(name), "-m", "immediate", "-s"]);
            }
        }
    }
}

fn programs() -> Option<PathBuf> {
    let complete =
        |folder: &PathBuf| ["initdb", "pg_basebackup"].iter().all(|name| folder.join(name).exists());
    let of_debian = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut places: Vec<_> = of_debian.map(|version| version.path().join("bin")).collect();
    places.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    places.into_iter().find(complete)
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|said| said.stdout.trim_ascii() == b"0")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
