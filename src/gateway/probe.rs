//! One authorisation at a bank, with nothing in between: our connectors, the
//! bank that a profile names, and a browser that approves by itself. What a bank
//! does wrong is found where it does it, and ends the probe.

use std::net::IpAddr;
use std::time::Instant;

use connect::bank_oauth::{
    AuthorizationRequest, ExpectedIdToken, IdTokenStep, Metadata, OAuthClient, Role, TokenAsked, code_of,
};
use connect::{
    AccountInformation, BankConsentStatus, BankError, BankErrorKind, BankRequest, BankResponse, CallContext,
    ConsentOrder, Consents, Dialect, EmbeddedSca, EmbeddedStep, Environment, Operation, Profile, PsuInput,
    PsuPresence, RedirectUris, ScaStart, TokenKind, Transport,
};
use crypto::SigningKey;
use domain::{Clock, Entropy, Permission};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use crate::demo::Browser;
use crate::scorecard::Scorecard;
use crate::tape::Tape;

/// What a probe is made with.
pub(crate) struct Probe<'a> {
    /// The bank.
    pub(crate) profile: &'a Profile,
    /// Its standard.
    pub(crate) dialect: &'a dyn Dialect,
    /// The way to it.
    pub(crate) transport: &'a Transport,
    /// Signs request objects and assertions.
    pub(crate) key: &'a SigningKey,
    /// Where the bank sends the browser back to. Nothing listens there.
    pub(crate) redirect_uri: Url,
    /// Time.
    pub(crate) clock: &'a dyn Clock,
    /// Chance.
    pub(crate) entropy: &'a dyn Entropy,
    /// What is done once the bank has authorised us.
    pub(crate) then: Then<'a>,
}

/// What a probe does with its authorisation.
#[derive(Clone, Copy)]
pub(crate) enum Then<'a> {
    /// Looks at the first page of accounts.
    Look,
    /// Takes down what the bank tells of accounts.
    Record(&'a Tape),
    /// Reads everything twice, and ends the consent.
    Examine(&'a Scorecard),
}

/// A step that was taken.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What was done.
    pub(crate) name: &'static str,
    /// How long it took.
    pub(crate) ms: u128,
    /// What came of it, where that is worth saying.
    pub(crate) note: Option<String>,
}

/// What came of a probe.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// The bank.
    pub(crate) bank: String,
    /// The steps that went well, in their order.
    pub(crate) steps: Vec<Step>,
    /// The step that did not, and why: our word for it, never the bank's.
    pub(crate) refused: Option<(&'static str, Refusal)>,
}

/// Why a probe ended.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The bank's answer, or a check of ours.
    #[error(transparent)]
    Bank(#[from] BankError),
    /// The browser got nowhere.
    #[error("the browser did not come back: {0}")]
    Browser(String),
    /// The bank wants something that nobody is here to do.
    #[error("{0}")]
    Needs(&'static str),
}

impl Refusal {
    /// A word for programs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Bank(error) => error.kind.code(),
            Self::Browser(_) => "browser-lost",
            Self::Needs(_) => "needs-a-person",
        }
    }
}

impl Report {
    /// One JSON object.
    pub(crate) fn json(&self) -> Value {
        let steps =
            self.steps.iter().map(|step| json!({ "step": step.name, "ms": step.ms, "note": step.note }));
        let refused = self.refused.as_ref();
        json!({
            "bank": self.bank,
            "authorised": refused.is_none(),
            "refused_because": refused.map(|(_, why)| why.code()),
            "refused_at": refused.map(|(step, _)| *step),
            "detail": refused.map(|(_, why)| why.to_string()),
            "steps": steps.collect::<Vec<_>>(),
        })
    }
}

/// Most answers that a bank wants of one person.
const MOST_ANSWERS: usize = 5;

/// The same for another request.
pub(crate) fn fresh<'a>(probe: &Probe<'_>, cx: &CallContext<'a>) -> CallContext<'a> {
    CallContext { request_id: probe.entropy.uuid_v4(), ..*cx }
}

