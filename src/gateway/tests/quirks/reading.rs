//! Deviations of what is read.

use connect::QuirkName as Name;

use crate::journeys::Journey::Transactions;
use crate::{Pair, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_banks_write_for_nothing() {
    let world = World::start().await;
    world.hold([Pair::fails(Name::InvalidDateIsNone, Transactions).with("field", "BookingDateTime")]).await;
    world.gw.sandbox.stop().await;
}
