//! Payments: recorded, approved by the PSU, placed at the bank at most once.
//!
//! No bank is called when a TPP orders a payment: claim, order and answer are
//! one transaction, so nothing can be half done. The bank is called when the
//! PSU approves. Before every request that could move money its id and the
//! payment's new state are committed; after a failure that may have reached
//! the bank nothing is sent again, the bank is only asked.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::{InstitutionId, Order, PaymentId, PaymentPolicy, PaymentState, Region, SessionId, Timestamp};
use policy::{ChangePayment, PaymentChange, Permit};
use store::Tx;
use store::idempotency::{Claim, ClaimKey};
use store::payments::{BankPayment, Failure, PayeeCheck, PaymentRow, PaymentTerms};
use store::sessions::SessionRow;

use crate::consents::DAY;
use crate::events::Subject;
use crate::policies::{count, day_of, uncount};
use crate::refunds::{RefundOf, count_refund, uncount_refund};
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// What a TPP orders.
#[derive(Clone, Debug)]
pub struct PaymentRequest {
    /// Where it is paid from.
    pub institution: InstitutionId,
    /// The order, on a rail of the institution's; ids that the TPP left out are empty.
    pub order: Order,
    /// Why it is on this rail, where the TPP left that to us.
    pub scheme_choice: Option<String>,
    /// Whether the payee's name is verified before the PSU sees the payment.
    pub verify_payee: bool,
    /// What it refunds.
    pub refund_of: Option<RefundOf>,
    /// Where the PSU's browser goes in the end; one of the client's.
    pub redirect_uri: String,
    /// Opaque value returned with it.
    pub state: Option<String>,
    /// The TPP's own name for the payment.
    pub client_reference: Option<String>,
    /// What the client may pay, where that is limited.
    pub policy: Option<PaymentPolicy>,
}

/// The answer to an order.
#[derive(Clone, Debug)]
pub struct PaymentReply {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: String,
    /// Whether it is the stored answer of an earlier request.
    pub replayed: bool,
}

/// Seconds that a PSU has to approve.
pub(crate) const APPROVAL_TIME: i64 = 900;
/// Characters of an order's name that its transfers share; with a number it is 35 at most.
const MAX_NAME: usize = 32;
/// Days for which the answer to an order is kept.
const KEY_DAYS: i64 = 30;

impl Gateway {
    /// Records an order. With an idempotency key that was used before, answers
    /// what was answered then.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the institution cannot do it or the key was misused.
    pub async fn order_payment<F>(
        &self,
        client_id: &str,
        mut request: PaymentRequest,
        claim: impl FnOnce(Region) -> ClaimKey,
        answer: F,
    ) -> Result<PaymentReply, FlowError>
    where
        F: FnOnce(&PaymentRow) -> String,
    {
        let profile = self.bank(&request.institution)?;
        let region = profile.region;
        self.holds(region)?;
        let store = self.parts.stores.region(region)?;
        let permit = self.may_order(client_id, region, store.region(), None)?;
        let now = self.now();
        let id = PaymentId::new(region, self.clock(), self.entropy());
        let plain = id.uuid().simple().to_string();
        name(&mut request.order, &plain);
        let end = later(now, APPROVAL_TIME);
        let counted_on = request.policy.as_ref().filter(|policy| policy.limits_days()).map(|_| day_of(now));
        let payment = PaymentRow {
            id,
            client_id: client_id.to_owned(),
            institution: request.institution,
            state: PaymentState::AuthorizationRequired,
            terms: PaymentTerms {
                order: request.order,
                redirect_uri: request.redirect_uri,
                state: request.state,
                client_reference: request.client_reference,
                failure: None,
                under: None,
                scheme_choice: request.scheme_choice,
                counted_on,
                payee: request.verify_payee.then_some(PayeeCheck::Wanted),
                refund_of: request.refund_of.map(|of| of.payment),
            },
            bank: BankPayment::default(),
            created_at: now,
            updated_at: now,
            revision: 0,
            // If the PSU never comes, the reconciler lets it expire.
            next_poll_at: Some(end),
            refunded: 0,
        };
        let claim = claim(region);
        let body = answer(&payment);
        let before = store::transaction!(keyed store, tx => {
            if let Some(replayed) = self.answered_before(tx, &claim).await? {
                return Ok(Some(replayed));
            }
            count_refund(tx, request.refund_of, &payment).await?;
            count(tx, request.policy.as_ref(), &payment).await?;
            tx.record_payment(&payment).await?;
            let subject = subject_of(&payment);
            tx.emit_under(&self.event(client_id, &subject, 1, now), permit.rule()).await?;
            tx.answer_claim(&claim, &id.to_string(), 201, &body).await?;
            Ok::<_, FlowError>(None)
        })?;
        // An answer with this id is of an earlier run that was committed unheard.
        if let Some(replayed) = before.filter(|before| before.body != body) {
            return Ok(replayed);
        }
        tracing::info!(payment.id = %id, bank.code = %payment.institution, "Payment {id} recorded");
        Ok(PaymentReply { status: 201, body, replayed: false })
    }

