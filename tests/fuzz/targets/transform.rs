//! Every transformation of the filter.

#![no_main]

use libfuzzer_sys::fuzz_target;
use waf::Transformation::{self, *};

/// Once is as often as twice.
const IDEMPOTENT: &[Transformation] = &[
    CompressWhitespace,
    Lowercase,
    RemoveNulls,
    RemoveWhitespace,
    ReplaceNulls,
    Trim,
    TrimLeft,
    TrimRight,
    Uppercase,
];

/// The second undoes the first.
const INVERSE: &[(Transformation, Transformation)] = &[
    (Base64Encode, Base64Decode),
    (Base64Encode, Base64DecodeExt),
    (HexEncode, HexDecode),
    (UrlEncode, UrlDecode),
    (UrlEncode, UrlDecodeUni),
];

/// Never longer than what it was.
const SHORTENING: &[Transformation] = &[
    Base64Decode,
    Base64DecodeExt,
    CmdLine,
    CompressWhitespace,
    CssDecode,
    EscapeSeqDecode,
    HexDecode,
    JsDecode,
    Lowercase,
    NormalizePath,
    NormalizePathWin,
    RemoveComments,
    RemoveCommentsChar,
    RemoveNulls,
    RemoveWhitespace,
    ReplaceComments,
    ReplaceNulls,
    Trim,
    TrimLeft,
    TrimRight,
    Uppercase,
    UrlDecode,
    UrlDecodeUni,
];

fuzz_target!(|data: &[u8]| {
    for transformation in Transformation::ALL {
        let name = transformation.name();
        let once = transformation.apply(data);
        if !matches!(transformation, Sha1 | Length) {
            assert!(once.len() <= 4 * data.len() + 4, "{name} makes {} of {}", once.len(), data.len());
        }
        if SHORTENING.contains(transformation) {
            assert!(once.len() <= data.len(), "{name} makes it longer");
        }
        let needs = transformation.needs();
        if !data.iter().any(|byte| needs.contains(*byte)) && !data.is_empty() {
            assert_eq!(once, data, "{name} needs none of these bytes and changes them");
        }
        if IDEMPOTENT.contains(transformation) {
            assert_eq!(transformation.apply(&once), once, "{name} twice");
        }
    }
    for (there, back) in INVERSE {
        assert_eq!(back.apply(&there.apply(data)), data, "{} and back", there.name());
    }
    assert_eq!(Trim.apply(data), TrimLeft.apply(&TrimRight.apply(data)));
    assert_eq!(Length.apply(data), data.len().to_string().into_bytes());
    if !data.windows(2).any(|pair| pair[0] == b'%' && pair[1].eq_ignore_ascii_case(&b'u')) {
        assert_eq!(UrlDecode.apply(data), UrlDecodeUni.apply(data), "they differ in %u only");
    }
    // As chains of rules have them: each reads what another has written.
    let chain = [Utf8ToUnicode, UrlDecodeUni, HtmlEntityDecode, JsDecode, CssDecode, Base64Decode, CmdLine];
    let mut text = data.to_vec();
    for transformation in chain {
        text = transformation.apply(&text);
    }
});