/// Takes notes of steps.
struct Log {
    steps: Vec<Step>,
    at: &'static str,
    since: Instant,
}

impl Log {
    fn begin(&mut self, name: &'static str) {
        (self.at, self.since) = (name, Instant::now());
    }

    fn done(&mut self, note: Option<String>) {
        self.steps.push(Step { name: self.at, ms: self.since.elapsed().as_millis(), note });
    }
}

impl Probe<'_> {
    /// Goes all the way, or as far as the bank's answers are right.
    pub(crate) async fn run(&self, browser: &mut Browser) -> Report {
        let mut log = Log { steps: Vec::new(), at: "profile", since: Instant::now() };
        let outcome = self.go(&mut log, browser).await;
        let refused = outcome.err().map(|why| (log.at, why));
        Report { bank: self.profile.id.to_string(), steps: log.steps, refused }
    }

    async fn go(&self, log: &mut Log, browser: &mut Browser) -> Result<(), Refusal> {
        let accounts = self.dialect.accounts().ok_or_else(|| self.error(BankErrorKind::Unsupported))?;
        let server = match &self.profile.authorization_server {
            Some(_) => {
                log.begin("discovery");
                let server = self.transport.server_metadata(self.profile, None).await?;
                log.done(None);
                Some(server)
            }
            None => None,
        };
        let psu = PsuPresence {
            ip_address: IpAddr::from([127, 0, 0, 1]),
            user_agent: None,
            accept_language: None,
            last_authenticated: None,
        };
        let user = self.profile.sandbox_users.first().map(|user| user.username.clone());
        let cx = CallContext {
            profile: self.profile,
            request_id: self.entropy.uuid_v4(),
            now: self.clock.now(),
            psu: Some(&psu),
            psu_id: user.as_deref(),
            access_token: None,
            bank_consent_id: None,
        };
        if self.profile.accounts_api.is_none() {
            // A server without an interface behind it: the authorisation alone.
            let sca =
                ScaStart::OAuth { scope: "openid accounts".to_owned(), intent_id: None, metadata: None };
            self.authorise(log, browser, sca, server.as_ref()).await?;
            return Ok(());
        }
        log.begin("consent");
        let own = match accounts.consents() {
            Consents::Authorized(_) => None,
            Consents::Lodged(_) => {
                let kind = self.dialect.token_for(self.profile, Operation::Consent);
                self.own_token(server.as_ref(), kind).await?
            }
        };
        let cx = CallContext { access_token: own.as_ref(), ..cx };
        let (consent, sca) = self.lodge(accounts, &cx).await?;
        log.done(None);
        let cx = CallContext { bank_consent_id: Some(&consent), ..cx };
        let psu_token = if let ScaStart::Code(url) = &sca {
            Some(self.authorise_by_code(log, browser, &cx, url).await?)
        } else if let ScaStart::Embedded(sca) = sca {
            self.authorise_by_answers(log, &cx, *sca).await?;
            None
        } else {
            self.authorise(log, browser, sca, server.as_ref()).await?
        };
        if let Some(inquiry) = accounts.inquiry() {
            log.begin("consent status");
            let status = inquiry.status_read(&cx, &self.call(inquiry.status(&cx)?).await?)?;
            if status != BankConsentStatus::Authorised {
                return Err(self.error(BankErrorKind::ConsentRevoked).into());
            }
            log.done(None);
        }
        log.begin("accounts");
        let token = match self.dialect.token_for(self.profile, Operation::AccountData) {
            TokenKind::Psu | TokenKind::PsuIfHeld => psu_token,
            kind @ (TokenKind::None | TokenKind::Client(_)) => self.own_token(server.as_ref(), kind).await?,
        };
        let before = cx;
        let cx = CallContext { access_token: token.as_ref(), request_id: self.entropy.uuid_v4(), ..cx };
        match self.then {
            Then::Look => {
                let page = accounts.accounts_read(&cx, &self.call(accounts.accounts(&cx)?).await?)?;
                log.done(Some(format!("{} on the first page", page.items.len())));
            }
            Then::Record(tape) => {
                let read = tape.accounts(self, accounts, &cx).await?;
                log.done(Some(format!("{} recorded", read.len())));
                log.begin("balances");
                tape.balances(self, accounts, &cx, &read).await?;
                log.done(None);
                log.begin("transactions");
                tape.transactions(self, accounts, &cx, &read).await?;
                log.done(None);
            }
            Then::Examine(card) => {
                let read = card.examine(self, accounts, &cx).await?;
                log.done(Some(format!("{read} read twice")));
                log.begin("consent end");
                let of_consents = match self.dialect.token_for(self.profile, Operation::Consent) {
                    TokenKind::Psu | TokenKind::PsuIfHeld => cx,
                    TokenKind::None | TokenKind::Client(_) => before,
                };
                card.end(self, accounts, &of_consents, &cx).await?;
                log.done(None);
            }
        }
        Ok(())
    }

    async fn lodge(
        &self,
        accounts: &dyn AccountInformation,
        cx: &CallContext<'_>,
    ) -> Result<(String, ScaStart), BankError> {
        let redirects = RedirectUris {
            ok: self.redirect_uri.clone(),
            nok: self.redirect_uri.clone(),
            callback: self.redirect_uri.clone(),
            state: crypto::token(self.entropy, 32),
        };
        let order = ConsentOrder {
            permissions: self.permissions(),
            accounts: Vec::new(),
            valid_until: None,
            recurring: true,
            frequency_per_day: 4,
            transactions_from: None,
            redirects: redirects.clone(),
        };
        let lodged = match accounts.consents() {
            Consents::Lodged(way) => way.lodged(cx, &self.call(way.lodge(cx, &order)?).await?)?,
            Consents::Authorized(way) => way.begin(cx, &order)?,
        };
        let mut sca = lodged.sca;
        if let (ScaStart::Explicit { link }, Some(start)) = (&sca, accounts.explicit_start()) {
            let cx = CallContext { bank_consent_id: Some(&lodged.bank_id), ..*cx };
            let request = start.authorise(&cx, link, &redirects)?;
            sca = start.authorised(&cx, link, &self.call(request).await?)?;
        }
        Ok((lodged.bank_id, sca))
    }

    /// No more than what is read.
    fn permissions(&self) -> Vec<Permission> {
        let mut permissions = vec![Permission::ReadAccountsDetail, Permission::ReadBalances];
        match self.then {
            Then::Look => {}
            Then::Record(_) | Then::Examine(_) => permissions.push(Permission::ReadTransactionsDetail),
        }
        permissions
    }

    /// The PSU's token, where authentication gives one.
    async fn authorise(
        &self,
        log: &mut Log,
        browser: &mut Browser,
        sca: ScaStart,
        server: Option<&Metadata>,
    ) -> Result<Option<SecretString>, Refusal> {
        match (sca, server) {
            (ScaStart::Redirect(url), _) => {
                log.begin("browser");
                self.walk(browser, &url).await?;
                log.done(None);
                Ok(None)
            }
            (ScaStart::OAuth { scope, intent_id, .. }, Some(server)) => {
                self.authorise_by_oauth(log, browser, server, scope, intent_id).await.map(Some)
            }
            (ScaStart::OAuth { scope, intent_id, metadata }, None) => {
                let server = self.transport.server_metadata(self.profile, metadata.as_ref()).await?;
                self.authorise_by_oauth(log, browser, &server, scope, intent_id).await.map(Some)
            }
            (ScaStart::NotNeeded, _) => Ok(None),
            (ScaStart::Decoupled { .. }, _) => {
                Err(Refusal::Needs("the bank asks in its app, and nobody is there"))
            }
            (
                ScaStart::Explicit { .. } | ScaStart::Embedded(_) | ScaStart::Unsupported | ScaStart::Code(_),
                _,
            ) => Err(self.error(BankErrorKind::ScaMethodUnsupported).into()),
        }
    }

    /// Gives a bank that asks through us what its sandbox publishes of a user.
    async fn authorise_by_answers(
        &self,
        log: &mut Log,
        cx: &CallContext<'_>,
        mut sca: EmbeddedSca,
    ) -> Result<(), Refusal> {
        let embedded =
            self.dialect.embedded().ok_or_else(|| self.error(BankErrorKind::ScaMethodUnsupported))?;
        for _ in 0..MOST_ANSWERS {
            log.begin(match &sca.step {
                EmbeddedStep::Identify => "identification",
                EmbeddedStep::Password => "password",
                EmbeddedStep::SecondPassword => "second password",
                EmbeddedStep::Choose(_) => "method",
                EmbeddedStep::Answer(_) => "code",
                EmbeddedStep::Wait(_) | EmbeddedStep::Done | EmbeddedStep::Failed => "authentication",
            });
            let Some(input) = self.answer(&sca.step)? else { return Ok(()) };
            let cx = CallContext { request_id: self.entropy.uuid_v4(), ..*cx };
            let answer = self.call(embedded.give(&cx, &sca, &input)?).await?;
            sca = embedded.given(&cx, &sca, &answer)?;
            log.done(None);
        }
        Err(Refusal::Needs("the bank goes on asking"))
    }

    /// What the bank gets; nothing once it is content.
    fn answer(&self, step: &EmbeddedStep) -> Result<Option<PsuInput>, Refusal> {
        let user = || {
            if self.profile.environment != Environment::Sandbox {
                return Err(Refusal::Needs(
                    "the bank asks for a password, and a probe knows a sandbox's only",
                ));
            }
            let user = self.profile.sandbox_users.first();
            user.ok_or(Refusal::Needs("the bank asks for a password, and the profile has no sandbox_users"))
        };
        match step {
            EmbeddedStep::Identify => Ok(Some(PsuInput::Identification(user()?.username.clone()))),
            EmbeddedStep::Password => Ok(Some(PsuInput::Password(user()?.password.clone()))),
            EmbeddedStep::SecondPassword => {
                Err(Refusal::Needs("the bank wants a second password, of which a profile knows none"))
            }
            EmbeddedStep::Choose(methods) => {
                let none = || self.error(BankErrorKind::ScaMethodUnsupported);
                Ok(Some(PsuInput::Method(methods.first().ok_or_else(none)?.id.clone())))
            }
            EmbeddedStep::Answer(_) => {
                let none = Refusal::Needs("the bank asks for a code, and the profile's user has none");
                Ok(Some(PsuInput::Code(user()?.code.clone().ok_or(none)?)))
            }
            EmbeddedStep::Wait(_) => Err(Refusal::Needs("the bank asks in its app, and nobody is there")),
            EmbeddedStep::Done => Ok(None),
            EmbeddedStep::Failed => Err(self.error(BankErrorKind::PsuAuthenticationFailed).into()),
        }
    }

    /// The PSU's token, from a token endpoint of the standard's own.
    async fn authorise_by_code(
        &self,
        log: &mut Log,
        browser: &mut Browser,
        cx: &CallContext<'_>,
        start: &Url,
    ) -> Result<SecretString, Refusal> {
        let endpoint =
            self.dialect.tokens().ok_or_else(|| self.error(BankErrorKind::ScaMethodUnsupported))?;
        log.begin("browser");
        let back = self.walk(browser, start).await?;
        log.done(None);
        log.begin("callback");
        let code = code_of(self.profile, back.query().unwrap_or_default())?;
        log.done(None);
        log.begin("token");
        let request = endpoint.exchange(cx, &code, &self.redirect_uri)?;
        let tokens = endpoint.tokens_read(cx, &self.call(request).await?)?;
        log.done(None);
        Ok(tokens.access_token)
    }

    async fn authorise_by_oauth(
        &self,
        log: &mut Log,
        browser: &mut Browser,
        server: &Metadata,
        scope: String,
        intent_id: Option<String>,
    ) -> Result<SecretString, Refusal> {
        let client = self.client(server);
        let redirect_uri = self.redirect_uri.clone();
        let asked = AuthorizationRequest::new(self.entropy, Role::Accounts, redirect_uri, scope, intent_id);
        let request_uri = match client.push(&asked) {
            Some(push) => {
                log.begin("push");
                let pushed = client.pushed(&self.call(push?).await?)?;
                log.done(None);
                Some(pushed)
            }
            None => None,
        };
        log.begin("browser");
        let back = self.walk(browser, &client.authorize_url(&asked, request_uri.as_deref())?).await?;
        log.done(None);
        log.begin("callback");
        let parameters = back.fragment().or(back.query()).unwrap_or_default().to_owned();
        let callback = client.callback_check(&parameters, &asked)?;
        log.done(None);
        let code = Some(callback.code.expose_secret());
        if let Some(token) = callback.id_token.as_deref() {
            let expected = ExpectedIdToken { step: IdTokenStep::Callback, request: &asked, code };
            self.check_id_token(log, &client, Some(token), &expected).await?;
        }
        log.begin("token");
        let tokens = client.token_read(&self.call(client.exchange_code(&asked, &callback.code)?).await?)?;
        client.check_scope(&tokens, TokenAsked::Code(&asked))?;
        log.done(None);
        let expected = ExpectedIdToken { step: IdTokenStep::Code, request: &asked, code };
        self.check_id_token(log, &client, tokens.id_token.as_deref(), &expected).await?;
        Ok(tokens.access_token)
    }

    async fn check_id_token(
        &self,
        log: &mut Log,
        client: &OAuthClient<'_>,
        token: Option<&str>,
        expected: &ExpectedIdToken<'_>,
    ) -> Result<(), Refusal> {
        log.begin("id_token");
        self.transport.check_id_token(client, token, expected).await?;
        if token.is_some() {
            log.done(None);
        }
        Ok(())
    }

    /// A token of our own at the bank, where the standard wants one.
    async fn own_token(
        &self,
        server: Option<&Metadata>,
        kind: TokenKind<'_>,
    ) -> Result<Option<SecretString>, BankError> {
        match (kind, server) {
            (TokenKind::Client(scope), Some(server)) => {
                let client = self.client(server);
                let answer = self.call(client.client_credentials(scope)?).await?;
                let tokens = client.token_read(&answer)?;
                client.check_scope(&tokens, TokenAsked::Own(scope))?;
                Ok(Some(tokens.access_token))
            }
            (TokenKind::Client(_), None) => Err(BankError::profile(&self.profile.id, "authorization_server")),
            (TokenKind::None | TokenKind::Psu | TokenKind::PsuIfHeld, _) => Ok(None),
        }
    }

    async fn walk(&self, browser: &mut Browser, start: &Url) -> Result<Url, Refusal> {
        let visit = browser.walk(start.as_str(), self.redirect_uri.as_str()).await;
        let visit = visit.map_err(|error| Refusal::Browser(format!("{error:#}")))?;
        match visit.page {
            None => Ok(visit.url),
            Some(page) => {
                Err(Refusal::Browser(format!("a page with status {} asks for nothing", page.status)))
            }
        }
    }

    fn client<'a>(&'a self, metadata: &'a Metadata) -> OAuthClient<'a> {
        let (profile, now) = (self.profile, self.clock.now());
        OAuthClient { profile, metadata, signing_key: Some(self.key), now, entropy: self.entropy }
    }

    pub(crate) async fn call(&self, request: BankRequest) -> Result<BankResponse, BankError> {
        self.transport.call(self.profile, request).await
    }

    fn error(&self, kind: BankErrorKind) -> BankError {
        BankError::new(&self.profile.id, kind)
    }
}
