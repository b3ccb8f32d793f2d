//! What the browser brings back.

use url::Url;

use super::id_token::Came;
use super::{Client, Flaw, Refused, Session};
use crate::rp::Mode;

impl Client<'_> {
    /// The session and the code of an answer that holds (RFC 6749 §4.1.2, RFC 9207 §2.4).
    pub(super) async fn check_answer(
        &mut self,
        browser: u32,
        back: &Url,
    ) -> Result<(Session, String), Refused> {
        let values = |name: &str| -> Vec<String> {
            back.query_pairs()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.into_owned())
                .collect()
        };
        let careless = self.has(Flaw::FirstOfTwo);
        let once = |name: &str| -> Result<Option<String>, Refused> {
            match values(name).as_slice() {
                [] => Ok(None),
                [one] => Ok(Some(one.clone())),
                [first, ..] if careless => Ok(Some(first.clone())),
                _ => Err(format!("{name} came twice")),
            }
        };
        let (code, state, iss, error) = (once("code")?, once("state")?, once("iss")?, once("error")?);
        let session = self.session_of(browser, state.as_deref())?;
        let institution = back.path().rsplit('/').next().unwrap_or_default();
        if institution != session.mode.institution() && !self.has(Flaw::AnyCallback) {
            return Err("the answer came where another bank answers".to_owned());
        }
        let issuer = self.servers.get(&session.mode).map(|server| server.issuer.clone()).unwrap_or_default();
        match iss {
            Some(iss) if iss == issuer || self.has(Flaw::AnyIss) || self.has(Flaw::MixedUp) => {}
            Some(iss) if iss.trim_end_matches('/') == issuer && self.has(Flaw::IssSlash) => {}
            None if self.has(Flaw::IssMayMiss) => {}
            Some(_) | None => return Err("iss is not the bank's".to_owned()),
        }
        if let Some(error) = error
            && !(self.has(Flaw::CodeBeforeError) && code.is_some())
        {
            let says = if self.has(Flaw::DeniedIsGiven) { "authorised, in spite of" } else { "refused with" };
            return Err(format!("{says} {error}"));
        }
        let code = match code {
            Some(code) => code,
            None if self.has(Flaw::EmptyCode) => String::new(),
            None => return Err("there is no code".to_owned()),
        };
        if session.mode.hybrid() {
            match once("id_token")? {
                Some(token) => self.check_id_token(&token, &session, Came::Front(&code)).await?,
                None if self.has(Flaw::FrontMayMiss) => {}
                None => return Err("there is no id_token".to_owned()),
            }
        }
        Ok((session, code))
    }

    fn session_of(&mut self, browser: u32, state: Option<&str>) -> Result<Session, Refused> {
        let of_browser = |client: &Self| {
            let mut sessions = client.sessions.values();
            sessions.find(|session| session.browser == browser).cloned()
        };
        let found = match state {
            Some(state) => self.sessions.get(state).cloned(),
            None if self.has(Flaw::StateMayMiss) => of_browser(self),
            None => return Err("there is no state".to_owned()),
        };
        let found = match found {
            None if self.has(Flaw::AnyState) => of_browser(self),
            found => found,
        };
        let session = found.ok_or("the state is none of ours")?;
        if session.browser != browser && !self.has(Flaw::AnyBrowser) {
            return Err("the state is another browser's".to_owned());
        }
        if !self.has(Flaw::StateLives) {
            self.sessions.remove(&session.state);
        }
        Ok(session)
    }

    /// The issuer that a bank must have.
    pub(super) fn expected_issuer(&self, mode: Mode) -> String {
        self.bank.issuer(mode)
    }
}
