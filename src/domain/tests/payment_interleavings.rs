//! Every interleaving of what can happen to a payment, up to a stated depth: approvals and
//! their repetition, submission, questions to the bank, cancelling, running out of time and
//! a crash, in two processes at once. The rules of the life cycle are the domain's own; the
//! processes are those of `flows`: read, change if nobody else did, send, change again.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test stops at the first surprise"
)]

use std::collections::HashSet;

use consentry_domain::{IsoPaymentStatus, PaymentState};

/// Steps of one run at most. What can be begun is counted, so that no run is longer.
const DEPTH: u32 = 40;

/// What a process is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Job {
    /// The PSU comes back approved; also again.
    Callback,
    Submit,
    Ask,
    Cancel,
    RunOut,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Step {
    /// It has read the row.
    Read { state: PaymentState, revision: u8 },
    /// What it will send is committed.
    Sending { revision: u8 },
    /// It has an answer, or knows that none comes.
    Answered { state: PaymentState, revision: u8, status: Option<IsoPaymentStatus> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum AtBank {
    Nothing,
    Executed,
    Settled,
    Refused,
}

/// The payment, its bank, and whoever works on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    state: PaymentState,
    revision: u8,
    bank: AtBank,
    /// Requests to execute that left, and executions.
    sent: u8,
    executed: u8,
    processes: [Option<(Job, Step)>; 2],
    /// What may still begin, and how often a process may end in the middle.
    callbacks: u8,
    cancels: u8,
    questions: u8,
    submissions: u8,
    ends: u8,
    crashes: u8,
}

/// Which rules the processes keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    /// Those of the gateway.
    Ours,
    /// Changes are made whoever else changed the row.
    Unconditional,
    /// The request is sent before the change is committed.
    SentFirst,
    /// What may have been lost is sent again.
    SentAgain,
}

impl World {
    fn begin() -> Self {
        Self {
            state: PaymentState::Authorizing,
            revision: 0,
            bank: AtBank::Nothing,
            sent: 0,
            executed: 0,
            processes: [None; 2],
            callbacks: 2,
            cancels: 1,
            questions: 2,
            submissions: 2,
            ends: 1,
            crashes: 1,
        }
    }

    /// The change, if nobody made one since `revision`, and the life allows it.
    fn change(&mut self, rules: Rules, revision: u8, to: PaymentState) -> bool {
        let first = self.revision == revision || rules == Rules::Unconditional;
        let allowed = self.state.may_become(to) || rules == Rules::Unconditional;
        if first && allowed {
            self.state = to;
            self.revision += 1;
        }
        first && allowed
    }

    /// Every world that can be next.
    fn next(&self, rules: Rules) -> Vec<Self> {
        let mut worlds = Vec::new();
        for place in 0..2 {
            match self.processes[place] {
                None => self.begin_at(place, rules, &mut worlds),
                Some((job, step)) => {
                    self.go_on(place, job, step, rules, &mut worlds);
                    if self.crashes > 0 {
                        let mut ended = self.clone();
                        ended.crashes -= 1;
                        ended.processes[place] = None;
                        worlds.push(ended);
                    }
                }
            }
        }
        if self.bank == AtBank::Executed {
            worlds.push(Self { bank: AtBank::Settled, ..self.clone() });
        }
        worlds
    }

    fn begin_at(&self, place: usize, rules: Rules, worlds: &mut Vec<Self>) {
        let mut begin = |job: Job, spend: fn(&mut Self)| {
            let mut world = self.clone();
            spend(&mut world);
            world.processes[place] = Some((job, Step::Read { state: self.state, revision: self.revision }));
            worlds.push(world);
        };
        if self.callbacks > 0 {
            begin(Job::Callback, |world| world.callbacks -= 1);
        }
        if self.cancels > 0 {
            begin(Job::Cancel, |world| world.cancels -= 1);
        }
        // The reconciler takes up what it finds; two of them may find the same.
        let lost = rules == Rules::SentAgain
            && matches!(self.state, PaymentState::Submitted | PaymentState::Unknown);
        if self.submissions > 0 && (self.state == PaymentState::Authorized || lost) {
            begin(Job::Submit, |world| world.submissions -= 1);
        }
        let open =
            matches!(self.state, PaymentState::Submitted | PaymentState::Accepted | PaymentState::Unknown);
        if self.questions > 0 && open {
            begin(Job::Ask, |world| world.questions -= 1);
        }
        if self.ends > 0 && self.state == PaymentState::Authorizing {
            begin(Job::RunOut, |world| world.ends -= 1);
        }
    }

