//! A client's colours on the hosted pages (`consentry_theme`, a member of our
//! own): only colours, and only ones that everybody can read.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::InvalidMetadata;

/// The colours of a client: of buttons, links and the focus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Theme {
    accent: Colour,
    /// On dark paper; none leaves our own.
    accent_dark: Option<Colour>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    accent: String,
    accent_dark: Option<String>,
}

/// A colour of sRGB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Colour([u8; 3]);

/// What stands behind or inside the accent in `page.css`: the page, the cards,
/// and the text of buttons.
const LIGHT: [Colour; 2] = [Colour([0xf6, 0xf7, 0xf9]), Colour([0xff, 0xff, 0xff])];
const DARK: [Colour; 3] =
    [Colour([0x11, 0x16, 0x1c]), Colour([0x1a, 0x22, 0x2b]), Colour([0x0a, 0x15, 0x22])];

impl Theme {
    pub(super) fn read(given: Option<&Value>) -> Result<Option<Self>, InvalidMetadata> {
        let bad = InvalidMetadata::Metadata;
        let Some(given) = given.filter(|given| !given.is_null()) else { return Ok(None) };
        let form =
            "consentry_theme is {\"accent\": \"#rrggbb\", \"accent_dark\": \"#rrggbb\"}, the latter optional";
        let given: Given = web::strictly(given.clone()).map_err(|_| bad(form))?;
        let accent = Colour::read(&given.accent).ok_or(bad(form))?;
        if !LIGHT.iter().all(|paper| accent.is_readable_on(*paper)) {
            return Err(bad(
                "the accent of consentry_theme has a contrast of less than 4.5:1 to #f6f7f9 or #ffffff",
            ));
        }
        let accent_dark =
            given.accent_dark.map(|accent| Colour::read(&accent).ok_or(bad(form))).transpose()?;
        if accent_dark.is_some_and(|accent| !DARK.iter().all(|paper| accent.is_readable_on(*paper))) {
            return Err(bad(
                "the accent_dark of consentry_theme has a contrast of less than 4.5:1 to #11161c, #1a222b or #0a1522",
            ));
        }
        Ok(Some(Self { accent, accent_dark }))
    }

    /// The style sheet that puts the colours in place of ours.
    pub(crate) fn style_sheet(&self) -> String {
        let mut css = format!(":root {{ --deed: {}; }}\n", self.accent);
        // Said in both cases: the rule above counts in the dark too.
        let dark =
            self.accent_dark.map_or_else(|| "var(--deed-dark)".to_owned(), |accent| accent.to_string());
        css.push_str(&format!("@media (prefers-color-scheme: dark) {{ :root {{ --deed: {dark}; }} }}\n"));
        css
    }
}

impl fmt::Display for Colour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [red, green, blue] = self.0;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

impl Colour {
    fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
        let pair = |at: usize| {
            let pair = digits.get(at..at.checked_add(2)?)?;
            pair.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(pair, 16).ok())?
        };
        Some(Self([pair(0)?, pair(2)?, pair(4)?]))
    }

    /// WCAG 2.2 §1.4.3: a contrast of 4.5:1 at least.
    #[expect(
        clippy::float_arithmetic,
        reason = "WCAG defines contrast over real numbers; nothing is paid with it"
    )]
    fn is_readable_on(self, paper: Self) -> bool {
        let (one, other) = (self.luminance(), paper.luminance());
        (one.max(other) + 0.05) / (one.min(other) + 0.05) >= 4.5
    }

    /// Relative luminance as WCAG 2.2 defines it.
    #[expect(
        clippy::float_arithmetic,
        reason = "WCAG defines luminance over real numbers; nothing is paid with it"
    )]
    fn luminance(self) -> f64 {
        let linear = |channel: u8| {
            let value = f64::from(channel) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = self.0.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(theme: Value) -> Result<Option<Theme>, InvalidMetadata> {
        Theme::read(Some(&theme))
    }

    /// WCAG 2.2 §1.4.3: "a contrast ratio of at least 4.5:1". #767676 on white
    /// is the well-known border: 4.54:1, and 4.24:1 on our paper.
    #[test]
    fn a_colour_that_cannot_be_read_is_refused() {
        assert!(read(json!({ "accent": "#6a1b9a" })).unwrap().is_some());
        assert!(read(json!({ "accent": "#6a1b9a", "accent_dark": "#CE93D8" })).unwrap().is_some());
        assert!(Colour([0x76; 3]).is_readable_on(Colour([0xff; 3])));
        assert!(!Colour([0x77; 3]).is_readable_on(Colour([0xff; 3])));
        for theme in [
            json!({ "accent": "#767676" }),
            json!({ "accent": "#ffcc00" }),
            json!({ "accent": "#6a1b9a", "accent_dark": "#6a1b9a" }),
        ] {
            let refused = read(theme.clone()).unwrap_err();
            assert!(refused.to_string().contains("4.5:1"), "{theme}: {refused}");
        }
    }

    #[test]
    fn a_theme_is_made_of_colours_only() {
        for theme in [
            json!({}),
            json!("#6a1b9a"),
            json!(["#6a1b9a", null]),
            json!({ "accent": "purple" }),
            json!({ "accent": "#6a1b9" }),
            json!({ "accent": "#6a1b9a;}" }),
            json!({ "accent": "#+a1b9a" }),
            json!({ "accent": "#éé00" }),
            json!({ "accent": "#6a1b9a", "font": "x" }),
            json!({ "accent": "#6a1b9a", "accent_dark": "white" }),
        ] {
            assert!(read(theme.clone()).is_err(), "{theme}");
        }
        assert_eq!(read(Value::Null), Ok(None));
    }

    /// The colours that contrast is computed against are those of the pages.
    #[test]
    fn the_papers_are_those_of_the_style_sheet() {
        let css = include_str!("../templates/page.css");
        for (names, papers) in
            [(&["--paper", "--card"][..], &LIGHT[..]), (&["--paper", "--card", "--deed-ink"][..], &DARK[..])]
        {
            for (name, paper) in names.iter().zip(papers) {
                let paper = paper.to_string().replace("#ffffff", "#fff");
                assert!(css.contains(&format!("{name}: {paper};")), "{name}: {paper}");
            }
        }
    }
}
