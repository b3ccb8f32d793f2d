//! How an order goes to its bank: a transfer, a batch or a payment under a mandate, each
//! with the face of the dialect that is for it.

use connect::{
    BankError, BankPaymentIds, BankRequest, BankResponse, BatchFilling, BatchInitiation, BatchReporting,
    CallContext, Dialect, ExplicitStart, LodgedPayment, PaymentInitiation, PaymentReport, Profile,
    RecurringPayments, RedirectUris,
};
use domain::{BatchOrder, Order, PaymentOrder};
use secrecy::SecretString;
use store::mandates::MandateRow;
use store::payments::PaymentRow;

use crate::bank::{batches_of, payments_of};
use crate::mandate_bank::recurring_of;
use crate::{FlowError, Gateway};

/// How an order goes to its bank.
pub(crate) enum Rail<'d> {
    /// One transfer, approved by itself.
    Single(&'d dyn PaymentInitiation, Box<PaymentOrder>),
    /// Many transfers, approved together.
    Batch(&'d dyn BatchInitiation, BatchOrder),
    /// Under a mandate.
    Recurring(&'d dyn RecurringPayments, Box<MandateRow>, Box<PaymentOrder>),
}

impl Rail<'_> {
    /// Without our submission no bank executes it.
    pub(crate) fn submits_after_sca(&self) -> bool {
        match self {
            Self::Single(payments, _) => payments.submits_after_sca(),
            Self::Batch(batches, _) => batches.submits_after_sca(),
            Self::Recurring(..) => true,
        }
    }

    /// None for a payment under a mandate, which was lodged with that.
    pub(crate) fn lodge(
        &self,
        cx: &CallContext<'_>,
        redirects: &RedirectUris,
    ) -> Option<Result<BankRequest, BankError>> {
        match self {
            Self::Single(payments, order) => Some(payments.lodge(cx, order, redirects)),
            Self::Batch(batches, batch) => Some(batches.lodge(cx, batch, redirects)),
            Self::Recurring(..) => None,
        }
    }

    pub(crate) fn lodged(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Option<Result<LodgedPayment, BankError>> {
        match self {
            Self::Single(payments, order) => Some(payments.lodged(cx, order, response)),
            Self::Batch(batches, batch) => Some(batches.lodged(cx, batch, response)),
            Self::Recurring(..) => None,
        }
    }

    /// How what was lodged is followed by its transfers, where the standard has that.
    pub(crate) fn filling(&self) -> Option<(&dyn BatchFilling, &BatchOrder)> {
        match self {
            Self::Batch(batches, batch) => batches.filling().map(|filling| (filling, batch)),
            Self::Single(..) | Self::Recurring(..) => None,
        }
    }

    /// How the bank is asked about each transfer, where the standard has that.
    pub(crate) fn reporting(&self) -> Option<(&dyn BatchReporting, &BatchOrder)> {
        match self {
            Self::Batch(batches, batch) => batches.reporting().map(|reporting| (reporting, batch)),
            Self::Single(..) | Self::Recurring(..) => None,
        }
    }

    pub(crate) fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        match self {
            Self::Single(payments, _) => payments.explicit_start(),
            Self::Batch(batches, _) => batches.explicit_start(),
            Self::Recurring(..) => None,
        }
    }

    pub(crate) fn submit(
        &self,
        cx: &CallContext<'_>,
        bank_id: &str,
    ) -> Option<Result<BankRequest, BankError>> {
        match self {
            Self::Single(payments, order) => payments.submit(cx, bank_id, order),
            Self::Batch(batches, batch) => batches.submit(cx, bank_id, batch),
            Self::Recurring(payments, mandate, order) => {
                Some(payments.submit(cx, &mandate.terms.order, order))
            }
        }
    }

    pub(crate) fn submitted(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        match self {
            Self::Single(payments, order) => payments.submitted(cx, order, response),
            Self::Batch(batches, batch) => batches.submitted(cx, batch, response),
            Self::Recurring(payments, _, order) => payments.submitted(cx, order, response),
        }
    }

    /// None where the bank never named the payment, and knows no other name of it.
    pub(crate) fn status(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
    ) -> Option<Result<BankRequest, BankError>> {
        match self {
            Self::Single(payments, order) => Some(payments.status(cx, ids, order)),
            Self::Batch(batches, batch) => Some(batches.status(cx, ids, batch)),
            Self::Recurring(payments, ..) => ids.payment.as_deref().map(|id| payments.status(cx, id)),
        }
    }

    pub(crate) fn status_read(
        &self,
        cx: &CallContext<'_>,
        ids: &BankPaymentIds,
        response: &BankResponse,
    ) -> Result<PaymentReport, BankError> {
        match self {
            Self::Single(payments, order) => payments.status_read(cx, ids, order, response),
            Self::Batch(batches, batch) => batches.status_read(cx, ids, batch, response),
            Self::Recurring(payments, _, order) => payments.status_read(cx, order, response),
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
        Ok(match (&payment.terms.order, &payment.terms.under) {
            (Order::Transfer(order), None) => {
                Rail::Single(payments_of(dialect, profile)?, Box::new(order.clone()))
            }
            (Order::Transfer(order), Some(under)) => {
                let mandate = self.any_mandate(under.mandate).await?;
                let order = Box::new(order.clone());
                Rail::Recurring(recurring_of(dialect, profile)?, Box::new(mandate), order)
            }
            (Order::Batch(batch), _) => Rail::Batch(batches_of(dialect, profile)?, batch.clone()),
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
            Rail::Single(..) | Rail::Batch(..) => {
                Ok(payment.bank.access_token.clone().map(SecretString::from))
            }
            Rail::Recurring(_, mandate, _) => self.mandate_token(profile, mandate).await,
        }
    }
}
