//! What every text has that a pattern matches: pieces and bytes, as a
//! necessary condition that is cheap to test for all patterns at once.
//!
//! Derived from the pattern's syntax tree, with A to Z folded to a to z
//! throughout: folding a text keeps every piece of it.

use std::collections::BTreeSet;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use crate::byteset::ByteSet;

/// A necessary condition of a match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// None is known.
    Nothing,
    /// One of these bytes or pieces.
    OneOf(ByteSet, BTreeSet<Vec<u8>>),
    /// All of these, each one of some.
    All(Vec<Need>),
}

/// Texts of an exact set at most.
const EXACT: usize = 96;

/// Bytes of a piece that are looked for: more select no better.
const PIECE: usize = 8;

/// Bytes of a class that are still texts of their own.
const CLASS: u32 = 12;

/// Bytes that nearly every text has.
const ORDINARY: ByteSet = ByteSet::LOWER.union(ByteSet::ascii(b"0123456789 .-_:,/"));

/// What is known of the texts that a part of the pattern matches.
enum Known {
    /// They are exactly these.
    Exact(BTreeSet<Vec<u8>>),
    /// They fulfil this.
    Needs(Need),
}

/// The condition of a translated pattern.
pub(super) fn of(pattern: &str) -> Result<Need, String> {
    let mut parser = ParserBuilder::new().unicode(false).utf8(false).dot_matches_new_line(true).build();
    let hir = parser.parse(pattern).map_err(|error| error.to_string())?;
    Ok(known(&hir).needs())
}

impl Need {
    /// One of these phrases, in any case.
    pub(crate) fn phrases<'a>(phrases: impl IntoIterator<Item = &'a [u8]>) -> Self {
        one_of(&phrases.into_iter().map(<[u8]>::to_ascii_lowercase).collect())
    }

    /// One of these bytes.
    pub(crate) fn bytes(bytes: ByteSet) -> Self {
        Self::OneOf(bytes.folded(), BTreeSet::new())
    }

    /// How well it selects: by the shortest piece; a byte of ordinary text hardly does.
    pub(crate) fn strength(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::OneOf(bytes, pieces) => {
                let by_bytes = match bytes {
                    none if none.is_empty() => usize::MAX,
                    ordinary if ordinary.meets(&ORDINARY) => 1,
                    _ => 12,
                };
                let shortest = pieces.iter().map(Vec::len).min();
                by_bytes.min(shortest.map_or(usize::MAX, |length| 10 * length))
            }
            Self::All(needs) => needs.iter().map(Self::strength).max().unwrap_or(0),
        }
    }

    /// The part that selects best.
    pub(crate) fn strongest(&self) -> &Self {
        match self {
            Self::Nothing | Self::OneOf(..) => self,
            Self::All(needs) => needs.iter().max_by_key(|need| need.strength()).unwrap_or(&Self::Nothing),
        }
    }

    fn all(needs: Vec<Self>) -> Self {
        let mut kept: Vec<Self> = Vec::new();
        for need in needs {
            match need {
                Self::Nothing => {}
                Self::All(more) => kept.extend(more),
                other if kept.contains(&other) => {}
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::Nothing,
            1 => kept.pop().unwrap_or(Self::Nothing),
            _ => Self::All(kept),
        }
    }

    /// Of alternatives, the strongest part of each: they become one clause.
    fn any(needs: &[Self]) -> Self {
        let (mut bytes, mut pieces) = (ByteSet::default(), BTreeSet::new());
        for need in needs {
            let Self::OneOf(more, texts) = need.strongest() else { return Self::Nothing };
            bytes = bytes.union(*more);
            pieces.extend(texts.iter().cloned());
        }
        Self::OneOf(bytes, pieces)
    }
}

impl Known {
    fn needs(self) -> Need {
        match self {
            Self::Needs(need) => need,
            Self::Exact(texts) => one_of(&texts),
        }
    }
}