    /// What was answered to a request that is refused now: an order that was taken stays
    /// taken when its day has passed, or its institution takes no such orders any more.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn answered_elsewhen(
        &self,
        client_id: &str,
        operation: &str,
        key: &str,
        fingerprint: &str,
    ) -> Result<Option<PaymentReply>, FlowError> {
        for store in self.parts.stores.regions() {
            let found = store.answer_before(client_id, operation, key, fingerprint, self.now()).await?;
            if let Some((status, body)) = found {
                return Ok(Some(PaymentReply { status, body, replayed: true }));
            }
        }
        Ok(None)
    }

    /// Where the PSU is sent to approve a payment, from the origin of our pages on. It is
    /// not to be guessed, and the session begins when somebody comes: an order is one
    /// transaction, in the region of the payment.
    #[must_use]
    pub fn approval_path(&self, id: PaymentId) -> String {
        open_path(id, self.approval_key(id))
    }

    fn approval_key(&self, id: PaymentId) -> [u8; 32] {
        self.id_key().digest(&["approval", &id.to_string()])
    }

    /// Opens the session in which a PSU approves a payment or its cancellation, or the one
    /// that was opened.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if there is no such payment, or `key` is none for it.
    pub async fn open_approval(&self, id: PaymentId, key: &str) -> Result<SessionId, FlowError> {
        let given = URL_SAFE_NO_PAD.decode(key).unwrap_or_default();
        let payment = self.any_payment(id).await?;
        let session = if crypto::digest::same(&given, &self.approval_key(id)) {
            let parts = ["approval-session", &id.to_string()];
            // A session tells by its name when it began.
            let name = SessionId::from_uuid(self.id_key().uuid_of(payment.created_at, &parts));
            let end = later(payment.created_at, APPROVAL_TIME);
            let session = self.approval_session("payment", &payment.client_id, &id.to_string(), end);
            SessionRow { id: name, ..session }
        } else {
            let other = || FlowError::NotFound("payment");
            self.cancellation_session(&payment, &given).ok_or_else(other)?
        };
        let global = self.parts.stores.global();
        if global.session(session.id).await?.is_none() {
            store::transaction!(keyed global, tx => { tx.open_session(&session).await })?;
        }
        Ok(session.id)
    }

    /// A session in which a PSU approves one thing.
    pub(crate) fn approval_session(
        &self,
        kind: &str,
        client_id: &str,
        id: &str,
        end: Timestamp,
    ) -> SessionRow {
        SessionRow {
            id: SessionId::new(self.clock(), self.entropy()),
            kind: kind.to_owned(),
            client_id: client_id.to_owned(),
            browser_digest: None,
            plan: serde_json::json!({ kind: id }),
            status: "open".to_owned(),
            expires_at: end,
        }
    }

    /// Claims the key of an order; what was answered, if it was used before.
    pub(crate) async fn answered_before(
        &self,
        tx: &mut Tx,
        claim: &ClaimKey,
    ) -> Result<Option<PaymentReply>, FlowError> {
        let now = self.now();
        match tx.claim(claim, now, later(now, KEY_DAYS * DAY)).await? {
            Claim::Replay { status, body } => Ok(Some(PaymentReply { status, body, replayed: true })),
            Claim::InFlight => Err(FlowError::KeyInFlight),
            Claim::Mismatch => Err(FlowError::KeyReused),
            Claim::New => Ok(None),
        }
    }

    /// A payment of a client, to look at.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such payment.
    pub async fn payment(&self, client_id: &str, id: PaymentId) -> Result<PaymentRow, FlowError> {
        Ok(self.payment_to(PaymentChange::Read, client_id, id).await?.0)
    }

    /// A payment of a client, to do something with, and the permit to do it.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client has no such payment, [`FlowError::Denied`] if the rules forbid it.
    pub async fn payment_to(
        &self,
        change: PaymentChange,
        client_id: &str,
        id: PaymentId,
    ) -> Result<(PaymentRow, Permit<ChangePayment<'static>>), FlowError> {
        let store = self.parts.stores.region(id.region())?;
        let payment = store.payment(id).await?.ok_or(FlowError::NotFound("payment"))?;
        let permit = self.may_change(client_id, &payment, store.region(), change)?;
        Ok((payment, permit))
    }

    /// A payment, whoever's it is: for the page that asks the PSU.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if there is no such payment.
    pub async fn any_payment(&self, id: PaymentId) -> Result<PaymentRow, FlowError> {
        self.parts.stores.region(id.region())?.payment(id).await?.ok_or(FlowError::NotFound("payment"))
    }

    /// Leaves the PSU more time to approve.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the store fails, or another step came first.
    pub async fn prolong_approval(&self, payment: PaymentRow, until: Timestamp) -> Result<(), FlowError> {
        let sooner = payment.next_poll_at.is_none_or(|end| end < until);
        if payment.state == PaymentState::AuthorizationRequired && sooner {
            self.move_payment(payment, "psu", |row| row.next_poll_at = Some(until)).await?;
        }
        Ok(())
    }

    /// The PSU said no: on our page or at the bank. Ends a payment only while
    /// nothing can be executed without us; once the bank holds the order, a
    /// word from a browser is none of the bank's, and the bank is asked.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the store fails, or the bank cannot be asked.
    pub async fn decline_payment(&self, id: PaymentId) -> Result<(), FlowError> {
        let payment = self.any_payment(id).await?;
        let ours = payment.can_cancel();
        if payment.state == PaymentState::Authorizing && !ours {
            return self.poll_payment(payment).await.map(|_| ());
        }
        if ours {
            let failure = Failure {
                stage: "SCA".to_owned(),
                code: "psu.declined".to_owned(),
                iso_reason: None,
                source: "PSU".to_owned(),
                retryable: false,
            };
            self.move_payment(payment, "psu", |row| {
                row.state = PaymentState::Rejected;
                row.terms.failure = Some(failure);
                row.next_poll_at = None;
            })
            .await?;
        }
        Ok(())
    }

    /// Changes a payment in one transaction with its event.
    pub(crate) async fn move_payment(
        &self,
        payment: PaymentRow,
        actor: &str,
        change: impl FnOnce(&mut PaymentRow),
    ) -> Result<PaymentRow, FlowError> {
        self.move_payment_under(None, payment, actor, change).await
    }

    /// The same of what a rule permits.
    pub(crate) async fn move_payment_under(
        &self,
        rule: Option<&str>,
        mut payment: PaymentRow,
        actor: &str,
        change: impl FnOnce(&mut PaymentRow),
    ) -> Result<PaymentRow, FlowError> {
        let (was, calm) = (payment.state, payment.bank.attention.is_none());
        change(&mut payment);
        let flagged = payment.bank.attention.as_ref().filter(|_| calm);
        let now = self.now();
        // Where an earlier run was committed unheard this is a conflict: whoever meets one reads
        // again, and sends nothing.
        store::transaction!(keyed self.parts.stores.region(payment.id.region())?, tx => {
            let sequence = tx.update_payment(was, &payment, flagged, actor, now).await?;
            if was != payment.state && came_to_nothing(payment.state) {
                give_back(tx, &payment).await?;
                uncount(tx, &payment).await?;
                uncount_refund(tx, &payment).await?;
            }
            if sequence > 0 {
                let subject = match flagged {
                    Some(_) => Subject::Attention(payment.id, payment.state, payment.kind()),
                    None => subject_of(&payment),
                };
                tx.emit_under(&self.event(&payment.client_id, &subject, sequence, now), rule).await?;
            }
            Ok::<_, FlowError>(())
        })?;
        payment.updated_at = now;
        payment.revision = payment.revision.saturating_add(1);
        Ok(payment)
    }
}

