//! A log that is kept in memory.

use std::io::Write;
use std::sync::{Arc, Mutex};

/// The log of this process, from when it was asked for.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// The log at the most talkative level; once a process.
    pub fn of_everything() -> Self {
        Self::of("trace")
    }

    /// The log of these targets, each with its level; once a process.
    pub fn of(targets: &str) -> Self {
        let log = Self::default();
        let writer = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter(targets)
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .init();
        log
    }

    /// What it says so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
