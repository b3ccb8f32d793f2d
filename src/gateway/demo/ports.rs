//! Ports for a sandbox beside others, as tests and measurements start them.

use std::net::TcpListener;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;

/// Ports of a run: as many as a sandbox listens at, two for a cell, and the one that holds the run.
const RUN: u16 = 20;
/// Below the ports that systems give to connections, which are taken and left at any time.
const WITHIN: std::ops::Range<u16> = 20_000..32_760;

/// The first port of a run of nineteen that are free. The run is this process's until it ends: others that
/// look for one in this way do not get it, whether or not anything listens there.
///
/// # Errors
/// If there is none.
pub fn free_ports() -> anyhow::Result<u16> {
    static HELD: Mutex<Vec<TcpListener>> = Mutex::new(Vec::new());
    let bind = |port: u16| TcpListener::bind(("127.0.0.1", port)).ok();
    let runs: Vec<u16> = WITHIN.step_by(RUN.into()).collect();
    // Where processes begin to look differs, so that few look at the same run.
    let begin = usize::try_from(std::process::id())?.wrapping_mul(31).checked_rem(runs.len()).unwrap_or(0);
    let (before, after) = runs.split_at_checked(begin).unwrap_or_default();
    for first in after.iter().chain(before).copied() {
        let last = first.saturating_add(RUN).saturating_sub(1);
        let Some(holds) = bind(last) else { continue };
        if (first..last).all(|port| bind(port).is_some()) {
            HELD.lock().unwrap_or_else(PoisonError::into_inner).push(holds);
            return Ok(first);
        }
    }
    None.context("no ports are free")
}
