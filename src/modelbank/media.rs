//! Media types: what a body says it is, and what a caller takes (RFC 9110 §8.3, §12.5.1).

use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};

pub(crate) const JSON: &str = "application/json";
pub(crate) const XML: &str = "application/xml";
pub(crate) const PDF: &str = "application/pdf";

/// Whether the body says that it is of this type; none if it says nothing.
pub(crate) fn is(headers: &HeaderMap, media: &str) -> Option<bool> {
    let said = headers.get(CONTENT_TYPE)?;
    Some(said.to_str().is_ok_and(|said| essence(said).eq_ignore_ascii_case(media)))
}

/// Whether the caller takes an answer of one of these types. Who says nothing takes any.
pub(crate) fn takes(headers: &HeaderMap, offered: &[&str]) -> bool {
    let mut lines = headers.get_all(ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return true;
    }
    let ranges = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let ranges: Vec<&str> = ranges.collect();
    offered.iter().any(|media| {
        let fitting = ranges.iter().filter_map(|range| Some((closeness(essence(range), media)?, range)));
        // The closest range decides.
        fitting.max_by_key(|(closeness, _)| *closeness).is_some_and(|(_, range)| is_wanted(range))
    })
}

/// A type without its parameters.
fn essence(text: &str) -> &str {
    text.split(';').next().unwrap_or_default().trim()
}

/// How closely a range names a type; none if it does not.
fn closeness(range: &str, media: &str) -> Option<u8> {
    if range.eq_ignore_ascii_case(media) {
        return Some(2);
    }
    match range.split_once('/')? {
        ("*", "*") => Some(0),
        (kind, "*") => media.split('/').next()?.eq_ignore_ascii_case(kind).then_some(1),
        _ => None,
    }
}

/// False if the weight of a range is nothing.
fn is_wanted(range: &str) -> bool {
    let weight = range.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>().unwrap_or(0.0))
    });
    weight.is_none_or(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_takes_what_its_closest_range_names() {
        for (accept, taken) in [
            (&[][..], true),
            (&["*/*"], true),
            (&["application/*;q=0.1"], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["text/html, application/json;q=0.2"], true),
            (&["text/html", "application/json"], true),
            (&["application/xml"], false),
            (&["application/jsonp"], false),
            (&["*/*, application/json;q=0"], false),
            (&["application/json; q=0.0"], false),
            (&[""], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in accept {
                headers.append(ACCEPT, line.parse().unwrap());
            }
            assert_eq!(takes(&headers, &[JSON]), taken, "{accept:?}");
        }
    }
}
