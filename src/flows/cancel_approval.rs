//! A bank that wants a cancellation approved by the PSU: the order stands until then. The PSU
//! is sent to our page, from there to the bank; what became of it the bank says when it is
//! asked how the order stands.

use std::sync::Arc;

use connect::bank_oauth::Role;
use connect::{Operation, PsuPresence};
use domain::{PaymentId, SessionId, Timestamp};
use store::StoreError;
use store::payments::{Cancelling, PaymentRow};
use store::sessions::SessionRow;
use url::Url;

use crate::accounts::chain;
use crate::bank::{BankLeg, LegSubject};
use crate::consents::{NextStep, TRIES};
use crate::payments::{APPROVAL_TIME, open_path};
use crate::to_its_end::to_its_end;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// Seconds between two questions to a bank while a PSU approves a cancellation there.
const PACE: i64 = 2;

impl Gateway {
    /// Where the PSU approves the cancellation of a payment, from the origin of our pages on;
    /// none, if no such approval is awaited. It is not to be guessed.
    #[must_use]
    pub fn cancellation_path(&self, payment: &PaymentRow) -> Option<String> {
        let cancelling = payment.cancelling(self.now())?;
        Some(open_path(payment.id, self.cancellation_key(payment.id, cancelling)))
    }

    fn cancellation_key(&self, id: PaymentId, cancelling: &Cancelling) -> [u8; 32] {
        self.id_key().digest(&["cancellation", &id.to_string(), &cancelling.asked_at.to_string()])
    }

    /// The session in which a PSU approves a cancellation, if `key` is one for it.
    pub(crate) fn cancellation_session(&self, payment: &PaymentRow, key: &[u8]) -> Option<SessionRow> {
        let cancelling = payment.cancelling(self.now())?;
        let id = payment.id.to_string();
        if !crypto::digest::same(key, &self.cancellation_key(payment.id, cancelling)) {
            return None;
        }
        let parts = ["cancellation-session", &id, &cancelling.asked_at.to_string()];
        let name = SessionId::from_uuid(self.id_key().uuid_of(cancelling.asked_at, &parts));
        let session = self.approval_session("payment", &payment.client_id, &id, cancelling.until);
        let plan = serde_json::json!({ "payment": id, "cancels": true });
        Some(SessionRow { id: name, plan, ..session })
    }

    /// The bank wants the PSU to approve the cancellation, beginning at this address.
    pub(crate) async fn await_cancellation(&self, id: PaymentId, link: &Url) -> Result<(), FlowError> {
        let now = self.now();
        let until = later(now, APPROVAL_TIME);
        let wanted = Cancelling { link: link.to_string(), asked_at: now, until, begun: false };
        let unless_known = |row: &mut PaymentRow| {
            if row.cancelling(now).is_none() {
                row.bank.cancelling = Some(wanted.clone());
            }
        };
        self.change_cancellation(id, unless_known).await.map(|_| ())
    }

    /// The PSU approved a cancellation on our page: says where the PSU goes. Only the first
    /// call begins it at the bank.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the bank fails; the order stands then, and its cancellation may be
    /// asked for again.
    pub async fn start_cancellation(
        self: &Arc<Self>,
        session: SessionId,
        id: PaymentId,
        psu: &PsuPresence,
        until: Timestamp,
    ) -> Result<NextStep, FlowError> {
        let now = self.now();
        let payment = self.any_payment(id).await?;
        let Some(begun) = payment.cancelling(now).filter(|known| !known.begun).cloned() else {
            return Ok(NextStep::Wait(None));
        };
        let link = Url::parse(&begun.link).map_err(|_| FlowError::PaymentState(payment.state))?;
        let begun = Cancelling { begun: true, until, ..begun };
        let moved = self.move_payment(payment, "psu", |row| {
            row.bank.cancelling = Some(begun);
            // Where the PSU approves apart from the browser, only asking tells.
            row.next_poll_at = Some(later(now, PACE));
        });
        let payment = match moved.await {
            Ok(payment) => payment,
            // Another step was first, perhaps this one in another tab.
            Err(FlowError::Store(StoreError::Conflict)) => return Err(FlowError::Busy),
            Err(other) => return Err(other),
        };
        // From here the work goes on even if the PSU's browser goes away.
        let (gateway, psu) = (Arc::clone(self), psu.clone());
        let work = async move { gateway.begin_cancellation(session, payment, &link, &psu).await };
        to_its_end(work).await
    }