fn one_of(texts: &BTreeSet<Vec<u8>>) -> Need {
    let (mut bytes, mut pieces) = (ByteSet::default(), BTreeSet::new());
    for text in texts {
        match text.as_slice() {
            [] => return Need::Nothing,
            [byte] => bytes.insert(*byte),
            longer => {
                // The end of a long text selects better: many begin alike.
                let from = longer.len().saturating_sub(PIECE);
                pieces.extend(longer.get(from..).map(<[u8]>::to_vec));
            }
        }
    }
    Need::OneOf(bytes, pieces)
}

fn known(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::Exact(BTreeSet::from([Vec::new()])),
        HirKind::Literal(literal) => Known::Exact(BTreeSet::from([literal.0.to_ascii_lowercase()])),
        HirKind::Class(class) => of_class(class),
        HirKind::Repetition(repetition) => of_repetition(repetition),
        HirKind::Capture(capture) => known(&capture.sub),
        HirKind::Concat(parts) => of_concat(parts),
        HirKind::Alternation(parts) => of_alternation(parts),
    }
}

fn of_class(class: &Class) -> Known {
    let mut bytes = ByteSet::default();
    match class {
        Class::Bytes(class) => {
            class.ranges().iter().for_each(|range| bytes.extend(range.start()..=range.end()))
        }
        Class::Unicode(_) => bytes = ByteSet::FULL,
    }
    let bytes = bytes.folded();
    if bytes.len() <= CLASS {
        return Known::Exact(bytes.iter().map(|byte| vec![byte]).collect());
    }
    // Nearly every byte: as good as any.
    let most = bytes.len() > 180;
    Known::Needs(if most { Need::Nothing } else { Need::OneOf(bytes, BTreeSet::new()) })
}

fn of_repetition(repetition: &Repetition) -> Known {
    let sub = known(&repetition.sub);
    match (repetition.min, repetition.max, sub) {
        (0, Some(1), Known::Exact(mut texts)) => {
            texts.insert(Vec::new());
            Known::Exact(texts)
        }
        (0, _, _) => Known::Needs(Need::Nothing),
        (1, Some(1), sub) => sub,
        (least, most, Known::Exact(texts)) if most == Some(least) && least <= 4 => {
            let mut product = BTreeSet::from([Vec::new()]);
            for _ in 0..least {
                match multiplied(&product, &texts) {
                    Some(more) => product = more,
                    None => return Known::Needs(one_of(&texts)),
                }
            }
            Known::Exact(product)
        }
        (_, _, sub) => Known::Needs(sub.needs()),
    }
}

/// Every text of the first followed by every text of the second, if that is few.
fn multiplied(first: &BTreeSet<Vec<u8>>, second: &BTreeSet<Vec<u8>>) -> Option<BTreeSet<Vec<u8>>> {
    if first.len().saturating_mul(second.len()) > EXACT {
        return None;
    }
    Some(
        first
            .iter()
            .flat_map(|one| second.iter().map(move |two| [one.as_slice(), two.as_slice()].concat()))
            .collect(),
    )
}

fn of_concat(parts: &[Hir]) -> Known {
    let mut exact = BTreeSet::from([Vec::new()]);
    let mut needs = Vec::new();
    for part in parts {
        match known(part) {
            Known::Needs(need) => {
                needs.push(one_of(&std::mem::replace(&mut exact, BTreeSet::from([Vec::new()]))));
                needs.push(need);
            }
            Known::Exact(texts) => match multiplied(&exact, &texts) {
                Some(product) => exact = product,
                None => needs.push(one_of(&std::mem::replace(&mut exact, texts))),
            },
        }
    }
    if needs.is_empty() {
        return Known::Exact(exact);
    }
    needs.push(one_of(&exact));
    Known::Needs(Need::all(needs))
}

fn of_alternation(parts: &[Hir]) -> Known {
    let known: Vec<Known> = parts.iter().map(known).collect();
    let mut together = BTreeSet::new();
    let exact = known.iter().all(|one| match one {
        Known::Exact(texts) => {
            together.extend(texts.iter().cloned());
            together.len() <= EXACT
        }
        Known::Needs(_) => false,
    });
    if exact {
        return Known::Exact(together);
    }
    let needs: Vec<Need> = known.into_iter().map(Known::needs).collect();
    Known::Needs(Need::any(&needs))
}
