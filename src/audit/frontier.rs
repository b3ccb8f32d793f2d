//! What who appends needs of all that was appended before.

use std::fmt;
use std::str::FromStr;

use crypto::digest::{from_hex, hex};

use crate::merkle::{Hash, Node, Nodes, empty, parent};
use crate::tree::NotKept;

/// The roots of the largest whole subtrees that a log is made of: as many as its size has ones in
/// binary, so never more than 64.
///
/// They are all of a log that its next root, and each later one, depends on. As text it is the
/// size in decimal and then each root, from the largest subtree to the smallest, in lower-case
/// hexadecimal; parted by spaces. A wrong digit of a root cannot be seen in the text: it shows
/// in the next checkpoint, which does not grow out of the one before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// From the largest subtree to the smallest.
    roots: Vec<Hash>,
}

impl Frontier {
    /// That of a log without entries.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// Adds the hash of an entry.
    pub fn append(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each one at the end of the size is a subtree that finds its right half.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = parent(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root of the log (RFC 9162 §2.1.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        let smallest_first = self.roots.iter().rev().copied();
        smallest_first.reduce(|right, left| parent(&left, &right)).unwrap_or_else(empty)
    }

    /// How many entries the log has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }
}

/// Enough for [`completed`](crate::merkle::completed): what an entry completes are the subtrees
/// at the end.
impl Nodes for Frontier {
    type Error = NotKept;

    fn node(&self, node: Node) -> Result<Hash, NotKept> {
        let subtrees = self.size.checked_shr(node.level).unwrap_or_default();
        let larger = usize::try_from((subtrees >> 1).count_ones()).ok();
        let is_one = subtrees % 2 == 1 && node.index == subtrees - 1;
        larger.filter(|_| is_one).and_then(|larger| self.roots.get(larger)).copied().ok_or(NotKept(node))
    }
}

impl fmt::Display for Frontier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.size)?;
        self.roots.iter().try_for_each(|root| {
            f.write_str(" ")?;
            f.write_str(&hex(root))
        })
    }
}

/// The text is no frontier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frontier is a size and a hash for each one in it")]
pub struct InvalidFrontier;

impl FromStr for Frontier {
    type Err = InvalidFrontier;

    fn from_str(text: &str) -> Result<Self, InvalidFrontier> {
        let mut words = text.split(' ');
        let size = words.next().and_then(|size| size.parse().ok()).ok_or(InvalidFrontier)?;
        let mut roots = Vec::new();
        for word in words.take(MAX_ROOTS) {
            let mut root = [0; 32];
            if !from_hex(word, &mut root) {
                return Err(InvalidFrontier);
            }
            roots.push(root);
        }
        let read = Self { size, roots };
        let formed = size <= MAX_SIZE && read.roots.len() == usize::try_from(size.count_ones()).unwrap_or(0);
        if formed && read.to_string() == text { Ok(read) } else { Err(InvalidFrontier) }
    }
}

/// As many as a database counts; nobody appends so many that [`Frontier::append`] cannot count on.
const MAX_SIZE: u64 = u64::MAX >> 1;
const MAX_ROOTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::merkle::{completed, root};
    use crate::sample::{leaves, tree};

    #[test]
    fn a_frontier_has_the_root_of_its_log_and_completes_what_the_log_completes() {
        let whole = tree(200);
        let mut frontier = Frontier::empty();
        for (size, leaf) in (0..).zip(leaves(200)) {
            assert_eq!(frontier.size(), size);
            assert_eq!(Ok(frontier.root()), root(&whole, size));
            assert_eq!(Ok(frontier.root()), root(&frontier, size));
            assert_eq!(completed(&frontier, size, leaf), completed(&whole, size, leaf));
            assert_eq!(frontier.to_string().parse(), Ok(frontier.clone()));
            frontier.append(leaf);
        }
    }

    #[test]
    fn a_frontier_knows_the_subtrees_it_is_made_of_and_no_other() {
        let mut frontier = Frontier::empty();
        leaves(13).for_each(|leaf| frontier.append(leaf));
        let whole = tree(13);
        for level in 0..70 {
            for index in 0..20 {
                let node = Node { level, index };
                let is_one = [(3, 0), (2, 2), (0, 12)].contains(&(level, index));
                assert_eq!(
                    frontier.node(node),
                    whole.node(node).and_then(|hash| is_one.then_some(hash).ok_or(NotKept(node)))
                );
            }
        }
    }

    #[test]
    fn a_damaged_text_is_no_frontier() {
        let mut frontier = Frontier::empty();
        leaves(7).for_each(|leaf| frontier.append(leaf));
        let text = frontier.to_string();
        assert_eq!(text.len(), 1 + 3 * 65);
        for place in 0..text.len() {
            assert!(text[..place].parse::<Frontier>().is_err(), "cut at {place}");
            for wrong in [" ", "g", "+", "\n", "é"] {
                let (head, tail) = text.split_at(place);
                let longer = format!("{head}{wrong}{tail}");
                assert!(longer.parse::<Frontier>().is_err(), "{wrong:?} at {place}");
                let bent = format!("{head}{wrong}{}", &tail[1..]);
                assert!(bent == text || bent.parse::<Frontier>().is_err(), "{wrong:?} at {place}");
            }
        }
        let one_more = format!("{text} {}", "0".repeat(64));
        for damaged in ["", " ", "0 ", "00", "+0", "-1", &text.to_uppercase(), &one_more, &format!("0{text}")]
        {
            assert_eq!(damaged.parse::<Frontier>(), Err(InvalidFrontier), "{damaged}");
        }
        for (size, roots) in [(u64::MAX, 64), (1 << 63, 1), (u64::MAX - 1, 63)] {
            let text = format!("{size}{}", format!(" {}", "0".repeat(64)).repeat(roots));
            assert_eq!(text.parse::<Frontier>(), Err(InvalidFrontier), "{size}");
        }
        assert_eq!("0".parse(), Ok(Frontier::empty()));
    }

    #[test]
    fn the_largest_log_that_can_be_read_can_be_appended_to() {
        let text = format!("{MAX_SIZE}{}", format!(" {}", "0".repeat(64)).repeat(63));
        let mut frontier: Frontier = text.parse().unwrap();
        frontier.append([1; 32]);
        assert_eq!((frontier.size(), frontier.roots.len()), (1 << 63, 1));
    }
}