    fn go_on(&self, place: usize, job: Job, step: Step, rules: Rules, worlds: &mut Vec<Self>) {
        let mut world = self.clone();
        world.processes[place] = None;
        match (job, step) {
            (Job::Callback, Step::Read { state, revision }) => {
                if state == PaymentState::Authorizing {
                    world.change(rules, revision, PaymentState::Authorized);
                }
            }
            (Job::Cancel, Step::Read { state, revision }) => {
                if state.can_cancel(true) {
                    world.change(rules, revision, PaymentState::Cancelled);
                }
            }
            (Job::RunOut, Step::Read { revision, .. }) => {
                world.change(rules, revision, PaymentState::Expired);
            }
            (Job::Submit, Step::Read { state, revision }) => {
                let again = rules == Rules::SentAgain && state != PaymentState::Authorized;
                let goes = rules == Rules::SentFirst
                    || again
                    || world.change(rules, revision, PaymentState::Submitted);
                if goes {
                    world.processes[place] = Some((job, Step::Sending { revision: world.revision }));
                }
            }
            (Job::Submit, Step::Sending { revision }) => return self.send(place, revision, worlds),
            (Job::Submit, Step::Answered { state, revision, status }) => {
                let to = status.map_or(PaymentState::Unknown, IsoPaymentStatus::state);
                if to != state {
                    world.change(rules, revision, to);
                }
            }
            (Job::Ask, Step::Read { state, revision }) => {
                let status = match self.bank {
                    AtBank::Nothing => None,
                    AtBank::Executed => Some(IsoPaymentStatus::AcceptedSettlementInProcess),
                    AtBank::Settled => Some(IsoPaymentStatus::AcceptedSettlementCompleted),
                    AtBank::Refused => Some(IsoPaymentStatus::Rejected),
                };
                world.processes[place] = Some((job, Step::Answered { state, revision, status }));
            }
            (Job::Ask, Step::Answered { state, revision, status }) => {
                if let Some(to) = status.map(IsoPaymentStatus::state).filter(|to| state.may_become(*to)) {
                    world.change(rules, revision, to);
                }
            }
            (job, step) => panic!("{job:?} does not come to {step:?}"),
        }
        worlds.push(world);
    }

    /// What may become of a request: it is executed or refused, with an answer or
    /// without, or it never arrives.
    fn send(&self, place: usize, revision: u8, worlds: &mut Vec<Self>) {
        for (arrives, refused, answered) in [
            (false, false, false),
            (true, false, true),
            (true, false, false),
            (true, true, true),
            (true, true, false),
        ] {
            let mut world = self.clone();
            world.sent += 1;
            if arrives {
                // A bank without a memory for repetitions.
                world.bank = if refused { AtBank::Refused } else { AtBank::Executed };
                world.executed += u8::from(!refused);
            }
            let said = if refused {
                IsoPaymentStatus::Rejected
            } else {
                IsoPaymentStatus::AcceptedSettlementInProcess
            };
            let answer = Step::Answered { state: self.state, revision, status: answered.then_some(said) };
            world.processes[place] = Some((Job::Submit, answer));
            worlds.push(world);
        }
    }

    /// What may never be, and why.
    fn wrong(&self) -> Option<&'static str> {
        let moved = self.executed > 0;
        if self.sent > 1 {
            return Some("sent twice");
        }
        match self.state {
            PaymentState::Cancelled | PaymentState::Expired | PaymentState::Failed => {
                (self.sent > 0).then_some("ended here, and sent")
            }
            PaymentState::Rejected => moved.then_some("said to be rejected, and executed"),
            PaymentState::Settled | PaymentState::Accepted => {
                (!moved).then_some("said to be executed, and is not")
            }
            PaymentState::Created
            | PaymentState::AuthorizationRequired
            | PaymentState::Authorizing
            | PaymentState::Authorized
            | PaymentState::Submitted
            | PaymentState::Unknown => None,
        }
    }
}

/// Walks through every world; how many there are, and what is wrong with the first that
/// may not be.
fn explore(rules: Rules) -> (usize, Option<&'static str>) {
    let mut seen = HashSet::from([World::begin()]);
    let mut edge = vec![World::begin()];
    for _ in 0..DEPTH {
        let mut further = Vec::new();
        for world in &edge {
            if let Some(why) = world.wrong() {
                return (seen.len(), Some(why));
            }
            for next in world.next(rules) {
                if seen.insert(next.clone()) {
                    further.push(next);
                }
            }
        }
        if further.is_empty() {
            return (seen.len(), None);
        }
        edge = further;
    }
    panic!("runs are longer than {DEPTH} steps");
}

#[test]
fn no_interleaving_doubles_a_payment_or_says_what_is_not_so() {
    let (worlds, wrong) = explore(Rules::Ours);
    assert_eq!(wrong, None);
    assert!(worlds > 10_000, "{worlds} worlds");
}

/// The walk finds what is wrong with rules that are weaker.
#[test]
fn weaker_rules_are_found_wanting() {
    assert_eq!(explore(Rules::SentFirst).1, Some("sent twice"));
    assert_eq!(explore(Rules::SentAgain).1, Some("sent twice"));
    assert!(explore(Rules::Unconditional).1.is_some());
}
