//! The whole tree of a log in memory, for who has read all of it.

use crate::merkle::{Hash, Node, Nodes, parent};

/// Every whole subtree of a log: about two hashes for an entry.
///
/// Made of the hashes of the entries, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By height, from the entries upwards.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Adds the hash of an entry.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        for level in &mut self.levels {
            level.push(hash);
            match level.as_slice() {
                [.., left, right] if level.len().is_multiple_of(2) => hash = parent(left, right),
                _ => return,
            }
        }
        self.levels.push(vec![hash]);
    }

    /// How many entries it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.levels.first().and_then(|entries| entries.len().try_into().ok()).unwrap_or_default()
    }
}

impl FromIterator<Hash> for Tree {
    fn from_iter<I: IntoIterator<Item = Hash>>(leaves: I) -> Self {
        let mut tree = Self::default();
        leaves.into_iter().for_each(|leaf| tree.append(leaf));
        tree
    }
}

impl Nodes for Tree {
    type Error = NotKept;

    fn node(&self, node: Node) -> Result<Hash, NotKept> {
        let level = usize::try_from(node.level).ok().and_then(|level| self.levels.get(level));
        let index = usize::try_from(node.index).ok();
        level.zip(index).and_then(|(level, index)| level.get(index)).copied().ok_or(NotKept(node))
    }
}

/// A subtree that the log does not have, or not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("subtree {} of height {} is not kept", .0.index, .0.level)]
pub struct NotKept(pub Node);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::completed;
    use crate::sample::leaves;

    /// What a store writes for each entry is what the tree holds.
    #[test]
    fn a_tree_has_the_subtrees_that_its_entries_complete_and_no_other() {
        let mut tree = Tree::default();
        let mut kept = 0;
        for (size, leaf) in (0..).zip(leaves(100)) {
            assert_eq!(tree.size(), size);
            let completed = completed(&tree, size, leaf).unwrap();
            tree.append(leaf);
            kept += completed.len();
            for (node, hash) in completed {
                assert_eq!(tree.node(node), Ok(hash));
                let next = Node { index: node.index + 1, ..node };
                assert_eq!(tree.node(next), Err(NotKept(next)));
            }
        }
        assert_eq!(tree.levels.iter().map(Vec::len).sum::<usize>(), kept);
        assert_eq!(
            tree.node(Node { level: 9, index: 0 }).unwrap_err().to_string(),
            "subtree 0 of height 9 is not kept"
        );
    }
}
