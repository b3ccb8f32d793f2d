//! The person's browser: follows redirects with cookies, and stops where the client is.

use std::collections::BTreeMap;

use serde_json::json;
use url::Url;

use super::{Failure, Play};
use crate::case::Observed;
use crate::http::Request;
use crate::target::PsuConfiguration;

/// Redirects of one walk.
const MOST: usize = 40;

impl Play<'_> {
    /// Where the browser ends that goes to an address: back at the client, or at a page.
    pub(super) async fn browse(
        &mut self,
        url: Url,
        redirect_uri: &str,
        deny: bool,
    ) -> Result<Observed, Failure> {
        match &self.target.is.psu {
            PsuConfiguration::Redirects if deny => {
                Err(Failure::NotApplicable("nobody declines here: the configuration names no way".to_owned()))
            }
            PsuConfiguration::Redirects => self.walk(url, redirect_uri, None).await,
            PsuConfiguration::RedirectsOrHeader { deny_header, deny_value } => {
                let header = deny.then(|| (deny_header.clone(), deny_value.clone()));
                self.walk(url, redirect_uri, header).await
            }
            PsuConfiguration::Command { command } => {
                let mut words = command.clone();
                if deny {
                    words.push("--deny".to_owned());
                }
                words.push(url.to_string());
                let ended = run(&words).await.map_err(Failure::Blocked)?;
                Ok(Observed::Returned(params(&ended)))
            }
            PsuConfiguration::Operator => {
                let ended = ask(&url, deny).await.map_err(Failure::Blocked)?;
                Ok(Observed::Returned(params(&ended)))
            }
        }
    }

    async fn walk(
        &mut self,
        from: Url,
        redirect_uri: &str,
        header: Option<(String, String)>,
    ) -> Result<Observed, Failure> {
        let mut cookies: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut url = from;
        let mut statuses = Vec::new();
        for _ in 0..MOST {
            if is_at(&url, redirect_uri) {
                self.values.set("redirect_statuses", json!(statuses));
                self.values.set("returned_to", url.as_str());
                return Ok(Observed::Returned(params(&url)));
            }
            let place = url.authority().to_owned();
            let mut request = Request::new("GET", url.clone())
                .header("accept", "text/html,application/xhtml+xml")
                .header("user-agent", "Mozilla/5.0 (consentry conformance)");
            let jar = cookies.entry(place).or_default();
            if !jar.is_empty() {
                let all: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request = request.header("cookie", all.join("; "));
            }
            if let Some((name, value)) = &header {
                request = request.header(name, value.as_str());
            }
            let observed = self.observe(&request).await?;
            let Observed::Answer(answer) = observed else { return Ok(observed) };
            for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
                let first = cookie.split(';').next().unwrap_or_default();
                if let Some((name, value)) = first.split_once('=') {
                    jar.insert(name.trim().to_owned(), value.trim().to_owned());
                }
            }
            let next = answer.header("location").and_then(|location| url.join(location).ok());
            match next.filter(|_| (300..400).contains(&answer.status)) {
                Some(next) => {
                    statuses.push(answer.status);
                    url = next;
                }
                None => return Ok(Observed::Answer(answer)),
            }
        }
        Err(Failure::broken(format!("the browser was sent on {MOST} times without an end")))
    }
}

/// Whether an address is the client's: the same but for what was added to its query.
fn is_at(url: &Url, redirect_uri: &str) -> bool {
    Url::parse(redirect_uri).is_ok_and(|own| {
        own.origin() == url.origin() && own.path() == url.path() && url.scheme() == own.scheme()
    })
}

/// The parameters of query and fragment.
fn params(url: &Url) -> Vec<(String, String)> {
    let fragment = url.fragment().unwrap_or_default();
    url.query_pairs()
        .chain(url::form_urlencoded::parse(fragment.as_bytes()))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect()
}

async fn run(words: &[String]) -> Result<Url, String> {
    let (program, arguments) = words.split_first().ok_or("psu.command is empty")?;
    let output = tokio::process::Command::new(program)
        .args(arguments)
        .output()
        .await
        .map_err(|error| format!("{program} cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    Url::parse(said.trim()).map_err(|_| format!("{program} wrote no address"))
}

async fn ask(url: &Url, deny: bool) -> Result<Url, String> {
    use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};

    let what = if deny { "decline" } else { "approve" };
    eprintln!("Open this address, {what}, and paste where the browser ends:\n{url}");
    let mut line = String::new();
    BufReader::new(stdin()).read_line(&mut line).await.map_err(|error| error.to_string())?;
    Url::parse(line.trim()).map_err(|_| "that is no address".to_owned())
}
