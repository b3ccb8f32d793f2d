//! What a server adds to a handshake of TLS 1.2 so that it cannot be turned against the client.

use std::time::Duration;

use super::super::fact::Rule;
use super::super::reply::alert_name;
use super::super::twelve::{Again, renegotiate};
use super::super::{Fact, Greeting, Place, Problem, Reply, TLS11, TLS12, greet, version_name};
use super::{NO_TLS12, Taken};

/// In TLS 1.2 the server says that renegotiation would be secure, so that a client can rely on it.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn renegotiation_info(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let reply = greet(place, &Greeting::tls12(place), within).await?;
    Ok(vec![match reply.hello() {
        Some(hello) => INFO.check(
            hello.secure_renegotiation(),
            "The server answers renegotiation_info.",
            "The server leaves renegotiation_info away, or fills it in a first handshake.",
        ),
        None => INFO.skipped(NO_TLS12),
    }])
}

/// A client that wants to start over inside a connection is refused.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn renegotiation(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    Ok(vec![match renegotiate(place, within).await? {
        Again::NotBegun(why) => AGAIN.skipped(format!("Renegotiation could not be asked for: {why}.")),
        Again::Refused(code) => {
            AGAIN.holds(format!("A client that renegotiates is refused with the alert {}.", alert_name(code)))
        }
        Again::Closed => AGAIN.holds("On a client that renegotiates the connection is closed."),
        Again::PassedOver => AGAIN.holds("A client that renegotiates is passed over."),
        Again::Silent => AGAIN.noted("A client that renegotiates gets no answer."),
        Again::Agreed => AGAIN.fails("A client can renegotiate, as often as it likes."),
    }])
}

/// The master secret covers the whole handshake, so that two handshakes cannot be spliced.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn extended_master_secret(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let offered = Greeting::tls12(place);
    let without = Greeting { extended_master_secret: false, ..offered.clone() };
    let reply = greet(place, &offered, within).await?;
    let Some(hello) = reply.hello().filter(|hello| hello.version == TLS12) else {
        return Ok(vec![EMS.skipped(NO_TLS12)]);
    };
    let kept = EMS.check(
        hello.extended_master_secret(),
        "The server answers extended_master_secret.",
        "The server leaves extended_master_secret away.",
    );
    let bare = greet(place, &without, within).await?;
    let bare_fact = EMS.noted(format!("Without extended_master_secret offered, the server {}.", bare.told()));
    Ok(vec![kept, bare_fact])
}

/// The server signs nothing over SHA-1, even where the client knows nothing else.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn signatures(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let plain = Greeting::careful12(place);
    if greet(place, &plain, within).await?.version() != Some(TLS12) {
        return Ok(vec![SIGNATURES.skipped(NO_TLS12)]);
    }
    let reply = greet(place, &Greeting { signature_schemes: vec![0x0203, 0x0201], ..plain }, within).await?;
    let sentence = format!("Offered signatures over SHA-1 alone, the server {}.", reply.told());
    Ok(vec![SIGNATURES.check(reply.refuses(), sentence.clone(), sentence)])
}

/// What is sent is never compressed by TLS, because its length would tell what it says.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn compression(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let greeting = Greeting { compression: vec![1, 64, 0], ..Greeting::tls12(place) };
    let reply = greet(place, &greeting, within).await?;
    Ok(vec![match (&reply, reply.hello()) {
        (_, Some(hello)) => COMPRESSION.check(
            hello.compression == 0,
            "The server does not compress.",
            format!("The server chose the compression method {}.", hello.compression),
        ),
        (Reply::Silent | Reply::Garbled(_), None) => {
            COMPRESSION.fails(format!("Offered compression, the server {}.", reply.told()))
        }
        (_, None) => COMPRESSION.holds(format!("Offered compression, the server {}.", reply.told())),
    }])
}

/// A client that says it fell back is refused where the server knows a newer version.
///
/// The random's mark of RFC 8446 §4.1.3 is as good for clients that know TLS 1.3.
///
/// # Errors
///
/// Where the server cannot be reached.
pub async fn fallback(place: &Place, within: Duration) -> Result<Vec<Fact>, Problem> {
    let taken = Taken::by(place, within).await?;
    if !taken.tls13 && !taken.tls12 {
        return Ok(vec![FALLBACK.skipped(NO_TLS12)]);
    }
    let older = if taken.tls13 { TLS12 } else { TLS11 };
    let fallen = if taken.tls13 { Greeting::tls12(place) } else { Greeting::legacy(place, TLS11) };
    let alone = greet(place, &fallen, within).await?;
    if !alone.agrees() {
        return Ok(vec![FALLBACK.skipped("The server has no older version to fall back to.")]);
    }
    let reply = greet(place, &Greeting { fallback_scsv: true, ..fallen }, within).await?;
    let marked = alone.hello().is_some_and(|hello| hello.downgrade_marked());
    Ok(vec![match reply {
        Reply::Alert(86) => FALLBACK.holds("A fallback is refused as inappropriate."),
        Reply::Hello(_) if marked => FALLBACK.noted(format!(
            "The server does not look at TLS_FALLBACK_SCSV; its random marks {} as a downgrade.",
            version_name(older)
        )),
        Reply::Alert(_) | Reply::Closed => {
            FALLBACK.noted(format!("On a fallback the server {}, not inappropriate_fallback.", reply.told()))
        }
        Reply::Hello(_) | Reply::Retry(_) | Reply::Silent | Reply::Garbled(_) => {
            FALLBACK.fails(format!("On a fallback to {} the server {}.", version_name(older), reply.told()))
        }
    }])
}

const INFO: Rule = Rule { probe: "renegotiation_info", clause: "RFC 5746 §3.6; RFC 9325 §3.5" };
const AGAIN: Rule = Rule { probe: "renegotiation", clause: "RFC 9325 §3.5" };
const EMS: Rule = Rule { probe: "extended_master_secret", clause: "RFC 7627 §5.3; RFC 9325 §3.5" };
const SIGNATURES: Rule = Rule { probe: "signatures", clause: "RFC 9155 §4; RFC 9325 §4.5" };
const COMPRESSION: Rule = Rule { probe: "compression", clause: "RFC 9325 §3.3" };
const FALLBACK: Rule = Rule { probe: "fallback", clause: "RFC 7507 §3; RFC 8446 §4.1.3; RFC 9325 §3.1.3" };
