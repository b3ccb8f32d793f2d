//! A person with a browser: follows links, keeps cookies, fills in forms,
//! approves or declines. Knows no page in particular.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use http::Method;
use url::Url;

use super::client::{Answer, Client};

/// What the person does when asked.
#[derive(Clone, Debug)]
pub struct Browser {
    client: Client,
    /// Cookies by host and port.
    cookies: BTreeMap<String, BTreeMap<String, String>>,
    /// User name at banks.
    pub user: String,
    /// Password at banks.
    pub password: String,
    /// Code with which the person confirms at banks.
    pub code: String,
    /// What the person chooses of several, where that is not what a page proposes.
    pub choice: Option<&'static str>,
    /// Value of the decision button.
    pub decision: &'static str,
    /// Further headers of every request.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// Where a walk ended.
#[derive(Clone, Debug)]
pub struct Visit {
    /// The last address.
    pub url: Url,
    /// The page there; none if the address was the one to stop at.
    pub page: Option<Answer>,
}

/// Seconds for which the person looks on when a page is about to move by itself.
const PATIENCE: u32 = 5;
/// Pages of one walk.
const MAX_STEPS: usize = 200;

impl Browser {
    /// A browser of a person who approves.
    #[must_use]
    pub fn new(client: Client, user: &str, password: &str) -> Self {
        Self {
            client,
            cookies: BTreeMap::new(),
            user: user.to_owned(),
            password: password.to_owned(),
            code: modelbank::CODE.to_owned(),
            choice: None,
            decision: "approve",
            headers: Vec::new(),
        }
    }

