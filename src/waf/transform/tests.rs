use proptest::prelude::*;

use super::*;

fn check(transformation: Transformation, cases: &[(&str, &str)]) {
    for (input, wanted) in cases {
        let output = transformation.apply(input.as_bytes());
        let output = String::from_utf8_lossy(&output);
        assert_eq!(output, *wanted, "{} of {input:?}", transformation.name());
    }
}

#[test]
fn urls_are_decoded_and_broken_escapes_stay() {
    check(Transformation::UrlDecode, &[("a%20b+c", "a b c"), ("%zz%4", "%zz%4"), ("%u0041", "%u0041")]);
    let wide =
        [("%u0041%U0062", "Ab"), ("%uff1cx%uFF1E", "<x>"), ("%u2019", "'"), ("%u00e9", "e"), ("%u", "%u")];
    check(Transformation::UrlDecodeUni, &wide);
    check(Transformation::Utf8ToUnicode, &[("aé’", "a%u00e9%u2019"), ("/e\0tc/passwd\0", "/etc/passwd")]);
    check(Transformation::UrlEncode, &[("a b*<", "a+b*%3c")]);
}

#[test]
fn entities_are_decoded_with_and_without_semicolon() {
    let cases = [
        ("&lt;b&GT&#x3C;&#0060&#x;", "<b><<&#x;"),
        ("&colon;&lpar;&Tab;", ":(\t"),
        ("&unknown;&", "&unknown;&"),
    ];
    check(Transformation::HtmlEntityDecode, &cases);
}

#[test]
fn escapes_of_scripts_styles_and_shells_are_decoded() {
    check(Transformation::JsDecode, &[("\\u0061\\x62\\143\\n\\uff41\\q\\uzz\\", "abc\naquzz\\")]);
    check(Transformation::CssDecode, &[("\\61 b\\000063\\\nd\\zz", "abcdzz")]);
    check(Transformation::EscapeSeqDecode, &[("\\x41\\101\\t\\?\\q\\xz\\", "AA\t?\\q\\xz\\")]);
}

#[test]
fn spaces_and_comments_are_folded() {
    check(Transformation::CompressWhitespace, &[("a \t\n b", "a b")]);
    check(Transformation::RemoveWhitespace, &[("a \t\n b", "ab")]);
    check(Transformation::ReplaceComments, &[("un/**/ion/*x", "un ion "), ("*/a", "*/a")]);
    check(Transformation::RemoveComments, &[("a/*b*/c<!--d-->e#f", "ace"), ("a--b", "a")]);
    check(Transformation::RemoveCommentsChar, &[("a/*b*/--c#", "abc")]);
    check(Transformation::Trim, &[("  a b ", "a b")]);
    check(Transformation::TrimLeft, &[("  a b ", "a b ")]);
    check(Transformation::TrimRight, &[("  a b ", "  a b")]);
    check(Transformation::RemoveNulls, &[("a\0b", "ab")]);
    check(Transformation::ReplaceNulls, &[("a\0b", "a b")]);
}

#[test]
fn command_lines_are_folded_as_shells_read_them() {
    check(Transformation::CmdLine, &[("C^AT  /e\\tc,;x ('a\")", "cat/etc x(a)")]);
}

#[test]
fn paths_are_normalised_without_leaving_the_root() {
    let cases = [
        ("/a//./b/../c", "/a/c"),
        ("/../../etc/passwd", "/etc/passwd"),
        ("../../etc", "../../etc"),
        ("a/b/..", "a/"),
        ("/a/b/", "/a/b/"),
        ("/", "/"),
        ("x.y", "x.y"),
    ];
    check(Transformation::NormalizePath, &cases);
    check(Transformation::NormalizePathWin, &[("\\a\\..\\b", "/b")]);
}

#[test]
fn codes_are_decoded() {
    check(Transformation::Base64Decode, &[("VGVzdA==", "Test"), ("VGVz!dA==", "Tes"), ("!", "")]);
    check(Transformation::Base64DecodeExt, &[("VG.Vz dA==", "Test")]);
    check(Transformation::Base64Encode, &[("Test", "VGVzdA=="), ("Tes", "VGVz"), ("", "")]);
    check(Transformation::HexDecode, &[("54657374", "Test"), ("5", "")]);
    check(Transformation::HexEncode, &[("Test", "54657374")]);
    check(Transformation::SqlHexDecode, &[("a0x5465 0x5 0X61b", "aTe 0x5 ab")]);
    check(Transformation::Length, &[("Test", "4")]);
    let digest = Transformation::HexEncode.apply(&Transformation::Sha1.apply(b"abc"));
    assert_eq!(digest, b"a9993e364706816aba3e25717850c26c9cd0d89d");
    check(Transformation::Lowercase, &[("ÄaB", "Äab")]);
    check(Transformation::Uppercase, &[("äaB", "äAB")]);
}

#[test]
fn a_name_is_found_in_any_case_and_both_spellings() {
    assert_eq!(Transformation::named("NORMALISEPATH"), Some(Transformation::NormalizePath));
    assert_eq!(Transformation::named("md5"), None);
    for known in Transformation::ALL {
        assert_eq!(Transformation::named(known.name()), Some(*known));
    }
}

/// Bytes that a transformation makes of one at most: `utf8toUnicode` writes six for two.
const GROWTH: usize = 4;

/// Bytes beside that, for digests and lengths.
const GROWTH_FIXED: usize = 64;

/// Texts that are mostly what transformations look for.
fn texts() -> impl Strategy<Value = Vec<u8>> {
    let scraps = prop::sample::select(vec![
        "%",
        "%u",
        "%4",
        "\\",
        "\\u",
        "\\x",
        "&#",
        "&#x",
        "&lt",
        "/*",
        "*/",
        "<!--",
        "--",
        "#",
        "..",
        "/",
        "\\",
        "0x",
        "=",
        " ",
        "\0",
        "é",
        "’",
        "\u{10ffff}",
        "a",
        "Z",
        "9",
        "+",
    ]);
    let piece = prop_oneof![
        scraps.prop_map(|scrap| scrap.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..4)
    ];
    prop::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn no_text_makes_a_transformation_panic_or_grow_without_bound(text in texts()) {
        for transformation in Transformation::ALL {
            let output = transformation.apply(&text);
            prop_assert!(output.len() <= text.len() * GROWTH + GROWTH_FIXED, "{}", transformation.name());
        }
    }

    #[test]
    fn a_text_without_the_bytes_that_are_needed_stays(text in texts()) {
        for transformation in Transformation::ALL {
            if !transformation.needs().meets(&ByteSet::of(&text)) && !text.is_empty() {
                prop_assert_eq!(&transformation.apply(&text), &text, "{}", transformation.name());
            }
        }
    }
}
