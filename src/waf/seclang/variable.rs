//! What rules look at: variables, how they are selected, macros.

use regex::bytes::Regex;

use super::{LoadError, Place};
use crate::pattern;

macro_rules! collections {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A variable of the language, whatever is selected of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Collection { $($(#[$doc])* $variant,)* }

        impl Collection {
            /// Every variable that rules may name.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name in rules.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

collections! {
    /// Arguments of query and body.
    Args = "ARGS",
    /// Their names.
    ArgsNames = "ARGS_NAMES",
    /// Arguments of the query.
    ArgsGet = "ARGS_GET",
    /// Their names.
    ArgsGetNames = "ARGS_GET_NAMES",
    /// Arguments of the body.
    ArgsPost = "ARGS_POST",
    /// Their names.
    ArgsPostNames = "ARGS_POST_NAMES",
    /// Bytes of all names and values of arguments.
    ArgsCombinedSize = "ARGS_COMBINED_SIZE",
    /// Microseconds since the request began: always 0 here, where the clock is the caller's.
    Duration = "DURATION",
    /// File names of parts, by the name of the field.
    Files = "FILES",
    /// Names of fields with a file.
    FilesNames = "FILES_NAMES",
    /// Bytes of all files.
    FilesCombinedSize = "FILES_COMBINED_SIZE",
    /// What matched last.
    MatchedVar = "MATCHED_VAR",
    /// Where it stood.
    MatchedVarName = "MATCHED_VAR_NAME",
    /// Everything that the last link matched.
    MatchedVars = "MATCHED_VARS",
    /// Where it stood.
    MatchedVarsNames = "MATCHED_VARS_NAMES",
    /// File names of parts.
    MultipartFilename = "MULTIPART_FILENAME",
    /// Names of parts.
    MultipartName = "MULTIPART_NAME",
    /// Header lines of parts, by the name of the part.
    MultipartPartHeaders = "MULTIPART_PART_HEADERS",
    /// 1 where a multipart body breaks a rule of its grammar.
    MultipartStrictError = "MULTIPART_STRICT_ERROR",
    /// 1 where a line looks like a boundary and is none.
    MultipartUnmatchedBoundary = "MULTIPART_UNMATCHED_BOUNDARY",
    /// The query without its question mark.
    QueryString = "QUERY_STRING",
    /// Address of the peer.
    RemoteAddr = "REMOTE_ADDR",
    /// 1 where the body is not what its content type says.
    ReqbodyError = "REQBODY_ERROR",
    /// What is wrong with it.
    ReqbodyErrorMsg = "REQBODY_ERROR_MSG",
    /// URLENCODED, MULTIPART, JSON, XML or nothing.
    ReqbodyProcessor = "REQBODY_PROCESSOR",
    /// The same as REQBODY_ERROR.
    ReqbodyProcessorError = "REQBODY_PROCESSOR_ERROR",
    /// Last segment of it.
    RequestBasename = "REQUEST_BASENAME",
    /// The body where it is URLENCODED, or where a rule forces it.
    RequestBody = "REQUEST_BODY",
    /// Bytes of the body.
    RequestBodyLength = "REQUEST_BODY_LENGTH",
    /// Cookies.
    RequestCookies = "REQUEST_COOKIES",
    /// Their names.
    RequestCookiesNames = "REQUEST_COOKIES_NAMES",
    /// The path, with its escapes decoded.
    RequestFilename = "REQUEST_FILENAME",
    /// Headers.
    RequestHeaders = "REQUEST_HEADERS",
    /// Their names.
    RequestHeadersNames = "REQUEST_HEADERS_NAMES",
    /// Method, target and protocol.
    RequestLine = "REQUEST_LINE",
    /// Method.
    RequestMethod = "REQUEST_METHOD",
    /// Protocol, such as HTTP/1.1.
    RequestProtocol = "REQUEST_PROTOCOL",
    /// Path and query.
    RequestUri = "REQUEST_URI",
    /// The target as it was sent.
    RequestUriRaw = "REQUEST_URI_RAW",
    /// Body of the answer.
    ResponseBody = "RESPONSE_BODY",
    /// Its content type.
    ResponseContentType = "RESPONSE_CONTENT_TYPE",
    /// Headers of the answer.
    ResponseHeaders = "RESPONSE_HEADERS",
    /// Status of the answer.
    ResponseStatus = "RESPONSE_STATUS",
    /// Variables of the rules themselves.
    Tx = "TX",
    /// Name of the request, from its bytes.
    UniqueId = "UNIQUE_ID",
    /// Text of an XML body.
    XmlText = "XML:/*",
    /// Attributes of an XML body.
    XmlAttributes = "XML://@*",
}

impl Collection {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Its place in a table of all.
    #[must_use]
    #[expect(clippy::as_conversions, reason = "the discriminant of a fieldless enum is its place")]
    pub fn slot(self) -> usize {
        self as usize
    }

    /// Whether its values are kept: neither made by rules while they run nor when they are asked for.
    #[must_use]
    pub fn is_kept(self) -> bool {
        !matches!(
            self,
            Self::Tx
                | Self::MatchedVar
                | Self::MatchedVarName
                | Self::MatchedVars
                | Self::MatchedVarsNames
                | Self::ReqbodyProcessor
                | Self::ArgsCombinedSize
        )
    }

    /// Whether it is about the answer, which is not there while requests are inspected.
    #[must_use]
    pub fn of_answer(self) -> bool {
        matches!(
            self,
            Self::ResponseBody | Self::ResponseContentType | Self::ResponseHeaders | Self::ResponseStatus
        )
    }

    fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.name().eq_ignore_ascii_case(name))
    }
}

/// Which values of a collection are meant.
#[derive(Clone, Debug)]
pub enum Selector {
    /// All.
    All,
    /// Those of this name, whatever its case.
    Named(String),
    /// Those whose name matches.
    Matching(Regex),
}

impl Selector {
    /// Whether a value of this name is meant.
    #[must_use]
    pub fn selects(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Named(wanted) => wanted.as_bytes().eq_ignore_ascii_case(name),
            Self::Matching(pattern) => pattern.is_match(name),
        }
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::All, Self::All) => true,
            (Self::Named(one), Self::Named(two)) => one.eq_ignore_ascii_case(two),
            (Self::Matching(one), Self::Matching(two)) => one.as_str() == two.as_str(),
            (Self::All | Self::Named(_) | Self::Matching(_), _) => false,
        }
    }
}

