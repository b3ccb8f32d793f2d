use super::*;

fn one(text: &str) -> Directive {
    let mut found = parse("test.conf", text).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0).1
}

fn rule(text: &str) -> RuleDecl {
    let Directive::Rule(rule) = one(text) else { panic!("no rule: {text}") };
    rule
}

#[test]
fn a_rule_goes_over_lines_and_keeps_the_backslashes_of_its_pattern() {
    let text = "# a comment\n\nSecRule ARGS|!ARGS:token \"@rx a\\\"b\\x5c\\d\" \\\n\
        \"id:7,\\\n    phase:1,\\\n    t:none,t:lowercase,\\\n\
        msg:'one, \\'two\\'',deny\"\n";
    let rule = rule(text);
    assert_eq!((rule.id, rule.phase, rule.links.len()), (7, 1, 1));
    assert_eq!(rule.links[0].place.line, 3);
    assert_eq!(rule.links[0].operator.kind, OperatorKind::Rx("a\"b\\x5c\\d".to_owned()));
    assert_eq!(rule.links[0].targets.len(), 2);
    assert!(rule.links[0].targets[1].excluded);
    let mut actions = rule.links[0].actions.iter();
    let message = actions
        .find_map(|action| if let Action::Message(message) = action { message.literal() } else { None });
    assert_eq!(message, Some("one, 'two'"));
}

#[test]
fn a_chain_is_one_rule_and_has_an_end() {
    let chain =
        "SecRule ARGS \"@streq a\" \"id:1,phase:2,chain\"\nSecRule ARGS:b \"!@eq 1\" \"setvar:tx.c=+1\"\n";
    let rule = rule(chain);
    assert_eq!(rule.links.len(), 2);
    assert!(rule.links[1].operator.negated);
    let open = parse("test.conf", "SecRule ARGS \"@streq a\" \"id:1,chain\"\n").unwrap_err();
    assert_eq!(open.to_string(), "test.conf:1: the chain has no end");
    assert!(parse("test.conf", "SecRule ARGS a \"id:1,chain\"\nSecMarker x\n").is_err());
}

#[test]
fn variables_are_selected_by_name_pattern_and_count() {
    let targets = rule(
        "SecRule &ARGS:a|REQUEST_COOKIES:/^a|b$/|!REQUEST_COOKIES:/x/|XML:/*|XML://@* \"@eq 0\" \"id:1\"",
    )
    .links
    .remove(0)
    .targets;
    assert_eq!(targets.len(), 5);
    assert!(targets[0].count && targets[2].excluded);
    let selector = &targets[1].variable.selector;
    assert!(selector.selects(b"abc") && selector.selects(b"xB") && !selector.selects(b"xa"));
    assert_eq!(targets[3].variable.collection, Collection::XmlText);
    assert_eq!(targets[4].variable.collection, Collection::XmlAttributes);
}

#[test]
fn what_is_not_supported_is_named_with_its_place() {
    for (text, message) in [
        ("\nSecFoo a", "x.conf:2: unsupported directive \"SecFoo\""),
        ("SecRule FOO a \"id:1\"", "x.conf:1: unsupported variable \"FOO\""),
        ("SecRule ARGS \"@geoLookup\" \"id:1\"", "x.conf:1: unsupported operator \"geoLookup\""),
        ("SecRule ARGS a \"id:1,t:md5\"", "x.conf:1: unsupported transformation \"md5\""),
        ("SecRule ARGS a \"id:1,exec:/bin/x\"", "x.conf:1: unsupported action \"exec\""),
        ("SecRule ARGS a \"id:1,ctl:foo=1\"", "x.conf:1: unsupported ctl \"foo\""),
        ("SecRule ARGS a \"id:1,setvar:ip.x=1\"", "x.conf:1: unsupported collection to set \"ip.x\""),
        ("SecRule ARGS a \"id:1,msg:'%{foo}'\"", "x.conf:1: unsupported variable \"foo\""),
        ("SecRule ARGS a \"phase:1\"", "x.conf:1: a rule has an id"),
        ("SecRule ARGS \"a", "x.conf:1: a quote is not closed"),
        ("SecArgumentSeparator ;", "x.conf:1: unsupported separator of arguments \";\""),
        ("SecMarker a \\", "x.conf:1: the last line continues into nothing"),
    ] {
        assert_eq!(parse("x.conf", text).unwrap_err().to_string(), message);
    }
}

#[test]
fn networks_hold_their_addresses() {
    let text = "SecRule REMOTE_ADDR \"@ipMatch 192.0.2.0/25, 2001:db8::/32,198.51.100.7\" \"id:1\"";
    let OperatorKind::IpMatch(networks) = &rule(text).links[0].operator.kind else { panic!("no networks") };
    let inside = |address: &str| networks.iter().any(|network| network.contains(address.parse().unwrap()));
    assert!(inside("192.0.2.127") && inside("2001:db8:1::1") && inside("198.51.100.7"));
    assert!(!inside("192.0.2.128") && !inside("2001:db9::1") && !inside("198.51.100.8"));
    assert!(parse("x", "SecRule REMOTE_ADDR \"@ipMatch 192.0.2.0/33\" \"id:1\"").is_err());
}
