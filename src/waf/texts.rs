//! The texts of one request: each kept once, transformed once per chain, and
//! looked through once.

use std::collections::HashMap;
use std::rc::Rc;

use crate::byteset::{BitSet, ByteSet};
use crate::chains::{ChainId, Chains};
use crate::signatures::Signatures;

/// Number of a text in its request.
pub(crate) type TextId = usize;

/// The texts that were met so far.
pub(crate) struct Texts<'r> {
    chains: &'r Chains,
    signatures: &'r Signatures,
    all: Vec<Text>,
    known: HashMap<Rc<[u8]>, TextId>,
    scratch: BitSet,
    /// Bytes that were transformed or looked through.
    work: usize,
}

struct Text {
    bytes: Rc<[u8]>,
    present: ByteSet,
    candidates: Option<Rc<BitSet>>,
    /// What became of it, by chain.
    transformed: Vec<Option<TextId>>,
}

impl<'r> Texts<'r> {
    pub(crate) fn new(chains: &'r Chains, signatures: &'r Signatures) -> Self {
        let mut texts = Self {
            chains,
            signatures,
            all: Vec::new(),
            known: HashMap::new(),
            scratch: signatures.scratch(),
            work: 0,
        };
        texts.put(b"");
        texts
    }

    /// Keeps a text, or finds it.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> TextId {
        if let Some(known) = self.known.get(bytes) {
            return *known;
        }
        let kept: Rc<[u8]> = bytes.into();
        let id = self.all.len();
        self.known.insert(kept.clone(), id);
        self.all.push(Text {
            present: ByteSet::of(&kept),
            bytes: kept,
            candidates: None,
            transformed: Vec::new(),
        });
        id
    }

    pub(crate) fn bytes(&self, id: TextId) -> Rc<[u8]> {
        self.all.get(id).map_or_else(|| Rc::from([]), |text| text.bytes.clone())
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
            self.work += text.bytes.len();
            let output = last.apply(&text.bytes);
            self.put(&output)
        } else {
            before
        };
        self.remember(id, chain, after);
        after
    }

    fn remember(&mut self, id: TextId, chain: ChainId, after: TextId) {
        let chains = self.chains.count();
        if let Some(text) = self.all.get_mut(id) {
            text.transformed.resize(chains, None);
            if let Some(place) = text.transformed.get_mut(chain) {
                *place = Some(after);
            }
        }
    }

    /// The signatures that may match a text.
    pub(crate) fn candidates(&mut self, id: TextId) -> Rc<BitSet> {
        let Some(text) = self.all.get_mut(id) else { return Rc::default() };
        if let Some(known) = &text.candidates {
            return known.clone();
        }
        self.work += text.bytes.len();
        let found = Rc::new(self.signatures.candidates(&text.bytes, text.present, &mut self.scratch));
        text.candidates = Some(found.clone());
        found
    }

    /// Counts bytes that something else looked through.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.work = self.work.saturating_add(bytes);
    }

    pub(crate) fn work(&self) -> usize {
        self.work
    }
}