    /// One request with the cookies of its host; redirects are not followed.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn request(
        &mut self,
        method: Method,
        url: &Url,
        form: Option<String>,
    ) -> anyhow::Result<Answer> {
        let host = url[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
        let jar = self.cookies.entry(host).or_default();
        let cookie = jar.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        let mut headers = vec![("user-agent", "DemoBrowser/1.0"), ("accept", "text/html")];
        headers.extend(&self.headers);
        if !cookie.is_empty() {
            headers.push(("cookie", &cookie));
        }
        if form.is_some() {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let answer = self.client.send(method, url.as_str(), &headers, form.unwrap_or_default()).await?;
        for value in answer.headers.get_all(http::header::SET_COOKIE) {
            let mut parts = value.to_str().unwrap_or_default().split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            if parts.any(|attribute| attribute.eq_ignore_ascii_case("max-age=0")) {
                jar.remove(name);
            } else {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(answer)
    }

    /// Walks from `start` until the browser is sent to `stop_at`, or to a page
    /// that asks for nothing.
    ///
    /// # Errors
    ///
    /// If a page does not answer or the walk does not end.
    pub async fn walk(&mut self, start: &str, stop_at: &str) -> anyhow::Result<Visit> {
        let mut url = Url::parse(start)?;
        let (mut method, mut form) = (Method::GET, None);
        for _ in 0..MAX_STEPS {
            if url.as_str().starts_with(stop_at) {
                return Ok(Visit { url, page: None });
            }
            let answer = self.request(method.clone(), &url, form.take()).await?;
            if answer.status.is_redirection() {
                let next = answer.header("location").context("a redirect without an address")?;
                url = url.join(next)?;
                method = Method::GET;
                continue;
            }
            if let Some(next) = refresh(&answer) {
                url = url.join(next)?;
                method = Method::GET;
                continue;
            }
            let html = String::from_utf8_lossy(&answer.body).into_owned();
            // What the page's script does in a browser that has them.
            if let Some(answer) = url.fragment().filter(|_| html.contains("/assets/fragment.js")) {
                url = url.join(&format!("{}/fragment?{answer}", url.path()))?;
                continue;
            }
            let Some(found) = Form::find(&html) else { return Ok(Visit { url, page: Some(answer) }) };
            url = url.join(&found.action)?;
            form = Some(found.filled(self));
            method = Method::POST;
        }
        bail!("the walk did not end after {MAX_STEPS} pages, at {}", url.path());
    }
}

/// The form of a page that a person would fill in.
struct Form {
    action: String,
    fields: Vec<(String, String)>,
    offers: Vec<(String, String)>,
    asks: Vec<String>,
    decides: bool,
}

impl Form {
    /// The first form that posts.
    fn find(html: &str) -> Option<Self> {
        let mut rest = html;
        while let Some(at) = rest.find("<form") {
            let form = rest.get(at..)?;
            let end = form.find("</form>").unwrap_or(form.len());
            let body = form.get(..end)?;
            let head = body.get(..body.find('>')?)?;
            if attribute(head, "method").is_some_and(|method| method.eq_ignore_ascii_case("post")) {
                return Some(Self::read(head, body));
            }
            rest = form.get(end..)?;
        }
        None
    }

    fn read(head: &str, body: &str) -> Self {
        let mut form = Self {
            action: attribute(head, "action").unwrap_or_default(),
            fields: Vec::new(),
            offers: Vec::new(),
            asks: Vec::new(),
            decides: false,
        };
        for tag in body.split('<').filter(|tag| tag.starts_with("input") || tag.starts_with("button")) {
            let tag = tag.split('>').next().unwrap_or_default();
            let Some(name) = attribute(tag, "name") else { continue };
            let button = tag.starts_with("button");
            let kind =
                attribute(tag, "type").unwrap_or_else(|| if button { "submit" } else { "text" }.to_owned());
            let value = attribute(tag, "value").unwrap_or_default();
            match kind.as_str() {
                "hidden" => form.fields.push((name, value)),
                "checkbox" | "radio" => {
                    if kind == "radio" {
                        form.offers.push((name.clone(), value.clone()));
                    }
                    if tag.contains(" checked") {
                        form.fields.push((name, value));
                    }
                }
                "submit" => form.decides |= name == "decision",
                _ => form.asks.push(name),
            }
        }
        form
    }

    fn filled(mut self, person: &Browser) -> String {
        let chosen = self.offers.iter().find(|(_, value)| person.choice == Some(value.as_str()));
        if let Some((name, value)) = chosen {
            self.fields.retain(|(known, _)| known != name);
            self.fields.push((name.clone(), value.clone()));
        }
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(&self.fields);
        for name in &self.asks {
            let answer = match name.as_str() {
                "password" => &person.password,
                "code" => &person.code,
                _ => &person.user,
            };
            body.append_pair(name, answer);
        }
        if self.decides {
            body.append_pair("decision", person.decision);
        }
        body.finish()
    }
}

/// Where a page soon sends a browser by itself. One that would do so later
/// waits for the person.
fn refresh(answer: &Answer) -> Option<&str> {
    let (seconds, address) = answer.header("refresh")?.split_once("; url=")?;
    let soon = seconds.parse::<u32>().is_ok_and(|seconds| seconds <= PATIENCE);
    soon.then_some(address)
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}=\""))?.checked_add(name.len())?.checked_add(3)?;
    let value = tag.get(start..)?.split('"').next()?;
    Some(value.replace("&amp;", "&").replace("&#38;", "&").replace("&#39;", "'").replace("&quot;", "\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_as_a_browser_would() {
        let html = r#"<form method="get" action="/s"><input name="q"></form>
            <form method="post" action="/a?b=1&#38;c=2"><input type="hidden" name="t" value="x&amp;y">
            <input type="checkbox" name="acc" value="1" checked><input type="checkbox" name="acc" value="2">
            <input name="user" type="text"><button name="decision" value="approve">ok</button></form>"#;
        let form = Form::find(html).unwrap();
        assert_eq!(form.action, "/a?b=1&c=2");
        assert_eq!(form.fields, [("t".into(), "x&y".into()), ("acc".into(), "1".into())]);
        assert_eq!(form.asks, ["user"]);
        assert!(form.decides);
    }
}
