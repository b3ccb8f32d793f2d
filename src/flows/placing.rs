//! Placing a payment at its bank: lodged, submitted, asked about.
//!
//! The state and the id of a request that could move money are committed
//! before its first byte goes out. What may have reached the bank is never
//! sent again.

use std::sync::Arc;

use connect::bank_oauth::Role;
use connect::{
    BankConsentStatus, BankError, BankErrorKind, BankPaymentIds, CallContext, Dialect, Operation, Outcome,
    PaymentReport, Profile, PsuPresence, ScaStart, TokenKind,
};
use domain::{Execution, IsoPaymentStatus, PaymentId, PaymentState, SessionId, Timestamp};
use policy::PaymentChange;
use secrecy::SecretString;
use store::payments::{Attention, BankPayment, Failure, PaymentRow, TransferState};

use crate::accounts::chain;
use crate::bank::{BankLeg, LegSubject};
use crate::cancel_approval::next_look;
use crate::consents::{DAY, NextStep};
use crate::rail::Rail;
use crate::sources::refusal;
use crate::to_its_end::to_its_end;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// Questions to a bank about a payment after which a person is asked to look: three
/// quarters of an hour.
const PATIENCE: u32 = 18;
/// Questions after which an order for a later day is left alone until then.
const AT_ONCE: u32 = 5;

/// The code of what failed here before the bank was called.
const OWN_FAILURE: &str = "gateway.failed";

impl Gateway {
    /// The PSU approved on our page: places the order at the bank and says
    /// where the PSU goes. Only the first call places it.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if the bank fails; the payment is then `FAILED` if it is
    /// certain that nothing was executed, else `UNKNOWN`.
    pub async fn start_payment(
        self: &Arc<Self>,
        session: SessionId,
        id: PaymentId,
        psu: &PsuPresence,
        psu_id: Option<String>,
    ) -> Result<NextStep, FlowError> {
        let payment = self.any_payment(id).await?;
        if payment.state != PaymentState::AuthorizationRequired {
            return Err(FlowError::PaymentState(payment.state));
        }
        let profile = self.bank(&payment.institution)?;
        let dialect = self.dialect_of(&profile)?;
        let submits_after_sca = self.rail_of(&*dialect, &profile, &payment).await?.submits_after_sca();
        let request_id = self.entropy().uuid_v7(self.now());
        let expiry = payment.next_poll_at;
        let payment = self
            .move_payment(payment, "psu", |row| {
                row.state = PaymentState::Authorizing;
                row.bank.submits_after_sca = submits_after_sca;
                row.bank.lodge_request_id = Some(request_id);
                row.bank.psu_id = psu_id;
                row.next_poll_at = expiry;
            })
            .await?;
        // From here the work goes on even if the PSU's browser goes away.
        let (gateway, psu) = (Arc::clone(self), psu.clone());
        let work = async move { gateway.lodge_payment(&profile, session, payment, &psu).await };
        to_its_end(work).await
    }

    async fn lodge_payment(
        &self,
        profile: &Profile,
        session: SessionId,
        mut payment: PaymentRow,
        psu: &PsuPresence,
    ) -> Result<NextStep, FlowError> {
        let id = payment.id;
        // What the bank calls the order is kept however the rest goes: without
        // it nobody could ask what became of it.
        let (mut bank, before) = (payment.bank.clone(), payment.bank.clone());
        let lodged = self.try_lodge(profile, session, &payment, &mut bank, psu).await;
        let at_bank = bank.consent_id != before.consent_id;
        match lodged {
            Ok(leg) => {
                let soon = later(self.now(), 1);
                let apart = matches!(leg, BankLeg::Decoupled(_) | BankLeg::Done);
                let next_poll_at = if apart { Some(soon) } else { payment.next_poll_at };
                bank.approved_apart_until = payment.next_poll_at.filter(|_| apart);
                self.keep_lodged(payment, &bank, next_poll_at).await?;
                Ok(match leg {
                    BankLeg::Redirect(url) => NextStep::Redirect(url),
                    BankLeg::Ask => NextStep::Ask,
                    BankLeg::Decoupled(message) => NextStep::Wait(message),
                    BankLeg::Done => NextStep::Wait(None),
                })
            }
            Err(FlowError::Bank(error)) => {
                payment.bank = bank;
                let mut noted = error.clone();
                if payment.bank.submits_after_sca {
                    // Without our submission the bank executes nothing.
                    noted.outcome = Outcome::NotDone;
                } else if at_bank && noted.http_status.is_none() {
                    // The bank executes on the PSU's word to it, and may have
                    // asked for that word: only its own refusal is certain.
                    noted = noted.unknown();
                }
                self.note_bank_failure(payment, &noted).await?;
                Err(FlowError::Bank(error))
            }
            Err(other) => {
                payment.bank = bank;
                tracing::warn!(payment.id = %id, error = %chain(&other), "Payment {id} could not be lodged");
                self.note_own_failure(payment, OWN_FAILURE).await?;
                Err(other)
            }
        }
    }

