//! Which operation a method and a path are.

use std::collections::HashMap;

/// A part of a path in the description.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Fixed(String),
    /// The name of a parameter.
    Any(String),
}

#[derive(Debug)]
struct Route {
    parts: Vec<Part>,
    /// By method in capitals.
    operations: Vec<(String, usize)>,
}

/// All paths, by the number of their parts.
#[derive(Debug, Default)]
pub(super) struct Routes(HashMap<usize, Vec<Route>>);

/// What became of looking for a path.
pub(super) enum Routed<'r> {
    /// The operation's number, and what stands in the path, decoded.
    Found(usize, Vec<(&'r str, String)>),
    NoMethod,
    NoPath,
    /// What stands in the path cannot be decoded.
    Encoding,
}

impl Routes {
    /// Adds a path of the description, such as `/v1/accounts/{account_id}`.
    pub(super) fn add(&mut self, path: &str, method: &str, operation: usize) {
        let parts: Vec<Part> = path.split('/').skip(1).map(part).collect();
        let routes = self.0.entry(parts.len()).or_default();
        let method = method.to_ascii_uppercase();
        if let Some(known) = routes.iter_mut().find(|route| route.parts == parts) {
            known.operations.push((method, operation));
            return;
        }
        routes.push(Route { parts, operations: vec![(method, operation)] });
        // What is fixed goes before what may be anything.
        routes.sort_by_key(|route| route.parts.iter().filter(|part| matches!(part, Part::Any(_))).count());
    }

    /// The operation of a method and a path of the description.
    pub(super) fn described(&self, method: &str, template: &str) -> Option<usize> {
        let parts: Vec<Part> = template.split('/').skip(1).map(part).collect();
        let route = self.0.get(&parts.len())?.iter().find(|route| route.parts == parts)?;
        route.operations.iter().find(|(of, _)| of == method).map(|(_, operation)| *operation)
    }

    /// Finds a path as it was sent. A parameter holds no `/`, encoded or not: that is for
    /// hygiene to refuse before.
    pub(super) fn find(&self, method: &str, path: &str) -> Routed<'_> {
        let sent: Vec<&str> = path.split('/').skip(1).collect();
        let Some(routes) = self.0.get(&sent.len()) else { return Routed::NoPath };
        let fits = |route: &&Route| {
            route.parts.iter().zip(&sent).all(|(part, sent)| match part {
                Part::Fixed(text) => text == sent,
                Part::Any(_) => !sent.is_empty(),
            })
        };
        let method = if method == "HEAD" { "GET" } else { method };
        let mut known = false;
        for route in routes.iter().filter(fits) {
            known = true;
            let Some((_, operation)) = route.operations.iter().find(|(of, _)| of == method) else { continue };
            let mut parameters = Vec::new();
            for (part, sent) in route.parts.iter().zip(&sent) {
                let Part::Any(name) = part else { continue };
                let Some(value) = decoded(sent) else { return Routed::Encoding };
                parameters.push((name.as_str(), value));
            }
            return Routed::Found(*operation, parameters);
        }
        if known { Routed::NoMethod } else { Routed::NoPath }
    }
}

fn part(text: &str) -> Part {
    match text.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
        Some(name) => Part::Any(name.to_owned()),
        None => Part::Fixed(text.to_owned()),
    }
}

/// A part of a path, decoded (RFC 3986 §2.1); none if that is no UTF-8.
fn decoded(text: &str) -> Option<String> {
    if !super::is_encoded_well(text.as_bytes()) {
        return None;
    }
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}
