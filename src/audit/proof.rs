//! Proofs that are given to somebody who has neither the log nor trusts who keeps it.
//!
//! They are JSON documents, whole in themselves: only the log's keys and its origin must be
//! known from elsewhere. Hashes are in padded base64.

use serde::{Deserialize, Serialize};

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::key::LogKey;
use crate::merkle::{self, Hash, Nodes};

/// That an entry is in a log (RFC 9162 §2.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InclusionProof {
    /// The entry, as it was written.
    pub entry: String,
    /// Which of the log, from 0.
    pub sequence: u64,
    /// How many entries the log has at the checkpoint.
    pub size: u64,
    /// The path, from the entry upwards.
    #[serde(with = "hashes")]
    pub hashes: Vec<Hash>,
    /// The text of the checkpoint, with its signatures.
    pub checkpoint: String,
}

/// That a log at one checkpoint begins with all it had at another (RFC 9162 §2.1.4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyProof {
    /// The text of the smaller checkpoint, with its signatures.
    pub from: String,
    /// The text of the larger one.
    pub to: String,
    /// The path between the two.
    #[serde(with = "hashes")]
    pub hashes: Vec<Hash>,
}

/// An entry that is in a log. Only [`InclusionProof::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedEntry {
    entry: String,
    sequence: u64,
    checkpoint: Checkpoint,
}

/// A log that only grew. Only [`ConsistencyProof::verify`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedGrowth {
    from: Checkpoint,
    to: Checkpoint,
}

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// A checkpoint does not count.
    #[error("a checkpoint of the proof does not count")]
    Checkpoint(#[from] CheckpointError),
    /// The path is to a log of another size than the one that was signed.
    #[error("the proof is of {size} entries, its checkpoint of {signed}")]
    Size {
        /// What the proof says.
        size: u64,
        /// What the checkpoint says.
        signed: u64,
    },
    /// The path does not lead from the entry to the signed root.
    #[error("the entry is not shown to be entry {0} of the log")]
    NotIncluded(u64),
    /// The path does not lead from the one root to the other.
    #[error("the log of {to} entries is not shown to begin with that of {from}")]
    NotGrown {
        /// The entries of the first checkpoint.
        from: u64,
        /// The entries of the second.
        to: u64,
    },
}

/// Why a proof was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnprovableError<E> {
    /// The checkpoint was made before, so it says nothing of what is asked.
    #[error("the checkpoint has {size} entries, too few for {wanted}")]
    TooSmall {
        /// The entries it has.
        size: u64,
        /// The entries it needs.
        wanted: u64,
    },
    /// A subtree cannot be had.
    #[error("a part of the tree cannot be had")]
    Nodes(#[source] E),
    /// The tree is not the one that was signed, or the entry is another.
    #[error("the tree does not lead to what was signed")]
    Disagrees,
}

impl InclusionProof {
    /// Proves that `entry` is number `sequence` of the log at a checkpoint, whose nodes these
    /// are.
    ///
    /// # Errors
    ///
    /// [`UnprovableError`]; a proof that would not hold is not made.
    pub fn make<N: Nodes>(
        nodes: &N,
        entry: String,
        sequence: u64,
        checkpoint: &SignedCheckpoint,
    ) -> Result<Self, UnprovableError<N::Error>> {
        let Checkpoint { size, root, .. } = *checkpoint.unverified();
        let hashes = merkle::inclusion(nodes, sequence, size).map_err(UnprovableError::Nodes)?;
        let too_small = UnprovableError::TooSmall { size, wanted: sequence.saturating_add(1) };
        let hashes = hashes.ok_or(too_small)?;
        if !merkle::includes(&root, size, sequence, merkle::leaf(entry.as_bytes()), &hashes) {
            return Err(UnprovableError::Disagrees);
        }
        Ok(Self { entry, sequence, size, hashes, checkpoint: checkpoint.as_str().to_owned() })
    }

