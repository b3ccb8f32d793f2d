use proptest::prelude::*;

use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn what_is_plainly_no_sql_is_none_to_libinjection(
        text in "json\\.[a-zA-Z0-9_.]{0,12}|[0-9]{0,6}\\.?[0-9]{0,6}|[a-zA-Z_][a-zA-Z0-9_]{0,16}|\
                 (select|union|or|sp_password|x|0x|0b|1e|e)[0-9a-z_]{0,4}"
    ) {
        if plainly_no_sql(text.as_bytes()) {
            prop_assert!(!libinjectionrs::detect_sqli(text.as_bytes()).is_injection());
        }
    }

    #[test]
    fn no_script_is_seen_without_a_bracket_or_equals_sign(text in "[ -;>-~\\t\\n\\x00é]{0,24}") {
        prop_assert!(!libinjectionrs::detect_xss(text.as_bytes()).is_injection());
    }
}

#[test]
fn numbers_and_parts_are_compared_as_rules_say() {
    assert!(
        number_holds(NumberTest::AtLeast, number(b"5x"), 5)
            && number_holds(NumberTest::Less, number(b"-3"), 0)
    );
    assert!(number_holds(NumberTest::AtMost, 5, 5) && !number_holds(NumberTest::More, 5, 5));
    assert!(
        number_holds(NumberTest::Equal, number(b" +7"), 7) && number(b"99999999999999999999") == i64::MAX
    );
    assert!(text_holds(TextTest::Within, b"GET", b"GET POST") && text_holds(TextTest::Within, b"", b"GET"));
    assert!(text_holds(TextTest::Contains, b"abc", b"b") && !text_holds(TextTest::Equals, b"abc", b"b"));
    assert!(text_holds(TextTest::BeginsWith, b"abc", b"ab") && text_holds(TextTest::EndsWith, b"abc", b"bc"));
    assert!(badly_encoded(b"a%2") && badly_encoded(b"%zz") && !badly_encoded(b"a%20b"));
}

#[test]
fn a_number_of_a_card_has_its_check_digit() {
    let sixteen = Regex::new("[0-9]{4}(?: ?[0-9]{4}){3}").unwrap();
    assert!(has_card(&sixteen, b"x 4111 1111 1111 1111") && has_card(&sixteen, b"94111111111111111"));
    assert!(!has_card(&sixteen, b"4111111111111112") && !has_card(&sixteen, b""));
    // A rule may say so little that it finds nothing in many places.
    let nothing = Regex::new("x*").unwrap();
    assert!(!has_card(&nothing, b"") && !has_card(&nothing, b"xxab"));
}
