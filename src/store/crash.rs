//! Crashes where it matters, for the torture of payments: at a commit, before the
//! database has it or when it has. Only in builds with the feature `crash-points`.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// A side of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The database has not been asked.
    Before,
    /// The database has it, and nobody was told.
    After,
}

/// Where this process ends: `CONSENTRY_CRASH_AT=before:17` is in front of its 17th
/// commit.
static WANTED: LazyLock<Option<(Side, u64)>> = LazyLock::new(|| {
    let wanted = std::env::var("CONSENTRY_CRASH_AT").ok()?;
    let (side, count) = wanted.split_once(':')?;
    let side = match side {
        "before" => Side::Before,
        "after" => Side::After,
        _ => return None,
    };
    Some((side, count.parse().ok()?))
});
static BEFORE: AtomicU64 = AtomicU64::new(0);
static AFTER: AtomicU64 = AtomicU64::new(0);

/// Ends the process, as SIGKILL would, if this is where it is to end.
pub(crate) fn point(side: Side) {
    let Some((wanted, count)) = *WANTED else { return };
    if wanted != side {
        return;
    }
    let passed = match side {
        Side::Before => &BEFORE,
        Side::After => &AFTER,
    };
    if passed.fetch_add(1, Ordering::Relaxed).saturating_add(1) == count {
        std::process::abort();
    }
}