    /// Keeps what the bank said at lodging. A poll that came between has changed
    /// nothing that counts: the row is read again and the bank's word put into it.
    async fn keep_lodged(
        &self,
        payment: PaymentRow,
        bank: &BankPayment,
        next_poll_at: Option<Timestamp>,
    ) -> Result<(), FlowError> {
        let mut row = payment;
        for _ in 0..8 {
            if row.state != PaymentState::Authorizing {
                return Err(FlowError::PaymentState(row.state));
            }
            let id = row.id;
            let kept = self
                .move_payment(row, "gateway", |row| {
                    row.bank = bank.clone();
                    row.next_poll_at = next_poll_at;
                })
                .await;
            match kept {
                Ok(_) => return Ok(()),
                Err(FlowError::Store(store::StoreError::Conflict)) => row = self.any_payment(id).await?,
                Err(other) => return Err(other),
            }
        }
        Err(FlowError::Busy)
    }

    async fn try_lodge(
        &self,
        profile: &Profile,
        session: SessionId,
        payment: &PaymentRow,
        bank: &mut BankPayment,
        psu: &PsuPresence,
    ) -> Result<BankLeg, FlowError> {
        let dialect = self.dialect_of(profile)?;
        let rail = self.rail_of(&*dialect, profile, payment).await?;
        let mut pending = self.open_leg(profile, session, LegSubject::Payment(payment.id), Role::Payments)?;
        let token =
            self.bank_token(profile, dialect.token_for(profile, Operation::PaymentLodge), None).await?;
        let mut cx = self.context(profile, Some(psu), payment.bank.psu_id.as_deref(), token.as_ref(), None);
        cx.request_id = payment.bank.lodge_request_id.unwrap_or(cx.request_id);
        let unsupported = || FlowError::Unsupported(profile.id.clone());
        let request = rail.lodge(&cx, &pending.redirects).ok_or_else(unsupported)??;
        let request = self.asking_for_notices(&*dialect, &cx, pending.subject, request)?;
        let answer = self.call_for_payment(profile, request).await?;
        let lodged = rail.lodged(&cx, &answer).ok_or_else(unsupported)??;
        bank.iso_status = lodged.status.map(|status| status.as_str().to_owned());
        if !bank.submits_after_sca {
            bank.payment_id = Some(lodged.bank_id.clone());
        }
        bank.consent_id = Some(lodged.bank_id.clone());
        pending.bank_id = Some(lodged.bank_id.clone());
        if let Some((filling, batch)) = rail.filling() {
            // A request of its own, and none that moves money.
            let cx = CallContext { request_id: self.entropy().uuid_v4(), ..cx };
            let request = filling.fill(&cx, &lodged.bank_id, batch)?;
            filling.filled(&cx, &self.call_for_payment(profile, request).await?)?;
        }
        let mut sca = lodged.sca;
        if let (ScaStart::Explicit { link }, Some(start)) = (&sca, rail.explicit_start()) {
            cx.bank_consent_id = Some(&lodged.bank_id);
            let request = start.authorise(&cx, link, &pending.redirects)?;
            sca = start.authorised(&cx, link, &self.call_for_payment(profile, request).await?)?;
        }
        self.leg_of(profile, &pending, psu, sca).await
    }

