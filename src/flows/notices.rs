//! What banks notify us of. A notice is a hint, not a fact: nothing that a bank says in one
//! is believed, it only brings forward what is asked anyway. Which resource that is is kept
//! before the bank is answered, so that no hint is lost; what a bank speaks of that is none
//! of ours is noted and forgotten.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connect::{
    BankError, BankRequest, CallContext, Dialect, EVENT_SKEW, EventRefused, Notifications, OLDEST_EVENT,
    Profile, SecurityEvent, verify_event,
};
use domain::{ConsentStatus, InstitutionId, MandateStatus, PaymentState, Timestamp};
use store::StoreError;
use store::consents::ConsentRow;
use store::notices::Notice;
use store::payments::PaymentRow;
use url::Url;

use crate::accounts::chain;
use crate::bank::LegSubject;
use crate::reconcile::LEASE;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// Questions to a bank after one notice; after that the ordinary schedule is all there is.
const TRIES: i64 = 10;
/// Longest time between two of them, seconds.
const LONGEST_PAUSE: i64 = 300;

/// What a peer that notifies showed in the TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownCertificate<'a> {
    /// No client certificate.
    Nothing,
    /// One that chains to nothing we trust, or is out of date.
    Untrusted,
    /// One that we trust, with its `organizationIdentifier`.
    Of(Option<&'a str>),
}

