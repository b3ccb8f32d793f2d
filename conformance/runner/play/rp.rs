//! A gateway of ours as a client of hostile banks, driven as an application does.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::Url;

use super::{Failure, Play};
use crate::case::{Action, Edit, Step};
use crate::clock::Clock;
use crate::http::{Exchange, Request, Response};
use crate::rp::{Bank, Drive, Judged, LIFE, Mode, Told, judge};

/// Redirects of one walk.
const MOST: usize = 40;
/// Reads of one journey: a token that is refused is renewed in between.
const READS: usize = 3;

/// A browser without a screen.
#[derive(Debug, Default)]
struct Browser {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a browser ended.
enum Ended {
    /// At an address that it was to stop before.
    Before(Url),
    /// At a page.
    Page(Response),
}

/// One consent on its way.
struct Asked {
    consent: String,
    start: Url,
    redirect_uri: String,
}

impl<'t> Play<'t> {
    /// The journey that a mode wants, and the verdict from both sides.
    pub(super) async fn rp(&mut self, step: &Step) -> Result<(), Failure> {
        let name = step.with.get("mode").and_then(Value::as_str).unwrap_or_default();
        let mode = Mode::named(name)
            .ok_or_else(|| Failure::Blocked(format!("no hostile bank is called {name:?}")))?;
        let bank = self.banks().await?;
        bank.set_ahead(self.clock.now().saturating_sub(Clock::machine().as_second()));
        bank.forget(mode);
        self.own_token().await?;
        if mode.drive() == Drive::Twice {
            self.journey(mode, &mut Browser::default()).await?;
            if mode != Mode::RequestFresh {
                bank.forget_seen(mode);
            }
        }
        let mut told = self.journey(mode, &mut Browser::default()).await?;
        if mode.drive() == Drive::Later && told.data {
            for _ in 0..2 {
                self.wait(&Step { seconds: LIFE.saturating_add(30), ..Step::default() }).await?;
                bank.set_ahead(self.clock.now().saturating_sub(Clock::machine().as_second()));
                bank.end_tokens(mode);
                self.read(&mut told).await?;
            }
        }
        let seen = bank.seen(mode);
        // Both sides are evidence.
        let requests = seen.iter().filter_map(|one| Some((one.when, one.request.as_ref()?)));
        self.exchanges
            .extend(requests.map(|(when, request)| Exchange::seen("seen by the bank", when, request)));
        match judge(mode, &bank.issuer(mode), &seen, &told) {
            Judged::Holds => Ok(()),
            Judged::Broken(why) => Err(Failure::Broken(why)),
            Judged::NotReached(why) => Err(Failure::Blocked(why)),
        }
    }

    async fn banks(&self) -> Result<&'t Bank, Failure> {
        let target = self.target;
        let Some(rp) = &target.is.rp else {
            return Err(Failure::NotApplicable("the configuration has no hostile banks".to_owned()));
        };
        let start = async {
            let identities = rp.identities()?;
            Ok(Bank::start(rp.listen, identities, &rp.client_id).await?)
        };
        let bank = target.banks.get_or_try_init(|| start).await;
        bank.map_err(|error: anyhow::Error| Failure::Blocked(format!("{error:#}")))
    }

    /// A token of the application's own.
    async fn own_token(&mut self) -> Result<(), Failure> {
        let step = Step { action: Action::ClientCredentials, ..Step::default() };
        let observed = self.client_credentials(&step).await?;
        self.succeeded(&step, &observed).map_err(blocked)
    }

    async fn journey(&mut self, mode: Mode, browser: &mut Browser) -> Result<Told, Failure> {
        let asked = self.ask(mode).await?;
        let mut told = Told::default();
        let mut ended = self.walk_to_callback(browser, &asked).await?;
        if let Ended::Before(back) = &ended {
            let back = back.clone();
            let mut stranger = Browser::default();
            let by = if mode.drive() == Drive::Stranger { &mut stranger } else { &mut *browser };
            ended = self.go(by, back.clone(), &|url| is_at(url, &asked.redirect_uri)).await?;
            if mode.drive() == Drive::Again {
                // What becomes of the second visit is nobody's: what was given must still be there.
                self.go(by, back, &|url| is_at(url, &asked.redirect_uri)).await?;
            }
        }
        match ended {
            Ended::Before(url) => self.back_at_client(&url, &mut told).await?,
            Ended::Page(answer) => told.says = format!("a page with status {}", answer.status),
        }
        let status = self.status_of(&asked.consent).await?;
        told.authorised = status == "AUTHORIZED" || status == "PARTIALLY_AUTHORIZED";
        told.says = format!("{} (the consent is {status})", told.says);
        Ok(told)
    }

    /// Lodges a consent at the bank of a mode, and pushes a request for it.
    async fn ask(&mut self, mode: Mode) -> Result<Asked, Failure> {
        let body = json!({
            "type": "ACCOUNT_INFORMATION", "institution_id": mode.institution(),
            "permissions": ["READ_ACCOUNTS_DETAIL", "READ_BALANCES"],
        });
        let key = uuid::Uuid::new_v4().to_string();
        let request = self.api("POST", "/v1/consents", "own_token")?;
        let request = request.header("idempotency-key", key).body("application/json", body.to_string());
        let answer = self.answered(&request).await?;
        let consent = answer.json().get("id").and_then(Value::as_str).map(str::to_owned);
        let consent = consent.ok_or_else(|| {
            Failure::Blocked(format!("no consent can be lodged at {}: {}", mode.institution(), answer.text()))
        })?;
        let details = json!([{"type": "account_access", "consent_id": consent}]);
        let mut form = Edit::default();
        form.set.insert("authorization_details".to_owned(), json!(details.to_string()));
        let step = Step { action: Action::Push, form, ..Step::default() };
        let observed = self.push(&step).await?;
        self.succeeded(&step, &observed).map_err(blocked)?;
        let client = self.client(&step)?;
        let endpoint = self.known.metadata.get("authorization_endpoint").and_then(Value::as_str);
        let mut start = endpoint
            .and_then(|url| Url::parse(url).ok())
            .ok_or_else(|| Failure::Blocked("the metadata has no authorization_endpoint".to_owned()))?;
        start
            .query_pairs_mut()
            .append_pair("client_id", &client.is.client_id)
            .append_pair("request_uri", self.values.text("request_uri").unwrap_or_default());
        let redirect_uri = self.values.text("redirect_uri").unwrap_or_default().to_owned();
        Ok(Asked { consent, start, redirect_uri })
    }

