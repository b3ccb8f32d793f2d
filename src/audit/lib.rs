//! The mathematics of an audit log that shows when it was tampered with.
//!
//! Each region has one log. Entries are only appended, and a tree of hashes over them (RFC 9162)
//! has a root that is signed from time to time: a checkpoint (C2SP tlog-checkpoint). Who keeps a
//! checkpoint somewhere else can tell later whether an entry before it was changed, left out or
//! put in. Who is given one entry, with its proof, needs neither the log nor our word.
//!
//! Entries count from 0, and an entry is bytes: what they say is decided above. Nothing here
//! does input or output, and nothing here says what an entry holds when it says what is wrong.

mod checkpoint;
mod frontier;
mod key;
pub mod merkle;
mod proof;
mod record;
mod tree;
mod verifier;

pub use checkpoint::{Checkpoint, CheckpointError, SignError, SignedCheckpoint};
pub use frontier::{Frontier, InvalidFrontier};
pub use key::{InvalidLogKey, LogKey};
pub use merkle::{Hash, Node, Nodes};
pub use proof::{
    ConsistencyProof, InclusionProof, ProofError, UnprovableError, VerifiedEntry, VerifiedGrowth,
};
pub use record::{Outcome, Record};
pub use tree::{NotKept, Tree};
pub use verifier::{Checkpoints, Finding, Report, Verifier};

#[cfg(test)]
mod sample;
