//! All patterns of a rule set at once: one pass over a text says which of them
//! may match it, and only those run.
//!
//! A necessary condition of each pattern ([`Need`]) is made of short pieces and
//! bytes. One automaton finds every piece of every pattern in one pass, so that
//! a text that no attack resembles costs one look per byte, however many rules
//! there are.

use std::collections::BTreeMap;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, AhoCorasickKind, MatchKind};
use regex::bytes::Regex;

use crate::byteset::{BitSet, ByteSet};
use crate::pattern::{Need, Pattern};

/// Number of a signature in its rule set.
pub(crate) type SignatureId = usize;

/// What a signature is.
#[derive(Debug)]
pub(crate) enum Signature {
    Pattern(Regex),
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
    checks: Vec<Check>,
    pieces: AhoCorasick,
    piece_count: usize,
    by_piece: Vec<Vec<SignatureId>>,
    by_byte: Vec<BitSet>,
    always: BitSet,
}

/// A [`Need`] with its pieces numbered.
#[derive(Debug)]
enum Check {
    Nothing,
    OneOf(ByteSet, Vec<usize>),
    All(Vec<Check>),
    Any(Vec<Check>),
}

impl Declared {
    pub(crate) fn pattern(pattern: Pattern) -> Self {
        Self { signature: Signature::Pattern(pattern.regex), need: pattern.need }
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
        let count = declared.len();
        let mut built = Index {
            pieces: BTreeMap::new(),
            by_piece: Vec::new(),
            by_byte: vec![BitSet::with_room(count); 256],
            always: BitSet::with_room(count),
        };
        let mut all = Vec::with_capacity(count);
        let mut checks = Vec::with_capacity(count);
        for (id, Declared { signature, need }) in declared.into_iter().enumerate() {
            built.trigger(id, &need);
            checks.push(built.check(&need));
            all.push(signature);
        }
        let mut pieces = vec![Vec::new(); built.pieces.len()];
        for (piece, at) in &built.pieces {
            if let Some(place) = pieces.get_mut(*at) {
                place.clone_from(piece);
            }
        }
        let automaton = AhoCorasickBuilder::new()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .kind(Some(AhoCorasickKind::DFA))
            .build(&pieces)
            .map_err(|error| error.to_string())?;
        let Index { by_piece, by_byte, always, .. } = built;
        Ok(Self { all, checks, piece_count: pieces.len(), pieces: automaton, by_piece, by_byte, always })
    }

    pub(crate) fn get(&self, id: SignatureId) -> Option<&Signature> {
        self.all.get(id)
    }

    pub(crate) fn count(&self) -> usize {
        self.all.len()
    }

    /// A set for the pieces of one text, to be used again for the next.
    pub(crate) fn scratch(&self) -> BitSet {
        BitSet::with_room(self.piece_count)
    }

    /// The signatures that may match a text. No other does.
    pub(crate) fn candidates(&self, text: &[u8], present: ByteSet, found: &mut BitSet) -> BitSet {
        let mut candidates = self.always.clone();
        let present = present.folded();
        for byte in present.iter() {
            if let Some(triggered) = self.by_byte.get(usize::from(byte)) {
                candidates.add(triggered);
            }
        }
        found.clear();
        if let Ok(pieces) = self.pieces.try_find_overlapping_iter(text) {
            for piece in pieces {
                let piece = piece.pattern().as_usize();
                if !found.contains(piece) {
                    found.insert(piece);
                    self.by_piece.get(piece).into_iter().flatten().for_each(|id| candidates.insert(*id));
                }
            }
        }
        let refuted: Vec<_> = candidates
            .iter()
            .filter(|id| self.checks.get(*id).is_some_and(|check| !check.holds(present, found)))
            .collect();
        refuted.into_iter().for_each(|id| candidates.remove(id));
        candidates
    }
}

/// The index while it is made.
struct Index {
    pieces: BTreeMap<Vec<u8>, usize>,
    by_piece: Vec<Vec<SignatureId>>,
    by_byte: Vec<BitSet>,
    always: BitSet,
}

impl Index {
    fn piece(&mut self, piece: &[u8]) -> usize {
        if let Some(at) = self.pieces.get(piece) {
            return *at;
        }
        let at = self.pieces.len();
        self.pieces.insert(piece.to_vec(), at);
        self.by_piece.push(Vec::new());
        at
    }

    /// Notes by which bytes and pieces a signature becomes a candidate: those of
    /// the strongest part, since all parts must hold.
    fn trigger(&mut self, id: SignatureId, need: &Need) {
        match need {
            Need::Nothing => self.always.insert(id),
            Need::OneOf(bytes, pieces) => {
                for byte in bytes.iter() {
                    if let Some(triggered) = self.by_byte.get_mut(usize::from(byte)) {
                        triggered.insert(id);
                    }
                }
                for piece in pieces {
                    let at = self.piece(piece);
                    self.by_piece.get_mut(at).into_iter().for_each(|ids| ids.push(id));
                }
            }
            Need::All(needs) => {
                if let Some(strongest) = needs.iter().max_by_key(|need| need.strength()) {
                    self.trigger(id, strongest);
                }
            }
            Need::Any(needs) => needs.iter().for_each(|need| self.trigger(id, need)),
        }
    }

    fn check(&mut self, need: &Need) -> Check {
        match need {
            Need::Nothing => Check::Nothing,
            Need::OneOf(bytes, pieces) => {
                Check::OneOf(*bytes, pieces.iter().map(|piece| self.piece(piece)).collect())
            }
            Need::All(needs) => Check::All(needs.iter().map(|need| self.check(need)).collect()),
            Need::Any(needs) => Check::Any(needs.iter().map(|need| self.check(need)).collect()),
        }
    }
}

impl Check {
    fn holds(&self, present: ByteSet, found: &BitSet) -> bool {
        match self {
            Self::Nothing => true,
            Self::OneOf(bytes, pieces) => {
                bytes.meets(&present) || pieces.iter().any(|piece| found.contains(*piece))
            }
            Self::All(checks) => checks.iter().all(|check| check.holds(present, found)),
            Self::Any(checks) => checks.iter().any(|check| check.holds(present, found)),
        }
    }
}
