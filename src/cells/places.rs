//! Which regions a request speaks of: by ids of personal data in it, nothing else.

use std::collections::BTreeSet;

use domain::Region;

/// Prefixes of ids of personal data.
const PREFIXES: [&str; 7] = ["con", "pay", "man", "acc", "txn", "adt", "evt"];

/// The regions of the ids in a text. What only looks like an id names no region.
#[must_use]
pub fn regions_in(text: &str) -> BTreeSet<Region> {
    let mut found = BTreeSet::new();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let words = text.split(|it: char| !u8::try_from(it).is_ok_and(word));
    for candidate in words {
        let mut parts = candidate.split('_');
        let (Some(prefix), Some(region), Some(value), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let hex = value.len() == 32 && value.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if hex
            && PREFIXES.contains(&prefix)
            && let Ok(region) = region.parse()
        {
            found.insert(region);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_regions_and_nothing_else_does() {
        let id = "01a2220987ac795c99a8df167cd7c47e";
        let found = |text: &str| regions_in(text).iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(found(&format!("/v1/consents/con_uk_{id}/events")), ["uk"]);
        assert_eq!(found(&format!("[\"pay_uk_{id}\",\"acc_eu_{id}\"]")), ["eu", "uk"]);
        for text in [
            format!("req_{id}"),
            format!("con_UK_{id}"),
            format!("con_europe_{id}"),
            format!("xcon_uk_{id}"),
            format!("con_uk_{}", &id[1..]),
            format!("con_uk_{id}_x"),
            "con_uk_".to_owned(),
        ] {
            assert_eq!(found(&text), [""; 0], "{text}");
        }
    }
}
