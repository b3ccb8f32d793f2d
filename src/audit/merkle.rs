//! The tree over a log's entries (RFC 9162 §2.1): what is written once can neither be changed,
//! nor left out, nor put elsewhere without another root.
//!
//! Whole subtrees are kept (about two hashes for an entry), so that a root, and a proof, takes as
//! many hashes as the tree is high.

use crypto::digest::sha256;

/// SHA-256.
pub type Hash = [u8; 32];

/// The root of a log without entries (RFC 9162 §2.1.1).
#[must_use]
pub fn empty() -> Hash {
    sha256(&[])
}

/// The hash of an entry, which no subtree can have.
#[must_use]
pub fn leaf(entry: &[u8]) -> Hash {
    sha256(&[&[0], entry].concat())
}

/// The hash of the subtree with these halves.
pub(crate) fn parent(left: &Hash, right: &Hash) -> Hash {
    let mut both = [1; 65];
    let [_, halves @ ..] = &mut both;
    let (first, second) = halves.split_at_mut(left.len());
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    sha256(&both)
}

/// A whole subtree: of `1 << level` entries, the first of which is `index << level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node {
    /// Its height; 0 is an entry.
    pub level: u32,
    /// Which of its height, from 0.
    pub index: u64,
}

/// Where whole subtrees are kept.
pub trait Nodes {
    /// Why one cannot be had.
    type Error;

    /// The hash of a whole subtree.
    ///
    /// # Errors
    ///
    /// If it cannot be had.
    fn node(&self, node: Node) -> Result<Hash, Self::Error>;
}

/// The subtrees that an entry completes, from the entry itself upwards, of a log that had `size`
/// entries before.
///
/// # Errors
///
/// That of the nodes.
pub fn completed<N: Nodes>(nodes: &N, size: u64, entry: Hash) -> Result<Vec<(Node, Hash)>, N::Error> {
    let (mut node, mut hash) = (Node { level: 0, index: size }, entry);
    let mut completed = vec![(node, hash)];
    while node.index % 2 == 1 {
        let left = nodes.node(Node { index: node.index - 1, ..node })?;
        hash = parent(&left, &hash);
        node = Node { level: node.level + 1, index: node.index / 2 };
        completed.push((node, hash));
    }
    Ok(completed)
}

/// The root of the first `size` entries.
///
/// # Errors
///
/// That of the nodes.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 { Ok(empty()) } else { part(nodes, 0, size) }
}

/// The hash over the entries from `from` to before `to`, where `from` begins a subtree that is
/// large enough.
fn part<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let size = to - from;
    if size.is_power_of_two() {
        let level = size.trailing_zeros();
        return nodes.node(Node { level, index: from >> level });
    }
    let middle = from + split(size);
    Ok(parent(&part(nodes, from, middle)?, &part(nodes, middle, to)?))
}

/// The largest power of two below `size`, which is 2 or more.
fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// That entry `index` is one of the first `size` (RFC 9162 §2.1.3.1); nothing, if it is not.
///
/// # Errors
///
/// That of the nodes.
pub fn inclusion<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if index >= size {
        return Ok(None);
    }
    let (mut from, mut to, mut proof) = (0, size, Vec::new());
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(part(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(part(nodes, from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(Some(proof))
}

/// That the first `old` entries begin the first `new` (RFC 9162 §2.1.4.1); nothing, if there are
/// not so many.
///
/// # Errors
///
/// That of the nodes.
pub fn consistency<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Option<Vec<Hash>>, N::Error> {
    if old == 0 || old > new {
        return Ok((old == 0).then(Vec::new));
    }
    let (mut from, mut to, mut proof) = (0, new, Vec::new());
    while old < to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(part(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(part(nodes, from, middle)?);
            from = middle;
        }
    }
    // What the old root is itself need not be told.
    if from > 0 {
        proof.push(part(nodes, from, to)?);
    }
    proof.reverse();
    Ok(Some(proof))
}

/// Whether a proof shows that an entry is in a log with this root (RFC 9162 §2.1.3.2).
#[must_use]
pub fn includes(root: &Hash, size: u64, index: u64, entry: Hash, proof: &[Hash]) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, entry);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            hash = parent(sibling, &hash);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            hash = parent(&hash, sibling);
        }
        (at, last) = (at / 2, last / 2);
    }
    last == 0 && hash == *root
}

