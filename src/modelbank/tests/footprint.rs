//! What three banks cost to start and to keep.

mod world;

use std::time::Instant;

use consentry_modelbank::BankKind;
use world::World;

/// Resident memory of this process, in kilobytes; `None` where the system
/// does not tell.
fn resident_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[tokio::test]
async fn three_banks_start_at_once_and_stay_small() {
    let world = World::new();
    let tpp = world.both();
    let before = resident_kb();
    let start = Instant::now();
    let mut banks = Vec::new();
    for (number, kind) in
        [BankKind::UkOpenBanking, BankKind::BerlinGroupRedirect, BankKind::BerlinGroupDecoupled]
            .into_iter()
            .enumerate()
    {
        banks.push(world.named_bank(&format!("bank-{number}"), kind, true, &[&tpp]).await);
    }
    let took = start.elapsed();
    let grown = resident_kb().zip(before).map(|(after, before)| after.saturating_sub(before));
    eprintln!("three banks: {took:?}, {grown:?} kB");
    assert!(took.as_millis() < 200, "{took:?}");
    assert!(grown.is_none_or(|grown| grown < 30_000), "{grown:?} kB");
    for bank in banks {
        bank.stop().await;
    }
}