/// Where a PSU opens the session in which something about a payment is approved.
pub(crate) fn open_path(id: PaymentId, key: [u8; 32]) -> String {
    format!("/pay/{id}/open/{}", URL_SAFE_NO_PAD.encode(key))
}

/// What an event tells of a payment.
fn subject_of(payment: &PaymentRow) -> Subject {
    match payment.terms.refund_of {
        Some(of) => Subject::Refund(payment.id, payment.state, of),
        None => Subject::Payment(payment.id, payment.state, payment.kind()),
    }
}

/// Gives an order the names that the TPP left out: ours, and in a batch our own with the
/// transfer's number, since a bank may tell transfers apart by nothing else.
fn name(order: &mut Order, plain: &str) {
    match order {
        Order::Transfer(order) => {
            if order.end_to_end_id.is_empty() {
                order.end_to_end_id = plain.into();
            }
            plain.clone_into(&mut order.instruction_id);
        }
        Order::Batch(batch) => {
            plain.clone_into(&mut batch.instruction_id);
            let stem = plain.get(..MAX_NAME).unwrap_or(plain);
            for (number, transfer) in (1_u32..).zip(&mut batch.transfers) {
                transfer.instruction_id = format!("{stem}{number:03}");
                if transfer.end_to_end_id.is_empty() {
                    transfer.end_to_end_id = transfer.instruction_id.clone().into();
                }
            }
        }
    }
}

/// Whether a payment ended without money moving.
fn came_to_nothing(state: PaymentState) -> bool {
    match state {
        PaymentState::Rejected | PaymentState::Failed | PaymentState::Cancelled | PaymentState::Expired => {
            true
        }
        PaymentState::Created
        | PaymentState::AuthorizationRequired
        | PaymentState::Authorizing
        | PaymentState::Authorized
        | PaymentState::Submitted
        | PaymentState::Accepted
        | PaymentState::Settled
        | PaymentState::Unknown => false,
    }
}

/// Gives back to a mandate what a payment drew on its limits.
async fn give_back(tx: &mut Tx, payment: &PaymentRow) -> Result<(), FlowError> {
    let units = payment.terms.order.transfer().and_then(|order| order.amount.smallest_units());
    if let (Some(under), Some(units)) = (&payment.terms.under, units) {
        for draw in &under.draws {
            tx.give_back(under.mandate, *draw, units).await?;
        }
    }
    Ok(())
}
