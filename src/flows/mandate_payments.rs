//! Payments under a mandate: drawn on its limits here before the bank is called,
//! then placed like any other payment that its PSU has approved.

use std::sync::Arc;

use domain::{
    Breach, EventType, Execution, MandateId, Money, Order, PaymentId, PaymentOrder, PaymentRisk,
    PaymentScheme, PaymentState, Pii, RemittanceInformation,
};
use store::idempotency::ClaimKey;
use store::mandates::{Draw, MandateRow};
use store::payments::{BankPayment, PaymentRow, PaymentTerms, UnderMandate};
use store::{StoreError, Tx};

use crate::accounts::chain;
use crate::events::Subject;
use crate::policies::{count, day_of};
use crate::webhooks::later;
use crate::{FlowError, Gateway, LiveToken, PaymentReply};

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
    pub end_to_end_id: Pii<String>,
    /// The TPP's own name for the payment.
    pub client_reference: Option<String>,
}

impl Gateway {
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
    /// [`FlowError::Denied`] where the rules forbid it, [`FlowError::MandateBreach`] or
    /// [`FlowError::MandateUsedUp`]: the bank is not called, and nothing is drawn.
    pub async fn pay_under_mandate(
        self: &Arc<Self>,
        token: &LiveToken,
        id: MandateId,
        request: MandatePaymentRequest,
        claim: &ClaimKey,
        answer: impl Fn(&PaymentRow) -> String,
    ) -> Result<PaymentReply, FlowError> {
        let client_id = token.row.client_id.as_str();
        let store = self.parts.stores.region(id.region())?;
        let mandate = self.mandate(client_id, id).await?;
        let granted = self.grants_mandate(token, &mandate.terms.order).await?;
        let decided = self.may_order(client_id, id.region(), store.region(), Some((&mandate, granted)));
        // What was answered before is answered again, though the mandate has ended since.
        let ended = |error: &FlowError| matches!(error.cause(), FlowError::MandateState(_));
        let decided = if decided.as_ref().is_err_and(ended) { decided } else { Ok(decided?) };
        let now = self.now();
        // Before the transaction, which others in the region wait for.
        let client = self.parts.stores.global().client(client_id).await?;
        let policy = client.and_then(|client| client.payment_policy);
        let (permit, mut refused) = match decided {
            Ok(permit) => (Some(permit), None),
            Err(refused) => (None, Some(refused)),
        };
        let (mut ended, mut mine) = (false, None);
        let before = store::transaction!(keyed store, tx => {
            if let Some(replayed) = self.answered_before(tx, claim).await? {
                return Ok(Some(replayed));
            }
            let permit = permit.as_ref().ok_or_else(|| refused.take().unwrap_or(FlowError::Busy))?;
            mandate.terms.order.constraints.admit(&request.amount, now)?;
            let used = tx.use_mandate(id).await;
            ended = matches!(used, Err(StoreError::Conflict));
            used?;
            let draws = self.draw(tx, &mandate, &request.amount).await?;
            let mut payment = self.payment_of(&mandate, request.clone(), draws);
            if let Some(policy) = &policy {
                self.admit_payment(client_id, policy, &payment.terms.order)?;
                payment.terms.counted_on = policy.limits_days().then(|| day_of(now));
            }
            count(tx, policy.as_ref(), &payment).await?;
            tx.record_payment(&payment).await?;
            let subject = Subject::Payment(payment.id, payment.state, payment.kind());
            tx.emit_under(&self.event(client_id, &subject, 1, now), permit.rule()).await?;
            let body = answer(&payment);
            tx.answer_claim(claim, &payment.id.to_string(), 201, &body).await?;
            mine = Some((payment, body));
            Ok::<_, FlowError>(None)
        });
        let before = match before {
            // Since it was read.
            Err(_) if ended => return Err(FlowError::MandateState(self.any_mandate(id).await?.status)),
            before => before?,
        };
        let (payment, body) = match (before, mine) {
            (None, Some(mine)) => mine,
            // An answer with this id is of an earlier run that was committed unheard.
            (Some(before), Some(mine)) if before.body == mine.1 => mine,
            (Some(replayed), _) => return Ok(replayed),
            (None, None) => return Err(FlowError::Busy),
        };
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
        let began = mandate.began();
        let units = |money: &Money| money.smallest_units().ok_or(FlowError::Busy);
        let drawn = units(amount)?;
        let (mut draws, mut nears) = (Vec::new(), false);
        if let Some(most) = mandate.terms.order.constraints.max_count {
            let draw = Draw::of_count(began);
            let count = tx.draw(mandate.id, draw, 1, i64::from(most)).await?;
            count.ok_or(FlowError::MandateBreach(Breach::Count(most)))?;
            draws.push(draw);
        }
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
            if request.end_to_end_id.is_empty() { plain.clone() } else { request.end_to_end_id.into_inner() };
        PaymentRow {
            id,
            client_id: mandate.client_id.clone(),
            institution: mandate.institution.clone(),
            state: PaymentState::Authorized,
            terms: PaymentTerms {
                order: Order::Transfer(PaymentOrder {
                    end_to_end_id: end_to_end_id.into(),
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
                }),
                redirect_uri: mandate.terms.redirect_uri.clone(),
                state: None,
                client_reference: request.client_reference,
                failure: None,
                under: Some(UnderMandate { mandate: mandate.id, draws }),
                scheme_choice: None,
                counted_on: None,
                payee: None,
                refund_of: None,
            },
            bank: BankPayment {
                consent_id: mandate.bank.consent_id.clone(),
                psu_id: mandate.bank.psu_id.clone(),
                submits_after_sca: true,
                ..BankPayment::default()
            },
            created_at: now,
            updated_at: now,
            revision: 0,
            next_poll_at: Some(later(now, 5)),
            refunded: 0,
        }
    }
}
