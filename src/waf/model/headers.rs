//! Headers that no description has, and whose form is stated elsewhere.

use crate::byteset::ByteSet;
use crate::typed::Typed;

/// Letters, digits and what an access token may hold beside (RFC 6750 §2.1, RFC 9110 §11.2).
const TOKEN: ByteSet = ALPHANUMERIC.union(ByteSet::ascii(b"-._~+/="));
/// What a JWS in compact form is made of (RFC 7515 §7.1).
const JWS: ByteSet = ALPHANUMERIC.union(ByteSet::ascii(b"-_."));
/// What identifiers of requests and traces are made of (FAPI 2.0; W3C Trace Context).
const IDENTIFIER: ByteSet = ByteSet::ascii(b"0123456789abcdefABCDEF-");
/// What most clients number their requests with.
const NUMBER: ByteSet = ALPHANUMERIC.union(ByteSet::ascii(b"-_"));
const ALPHANUMERIC: ByteSet = ByteSet::ascii(b"0123456789").union(ByteSet::UPPER).union(ByteSet::LOWER);

/// Adds those that have the form they should have. The others are not refused here: whoever reads them does
/// that, and signatures look into them.
pub(super) fn well_known(headers: &[(&str, &[u8])], typed: &mut Typed) {
    for (name, value) in headers {
        let has_form = match *name {
            "authorization" => is_token(value),
            "dpop" => is_of(value, &JWS),
            "x-fapi-interaction-id" | "traceparent" => is_of(value, &IDENTIFIER),
            "idempotency-key" => is_of(value, &NUMBER),
            _ => false,
        };
        // Of two with one name both are looked into.
        if has_form && headers.iter().filter(|(other, _)| other == name).count() == 1 {
            typed.add_header(name);
        }
    }
}

/// Whether this is one of our schemes, and one token.
fn is_token(value: &[u8]) -> bool {
    let mut parts = value.splitn(2, |byte| *byte == b' ');
    let (Some(scheme), Some(token)) = (parts.next(), parts.next()) else { return false };
    let ours = [&b"bearer"[..], b"dpop"].iter().any(|ours| scheme.eq_ignore_ascii_case(ours));
    ours && is_of(token, &TOKEN)
}

fn is_of(value: &[u8], bytes: &ByteSet) -> bool {
    !value.is_empty() && ByteSet::of(value).within(bytes)
}