/// One variable as a rule names it.
#[derive(Clone, Debug, PartialEq)]
pub struct VariableRef {
    /// The collection.
    pub collection: Collection,
    /// Which of its values.
    pub selector: Selector,
}

impl VariableRef {
    /// Reads `NAME`, `NAME:key` or `NAME:/pattern/`.
    pub(crate) fn parse(place: &Place, text: &str) -> Result<Self, LoadError> {
        if let Some(collection) = Collection::named(text) {
            return Ok(Self { collection, selector: Selector::All });
        }
        let (name, key) = text.split_once(':').unwrap_or((text, ""));
        let collection =
            Collection::named(name).ok_or_else(|| LoadError::unsupported(place, "variable", text))?;
        let key = key.trim_matches('\'');
        let pattern = key.strip_prefix('/').and_then(|key| key.strip_suffix('/'));
        let selector = match pattern {
            Some(pattern) => Selector::Matching(pattern::selector(place, pattern)?),
            // Rules write one name in several cases; what a request brings is compared as it is.
            None if collection == Collection::Tx => Selector::Named(key.to_ascii_lowercase()),
            None => Selector::Named(key.to_owned()),
        };
        Ok(Self { collection, selector })
    }
}

/// One variable of a rule's list, or what is left out of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The variable.
    pub variable: VariableRef,
    /// How many values there are, instead of the values.
    pub count: bool,
    /// Left out of what the others select.
    pub excluded: bool,
}

/// Reads a list such as `ARGS|!ARGS:token|&REQUEST_HEADERS:Host`.
pub(crate) fn targets(place: &Place, text: &str) -> Result<Vec<Target>, LoadError> {
    split_targets(text)
        .into_iter()
        .map(|one| {
            let one = one.trim();
            let (excluded, one) = one.strip_prefix('!').map_or((false, one), |one| (true, one));
            let (count, one) = one.strip_prefix('&').map_or((false, one), |one| (true, one));
            Ok(Target { variable: VariableRef::parse(place, one)?, count, excluded })
        })
        .collect()
}

/// At bars (or commas, in updates), but not at those of a pattern between slashes.
fn split_targets(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let pattern = rest.find(":/").filter(|at| rest.find(['|', ',']).is_none_or(|bar| *at < bar));
        let from = pattern
            .filter(|_| !rest.starts_with("XML:"))
            .and_then(|at| rest.get(at + 2..)?.find(['/']).map(|end| closing(rest, at + 2 + end)))
            .unwrap_or(0);
        let bar = rest.get(from..).and_then(|tail| tail.find(['|', ','])).map(|at| from + at);
        let (one, after) = bar.and_then(|at| rest.split_at_checked(at)).unwrap_or((rest, ""));
        found.push(one);
        rest = after.get(1..).unwrap_or("");
    }
    found
}

/// The slash that ends a pattern: the first one before a bar, a comma or the end.
fn closing(text: &str, from: usize) -> usize {
    let slashes = text.match_indices('/').map(|(at, _)| at).filter(|at| *at >= from);
    let ends =
        |at: &usize| text.get(at + 1..).is_none_or(|after| after.is_empty() || after.starts_with(['|', ',']));
    slashes.into_iter().find(ends).unwrap_or(from)
}

/// Text with values in it, such as `%{tx.score} of 5`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Macro {
    /// The pieces in their order.
    pub parts: Vec<Part>,
}

/// A piece of a [`Macro`].
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Stands for itself.
    Text(String),
    /// Stands for the first value.
    Value(VariableRef),
}

impl Macro {
    /// Reads the text; `%{NAME.key}` is a value.
    pub(crate) fn parse(place: &Place, text: &str) -> Result<Self, LoadError> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("%{") {
            let Some((name, after)) = after.split_once('}') else { break };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let variable = VariableRef::parse(place, &name.replacen('.', ":", 1))?;
            parts.push(Part::Value(variable));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The text, where no value is in it.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            [Part::Value(_)] | [_, _, ..] => None,
        }
    }
}
