//! Chains of transformations, as a tree: what chains have in common at their
//! beginning is done once per text.

use crate::byteset::ByteSet;
use crate::transform::Transformation;

/// Number of a chain; 0 changes nothing.
pub(crate) type ChainId = usize;

/// Every chain of a rule set.
#[derive(Debug)]
pub(crate) struct Chains {
    steps: Vec<Step>,
}

/// A chain: another one, and one transformation more.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) before: ChainId,
    pub(crate) last: Option<Transformation>,
    /// A text without any of these bytes stays as it is.
    pub(crate) needs: ByteSet,
}

impl Chains {
    pub(crate) fn new() -> Self {
        Self { steps: vec![Step { before: 0, last: None, needs: ByteSet::default() }] }
    }

    /// The chain of these transformations.
    pub(crate) fn chain(&mut self, transformations: &[Transformation]) -> ChainId {
        transformations.iter().fold(0, |before, next| self.longer(before, *next))
    }

    fn longer(&mut self, before: ChainId, next: Transformation) -> ChainId {
        let known = self.steps.iter().position(|step| step.before == before && step.last == Some(next));
        if let Some(known) = known {
            return known;
        }
        let needs = self.steps.get(before).map_or(ByteSet::default(), |step| step.needs).union(next.needs());
        self.steps.push(Step { before, last: Some(next), needs });
        self.steps.len() - 1
    }

    pub(crate) fn get(&self, chain: ChainId) -> Option<&Step> {
        self.steps.get(chain)
    }

    pub(crate) fn count(&self) -> usize {
        self.steps.len()
    }

    /// A chain with all that it goes through, the shortest first.
    pub(crate) fn through(&self, chain: ChainId) -> Vec<ChainId> {
        let mut all = vec![chain];
        let mut at = chain;
        while at != 0 {
            at = self.steps.get(at).map_or(0, |step| step.before);
            all.push(at);
        }
        all.reverse();
        all
    }
}