    /// Submits an authorised order: once. The state `SUBMITTED` and the id of
    /// the request are committed before the first byte goes out.
    pub(crate) async fn submit_payment(self: &Arc<Self>, payment: PaymentRow) -> Result<(), FlowError> {
        let cell = self.parts.stores.region(payment.id.region())?.region();
        let permit = match self.may_change(&payment.client_id, &payment, cell, PaymentChange::Submit) {
            Ok(permit) => permit,
            Err(error) => {
                let code = refusal(&error).unwrap_or(OWN_FAILURE);
                return self.note_own_failure(payment, code).await.and(Err(error));
            }
        };
        let profile = self.bank(&payment.institution)?;
        let dialect = self.dialect_of(&profile)?;
        let rail = self.rail_of(&*dialect, &profile, &payment).await?;
        let request_id = self.entropy().uuid_v7(self.now());
        let bank_id = payment.bank.consent_id.clone().unwrap_or_default();
        let psu_id = payment.bank.psu_id.clone();
        // All that can fail before the bank is called comes before the payment
        // says that the bank may have been called.
        let kind = dialect.token_for(&profile, Operation::PaymentSubmit);
        let token = match self.payment_token(&profile, &rail, &payment).await {
            Ok(psu_token) => self.bank_token(&profile, kind, psu_token).await,
            Err(error) => Err(error),
        };
        let token = match token {
            Ok(token) => token,
            Err(FlowError::Bank(error)) => {
                let before = BankError { outcome: Outcome::NotDone, ..error.clone() };
                self.note_bank_failure(payment, &before).await?;
                return Err(FlowError::Bank(error));
            }
            Err(other) => return Err(other),
        };
        let mut cx = self.context(&profile, None, psu_id.as_deref(), token.as_ref(), Some(&bank_id));
        cx.request_id = request_id;
        let Some(Ok(request)) = rail.submit(&cx, &bank_id) else {
            return self.note_own_failure(payment, OWN_FAILURE).await;
        };
        let soon = later(self.now(), 60);
        let payment = self
            .move_payment_under(permit.rule(), payment, "gateway", |row| {
                row.state = PaymentState::Submitted;
                row.bank.submit_request_id = Some(request_id);
                row.next_poll_at = Some(soon);
            })
            .await?;
        let report = match self.call_for_payment(&profile, request).await {
            Ok(response) => rail.submitted(&cx, &response),
            Err(error) => Err(error),
        };
        match report {
            Ok(report) => self.note_report(payment, &report).await,
            Err(error) => {
                let mandate = payment.terms.under.as_ref().map(|under| under.mandate);
                self.note_bank_failure(payment, &error).await?;
                if let Some(mandate) = mandate.filter(|_| is_about_consent(error.kind)) {
                    self.heed_mandate(mandate).await;
                }
                Err(FlowError::Bank(error))
            }
        }
    }

    /// Asks the bank how a payment stands, and moves ours along. How far the PSU's approval
    /// has come, where the bank says no more than that.
    pub(crate) async fn poll_payment(
        &self,
        payment: PaymentRow,
    ) -> Result<Option<BankConsentStatus>, FlowError> {
        let profile = self.bank(&payment.institution)?;
        let dialect = self.dialect_of(&profile)?;
        let rail = self.rail_of(&*dialect, &profile, &payment).await?;
        let Some(lodged) = payment.bank.consent_id.clone() else {
            // The bank has not named the order: there is nothing to ask about.
            return Ok(None);
        };
        let (payment, token) = self.token_about(&profile, &*dialect, payment).await;
        let token = match token {
            Ok(token) => token,
            Err(error) => {
                self.hold(payment).await?;
                return Err(error);
            }
        };
        let ids = BankPaymentIds { lodged, payment: payment.bank.payment_id.clone() };
        let psu_id = payment.bank.psu_id.as_deref();
        let cx = self.context(&profile, None, psu_id, token.as_ref(), Some(&ids.lodged));
        let report = match rail.status(&cx, &ids) {
            // There is no name to ask by: what became of it stays open.
            None => return self.hold(payment).await.map(|()| None),
            Some(Ok(request)) => match self.call_for_payment(&profile, request).await {
                Ok(response) => rail.status_read(&cx, &ids, &response),
                Err(error) => Err(error),
            },
            Some(Err(error)) => Err(error),
        };
        let report = match report {
            Ok(report) => self.with_transfers(&rail, &cx, report).await,
            Err(error) => Err(error),
        };
        match report {
            Ok(report) => self.note_report(payment, &report).await.map(|()| report.consent),
            Err(error) => {
                self.hold_because(payment, attention_of(&error)).await?;
                Err(FlowError::Bank(error))
            }
        }
    }

    /// The same report, with what became of each transfer where that is asked for apart.
    async fn with_transfers(
        &self,
        rail: &Rail<'_>,
        cx: &CallContext<'_>,
        mut report: PaymentReport,
    ) -> Result<PaymentReport, BankError> {
        let Some((reporting, batch)) = rail.reporting() else { return Ok(report) };
        // A request of its own.
        let cx = CallContext { request_id: self.entropy().uuid_v4(), ..*cx };
        if let Some(request) = reporting.report(&cx, &report) {
            let answer = self.call_for_payment(cx.profile, request?).await;
            report.transfers = answer.and_then(|answer| reporting.report_read(&cx, batch, &answer))?;
        }
        Ok(report)
    }

