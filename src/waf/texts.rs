//! The texts of one request: each kept once, transformed once per chain, and
//! looked through once.

use std::rc::Rc;

use ahash::{HashMap, HashMapExt};

use crate::byteset::{BitSet, ByteSet, has_bit};
use crate::chains::{ChainId, Chains};
use crate::evaluate::Hit;
use crate::signatures::{Scratch, SignatureId, Signatures};

/// Number of a text in its request.
pub(crate) type TextId = usize;

/// To look at a text at all costs as much as so many of its bytes.
const LOOK: usize = 128;

/// A piece of a pattern that is found in it, as much as so many. Ordinary texts have few.
const PIECE: usize = 32;

/// Longest text that is remembered for other requests, in bytes.
const LONGEST_REMEMBERED: usize = 256;

/// Texts of an ordinary request.
const EXPECTED: usize = 64;

/// The texts that were met so far.
pub(crate) struct Texts<'r> {
    chains: &'r Chains,
    signatures: &'r Signatures,
    all: Vec<Text>,
    known: HashMap<Rc<[u8]>, TextId>,
    scratch: Scratch,
    /// What was dear to find out.
    hits: HashMap<(TextId, SignatureId), Option<Hit>>,
    /// Sets of signatures, one behind the other.
    candidates: Vec<u64>,
    /// Bytes that were transformed or looked through.
    work: usize,
}

struct Text {
    bytes: Rc<[u8]>,
    present: ByteSet,
    /// Other requests have it, too, and it is short, so that what is found out about it is worth remembering.
    common: bool,
    /// Where the signatures that may match it begin, if they were looked for.
    candidates: Option<usize>,
    /// What became of it, by chain.
    transformed: Vec<Option<TextId>>,
}

impl<'r> Texts<'r> {
    pub(crate) fn new(chains: &'r Chains, signatures: &'r Signatures) -> Self {
        let mut texts = Self {
            chains,
            signatures,
            all: Vec::with_capacity(EXPECTED),
            known: HashMap::with_capacity(EXPECTED),
            scratch: signatures.scratch(),
            hits: HashMap::new(),
            candidates: Vec::with_capacity(EXPECTED * signatures.count().div_ceil(64)),
            work: 0,
        };
        texts.put(b"");
        texts
    }

    /// Keeps a text, or finds it.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> TextId {
        self.keep(bytes, false)
    }

    /// The same of a text that other requests have, too, and that is no person's.
    pub(crate) fn put_common(&mut self, bytes: &[u8]) -> TextId {
        self.keep(bytes, true)
    }

    fn keep(&mut self, bytes: &[u8], common: bool) -> TextId {
        if let Some(known) = self.known.get(bytes) {
            return *known;
        }
        let kept: Rc<[u8]> = bytes.into();
        let id = self.all.len();
        self.known.insert(kept.clone(), id);
        self.all.push(Text {
            present: ByteSet::of(&kept),
            bytes: kept,
            common: common && bytes.len() <= LONGEST_REMEMBERED,
            candidates: None,
            transformed: Vec::new(),
        });
        id
    }

    pub(crate) fn bytes(&self, id: TextId) -> Rc<[u8]> {
        self.all.get(id).map_or_else(|| Rc::from([]), |text| text.bytes.clone())
    }

    /// The bytes for as long as nothing is added.
    pub(crate) fn view(&self, id: TextId) -> &[u8] {
        self.all.get(id).map_or(&[], |text| &text.bytes)
    }

    /// The bytes that it has.
    pub(crate) fn present(&self, id: TextId) -> ByteSet {
        self.all.get(id).map_or_else(ByteSet::default, |text| text.present)
    }

    /// Whether other requests have it, too.
    pub(crate) fn is_common(&self, id: TextId) -> bool {
        self.all.get(id).is_some_and(|text| text.common)
    }

    /// What the chain makes of a text.
    pub(crate) fn transformed(&mut self, id: TextId, chain: ChainId) -> TextId {
        let Some(step) = self.chains.get(chain) else { return id };
        let (Some(last), Some(text)) = (step.last, self.all.get(id)) else { return id };
        if !step.needs.meets(&text.present) {
            return id;
        }
        if let Some(Some(known)) = text.transformed.get(chain) {
            return *known;
        }
        let before = self.transformed(id, step.before);
        let Some(text) = self.all.get(before) else { return id };
        let after = if last.needs().meets(&text.present) || text.bytes.is_empty() {
            let output = last.apply(&text.bytes);
            let (bytes, common) = (text.bytes.len(), text.common);
            self.spend(bytes);
            self.keep(&output, common)
        } else {
            before
        };
        self.remember(id, chain, after);
        after
    }

    fn remember(&mut self, id: TextId, chain: ChainId, after: TextId) {
        if let Some(text) = self.all.get_mut(id) {
            if text.transformed.is_empty() {
                text.transformed = vec![None; self.chains.count()];
            }
            if let Some(place) = text.transformed.get_mut(chain) {
                *place = Some(after);
            }
        }
    }

    /// How many signatures there are to look for.
    pub(crate) fn signatures(&self) -> usize {
        self.signatures.count()
    }

    /// Adds the signatures that may match a text.
    pub(crate) fn add_candidates(&mut self, id: TextId, candidates: &mut BitSet) {
        if let Some(found) = self.candidates(id) {
            candidates.add_words(found);
        }
    }

    fn candidates(&mut self, id: TextId) -> Option<&[u64]> {
        let at = match self.all.get(id)? {
            Text { candidates: Some(at), .. } => *at,
            Text { bytes, present, common, .. } => {
                let (at, length) = (self.candidates.len(), bytes.len());
                let found = &mut self.candidates;
                let pieces =
                    self.signatures.add_candidates(bytes, *present, *common, &mut self.scratch, found);
                self.spend(length.saturating_add(pieces.saturating_mul(PIECE)));
                *self.all.get_mut(id)?.candidates.insert(at)
            }
        };
        self.candidates.get(at..at + self.signatures.count().div_ceil(64))
    }

    /// Whether a signature may match a text.
    pub(crate) fn may_match(&mut self, id: TextId, signature: SignatureId) -> bool {
        self.candidates(id).is_some_and(|words| has_bit(words, signature))
    }

    /// What became of looking for a signature in a text, if that was remembered.
    pub(crate) fn known_hit(&self, id: TextId, signature: SignatureId) -> Option<Option<Hit>> {
        self.hits.get(&(id, signature)).cloned()
    }

    /// Remembers it.
    pub(crate) fn remember_hit(&mut self, id: TextId, signature: SignatureId, hit: Option<Hit>) {
        self.hits.insert((id, signature), hit);
    }

    /// Counts bytes that something looked through, and that it was begun.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.work = self.work.saturating_add(bytes).saturating_add(LOOK);
    }

    pub(crate) fn work(&self) -> usize {
        self.work
    }
}
