use super::*;
use crate::byteset::ByteSet;

fn translated(written: &str) -> String {
    dialect::translate(written).unwrap()
}

fn matches(written: &str, text: &[u8]) -> bool {
    Pattern::compile(written).unwrap().runs.regex().unwrap().is_match(text)
}

#[test]
fn what_pcre_takes_for_characters_is_escaped() {
    assert!(matches("a{b", b"a{b") && matches("a{,2}", b"a{,2}") && matches("^a{2}$", b"aa"));
    assert!(
        matches("[[a]", b"[") && matches("[a&&b]", b"&") && matches("[]a]", b"]") && matches("[^]a]", b"b")
    );
    assert!(
        matches(r"[\d-x]", b"-")
            && matches(r"[\--9]", b"5")
            && matches("[+--]", b",")
            && matches("[a-]", b"-")
    );
    assert!(matches(r#"\"\<\>\/\-\_"#.replace(r"\_", "_").as_str(), b"\"<>/-_"));
    assert!(matches(r"[\b\x{ff}\x5c]", &[0xff]) && matches(r"\x{bc}", &[0xbc]));
    assert!(
        matches("^[€]$", "€".as_bytes().get(..1).unwrap()),
        "a class of bytes holds the bytes of a character"
    );
    assert!(matches("^€+$", "€€".as_bytes()));
    assert!(matches("a.b", b"a\nb"), "a dot is every byte");
    assert!(!matches("^a$", b"a\n"), "the end is the end");
    assert_eq!(translated(r"\Z"), r"(?:\n?\z)");
}

#[test]
fn what_cannot_run_in_linear_time_is_named() {
    let why = |written: &str| Pattern::compile(written).unwrap_err();
    assert_eq!(why("a(?=b)"), "look-ahead");
    assert_eq!(why("(?<!a)b"), "look-behind");
    assert_eq!(why(r"(a)\1"), "back reference");
    assert_eq!(why("a++"), "possessive quantifier");
    assert_eq!(why("(?>a)"), "atomic group");
    assert_eq!(why(r"\p{L}"), r"\p");
    assert_eq!(why(r"\x{20ac}"), r"\x{20ac} in a pattern of bytes");
}

fn need(written: &str) -> Need {
    Pattern::compile(written).unwrap().need
}

#[test]
fn a_pattern_needs_its_pieces() {
    assert_eq!(need("(?i)e(?:val|xec)"), Need::phrases([b"eval".as_slice(), b"exec"]));
    assert_eq!(need(r"\w*"), Need::Nothing);
    assert_eq!(need("a?"), Need::Nothing);
    let Need::All(needs) = need(r"union\s+select[^a]*;") else { panic!("all of several") };
    assert!(
        needs.contains(&Need::phrases([b"union".as_slice()]))
            && needs.contains(&Need::phrases([b"select".as_slice()]))
    );
    assert!(needs.contains(&Need::bytes(ByteSet::ascii(b";"))));
}
