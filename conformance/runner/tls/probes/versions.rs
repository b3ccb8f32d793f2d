//! Which versions of the protocol a server takes.

use std::time::Duration;

use super::super::fact::Rule;
use super::super::{
    Fact, Greeting, Place, Problem, Reply, SSL3, TLS10, TLS11, TLS12, TLS13, greet, say, version_name,
};

/// SSL 2.0 to TLS 1.1 are refused; TLS 1.2, TLS 1.3 or both are taken.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn versions(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let oldest = say(place, &ssl2_greeting(), within).await?;
    let sentence = format!("Greeted as in SSL 2.0, the server {}.", oldest.told());
    let mut facts = vec![SSL2.check(oldest.refuses(), sentence.clone(), sentence)];
    for old in [SSL3, TLS10, TLS11] {
        let reply = greet(place, &Greeting::legacy(place, old), within).await?;
        facts.push(refused(old, &reply));
    }
    let twelve = greet(place, &Greeting::tls12(place), within).await?;
    let thirteen = greet(place, &Greeting::tls13(place), within).await?;
    let takes12 = twelve.version() == Some(TLS12);
    let takes13 = thirteen.version() == Some(TLS13);
    facts.push(RULE.check(
        takes12 || takes13,
        format!("The server takes {}.", taken(takes12, takes13)),
        format!("The server takes neither TLS 1.2 nor TLS 1.3: it {}.", twelve.told()),
    ));
    facts.push(RULE_13.fact(
        if takes13 { super::super::Verdict::Holds } else { super::super::Verdict::Noted },
        format!("Asked for TLS 1.3 alone, the server {}.", thirteen.told()),
    ));
    Ok(facts)
}

/// The greeting of SSL 2.0, which knows no records and no extensions.
fn ssl2_greeting() -> Vec<u8> {
    let suites = [1, 0, 0x80, 7, 0, 0xc0, 3, 0, 0x80, 6, 0, 0x40, 2, 0, 0x80];
    let head = [0x80, 9 + 15 + 16, 1, 0, 2, 0, 15, 0, 0, 0, 16];
    [head.as_slice(), &suites, &[0x5c; 16]].concat()
}

fn refused(old: u16, reply: &Reply) -> Fact {
    let sentence = format!("Asked for {} at most, the server {}.", version_name(old), reply.told());
    OLD.check(reply.refuses(), sentence.clone(), sentence)
}

fn taken(twelve: bool, thirteen: bool) -> &'static str {
    match (twelve, thirteen) {
        (true, true) => "TLS 1.2 and TLS 1.3",
        (true, false) => "TLS 1.2",
        _ => "TLS 1.3",
    }
}

const SSL2: Rule = Rule { probe: "versions", clause: "RFC 6176 §3; RFC 9325 §3.1.1" };
const OLD: Rule = Rule { probe: "versions", clause: "FAPI 2.0 SP §5.2.1; RFC 8996; RFC 9325 §3.1.1" };
const RULE: Rule = Rule { probe: "versions", clause: "FAPI 2.0 SP §5.2.1" };
const RULE_13: Rule = Rule { probe: "versions", clause: "RFC 9325 §3.1.1" };
