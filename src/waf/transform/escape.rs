//! Escapes of URLs, HTML, scripts, styles and shells.

use super::lookalike::ascii_of;
use super::{Reader, low_byte};

/// `%41` and `+`; what is no escape stays.
pub(super) fn url(input: &[u8]) -> Vec<u8> {
    decode_url(input, |_| None)
}

/// The same, and `%u0041`, where letters that look like ASCII become it.
pub(super) fn url_unicode(input: &[u8]) -> Vec<u8> {
    decode_url(input, |reader| {
        let mut ahead = Reader::new(reader.rest);
        let code = ahead.take_if(|byte| byte.eq_ignore_ascii_case(&b'u')).and_then(|_| ahead.hex(4))?;
        reader.rest = ahead.rest;
        Some(ascii_of(code).unwrap_or_else(|| low_byte(code)))
    })
}

fn decode_url(input: &[u8], other: impl Fn(&mut Reader<'_>) -> Option<u8>) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while let Some(byte) = reader.next() {
        output.push(match byte {
            b'%' => match reader.hex(2) {
                Some(code) => low_byte(code),
                None => other(&mut reader).unwrap_or(b'%'),
            },
            b'+' => b' ',
            other => other,
        });
    }
    output
}

/// Everything but letters, digits and `*` as `%41`, a space as `+`.
pub(super) fn url_encode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    for byte in input {
        match byte {
            b' ' => output.push(b'+'),
            b'*' => output.push(b'*'),
            other if other.is_ascii_alphanumeric() => output.push(*other),
            other => output.extend(format!("%{other:02x}").bytes()),
        }
    }
    output
}

/// Characters beyond ASCII as `%u00e9`; zeros are left out, as in `ModSecurity`, so that one in the
/// middle of a word hides nothing.
pub(super) fn utf8_to_unicode(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    for chunk in input.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\0' {
                continue;
            } else if character.is_ascii() {
                output.extend(low_bytes(character));
            } else {
                output.extend(format!("%u{:04x}", u32::from(character)).bytes());
            }
        }
        output.extend(chunk.invalid());
    }
    output
}

fn low_bytes(character: char) -> Option<u8> {
    u8::try_from(u32::from(character)).ok()
}

/// `&lt;`, `&#60;`, `&#x3c;`, with or without semicolon.
pub(super) fn html_entities(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while let Some(byte) = reader.next() {
        let decoded = if byte == b'&' { entity(&mut reader) } else { None };
        output.push(decoded.unwrap_or(byte));
    }
    output
}

fn entity(reader: &mut Reader<'_>) -> Option<u8> {
    let mut ahead = Reader::new(reader.rest);
    let code = if ahead.take(b"#") {
        let hexadecimal = ahead.take_if(|byte| byte.eq_ignore_ascii_case(&b'x')).is_some();
        low_byte(number(&mut ahead, if hexadecimal { 16 } else { 10 })?)
    } else {
        let length = ahead.rest.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let name = ahead.rest.get(..length)?;
        let (_, code) = NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        ahead.skip(length);
        *code
    };
    ahead.take(b";");
    reader.rest = ahead.rest;
    Some(code)
}

/// All digits that come: leading zeros are an old trick.
fn number(reader: &mut Reader<'_>, base: u32) -> Option<u32> {
    let mut number = reader.digits(base, 1)?;
    while let Some(digit) = reader.digits(base, 1) {
        number = number.saturating_mul(base).saturating_add(digit);
    }
    Some(number)
}

const NAMED: &[(&[u8], u8)] = &[
    (b"quot", b'"'),
    (b"amp", b'&'),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"nbsp", 0xa0),
    (b"tab", b'\t'),
    (b"newline", b'\n'),
    (b"colon", b':'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"apos", b'\''),
];

/// `\u0041`, `\x41`, `\101` and `\n`.
pub(super) fn javascript(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while let Some(byte) = reader.next() {
        match byte {
            b'\\' => output.push(javascript_escape(&mut reader)),
            other => output.push(other),
        }
    }
    output
}

fn javascript_escape(reader: &mut Reader<'_>) -> u8 {
    let mut ahead = Reader::new(reader.rest);
    let decoded = match ahead.next() {
        Some(b'u') => ahead
            .hex(4)
            .map(|code| ascii_of(code).filter(|_| code >= 0xff00).unwrap_or_else(|| low_byte(code))),
        Some(b'x') => ahead.hex(2).map(low_byte),
        Some(b'0'..=b'7') => {
            ahead = Reader::new(reader.rest);
            octal(&mut ahead)
        }
        Some(other) => Some(control(other).unwrap_or(other)),
        None => Some(b'\\'),
    };
    match decoded {
        Some(byte) => {
            reader.rest = ahead.rest;
            byte
        }
        // A `\u` without digits is an escaped u.
        None => reader.next().unwrap_or(b'\\'),
    }
}

/// Up to three digits, two where three would be no byte.
fn octal(reader: &mut Reader<'_>) -> Option<u8> {
    let most = if reader.peek().is_some_and(|first| first <= b'3') { 3 } else { 2 };
    reader.digits(8, most).map(low_byte)
}

fn control(letter: u8) -> Option<u8> {
    Some(match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => return None,
    })
}

/// `\41 ` with up to six digits, and escaped line ends.
pub(super) fn css(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while let Some(byte) = reader.next() {
        match byte {
            b'\\' => output.extend(css_escape(&mut reader)),
            other => output.push(other),
        }
    }
    output
}

fn css_escape(reader: &mut Reader<'_>) -> Option<u8> {
    let Some(code) = reader.digits(16, 6) else {
        // A line end after a backslash is nothing; any other character is itself.
        return reader.next().filter(|byte| *byte != b'\n');
    };
    reader.take_if(|byte| byte.is_ascii_whitespace() || byte == 0x0b);
    let wide = (0xff00..=0xffff).contains(&code);
    Some(ascii_of(code).filter(|_| wide).unwrap_or_else(|| low_byte(code)))
}

/// The escapes of ANSI C: `\n`, `\x41`, `\101`, `\?`.
pub(super) fn ansi_c(input: &[u8]) -> Vec<u8> {
    let mut output = Vec::with_capacity(input.len());
    let mut reader = Reader::new(input);
    while let Some(byte) = reader.next() {
        match byte {
            b'\\' => output.extend(ansi_c_escape(&mut reader)),
            other => output.push(other),
        }
    }
    output
}

fn ansi_c_escape(reader: &mut Reader<'_>) -> Vec<u8> {
    match reader.peek() {
        Some(b'x' | b'X') => {
            let mut ahead = Reader::new(reader.rest.get(1..).unwrap_or_default());
            match ahead.hex(2) {
                Some(code) => {
                    reader.rest = ahead.rest;
                    vec![low_byte(code)]
                }
                None => vec![b'\\'],
            }
        }
        Some(b'0'..=b'7') => reader.digits(8, 3).map(low_byte).into_iter().collect(),
        Some(letter @ (b'\\' | b'?' | b'\'' | b'"')) => {
            reader.skip(1);
            vec![letter]
        }
        Some(letter) => match control(letter) {
            Some(byte) => {
                reader.skip(1);
                vec![byte]
            }
            None => vec![b'\\'],
        },
        None => vec![b'\\'],
    }
}
