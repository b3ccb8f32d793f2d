//! PCRE's notation, written as the `regex` crate reads it, for bytes.

use std::iter::Peekable;
use std::str::Chars;

/// Rewrites a pattern; says what has no equivalent.
pub(super) fn translate(written: &str) -> Result<String, String> {
    let mut translation = Translation { input: written.chars().peekable(), output: String::new() };
    translation.pattern()?;
    Ok(translation.output)
}

struct Translation<'a> {
    input: Peekable<Chars<'a>>,
    output: String,
}

/// What an escape stands for.
enum Escape {
    Byte(u8),
    /// Stands for itself in the other notation too.
    Same(char),
    /// Written otherwise.
    Text(&'static str),
}

impl Translation<'_> {
    fn pattern(&mut self) -> Result<(), String> {
        while let Some(character) = self.input.next() {
            match character {
                '\\' => match self.escape(false)? {
                    Escape::Byte(byte) => self.byte(byte),
                    Escape::Same(letter) => self.output.extend(['\\', letter]),
                    Escape::Text(text) => self.output.push_str(text),
                },
                '[' => self.class()?,
                '(' => self.group()?,
                '{' => self.brace(),
                '*' | '+' | '?' | '}' => self.quantified(character)?,
                '.' | '^' | '$' | '|' | ')' => self.output.push(character),
                other => self.literal(other),
            }
        }
        Ok(())
    }

    fn byte(&mut self, byte: u8) {
        self.output.push_str(&format!("\\x{byte:02x}"));
    }

    /// A character is its bytes; in a pattern of bytes they may stand alone.
    fn literal(&mut self, character: char) {
        if character.is_ascii_alphanumeric() {
            self.output.push(character);
        } else if let Some(byte) = u8::try_from(character).ok().filter(u8::is_ascii) {
            self.byte(byte);
        } else {
            self.output.push_str("(?:");
            let mut buffer = [0; 4];
            character.encode_utf8(&mut buffer).bytes().for_each(|byte| self.byte(byte));
            self.output.push(')');
        }
    }

    /// `*+` and the like give nothing back, which a linear engine cannot say.
    fn quantified(&mut self, quantifier: char) -> Result<(), String> {
        if quantifier == '}' {
            self.output.push_str("\\}");
            return Ok(());
        }
        self.output.push(quantifier);
        self.after_quantifier()
    }

    fn after_quantifier(&mut self) -> Result<(), String> {
        match self.input.peek() {
            Some('+') => Err("possessive quantifier".to_owned()),
            Some('?') => {
                self.input.next();
                self.output.push('?');
                Ok(())
            }
            Some(_) | None => Ok(()),
        }
    }

    /// A brace counts if a count is in it; else it is a character.
    fn brace(&mut self) {
        let inside: String = self.input.clone().take_while(|character| *character != '}').collect();
        let closed = self.input.clone().any(|character| character == '}');
        let counts = inside.split_once(',').map_or_else(
            || digits(&inside),
            |(least, most)| digits(least) && (most.is_empty() || digits(most)),
        );
        if !(closed && counts) {
            self.output.push_str("\\{");
            return;
        }
        self.output.push_str(&format!("{{{inside}}}"));
        self.input.nth(inside.chars().count());
        if self.input.peek() == Some(&'?') {
            self.input.next();
            self.output.push('?');
        }
    }

    fn group(&mut self) -> Result<(), String> {
        self.output.push('(');
        if self.input.peek() != Some(&'?') {
            return Ok(());
        }
        self.input.next();
        self.output.push('?');
        let ahead: String = self.input.clone().take(2).collect();
        for (start, what) in UNSUPPORTED_GROUPS {
            if ahead.starts_with(start) {
                return Err((*what).to_owned());
            }
        }
        for character in self.input.by_ref() {
            self.output.push(character);
            if matches!(character, ':' | ')' | '>') {
                break;
            }
        }
        Ok(())
    }

