//! Whether the holder of an account goes by a name.

use super::magic::UNVERIFIABLE;
use super::people::{Account, Product};

/// What the bank says of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the holder's.
    Match,
    /// It is nearly the holder's, who is called so.
    Close(&'static str),
    /// It is another's.
    NoMatch,
    /// The account is not verified, or the name is one of those about which nothing is said.
    NotPossible,
}

/// Letters in which a name may differ that is nearly the same.
const SLIPS: usize = 2;

/// Holds a name against that of the holder of an account.
pub(crate) fn verdict(account: &Account, name: &str) -> Verdict {
    let (asked, held) = (words(name), words(account.owner));
    if account.product == Product::Card || asked == words(UNVERIFIABLE) {
        return Verdict::NotPossible;
    }
    if asked == held {
        Verdict::Match
    } else if is_near(&asked, &held) {
        Verdict::Close(account.owner)
    } else {
        Verdict::NoMatch
    }
}

/// The words of a name without case, accents and punctuation.
fn words(name: &str) -> Vec<String> {
    let plain: String = name.to_lowercase().chars().map(base).collect();
    plain.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// A letter without the accents that occur in the names of this bank's customers.
fn base(letter: char) -> char {
    match letter {
        'à' | 'á' | 'â' | 'ä' | 'ą' => 'a',
        'ć' | 'ç' => 'c',
        'è' | 'é' | 'ê' | 'ë' | 'ę' => 'e',
        'ì' | 'í' | 'î' | 'ï' => 'i',
        'ł' => 'l',
        'ń' | 'ñ' => 'n',
        'ò' | 'ó' | 'ô' | 'ö' => 'o',
        'ś' => 's',
        'ù' | 'ú' | 'û' | 'ü' => 'u',
        'ź' | 'ż' => 'z',
        other => other,
    }
}

/// A slip or two, an initial in place of a first name, or one of two who hold it together.
fn is_near(asked: &[String], held: &[String]) -> bool {
    let initial = || match (asked, held) {
        ([first, last], [known, family]) => last == family && first.len() == 1 && known.starts_with(first),
        _ => false,
    };
    let one_of_two = || held.len() > 2 && asked.len() == 2 && asked.iter().all(|word| held.contains(word));
    distance(&asked.join(" "), &held.join(" ")) <= SLIPS || initial() || one_of_two()
}

/// In how many letters two texts differ (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in (1_usize..).zip(one.chars()) {
        let mut next = vec![index];
        for ((above, diagonal), known) in row.iter().skip(1).zip(&row).zip(&other) {
            let left = next.last().copied().unwrap_or_default();
            let changed = diagonal.saturating_add(usize::from(letter != *known));
            next.push(changed.min(above.saturating_add(1)).min(left.saturating_add(1)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::accounts;
    use super::*;
    use crate::BankKind;

    #[test]
    fn a_name_matches_exactly_nearly_or_not_at_all() {
        let [_, .., joint] = accounts(BankKind::BerlinGroupRedirect) else { panic!("there are accounts") };
        let anna = accounts(BankKind::PolishApi).first().expect("an account");
        let (owner, both) = ("Anna Wiśniewska", "Clara und David Sommer");
        for (account, name, expected) in [
            (anna, "anna  WISNIEWSKA", Verdict::Match),
            (anna, "Anna Wisniewka", Verdict::Close(owner)),
            (anna, "A. Wiśniewska", Verdict::Close(owner)),
            (anna, "Anna Nowak", Verdict::NoMatch),
            (anna, "B. Wiśniewska", Verdict::NoMatch),
            (anna, UNVERIFIABLE, Verdict::NotPossible),
            (joint, "Clara Sommer", Verdict::Close(both)),
            (joint, both, Verdict::Match),
        ] {
            assert_eq!(verdict(account, name), expected, "{name}");
        }
        let card = accounts(BankKind::BerlinGroupEmbedded).iter().find(|one| one.masked_pan().is_some());
        assert_eq!(verdict(card.expect("a card"), "Anna Leitner"), Verdict::NotPossible);
    }
}
