//! Payments under a mandate: drawn on its limits here before the bank is called,
//! then placed like any other payment that its PSU has approved.

use std::sync::Arc;

use connect::{
    BankError, BankPaymentIds, BankRequest, BankResponse, CallContext, Dialect, PaymentInitiation,
    PaymentReport, Profile, RecurringPayments,
};
use domain::{
    EventType, Execution, MandateId, MandateStatus, Money, PaymentId, PaymentOrder, PaymentRisk,
    PaymentScheme, PaymentState, RemittanceInformation,
};
use secrecy::SecretString;
use store::idempotency::ClaimKey;
use store::mandates::{Draw, MandateRow};
use store::payments::{BankPayment, PaymentRow, PaymentTerms, UnderMandate};
use store::{StoreError, Tx};

use crate::accounts::chain;
use crate::bank::payments_of;
use crate::events::Subject;
use crate::mandate_bank::recurring_of;
use crate::webhooks::later;
use crate::{FlowError, Gateway, PaymentReply};

/// Percent of a limit from which on the client is told that it nears.
const NEARING: i64 = 80;

/// What a TPP pays under a mandate.
#[derive(Clone, Debug)]
pub struct MandatePaymentRequest {
    /// How much.
    pub amount: Money,
    /// Purpose; the mandate's where it is empty.
    pub remittance: RemittanceInformation,
    /// Identification that travels to the creditor; ours if empty.
    pub end_to_end_id: String,
    /// The TPP's own name for the payment.
    pub client_reference: Option<String>,
}

/// How an order goes to its bank.
pub(crate) enum Rail<'d> {
    /// Approved by itself.
    Single(&'d dyn PaymentInitiation),
    /// Under a mandate.
    Recurring(&'d dyn RecurringPayments, Box<MandateRow>),
}

impl Rail<'_> {
    pub(crate) fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
        order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        match self {
            Self::Single(payments) => payments.submit(cx, bank_id, order),
            Self::Recurring(payments, mandate) => Some(payments.submit(cx, &mandate.terms.order, order)),
        }
    }

    pub(crate) fn submitted(
        &self,
        cx: &CallContext<'_>,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        match self {
            Self::Single(payments) => payments.submitted(cx, order, response),
            Self::Recurring(payments, _) => payments.submitted(cx, order, response),
        }
    }

    /// None where the bank never named the payment, and knows no other name of it.
    pub(crate) fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
    ) -> Option<Result<BankRequest, BankError>> {
        match self {
            Self::Single(payments) => Some(payments.status(cx, ids, order)),
            Self::Recurring(payments, _) => ids.payment.as_deref().map(|id| payments.status(cx, id)),
        }
    }

    pub(crate) fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        order: &PaymentOrder,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        match self {
            Self::Single(payments) => payments.status_read(cx, ids, order, response),
            Self::Recurring(payments, _) => payments.status_read(cx, order, response),
        }
    }
}

