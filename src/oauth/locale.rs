//! Languages of the hosted pages, and which one a person gets: what the client
//! says (`ui_locales`, OpenID Connect Core §3.1.2.1), else what the browser
//! says (RFC 9110 §12.5.4), else English.

use http::HeaderMap;
use http::header::ACCEPT_LANGUAGE;

/// A language of the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Locale {
    En,
    De,
    Fr,
    Es,
    It,
    Pl,
}

impl Locale {
    /// Every language, as discovery lists them.
    pub(crate) const ALL: [Self; 6] = [Self::En, Self::De, Self::Fr, Self::Es, Self::It, Self::Pl];

    /// Its tag (RFC 5646).
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::It => "it",
            Self::Pl => "pl",
        }
    }

    /// The language that a range names: `de` and `de-AT` alike (RFC 4647 §3.4).
    pub(crate) fn of_range(range: &str) -> Option<Self> {
        let primary = range.split('-').next().unwrap_or_default();
        Self::ALL.into_iter().find(|locale| locale.tag().eq_ignore_ascii_case(primary))
    }

    /// The first of `ui_locales` that is ours: space-separated, in order of preference.
    fn of_ui_locales(locales: &str) -> Option<Self> {
        locales.split_ascii_whitespace().find_map(Self::of_range)
    }

    /// The language of a page.
    pub(crate) fn choose(ui_locales: Option<&str>, headers: &HeaderMap) -> Self {
        ui_locales.and_then(Self::of_ui_locales).or_else(|| accepted(headers)).unwrap_or(Self::En)
    }
}

/// The language that `Accept-Language` weighs most; of equal weights the first.
/// An element that is not well-formed counts for nothing.
fn accepted(headers: &HeaderMap) -> Option<Locale> {
    let lines = headers.get_all(ACCEPT_LANGUAGE).iter().filter_map(|line| line.to_str().ok());
    let given: Vec<(&str, u16)> = lines.flat_map(|line| line.split(',')).filter_map(weighed).collect();
    let refused = |locale: Locale| {
        given.iter().any(|(range, weight)| *weight == 0 && range.eq_ignore_ascii_case(locale.tag()))
    };
    let mut best: Option<(u16, Locale)> = None;
    for (range, weight) in given.iter().filter(|(_, weight)| *weight > 0) {
        let locale = if *range == "*" {
            Locale::ALL.into_iter().find(|locale| !refused(*locale))
        } else {
            Locale::of_range(range).filter(|locale| !refused(*locale))
        };
        if let Some(locale) = locale
            && best.is_none_or(|(most, _)| *weight > most)
        {
            best = Some((*weight, locale));
        }
    }
    best.map(|(_, locale)| locale)
}

/// A language range with its weight in thousandths (RFC 9110 §12.4.2).
fn weighed(element: &str) -> Option<(&str, u16)> {
    let mut parts = element.split(';');
    let range = parts.next()?.trim();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'*';
    if range.is_empty() || range.len() > 35 || !range.bytes().all(plain) {
        return None;
    }
    let weight = match parts.next() {
        None => 1_000,
        Some(weight) => thousandths(weight.trim().strip_prefix("q=")?)?,
    };
    parts.next().is_none().then_some((range, weight))
}

/// `qvalue = ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] )`.
fn thousandths(qvalue: &str) -> Option<u16> {
    let (whole, part) = qvalue.split_once('.').unwrap_or((qvalue, ""));
    if part.len() > 3 || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part: u16 = format!("{part:0<3}").parse().ok()?;
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1_000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(accept_language: &'static str) -> Option<Locale> {
        accepted(&HeaderMap::from_iter([(ACCEPT_LANGUAGE, http::HeaderValue::from_static(accept_language))]))
    }

    /// RFC 9110 §12.4.2: "a value of 0 means not acceptable"; without a weight it is 1.
    #[test]
    fn the_language_with_the_highest_weight_is_chosen() {
        for (header, wanted) in [
            ("de", Some(Locale::De)),
            ("pt, de-AT;q=0.4, fr;q=0.8", Some(Locale::Fr)),
            ("fr;q=0.5, it;q=0.5", Some(Locale::Fr)),
            ("en;q=0.001, pl;q=0.002", Some(Locale::Pl)),
            ("ES-419", Some(Locale::Es)),
            ("*;q=0.1, de;q=0", Some(Locale::En)),
            ("*, en;q=0", Some(Locale::De)),
            ("de;q=0, fr;q=0.1", Some(Locale::Fr)),
            ("pt-BR, ja", None),
            ("", None),
        ] {
            assert_eq!(of(header), wanted, "{header}");
        }
    }

    #[test]
    fn what_is_not_well_formed_counts_for_nothing() {
        for header in
            ["de;q=2", "de;q=1.001", "de;q=0.1234", "de;q=-1", "de;q=", "de;x=1", "d e", "de;q=1;q=1"]
        {
            assert_eq!(of(header), None, "{header}");
        }
        assert_eq!(of("de;q=nonsense, fr;q=0.1"), Some(Locale::Fr));
    }

    /// OpenID Connect Core §3.1.2.1: "in order of preference"; "an error SHOULD
    /// NOT result if some or all of the requested locales are not supported".
    #[test]
    fn what_the_client_says_goes_before_what_the_browser_says() {
        let browser = HeaderMap::from_iter([(ACCEPT_LANGUAGE, http::HeaderValue::from_static("it"))]);
        assert_eq!(Locale::choose(Some("pt fr-CA fr en"), &browser), Locale::Fr);
        assert_eq!(Locale::choose(Some("ja"), &browser), Locale::It);
        assert_eq!(Locale::choose(None, &browser), Locale::It);
        assert_eq!(Locale::choose(None, &HeaderMap::new()), Locale::En);
    }
}