/// Why a notification is not taken. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum NotificationRefused {
    /// No bank notifies here, or the address is not one that we gave it.
    #[error("no bank notifies here")]
    Unknown,
    /// The client certificate is not the bank's.
    #[error("the client certificate is not the bank's")]
    Certificate,
    /// The token is not taken.
    #[error("the security event token is not taken")]
    Event(#[from] EventRefused),
    /// The body is no notice about what the address was made for.
    #[error("the body is no notice about this resource")]
    Notice,
    /// It could not be looked at now.
    #[error("the notification could not be taken now")]
    Failed(#[from] FlowError),
}

impl From<StoreError> for NotificationRefused {
    fn from(error: StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Gateway {
    /// Takes a security event token that a bank pushed. A token that came before is taken
    /// again, and acts once.
    ///
    /// # Errors
    ///
    /// [`NotificationRefused`] if it is not the bank's, not for us, or not of now.
    pub async fn take_event(
        &self,
        institution: &InstitutionId,
        token: &str,
        shown: ShownCertificate<'_>,
    ) -> Result<(), NotificationRefused> {
        let (profile, dialect) = self.pushing(institution, shown)?;
        let events = dialect.events().ok_or(NotificationRefused::Unknown)?;
        let event = self.verified_event(&profile, token).await?;
        let about = events.about(&event.events).ok_or(SILENT)?;
        self.keep_event(&profile, &event, about, self.now()).await?;
        Ok(())
    }

    /// Takes a notice at the address that was made for one of our consents or payments.
    ///
    /// # Errors
    ///
    /// [`NotificationRefused`] if the address is not ours, or the notice is about something
    /// else.
    pub async fn take_notice(
        &self,
        institution: &InstitutionId,
        subject: &str,
        secret: &str,
        body: &[u8],
        shown: ShownCertificate<'_>,
    ) -> Result<(), NotificationRefused> {
        let right = self.notice_secret(institution, subject);
        if !crypto::digest::same(right.as_bytes(), secret.as_bytes()) {
            return Err(NotificationRefused::Unknown);
        }
        let (profile, dialect) = self.pushing(institution, shown)?;
        let notices = dialect.notices().ok_or(NotificationRefused::Unknown)?;
        let store = self.parts.stores.region(profile.region)?;
        if let Some(id) = notices.about(body).ok_or(NotificationRefused::Notice)? {
            let named = store.named_at_bank(institution, &id).await?;
            // The bank may be quicker to speak of it than we are to note its name.
            if !named.is_empty() && !named.iter().any(|named| named == subject) {
                return Err(NotificationRefused::Notice);
            }
        }
        let now = self.now();
        let notice = Notice {
            institution: institution.clone(),
            token: String::new(),
            subject: subject.to_owned(),
            due_at: Some(now),
            attempts: 0,
            expires_at: later(now, OLDEST_EVENT),
        };
        // Renewed twice, it is as it is renewed once.
        Ok(store::transaction!(keyed store, tx => { tx.renew_notice(&notice).await })?)
    }

    /// The request that makes a consent or payment, with the wish to be notified of it where
    /// its bank does that.
    pub(crate) fn asking_for_notices(
        &self,
        dialect: &dyn Dialect,
        cx: &CallContext<'_>,
        subject: LegSubject,
        request: BankRequest,
    ) -> Result<BankRequest, BankError> {
        let pushes = cx.profile.notifications.as_ref().is_some_and(|stated| stated.push);
        match (dialect.notices().filter(|_| pushes), self.notice_address(&cx.profile.id, subject)) {
            (Some(notices), Some(address)) => notices.notify(cx, request, &address),
            _ => Ok(request),
        }
    }

    /// Where a bank notifies of one resource. Nobody else can make the address: its last
    /// segment is a digest of the rest under the key of ids.
    fn notice_address(&self, institution: &InstitutionId, subject: LegSubject) -> Option<Url> {
        let mut url = self.notification_address(institution)?;
        let subject = subject.text();
        let secret = self.notice_secret(institution, &subject);
        url.path_segments_mut().ok()?.extend([subject, secret]);
        Some(url)
    }

    /// What stands before the addresses that a bank notifies at.
    pub(crate) fn notification_address(&self, institution: &InstitutionId) -> Option<Url> {
        let text = format!("{}/bank-notifications/{}", self.parts.config.api_origin, institution.as_str());
        Url::parse(&text).ok()
    }

    fn notice_secret(&self, institution: &InstitutionId, subject: &str) -> String {
        let parts = ["bank-notice", institution.as_str(), subject];
        URL_SAFE_NO_PAD.encode(self.parts.id_key.digest(&parts))
    }

    /// A bank that sends to us, if this is it.
    fn pushing(
        &self,
        institution: &InstitutionId,
        shown: ShownCertificate<'_>,
    ) -> Result<(Arc<Profile>, Arc<dyn Dialect>), NotificationRefused> {
        let profile = self.parts.registry.profile(institution).ok_or(NotificationRefused::Unknown)?;
        let stated = profile.notifications.as_ref().filter(|stated| stated.push);
        let stated = stated.ok_or(NotificationRefused::Unknown)?;
        if !is_the_banks(stated, shown) {
            return Err(NotificationRefused::Certificate);
        }
        let dialect = self.dialect_of(&profile)?;
        Ok((profile, dialect))
    }

    /// A token of a bank's, verified by its keys. They are read again for a key that is not
    /// among them, but not each time that somebody names one.
    pub(crate) async fn verified_event(
        &self,
        profile: &Profile,
        token: &str,
    ) -> Result<SecurityEvent, NotificationRefused> {
        let keys = self.answer_keys_of(profile).await.map_err(FlowError::from)?;
        match verify_event(profile, self.now(), token, &keys) {
            Err(EventRefused::InvalidKey) => {}
            judged => return Ok(judged?),
        }
        if self.looked_for_keys.get(&profile.id).await.is_some() {
            return Err(EventRefused::InvalidKey.into());
        }
        self.looked_for_keys.insert(profile.id.clone(), ()).await;
        self.answer_keys.invalidate(&profile.id).await;
        let keys = self.answer_keys_of(profile).await.map_err(FlowError::from)?;
        Ok(verify_event(profile, self.now(), token, &keys)?)
    }

    /// Keeps what an event is about, to be asked about from `due_at` on. What was kept
    /// before is left out of what is returned.
    pub(crate) async fn keep_event(
        &self,
        profile: &Profile,
        event: &SecurityEvent,
        about: BTreeSet<String>,
        due_at: Timestamp,
    ) -> Result<Vec<Notice>, FlowError> {
        let store = self.parts.stores.region(profile.region)?;
        let mut subjects = BTreeSet::new();
        for id in about {
            subjects.extend(store.named_at_bank(&profile.id, &id).await?);
        }
        let bank = &profile.id;
        if subjects.is_empty() {
            tracing::info!(bank.code = %bank, "Bank {bank} notified of nothing that is ours");
            subjects.insert(String::new());
        }
        let notices = subjects.into_iter().map(|subject| Notice {
            institution: bank.clone(),
            token: event.jti.clone(),
            due_at: (!subject.is_empty()).then_some(due_at),
            subject,
            attempts: 0,
            expires_at: later(self.now(), OLDEST_EVENT.saturating_add(EVENT_SKEW)),
        });
        let notices: Vec<_> = notices.collect();
        // What an earlier run kept unheard is asked about when it is due.
        store::transaction!(keyed store, tx => {
            let mut kept = Vec::new();
            for notice in &notices {
                if tx.keep_notice(notice).await? {
                    kept.push(notice.clone());
                }
            }
            Ok(kept)
        })
    }

    /// Asks banks about what they notified of; returns how many questions were started. They
    /// run side by side and on their own: a bank that is slow holds up its own only.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; a bank's failure stays with its notice.
    pub async fn heed_notices(self: &Arc<Self>) -> Result<usize, FlowError> {
        let mut started = 0;
        for store in self.parts.stores.regions() {
            for notice in store.notices_due(self.now()).await? {
                let Ok(place) = Arc::clone(&self.asking).try_acquire_owned() else { return Ok(started) };
                let until = Some(later(self.now(), LEASE));
                match store.move_notice(&notice, until, notice.attempts).await {
                    Ok(()) => {}
                    // Another process has it.
                    Err(StoreError::Conflict) => continue,
                    Err(error) => return Err(error.into()),
                }
                let (gateway, taken) = (Arc::clone(self), Notice { due_at: until, ..notice });
                tokio::spawn(async move {
                    gateway.heed_notice(&taken).await;
                    drop(place);
                });
                started += 1;
            }
        }
        Ok(started)
    }

    /// Asks the bank about what it notified of, and notes that it was asked. The caller has
    /// taken the notice.
    pub(crate) async fn heed_notice(self: &Arc<Self>, taken: &Notice) {
        let bank = &taken.institution;
        let (due_at, attempts) = match self.ask_about(&taken.subject).await {
            Ok(()) => (None, taken.attempts),
            Err(error) => {
                tracing::warn!(bank.code = %bank, error = %chain(&error), "Bank {bank} could not be asked about what it notified of");
                let attempts = taken.attempts.saturating_add(1);
                let pause = 1_i64.checked_shl(u32::try_from(taken.attempts).unwrap_or(u32::MAX));
                let again = later(self.now(), pause.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE));
                ((attempts < TRIES).then_some(again), attempts)
            }
        };
        let moved = match self.region_of_notice(taken) {
            Ok(store) => store.move_notice(taken, due_at, attempts).await.map_err(FlowError::from),
            Err(error) => Err(error),
        };
        match moved {
            // The bank has said it again meanwhile, and is asked again.
            Ok(()) | Err(FlowError::Store(StoreError::Conflict)) => {}
            Err(error) => {
                tracing::warn!(bank.code = %bank, error = %chain(&error), "It could not be noted that bank {bank} was asked");
            }
        }
    }

    fn region_of_notice(&self, notice: &Notice) -> Result<&store::RegionalStore, FlowError> {
        let unknown = || FlowError::UnknownInstitution(notice.institution.clone());
        let profile = self.parts.registry.profile(&notice.institution).ok_or_else(unknown)?;
        Ok(self.parts.stores.region(profile.region)?)
    }

    /// Asks the bank how a resource of ours stands, where there is something to ask.
    async fn ask_about(self: &Arc<Self>, subject: &str) -> Result<(), FlowError> {
        match LegSubject::parse(subject) {
            Some(LegSubject::Consent(id)) => {
                let consent = self.any_consent(id).await?;
                if !consent.status.is_final() && !self.awaits_token(&consent)? {
                    self.follow_bank(consent).await?;
                }
                Ok(())
            }
            Some(LegSubject::Payment(id) | LegSubject::Cancellation(id)) => {
                let payment = self.any_payment(id).await?;
                match question(&payment) {
                    Question::Nothing => Ok(()),
                    Question::Later => Err(FlowError::Busy),
                    Question::Now => self.poll_payment(payment).await.map(|_| ()),
                }
            }
            Some(LegSubject::Mandate(id)) => {
                let mandate = self.any_mandate(id).await?;
                if mandate.status == MandateStatus::Authorized {
                    self.follow_mandate(mandate).await?;
                }
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether a consent waits for a PSU who brings a code: without its token it opens
    /// nothing, whatever the bank says of it.
    fn awaits_token(&self, consent: &ConsentRow) -> Result<bool, FlowError> {
        let waits = matches!(consent.status, ConsentStatus::Created | ConsentStatus::AwaitingRedirect);
        let by_code = self.bank_of(consent)?.authorization_server.is_some();
        Ok(waits && by_code && consent.bank.access_token.is_none())
    }
}

/// An event that does not say what it is about.
pub(crate) const SILENT: EventRefused =
    EventRefused::InvalidRequest("an event does not say what it is about");

/// Whether a peer may be the bank by what it showed.
fn is_the_banks(stated: &Notifications, shown: ShownCertificate<'_>) -> bool {
    match (shown, stated.organisation.as_deref()) {
        (ShownCertificate::Untrusted, _) => false,
        (ShownCertificate::Nothing, wanted) => wanted.is_none(),
        (ShownCertificate::Of(_), None) => true,
        (ShownCertificate::Of(organisation), wanted) => organisation == wanted,
    }
}

/// Whether a bank is asked about a payment.
enum Question {
    Now,
    /// Its submission is on its way, and must be answered first.
    Later,
    /// It is over, or waits for the PSU.
    Nothing,
}

fn question(payment: &PaymentRow) -> Question {
    match payment.state {
        PaymentState::Submitted
            if payment.bank.submit_request_id.is_some() && payment.bank.payment_id.is_none() =>
        {
            Question::Later
        }
        PaymentState::Submitted | PaymentState::Accepted | PaymentState::Unknown => Question::Now,
        PaymentState::Authorizing if !payment.bank.submits_after_sca => Question::Now,
        PaymentState::Authorizing
        | PaymentState::Created
        | PaymentState::AuthorizationRequired
        | PaymentState::Authorized
        | PaymentState::Settled
        | PaymentState::Rejected
        | PaymentState::Failed
        | PaymentState::Cancelled
        | PaymentState::Expired => Question::Nothing,
    }
}