    /// What it proves, to who knows the log by its origin and trusts one of the keys.
    ///
    /// # Errors
    ///
    /// [`ProofError`], all but `NotGrown`.
    pub fn verify(&self, keys: &[LogKey], origin: &str) -> Result<VerifiedEntry, ProofError> {
        let checkpoint = SignedCheckpoint::parse(&self.checkpoint)?.verify(keys, origin)?;
        let Self { ref entry, sequence, size, .. } = *self;
        if size != checkpoint.size {
            return Err(ProofError::Size { size, signed: checkpoint.size });
        }
        let leaf = merkle::leaf(entry.as_bytes());
        if !merkle::includes(&checkpoint.root, size, sequence, leaf, &self.hashes) {
            return Err(ProofError::NotIncluded(sequence));
        }
        Ok(VerifiedEntry { entry: entry.clone(), sequence, checkpoint })
    }
}

impl ConsistencyProof {
    /// Proves that the log at `to` begins with the log at `from`; the nodes are those of `to`.
    ///
    /// # Errors
    ///
    /// [`UnprovableError`]; a proof that would not hold is not made.
    pub fn make<N: Nodes>(
        nodes: &N,
        from: &SignedCheckpoint,
        to: &SignedCheckpoint,
    ) -> Result<Self, UnprovableError<N::Error>> {
        let (old, new) = (from.unverified(), to.unverified());
        let hashes = merkle::consistency(nodes, old.size, new.size).map_err(UnprovableError::Nodes)?;
        let hashes = hashes.ok_or(UnprovableError::TooSmall { size: new.size, wanted: old.size })?;
        if !merkle::extends((old.size, &old.root), (new.size, &new.root), &hashes) {
            return Err(UnprovableError::Disagrees);
        }
        Ok(Self { from: from.as_str().to_owned(), to: to.as_str().to_owned(), hashes })
    }

    /// What it proves, to who knows the log by its origin and trusts one of the keys.
    ///
    /// # Errors
    ///
    /// [`ProofError::Checkpoint`] and [`ProofError::NotGrown`].
    pub fn verify(&self, keys: &[LogKey], origin: &str) -> Result<VerifiedGrowth, ProofError> {
        let from = SignedCheckpoint::parse(&self.from)?.verify(keys, origin)?;
        let to = SignedCheckpoint::parse(&self.to)?.verify(keys, origin)?;
        if !merkle::extends((from.size, &from.root), (to.size, &to.root), &self.hashes) {
            return Err(ProofError::NotGrown { from: from.size, to: to.size });
        }
        Ok(VerifiedGrowth { from, to })
    }
}

impl VerifiedEntry {
    /// The entry.
    #[must_use]
    pub fn entry(&self) -> &str {
        &self.entry
    }

    /// Which of the log, from 0.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The checkpoint that covers it: it was written no later than this was signed.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

impl VerifiedGrowth {
    /// The checkpoint that the log grew from.
    #[must_use]
    pub fn from(&self) -> &Checkpoint {
        &self.from
    }

    /// The checkpoint it grew to.
    #[must_use]
    pub fn to(&self) -> &Checkpoint {
        &self.to
    }
}

mod hashes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::merkle::Hash;

