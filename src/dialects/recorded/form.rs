//! The form of a text: what a reader has to be prepared for.

use std::fmt;

use domain::Date;

/// Forms that readers tell apart.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Form {
    /// `2026-06-01`.
    Date,
    /// A day, a time and a zone.
    DateTime,
    /// A day and a time without a zone.
    LocalDateTime,
    /// In the form of a day or a time, and none: `0000-00-00`.
    NoDate,
    /// A whole address; its origin.
    Link(String),
    /// An address without an origin.
    Path,
    /// Digits with a decimal point.
    Decimal,
    /// Anything else.
    Text,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date => f.write_str("date"),
            Self::DateTime => f.write_str("date-time"),
            Self::LocalDateTime => f.write_str("date-time without zone"),
            Self::NoDate => f.write_str("a date that is none"),
            Self::Link(origin) => write!(f, "link to {origin}"),
            Self::Path => f.write_str("path"),
            Self::Decimal => f.write_str("decimal"),
            Self::Text => f.write_str("text"),
        }
    }
}

/// The form of this text.
pub(super) fn form_of(text: &str) -> Form {
    if let Some((scheme, rest)) = text.split_once("://")
        && matches!(scheme, "http" | "https")
    {
        // What comes before an `@` is a name, not an origin.
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default().rsplit('@').next();
        return Form::Link(format!("{scheme}://{}", host.unwrap_or_default()));
    }
    if text.starts_with('/') {
        return Form::Path;
    }
    if let Some(form) = text.split_at_checked(10).and_then(|(day, time)| of_time(day, time)) {
        return form;
    }
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match number.split_once('.') {
        Some((whole, fraction)) if digits(whole) && digits(fraction) => Form::Decimal,
        _ => Form::Text,
    }
}

fn of_time(day: &str, time: &str) -> Option<Form> {
    if !like(day, "0000-00-00") {
        return None;
    }
    let zoned = match time.split_at_checked(9) {
        None if time.is_empty() => None,
        Some((clock, zone)) if like(clock, "T00:00:00") || like(clock, " 00:00:00") => {
            let zone = zone.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
            let offset = like(zone, "+00:00") || like(zone, "-00:00") || like(zone, "+0000");
            if !zone.is_empty() && zone != "Z" && !offset {
                return None;
            }
            Some(!zone.is_empty())
        }
        None | Some(_) => return None,
    };
    if day.parse::<Date>().is_err() {
        // A day that is none can be a number of something, if it is not all zeros.
        return (day == "0000-00-00").then_some(Form::NoDate);
    }
    Some(match zoned {
        None => Form::Date,
        Some(true) => Form::DateTime,
        Some(false) => Form::LocalDateTime,
    })
}

/// The same length, a digit for each zero, everything else as it is.
fn like(text: &str, pattern: &str) -> bool {
    let fits = |(byte, wanted): (u8, u8)| {
        if wanted == b'0' { byte.is_ascii_digit() } else { byte == wanted }
    };
    text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_the_form_that_a_reader_meets() {
        for (text, form) in [
            ("2026-06-01", Form::Date),
            ("2026-06-01T10:00:00Z", Form::DateTime),
            ("2026-06-01T10:00:00.123+02:00", Form::DateTime),
            ("2026-06-01T10:00:00", Form::LocalDateTime),
            ("0000-00-00T00:00:00", Form::NoDate),
            ("2026-13-45", Form::Text),
            ("2026-06-01 Anna", Form::Text),
            ("https://anna@bank.example/x", Form::Link("https://bank.example".into())),
            ("/v1/accounts", Form::Path),
            ("-12.50", Form::Decimal),
            ("12345678", Form::Text),
        ] {
            assert_eq!(form_of(text), form, "{text}");
        }
    }
}
