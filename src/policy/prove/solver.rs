//! Two solvers that work off a list.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use cedar_policy_symcc::solver::LocalSolver;
use cedar_policy_symcc::{CedarSymCompiler, CompiledPolicySet, Env, WellFormedAsserts};
use tokio::process::Command;
use tokio::runtime::{Builder, Runtime};

use super::report::ProveFailed;

/// A running solver.
pub(super) struct Solver<'a> {
    compiler: CedarSymCompiler<LocalSolver>,
    runtime: Runtime,
    asked: &'a AtomicUsize,
}

/// How long one question may take.
const LIMIT: &str = "--tlimit-per=60000";

impl<'a> Solver<'a> {
    fn start(cvc5: &Path, asked: &'a AtomicUsize) -> Result<Self, ProveFailed> {
        let runtime = Builder::new_current_thread().enable_all().build().map_err(silent)?;
        let compiler = {
            let _inside = runtime.enter();
            let mut command = Command::new(cvc5);
            // A proof that was given up leaves no process behind.
            command.args(["--lang", "smt", LIMIT]).kill_on_drop(true);
            LocalSolver::from_command(&mut command).map_err(silent).map(CedarSymCompiler::new)?
        };
        Ok(Self { compiler: compiler.map_err(silent)?, runtime, asked })
    }

    fn end(mut self) -> Result<(), ProveFailed> {
        self.runtime.block_on(self.compiler.solver_mut().clean_up()).map_err(silent)
    }

    /// True if nothing can be that breaks what is asserted.
    pub(super) fn holds(&mut self, asserts: &WellFormedAsserts<'_>) -> Result<bool, ProveFailed> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.runtime.block_on(self.compiler.check_unsat(asserts)).map_err(silent)
    }

    /// What breaks what is asserted, if anything can.
    pub(super) fn breaks(&mut self, asserts: &WellFormedAsserts<'_>) -> Result<Option<Env>, ProveFailed> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.runtime.block_on(self.compiler.check_sat(asserts)).map_err(silent)
    }

    /// True if what `one` allows is allowed by `other`.
    pub(super) fn implies(
        &mut self,
        one: &CompiledPolicySet,
        other: &CompiledPolicySet,
    ) -> Result<bool, ProveFailed> {
        self.holds(&cedar_policy_symcc::implies_asserts(one, other))
    }
}

/// An error of the compiler or of the solver, which both leave us without an answer.
pub(super) fn silent(error: impl std::error::Error) -> ProveFailed {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(deeper) = source {
        text.push_str(": ");
        text.push_str(&deeper.to_string());
        source = deeper.source();
    }
    ProveFailed::Solver(text)
}

/// Does `work` with every item, by two solvers. The answers are in the order of the items.
pub(super) fn on_two<T: Send, R: Send>(
    cvc5: &Path,
    asked: &AtomicUsize,
    items: Vec<T>,
    work: impl Fn(&mut Solver<'_>, T) -> Result<R, ProveFailed> + Sync,
) -> Result<Vec<R>, ProveFailed> {
    let left = Mutex::new(items.into_iter().enumerate());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let run = || -> Result<Vec<(usize, R)>, ProveFailed> {
        let mut solver = Solver::start(cvc5, asked)?;
        let mut done = Vec::new();
        while let Some((number, item)) = next() {
            done.push((number, work(&mut solver, item)?));
        }
        solver.end()?;
        Ok(done)
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(run);
        let one = run();
        (one, other.join())
    });
    let other = other.map_err(|_| ProveFailed::Solver("a thread ended too early".to_owned()))?;
    let mut done = one?;
    done.extend(other?);
    done.sort_unstable_by_key(|(number, _)| *number);
    Ok(done.into_iter().map(|(_, answer)| answer).collect())
}
