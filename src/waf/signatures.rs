//! All patterns of a rule set at once: one pass over a text says which of them
//! may match it, and only those run.
//!
//! A necessary condition of each pattern ([`Need`]) is made of short pieces and
//! bytes. One automaton finds every piece of every pattern in one pass, so that
//! a text that no attack resembles costs one look per byte, however many rules
//! there are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use quick_cache::Equivalent;
use quick_cache::sync::Cache;

use crate::byteset::{BitSet, ByteSet};
use crate::pattern::{Need, Pattern, Runs};

/// Number of a signature in its rule set.
pub(crate) type SignatureId = usize;

/// What a signature is.
#[derive(Debug)]
pub(crate) enum Signature {
    Pattern(Runs),
    Phrases(AhoCorasick),
    Sqli,
    Xss,
}

/// A signature with its condition, before all are put together.
#[derive(Debug)]
pub(crate) struct Declared {
    pub(crate) signature: Signature,
    pub(crate) need: Need,
}

/// Every signature, found by what texts hold.
#[derive(Debug)]
pub(crate) struct Signatures {
    all: Vec<Signature>,
    /// The clauses that a text must fulfil beside.
    checks: Vec<Vec<ClauseId>>,
    pieces: AhoCorasick,
    clauses: usize,
    /// The clauses that a piece fulfils.
    by_piece: Vec<Vec<ClauseId>>,
    /// The clauses that a byte fulfils.
    by_byte: Vec<BitSet>,
    /// The signatures that become candidates by a clause: those of which it is the strongest.
    by_clause: Vec<Vec<SignatureId>>,
    /// The clauses by which any becomes one.
    strongest: BitSet,
    always: BitSet,
    /// What was found out about texts that come again: which may match, as sets, and which patterns do.
    remembered: Cache<Box<[u8]>, Arc<Remembered>>,
    outcomes: Cache<(SignatureId, Box<[u8]>), bool>,
}

/// A signature and a text, to look for what became of them.
#[derive(Hash)]
struct Tried<'t>(SignatureId, &'t [u8]);

impl Equivalent<(SignatureId, Box<[u8]>)> for Tried<'_> {
    fn equivalent(&self, (signature, text): &(SignatureId, Box<[u8]>)) -> bool {
        self.0 == *signature && *self.1 == **text
    }
}

/// What is remembered of a text: the signatures that may match it, as a set, and how many pieces it holds, so that it is
/// as much work when it comes again.
#[derive(Debug)]
struct Remembered {
    candidates: Box<[u64]>,
    pieces: usize,
}

/// How many texts are remembered.
const MOST_REMEMBERED: usize = 4_096;

/// Sets that are used again for each text.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// The clauses that a text fulfils.
    fulfilled: BitSet,
    candidates: BitSet,
    /// Pieces that were found in texts so far.
    pieces: usize,
}

/// Number of a clause: one of some bytes and pieces. Many patterns share one.
type ClauseId = usize;

impl Declared {
    pub(crate) fn pattern(pattern: Pattern) -> Self {
        Self { signature: Signature::Pattern(pattern.runs), need: pattern.need }
    }

    /// Phrases in any case of ASCII.
    pub(crate) fn phrases(phrases: &[String]) -> Result<Self, String> {
        let need = Need::phrases(phrases.iter().map(String::as_bytes));
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::LeftmostFirst)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(phrases)
            .map_err(|error| error.to_string())?;
        Ok(Self { signature: Signature::Phrases(automaton), need })
    }

    pub(crate) fn sqli() -> Self {
        Self { signature: Signature::Sqli, need: Need::Nothing }
    }

    /// Outside a tag only `<` begins one, and inside one an attribute needs its `=`.
    pub(crate) fn xss() -> Self {
        Self { signature: Signature::Xss, need: Need::bytes(ByteSet::ascii(b"<=")) }
    }
}

impl Signatures {
    pub(crate) fn new(declared: Vec<Declared>) -> Result<Self, String> {
        let mut index = Index::default();
        let mut always = BitSet::with_room(declared.len());
        let mut all = Vec::with_capacity(declared.len());
        let mut checks = Vec::with_capacity(declared.len());
        for (id, Declared { signature, need }) in declared.into_iter().enumerate() {
            match index.clause(need.strongest()) {
                Some(clause) => index.by_clause.get_mut(clause).into_iter().for_each(|ids| ids.push(id)),
                None => always.insert(id),
            }
            checks.push(index.others(&need));
            all.push(signature);
        }
        let clauses = index.clauses.len();
        let mut by_piece: BTreeMap<Vec<u8>, Vec<ClauseId>> = BTreeMap::new();
        let mut by_byte = vec![BitSet::with_room(clauses); 256];
        for ((bytes, pieces), clause) in index.clauses {
            for byte in bytes.iter() {
                by_byte.get_mut(usize::from(byte)).into_iter().for_each(|fulfilled| fulfilled.insert(clause));
            }
            pieces.into_iter().for_each(|piece| by_piece.entry(piece).or_default().push(clause));
        }
        let pieces = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(by_piece.keys())
            .map_err(|error| error.to_string())?;
        let by_piece = by_piece.into_values().collect();
        let by_clause = index.by_clause;
        let mut strongest = BitSet::with_room(clauses);
        let used = by_clause.iter().enumerate().filter(|(_, ids)| !ids.is_empty());
        used.for_each(|(clause, _)| strongest.insert(clause));
        let (remembered, outcomes) = (Cache::new(MOST_REMEMBERED), Cache::new(MOST_REMEMBERED));
        Ok(Self {
            all,
            checks,
            pieces,
            clauses,
            by_piece,
            by_byte,
            by_clause,
            strongest,
            always,
            remembered,
            outcomes,
        })
    }