impl Gateway {
    /// How a payment goes to its bank.
    pub(crate) async fn rail_of<'d>(
        &self,
        dialect: &'d dyn Dialect,
        profile: &Profile,
        payment: &PaymentRow,
    ) -> Result<Rail<'d>, FlowError> {
        Ok(match &payment.terms.under {
            None => Rail::Single(payments_of(dialect, profile)?),
            Some(under) => {
                let mandate = self.any_mandate(under.mandate).await?;
                Rail::Recurring(recurring_of(dialect, profile)?, Box::new(mandate))
            }
        })
    }

    /// The PSU's token for a payment: its own, or that of its mandate.
    pub(crate) async fn payment_token(
        &self,
        profile: &Profile,
        rail: &Rail<'_>,
        payment: &PaymentRow,
    ) -> Result<Option<SecretString>, FlowError> {
        match rail {
            Rail::Single(_) => Ok(payment.bank.access_token.clone().map(SecretString::from)),
            Rail::Recurring(_, mandate) => self.mandate_token(profile, mandate).await,
        }
    }

    /// A bank refused a payment under a mandate: perhaps the mandate is over there.
    pub(crate) async fn heed_mandate(self: &Arc<Self>, id: MandateId) {
        let asked = async { self.follow_mandate(self.any_mandate(id).await?).await };
        if let Err(error) = asked.await {
            tracing::warn!(mandate.id = %id, error = %chain(&error), "The bank could not be asked about mandate {id}");
        }
    }

    /// Orders a payment under a mandate, and submits it. With an idempotency key
    /// that was used before, answers what was answered then.
    ///
    /// # Errors
    ///
    /// [`FlowError::MandateState`], [`FlowError::MandateBreach`] or
    /// [`FlowError::MandateUsedUp`]: the bank is not called, and nothing is drawn.
    pub async fn pay_under_mandate(
        self: &Arc<Self>,
        client_id: &str,
        id: MandateId,
        request: MandatePaymentRequest,
        claim: &ClaimKey,
        answer: impl FnOnce(&PaymentRow) -> String,
    ) -> Result<PaymentReply, FlowError> {
        let mandate = self.mandate(client_id, id).await?;
        let now = self.now();
        let mut tx = self.parts.stores.region(id.region())?.begin().await?;
        if let Some(replayed) = self.answered_before(&mut tx, claim).await? {
            return Ok(replayed);
        }
        if mandate.status != MandateStatus::Authorized {
            return Err(FlowError::MandateState(mandate.status));
        }
        mandate.terms.order.constraints.admit(&request.amount, now)?;
        match tx.use_mandate(id).await {
            Ok(()) => {}
            // Ended since it was read.
            Err(StoreError::Conflict) => {
                drop(tx);
                return Err(FlowError::MandateState(self.any_mandate(id).await?.status));
            }
            Err(error) => return Err(error.into()),
        }
        let draws = self.draw(&mut tx, &mandate, &request.amount).await?;
        let payment = self.payment_of(&mandate, request, draws);
        tx.record_payment(&payment).await?;
        let subject = Subject::Payment(payment.id, payment.state);
        tx.emit(&self.event(client_id, &subject, 1, now)).await?;
        let body = answer(&payment);
        tx.answer_claim(claim, 201, &body).await?;
        tx.commit().await?;
        tracing::info!(payment.id = %payment.id, mandate.id = %id, "Payment {} recorded", payment.id);
        // On its own: it goes on if the client goes away, and if this process ends
        // before it is submitted, the reconciler does it.
        let gateway = Arc::clone(self);
        tokio::spawn(async move {
            let payment_id = payment.id;
            if let Err(error) = gateway.submit_payment(payment).await {
                tracing::warn!(payment.id = %payment_id, error = %chain(&error), "Payment {payment_id} could not be submitted");
            }
        });
        Ok(PaymentReply { status: 201, body, replayed: false })
    }

    /// Draws an amount on every limit of a mandate, or on none.
    async fn draw(&self, tx: &mut Tx, mandate: &MandateRow, amount: &Money) -> Result<Vec<Draw>, FlowError> {
        let now = self.now();
        let began = mandate.terms.began_at.unwrap_or(mandate.created_at);
        let units = |money: &Money| money.smallest_units().ok_or(FlowError::Busy);
        let drawn = units(amount)?;
        let (mut draws, mut nears) = (Vec::new(), false);
        for (place, limit) in (0_i64..).zip(&mandate.terms.order.constraints.periodic_limits) {
            let window = limit.window(began, now).ok_or(FlowError::Busy)?;
            let most = units(&window.max_amount)?;
            let draw = Draw { place, window_start: window.start };
            let Some(used) = tx.draw(mandate.id, draw, drawn, most).await? else {
                return Err(FlowError::MandateUsedUp {
                    period: limit.period(),
                    max_amount: window.max_amount,
                    resets_at: window.end,
                });
            };
            draws.push(draw);
            let near = |used: i64| used.saturating_mul(100) >= most.saturating_mul(NEARING);
            nears |= near(used) && !near(used.saturating_sub(drawn));
        }
        if nears {
            let sequence = tx.note_nearing(mandate, now).await?;
            let subject = Subject::Mandate(mandate.id, mandate.status, EventType::MandateLimitNearing);
            tx.emit(&self.event(&mandate.client_id, &subject, sequence, now)).await?;
        }
        Ok(draws)
    }

    /// The payment: approved by the mandate, and not yet with the bank.
    fn payment_of(
        &self,
        mandate: &MandateRow,
        request: MandatePaymentRequest,
        draws: Vec<Draw>,
    ) -> PaymentRow {
        let (now, order) = (self.now(), &mandate.terms.order);
        let id = PaymentId::new(mandate.id.region(), self.clock(), self.entropy());
        let plain = id.uuid().simple().to_string();
        let told = request.remittance;
        let silent = told == RemittanceInformation::default();
        let end_to_end_id =
            if request.end_to_end_id.is_empty() { plain.clone() } else { request.end_to_end_id };
        PaymentRow {
            id,
            client_id: mandate.client_id.clone(),
            institution: mandate.institution.clone(),
            state: PaymentState::Authorized,
            terms: PaymentTerms {
                order: PaymentOrder {
                    end_to_end_id,
                    instruction_id: plain,
                    amount: request.amount,
                    debtor_account: None,
                    creditor_name: order.creditor_name.clone(),
                    creditor_account: order.creditor_account.clone(),
                    remittance: if silent { order.remittance.clone() } else { told },
                    scheme: PaymentScheme::FasterPayments,
                    execution: Execution::AtOnce,
                    abroad: None,
                    risk: PaymentRisk::default(),
                },
                redirect_uri: mandate.terms.redirect_uri.clone(),
                state: None,
                client_reference: request.client_reference,
                failure: None,
                under: Some(UnderMandate { mandate: mandate.id, draws }),
                scheme_choice: None,
            },
            bank: BankPayment {
                consent_id: mandate.bank.consent_id.clone(),
                psu_id: mandate.bank.psu_id.clone(),
                submits_after_sca: true,
                ..BankPayment::default()
            },
            created_at: now,
            updated_at: now,
            next_poll_at: Some(later(now, 5)),
        }
    }
}
