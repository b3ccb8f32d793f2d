//! Which suites and groups a server takes, found by taking away what it chose and asking again.

use std::time::Duration;

use super::super::fact::Rule;
use super::super::groups::{self as known, Kind};
use super::super::suites::{self as registry, Standing};
use super::super::{Fact, Greeting, Place, Problem, TLS12, TLS13, Unreachable, greet};
use super::{NO_TLS12, NO_TLS13};

/// Every suite of TLS 1.2 that the server takes has forward secrecy and AEAD.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn suites12(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let (taken, odd) = eliminate(place, Greeting::tls12(place), TLS12, Part::Suites, within).await?;
    if taken.is_empty() && odd.is_none() {
        return Ok(vec![SUITES12.skipped(NO_TLS12)]);
    }
    let mut facts: Vec<Fact> = taken.iter().map(|code| suite12(*code)).collect();
    facts.extend(odd.map(|code| unasked(SUITES12, &registry::name(code))));
    Ok(facts)
}

fn suite12(code: u16) -> Fact {
    let name = registry::name(code);
    match registry::standing(code) {
        Standing::Recommended => SUITES12.holds(format!("The server takes {name}.")),
        Standing::Allowed(why) => SUITES12.noted(format!("The server takes {name}: {why}.")),
        Standing::Wrong(why) => SUITES12.fails(format!("The server takes {name}: {why}.")),
    }
}

/// Every suite of TLS 1.3 that the server takes is one that encrypts, with a whole tag.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn suites13(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let greeting = Greeting {
        suites: registry::OF_13.iter().map(|(code, _)| *code).collect(),
        ..Greeting::tls13(place)
    };
    let (taken, odd) = eliminate(place, greeting, TLS13, Part::Suites, within).await?;
    if taken.is_empty() && odd.is_none() {
        return Ok(vec![SUITES13.skipped(NO_TLS13)]);
    }
    let mut facts: Vec<Fact> = taken
        .iter()
        .map(|code| {
            let sentence = format!("The server takes {}.", registry::name(*code));
            SUITES13.check((0x1301..=0x1304).contains(code), sentence.clone(), sentence)
        })
        .collect();
    facts.extend(odd.map(|code| unasked(SUITES13, &registry::name(code))));
    Ok(facts)
}

/// Every group that the server takes is strong enough, and whether one holds against quantum computers.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn groups(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let all: Vec<u16> = known::ALL.iter().map(|group| group.code).collect();
    // No share at all: the server says which group it wants (RFC 8446 §4.2.8).
    let thirteen =
        Greeting { groups: Some(all.clone()), key_shares: Some(Vec::new()), ..Greeting::tls13(place) };
    let twelve = Greeting { groups: Some(all), ..Greeting::careful12(place) };
    let (taken13, odd13) = eliminate(place, thirteen, TLS13, Part::Groups, within).await?;
    let (taken12, odd12) = eliminate(place, twelve, TLS12, Part::Groups, within).await?;

    let mut facts = Vec::new();
    for (version, taken) in [("1.3", &taken13), ("1.2", &taken12)] {
        facts.extend(taken.iter().map(|code| group(version, *code)));
    }
    facts.extend(odd13.into_iter().chain(odd12).map(|code| unasked(GROUPS, &known::name(code))));
    let hybrid =
        taken13.iter().find(|code| known::group(**code).is_some_and(|group| group.kind == Kind::Hybrid));
    facts.push(QUANTUM.noted(hybrid.map_or_else(
        || "No group of the server holds against quantum computers.".to_owned(),
        |code| format!("{} holds against quantum computers.", known::name(*code)),
    )));
    Ok(facts)
}

fn group(version: &str, code: u16) -> Fact {
    let sentence = format!("In TLS {version} the server takes the group {}.", known::name(code));
    GROUPS.check(known::group(code).is_some_and(|group| group.is_strong()), sentence.clone(), sentence)
}

/// Where the server takes ephemeral Diffie-Hellman in a finite field, its prime has 2048 bits at least.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn dhe(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let all = Greeting::tls12(place);
    let suites = all.suites.iter().copied().filter(|code| registry::is_dhe(*code)).collect();
    let reply = greet(place, &Greeting { suites, ..all }, within).await?;
    Ok(vec![match (reply.suite(), reply.hello().and_then(|hello| hello.dh_bits)) {
        (_, Some(bits)) => {
            let sentence = format!("The prime of the server's Diffie-Hellman group has {bits} bits.");
            DHE.check(bits >= 2048, sentence.clone(), sentence)
        }
        (Some(suite), None) if registry::is_dhe(suite) => {
            DHE.fails("The server agreed to Diffie-Hellman and did not send its group.")
        }
        (Some(suite), None) => {
            DHE.noted(format!("Asked for DHE alone, the server chose {}.", registry::name(suite)))
        }
        (None, None) => DHE.check(
            reply.refuses(),
            "The server does not take Diffie-Hellman in a finite field.",
            format!("Asked for DHE alone, the server {}.", reply.told()),
        ),
    }])
}

#[derive(Clone, Copy)]
enum Part {
    Suites,
    Groups,
}

/// What is taken, in the server's order, and what was chosen without having been offered.
async fn eliminate(
    place: &Place,
    mut greeting: Greeting,
    version: u16,
    part: Part,
    within: Duration,
) -> Result<(Vec<u16>, Option<u16>), Unreachable> {
    let mut taken = Vec::new();
    loop {
        let reply = greet(place, &greeting, within).await?;
        let chosen = match part {
            Part::Suites => reply.suite(),
            Part::Groups => reply.group(),
        };
        let Some(chosen) = chosen.filter(|_| reply.version() == Some(version)) else {
            return Ok((taken, None));
        };
        let left = match part {
            Part::Suites => Some(&mut greeting.suites),
            Part::Groups => greeting.groups.as_mut(),
        };
        let Some(left) = left else { return Ok((taken, None)) };
        let before = left.len();
        left.retain(|code| *code != chosen);
        if left.len() == before {
            return Ok((taken, Some(chosen)));
        }
        taken.push(chosen);
        if left.is_empty() {
            return Ok((taken, None));
        }
    }
}

fn unasked(rule: Rule, name: &str) -> Fact {
    rule.fails(format!("The server chose {name}, which was not offered."))
}

const SUITES12: Rule = Rule { probe: "suites12", clause: "FAPI 2.0 SP §5.2.1; RFC 9325 §4.1, §4.2" };
const SUITES13: Rule = Rule { probe: "suites13", clause: "RFC 9325 §4.3; RFC 8446 §B.4" };
const GROUPS: Rule = Rule { probe: "groups", clause: "RFC 9325 §4.5" };
const QUANTUM: Rule = Rule { probe: "groups", clause: "RFC 8446 §4.2.7" };
const DHE: Rule = Rule { probe: "dhe", clause: "RFC 9325 §4.1, §4.5" };