    pub(super) fn serialize<S: Serializer>(hashes: &[Hash], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(hashes.iter().map(|hash| STANDARD.encode(hash)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hash>, D::Error> {
        let hash = |text: &String| STANDARD.decode(text).ok()?.try_into().ok();
        let hashes = Vec::<String>::deserialize(deserializer)?.iter().map(hash).collect::<Option<_>>();
        hashes.ok_or_else(|| D::Error::custom("a hash is 32 bytes in padded base64"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::sample::{ORIGIN, at, checkpoint, entry, log_key, signed, signing_key, tree};

    fn inclusion(sequence: u64, size: u64) -> InclusionProof {
        InclusionProof::make(&tree(size), entry(sequence), sequence, &signed(&checkpoint(size))).unwrap()
    }

    fn growth(from: u64, to: u64) -> ConsistencyProof {
        ConsistencyProof::make(&tree(to), &signed(&checkpoint(from)), &signed(&checkpoint(to))).unwrap()
    }

    /// The proof with one hash changed, left out, or put in; and with two exchanged.
    fn bent(hashes: &[Hash]) -> Vec<Vec<Hash>> {
        let mut all = vec![[hashes, &[[0; 32]]].concat(), [&[[0; 32]], hashes].concat()];
        for place in 0..hashes.len() {
            let mut changed = hashes.to_vec();
            changed[place][place] ^= 1;
            let mut without = hashes.to_vec();
            without.remove(place);
            let mut exchanged = hashes.to_vec();
            exchanged.swap(place, 0);
            all.extend([changed, without, exchanged]);
        }
        all.retain(|other| other != hashes);
        all
    }

    #[test]
    fn an_entry_is_proved_to_who_has_its_proof_only() {
        for size in 1..=20 {
            for sequence in 0..size {
                let text = serde_json::to_string(&inclusion(sequence, size)).unwrap();
                let proof: InclusionProof = serde_json::from_str(&text).unwrap();
                let verified = proof.verify(&[log_key(7)], ORIGIN).unwrap();
                assert_eq!((verified.entry(), verified.sequence()), (&*entry(sequence), sequence));
                assert_eq!(verified.checkpoint(), &checkpoint(size));
            }
        }
    }

    #[test]
    fn every_bent_proof_of_an_entry_is_refused() {
        for size in 1..=20 {
            for sequence in 0..size {
                let proof = inclusion(sequence, size);
                let refused = |change: &dyn Fn(&mut InclusionProof)| {
                    let mut proof = proof.clone();
                    change(&mut proof);
                    proof.verify(&[log_key(7)], ORIGIN).unwrap_err()
                };
                assert_eq!(refused(&|it| it.entry.push(' ')), ProofError::NotIncluded(sequence));
                for other in (0..=size).chain([u64::MAX]).filter(|other| *other != sequence) {
                    assert_eq!(refused(&|it| it.sequence = other), ProofError::NotIncluded(other));
                }
                for other in [0, size - 1, size + 1, u64::MAX] {
                    let wrong = ProofError::Size { size: other, signed: size };
                    assert_eq!(refused(&|it| it.size = other), wrong);
                }
                for hashes in bent(&proof.hashes) {
                    assert_eq!(
                        refused(&|it| it.hashes.clone_from(&hashes)),
                        ProofError::NotIncluded(sequence)
                    );
                }
                let other_root = Checkpoint { root: [0; 32], ..checkpoint(size) };
                let other_root = signed(&other_root).as_str().to_owned();
                assert_eq!(
                    refused(&|it| it.checkpoint.clone_from(&other_root)),
                    ProofError::NotIncluded(sequence)
                );
                let refusal = refused(&|it| it.checkpoint = it.checkpoint.replace("at 2026", "at 2025"));
                assert!(matches!(refusal, ProofError::Checkpoint(CheckpointError::Forged(_))));
                let refusal = refused(&|it| it.checkpoint.clear());
                assert!(matches!(refusal, ProofError::Checkpoint(CheckpointError::Malformed(_))));
            }
        }
        let proof = inclusion(3, 7);
        let unsigned = proof.verify(&[log_key(8)], ORIGIN);
        assert_eq!(unsigned, Err(ProofError::Checkpoint(CheckpointError::Unsigned)));
        let elsewhere = proof.verify(&[log_key(7)], "consentry.example/audit/uk");
        assert!(matches!(elsewhere, Err(ProofError::Checkpoint(CheckpointError::Origin { .. }))));
    }

    #[test]
    fn growth_is_proved_to_who_has_two_checkpoints_only() {
        for to in 0..=20 {
            for from in 0..=to {
                let text = serde_json::to_string(&growth(from, to)).unwrap();
                let proof: ConsistencyProof = serde_json::from_str(&text).unwrap();
                let verified = proof.verify(&[log_key(7)], ORIGIN).unwrap();
                assert_eq!((verified.from(), verified.to()), (&checkpoint(from), &checkpoint(to)));
            }
        }
    }

    #[test]
    fn every_bent_proof_of_growth_is_refused() {
        for to in 0..=20 {
            for from in 0..=to {
                let proof = growth(from, to);
                let refused = |proof: ConsistencyProof| proof.verify(&[log_key(7)], ORIGIN).unwrap_err();
                let not_grown = ProofError::NotGrown { from, to };
                for hashes in bent(&proof.hashes) {
                    assert_eq!(refused(ConsistencyProof { hashes, ..proof.clone() }), not_grown);
                }
                let with_root =
                    |size| signed(&Checkpoint { root: [0; 32], ..checkpoint(size) }).as_str().to_owned();
                assert_eq!(refused(ConsistencyProof { from: with_root(from), ..proof.clone() }), not_grown);
                // Every log begins with the empty one.
                if from > 0 || to == 0 {
                    assert_eq!(refused(ConsistencyProof { to: with_root(to), ..proof.clone() }), not_grown);
                }
                if from != to {
                    let backwards =
                        ConsistencyProof { from: proof.to.clone(), to: proof.from.clone(), ..proof.clone() };
                    assert_eq!(refused(backwards), ProofError::NotGrown { from: to, to: from });
                }
                for text in ["", &*proof.to.replace("at 2026", "at 2025")] {
                    let refusals = [
                        refused(ConsistencyProof { from: text.into(), ..proof.clone() }),
                        refused(ConsistencyProof { to: text.into(), ..proof.clone() }),
                    ];
                    assert!(refusals.iter().all(|refusal| matches!(refusal, ProofError::Checkpoint(_))));
                }
            }
        }
        let proof = growth(3, 7);
        for (keys, origin) in [(vec![log_key(8)], ORIGIN), (vec![log_key(7)], "consentry.example/audit/uk")] {
            assert!(matches!(proof.verify(&keys, origin), Err(ProofError::Checkpoint(_))));
        }
    }

    #[test]
    fn a_proof_that_would_not_hold_is_not_made() {
        let (five, six) = (signed(&checkpoint(5)), signed(&checkpoint(6)));
        let make =
            |sequence, of: &str| InclusionProof::make(&tree(6), of.to_owned(), sequence, &five).unwrap_err();
        assert_eq!(make(5, "entry 5"), UnprovableError::TooSmall { size: 5, wanted: 6 });
        assert_eq!(make(4, "entry 5"), UnprovableError::Disagrees);
        let early = InclusionProof::make(&tree(3), entry(0), 0, &five);
        assert!(matches!(early, Err(UnprovableError::Nodes(_))));
        let grow = |size, from, to| ConsistencyProof::make(&tree(size), from, to).unwrap_err();
        assert_eq!(grow(6, &six, &five), UnprovableError::TooSmall { size: 5, wanted: 6 });
        assert!(matches!(grow(5, &five, &six), UnprovableError::Nodes(_)));
        let other = signed(&Checkpoint { root: [0; 32], ..checkpoint(6) });
        assert_eq!(grow(6, &five, &other), UnprovableError::Disagrees);
    }

    /// The hash of `entry 0`, made with Python's hashlib.
    const FIRST: &str = "dziFphNIniTOLPdhmdakI/BC5LvxLX7s7pEu8nbGVwE=";

    #[test]
    fn a_proof_is_a_document_of_these_fields_and_of_no_other() {
        let checkpoint = Checkpoint { at: at(0), ..checkpoint(2) };
        let proof = InclusionProof::make(&tree(2), entry(1), 1, &signed(&checkpoint)).unwrap();
        let document = json!({
            "entry": "entry 1",
            "sequence": 1,
            "size": 2,
            "hashes": [FIRST],
            "checkpoint": checkpoint.sign(&signing_key(7), ORIGIN).unwrap(),
        });
        assert_eq!(serde_json::to_value(&proof).unwrap(), document);
        let read = |bent: Value| serde_json::from_value::<InclusionProof>(bent);
        let with = |field: &str, value: Value| {
            let mut bent = document.clone();
            bent[field] = value;
            read(bent)
        };
        assert_eq!(read(document.clone()).unwrap(), proof);
        for hash in ["", "AAAA", FIRST.trim_end_matches('='), &FIRST.replace('=', "==")] {
            assert!(with("hashes", json!([hash])).is_err(), "{hash}");
        }
        assert!(with("more", json!(1)).is_err());
        assert!(with("sequence", json!(-1)).is_err());
        assert!(with("sequence", json!("1")).is_err());
        for field in ["entry", "sequence", "size", "hashes", "checkpoint"] {
            let mut bent = document.clone();
            bent.as_object_mut().unwrap().remove(field);
            assert!(read(bent).is_err(), "{field}");
        }
        let twice = serde_json::to_string(&proof).unwrap().replacen('{', r#"{"size":2,"#, 1);
        assert!(serde_json::from_str::<InclusionProof>(&twice).is_err());
        let growth = serde_json::to_value(growth(1, 2)).unwrap();
        assert!(serde_json::from_value::<ConsistencyProof>(growth.clone()).is_ok());
        let mut more = growth;
        more["more"] = json!(1);
        assert!(serde_json::from_value::<ConsistencyProof>(more).is_err());
    }
}
