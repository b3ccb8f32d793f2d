//! HTTP Message Signatures (RFC 9421) with `Content-Digest` (RFC 9530), which banks
//! move to from the profiles of [`http_signature`](crate::http_signature).
//!
//! Of RFC 9421 §2 we cover fields and derived components without parameters; a
//! signature that covers others is refused, because what it says is not known.

use sfv::{
    BareItem, DictSerializer, Dictionary, InnerList, Item, KeyRef, ListEntry, ListSerializer, Parser, key_ref,
};

use crate::digest::{same, sha256};
use crate::http_signature::InvalidSignature;
use crate::key::{Algorithm, PublicKey, SigningFailed, SigningKey};

/// Longest `Signature-Input` or `Signature` header we read, in bytes.
const MAX_HEADER: usize = 8 * 1024;
/// Most components one signature may cover.
const MAX_COVERED: usize = 32;
/// The name of our signature in both headers.
const LABEL: &KeyRef = key_ref("sig1");
/// RFC 9421 §2.3.
const PARAMETERS: &str = "@signature-params";

/// The `Content-Digest` value of a body (RFC 9530 §2), which an empty body has as well.
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    let mut digest = DictSerializer::new();
    digest.bare_item(key_ref("sha-256"), sha256(body).as_slice());
    digest.finish().unwrap_or_default()
}

/// Checks a `Content-Digest` header against the body.
///
/// # Errors
///
/// [`InvalidSignature::Malformed`] without a SHA-256 value, `Digest` if it differs.
pub fn verify_content_digest(header: &str, body: &[u8]) -> Result<(), InvalidSignature> {
    let stated = dictionary(header)?;
    let stated = bytes(&stated, "sha-256")?;
    if same(stated, &sha256(body)) { Ok(()) } else { Err(InvalidSignature::Digest) }
}

/// What a signature says of itself (RFC 9421 §2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// When it was made, in seconds since 1970.
    pub created: i64,
    /// The name of the key.
    pub key_id: String,
    /// What it is for, where it says so.
    pub tag: Option<String>,
}

/// The two headers of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageSignature {
    /// `Signature-Input`.
    pub input: String,
    /// `Signature`.
    pub signature: String,
}

/// Signs `components` in the order given: fields by their lower-case name,
/// derived components by theirs, such as `@method`. RSA keys sign
/// `rsa-v1_5-sha256`, the only algorithm of RFC 9421 that they share with what
/// they signed before.
///
/// # Errors
///
/// [`SigningFailed`] as the key, and `Unwritable` if a name or a parameter is no
/// structured field string.
pub fn sign(
    key: &SigningKey,
    parameters: &Parameters,
    components: &[(&str, &str)],
) -> Result<MessageSignature, SigningFailed> {
    let algorithm = name(key.algorithm());
    let unwritable = SigningFailed::Unwritable;
    let text = |text: &str| sfv::String::from_string(text.to_owned()).map_err(|_| unwritable);
    let mut covered = InnerList::default();
    for (component, _) in components {
        covered.items.push(Item::new(text(component)?));
    }
    let created = sfv::Integer::try_from(parameters.created).map_err(|_| unwritable)?;
    covered.params.insert(key_ref("created").to_owned(), created.into());
    covered.params.insert(key_ref("keyid").to_owned(), text(&parameters.key_id)?.into());
    covered.params.insert(key_ref("alg").to_owned(), text(algorithm)?.into());
    if let Some(tag) = &parameters.tag {
        covered.params.insert(key_ref("tag").to_owned(), text(tag)?.into());
    }
    let base = base(&covered, components).ok_or(unwritable)?;
    let signature = match key.algorithm() {
        Algorithm::Ps256 => key.sign_rsa_sha256(base.as_bytes())?,
        Algorithm::Es256 | Algorithm::EdDsa => key.sign(base.as_bytes())?,
    };
    let mut value = DictSerializer::new();
    value.bare_item(LABEL, signature.as_slice());
    Ok(MessageSignature {
        input: format!("{}={}", LABEL.as_str(), written(&covered).ok_or(unwritable)?),
        signature: value.finish().ok_or(unwritable)?,
    })
}

