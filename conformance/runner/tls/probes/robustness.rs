//! What a server does with greetings that are odd, large, in pieces, or none.

use std::time::Duration;

use super::super::fact::Rule;
use super::super::greeting::chance;
use super::super::wire::extension;
use super::super::{
    Cut, Fact, Greeting, Place, Problem, Reply, TLS12, TLS13, greet, greet_cut, say, version_name,
};
use super::{NO_TLS12, NO_TLS13, Taken};

/// Values that mean nothing are passed over, wherever a client may put them.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn grease(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let plain = Taken::by(place, within).await?.greeting(place);
    let mut odd = plain.clone();
    odd.suites.insert(0, 0x0a0a);
    odd.signature_schemes.insert(0, 0x2a2a);
    if !odd.versions.is_empty() {
        odd.versions.insert(0, 0x3a3a);
    }
    if let Some(groups) = &mut odd.groups {
        groups.insert(0, 0x4a4a);
    }
    if let Some(shares) = &mut odd.key_shares {
        shares.insert(0, (0x4a4a, vec![0]));
    }
    odd.alpn = vec![vec![0x5a, 0x5a], b"h2".to_vec(), b"http/1.1".to_vec()];
    odd.extra = vec![(0x6a6a, Vec::new()), (0x7a7a, vec![0])];
    tolerates(GREASE, place, &plain, &odd, "a greeting with GREASE", within).await
}

/// An extension that nobody knows is passed over.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn unknown_extension(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let plain = Taken::by(place, within).await?.greeting(place);
    let odd = Greeting { extra: vec![(0xfa17, chance())], ..plain.clone() };
    tolerates(UNKNOWN, place, &plain, &odd, "a greeting with an unknown extension", within).await
}

/// A large greeting is answered, or refused; post-quantum clients send more than a kilobyte.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn large_hello(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let plain = Taken::by(place, within).await?.greeting(place);
    let mut facts = Vec::new();
    for size in [4 << 10, 16 << 10] {
        let large = Greeting { padded_to: size, ..plain.clone() };
        let reply = greet(place, &large, within).await?;
        let sentence = format!("On a greeting of {size} bytes the server {}.", reply.told());
        facts.push(LARGE.check(reply.agrees() || reply.refuses(), sentence.clone(), sentence));
    }
    Ok(facts)
}

/// A greeting in pieces, of the network's or of the record layer's making, is put together.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn fragments(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let taken = Taken::by(place, within).await?;
    let plain = if taken.tls13 { Greeting::modern(place) } else { Greeting::careful12(place) };
    let whole = greet(place, &plain, within).await?;
    if !whole.agrees() {
        return Ok(vec![
            FRAGMENTS.skipped(format!("Asked in one piece already, the server {}.", whole.told())),
        ]);
    }
    let writes = greet_cut(place, &plain, Cut::Writes, within).await?;
    let sentence = format!("On a greeting that came byte by byte the server {}.", writes.told());
    let by_network = FRAGMENTS.check(writes.agrees(), sentence.clone(), sentence);
    let records = greet_cut(place, &plain, Cut::Records, within).await?;
    let sentence = format!("On a greeting in records of one byte the server {}.", records.told());
    let by_record = match records {
        Reply::Hello(_) | Reply::Retry(_) => FRAGMENTS.holds(sentence),
        Reply::Alert(_) | Reply::Closed => FRAGMENTS.noted(sentence),
        Reply::Silent | Reply::Garbled(_) => FRAGMENTS.fails(sentence),
    };
    Ok(vec![by_network, by_record])
}

/// What is no greeting ends the connection, soon.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn garbage(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let kinds: [(&str, Vec<u8>); 4] = [
        ("bytes that mean nothing", vec![0xff; 512]),
        ("a record of an unknown type", [&[0x63, 3, 1, 0, 4], b"what".as_slice()].concat()),
        ("a greeting that means nothing", [&[22, 3, 1, 0, 68, 1, 0, 0, 64], [0xff; 64].as_slice()].concat()),
        ("application data before any greeting", [&[23, 3, 3, 0, 4], b"what".as_slice()].concat()),
    ];
    let mut facts = Vec::new();
    for (what, bytes) in kinds {
        let reply = say(place, &bytes, within).await?;
        let sentence = format!("On {what} the server {}.", reply.told());
        facts.push(GARBAGE.check(reply.refuses(), sentence.clone(), sentence));
    }
    Ok(facts)
}

/// HTTP without TLS gets no answer but that it is wrong.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn plain_http(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let request = format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", place.host);
    let reply = say(place, request.as_bytes(), within).await?;
    let sentence = format!("On HTTP without TLS the server {}.", reply.told());
    Ok(vec![match &reply {
        Reply::Alert(_) | Reply::Closed => PLAIN.holds(sentence),
        Reply::Garbled(start) if start.starts_with(b"HTTP/1.1 400") || start.starts_with(b"HTTP/1.0 400") => {
            PLAIN.holds(sentence)
        }
        Reply::Garbled(start) if start.starts_with(b"HTTP/1.1 30") => PLAIN.noted(sentence),
        Reply::Garbled(_) | Reply::Silent | Reply::Hello(_) | Reply::Retry(_) => PLAIN.fails(sentence),
    }])
}

