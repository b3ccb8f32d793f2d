//! Transformations: what an attacker may have done to a text, undone.
//!
//! Each is a function of bytes, none makes more than four bytes of one (but for
//! digests and lengths), and each says which bytes it needs to change anything, so that a plain text
//! costs nothing.

mod code;
mod escape;
mod lookalike;
mod text;

use crate::byteset::ByteSet;

macro_rules! transformations {
    ($($variant:ident = $name:literal $(| $alias:literal)* : $needs:expr => $apply:expr,)*) => {
        /// One transformation.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Transformation {
            $(#[doc = concat!("`t:", $name, "`")] $variant,)*
        }

        impl Transformation {
            /// Every transformation that rules may name.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in rules.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The one of this name, whatever its case.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                match name.to_ascii_lowercase() {
                    $(name if name.eq_ignore_ascii_case($name) $(|| name.eq_ignore_ascii_case($alias))* => {
                        Some(Self::$variant)
                    })*
                    _ => None,
                }
            }

            /// A text without any of these bytes stays as it is.
            #[must_use]
            pub fn needs(self) -> ByteSet {
                match self { $(Self::$variant => $needs,)* }
            }

            /// What becomes of a text.
            #[must_use]
            pub fn apply(self, input: &[u8]) -> Vec<u8> {
                let apply: fn(&[u8]) -> Vec<u8> = match self { $(Self::$variant => $apply,)* };
                apply(input)
            }
        }
    };
}

const SPACES: ByteSet = ByteSet::ascii(b" \t\r\n\x0b\x0c").union(NO_BREAK_SPACE);
const NO_BREAK_SPACE: ByteSet = ByteSet::HIGH;
const PERCENT: ByteSet = ByteSet::ascii(b"%+");
const SHELL: ByteSet = ByteSet::UPPER.union(ByteSet::ascii(b"\\\"'^,; \t\r\n\x0b\x0c/("));
const PATH: ByteSet = ByteSet::ascii(b"/\\.");
const ANY: ByteSet = ByteSet::FULL;

transformations! {
    Base64Decode = "base64Decode": ANY => code::base64_decode,
    Base64DecodeExt = "base64DecodeExt": ANY => code::base64_decode_forgiving,
    Base64Encode = "base64Encode": ANY => code::base64_encode,
    CmdLine = "cmdLine": SHELL => text::command_line,
    CompressWhitespace = "compressWhitespace": SPACES => text::compress_whitespace,
    CssDecode = "cssDecode": ByteSet::ascii(b"\\") => escape::css,
    EscapeSeqDecode = "escapeSeqDecode": ByteSet::ascii(b"\\") => escape::ansi_c,
    HexDecode = "hexDecode": ANY => code::hex_decode,
    HexEncode = "hexEncode": ANY => code::hex_encode,
    HtmlEntityDecode = "htmlEntityDecode": ByteSet::ascii(b"&") => escape::html_entities,
    JsDecode = "jsDecode": ByteSet::ascii(b"\\") => escape::javascript,
    Length = "length": ANY => code::length,
    Lowercase = "lowercase": ByteSet::UPPER => <[u8]>::to_ascii_lowercase,
    NormalizePath = "normalizePath" | "normalisePath": ByteSet::ascii(b"/.") => text::normalize_path,
    NormalizePathWin = "normalizePathWin" | "normalisePathWin": PATH => text::normalize_path_windows,
    RemoveComments = "removeComments": ByteSet::ascii(b"/-#<") => text::remove_comments,
    RemoveCommentsChar = "removeCommentsChar": ByteSet::ascii(b"/*-#<>") => text::remove_comment_marks,
    RemoveNulls = "removeNulls": ByteSet::ascii(b"\0") => text::remove_nulls,
    RemoveWhitespace = "removeWhitespace": SPACES => text::remove_whitespace,
    ReplaceComments = "replaceComments": ByteSet::ascii(b"/") => text::replace_comments,
    ReplaceNulls = "replaceNulls": ByteSet::ascii(b"\0") => text::replace_nulls,
    Sha1 = "sha1": ANY => code::sha1,
    SqlHexDecode = "sqlHexDecode": ByteSet::ascii(b"0") => code::sql_hex_decode,
    Trim = "trim": SPACES => text::trim,
    TrimLeft = "trimLeft": SPACES => text::trim_left,
    TrimRight = "trimRight": SPACES => text::trim_right,
    Uppercase = "uppercase": ByteSet::LOWER => <[u8]>::to_ascii_uppercase,
    UrlDecode = "urlDecode": PERCENT => escape::url,
    UrlDecodeUni = "urlDecodeUni": PERCENT => escape::url_unicode,
    UrlEncode = "urlEncode": ANY => escape::url_encode,
    Utf8ToUnicode = "utf8toUnicode": ByteSet::HIGH.union(ByteSet::ascii(b"\0")) => escape::utf8_to_unicode,
}

/// Reads bytes from the front.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// Takes the text if it comes next.
    fn take(&mut self, text: &[u8]) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Takes the next byte if it is such a one.
    fn take_if(&mut self, is: impl Fn(u8) -> bool) -> Option<u8> {
        self.peek().filter(|byte| is(*byte))?;
        self.next()
    }

    /// Reads one to `most` digits of this base as a number, which wraps at nothing: `most` is at most 8.
    fn digits(&mut self, base: u32, most: usize) -> Option<u32> {
        let mut number = None;
        for _ in 0..most {
            let Some(digit) = self.peek().and_then(|byte| char::from(byte).to_digit(base)) else { break };
            self.skip(1);
            number = Some(number.unwrap_or(0_u32).wrapping_mul(base).wrapping_add(digit));
        }
        number
    }

    /// Exactly so many hexadecimal digits, or nothing is read.
    fn hex(&mut self, digits: usize) -> Option<u32> {
        let mut ahead = Reader::new(self.rest.get(..digits)?);
        let number = ahead.digits(16, digits)?;
        if !ahead.rest.is_empty() {
            return None;
        }
        self.skip(digits);
        Some(number)
    }
}

/// The lowest eight bits.
fn low_byte(number: u32) -> u8 {
    number.to_le_bytes()[0]
}

/// C's `isspace`, and the no-break space that databases skip.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b || byte == 0xa0
}

#[cfg(test)]
mod tests;
