//! What rules can call. A value that is absent, or of a kind that a function has
//! no use for, gives `()`, so that rules need not ask before every step.

use std::sync::Arc;

use domain::{Date, Decimal};
use regex::Regex;
use rhai::{Array, Dynamic, Engine, EvalAltResult, Position};

use super::TEXT;

/// A regular expression that a profile names. Matching takes time in
/// proportion to the text.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(Arc<Regex>);

impl Pattern {
    pub(super) fn new(regex: Regex) -> Self {
        Self(Arc::new(regex))
    }
}

type Given = Result<Dynamic, Box<EvalAltResult>>;

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Pattern>("Pattern")
        // Texts.
        .register_fn("len", len)
        .register_fn("trim", |text: Dynamic| change(&text, |text| text.trim().to_owned()))
        .register_fn("lower", |text: Dynamic| change(&text, str::to_lowercase))
        .register_fn("upper", |text: Dynamic| change(&text, str::to_uppercase))
        .register_fn("contains", |text: Dynamic, part: &str| ask(&text, |text| text.contains(part)))
        .register_fn("starts_with", |text: Dynamic, part: &str| ask(&text, |text| text.starts_with(part)))
        .register_fn("ends_with", |text: Dynamic, part: &str| ask(&text, |text| text.ends_with(part)))
        .register_fn("cut", cut)
        .register_fn("replace", replace)
        // Patterns.
        .register_fn("matches", |text: Dynamic, pattern: Pattern| ask(&text, |text| pattern.0.is_match(text)))
        .register_fn("extract", |text: Dynamic, pattern: Pattern| extract(&text, &pattern, 1))
        .register_fn("extract", |text: Dynamic, pattern: Pattern, group: i64| extract(&text, &pattern, group))
        .register_fn("erase", |text: Dynamic, pattern: Pattern| {
            change(&text, |text| pattern.0.replace_all(text, "").trim().to_owned())
        })
        // Lists.
        .register_fn("split", split)
        .register_fn("join", join)
        .register_fn("first", first)
        .register_fn("item", item)
        // Values.
        .register_fn("none_if", none_if)
        .register_fn("negate", negate)
        .register_fn("is_negative", |number: Dynamic| {
            decimal(&number).is_some_and(|number| number.is_sign_negative())
        })
        .register_fn("date", date);
}

fn text(value: &Dynamic) -> Option<String> {
    value
        .clone()
        .into_immutable_string()
        .map(Into::into)
        .ok()
        .or_else(|| Some(value.as_int().ok()?.to_string()))
}

fn change(value: &Dynamic, change: impl Fn(&str) -> String) -> Dynamic {
    text(value).map_or(Dynamic::UNIT, |text| change(&text).into())
}

fn ask(value: &Dynamic, ask: impl Fn(&str) -> bool) -> bool {
    text(value).is_some_and(|text| ask(&text))
}

/// Characters of a text, entries of a list.
fn len(value: Dynamic) -> i64 {
    let count = match value.read_lock::<Array>() {
        Some(list) => list.len(),
        None => text(&value).map_or(0, |text| text.chars().count()),
    };
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Some characters of a text, from the one at `start`, counted from 0.
fn cut(value: Dynamic, start: i64, length: i64) -> Dynamic {
    let place = |number: i64| usize::try_from(number).unwrap_or(0);
    change(&value, |text| text.chars().skip(place(start)).take(place(length)).collect())
}

/// Every `part` of a text by another. What becomes of it is counted before it is made.
fn replace(value: Dynamic, part: &str, by: &str) -> Given {
    let Some(text) = text(&value) else { return Ok(Dynamic::UNIT) };
    if part.is_empty() {
        return Ok(text.into());
    }
    let size = text.matches(part).count().saturating_mul(by.len()).saturating_add(text.len());
    if size > TEXT {
        return Err(EvalAltResult::ErrorDataTooLarge("Length of string".into(), Position::NONE).into());
    }
    Ok(text.replace(part, by).into())
}

/// A group of the first match, without blanks around it; group 0 is all of it.
fn extract(value: &Dynamic, pattern: &Pattern, group: i64) -> Dynamic {
    let found = || {
        let text = text(value)?;
        let captures = pattern.0.captures(&text)?;
        let found = captures.get(usize::try_from(group).ok()?)?.as_str().trim();
        (!found.is_empty()).then(|| found.into())
    };
    found().unwrap_or(Dynamic::UNIT)
}

fn split(value: Dynamic, separator: &str) -> Dynamic {
    if separator.is_empty() {
        return Dynamic::UNIT;
    }
    let parts = |text: String| -> Array { text.split(separator).map(|part| part.trim().into()).collect() };
    text(&value).map_or(Dynamic::UNIT, |text| parts(text).into())
}

/// The texts of a list in one; a text stays itself.
fn join(value: Dynamic, separator: &str) -> Given {
    let Some(list) = value.read_lock::<Array>() else { return Ok(change(&value, str::to_owned)) };
    let texts: Vec<String> = list.iter().filter_map(text).collect();
    let size = texts
        .iter()
        .fold(0_usize, |size, text| size.saturating_add(text.len()).saturating_add(separator.len()));
    if size > TEXT.saturating_add(separator.len()) {
        return Err(EvalAltResult::ErrorDataTooLarge("Length of string".into(), Position::NONE).into());
    }
    Ok(texts.join(separator).into())
}

/// The first entry of a list that is something.
fn first(value: Dynamic) -> Dynamic {
    let something =
        |item: &&Dynamic| text(item).is_none_or(|text| !text.trim().is_empty()) && !item.is_unit();
    match value.read_lock::<Array>() {
        Some(list) => list.iter().find(something).cloned().unwrap_or(Dynamic::UNIT),
        None => value.clone(),
    }
}

/// The entry of a list at a place, counted from 0, or from the end below 0.
fn item(value: Dynamic, place: i64) -> Dynamic {
    let found = || {
        let list = value.read_lock::<Array>()?;
        let place = if place < 0 {
            list.len().checked_sub(usize::try_from(place.unsigned_abs()).ok()?)?
        } else {
            usize::try_from(place).ok()?
        };
        list.get(place).cloned()
    };
    found().unwrap_or(Dynamic::UNIT)
}

/// The text, unless it is one of those that stand for none.
fn none_if(value: Dynamic, none: Array) -> Dynamic {
    let own = text(&value);
    let is_none = none.iter().any(|none| text(none) == own);
    if is_none { Dynamic::UNIT } else { value }
}

fn decimal(value: &Dynamic) -> Option<Decimal> {
    text(value)?.trim().parse().ok()
}

/// A number with the other sign.
fn negate(value: Dynamic) -> Dynamic {
    decimal(&value).map_or(Dynamic::UNIT, |number| {
        let mut turned = number;
        turned.set_sign_negative(number.is_sign_positive() && !number.is_zero());
        turned.to_string().into()
    })
}

/// A day as we write it, from the way the bank does (`%d.%m.%Y`).
fn date(value: Dynamic, format: &str) -> Dynamic {
    let read = || {
        let text = text(&value)?;
        Some(Date::strptime(format, text.trim()).ok()?.to_string())
    };
    read().map_or(Dynamic::UNIT, Into::into)
}
