//! Sessions that are gone on with, and the protocol that is spoken inside (RFC 8446 §2.2, RFC 7301).

use std::time::Duration;

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use super::super::fact::Rule;
use super::super::full::{Answer, Client, Identity, Manner, Opening, Session};
use super::super::{Fact, Place, Problem};

/// Whether sessions are gone on with, in each version.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn resumption(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let mut facts = Vec::new();
    for (name, version) in [("1.3", &TLS13), ("1.2", &TLS12)] {
        let client = Client::new(None);
        let manner = in_version(version);
        let Ok(_) = visit(&client, place, &manner, within).await? else {
            facts.push(RESUMED.skipped(format!("No handshake of TLS {name} came to its end.")));
            continue;
        };
        let offered = client.tickets();
        facts.push(match visit(&client, place, &manner, within).await? {
            Ok((session, _)) => RESUMED.noted(format!(
                "In TLS {name} the server offered {offered} sessions to go on with, and {}.",
                if session.resumed { "went on with one" } else { "began anew when one came back" }
            )),
            Err(why) => RESUMED.fails(format!("With a session of TLS {name} to go on with, {why}.")),
        });
    }
    Ok(facts)
}

/// Nothing is taken as early data, which anybody could send again.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn early_data(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let client = Client::new(None);
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", place.host);
    let manner = Manner { early: Some(request.into_bytes()), ..in_version(&TLS13) };
    if let Err(why) = visit(&client, place, &manner, within).await? {
        return Ok(vec![EARLY.skipped(format!("No handshake of TLS 1.3 came to its end: {why}."))]);
    }
    Ok(vec![match client.connect(place, &manner, within).await? {
        Opening::Open(session) if session.early_taken => EARLY.fails("The server took early data."),
        Opening::Open(session) if session.early_allowed => {
            EARLY.noted("The server's tickets allow early data, and it did not take any.")
        }
        Opening::Open(_) => EARLY.holds("The server's tickets allow no early data."),
        Opening::Refused(refusal) => EARLY.noted(format!("With a ticket, {}.", refusal.end)),
    }])
}

/// A session that began with a client certificate lets nobody in who shows none.
///
/// The identity is asked for again, or the session is not gone on with. `path` is one that only a
/// client with a certificate is let in to, if there is one.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn client_resumption(
    place: &Place,
    identity: &Identity,
    path: &str,
    within: Duration,
) -> Result<Vec<Fact>, Problem> {
    let mut facts = Vec::new();
    for (name, version) in [("1.3", &TLS13), ("1.2", &TLS12)] {
        let manner = in_version(version);
        let client = Client::new(Some(identity.clone()));
        let known = match call(&client, place, &manner, path, within).await? {
            Ok((session, answer)) if session.asked => answer,
            Ok(_) => {
                facts.push(IDENTITY.skipped(format!("In TLS {name} no client certificate is asked for.")));
                continue;
            }
            Err(why) => {
                facts
                    .push(IDENTITY.skipped(format!("In TLS {name} the certificate did not open it: {why}.")));
                continue;
            }
        };
        client.hide_identity();
        facts.push(match call(&client, place, &manner, path, within).await? {
            Ok((session, answer)) if session.resumed && answer == known => IDENTITY.fails(format!(
                "In TLS {name} a session that began with a certificate lets a client in that shows none."
            )),
            Ok((session, _)) if session.resumed => IDENTITY.noted(format!(
                "In TLS {name} the session goes on without a certificate, and is answered differently."
            )),
            Ok(_) | Err(_) => IDENTITY.holds(format!(
                "In TLS {name} a session that began with a certificate is not gone on with by who shows none."
            )),
        });
    }
    Ok(facts)
}

