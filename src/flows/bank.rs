//! One leg of a PSU's walk: from our page to a bank and back.
//!
//! What is remembered while the PSU is away is found by the digest of `state`,
//! belongs to one browser and one bank, and is used once.

use std::sync::Arc;
use std::time::Duration;

use connect::bank_oauth::{
    AuthorizationRequest, ExpectedIdToken, IdTokenStep, Metadata, OAuthClient, Role, TokenAsked,
};
use connect::{
    AccountInformation, BankError, BankErrorKind, BankRequest, BankResponse, BatchInitiation, CallContext,
    Dialect, PaymentInitiation, Profile, PsuPresence, RedirectUris, ScaStart, Service,
};
use domain::{ConsentId, InstitutionId, MandateId, PaymentId, SessionId, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use store::consents::Note;
use store::sessions::BankState;
use url::Url;

use crate::accounts::chain;
use crate::consents::NextStep;
use crate::to_its_end::to_its_end;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// How the PSU authenticates at the bank.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum BankLeg {
    /// The browser goes there.
    Redirect(Url),
    /// The bank asks through our pages.
    Ask,
    /// The bank asks in its app, and may have words to show meanwhile.
    Decoupled(Option<String>),
    /// Not at all.
    Done,
}

/// What the PSU is at the bank for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LegSubject {
    /// To give a consent.
    Consent(ConsentId),
    /// To approve a payment.
    Payment(PaymentId),
    /// To approve that a payment is taken back.
    Cancellation(PaymentId),
    /// To give a mandate.
    Mandate(MandateId),
}

impl LegSubject {
    pub(crate) fn text(self) -> String {
        match self {
            Self::Consent(id) => id.to_string(),
            Self::Payment(id) => id.to_string(),
            Self::Cancellation(id) => format!("{CANCELLATION}{id}"),
            Self::Mandate(id) => id.to_string(),
        }
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(id) = text.strip_prefix(CANCELLATION) {
            return id.parse().map(Self::Cancellation).ok();
        }
        let consent = text.parse().map(Self::Consent).ok();
        let payment = || text.parse().map(Self::Payment).ok();
        consent.or_else(payment).or_else(|| text.parse().map(Self::Mandate).ok())
    }
}

/// What stands before the id of a payment that is taken back.
const CANCELLATION: &str = "cancel:";

/// A leg that is about to begin.
pub(crate) struct PendingLeg {
    state: SecretString,
    role: Role,
    pub(crate) session: SessionId,
    pub(crate) subject: LegSubject,
    pub(crate) redirects: RedirectUris,
    /// What the bank calls the subject, once it does.
    pub(crate) bank_id: Option<String>,
}

/// What is remembered of a leg.
#[derive(Serialize, Deserialize)]
struct LegSecrets {
    institution: InstitutionId,
    /// Only for banks with an authorization server.
    oauth: Option<OAuthSecrets>,
    /// Only for banks whose standard has a token endpoint of its own.
    code: Option<CodeSecrets>,
}

#[derive(Serialize, Deserialize)]
struct CodeSecrets {
    callback: Url,
    bank_id: String,
}

#[derive(Serialize, Deserialize)]
struct OAuthSecrets {
    role: Role,
    nonce: String,
    verifier: String,
    redirect_uri: Url,
    scope: String,
    intent_id: Option<String>,
    metadata: Option<Url>,
}

/// A PSU that came back from a bank; nothing has been used up yet.
pub struct BankReturn {
    /// The session to go on with; its browser must be the one that came.
    pub session: SessionId,
    state_digest: String,
    query: String,
    subject: LegSubject,
    secrets: LegSecrets,
}

/// Seconds that a PSU may be at a bank.
pub const LEG_TIME: i64 = 1_800;

