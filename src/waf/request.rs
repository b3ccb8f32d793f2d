//! A request as rules see it: variables, made of borrowed bytes.

use std::net::IpAddr;

use crate::body::{self, Processor};
use crate::seclang::Collection;
use crate::texts::{TextId, Texts};
use crate::transform::Transformation;
use crate::typed::{Extent, Typed};
use crate::verdict::fingerprint;

/// Headers whose values many requests have, and that say nothing of a person.
const COMMON_HEADERS: [&str; 9] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "user-agent",
];

/// A request to inspect.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Method, as it was sent.
    pub method: &'a str,
    /// Path and query, as they were sent.
    pub target: &'a str,
    /// Such as `HTTP/1.1`.
    pub protocol: &'a str,
    /// Names and values in their order.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The body, without transfer coding.
    pub body: &'a [u8],
    /// Who is connected.
    pub peer: IpAddr,
}

impl Request<'_> {
    /// Bytes of everything that is inspected.
    pub(crate) fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.method.len() + self.target.len() + headers + self.body.len()
    }

    fn header(&self, wanted: &str) -> &[u8] {
        let found = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map_or(b"", |(_, value)| value)
    }
}

/// One value of a collection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    pub(crate) name: TextId,
    pub(crate) value: TextId,
    /// Another layer has typed it: it counts, but rules do not look at it.
    pub(crate) typed: bool,
}

/// All variables that the request itself gives.
pub(crate) struct Variables {
    collections: Vec<Vec<Item>>,
    pub(crate) processor: Option<Processor>,
    pub(crate) force_body: bool,
    /// Bytes of all names and values of arguments.
    pub(crate) arguments_size: usize,
}