/// A client from the future is answered with a version of today.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn version_tolerance(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let taken = Taken::by(place, within).await?;
    if !taken.tls12 && !taken.tls13 {
        return Ok(vec![VERSIONS.skipped(NO_TLS12)]);
    }
    let mut facts = Vec::new();
    for version in [TLS13, 0x0305, 0x03ff] {
        // RFC 8446 §4.2.1: without supported_versions it can only be TLS 1.2 or nothing.
        let odd = Greeting { legacy_version: version, ..Greeting::tls12(place) };
        let reply = greet(place, &odd, within).await?;
        let sentence = format!(
            "On a hello of {} without supported_versions the server {}.",
            version_name(version),
            reply.told()
        );
        let kept = if taken.tls12 { reply.version() == Some(TLS12) } else { reply.refuses() };
        facts.push(VERSIONS.check(kept, sentence.clone(), sentence));
    }
    if taken.tls13 {
        let modern = Greeting::modern(place);
        let odd = Greeting { versions: vec![0x0305, 0x7f1c, TLS13, TLS12], ..modern.clone() };
        facts.extend(
            tolerates(VERSIONS, place, &modern, &odd, "supported_versions with unknown ones first", within)
                .await?,
        );
    }
    Ok(facts)
}

/// An empty list of groups is no list (RFC 8422 §5.1.1 wants one group at least).
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn empty_groups(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let plain = Taken::by(place, within).await?.greeting(place);
    let odd = Greeting {
        groups: Some(Vec::new()),
        key_shares: plain.key_shares.as_ref().map(|_| Vec::new()),
        ..plain
    };
    refuses(EMPTY, place, &odd, "an empty list of groups", within).await
}

/// The same extension twice is a mistake that the server names.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn duplicate_extension(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let plain = Taken::by(place, within).await?.greeting(place);
    let odd = Greeting { extra: vec![(extension::EXTENDED_MASTER_SECRET, Vec::new())], ..plain };
    refuses(TWICE, place, &odd, "an extension that comes twice", within).await
}

/// `renegotiation_info` with content in a first handshake is somebody's attempt to splice.
///
/// A server that never renegotiates loses nothing by not looking, so that is only noted.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn filled_renegotiation_info(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let plain = Greeting::tls12(place);
    if !greet(place, &plain, within).await?.agrees() {
        return Ok(vec![FILLED.skipped(NO_TLS12)]);
    }
    let odd = Greeting { renegotiation_info: Some(vec![7; 12]), ..plain };
    refuses(FILLED, place, &odd, "renegotiation_info with content in a first handshake", within).await
}

/// Early data without a session to go on with is not agreed to.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn early_data_unasked(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let plain = Greeting::tls13(place);
    if !greet(place, &plain, within).await?.agrees() {
        return Ok(vec![EARLY.skipped(NO_TLS13)]);
    }
    let reply = greet(place, &Greeting { early_data: true, ..plain }, within).await?;
    let sentence = format!("On early data without a session to go on with the server {}.", reply.told());
    let echoed = reply.hello().is_some_and(|hello| hello.extension(extension::EARLY_DATA).is_some());
    Ok(vec![EARLY.check((reply.agrees() || reply.refuses()) && !echoed, sentence.clone(), sentence)])
}

/// The odd greeting is agreed to if the plain one is.
async fn tolerates(
    rule: Rule,
    place: &Place,
    plain: &Greeting,
    odd: &Greeting,
    what: &str,
    within: Duration,
) -> Result<Vec<Fact>, Problem> {
    let usual = greet(place, plain, within).await?;
    if !usual.agrees() {
        return Ok(vec![rule.skipped(format!("Asked plainly already, the server {}.", usual.told()))]);
    }
    let reply = greet(place, odd, within).await?;
    let sentence = format!("On {what} the server {}.", reply.told());
    Ok(vec![rule.check(reply.version() == usual.version(), sentence.clone(), sentence)])
}

/// The greeting is refused; that it is agreed to is noted, and everything else is a failure.
async fn refuses(
    rule: Rule,
    place: &Place,
    odd: &Greeting,
    what: &str,
    within: Duration,
) -> Result<Vec<Fact>, Problem> {
    let reply = greet(place, odd, within).await?;
    let sentence = format!("On {what} the server {}.", reply.told());
    Ok(vec![match reply {
        Reply::Alert(_) | Reply::Closed => rule.holds(sentence),
        Reply::Hello(_) | Reply::Retry(_) => rule.noted(sentence),
        Reply::Silent | Reply::Garbled(_) => rule.fails(sentence),
    }])
}

const GREASE: Rule = Rule { probe: "grease", clause: "RFC 8701 §3" };
const UNKNOWN: Rule = Rule { probe: "unknown_extension", clause: "RFC 8446 §4.2; RFC 5246 §7.4.1.4" };
const LARGE: Rule = Rule { probe: "large_hello", clause: "RFC 8446 §5.1; RFC 7685" };
const FRAGMENTS: Rule = Rule { probe: "fragments", clause: "RFC 8446 §5.1" };
const GARBAGE: Rule = Rule { probe: "garbage", clause: "RFC 8446 §6" };
const PLAIN: Rule = Rule { probe: "plain_http", clause: "FAPI 2.0 SP §5.2.1; RFC 9325 §3.2" };
const VERSIONS: Rule = Rule { probe: "version_tolerance", clause: "RFC 8446 §4.2.1, §D.2" };
const EMPTY: Rule = Rule { probe: "empty_groups", clause: "RFC 8422 §5.1.1" };
const TWICE: Rule = Rule { probe: "duplicate_extension", clause: "RFC 8446 §4.2" };
const FILLED: Rule = Rule { probe: "filled_renegotiation_info", clause: "RFC 5746 §3.6" };
const EARLY: Rule = Rule { probe: "early_data_unasked", clause: "RFC 8446 §4.2.10" };