    async fn begin_cancellation(
        &self,
        session: SessionId,
        payment: PaymentRow,
        link: &Url,
        psu: &PsuPresence,
    ) -> Result<NextStep, FlowError> {
        let id = payment.id;
        match self.cancellation_leg(session, &payment, link, psu).await {
            Ok(BankLeg::Redirect(url)) => Ok(NextStep::Redirect(url)),
            Ok(BankLeg::Ask) => Ok(NextStep::Ask),
            Ok(BankLeg::Decoupled(message)) => Ok(NextStep::Wait(message)),
            Ok(BankLeg::Done) => Ok(NextStep::Wait(None)),
            Err(error) => {
                tracing::warn!(payment.id = %id, error = %chain(&error), "The cancellation of payment {id} could not be begun");
                self.change_cancellation(id, |row| row.bank.cancelling = None).await?;
                Err(error)
            }
        }
    }

    async fn cancellation_leg(
        &self,
        session: SessionId,
        payment: &PaymentRow,
        link: &Url,
        psu: &PsuPresence,
    ) -> Result<BankLeg, FlowError> {
        let profile = self.bank(&payment.institution)?;
        let dialect = self.dialect_of(&profile)?;
        let rail = self.rail_of(&*dialect, &profile, payment).await?;
        let unsupported = || FlowError::Unsupported(profile.id.clone());
        let start = rail.explicit_start().ok_or_else(unsupported)?;
        let subject = LegSubject::Cancellation(payment.id);
        let mut pending = self.open_leg(&profile, session, subject, Role::Payments)?;
        pending.bank_id.clone_from(&payment.bank.consent_id);
        let kind = dialect.token_for(&profile, Operation::PaymentLodge);
        let token = self.bank_token(&profile, kind, None).await?;
        let (psu_id, bank_id) = (payment.bank.psu_id.as_deref(), payment.bank.consent_id.as_deref());
        let cx = self.context(&profile, Some(psu), psu_id, token.as_ref(), bank_id);
        let request = start.authorise(&cx, link, &pending.redirects)?;
        let sca = start.authorised(&cx, link, &self.call_for_payment(&profile, request).await?)?;
        self.leg_of(&profile, &pending, psu, sca).await
    }

    /// Leaves the PSU more time to approve a cancellation.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails.
    pub async fn prolong_cancellation(&self, id: PaymentId, until: Timestamp) -> Result<(), FlowError> {
        let longer = |row: &mut PaymentRow| {
            if let Some(known) = &mut row.bank.cancelling {
                known.until = known.until.max(until);
            }
        };
        self.change_cancellation(id, longer).await.map(|_| ())
    }

    /// The PSU did not approve a cancellation: the order stands. Once the PSU was sent to the
    /// bank, that is for the bank to say.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails.
    pub async fn decline_cancellation(&self, id: PaymentId) -> Result<(), FlowError> {
        let unless_begun = |row: &mut PaymentRow| {
            if row.bank.cancelling.as_ref().is_some_and(|known| !known.begun) {
                row.bank.cancelling = None;
            }
        };
        self.change_cancellation(id, unless_begun).await.map(|_| ())
    }

    /// The PSU was at the bank: asks how the order stands. After a refusal nothing more is
    /// awaited.
    pub(crate) async fn cancellation_decided(&self, id: PaymentId, refused: bool) -> Result<(), FlowError> {
        let decided = |row: &mut PaymentRow| {
            if refused {
                row.bank.cancelling = None;
            }
        };
        let payment = self.change_cancellation(id, decided).await?;
        self.heed_cancellation(payment).await
    }

    /// Changes what is known of a cancellation, whatever else moves the payment meanwhile.
    async fn change_cancellation(
        &self,
        id: PaymentId,
        change: impl Fn(&mut PaymentRow),
    ) -> Result<PaymentRow, FlowError> {
        for _ in 0..TRIES {
            let payment = self.any_payment(id).await?;
            match self.move_payment(payment, "gateway", &change).await {
                Err(FlowError::Store(StoreError::Conflict)) => {}
                done => return done,
            }
        }
        Err(FlowError::Busy)
    }
}

/// When to ask about a payment again, while the PSU approves its cancellation at the bank.
pub(crate) fn next_look(payment: &PaymentRow, now: Timestamp) -> Option<Timestamp> {
    payment.cancelling(now).filter(|known| known.begun).map(|_| later(now, PACE))
}