impl Gateway {
    pub(crate) fn context<'a>(
        &self,
        profile: &'a Profile,
        psu: Option<&'a PsuPresence>,
        psu_id: Option<&'a str>,
        access_token: Option<&'a SecretString>,
        bank_consent_id: Option<&'a str>,
    ) -> CallContext<'a> {
        let now = self.now();
        let request_id = self.entropy().uuid_v4();
        CallContext { profile, request_id, now, psu, psu_id, access_token, bank_consent_id }
    }

    /// The dialect of a bank: one value from the first request of a use case to
    /// its last answer, whatever is replaced meanwhile.
    pub(crate) fn dialect_of(&self, profile: &Profile) -> Result<Arc<dyn Dialect>, FlowError> {
        self.parts.registry.dialect(profile).ok_or_else(|| FlowError::Unsupported(profile.id.clone()))
    }

    pub(crate) async fn call(
        &self,
        profile: &Profile,
        request: BankRequest,
    ) -> Result<BankResponse, BankError> {
        self.parts.transport.call(profile, request).await
    }

    /// As [`Gateway::call`], for one service: a bank can be down for it alone.
    pub(crate) async fn call_for(
        &self,
        service: Service,
        profile: &Profile,
        mut request: BankRequest,
    ) -> Result<BankResponse, BankError> {
        request.service = service;
        self.call(profile, request).await
    }

    /// As [`Gateway::call_for`], for a payment.
    pub(crate) async fn call_for_payment(
        &self,
        profile: &Profile,
        request: BankRequest,
    ) -> Result<BankResponse, BankError> {
        let effect = request.effect;
        let response = self.call_for(Service::Payments, profile, request).await?;
        self.verified(profile, effect, response).await
    }

    pub(crate) fn after(&self, lifetime: Duration) -> Timestamp {
        later(self.now(), i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
    }

    /// Prepares a leg: where the bank is to send the PSU back to.
    pub(crate) fn open_leg(
        &self,
        profile: &Profile,
        session: SessionId,
        subject: LegSubject,
        role: Role,
    ) -> Result<PendingLeg, FlowError> {
        let state = crypto::token(self.entropy(), 32);
        let callback = self.callback(&profile.id)?;
        let with = |result: &str| {
            let mut url = callback.clone();
            url.query_pairs_mut().append_pair("state", state.expose_secret()).append_pair("result", result);
            url
        };
        let redirects = RedirectUris {
            ok: with("ok"),
            nok: with("nok"),
            callback: callback.clone(),
            state: state.clone(),
        };
        Ok(PendingLeg { state, role, session, subject, redirects, bank_id: None })
    }

    /// Turns the bank's word on how the PSU authenticates into a leg.
    pub(crate) async fn leg_of(
        &self,
        profile: &Profile,
        pending: &PendingLeg,
        psu: &PsuPresence,
        sca: ScaStart,
    ) -> Result<BankLeg, FlowError> {
        match sca {
            ScaStart::Redirect(url) => {
                self.remember(profile, pending, None, None).await?;
                Ok(BankLeg::Redirect(url))
            }
            ScaStart::Code(url) => {
                let callback = pending.redirects.callback.clone();
                let code = CodeSecrets { callback, bank_id: pending.bank_id.clone().unwrap_or_default() };
                self.remember(profile, pending, None, Some(code)).await?;
                Ok(BankLeg::Redirect(url))
            }
            ScaStart::OAuth { scope, intent_id, metadata } => {
                let server = self.server(profile, metadata.as_ref()).await?;
                let request = AuthorizationRequest {
                    role: pending.role,
                    state: pending.state.expose_secret().to_owned(),
                    nonce: crypto::token(self.entropy(), 32).expose_secret().to_owned(),
                    code_verifier: crypto::token(self.entropy(), 32),
                    redirect_uri: self.callback(&profile.id)?,
                    scope,
                    intent_id,
                    again: false,
                };
                let client = self.client_of(profile, &server);
                let request_uri = match client.push(&request) {
                    Some(push) => Some(client.pushed(&self.call(profile, push?).await?)?),
                    None => None,
                };
                let url = client.authorize_url(&request, request_uri.as_deref())?;
                let secrets = OAuthSecrets {
                    role: request.role,
                    nonce: request.nonce,
                    verifier: request.code_verifier.expose_secret().to_owned(),
                    redirect_uri: request.redirect_uri,
                    scope: request.scope,
                    intent_id: request.intent_id,
                    metadata,
                };
                self.remember(profile, pending, Some(secrets), None).await?;
                Ok(BankLeg::Redirect(url))
            }
            ScaStart::Decoupled { message } => Ok(BankLeg::Decoupled(message)),
            ScaStart::Embedded(sca) => self.embedded_leg(profile, pending, psu, *sca).await,
            ScaStart::NotNeeded => Ok(BankLeg::Done),
            // Resolved by the caller, who asks the bank to start; a bank that
            // answers with yet another link is not one we can follow.
            ScaStart::Explicit { .. } | ScaStart::Unsupported => {
                Err(BankError::new(&profile.id, BankErrorKind::ScaMethodUnsupported).into())
            }
        }
    }

    async fn remember(
        &self,
        profile: &Profile,
        pending: &PendingLeg,
        oauth: Option<OAuthSecrets>,
        code: Option<CodeSecrets>,
    ) -> Result<(), FlowError> {
        let secrets = LegSecrets { institution: profile.id.clone(), oauth, code };
        let secrets = serde_json::to_value(&secrets).map_err(|_| FlowError::Busy)?;
        let state = BankState {
            session: pending.session,
            subject_id: pending.subject.text(),
            secrets,
            expires_at: later(self.now(), LEG_TIME),
        };
        let digest = digest_of(pending.state.expose_secret());
        Ok(store::transaction!(keyed self.parts.stores.global(), tx => {
            tx.remember_bank_state(&digest, &state).await
        })?)
    }

    /// Recognises a PSU that came back from `institution` with `query`.
    ///
    /// # Errors
    ///
    /// [`FlowError::CallbackMismatch`] if nothing of the kind was sent out,
    /// [`FlowError::CallbackSpent`] if it was used before or came too late.
    pub async fn bank_return(
        &self,
        institution: &InstitutionId,
        query: &str,
    ) -> Result<BankReturn, FlowError> {
        let state_digest = digest_of(&state_of(query).ok_or(FlowError::CallbackMismatch)?);
        let known = self.parts.stores.global().bank_state(&state_digest).await?;
        let known = known.ok_or(FlowError::CallbackSpent)?;
        if known.expires_at <= self.now() {
            return Err(FlowError::CallbackSpent);
        }
        let secrets: LegSecrets =
            serde_json::from_value(known.secrets).map_err(|_| FlowError::CallbackMismatch)?;
        let subject = LegSubject::parse(&known.subject_id).ok_or(FlowError::CallbackMismatch)?;
        // RFC 9700 §4.4: the answer must come to the address made for this bank.
        if secrets.institution != *institution {
            return Err(FlowError::CallbackMismatch);
        }
        Ok(BankReturn { session: known.session, state_digest, query: query.to_owned(), subject, secrets })
    }

    /// The session that an answer of a bank belongs to, also if it is spent: so
    /// that a PSU who comes too late finds the way back.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails.
    pub async fn session_of_return(&self, query: &str) -> Result<Option<SessionId>, FlowError> {
        match state_of(query) {
            Some(state) => Ok(self.parts.stores.global().session_of_bank_state(&digest_of(&state)).await?),
            None => Ok(None),
        }
    }

    /// Takes in what a bank sent along with the PSU. Once; the work goes on if
    /// the browser goes away.
    ///
    /// # Errors
    ///
    /// [`FlowError::CallbackSpent`] if it was taken in before; the bank's
    /// failure, after the consent or payment took it in.
    pub async fn finish_return(self: &Arc<Self>, returned: BankReturn) -> Result<(), FlowError> {
        let used = store::transaction!(self.parts.stores.global(), tx => {
            tx.use_bank_state(&returned.state_digest, self.now()).await
        });
        used.map_err(|error| {
            let spent = matches!(error, store::StoreError::Conflict);
            if spent { FlowError::CallbackSpent } else { error.into() }
        })?;
        let gateway = Arc::clone(self);
        let work = async move { gateway.take_in(returned).await };
        to_its_end(work).await
    }

    async fn take_in(self: &Arc<Self>, returned: BankReturn) -> Result<(), FlowError> {
        let profile = self.bank(&returned.secrets.institution)?;
        let nok = url::form_urlencoded::parse(returned.query.as_bytes())
            .any(|(name, value)| name == "result" && value == "nok");
        if let LegSubject::Consent(id) = returned.subject {
            // The PSU began again meanwhile: the tokens of this leg would open a
            // consent of the bank's that ours does not name any more.
            let current = self.any_consent(id).await?.bank.consent_id;
            let LegSecrets { oauth, code, .. } = &returned.secrets;
            let meant = oauth.as_ref().and_then(|oauth| oauth.intent_id.as_ref());
            let meant = meant.or(code.as_ref().map(|code| &code.bank_id));
            if meant.is_some() && meant != current.as_ref() {
                return Err(FlowError::CallbackSpent);
            }
        }
        let tokens = match (&returned.secrets.oauth, &returned.secrets.code) {
            (Some(secrets), _) => Some(self.redeem(&profile, &returned, secrets).await),
            (None, Some(secrets)) => Some(self.redeem_code(&profile, &returned, secrets).await),
            (None, None) => None,
        };
        match (returned.subject, tokens) {
            (LegSubject::Consent(id), Some(Ok(()))) => self.poll_consent(id).await.map(|_| ()),
            (LegSubject::Consent(id), Some(Err(error))) => {
                let reason =
                    if let FlowError::Bank(error) = &error { error.kind } else { BankErrorKind::Internal };
                let status = if reason == BankErrorKind::PsuCancelled {
                    domain::ConsentStatus::Rejected
                } else {
                    domain::ConsentStatus::Failed
                };
                tracing::warn!(consent.id = %id, error = %chain(&error), "The bank did not grant consent {id}");
                let rejected = status == domain::ConsentStatus::Rejected;
                let actor = if rejected { "psu" } else { "gateway" };
                self.end_consent(id, status, Note::because(actor, reason.code())).await?;
                if rejected { Ok(()) } else { Err(error) }
            }
            (LegSubject::Consent(id), None) => {
                let step = self.poll_consent(id).await?;
                if nok && matches!(step, NextStep::Wait(_)) {
                    let note = Note::because("psu", "psu-cancelled");
                    self.end_consent(id, domain::ConsentStatus::Rejected, note).await?;
                }
                Ok(())
            }
            (LegSubject::Payment(_), Some(Ok(()))) => Ok(()),
            (LegSubject::Payment(id), Some(Err(FlowError::Bank(error))))
                if error.kind == BankErrorKind::PsuCancelled =>
            {
                self.decline_payment(id).await
            }
            (LegSubject::Payment(_), Some(Err(error))) => Err(error),
            // What came of it only the bank knows, whatever the address says; but
            // what the PSU refused is not submitted.
            (LegSubject::Payment(id), None) if nok => self.decline_payment(id).await,
            (LegSubject::Payment(id), None) => self.approved_payment(id, None).await,
            (LegSubject::Cancellation(_), Some(Ok(()))) => Ok(()),
            (LegSubject::Cancellation(id), Some(Err(error))) => {
                self.cancellation_decided(id, true).await?;
                Err(error)
            }
            (LegSubject::Cancellation(id), None) => self.cancellation_decided(id, nok).await,
            (LegSubject::Mandate(_), Some(Ok(()))) => Ok(()),
            (LegSubject::Mandate(id), Some(Err(FlowError::Bank(error))))
                if error.kind == BankErrorKind::PsuCancelled =>
            {
                self.decline_mandate(id).await
            }
            // Without tokens nothing can be paid: the keeper ends it.
            (LegSubject::Mandate(_), Some(Err(error))) => Err(error),
            (LegSubject::Mandate(id), None) if nok => self.decline_mandate(id).await,
            (LegSubject::Mandate(id), None) => self.approved_mandate(id, None).await,
        }
    }

    /// Redeems the code of a callback and keeps what it gave.
    async fn redeem(
        self: &Arc<Self>,
        profile: &Profile,
        returned: &BankReturn,
        secrets: &OAuthSecrets,
    ) -> Result<(), FlowError> {
        let server = self.server(profile, secrets.metadata.as_ref()).await?;
        let client = self.client_of(profile, &server);
        let state = url::form_urlencoded::parse(returned.query.as_bytes())
            .find(|(name, _)| name == "state")
            .map(|(_, state)| state.into_owned())
            .unwrap_or_default();
        let request = AuthorizationRequest {
            role: secrets.role,
            state,
            nonce: secrets.nonce.clone(),
            code_verifier: secrets.verifier.clone().into(),
            redirect_uri: secrets.redirect_uri.clone(),
            scope: secrets.scope.clone(),
            intent_id: secrets.intent_id.clone(),
            again: false,
        };
        let callback = client.callback_check(&returned.query, &request)?;
        if let Some(token) = callback.id_token.as_deref() {
            let code = Some(callback.code.expose_secret());
            let expected = ExpectedIdToken { step: IdTokenStep::Callback, request: &request, code };
            self.parts.transport.check_id_token(&client, Some(token), &expected).await?;
        }
        let response = self.call(profile, client.exchange_code(&request, &callback.code)?).await?;
        let tokens = client.token_read(&response)?;
        // Kept before it is judged: a bank that rotates tokens has burnt the old one.
        if let LegSubject::Consent(id) = returned.subject {
            self.keep_bank_tokens(id, &tokens).await?;
        }
        client.check_scope(&tokens, TokenAsked::Code(&request))?;
        let code = Some(callback.code.expose_secret());
        let step = IdTokenStep::Code;
        let expected = ExpectedIdToken { step, request: &request, code };
        self.parts.transport.check_id_token(&client, tokens.id_token.as_deref(), &expected).await?;
        match returned.subject {
            LegSubject::Consent(_) => Ok(()),
            LegSubject::Payment(id) => self.approved_payment(id, Some(tokens)).await,
            // A bank asks for no token about an order that it holds.
            LegSubject::Cancellation(id) => self.cancellation_decided(id, false).await,
            LegSubject::Mandate(id) => self.approved_mandate(id, Some(&tokens)).await,
        }
    }

    /// Redeems the code of a callback at the standard's own token endpoint, and
    /// keeps what it gave.
    async fn redeem_code(
        self: &Arc<Self>,
        profile: &Profile,
        returned: &BankReturn,
        secrets: &CodeSecrets,
    ) -> Result<(), FlowError> {
        let dialect = self.dialect_of(profile)?;
        let endpoint = dialect.tokens().ok_or_else(|| FlowError::Unsupported(profile.id.clone()))?;
        let code = connect::bank_oauth::code_of(profile, &returned.query)?;
        let cx = self.context(profile, None, None, None, Some(&secrets.bank_id));
        let request = endpoint.exchange(&cx, &code, &secrets.callback)?;
        let tokens = endpoint.tokens_read(&cx, &self.call(profile, request).await?)?;
        match returned.subject {
            LegSubject::Consent(id) => self.keep_bank_tokens(id, &tokens).await,
            LegSubject::Payment(id) => self.approved_payment(id, Some(tokens)).await,
            // A bank asks for no token about an order that it holds.
            LegSubject::Cancellation(id) => self.cancellation_decided(id, false).await,
            LegSubject::Mandate(id) => self.approved_mandate(id, Some(&tokens)).await,
        }
    }

    pub(crate) fn client_of<'a>(&'a self, profile: &'a Profile, metadata: &'a Metadata) -> OAuthClient<'a> {
        OAuthClient {
            profile,
            metadata,
            signing_key: Some(&self.parts.bank_key),
            now: self.now(),
            entropy: self.entropy(),
        }
    }
}

