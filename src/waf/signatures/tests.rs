use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;

/// Shapes of patterns: alternatives, classes, repetitions, anchors, case.
const PATTERNS: &[&str] = &[
    "(?i)e(?:val|x(?:ec|p))\\s*\\(",
    "^a+b?[c-e]{2}$",
    "['\"]\\s*(?:or|and)\\s*['\"\\d]",
    "(?:ab|[^x])+yz|q",
    "(?i)union.*select|\\bx(?:y{1,3}|z*)w",
    "a?b?c?",
    "(?i)[k-m]{3}|(?:aa|bb|){2}c",
    "[\\x80-\\xff]{2}",
];

fn signatures() -> Signatures {
    let declared = PATTERNS.iter().map(|pattern| Declared::pattern(Pattern::compile(pattern).unwrap()));
    let phrases = Declared::phrases(&["Union Jack".to_owned(), "x".to_owned()]).unwrap();
    Signatures::new(declared.chain([phrases]).collect()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// The index may only ever say too much.
    #[test]
    fn a_text_that_matches_is_always_a_candidate(
        text in "((?i)eval|exec|exp|union|select|jack| |\\(|'|\"|or|and|[a-eklmqw-zA-E0-9é]){0,12}"
    ) {
        static SIGNATURES: LazyLock<Signatures> = LazyLock::new(signatures);
        let (signatures, text) = (&*SIGNATURES, text.as_bytes());
        let mut scratch = signatures.scratch();
        let candidates = signatures.candidates(text, ByteSet::of(text), &mut scratch);
        for (id, signature) in signatures.all.iter().enumerate() {
            let matches = match signature {
                Signature::Pattern(runs) => runs.regex().unwrap().is_match(text),
                Signature::Phrases(phrases) => phrases.is_match(text),
                Signature::Sqli | Signature::Xss => false,
            };
            prop_assert!(!matches || candidates.contains(id), "{:?}", PATTERNS.get(id));
        }
    }
}

#[test]
fn an_ordinary_text_is_no_candidate_of_what_it_lacks() {
    let signatures = signatures();
    let text = b"Invoice 2026";
    let mut scratch = signatures.scratch();
    let candidates = signatures.candidates(text, ByteSet::of(text), &mut scratch);
    assert!(!candidates.contains(0) && !candidates.contains(2) && !candidates.contains(4), "{candidates:?}");
    assert!(candidates.contains(5), "what matches everything always is one");
}
