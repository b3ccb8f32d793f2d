//! How a client presents itself to a PSU (RFC 7591 §2, §2.2): names by
//! language, links, colours.
//!
//! `logo_uri` is kept with the registration and not shown: an image from
//! elsewhere would tell its host who is about to consent, and could change
//! after it was looked at.

use serde_json::{Map, Value};
use url::Url;

use super::InvalidMetadata;
use super::theme::Theme;
use crate::locale::Locale;

/// A text or address by language; the one without a language is for all others.
#[derive(Clone, Debug, Default)]
struct Localised {
    plain: Option<String>,
    by_language: Vec<(Locale, String)>,
}

impl Localised {
    /// `name` and each `name#language` of ours, checked.
    fn read(
        members: &Map<String, Value>,
        name: &str,
        check: fn(&str) -> Result<(), InvalidMetadata>,
    ) -> Result<Self, InvalidMetadata> {
        let mut read = Self::default();
        for (member, value) in members {
            let (base, language) =
                member.split_once('#').map_or((member.as_str(), None), |(base, tag)| (base, Some(tag)));
            if base != name || value.is_null() {
                continue;
            }
            let value = value.as_str().ok_or(InvalidMetadata::Metadata("names and addresses are text"))?;
            check(value)?;
            match language.map(Locale::of_range) {
                None => read.plain = Some(value.to_owned()),
                Some(Some(locale)) => read.by_language.push((locale, value.to_owned())),
                Some(None) => {}
            }
        }
        Ok(read)
    }

    fn get(&self, locale: Locale) -> Option<&str> {
        let localised = self.by_language.iter().find(|(of, _)| *of == locale);
        localised.map(|(_, value)| value.as_str()).or(self.plain.as_deref())
    }

    /// An address that a page may link to: over TLS.
    fn link(&self, locale: Locale) -> Option<&str> {
        self.get(locale).filter(|address| address.starts_with("https://"))
    }
}

/// How a client presents itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Presentation {
    name: Localised,
    website: Localised,
    privacy: Localised,
    terms: Localised,
    /// Its colours.
    pub(crate) theme: Option<Theme>,
}

impl Presentation {
    pub(super) fn read(metadata: &Value) -> Result<Self, InvalidMetadata> {
        let Some(members) = metadata.as_object() else { return Ok(Self::default()) };
        Localised::read(members, "logo_uri", is_address)?;
        Ok(Self {
            name: Localised::read(members, "client_name", is_name)?,
            website: Localised::read(members, "client_uri", is_address)?,
            privacy: Localised::read(members, "policy_uri", is_address)?,
            terms: Localised::read(members, "tos_uri", is_address)?,
            theme: Theme::read(members.get("consentry_theme"))?,
        })
    }

    /// The client's name.
    pub(crate) fn name(&self, locale: Locale) -> Option<&str> {
        self.name.get(locale)
    }

    /// The client's home page.
    pub(crate) fn website(&self, locale: Locale) -> Option<&str> {
        self.website.link(locale)
    }

    /// How the client treats data.
    pub(crate) fn privacy(&self, locale: Locale) -> Option<&str> {
        self.privacy.link(locale)
    }

    /// The client's terms of service.
    pub(crate) fn terms(&self, locale: Locale) -> Option<&str> {
        self.terms.link(locale)
    }
}

fn is_name(name: &str) -> Result<(), InvalidMetadata> {
    let fits = (1..=100).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    fits.then_some(()).ok_or(InvalidMetadata::Metadata("client_name has 1 to 100 printable characters"))
}

fn is_address(address: &str) -> Result<(), InvalidMetadata> {
    let url = Url::parse(address).ok().filter(|_| address.len() <= 2_048);
    let fits = url.is_some_and(|url| {
        matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none()
    });
    fits.then_some(()).ok_or(InvalidMetadata::Metadata(
        "logo_uri, client_uri, policy_uri and tos_uri are web addresses of at most 2048 bytes",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// RFC 7591 §2.2: "client_name#ja-Jpan-JP"; language tags are compared
    /// without regard to case.
    #[test]
    fn a_name_is_shown_in_the_readers_language_if_there_is_one() {
        let read = Presentation::read(&json!({
            "client_name": "Harbour Budget",
            "client_name#DE-at": "Hafenbudget",
            "client_name#ja": "x",
            "client_uri": "https://harbour.example/",
            "client_uri#de": "https://harbour.example/de",
        }))
        .unwrap();
        assert_eq!(read.name(Locale::De), Some("Hafenbudget"));
        assert_eq!(read.name(Locale::Fr), Some("Harbour Budget"));
        assert_eq!(read.website(Locale::De), Some("https://harbour.example/de"));
        assert_eq!(read.privacy(Locale::De), None);
    }

    #[test]
    fn an_address_that_a_page_must_not_link_to_is_refused() {
        for uri in ["javascript:alert(1)", "//a.example", "https://u@a.example/", "data:,x", ""] {
            for name in ["client_uri", "policy_uri", "tos_uri", "logo_uri", "policy_uri#fr"] {
                assert!(Presentation::read(&json!({ name: uri })).is_err(), "{name} {uri}");
            }
        }
        let plain = Presentation::read(&json!({ "client_uri": "http://a.example/" })).unwrap();
        assert_eq!(plain.website(Locale::En), None);
        assert!(Presentation::read(&json!({ "client_name#de": "a\u{7}" })).is_err());
        assert!(Presentation::read(&json!({ "client_name#de": 1 })).is_err());
    }
}