/// A session that began where no certificate is asked for opens nothing where one is.
///
/// # Errors
///
/// Where one of the two cannot be reached.
pub async fn foreign_ticket(open: &Place, guarded: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let mut facts = Vec::new();
    for (name, version) in [("1.3", &TLS13), ("1.2", &TLS12)] {
        let manner = in_version(version);
        let client = Client::new(None);
        if let Err(why) = visit(&client, open, &manner, within).await? {
            facts.push(FOREIGN.skipped(format!("In TLS {name} no session began at {}: {why}.", open.host)));
            continue;
        }
        let taken = match client.connect(guarded, &manner, within).await? {
            Opening::Open(session) => session.resumed,
            Opening::Refused(_) => false,
        };
        facts.push(FOREIGN.check(
            !taken,
            format!("In TLS {name} a session from {} is not gone on with at {}.", open.host, guarded.host),
            format!(
                "In TLS {name} a session from {} opens {} without a certificate.",
                open.host, guarded.host
            ),
        ));
    }
    Ok(facts)
}

/// HTTP/1.1 and HTTP/2 are agreed on by name, and a protocol that nobody knows is not.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn alpn(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let mut facts = Vec::new();
    for (protocol, needed) in [("http/1.1", true), ("h2", false)] {
        let manner = Manner { alpn: vec![protocol.into()], ..Manner::default() };
        let chosen = match Client::new(None).connect(place, &manner, within).await? {
            Opening::Open(session) => session.alpn.is_some_and(|name| name == protocol.as_bytes()),
            Opening::Refused(_) => false,
        };
        let sentence = format!(
            "Offered {protocol} alone, the server {}.",
            if chosen { "takes it" } else { "does not take it" }
        );
        facts.push(match (chosen, needed) {
            (true, _) => ALPN.holds(sentence),
            (false, true) => ALPN.fails(sentence),
            (false, false) => ALPN.noted(sentence),
        });
    }
    let manner = Manner { alpn: vec!["nobody/1".into()], ..Manner::default() };
    facts.push(match Client::new(None).connect(place, &manner, within).await? {
        Opening::Open(session) => ALPN.check(
            session.alpn.is_none(),
            "A protocol that nobody knows is passed over.",
            "The server agreed to a protocol that nobody knows.",
        ),
        Opening::Refused(refusal) => ALPN.check(
            refusal.end.refuses(),
            format!("A protocol that nobody knows ends the handshake: {}.", refusal.end),
            format!("A protocol that nobody knows leads astray: {}.", refusal.end),
        ),
    });
    Ok(facts)
}

fn in_version(version: &'static SupportedProtocolVersion) -> Manner {
    Manner { version: Some(version), ..Manner::default() }
}

/// One connection with one request, after which tickets have come.
async fn visit(
    client: &Client,
    place: &Place,
    manner: &Manner,
    within: Duration,
) -> Result<Result<(Box<Session>, Answer), String>, Problem> {
    call(client, place, manner, "/", within).await
}

async fn call(
    client: &Client,
    place: &Place,
    manner: &Manner,
    path: &str,
    within: Duration,
) -> Result<Result<(Box<Session>, Answer), String>, Problem> {
    let mut session = match client.connect(place, manner, within).await? {
        Opening::Open(session) => session,
        Opening::Refused(refusal) => return Ok(Err(refusal.end.to_string())),
    };
    let answer = session.get(&place.host, path, within).await;
    Ok(match answer {
        Answer::Alert(name) => Err(format!("the server sent the alert {name}")),
        Answer::Status(_) | Answer::Closed | Answer::Silent | Answer::Other => Ok((session, answer)),
    })
}

const RESUMED: Rule = Rule { probe: "resumption", clause: "RFC 9325 §3.4; RFC 8446 §4.6.1" };
const EARLY: Rule = Rule { probe: "early_data", clause: "RFC 9325 §3.10; RFC 8446 §8" };
const IDENTITY: Rule = Rule { probe: "client_resumption", clause: "RFC 8705 §2; RFC 9325 §3.4" };
const FOREIGN: Rule = Rule { probe: "foreign_ticket", clause: "RFC 8446 §4.6.1; RFC 9325 §3.4" };
const ALPN: Rule = Rule { probe: "alpn", clause: "RFC 7301 §3.2; RFC 9325 §3.8" };
