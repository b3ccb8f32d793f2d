//! Requests of tests, built as the project's own runner sends them and read as
//! a server reads them.

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::stage::Input;
use crate::request::Request;
use crate::transform::Transformation;

/// A request that owns its parts.
pub(super) struct Owned {
    method: String,
    target: String,
    protocol: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

pub(super) enum Built {
    Request(Owned),
    /// No server takes it to its rules.
    Malformed,
}

impl Owned {
    pub(super) fn headers(&self) -> Vec<(&str, &[u8])> {
        self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect()
    }

    fn header(&self, wanted: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.as_slice())
    }

    pub(super) fn borrowed<'a>(&'a self, headers: &'a [(&'a str, &'a [u8])]) -> Request<'a> {
        Request {
            method: &self.method,
            target: &self.target,
            protocol: &self.protocol,
            headers,
            body: &self.body,
            // Not the loopback address, from which servers talk to themselves.
            peer: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
        }
    }
}

pub(super) fn build(input: &Input) -> Built {
    match &input.encoded_request {
        Some(encoded) => raw(&decoded(encoded)),
        None => received(sent(input)),
    }
}

/// What the runner sends.
pub(super) fn wire(input: &Input) -> Vec<u8> {
    if let Some(encoded) = &input.encoded_request {
        return decoded(encoded);
    }
    let Owned { method, target, protocol, headers, body } = sent(input);
    let lines = headers.iter().map(|(name, value)| [name.as_bytes(), b": ", value, b"\r\n"].concat());
    let head = format!("{method} {target} {protocol}\r\n").into_bytes();
    [head, lines.collect::<Vec<_>>().concat(), b"\r\n".to_vec(), body].concat()
}

fn decoded(encoded: &str) -> Vec<u8> {
    let compact: Vec<u8> = encoded.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    Transformation::Base64DecodeExt.apply(&compact)
}

fn sent(input: &Input) -> Owned {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut headers: Vec<(String, String)> =
        input.headers.iter().map(|(name, value)| (name.clone(), text(value))).collect();
    let completed = input.autocomplete_headers != Some(false);
    let method = input.method.clone().unwrap_or_else(|| "GET".to_owned());
    let mut body = input.data.as_ref().map_or_else(String::new, text).into_bytes();
    let content_type = |headers: &[(String, String)]| {
        headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map(|(_, value)| value.clone())
    };
    if !body.is_empty() && completed {
        if content_type(&headers).is_none() {
            headers.push(("Content-Type".to_owned(), FORM.to_owned()));
        }
        if content_type(&headers).as_deref() == Some(FORM) {
            body = escaped(body);
        }
    }
    if content_type(&headers).is_some_and(|value| value.starts_with("multipart/form-data;")) {
        body = String::from_utf8_lossy(&body).replace('\n', "\r\n").into_bytes();
    }
    if completed {
        complete(&mut headers, &method, body.len());
    }
    let target = input.uri.clone().unwrap_or_else(|| "/".to_owned());
    let protocol = input.version.clone().unwrap_or_else(|| "HTTP/1.1".to_owned());
    let headers = headers.into_iter().map(|(name, value)| (name, value.trim().as_bytes().to_vec())).collect();
    Owned { method, target, protocol, headers, body }
}

/// What a server makes of it: how long the body is, and whether it takes it at all.
fn received(mut sent: Owned) -> Built {
    let forbidden = |value: &Vec<u8>| value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0'));
    let length = sent.header("content-length");
    let coding = sent.header("transfer-encoding");
    // RFC 9112 §2.3, RFC 9110 §5.5, RFC 9112 §6.1.
    if sent.protocol.is_empty()
        || sent.headers.iter().any(|(_, value)| forbidden(value))
        || (length.is_some() && coding.is_some())
    {
        return Built::Malformed;
    }
    match (coding, length) {
        (Some(coding), _) if coding.eq_ignore_ascii_case(b"chunked") => sent.body = unchunked(&sent.body),
        (Some(_), _) => {}
        (None, Some(length)) => {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
            sent.body.truncate(length.unwrap_or(sent.body.len()));
        }
        (None, None) => sent.body.clear(),
    }
    Built::Request(sent)
}

fn complete(headers: &mut Vec<(String, String)>, method: &str, length: usize) {
    let mut add = |name: &str, value: String| {
        if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            headers.push((name.to_owned(), value));
        }
    };
    add("Connection", "close".to_owned());
    if length > 0 || ["POST", "PUT", "PATCH", "DELETE"].contains(&method) {
        add("Content-Length", length.to_string());
    }
}

/// The runner escapes forms that seem not to be escaped yet.
fn escaped(body: Vec<u8>) -> Vec<u8> {
    if Transformation::UrlDecode.apply(&body) != body {
        return body;
    }
    let pairs: Vec<Vec<u8>> = body
        .split(|byte| *byte == b'&')
        .map(|pair| {
            let pieces: Vec<Vec<u8>> = pair.splitn(2, |byte| *byte == b'=').map(escaped_piece).collect();
            pieces.join(&b'=')
        })
        .collect();
    pairs.join(&b'&')
}

fn escaped_piece(piece: &[u8]) -> Vec<u8> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let mut output = Vec::with_capacity(piece.len());
    for byte in piece {
        match byte {
            b' ' => output.push(b'+'),
            byte if plain(*byte) => output.push(*byte),
            byte => output.extend(format!("%{byte:02X}").bytes()),
        }
    }
    output
}

/// A request as it goes over the wire.
fn raw(bytes: &[u8]) -> Built {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let head = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
    let body = end.and_then(|end| bytes.get(end + 4..)).unwrap_or_default().to_vec();
    let head = String::from_utf8_lossy(head).into_owned();
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or("").splitn(3, ' ').collect();
    let [method, target, protocol] = words.as_slice() else { return Built::Malformed };
    let mut headers = Vec::new();
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { return Built::Malformed };
        headers.push((name.to_owned(), value.trim().as_bytes().to_vec()));
    }
    let (method, target, protocol) = ((*method).to_owned(), (*target).to_owned(), (*protocol).to_owned());
    received(Owned { method, target, protocol, headers, body })
}

/// RFC 9112 §7.1, without extensions and trailers.
fn unchunked(body: &[u8]) -> Vec<u8> {
    let mut output = Vec::new();
    let mut rest = body;
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = rest.get(..end).and_then(|size| std::str::from_utf8(size).ok());
        let size = size.and_then(|size| usize::from_str_radix(size.trim(), 16).ok()).unwrap_or(0);
        output.extend_from_slice(rest.get(end + 2..end + 2 + size).unwrap_or_default());
        rest = rest.get(end + 4 + size..).unwrap_or_default();
        if size == 0 {
            break;
        }
    }
    output
}

const FORM: &str = "application/x-www-form-urlencoded";
