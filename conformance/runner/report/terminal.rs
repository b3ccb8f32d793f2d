//! For who watches.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Outcome, Report, Verdict};
use crate::suite::Progress;

/// Writes how far a run is to standard error.
#[derive(Debug, Default)]
pub struct Terminal {
    all: AtomicUsize,
    played: AtomicUsize,
    quiet: bool,
}

impl Terminal {
    /// A terminal that says nothing until the end.
    #[must_use]
    pub fn quiet() -> Self {
        Self { quiet: true, ..Self::default() }
    }
}

impl Progress for Terminal {
    fn begins(&self, cases: usize) {
        self.all.fetch_add(cases, Ordering::SeqCst);
    }

    fn played(&self, outcome: &Outcome) {
        let played = self.played.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        if self.quiet {
            return;
        }
        let all = self.all.load(Ordering::SeqCst);
        let mut out = std::io::stderr().lock();
        let shown = matches!(outcome.verdict, Verdict::Failed | Verdict::Warned | Verdict::Blocked);
        // What cannot be written is not worth ending a run for.
        if out.is_terminal() {
            let _ = write!(out, "\r\x1b[2K");
            if shown {
                let _ = writeln!(out, "{}", line(outcome));
            }
            let _ = write!(out, "{played}/{all} {}", outcome.key());
            if played == all {
                let _ = write!(out, "\r\x1b[2K");
            }
            let _ = out.flush();
        } else if shown {
            let _ = writeln!(out, "{}", line(outcome));
        }
    }
}

fn line(outcome: &Outcome) -> String {
    format!(
        "{:<8} {}\n         {} ({})\n         {}",
        outcome.verdict.name(),
        outcome.key(),
        outcome.title,
        outcome.clause,
        outcome.says
    )
}

/// A table of what came of each profile.
#[must_use]
pub fn summary(report: &Report) -> String {
    let heads = ["profile", "total", "applicable", "passed", "failed", "warned", "waived", "blocked"];
    let mut rows = vec![heads.map(str::to_owned)];
    for profile in &report.profiles {
        let of: Vec<_> = report.outcomes.iter().filter(|outcome| outcome.profile == *profile).collect();
        let count = |verdict| of.iter().filter(|outcome| outcome.verdict == verdict).count();
        let away = count(Verdict::NotApplicable) + count(Verdict::LeftOut) + count(Verdict::Skipped);
        rows.push([
            profile.clone(),
            of.len().to_string(),
            (of.len() - away).to_string(),
            count(Verdict::Passed).to_string(),
            count(Verdict::Failed).to_string(),
            count(Verdict::Warned).to_string(),
            count(Verdict::Waived).to_string(),
            count(Verdict::Blocked).to_string(),
        ]);
    }
    let mut text = String::new();
    for row in &rows {
        for (index, cell) in row.iter().enumerate() {
            if index == 0 {
                text.push_str(&format!("{cell:<26}"));
            } else {
                text.push_str(&format!("{cell:>11}"));
            }
        }
        text.push('\n');
    }
    for idle in &report.idle_waivers {
        text.push_str(&format!("The waiver of {idle} is not needed\n"));
    }
    text
}