/// Checks the one signature of a message. `sent` answers the value of a component by
/// its name as it was received; `required` names those the signature has to cover.
///
/// # Errors
///
/// [`InvalidSignature`] names the first check that failed.
pub fn verify(
    headers: &MessageSignature,
    key: &PublicKey,
    sent: impl Fn(&str) -> Option<String>,
    required: &[&str],
) -> Result<Parameters, InvalidSignature> {
    let inputs = dictionary(&headers.input)?;
    let signatures = dictionary(&headers.signature)?;
    // With two signatures it is not said which one counts.
    let (Some((label, ListEntry::InnerList(covered))), 1) = (inputs.first(), inputs.len()) else {
        return Err(InvalidSignature::Malformed);
    };
    let signature = bytes(&signatures, label.as_str())?;
    let names = names(covered)?;
    if required.iter().any(|name| !names.contains(name)) {
        return Err(InvalidSignature::Coverage);
    }
    let values: Option<Vec<(&str, String)>> = names.iter().map(|name| Some((*name, sent(name)?))).collect();
    let values = values.ok_or(InvalidSignature::Coverage)?;
    let lines: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let parameters = parameters(covered, key)?;
    let base = base(covered, &lines).ok_or(InvalidSignature::Malformed)?;
    let right = match key.algorithm() {
        Algorithm::Ps256 => key.verify_rsa_sha256(base.as_bytes(), signature),
        Algorithm::Es256 | Algorithm::EdDsa => key.verify(base.as_bytes(), signature),
    };
    if right { Ok(parameters) } else { Err(InvalidSignature::Signature) }
}

/// RFC 9421 §6.2.2.
fn name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ps256 => "rsa-v1_5-sha256",
        Algorithm::Es256 => "ecdsa-p256-sha256",
        Algorithm::EdDsa => "ed25519",
    }
}

fn dictionary(header: &str) -> Result<Dictionary, InvalidSignature> {
    if header.len() > MAX_HEADER {
        return Err(InvalidSignature::Malformed);
    }
    Parser::new(header).parse().map_err(|_| InvalidSignature::Malformed)
}

/// A member that is a byte sequence.
fn bytes<'a>(of: &'a Dictionary, name: &str) -> Result<&'a [u8], InvalidSignature> {
    match of.get(name) {
        Some(ListEntry::Item(item)) => item.bare_item.as_byte_sequence().ok_or(InvalidSignature::Malformed),
        Some(ListEntry::InnerList(_)) | None => Err(InvalidSignature::Malformed),
    }
}

/// The names of the components, each of them once (RFC 9421 §2).
fn names(covered: &InnerList) -> Result<Vec<&str>, InvalidSignature> {
    let mut names: Vec<&str> = Vec::new();
    for item in &covered.items {
        let name = item.bare_item.as_string().ok_or(InvalidSignature::Malformed)?.as_str();
        if names.contains(&name) || name == PARAMETERS || !item.params.is_empty() {
            return Err(InvalidSignature::Malformed);
        }
        names.push(name);
    }
    if names.len() > MAX_COVERED { Err(InvalidSignature::Malformed) } else { Ok(names) }
}

fn parameters(covered: &InnerList, key: &PublicKey) -> Result<Parameters, InvalidSignature> {
    let malformed = InvalidSignature::Malformed;
    let text = |name: &str| match covered.params.get(name) {
        Some(value) => value.as_string().map(|text| Some(text.as_str().to_owned())).ok_or(malformed),
        None => Ok(None),
    };
    let created = covered.params.get("created").and_then(BareItem::as_integer).ok_or(malformed)?;
    // RFC 9421 §3.2: an algorithm that is named is the one that the key has.
    if text("alg")?.is_some_and(|named| named != name(key.algorithm())) {
        return Err(InvalidSignature::Algorithm);
    }
    Ok(Parameters {
        created: i64::from(created),
        key_id: text("keyid")?.ok_or(malformed)?,
        tag: text("tag")?,
    })
}

/// RFC 9421 §2.5.
fn base(covered: &InnerList, components: &[(&str, &str)]) -> Option<String> {
    let mut lines = Vec::new();
    for (name, value) in components {
        // A line break would let one component pose as another.
        if value.contains(['\r', '\n']) {
            return None;
        }
        lines.push(format!("\"{name}\": {}", value.trim()));
    }
    lines.push(format!("\"{PARAMETERS}\": {}", written(covered)?));
    Some(lines.join("\n"))
}

/// An inner list with its parameters, as structured fields write it.
fn written(covered: &InnerList) -> Option<String> {
    let mut list = ListSerializer::new();
    list.members([&ListEntry::InnerList(covered.clone())]);
    list.finish()
}

#[cfg(test)]
mod tests;