    /// What a bank is asked with about a payment that it holds, and the payment, whose own
    /// token may have been renewed for that.
    pub(crate) async fn token_about(
        &self,
        profile: &Profile,
        dialect: &dyn Dialect,
        payment: PaymentRow,
    ) -> (PaymentRow, Result<Option<SecretString>, FlowError>) {
        let kind = dialect.token_for(profile, Operation::PaymentStatus);
        // A token of the PSU's is renewed only where it is asked with: at other banks
        // it may have ended with the consent, long before the payment is settled.
        let renewed = match kind {
            TokenKind::Psu | TokenKind::PsuIfHeld => self.renewed_payment(profile, &payment).await,
            TokenKind::None | TokenKind::Client(_) => Ok(None),
        };
        let payment = match renewed {
            Ok(renewed) => renewed.unwrap_or(payment),
            Err(error) => return (payment, Err(error)),
        };
        let psu_token = payment.bank.access_token.clone().map(SecretString::from);
        let token = self.bank_token(profile, kind, psu_token).await;
        (payment, token)
    }

    /// Takes in what the bank says of an order.
    async fn note_report(&self, payment: PaymentRow, report: &PaymentReport) -> Result<(), FlowError> {
        let now = self.now();
        let was = payment.state;
        let reported = match report.status {
            Some(status) if !payment.bank.submits_after_sca && was == PaymentState::Authorizing => {
                // Received, but the PSU has not approved: still at the bank.
                let waiting =
                    matches!(status, IsoPaymentStatus::Received | IsoPaymentStatus::PartiallyAuthorised);
                if waiting { was } else { status.state() }
            }
            Some(status) => status.state(),
            None => match report.consent {
                Some(
                    BankConsentStatus::Rejected
                    | BankConsentStatus::RevokedByPsu
                    | BankConsentStatus::Expired,
                ) if was == PaymentState::Authorizing => PaymentState::Rejected,
                Some(_) | None => was,
            },
        };
        let transfers = transfers_of(&payment, report);
        let reported = whole_of(&payment, &transfers).unwrap_or(reported);
        let state = if was.may_become(reported) { reported } else { was };
        let refused = state == PaymentState::Rejected && was != state;
        let failure = refused.then(|| Failure {
            stage: if was == PaymentState::Authorizing { "SCA" } else { "EXECUTION" }.to_owned(),
            code: "payment.rejected".to_owned(),
            iso_reason: report.iso_reason.clone(),
            source: "INSTITUTION".to_owned(),
            retryable: false,
        });
        let id = payment.id;
        let next = next_question(&payment, state, now);
        let next = next_look(&payment, now).map_or(next, |look| look.min(next));
        let last_word = report.last_word || is_over(&payment, state, now);
        self.move_payment(payment, "institution", |row| {
            row.state = state;
            row.bank.polls = row.bank.polls.saturating_add(1);
            if let Some(status) = report.status {
                row.bank.iso_status = Some(status.as_str().to_owned());
            }
            if let Some(account) = &report.refund_account {
                row.bank.refund_account = Some(account.into());
            }
            if let Some(bank_id) = &report.bank_payment_id {
                row.bank.payment_id = Some(bank_id.clone());
            }
            if failure.is_some() {
                row.terms.failure = failure;
            }
            row.bank.transfers = transfers;
            row.bank.last_word = last_word;
            row.bank.unanswered_since = None;
            row.bank.cancelling = row.cancelling(now).cloned();
            row.next_poll_at = if row.is_final() { None } else { Some(next) };
            note_patience(row, now);
            if row.is_final() {
                row.bank.access_token = None;
                row.bank.refresh_token = None;
            }
        })
        .await?;
        tracing::info!(payment.id = %id, state = %state, "Payment {id} is {state}");
        Ok(())
    }

    /// The bank may have an order that it never named, so that nobody can ask about it:
    /// a person must look there.
    pub(crate) async fn call_for_attention(&self, payment: PaymentRow) -> Result<(), FlowError> {
        let (id, bank, now) = (payment.id, payment.institution.clone(), self.now());
        self.move_payment(payment, "gateway", |row| {
            row.state = PaymentState::Unknown;
            call_for(row, Some("payment.unnamed_at_bank"), now);
            row.next_poll_at = None;
        })
        .await?;
        tracing::error!(payment.id = %id, bank.code = %bank, "Bank {bank} may have payment {id} and never named it: look there");
        Ok(())
    }