    pub(crate) fn get(&self, id: SignatureId) -> Option<&Signature> {
        self.all.get(id)
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// Compiles what is not compiled yet; whether all of it could be.
    pub(crate) fn compile(&self) -> bool {
        let compiles = |signature: &Signature| match signature {
            Signature::Pattern(runs) => runs.regex().is_some(),
            Signature::Phrases(_) | Signature::Sqli | Signature::Xss => true,
        };
        // Each, also behind one that could not be.
        self.all.iter().filter(|signature| !compiles(signature)).count() == 0
    }

    /// Sets for one text, to be used again for the next.
    pub(crate) fn scratch(&self) -> Scratch {
        let (clauses, signatures) = (self.clauses, self.all.len());
        Scratch {
            fulfilled: BitSet::with_room(clauses),
            candidates: BitSet::with_room(signatures),
            pieces: 0,
        }
    }

    /// Whether a pattern matches a text that other requests have, too, if that is known.
    pub(crate) fn outcome(&self, id: SignatureId, text: &[u8]) -> Option<bool> {
        self.outcomes.get(&Tried(id, text))
    }

    /// Whether anything is remembered of a text.
    #[cfg(test)]
    pub(crate) fn remembers(&self, text: &[u8]) -> bool {
        let tried = |id| self.outcome(id, text).is_some();
        self.remembered.get(text).is_some() || (0..self.count()).any(tried)
    }

    /// Remembers it.
    pub(crate) fn remember(&self, id: SignatureId, text: &[u8], matches: bool) {
        self.outcomes.insert((id, text.into()), matches);
    }

    /// Adds to a list the signatures that may match a text, as a set. What is found for a text that other
    /// requests have, too, is remembered: most of what stands in a head does in the next one. Says how many pieces of
    /// patterns the text holds.
    pub(crate) fn add_candidates(
        &self,
        text: &[u8],
        present: ByteSet,
        common: bool,
        scratch: &mut Scratch,
        sets: &mut Vec<u64>,
    ) -> usize {
        if let Some(known) = common.then(|| self.remembered.get(text)).flatten() {
            sets.extend_from_slice(&known.candidates);
            return known.pieces;
        }
        let found = self.candidates(text, present, scratch).words();
        sets.extend_from_slice(found);
        let candidates = common.then(|| found.into());
        let pieces = std::mem::take(&mut scratch.pieces);
        if let Some(candidates) = candidates {
            self.remembered.insert(text.into(), Arc::new(Remembered { candidates, pieces }));
        }
        pieces
    }

    /// The signatures that may match a text. No other does.
    pub(crate) fn candidates<'s>(
        &self,
        text: &[u8],
        present: ByteSet,
        scratch: &'s mut Scratch,
    ) -> &'s BitSet {
        let Scratch { fulfilled, candidates, pieces: found } = scratch;
        fulfilled.clear();
        for byte in present.folded().iter() {
            if let Some(clauses) = self.by_byte.get(usize::from(byte)) {
                fulfilled.add(clauses);
            }
        }
        if let Ok(pieces) = self.pieces.try_find_overlapping_iter(text) {
            for piece in pieces {
                *found += 1;
                let clauses = self.by_piece.get(piece.pattern().as_usize());
                clauses.into_iter().flatten().for_each(|clause| fulfilled.insert(*clause));
            }
        }
        candidates.become_like(&self.always);
        for id in fulfilled.common(&self.strongest).filter_map(|clause| self.by_clause.get(clause)).flatten()
        {
            let mut others = self.checks.get(*id).into_iter().flatten();
            if others.all(|clause| fulfilled.contains(*clause)) {
                candidates.insert(*id);
            }
        }
        candidates
    }
}

/// The index while it is made.
#[derive(Default)]
struct Index {
    clauses: BTreeMap<(ByteSet, BTreeSet<Vec<u8>>), ClauseId>,
    by_clause: Vec<Vec<SignatureId>>,
}

impl Index {
    /// The number of a clause; none of what is none.
    fn clause(&mut self, need: &Need) -> Option<ClauseId> {
        let Need::OneOf(bytes, pieces) = need else { return None };
        let next = self.clauses.len();
        let clause = *self.clauses.entry((*bytes, pieces.clone())).or_insert(next);
        if clause == next {
            self.by_clause.push(Vec::new());
        }
        Some(clause)
    }

    /// All clauses but the strongest.
    fn others(&mut self, need: &Need) -> Vec<ClauseId> {
        match need {
            Need::Nothing | Need::OneOf(..) => Vec::new(),
            Need::All(needs) => {
                let others = needs.iter().filter(|clause| *clause != need.strongest());
                others.filter_map(|clause| self.clause(clause)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;
