//! When a certificate holds (RFC 5280 §4.1.2.5).

use super::Kind;
use super::read::Certificate;
use crate::lint::Finding;

const CLAUSE: &str = "RFC 5280 §4.1.2.5";
const AT: &str = "validity";
const DAY: i64 = 86_400;
/// CA/Browser Forum, Baseline Requirements §6.3.2, since September 2020.
const WEB_DAYS: i64 = 398;
/// Three years and a month: what issuers of seals give at most.
const SEAL_DAYS: i64 = 1_126;
const SOON_DAYS: i64 = 30;

pub(super) fn check(certificate: &Certificate, kind: Kind, at: i64, findings: &mut Vec<Finding>) {
    let (from, to) = certificate.window();
    if to <= from {
        findings.push(
            Finding::error(
                "validity-reversed",
                CLAUSE,
                format!("The certificate ends at {} and begins at {}", moment(to), moment(from)),
            )
            .meant("a notAfter that comes after notBefore")
            .at(AT),
        );
        return;
    }
    if at < from {
        findings.push(
            Finding::error("not-yet-valid", CLAUSE, format!("The certificate begins at {}", moment(from)))
                .meant(
                    "the certificate that is valid now; if this one is new, check the clock of this machine",
                )
                .at(AT),
        );
    } else if at > to {
        findings.push(
            Finding::error("expired", CLAUSE, format!("The certificate ran out at {}", moment(to)))
                .meant("a new certificate from the same issuer")
                .at(AT),
        );
    } else if to - at < SOON_DAYS * DAY {
        findings.push(
            Finding::warning(
                "expires-soon",
                CLAUSE,
                format!("The certificate runs out in less than {SOON_DAYS} days, at {}", moment(to)),
            )
            .meant("a new certificate, registered at each bank before this one runs out")
            .at(AT),
        );
    }
    let (limit, clause) = if kind.is_for_web() {
        (WEB_DAYS, "CA/Browser Forum Baseline Requirements §6.3.2")
    } else {
        (SEAL_DAYS, "custom of issuers")
    };
    // A certificate's last second belongs to it.
    let days = (to - from) / DAY;
    if days > limit {
        findings.push(
            Finding::warning(
                "validity-long",
                clause,
                format!(
                    "The certificate is valid for {days} days, and more than {limit} is unusual for a {}",
                    kind.as_str()
                ),
            )
            .meant(format!("a certificate for at most {limit} days"))
            .at(AT),
        );
    }
}

/// A moment, as people write it.
pub(super) fn moment(second: i64) -> String {
    jiff::Timestamp::from_second(second).map_or_else(|_| format!("second {second}"), |at| at.to_string())
}