    /// Notes that nothing new is known and when to ask again.
    async fn hold(&self, payment: PaymentRow) -> Result<(), FlowError> {
        self.hold_because(payment, None).await
    }

    /// The same, where what the bank says calls for a person.
    async fn hold_because(
        &self,
        payment: PaymentRow,
        attention: Option<&'static str>,
    ) -> Result<(), FlowError> {
        let now = self.now();
        let next = next_poll(now, payment.bank.polls);
        self.move_payment(payment, "gateway", |row| {
            row.bank.polls = row.bank.polls.saturating_add(1);
            row.next_poll_at = Some(next);
            row.bank.unanswered_since.get_or_insert(now);
            note_patience(row, now);
            call_for(row, attention, now);
        })
        .await?;
        Ok(())
    }

    /// A request to the bank failed. What is certain is said; what is not stays
    /// open for the reconciler. Once `SUBMITTED`, a payment cannot become
    /// `FAILED` on our word: a certain refusal is then the bank's rejection.
    async fn note_bank_failure(&self, payment: PaymentRow, error: &BankError) -> Result<(), FlowError> {
        let (id, bank) = (payment.id, payment.institution.clone());
        tracing::warn!(payment.id = %id, bank.code = %bank, error = %error, "Bank {bank} did not take payment {id}");
        let refused = matches!(
            error.kind,
            BankErrorKind::PaymentRejected
                | BankErrorKind::PaymentLimit
                | BankErrorKind::FundsInsufficient
                | BankErrorKind::InvalidRequest
        );
        let submitted = payment.state == PaymentState::Submitted;
        let state = match error.outcome {
            Outcome::Unknown => PaymentState::Unknown,
            Outcome::NotDone if refused || submitted => PaymentState::Rejected,
            Outcome::NotDone => PaymentState::Failed,
        };
        let failure = Failure {
            stage: "SUBMISSION".to_owned(),
            code: format!("institution.{}", error.kind.code()),
            iso_reason: None,
            source: "INSTITUTION".to_owned(),
            retryable: error.outcome == Outcome::NotDone && !refused,
        };
        self.end_or_hold(payment, "institution", state, failure, attention_of(error)).await
    }

    /// Something failed here before the bank was called.
    async fn note_own_failure(&self, payment: PaymentRow, code: &str) -> Result<(), FlowError> {
        let failure = Failure {
            stage: "SUBMISSION".to_owned(),
            code: code.to_owned(),
            iso_reason: None,
            source: "GATEWAY".to_owned(),
            retryable: true,
        };
        self.end_or_hold(payment, "gateway", PaymentState::Failed, failure, None).await
    }

    async fn end_or_hold(
        &self,
        payment: PaymentRow,
        actor: &str,
        state: PaymentState,
        failure: Failure,
        attention: Option<&'static str>,
    ) -> Result<(), FlowError> {
        let now = self.now();
        let next = (!state.is_final()).then(|| next_poll(now, 0));
        self.move_payment(payment, actor, |row| {
            row.state = state;
            row.terms.failure = Some(failure);
            row.next_poll_at = next;
            call_for(row, attention, now);
        })
        .await?;
        Ok(())
    }
}

/// Whether a refusal may be about the consent of a payment rather than the payment.
pub(crate) fn is_about_consent(kind: BankErrorKind) -> bool {
    matches!(
        kind,
        BankErrorKind::ConsentExpired
            | BankErrorKind::ConsentRevoked
            | BankErrorKind::ConsentMissing
            // A bank that deleted a consent may say no more than that our token is none.
            | BankErrorKind::TokenInvalid
    )
}

/// What in a bank's answer calls for a person at once: it has another order than ours.
fn attention_of(error: &BankError) -> Option<&'static str> {
    (error.kind == BankErrorKind::EchoMismatch).then_some("payment.echo_mismatch")
}

/// Flags a payment that is not over; one that is flagged for the same keeps its time.
fn call_for(row: &mut PaymentRow, attention: Option<&'static str>, now: Timestamp) {
    let known = row.bank.attention.as_ref().map(|known| known.code.clone());
    if let Some(code) = attention.filter(|code| !row.is_final() && known.as_deref() != Some(*code)) {
        row.bank.attention = Some(Attention { code: code.to_owned(), since: now });
    }
}