impl Variables {
    /// What is known before the body is read.
    pub(crate) fn of_head(request: &Request<'_>, texts: &mut Texts<'_>, typed: &Typed) -> Self {
        let mut variables = Self {
            collections: vec![Vec::new(); Collection::COUNT],
            processor: Processor::of(request.header("content-type")),
            force_body: false,
            arguments_size: 0,
        };
        variables.line(request, texts);
        for (name, value) in request.headers {
            variables.header(name, value, texts, typed);
        }
        for (_, value) in request.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
            for (name, value) in body::cookies(value) {
                variables.put(Collection::RequestCookies, name, value, texts);
                variables.put(Collection::RequestCookiesNames, name, name, texts);
            }
        }
        let query = request.target.split_once('?').map_or("", |(_, query)| query);
        for (name, value) in body::form(without_fragment(query).as_bytes()) {
            variables.argument(Collection::ArgsGet, Collection::ArgsGetNames, &name, &value, texts, typed);
        }
        variables
    }

    fn line(&mut self, request: &Request<'_>, texts: &mut Texts<'_>) {
        let path = without_fragment(request.target.split_once('?').map_or(request.target, |(path, _)| path));
        let query = request.target.split_once('?').map_or("", |(_, query)| without_fragment(query));
        let decoded_path = percent_decoded(local(path).as_bytes());
        let basename = decoded_path.rsplit(|byte| matches!(byte, b'/' | b'\\')).next().unwrap_or_default();
        self.common(Collection::RequestFilename, &decoded_path, texts);
        self.common(Collection::RequestBasename, basename, texts);
        let line = match request.protocol {
            "" => format!("{} {}", request.method, request.target),
            protocol => format!("{} {} {protocol}", request.method, request.target),
        };
        let name = fingerprint(line.as_bytes());
        self.common(Collection::RequestMethod, request.method.as_bytes(), texts);
        self.common(Collection::RequestProtocol, request.protocol.as_bytes(), texts);
        for (collection, value) in [
            (Collection::RequestLine, line.as_str()),
            (Collection::RequestUri, local(request.target)),
            (Collection::RequestUriRaw, request.target),
        ] {
            // What is looked for may be a person's.
            if query.is_empty() {
                self.common(collection, value.as_bytes(), texts);
            } else {
                self.single(collection, value.as_bytes(), texts);
            }
        }
        for (collection, value) in [
            (Collection::QueryString, query),
            (Collection::RemoteAddr, request.peer.to_string().as_str()),
            (Collection::UniqueId, name.as_str()),
            (Collection::Duration, "0"),
        ] {
            self.single(collection, value.as_bytes(), texts);
        }
        self.single(Collection::RequestBodyLength, request.body.len().to_string().as_bytes(), texts);
    }

    /// Reads the body as what rules made of its content type. Which collections that changed, by their slots.
    pub(crate) fn read_body(
        &mut self,
        request: &Request<'_>,
        texts: &mut Texts<'_>,
        typed: &Typed,
    ) -> Vec<bool> {
        let before: Vec<_> = self.collections.iter().map(Vec::len).collect();
        self.add_body(request, texts, typed);
        self.collections.iter().zip(before).map(|(after, before)| after.len() != before).collect()
    }

    fn add_body(&mut self, request: &Request<'_>, texts: &mut Texts<'_>, typed: &Typed) {
        let read = self.processor.map_or_else(body::Parts::default, |processor| {
            body::read(processor, request.header("content-type"), request.body)
        });
        for (name, value) in &read.arguments {
            self.argument(Collection::ArgsPost, Collection::ArgsPostNames, name, value, texts, typed);
        }
        let raw =
            self.processor == Some(Processor::UrlEncoded) || (self.processor.is_none() && self.force_body);
        if raw && !request.body.is_empty() && !typed.whole_body() {
            self.single(Collection::RequestBody, request.body, texts);
        }
        for file in &read.files {
            self.put(Collection::Files, &file.field, &file.name, texts);
            self.put(Collection::FilesNames, &file.field, &file.field, texts);
            self.put(Collection::MultipartFilename, b"", &file.name, texts);
        }
        for (part, header) in &read.part_headers {
            self.put(Collection::MultipartPartHeaders, part, header, texts);
        }
        for name in &read.part_names {
            self.put(Collection::MultipartName, b"", name, texts);
        }
        if let Some(text) = &read.xml_text {
            self.single(Collection::XmlText, text, texts);
        }
        for value in &read.xml_attributes {
            self.single(Collection::XmlAttributes, value, texts);
        }
        let size = |number: usize| number.to_string().into_bytes();
        let flag = |raised: bool| size(usize::from(raised));
        self.single(
            Collection::FilesCombinedSize,
            &size(read.files.iter().map(|file| file.size).sum()),
            texts,
        );
        self.single(Collection::ReqbodyError, &flag(read.error.is_some()), texts);
        self.single(Collection::ReqbodyProcessorError, &flag(read.error.is_some()), texts);
        self.single(Collection::ReqbodyErrorMsg, read.error.unwrap_or("").as_bytes(), texts);
        self.single(Collection::MultipartStrictError, &flag(read.strict_error), texts);
        self.single(Collection::MultipartUnmatchedBoundary, &flag(read.unmatched_boundary), texts);
    }

    pub(crate) fn of(&self, collection: Collection) -> &[Item] {
        self.collections.get(collection.slot()).map_or(&[], Vec::as_slice)
    }

    /// Arguments, headers and cookies together that are looked at.
    pub(crate) fn count(&self) -> usize {
        [Collection::Args, Collection::RequestHeaders, Collection::RequestCookies, Collection::XmlAttributes]
            .into_iter()
            .flat_map(|collection| self.of(collection))
            .filter(|item| !item.typed)
            .count()
    }

    fn push(&mut self, collection: Collection, item: Item) {
        if let Some(items) = self.collections.get_mut(collection.slot()) {
            items.push(item);
        }
    }

    fn put(&mut self, collection: Collection, name: &[u8], value: &[u8], texts: &mut Texts<'_>) {
        let item = Item { name: texts.put(name), value: texts.put(value), typed: false };
        self.push(collection, item);
    }

    fn single(&mut self, collection: Collection, value: &[u8], texts: &mut Texts<'_>) {
        self.put(collection, b"", value, texts);
    }

    /// The same of a text that many requests have.
    fn common(&mut self, collection: Collection, value: &[u8], texts: &mut Texts<'_>) {
        let item = Item { name: texts.put(b""), value: texts.put_common(value), typed: false };
        self.push(collection, item);
    }

    fn header(&mut self, name_as_sent: &str, value: &[u8], texts: &mut Texts<'_>, typed: &Typed) {
        let typed = typed.header(name_as_sent);
        let name = texts.put_common(name_as_sent.as_bytes());
        let common = COMMON_HEADERS.iter().any(|common| common.eq_ignore_ascii_case(name_as_sent));
        let value = match (typed, common) {
            (true, _) => 0,
            (false, true) => texts.put_common(value),
            (false, false) => texts.put(value),
        };
        self.push(Collection::RequestHeaders, Item { name, value, typed });
        self.push(Collection::RequestHeadersNames, Item { name, value: name, typed });
    }

    fn argument(
        &mut self,
        values: Collection,
        names: Collection,
        name: &[u8],
        value: &[u8],
        texts: &mut Texts<'_>,
        typed: &Typed,
    ) {
        self.arguments_size += name.len() + value.len();
        let extent = typed.argument(name);
        let (named, typed) = (extent.is_some(), extent == Some(Extent::All));
        // The value of what is typed is asked for by nobody.
        let (name, value) = (texts.put(name), if typed { 0 } else { texts.put(value) });
        for collection in [values, Collection::Args] {
            self.push(collection, Item { name, value, typed });
        }
        for collection in [names, Collection::ArgsNames] {
            self.push(collection, Item { name, value: name, typed: named });
        }
    }
}

/// The path of an absolute target (RFC 9112 §3.2.2).
fn local(target: &str) -> &str {
    let authority = target
        .split_once("://")
        .filter(|(scheme, _)| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    authority.map_or(target, |(_, rest)| rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"))
}

fn without_fragment(text: &str) -> &str {
    text.split_once('#').map_or(text, |(before, _)| before)
}

/// Percent escapes of a path, where a plus sign is one.
fn percent_decoded(path: &[u8]) -> Vec<u8> {
    let pieces: Vec<Vec<u8>> = path.split(|byte| *byte == b'+').map(decoded).collect();
    pieces.join(&b'+')
}

/// Percent escapes and plus signs of a form.
pub(crate) fn decoded(text: &[u8]) -> Vec<u8> {
    Transformation::UrlDecode.apply(text)
}