/// The one `state` of a bank's answer.
fn state_of(query: &str) -> Option<std::borrow::Cow<'_, str>> {
    let mut states = url::form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "state");
    match (states.next(), states.next()) {
        (Some((_, state)), None) => Some(state),
        _ => None,
    }
}

/// The account information of a bank's dialect.
pub(crate) fn accounts_of<'d>(
    dialect: &'d dyn Dialect,
    profile: &Profile,
) -> Result<&'d dyn AccountInformation, FlowError> {
    dialect.accounts().ok_or_else(|| FlowError::Unsupported(profile.id.clone()))
}

/// The payment initiation of a bank's dialect.
pub(crate) fn payments_of<'d>(
    dialect: &'d dyn Dialect,
    profile: &Profile,
) -> Result<&'d dyn PaymentInitiation, FlowError> {
    dialect.payments().ok_or_else(|| FlowError::Unsupported(profile.id.clone()))
}

/// The batches of a bank's dialect.
pub(crate) fn batches_of<'d>(
    dialect: &'d dyn Dialect,
    profile: &Profile,
) -> Result<&'d dyn BatchInitiation, FlowError> {
    dialect.batches().ok_or_else(|| FlowError::Unsupported(profile.id.clone()))
}

fn digest_of(state: &str) -> String {
    crypto::digest::sha256_hex(state.as_bytes())
}
