//! Orders as rows keep them: as JSON that is parsed again when it is read, so that a row that
//! was tampered with does not become an order.

use domain::{
    Abroad, BatchOrder, Execution, Money, Order, PaymentId, PaymentOrder, PaymentRisk, PaymentScheme, Pii,
    RemittanceInformation, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::identification::StoredAccount;
use crate::payments::{Failure, PayeeCheck, PaymentTerms, UnderMandate};

/// [`PaymentTerms`] as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredTerms {
    #[serde(flatten)]
    order: StoredOrder,
    redirect_uri: String,
    state: Option<String>,
    client_reference: Option<String>,
    failure: Option<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    under: Option<UnderMandate>,
    #[serde(default, skip_serializing_if = "is_default")]
    scheme_choice: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    counted_on: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "is_default")]
    payee: Option<PayeeCheck>,
    #[serde(default, skip_serializing_if = "is_default")]
    refund_of: Option<PaymentId>,
}

/// A batch is known by its transfers.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "most orders are transfers")]
enum StoredOrder {
    Batch(StoredBatch),
    Transfer(StoredTransfer),
}

#[derive(Serialize, Deserialize)]
struct StoredBatch {
    instruction_id: String,
    debtor_account: Option<StoredAccount>,
    scheme: String,
    #[serde(default, skip_serializing_if = "is_default")]
    execution: Execution,
    batch_booking: Option<bool>,
    transfers: Vec<StoredTransfer>,
}

#[derive(Serialize, Deserialize)]
struct StoredTransfer {
    end_to_end_id: Pii<String>,
    instruction_id: String,
    amount: String,
    currency: String,
    debtor_account: Option<StoredAccount>,
    creditor_name: Pii<String>,
    creditor_account: StoredAccount,
    unstructured: Option<Pii<String>>,
    reference: Option<Pii<String>>,
    scheme: String,
    #[serde(default, skip_serializing_if = "is_default")]
    execution: Execution,
    #[serde(default, skip_serializing_if = "is_default")]
    abroad: Option<Abroad>,
    #[serde(default, skip_serializing_if = "is_default")]
    risk: PaymentRisk,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl From<&PaymentTerms> for StoredTerms {
    fn from(terms: &PaymentTerms) -> Self {
        Self {
            order: StoredOrder::from(&terms.order),
            redirect_uri: terms.redirect_uri.clone(),
            state: terms.state.clone(),
            client_reference: terms.client_reference.clone(),
            failure: terms.failure.clone(),
            under: terms.under.clone(),
            scheme_choice: terms.scheme_choice.clone(),
            counted_on: terms.counted_on,
            payee: terms.payee.clone(),
            refund_of: terms.refund_of,
        }
    }
}

impl From<&Order> for StoredOrder {
    fn from(order: &Order) -> Self {
        match order {
            Order::Transfer(order) => Self::Transfer(StoredTransfer::from(order)),
            Order::Batch(batch) => Self::Batch(StoredBatch {
                instruction_id: batch.instruction_id.clone(),
                debtor_account: batch.debtor_account.as_ref().map(StoredAccount::from),
                scheme: batch.scheme.as_str().to_owned(),
                execution: batch.execution.clone(),
                batch_booking: batch.batch_booking,
                transfers: batch.transfers.iter().map(StoredTransfer::from).collect(),
            }),
        }
    }
}

impl From<&PaymentOrder> for StoredTransfer {
    fn from(order: &PaymentOrder) -> Self {
        Self {
            end_to_end_id: order.end_to_end_id.clone(),
            instruction_id: order.instruction_id.clone(),
            amount: order.amount.amount_text(),
            currency: order.amount.currency().to_string(),
            debtor_account: order.debtor_account.as_ref().map(StoredAccount::from),
            creditor_name: order.creditor_name.clone(),
            creditor_account: StoredAccount::from(&order.creditor_account),
            unstructured: order.remittance.unstructured.clone(),
            reference: order.remittance.reference.clone(),
            scheme: order.scheme.as_str().to_owned(),
            execution: order.execution.clone(),
            abroad: order.abroad.clone(),
            risk: order.risk.clone(),
        }
    }
}

impl StoredTerms {
    pub(crate) fn terms(self) -> Option<PaymentTerms> {
        let order = match self.order {
            StoredOrder::Transfer(order) => Order::Transfer(order.order()?),
            StoredOrder::Batch(batch) => Order::Batch(batch.batch()?),
        };
        Some(PaymentTerms {
            order,
            redirect_uri: self.redirect_uri,
            state: self.state,
            client_reference: self.client_reference,
            failure: self.failure,
            under: self.under,
            scheme_choice: self.scheme_choice,
            counted_on: self.counted_on,
            payee: self.payee,
            refund_of: self.refund_of,
        })
    }
}

impl StoredBatch {
    fn batch(self) -> Option<BatchOrder> {
        let debtor_account = self.debtor_account.map(|account| account.identification());
        Some(BatchOrder {
            instruction_id: self.instruction_id,
            debtor_account: debtor_account.map_or(Some(None), |account| account.map(Some))?,
            scheme: PaymentScheme::from_word(&self.scheme)?,
            execution: self.execution,
            batch_booking: self.batch_booking,
            transfers: self.transfers.into_iter().map(StoredTransfer::order).collect::<Option<_>>()?,
        })
    }
}

impl StoredTransfer {
    fn order(self) -> Option<PaymentOrder> {
        let debtor_account = match &self.debtor_account {
            Some(account) => Some(account.identification()?),
            None => None,
        };
        Some(PaymentOrder {
            end_to_end_id: self.end_to_end_id,
            instruction_id: self.instruction_id,
            amount: Money::parse(&self.amount, self.currency.parse().ok()?).ok()?,
            debtor_account,
            creditor_name: self.creditor_name,
            creditor_account: self.creditor_account.identification()?,
            remittance: RemittanceInformation { unstructured: self.unstructured, reference: self.reference },
            scheme: PaymentScheme::from_word(&self.scheme)?,
            execution: self.execution,
            abroad: self.abroad,
            risk: self.risk,
        })
    }
}
