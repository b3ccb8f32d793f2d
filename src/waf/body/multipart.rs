//! Forms in parts (RFC 7578, RFC 2046 §5.1).
//!
//! Two readers that disagree about where a part begins are the classic way
//! past a filter, so that whatever is written otherwise than browsers write it
//! is a strict error.

use super::{File, Parts, split_at};

/// Reads a form.
pub(super) fn read(content_type: &[u8], body: &[u8]) -> Parts {
    let mut parts = Parts::default();
    let Some(boundary) = boundary(content_type) else {
        parts.error = Some("no usable boundary");
        parts.strict_error = true;
        return parts;
    };
    let mut reader = Reader { boundary, parts, part: None, closed: false, opened: false };
    reader.lines(body);
    reader.finish()
}

/// RFC 2046 §5.1.1: at most 70 characters, of which none is a quote.
fn boundary(content_type: &[u8]) -> Option<Vec<u8>> {
    let mut found = content_type.split(|byte| *byte == b';').skip(1).filter_map(|parameter| {
        let (name, value) = split_at(parameter.trim_ascii(), b'=');
        name.trim_ascii().eq_ignore_ascii_case(b"boundary").then_some(value)
    });
    let value = found.next().filter(|_| found.next().is_none())?;
    let inner = value.strip_prefix(b"\"").map_or(Some(value), |value| value.strip_suffix(b"\""))?;
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(byte);
    let usable = !inner.is_empty() && inner.len() <= 70 && inner.iter().all(allowed);
    usable.then(|| [b"--".as_slice(), inner].concat())
}

struct Reader {
    /// With its two hyphens.
    boundary: Vec<u8>,
    parts: Parts,
    part: Option<Part>,
    opened: bool,
    closed: bool,
}

#[derive(Default)]
struct Part {
    headers: Vec<Vec<u8>>,
    in_body: bool,
    body: Vec<u8>,
    /// The line end that belongs to the boundary, if one comes.
    pending: &'static [u8],
}

impl Reader {
    fn lines(&mut self, body: &[u8]) {
        for line in body.split_inclusive(|byte| *byte == b'\n') {
            let (content, end) = match (line.strip_suffix(b"\r\n"), line.strip_suffix(b"\n")) {
                (Some(content), _) => (content, b"\r\n".as_slice()),
                (None, Some(content)) => {
                    self.parts.strict_error |= self.part.as_ref().is_none_or(|part| !part.in_body);
                    (content, b"\n".as_slice())
                }
                (None, None) => (line, b"".as_slice()),
            };
            self.line(
                content,
                if end == b"\r\n" {
                    b"\r\n"
                } else if end == b"\n" {
                    b"\n"
                } else {
                    b""
                },
            );
        }
    }

    fn line(&mut self, content: &[u8], end: &'static [u8]) {
        if let Some(after) = content.strip_prefix(self.boundary.as_slice()) {
            match after.trim_ascii_end() {
                b"" => return self.open(),
                b"--" => return self.close(),
                _ => self.parts.unmatched_boundary = true,
            }
        } else if content.starts_with(b"--") && self.part.is_none() && !self.opened {
            self.parts.unmatched_boundary = true;
        }
        match &mut self.part {
            Some(part) if part.in_body => {
                part.body.extend_from_slice(part.pending);
                part.body.extend_from_slice(content);
                part.pending = end;
            }
            Some(part) if content.is_empty() => part.in_body = true,
            Some(part) => match (content.first(), part.headers.last_mut()) {
                (Some(b' ' | b'\t'), Some(last)) => {
                    // A folded line is read by some and not by others.
                    self.parts.strict_error = true;
                    last.extend_from_slice(content);
                }
                _ => part.headers.push(content.to_vec()),
            },
            // Before the first boundary and after the last.
            None => self.parts.strict_error |= !content.is_empty(),
        }
    }

    fn open(&mut self) {
        self.end_part();
        self.parts.strict_error |= self.closed;
        self.opened = true;
        self.part = Some(Part::default());
    }

    fn close(&mut self) {
        self.end_part();
        self.closed = true;
    }

    fn finish(mut self) -> Parts {
        let complete = self.opened && self.closed && self.part.is_none();
        self.end_part();
        if !complete {
            self.wrong("the form has no end");
        }
        self.parts
    }

    fn wrong(&mut self, why: &'static str) {
        self.parts.error = self.parts.error.or(Some(why));
        self.parts.strict_error = true;
    }

    fn end_part(&mut self) {
        let Some(part) = self.part.take() else { return };
        if part.headers.iter().any(|line| !line.contains(&b':')) {
            self.wrong("a header of a part without a name");
        }
        let disposition = part.headers.iter().find_map(|line| {
            let (name, value) = split_at(line, b':');
            name.trim_ascii().eq_ignore_ascii_case(b"content-disposition").then_some(value)
        });
        let disposition = disposition.map(Disposition::read).unwrap_or_default();
        self.parts.strict_error |= disposition.odd;
        let Some(name) = disposition.name else {
            self.parts.part_headers.extend(part.headers.into_iter().map(|line| (Vec::new(), line)));
            return self.wrong("a part without a name");
        };
        self.parts.part_headers.extend(part.headers.into_iter().map(|line| (name.clone(), line)));
        self.parts.part_names.push(name.clone());
        match disposition.filename {
            Some(filename) => {
                self.parts.files.push(File { field: name, name: filename, size: part.body.len() });
            }
            None => self.parts.arguments.push((name, part.body)),
        }
    }
}

/// Content-Disposition of a part.
#[derive(Default)]
struct Disposition {
    name: Option<Vec<u8>>,
    filename: Option<Vec<u8>>,
    odd: bool,
}

impl Disposition {
    fn read(value: &[u8]) -> Self {
        let mut disposition = Self::default();
        let (kind, mut rest) = split_at(value, b';');
        disposition.odd = !kind.trim_ascii().eq_ignore_ascii_case(b"form-data");
        while !rest.trim_ascii().is_empty() {
            let (name, after) = split_at(rest, b'=');
            let (value, after, clean) = parameter(after);
            disposition.odd |= !clean;
            rest = after;
            let place = match name.trim_ascii().to_ascii_lowercase().as_slice() {
                b"name" => &mut disposition.name,
                b"filename" | b"filename*" => &mut disposition.filename,
                _ => continue,
            };
            disposition.odd |= place.is_some();
            *place = Some(value);
        }
        disposition
    }
}

/// A value in quotes or without, what comes behind its semicolon, and whether
/// it is written as it should be.
fn parameter(text: &[u8]) -> (Vec<u8>, &[u8], bool) {
    let text = text.trim_ascii_start();
    let Some(inner) = text.strip_prefix(b"\"") else {
        let (value, after) = split_at(text, b';');
        return (value.trim_ascii_end().to_vec(), after, !value.starts_with(b"'"));
    };
    let mut value = Vec::new();
    let mut rest = inner;
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after.first()) {
            (b'"', _) => {
                let clean = after.trim_ascii_start().is_empty() || after.trim_ascii_start().starts_with(b";");
                return (value, split_at(after, b';').1, clean);
            }
            (b'\\', Some(escaped @ (b'"' | b'\\'))) => {
                value.push(*escaped);
                rest = after.get(1..).unwrap_or_default();
            }
            _ => value.push(*byte),
        }
    }
    (value, b"", false)
}