    fn class(&mut self) -> Result<(), String> {
        self.output.push('[');
        if self.input.next_if_eq(&'^').is_some() {
            self.output.push('^');
        }
        let mut first = true;
        loop {
            let Some(character) = self.input.next() else { return Err("class without an end".to_owned()) };
            match character {
                ']' if !first => break,
                '[' if self.input.peek() == Some(&':') => self.named_class(),
                '\\' => self.class_escape()?,
                // Between two characters a hyphen makes a range.
                '-' if !first && !matches!(self.input.peek(), Some(']') | None) && self.ranges() => {
                    self.output.push('-');
                }
                other => {
                    let mut buffer = [0; 4];
                    other.encode_utf8(&mut buffer).bytes().for_each(|byte| self.byte(byte));
                }
            }
            first = false;
        }
        self.output.push(']');
        Ok(())
    }

    /// Whether what was written last may begin a range.
    fn ranges(&self) -> bool {
        let end = self.output.get(self.output.len().saturating_sub(2)..).unwrap_or("");
        !matches!(end, "\\d" | "\\w" | "\\s" | "\\D" | "\\W" | "\\S" | ":]")
    }

    fn named_class(&mut self) {
        self.output.push('[');
        for character in self.input.by_ref() {
            self.output.push(character);
            if character == ']' {
                break;
            }
        }
    }

    fn class_escape(&mut self) -> Result<(), String> {
        match self.escape(true)? {
            Escape::Byte(byte) => self.byte(byte),
            Escape::Same(letter) => self.output.extend(['\\', letter]),
            Escape::Text(text) => self.output.push_str(text),
        }
        Ok(())
    }

    fn escape(&mut self, in_class: bool) -> Result<Escape, String> {
        let Some(letter) = self.input.next() else { return Err("backslash at the end".to_owned()) };
        Ok(match letter {
            'x' => Escape::Byte(self.hexadecimal()?),
            '0' => Escape::Byte(self.octal(0)),
            '1'..='9' if in_class => Escape::Byte(self.octal(letter.to_digit(8).unwrap_or(0))),
            '1'..='9' | 'g' | 'k' => return Err("back reference".to_owned()),
            'b' if in_class => Escape::Byte(8),
            'd' | 'D' | 'w' | 'W' | 's' | 'S' | 'b' | 'B' | 'A' => Escape::Same(letter),
            'z' => Escape::Same('z'),
            'Z' => Escape::Text("(?:\\n?\\z)"),
            'n' => Escape::Byte(b'\n'),
            'r' => Escape::Byte(b'\r'),
            't' => Escape::Byte(b'\t'),
            'f' => Escape::Byte(0x0c),
            'a' => Escape::Byte(7),
            'e' => Escape::Byte(0x1b),
            'v' => Escape::Text(if in_class { "\\x0a-\\x0d\\x85" } else { "[\\x0a-\\x0d\\x85]" }),
            'h' => Escape::Text(if in_class { "\\x09\\x20\\xa0" } else { "[\\x09\\x20\\xa0]" }),
            other if other.is_ascii_alphanumeric() => return Err(format!("\\{other}")),
            other => match u8::try_from(other) {
                Ok(byte) if byte.is_ascii() => Escape::Byte(byte),
                Ok(_) | Err(_) => return Err(format!("\\{other}")),
            },
        })
    }

    /// `41` or `{41}`.
    fn hexadecimal(&mut self) -> Result<u8, String> {
        let braced = self.input.next_if_eq(&'{').is_some();
        let most = if braced { 8 } else { 2 };
        let mut digits = String::new();
        while let Some(digit) = self.input.next_if(|it| it.is_ascii_hexdigit() && digits.len() < most) {
            digits.push(digit);
        }
        if braced && self.input.next() != Some('}') {
            return Err("\\x{ without its brace".to_owned());
        }
        u8::from_str_radix(if digits.is_empty() { "0" } else { &digits }, 16)
            .map_err(|_| format!("\\x{{{digits}}} in a pattern of bytes"))
    }

    fn octal(&mut self, first: u32) -> u8 {
        let mut number = first;
        for _ in 0..2 {
            let Some(digit) = self.input.peek().and_then(|it| it.to_digit(8)) else { break };
            self.input.next();
            number = number * 8 + digit;
        }
        number.to_le_bytes()[0]
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

const UNSUPPORTED_GROUPS: &[(&str, &str)] = &[
    ("=", "look-ahead"),
    ("!", "look-ahead"),
    ("<=", "look-behind"),
    ("<!", "look-behind"),
    (">", "atomic group"),
    ("|", "branch reset"),
    ("#", "comment"),
    ("R", "recursion"),
    ("(", "condition"),
    ("&", "recursion"),
];
