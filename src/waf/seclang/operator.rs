//! What rules hold values against.

use std::net::IpAddr;

use super::variable::Macro;
use super::{LoadError, Place};
use crate::byteset::ByteSet;

/// An operator with its argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Operator {
    /// `!`: a match is where the operator finds nothing.
    pub negated: bool,
    /// Which.
    pub kind: OperatorKind,
}

/// The operators that there are.
#[derive(Clone, Debug, PartialEq)]
pub enum OperatorKind {
    /// A pattern, as it is written.
    Rx(String),
    /// One of these phrases, in any case of ASCII.
    Pm(Vec<String>),
    /// One of the phrases of a file.
    PmFromFile(Vec<String>),
    /// The value is a part of this.
    Within(Macro),
    /// This is a part of the value.
    Contains(Macro),
    /// The value begins so.
    BeginsWith(Macro),
    /// The value ends so.
    EndsWith(Macro),
    /// The value is this.
    StrEq(Macro),
    /// The number is this.
    Eq(Macro),
    /// The number is this or more.
    Ge(Macro),
    /// The number is more.
    Gt(Macro),
    /// The number is this or less.
    Le(Macro),
    /// The number is less.
    Lt(Macro),
    /// libinjection sees SQL.
    DetectSqli,
    /// libinjection sees a script.
    DetectXss,
    /// A byte is not one of these.
    ValidateByteRange(ByteSet),
    /// A percent sign stands without two hexadecimal digits.
    ValidateUrlEncoding,
    /// The value is not UTF-8.
    ValidateUtf8Encoding,
    /// What this pattern finds has the check digit of a card's number (ISO/IEC 7812-1, Luhn).
    VerifyCc(String),
    /// The address is in one of these networks.
    IpMatch(Vec<Network>),
    /// Always.
    UnconditionalMatch,
    /// Never.
    NoMatch,
}

/// Addresses with a common beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) =
            text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Some(width), |bits| bits.trim().parse().ok()).filter(|bits| *bits <= width)?;
        Some(Self { address, bits })
    }

    /// Whether the address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = match (self.address, address) {
            (IpAddr::V4(one), IpAddr::V4(two)) => (one.to_bits() ^ two.to_bits()).leading_zeros(),
            (IpAddr::V6(one), IpAddr::V6(two)) => (one.to_bits() ^ two.to_bits()).leading_zeros(),
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing >= self.bits
    }
}

/// Reads `!@name argument`; without a name it is a pattern.
pub(crate) fn operator(place: &Place, text: &str) -> Result<Operator, LoadError> {
    let text = text.trim_start();
    let (negated, text) = text.strip_prefix('!').map_or((false, text), |text| (true, text.trim_start()));
    let Some(named) = text.strip_prefix('@') else {
        return Ok(Operator { negated, kind: OperatorKind::Rx(text.to_owned()) });
    };
    let (name, argument) = named.split_once(' ').unwrap_or((named, ""));
    Ok(Operator { negated, kind: kind(place, name, argument)? })
}

fn kind(place: &Place, name: &str, argument: &str) -> Result<OperatorKind, LoadError> {
    let words = || argument.split_whitespace().map(str::to_owned).collect();
    let text = || Macro::parse(place, argument.trim());
    Ok(match name.to_ascii_lowercase().as_str() {
        "rx" => OperatorKind::Rx(argument.to_owned()),
        "pm" => OperatorKind::Pm(words()),
        "pmfromfile" | "pmf" => OperatorKind::PmFromFile(words()),
        "within" => OperatorKind::Within(text()?),
        "contains" => OperatorKind::Contains(text()?),
        "beginswith" => OperatorKind::BeginsWith(text()?),
        "endswith" => OperatorKind::EndsWith(text()?),
        "streq" => OperatorKind::StrEq(text()?),
        "eq" => OperatorKind::Eq(text()?),
        "ge" => OperatorKind::Ge(text()?),
        "gt" => OperatorKind::Gt(text()?),
        "le" => OperatorKind::Le(text()?),
        "lt" => OperatorKind::Lt(text()?),
        "detectsqli" => OperatorKind::DetectSqli,
        "detectxss" => OperatorKind::DetectXss,
        "validatebyterange" => OperatorKind::ValidateByteRange(byte_range(place, argument)?),
        "validateurlencoding" => OperatorKind::ValidateUrlEncoding,
        "validateutf8encoding" => OperatorKind::ValidateUtf8Encoding,
        "verifycc" => OperatorKind::VerifyCc(argument.to_owned()),
        "ipmatch" => OperatorKind::IpMatch(networks(place, argument)?),
        "unconditionalmatch" => OperatorKind::UnconditionalMatch,
        "nomatch" => OperatorKind::NoMatch,
        _ => return Err(LoadError::unsupported(place, "operator", name)),
    })
}

fn networks(place: &Place, argument: &str) -> Result<Vec<Network>, LoadError> {
    argument
        .split(',')
        .map(|one| {
            Network::parse(one.trim())
                .ok_or_else(|| LoadError::malformed(place, format!("\"{one}\" is no network")))
        })
        .collect()
}

/// `9,10,32-126`.
fn byte_range(place: &Place, argument: &str) -> Result<ByteSet, LoadError> {
    let mut set = ByteSet::default();
    for range in argument.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.trim().parse::<u8>(), last.trim().parse::<u8>()) else {
            return Err(LoadError::malformed(place, format!("\"{range}\" is no range of bytes")));
        };
        set.extend(first..=last);
    }
    Ok(set)
}
