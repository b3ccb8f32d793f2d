//! Rules from text to verdict.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use fuzz::today;
use libfuzzer_sys::fuzz_target;
use waf::seclang::{LoadError, parse};
use waf::{Patterns, Request, RuleSet, Settings, Sources, Typed};

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines = text.lines().count();
    let directives = match parse("fuzz", text) {
        Ok(directives) => directives,
        Err(error) => return in_file(&error, lines),
    };
    assert!(directives.iter().all(|(place, _)| (1..=lines).contains(&place.line)));
    let sources = Sources::default().with("fuzz", text).with_data("words.data", "one\ntwo\n# three\n");
    let mut settings = Settings::new(today());
    settings.patterns = Patterns::LeaveOut;
    match RuleSet::load(&sources, &settings) {
        Ok((rules, _)) => run(&rules),
        Err(error) => in_file(&error, lines),
    }
});

/// An error names a line that there is.
fn in_file(error: &LoadError, lines: usize) {
    match error {
        LoadError::Unsupported { place, .. }
        | LoadError::Malformed { place, .. }
        | LoadError::Pattern { place, .. } => assert!((1..=lines.max(1)).contains(&place.line), "{error}"),
        LoadError::Exclusion { .. } | LoadError::Unreadable { .. } => {}
    }
}

fn run(rules: &RuleSet) {
    let request = Request {
        method: "POST",
        target: "/v1/payments?a=1%27%20or%201=1&b[]=%3Cscript%3E&a=2",
        protocol: "HTTP/1.1",
        headers: &[
            ("content-type", b"application/json"),
            ("cookie", b"one=1; two=%00"),
            ("user-agent", b"${jndi:ldap://x}"),
        ],
        body: br#"{"a":{"b":[1,"union select",null,"../../etc/passwd"]},"c":"\u0000\ud83d\ude00"}"#,
        peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    };
    let verdict = rules.inspect(&request, &Typed::default());
    assert_eq!(verdict, rules.inspect(&request, &Typed::default()), "the same twice");
}