    /// Goes until the bank sends the browser back to the gateway, or as far as it comes.
    async fn walk_to_callback(&mut self, browser: &mut Browser, asked: &Asked) -> Result<Ended, Failure> {
        let issuer = self.target.issuer.origin();
        let stop = |url: &Url| {
            let back = url.origin() == issuer && url.path().contains("/callback/gb-rp-");
            back || is_at(url, &asked.redirect_uri)
        };
        self.go(browser, asked.start.clone(), &stop).await
    }

    async fn back_at_client(&mut self, url: &Url, told: &mut Told) -> Result<(), Failure> {
        let value = |name: &str| {
            url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
        };
        if value("state").as_deref() != self.values.text("state") {
            return Err(Failure::Blocked("the gateway came back with another state".to_owned()));
        }
        let Some(code) = value("code") else {
            told.says = format!("the error {}", value("error").unwrap_or_default());
            return Ok(());
        };
        self.values.set("code", code);
        let step = Step { action: Action::Token, ..Step::default() };
        let observed = self.token(&step).await?;
        self.succeeded(&step, &observed).map_err(blocked)?;
        self.read(told).await
    }

    /// Reads accounts with the application's token.
    async fn read(&mut self, told: &mut Told) -> Result<(), Failure> {
        for _ in 0..READS {
            let request = self.api("GET", "/v1/accounts", "access_token")?;
            let answer = self.answered(&request).await?;
            let json = answer.json();
            told.data = json.get("data").and_then(Value::as_array).is_some_and(|rows| !rows.is_empty());
            told.says = format!("accounts with status {}", answer.status);
            if told.data {
                break;
            }
            let sources = json.get("sources").cloned().unwrap_or_default();
            told.says = format!("{}, sources {sources}", told.says);
        }
        Ok(())
    }

    async fn status_of(&mut self, consent: &str) -> Result<String, Failure> {
        let request = self.api("GET", &format!("/v1/consents/{consent}"), "own_token")?;
        let answer = self.answered(&request).await?;
        let status = answer.json().get("status").and_then(Value::as_str).map(str::to_owned);
        status.ok_or_else(|| Failure::Blocked("the gateway does not know its consent".to_owned()))
    }

    /// A request to the API with a token, while the person is there.
    fn api(&self, method: &str, path: &str, token: &str) -> Result<Request, Failure> {
        let api = self.values.text("api").unwrap_or_default();
        let url = Url::parse(&format!("{api}{path}"))
            .map_err(|_| Failure::NotApplicable("no api is configured".to_owned()))?;
        let client = self.client(&Step::default())?;
        let token = self.values.text(token).unwrap_or_default();
        Ok(Request::new(method, url)
            .header("authorization", format!("Bearer {token}"))
            .header("psu-ip-address", "192.0.2.7")
            .with(client.is.certificate.as_deref()))
    }

    async fn answered(&mut self, request: &Request) -> Result<Response, Failure> {
        self.send(request).await.map_err(|error| Failure::Blocked(error.to_string()))
    }

    /// Follows redirects until an address at which it is to stop, or a page.
    async fn go(
        &mut self,
        browser: &mut Browser,
        from: Url,
        stop: &(dyn Fn(&Url) -> bool + Send + Sync),
    ) -> Result<Ended, Failure> {
        let mut url = from;
        for hop in 0..MOST {
            if hop > 0 && stop(&url) {
                return Ok(Ended::Before(url));
            }
            let place = url.origin().ascii_serialization();
            let mut request = Request::new("GET", url.clone())
                .header("accept", "text/html,application/xhtml+xml")
                .header("user-agent", "Mozilla/5.0 (consentry conformance)");
            let jar = browser.cookies.entry(place).or_default();
            if !jar.is_empty() {
                let all: Vec<_> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request = request.header("cookie", all.join("; "));
            }
            let answer = self.answered(&request).await?;
            for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
                let first = cookie.split(';').next().unwrap_or_default();
                if let Some((name, value)) = first.split_once('=') {
                    jar.insert(name.trim().to_owned(), value.trim().to_owned());
                }
            }
            let next = answer.header("location").and_then(|location| url.join(location).ok());
            match next.filter(|_| (300..400).contains(&answer.status)) {
                Some(next) => url = next,
                None => return Ok(Ended::Page(answer)),
            }
        }
        Err(Failure::Broken(format!("the browser was sent on {MOST} times without an end")))
    }
}

/// Whether an address is the application's.
fn is_at(url: &Url, redirect_uri: &str) -> bool {
    Url::parse(redirect_uri).is_ok_and(|own| own.origin() == url.origin() && own.path() == url.path())
}

/// What goes before the journey is no verdict about it.
fn blocked(failure: Failure) -> Failure {
    match failure {
        Failure::Broken(why) => Failure::Blocked(why),
        other @ (Failure::Blocked(_) | Failure::NotApplicable(_)) => other,
    }
}
