//! What a server does with client certificates (RFC 8446 §4.4.2, RFC 8705 §2).

use std::time::Duration;

use super::super::fact::Rule;
use super::super::full::{Answer, Client, Identity, Manner, Opening};
use super::super::{Fact, Place, Problem};

/// What a place is meant to do about client certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It asks for one.
    Wanted,
    /// It asks for none.
    Never,
    /// Either.
    Any,
}

/// Whether a client certificate is asked for, and that one from nowhere opens nothing.
///
/// `path` is one that only a client with a certificate is let in to, if there is one.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn client_certificates(
    place: &Place,
    asked: Asked,
    stranger: &Identity,
    path: &str,
    within: Duration,
) -> Result<Vec<Fact>, Problem> {
    let mut facts = Vec::new();
    let client = Client::new(None);
    let sees = match client.connect(place, &Manner::default(), within).await? {
        Opening::Open(session) => Some(session.asked),
        Opening::Refused(_) => client.was_asked().then_some(true),
    };
    let Some(sees) = sees else {
        return Ok(vec![ASKED.skipped("No handshake went so far that a certificate could be asked for.")]);
    };
    let sentence = if sees {
        "The server asks for a client certificate."
    } else {
        "The server asks for no client certificate."
    };
    facts.push(match asked {
        Asked::Wanted => ASKED.check(sees, sentence, sentence),
        Asked::Never => ASKED.check(!sees, sentence, sentence),
        Asked::Any => ASKED.noted(sentence),
    });
    if !sees {
        return Ok(facts);
    }
    facts.push(
        match Client::new(Some(stranger.clone())).connect(place, &Manner::default(), within).await? {
            Opening::Refused(refusal) => STRANGER.check(
                refusal.end.refuses(),
                format!("A certificate from nowhere ends the handshake: {}.", refusal.end),
                format!("A certificate from nowhere leads astray: {}.", refusal.end),
            ),
            Opening::Open(mut session) => answered(&session.get(&place.host, path, within).await),
        },
    );
    Ok(facts)
}

fn answered(answer: &Answer) -> Fact {
    match answer {
        Answer::Alert(name) => {
            STRANGER.holds(format!("A certificate from nowhere is refused with the alert {name}."))
        }
        Answer::Closed => STRANGER.holds("On a certificate from nowhere the connection is closed."),
        Answer::Status(code @ (400 | 401 | 403)) => {
            STRANGER.holds(format!("A client with a certificate from nowhere is answered with {code}."))
        }
        Answer::Status(code @ 200..=299) => {
            STRANGER.fails(format!("A client with a certificate from nowhere is answered with {code}."))
        }
        Answer::Status(code) => {
            STRANGER.noted(format!("A client with a certificate from nowhere is answered with {code}."))
        }
        Answer::Silent => STRANGER.fails("A client with a certificate from nowhere gets no answer."),
        Answer::Other => STRANGER.noted("A client with a certificate from nowhere is answered, not in HTTP."),
    }
}

const ASKED: Rule = Rule { probe: "client_certificates", clause: "RFC 8705 §2; RFC 8446 §4.3.2" };
const STRANGER: Rule = Rule { probe: "client_certificates", clause: "RFC 8705 §2.1; RFC 8446 §4.4.2.4" };
