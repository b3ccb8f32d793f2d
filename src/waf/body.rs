//! Bodies into arguments, files and texts.
//!
//! What cannot be read as what its content type says is an error that rules
//! see; the arguments that were found until then are kept and looked at.

mod json;
mod multipart;
mod xml;

use crate::request::decoded;

/// How a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Processor {
    UrlEncoded,
    Multipart,
    Json,
    Xml,
}

impl Processor {
    const ALL: [(Self, &'static str); 4] = [
        (Self::UrlEncoded, "URLENCODED"),
        (Self::Multipart, "MULTIPART"),
        (Self::Json, "JSON"),
        (Self::Xml, "XML"),
    ];

    /// Forms are read whatever rules say; the rest needs a rule.
    pub(crate) fn of(content_type: &[u8]) -> Option<Self> {
        let content_type = content_type.to_ascii_lowercase();
        let forms = [
            (b"application/x-www-form-urlencoded".as_slice(), Self::UrlEncoded),
            (b"multipart/form-data".as_slice(), Self::Multipart),
        ];
        forms.into_iter().find(|(start, _)| content_type.starts_with(start)).map(|(_, it)| it)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::ALL.iter().find(|(known, _)| *known == self).map_or("", |(_, name)| name)
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(it, _)| *it)
    }
}

/// What was in a body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) arguments: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) files: Vec<File>,
    /// Name of the part, and one line of its headers.
    pub(crate) part_headers: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) part_names: Vec<Vec<u8>>,
    pub(crate) xml_text: Option<Vec<u8>>,
    pub(crate) xml_attributes: Vec<Vec<u8>>,
    pub(crate) error: Option<&'static str>,
    pub(crate) strict_error: bool,
    pub(crate) unmatched_boundary: bool,
}

/// A file in a form.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) field: Vec<u8>,
    pub(crate) name: Vec<u8>,
    pub(crate) size: usize,
}

pub(crate) fn read(processor: Processor, content_type: &[u8], body: &[u8]) -> Parts {
    if body.is_empty() {
        return Parts::default();
    }
    match processor {
        Processor::UrlEncoded => Parts { arguments: form(body), ..Parts::default() },
        Processor::Multipart => multipart::read(content_type, body),
        Processor::Json => json::read(body),
        Processor::Xml => xml::read(body),
    }
}

/// `a=1&b=2`, decoded.
pub(crate) fn form(text: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    text.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = split_at(pair, b'=');
            (decoded(name), decoded(value))
        })
        .collect()
}

/// `a=1; b=2`, as it stands (RFC 6265 §5.4 decodes nothing).
pub(crate) fn cookies(text: &[u8]) -> Vec<(&[u8], &[u8])> {
    text.split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii_start)
        .filter(|pair| !pair.is_empty())
        .map(|pair| split_at(pair, b'='))
        .collect()
}

/// What stands before and behind a byte; all before where it is not there.
fn split_at(text: &[u8], separator: u8) -> (&[u8], &[u8]) {
    let at = text.iter().position(|byte| *byte == separator).unwrap_or(text.len());
    (text.get(..at).unwrap_or_default(), text.get(at + 1..).unwrap_or_default())
}

#[cfg(test)]
mod tests;
