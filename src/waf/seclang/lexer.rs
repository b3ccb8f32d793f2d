//! Lines into statements: continuation, comments, quotes.

use std::sync::Arc;

use super::{LoadError, Place};

/// A directive with its arguments, quotes removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
}

/// Splits a source into statements.
pub(crate) fn statements(file: &str, text: &str) -> Result<Vec<Statement>, LoadError> {
    let file: Arc<str> = file.into();
    let mut found = Vec::new();
    let mut joined = String::new();
    let mut first = 0;
    for (line, number) in text.lines().zip(1..) {
        let line = line.trim_end_matches('\r');
        if joined.is_empty() {
            let content = line.trim_start();
            if content.is_empty() || content.starts_with('#') {
                continue;
            }
            first = number;
        }
        if let Some(continued) = line.strip_suffix('\\') {
            joined.push_str(continued.trim_start());
            continue;
        }
        joined.push_str(line.trim_start());
        let place = Place { file: file.clone(), line: first };
        found.push(statement(place, &std::mem::take(&mut joined))?);
    }
    if joined.is_empty() {
        return Ok(found);
    }
    Err(LoadError::malformed(&Place { file, line: first }, "the last line continues into nothing"))
}

fn statement(place: Place, text: &str) -> Result<Statement, LoadError> {
    let mut words = words(&place, text)?.into_iter();
    let Some(name) = words.next() else {
        return Err(LoadError::malformed(&place, "nothing but a continuation"));
    };
    Ok(Statement { place, name, arguments: words.collect() })
}

/// A word ends at a space outside quotes. In quotes only the quote itself is
/// escaped; every other backslash belongs to the pattern.
fn words(place: &Place, text: &str) -> Result<Vec<String>, LoadError> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while let Some(first) = rest.chars().next() {
        let (word, after) = match first {
            quote @ ('"' | '\'') => {
                quoted(rest, quote).ok_or_else(|| LoadError::malformed(place, "a quote is not closed"))?
            }
            _ => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                let (word, after) = rest.split_at(end);
                (word.to_owned(), after)
            }
        };
        found.push(word);
        rest = after.trim_start();
    }
    Ok(found)
}

fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut word = String::new();
    let mut characters = text.char_indices().skip(1).peekable();
    while let Some((at, character)) = characters.next() {
        let next = characters.peek().map(|(_, next)| *next);
        if character == '\\' && next == Some(quote) {
            word.push(quote);
            characters.next();
        } else if character == '\\' {
            word.push('\\');
            word.extend(characters.next().map(|(_, next)| next));
        } else if character == quote {
            return text.get(at + quote.len_utf8()..).map(|after| (word, after));
        } else {
            word.push(character);
        }
    }
    None
}
