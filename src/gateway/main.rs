//! `consentry`: an open-banking gateway in one binary.

use std::process::ExitCode;

use clap::Parser;
use consentry::cli::{Cli, run};

/// A connection costs a fifth less memory than with the C library's allocator,
/// and what is freed goes back.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Of each thread, in bytes: address space, of which only what is used costs memory. Builds without
/// optimisation need more than is usual.
const STACK: usize = 8 * 1024 * 1024;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = match cli.log().and_then(|settings| consentry::log::init(&settings)) {
        Ok(level) => level,
        Err(error) => {
            eprintln!("consentry: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    // The crate that judges brings a second cryptographic library along, and what leaves the choice to
    // the process (the Redis client) must not have to guess.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().thread_stack_size(STACK).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("consentry: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(async {
        survive_full_disks();
        dump_no_memory();
        run(cli, level).await
    }) {
        Ok(code) => code,
        Err(error) => {
            // One line per cause: what happened, and why.
            eprintln!("consentry: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A file that may not grow is an error of the write, not the end of the process
/// (SIGXFSZ).
#[cfg(target_os = "linux")]
fn survive_full_disks() {
    let limit_reached = tokio::signal::unix::SignalKind::from_raw(25);
    if let Err(error) = tokio::signal::unix::signal(limit_reached) {
        tracing::warn!(error = %error, "A file size limit will end this process");
    }
}

/// What passes through memory on its way to another region must not end up in a crash dump.
#[cfg(target_os = "linux")]
fn dump_no_memory() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

    #[cfg(feature = "leaks")]
    if domain::leaks::wanted("core-dump") {
        return;
    }
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) =
        setrlimit(Resource::Core, none).and_then(|()| set_dumpable_behavior(DumpableBehavior::NotDumpable))
    {
        tracing::warn!(error = %error, "A crash may leave what is in memory on the disk");
    }
}

#[cfg(not(target_os = "linux"))]
fn dump_no_memory() {}

#[cfg(not(target_os = "linux"))]
fn survive_full_disks() {}
