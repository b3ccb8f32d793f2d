//! What is known to differ, and why it may. The outside judge is libmodsecurity 3.0.9.

use waf::Request;

/// A rule that one engine alone told something of.
pub struct Difference<'a> {
    /// `ours` or `theirs`.
    pub whose: &'static str,
    pub rule: u64,
    /// Variable and value, in the words of the engine that told.
    pub place: &'a str,
    pub request: &'a Request<'a>,
}

type Known = (&'static str, fn(&Difference<'_>) -> bool);

/// Why the difference may be; none if nobody knows.
pub fn reason(found: &Difference<'_>) -> Option<&'static str> {
    KNOWN.iter().find(|(_, explains)| explains(found)).map(|(why, _)| *why)
}

impl Difference<'_> {
    fn is_of(&self, whose: &str, rules: &[u64]) -> bool {
        self.whose == whose && rules.contains(&self.rule)
    }

    fn content_type(&self) -> String {
        let header = self.request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        header.map_or_else(String::new, |(_, value)| String::from_utf8_lossy(value).to_ascii_lowercase())
    }

    fn holds(&self, text: &[u8]) -> bool {
        let headers = self.request.headers.iter().map(|(_, value)| *value);
        let mut parts = headers.chain([self.request.target.as_bytes(), self.request.body]);
        parts.any(|part| part.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text)))
    }

    /// It is about how the body is written.
    fn is_about_the_form(&self) -> bool {
        (9_100_010..=9_100_012).contains(&self.rule)
    }

    /// Behind the empty line that ends the headers of a part there is more than one line.
    fn has_lines_in_a_part(&self) -> bool {
        let body = String::from_utf8_lossy(self.request.body).replace("\r\n", "\n");
        let mut texts = body.split("\n--").filter_map(|part| part.split_once("\n\n"));
        texts.any(|(_, text)| text.contains('\n'))
    }

    fn is_of_type(&self, word: &str) -> bool {
        self.content_type().contains(word)
    }

    fn is_multipart(&self) -> bool {
        self.content_type().starts_with("multipart/")
    }
}

const KNOWN: &[Known] = &[
    ("REQUEST_BODY is of forms only, as its documentation says; theirs is of every body", |it| {
        it.whose == "theirs" && it.place.contains("REQUEST_BODY") && !it.content_type().contains("urlencoded")
    }),
    ("a score counts what differs otherwise", |it| matches!(it.rule, 949_110 | 9_100_290)),
    ("their patterns take every line for a text of its own, which the rules do not expect", |it| {
        let line_end = |text: &str| ["\\x0a", "\\x0d", "%0A"].iter().any(|end| text.contains(end));
        let theirs = it.whose == "theirs" && line_end(it.place);
        // What must not match is found missing in the whole, and not in one of its lines.
        theirs || (it.is_of("ours", &[942_440]) && it.holds(b"%0a"))
    }),
    ("REQUEST_URI is as it was sent; theirs is decoded", |it| {
        it.whose == "theirs" && it.place.contains("`REQUEST_URI'") && it.request.target.contains('%')
    }),
    ("an inequality of equal values is none, as the rule's own tests say", |it| {
        it.is_of("theirs", &[942_131])
    }),
    ("an address without a path has the path /; theirs takes its host for one", |it| {
        it.whose == "theirs" && it.place.contains("REQUEST_FILENAME") && it.request.target.contains("://")
    }),
    ("they lose the ends of lines in a part of a form", |it| {
        it.is_multipart() && it.has_lines_in_a_part() && !it.is_about_the_form()
    }),
    ("they end the path at a question mark that was escaped", |it| {
        let path = it.request.target.split('?').next().unwrap_or_default();
        path.to_ascii_lowercase().contains("%3f")
    }),
    ("their decoders end at a zero", |it| it.whose == "ours" && (it.holds(b"%00") || it.holds(b"%2500"))),
    (
        "characters that look like ASCII are looked up in a file (unicode.mapping) that they are not given",
        |it| {
            let places: [&[u8]; 8] =
                [b"\xe2\x80", b"%e2%80", b"%c2%b4", b"%u20", b"\xca\xbc", b"%ca%bc", b"\xef\xbc", b"%ef%bc"];
            it.whose == "ours" && places.iter().any(|text| it.holds(text))
        },
    ),
    ("they miss a phrase that begins inside another one (.a0proj/secrets.env)", |it| {
        it.is_of("ours", &[930_130]) && it.request.target.contains("/.a0proj/")
    }),
    ("no body is no malformed one", |it| {
        it.whose == "theirs" && it.is_about_the_form() && it.request.body.is_empty()
    }),
    ("&colon; is a colon", |it| it.whose == "ours" && it.holds(b"%26colon%3b")),
    ("what a document type declares is a text to look into, and is never expanded", |it| {
        it.whose == "ours" && it.is_of_type("xml") && it.holds(b"<!doctype")
    }),
    ("numbers that no reader can hold, half a character and what is too deep are no JSON", |it| {
        it.is_of_type("json") && serde_json::from_slice::<serde_json::Value>(it.request.body).is_err()
    }),
    ("a field of a form may have an empty name", |it| {
        it.whose == "theirs" && it.is_about_the_form() && it.holds(b"name=\"\"")
    }),
    ("a form without a part, or without its end, is an error under another name", |it| {
        let without_parts = !it.holds(b"content-disposition");
        it.is_multipart() && it.is_about_the_form() && (without_parts || it.holds(b"binarydata"))
    }),
];