/// Whether a proof shows that a log grew from one root to the other and only grew (RFC 9162
/// §2.1.4.2).
#[must_use]
pub fn extends(old: (u64, &Hash), new: (u64, &Hash), proof: &[Hash]) -> bool {
    let ((old, old_root), (new, new_root)) = (old, new);
    if old == new {
        return proof.is_empty() && old_root == new_root;
    }
    if old == 0 {
        return proof.is_empty() && *old_root == empty();
    }
    if old > new {
        return false;
    }
    let own = [*old_root];
    let whole: &[Hash] = if old.is_power_of_two() { &own } else { &[] };
    let mut path = whole.iter().chain(proof);
    let Some(first) = path.next() else { return false };
    let (mut at, mut last) = (old - 1, new - 1);
    while at % 2 == 1 {
        (at, last) = (at / 2, last / 2);
    }
    let (mut of_old, mut of_new) = (*first, *first);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at % 2 == 1 || at == last {
            of_old = parent(sibling, &of_old);
            of_new = parent(sibling, &of_new);
            while at % 2 == 0 && at != 0 {
                (at, last) = (at / 2, last / 2);
            }
        } else {
            of_new = parent(&of_new, sibling);
        }
        (at, last) = (at / 2, last / 2);
    }
    last == 0 && of_old == *old_root && of_new == *new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tree;

    fn tree(entries: &[Vec<u8>]) -> Tree {
        entries.iter().map(|entry| leaf(entry)).collect()
    }

    fn entries(number: u16) -> Vec<Vec<u8>> {
        (0..number).map(|entry| entry.to_be_bytes().to_vec()).collect()
    }

    /// As RFC 9162 §2.1.1 has it, over all entries.
    fn plain(entries: &[Vec<u8>]) -> Hash {
        match entries {
            [] => empty(),
            [entry] => leaf(entry),
            entries => {
                let (left, right) =
                    entries.split_at((1..entries.len()).rfind(|half| half.is_power_of_two()).unwrap());
                parent(&plain(left), &plain(right))
            }
        }
    }

    /// The roots that Certificate Transparency's implementations agree on.
    #[test]
    fn roots_are_those_of_certificate_transparency() {
        let leaves: [&[u8]; 8] =
            [b"", b"\0", b"\x10", b" !", b"01", b"@ABC", b"PQRSTUVW", b"`abcdefghijklmno"];
        let leaves = leaves.map(<[u8]>::to_vec);
        let kept = tree(&leaves);
        for (size, known) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (4, "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
            (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
            (6, "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
            (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(crypto::digest::hex(&root(&kept, size).unwrap()), known, "{size}");
        }
    }

    /// Every entry of every log of up to 70, and every other claim about it.
    #[test]
    fn an_inclusion_is_proved_and_nothing_else_is() {
        let all = entries(70);
        let kept = tree(&all);
        for size in 1..=70_u64 {
            let root = root(&kept, size).unwrap();
            assert_eq!(root, plain(&all[..usize::try_from(size).unwrap()]));
            for index in 0..size {
                let proof = inclusion(&kept, index, size).unwrap().unwrap();
                let entry = leaf(&all[usize::try_from(index).unwrap()]);
                assert!(includes(&root, size, index, entry, &proof));
                assert!(!includes(&root, size, (index + 1) % size, entry, &proof) || size == 1);
                assert!(!includes(&root, size, index, leaf(b"another"), &proof));
                assert!(!includes(&root, size, size, entry, &proof));
                for place in 0..proof.len() {
                    let mut bent = proof.clone();
                    bent[place][7] ^= 1;
                    assert!(!includes(&root, size, index, entry, &bent));
                    assert!(!includes(&root, size, index, entry, &proof[..place]));
                }
                assert!(!includes(&root, size, index, entry, &[proof, vec![root]].concat()));
            }
            assert_eq!(inclusion(&kept, size, size).unwrap(), None);
        }
    }

    #[test]
    fn growth_is_proved_and_nothing_else_is() {
        let all = entries(70);
        let kept = tree(&all);
        let roots: Vec<_> = (0..=70).map(|size| root(&kept, size).unwrap()).collect();
        for new in 0..=70_u64 {
            for old in 0..=new {
                let of = |size: u64| (size, &roots[usize::try_from(size).unwrap()]);
                let proof = consistency(&kept, old, new).unwrap().unwrap();
                assert!(extends(of(old), of(new), &proof), "{old} {new}");
                let wrong = leaf(b"another");
                assert!(!extends((old, &wrong), of(new), &proof), "{old} {new}");
                // Every log begins with the empty one.
                assert_eq!(extends(of(old), (new, &wrong), &proof), old == 0 && new > 0, "{old} {new}");
                assert!(old == new || !extends(of(new), of(old), &proof), "{old} {new}");
                if old > 0 && old < new {
                    assert!(!extends((old, of(new).1), of(new), &proof), "{old} {new}");
                    assert!(!extends(of(old), (new, of(old).1), &proof), "{old} {new}");
                    assert!(!extends((old - 1, of(old).1), of(new), &proof), "{old} {new}");
                }
                for place in 0..proof.len() {
                    let mut bent = proof.clone();
                    bent[place][7] ^= 1;
                    assert!(!extends(of(old), of(new), &bent));
                    assert!(!extends(of(old), of(new), &proof[..place]));
                }
            }
            assert_eq!(consistency(&kept, new + 1, new).unwrap(), None);
        }
    }
}