/// A payment whose submission may have been lost is never submitted again. Where the bank
/// says for most of an hour no more than that it has the order, or nothing of any order for
/// a day, a person must look there; it is asked on, and its last word ends that. So it is with
/// an order that the PSU took to the bank and has approved nothing of for a day (for a week,
/// where others must approve, too): it may be approved there still, and then it is executed.
fn note_patience(row: &mut PaymentRow, now: Timestamp) {
    let lost = row.state == PaymentState::Unknown
        || (row.state == PaymentState::Submitted && row.bank.payment_id.is_none());
    let silent = row.bank.unanswered_since.is_some_and(|since| later(since, DAY) <= now);
    let others = row.bank.iso_status.as_deref() == Some(IsoPaymentStatus::PartiallyAuthorised.as_str());
    let approval = if others { 7 * DAY } else { DAY };
    let waiting = row.state == PaymentState::Authorizing && later(row.created_at, approval) <= now;
    let silent = silent || waiting;
    if !lost && !waiting && row.bank.unanswered_since.is_none() {
        row.bank.attention = None;
    } else if row.bank.attention.is_none() && (silent || (lost && row.bank.polls >= PATIENCE)) {
        call_for(row, Some("payment.open_at_bank"), now);
    }
}

/// How the transfers of a batch stand after a report: none that has ended moves again.
fn transfers_of(payment: &PaymentRow, report: &PaymentReport) -> Vec<TransferState> {
    let Some(batch) = payment.terms.order.batch().filter(|_| !report.transfers.is_empty()) else {
        return payment.bank.transfers.clone();
    };
    let mut states = payment.bank.transfers.clone();
    states.resize_with(batch.transfers.len(), TransferState::default);
    for told in &report.transfers {
        let told_state = told.status.state();
        if let Some(known) = states.get_mut(told.index).filter(|known| !known.state.is_final()) {
            *known = TransferState {
                state: told_state,
                iso_status: Some(told.status.as_str().to_owned()),
                iso_reason: told.iso_reason.clone(),
            };
        }
    }
    states
}

/// Where a batch stands once each of its transfers has ended: settled, if any was.
fn whole_of(payment: &PaymentRow, transfers: &[TransferState]) -> Option<PaymentState> {
    let count = payment.terms.order.batch()?.transfers.len();
    let over = transfers.len() == count && transfers.iter().all(|transfer| transfer.state.is_final());
    let any = |state| transfers.iter().any(|transfer| transfer.state == state);
    let whole = [PaymentState::Settled, PaymentState::Rejected].into_iter().find(|state| any(*state));
    over.then(|| whole.unwrap_or(PaymentState::Cancelled))
}

/// Days after the last one of a series on which its bank has had the time to say more.
const AFTERWARDS: i64 = 7;

/// Whether a series has ended, and with it the bank's interest: some never call it over.
fn is_over(payment: &PaymentRow, state: PaymentState, now: Timestamp) -> bool {
    let Execution::Repeated(series) = payment.terms.order.execution() else { return false };
    let end = series.last.and_then(|last| last.checked_add(jiff::Span::new().days(AFTERWARDS)).ok());
    state == PaymentState::Accepted && end.is_some_and(|end| domain::utc_day(now) > end)
}

/// When to ask about a payment again. One that the bank keeps for a later day is asked
/// about a few times at once, then once a day until its day comes.
fn next_question(payment: &PaymentRow, state: PaymentState, now: Timestamp) -> Timestamp {
    let soon = next_poll(now, payment.bank.polls);
    let order = &payment.terms.order;
    let kept = state == PaymentState::Accepted
        || (state == PaymentState::Submitted && payment.bank.payment_id.is_some());
    let Some(first) = order.first_day().filter(|_| kept && payment.bank.polls >= AT_ONCE) else {
        return soon;
    };
    let tomorrow = later(now, DAY);
    match domain::utc_midnight(first) {
        Some(begins) if begins > now => tomorrow.min(begins),
        _ if matches!(order.execution(), Execution::Repeated(_)) => tomorrow,
        _ => soon,
    }
}

/// When to ask the bank again: soon at first, then ever more rarely.
fn next_poll(now: Timestamp, polls: u32) -> Timestamp {
    let millis = 250_i64.saturating_mul(1_i64.checked_shl(polls.min(12)).unwrap_or(4_096));
    now.saturating_add(jiff::SignedDuration::from_millis(millis.min(300_000))).unwrap_or(now)
}
