//! Deviations of what is read.

use connect::QuirkName as Name;

use crate::quirks::journeys::Journey::{Funds, Transactions};
use crate::quirks::{Pair, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_banks_write_for_nothing() {
    let world = World::start().await;
    world.hold([Pair::fails(Name::InvalidDateIsNone, Transactions).with("field", "BookingDateTime")]).await;
    world.gw.sandbox.stop().await;
}

/// Confirmation of Funds API: a yes or no that is missing is no answer, unless the bank
/// is known for it; then it is a no that nobody relies on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_banks_leave_out_of_an_answer_about_funds() {
    let world = World::start().await;
    world.hold([Pair::fails(Name::FundsAnswerUnreliable, Funds)]).await;
    world.gw.sandbox.stop().await;
}
