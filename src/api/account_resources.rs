//! What banks tell of an account beside balances and transactions.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{AccountResource, Occurrence, Payee, Pii, ResourceEntry};
use flows::{AccountData, Gateway, Read};
use serde::Serialize;
use utoipa::ToSchema;
use web::{Accounts, Caller, Json, Problem, Psu, RateLimits};

use crate::accounts::{Answer, account_id};
use crate::address::Address;
use crate::view::{AccountName, Amount, Provenance, Source};

/// Who holds an account or may act for it.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PartyView {
    /// The account.
    account_id: String,
    /// The bank's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_party_id: Option<String>,
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    name: Option<Pii<String>>,
    /// Full legal name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    legal_name: Option<Pii<String>>,
    /// What the party is to the account, in the bank's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<String>,
    /// Addresses of e-mail.
    #[schema(value_type = Vec<String>)]
    emails: Vec<Pii<String>>,
    /// Numbers of telephones.
    #[schema(value_type = Vec<String>)]
    phones: Vec<Pii<String>>,
    /// Postal addresses.
    addresses: Vec<Address>,
    /// Where it comes from.
    source: Provenance,
}

/// Who is paid.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct PayeeView {
    /// Name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    name: Option<Pii<String>>,
    /// Account.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<AccountName>,
    /// ISO 9362.
    #[serde(skip_serializing_if = "Option::is_none")]
    bic: Option<String>,
}

impl From<&Payee> for PayeeView {
    fn from(payee: &Payee) -> Self {
        Self {
            name: payee.name.clone(),
            account: payee.account.as_ref().map(AccountName::from),
            bic: payee.bic.clone(),
        }
    }
}

/// A payee the person has stored at the bank.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct BeneficiaryView {
    /// The account.
    account_id: String,
    /// The bank's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_beneficiary_id: Option<String>,
    /// Who.
    creditor: PayeeView,
    /// Reference that is stored with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reference: Option<Pii<String>>,
    /// Whether payments to it need no authentication (RTS Art. 13).
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted: Option<bool>,
    /// Where it comes from.
    source: Provenance,
}

/// One payment of a series.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct OccurrenceView {
    /// Day.
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    /// How much.
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<Amount>,
}

impl From<&Occurrence> for OccurrenceView {
    fn from(occurrence: &Occurrence) -> Self {
        Self {
            date: occurrence.date.map(|date| date.to_string()),
            amount: occurrence.amount.map(Amount::from),
        }
    }
}

/// How often.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct FrequencyView {
    /// DAIL, WEEK, TOWK, MNTH, TOMN, QUTR, SEMI, YEAR or OTHR.
    code: &'static str,
    /// Day of the month, or of the week (1 is Monday).
    #[serde(skip_serializing_if = "Option::is_none")]
    day: Option<u8>,
}

/// A payment that repeats.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct StandingOrderView {
    /// The account.
    account_id: String,
    /// The bank's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_standing_order_id: Option<String>,
    /// `ACTIVE`, `INACTIVE` or `UNKNOWN`.
    status: &'static str,
    /// How often.
    frequency: FrequencyView,
    /// The first payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    first: Option<OccurrenceView>,
    /// The next payment.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<OccurrenceView>,
    /// The payment made last.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<OccurrenceView>,
    /// The last payment there will be.
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<OccurrenceView>,
    /// Payments that are left.
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining_count: Option<u32>,
    /// Who is paid.
    creditor: PayeeView,
    /// What the payee is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reference: Option<Pii<String>>,
    /// Where it comes from.
    source: Provenance,
}

/// A mandate under which somebody collects.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct DirectDebitView {
    /// The account.
    account_id: String,
    /// The bank's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_direct_debit_id: Option<String>,
    /// Mandate, as the collector names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    mandate_id: Option<String>,
    /// `ACTIVE`, `INACTIVE` or `UNKNOWN`.
    status: &'static str,
    /// Who collects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    creditor_name: Option<Pii<String>>,
    /// How often.
    frequency: FrequencyView,
    /// What was collected last.
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<OccurrenceView>,
    /// Where it comes from.
    source: Provenance,
}

/// A single payment of a day to come.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct ScheduledPaymentView {
    /// The account.
    account_id: String,
    /// The bank's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_scheduled_payment_id: Option<String>,
    /// Day on which it is made, or arrives.
    execution_date: String,
    /// `EXECUTION` or `ARRIVAL`: what the day is that of.
    date_type: &'static str,
    /// How much.
    amount: Amount,
    /// Who is paid.
    creditor: PayeeView,
    /// What the payee is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    reference: Option<Pii<String>>,
    /// Where it comes from.
    source: Provenance,
}

/// A period for which the bank wrote a statement.
#[derive(Clone, Debug, Serialize, ToSchema)]
struct StatementView {
    /// The account.
    account_id: String,
    /// The bank's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    bank_statement_id: Option<String>,
    /// Number of the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    /// Kind, in the bank's words.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    /// First day.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Last day.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// When it was written (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    /// Where it comes from.
    source: Provenance,
}

/// One entry as it is shown; nothing, if it is not of the kind asked for.
trait Shown: Sized {
    fn of(data: &AccountData, entry: &ResourceEntry) -> Option<Self>;
}

impl Shown for PartyView {
    fn of(data: &AccountData, entry: &ResourceEntry) -> Option<Self> {
        let ResourceEntry::Party(party) = entry else { return None };
        Some(Self {
            account_id: data.id.to_string(),
            bank_party_id: party.bank_id.clone(),
            name: party.name.clone(),
            legal_name: party.legal_name.clone(),
            role: party.role.clone(),
            emails: party.emails.clone(),
            phones: party.phones.clone(),
            addresses: party.addresses.iter().map(Address::from).collect(),
            source: Provenance::of(data),
        })
    }
}

impl Shown for BeneficiaryView {
    fn of(data: &AccountData, entry: &ResourceEntry) -> Option<Self> {
        let ResourceEntry::Beneficiary(beneficiary) = entry else { return None };
        Some(Self {
            account_id: data.id.to_string(),
            bank_beneficiary_id: beneficiary.bank_id.clone(),
            creditor: PayeeView::from(&beneficiary.payee),
            reference: beneficiary.reference.clone(),
            trusted: beneficiary.trusted,
            source: Provenance::of(data),
        })
    }
}

impl Shown for StandingOrderView {
    fn of(data: &AccountData, entry: &ResourceEntry) -> Option<Self> {
        let ResourceEntry::StandingOrder(order) = entry else { return None };
        let at = |occurrence: &Option<Occurrence>| occurrence.as_ref().map(OccurrenceView::from);
        Some(Self {
            account_id: data.id.to_string(),
            bank_standing_order_id: order.bank_id.clone(),
            status: order.status.as_str(),
            frequency: FrequencyView { code: order.frequency.as_str(), day: order.day },
            first: at(&order.first),
            next: at(&order.next),
            previous: at(&order.previous),
            last: at(&order.last),
            remaining_count: order.remaining,
            creditor: PayeeView::from(&order.payee),
            reference: order.reference.clone(),
            source: Provenance::of(data),
        })
    }
}

impl Shown for DirectDebitView {
    fn of(data: &AccountData, entry: &ResourceEntry) -> Option<Self> {
        let ResourceEntry::DirectDebit(debit) = entry else { return None };
        Some(Self {
            account_id: data.id.to_string(),
            bank_direct_debit_id: debit.bank_id.clone(),
            mandate_id: debit.mandate_id.clone(),
            status: debit.status.as_str(),
            creditor_name: debit.creditor_name.clone(),
            frequency: FrequencyView { code: debit.frequency.as_str(), day: None },
            previous: debit.previous.as_ref().map(OccurrenceView::from),
            source: Provenance::of(data),
        })
    }
}

impl Shown for ScheduledPaymentView {
    fn of(data: &AccountData, entry: &ResourceEntry) -> Option<Self> {
        let ResourceEntry::ScheduledPayment(payment) = entry else { return None };
        Some(Self {
            account_id: data.id.to_string(),
            bank_scheduled_payment_id: payment.bank_id.clone(),
            execution_date: payment.date.to_string(),
            date_type: if payment.arrives { "ARRIVAL" } else { "EXECUTION" },
            amount: payment.amount.into(),
            creditor: PayeeView::from(&payment.payee),
            reference: payment.reference.clone(),
            source: Provenance::of(data),
        })
    }
}

impl Shown for StatementView {
    fn of(data: &AccountData, entry: &ResourceEntry) -> Option<Self> {
        let ResourceEntry::Statement(statement) = entry else { return None };
        Some(Self {
            account_id: data.id.to_string(),
            bank_statement_id: statement.bank_id.clone(),
            reference: statement.reference.clone(),
            kind: statement.kind.clone(),
            from: statement.from.map(|date| date.to_string()),
            to: statement.to.map(|date| date.to_string()),
            created_at: statement.created_at.map(|at| at.to_string()),
            source: Provenance::of(data),
        })
    }
}

/// Reads one kind of information on one account.
async fn read<T: Shown>(
    gateway: &Gateway,
    caller: &Caller<Accounts>,
    Psu(psu): Psu,
    account: &str,
    resource: AccountResource,
) -> Result<(RateLimits, Vec<T>, Vec<Source>), Problem> {
    let account = account_id(account)?;
    let read = Read::Resource(resource);
    let reading = gateway.read(caller.asker(), Some(account), read, psu.as_ref()).await?;
    let limits = RateLimits::of(&reading);
    let shown = |data: &AccountData| data.resources.iter().filter_map(|entry| T::of(data, entry)).collect();
    let data = reading.accounts.iter().flat_map(|data| -> Vec<T> { shown(data) }).collect();
    Ok((limits, data, reading.sources.into_iter().map(Source::from).collect()))
}

/// A list, its operation and what it is a list of.
macro_rules! resources {
    ($($(#[$doc:meta])* $handler:ident, $list:ident<$view:ident>, $resource:ident, $operation:literal, $path:literal;)+) => {$(
        /// What was asked for, of one account.
        #[derive(Clone, Debug, Serialize, ToSchema)]
        pub(crate) struct $list {
            /// The entries, in the bank's order.
            data: Vec<$view>,
            /// How the bank answered.
            sources: Vec<Source>,
        }

        $(#[$doc])*
        #[utoipa::path(get, operation_id = $operation, path = $path, tag = "accounts",
            security(("mtls_oauth" = ["accounts"])),
            params(("account_id" = String, Path),
                ("PSU-IP-Address" = Option<String>, Header, description = "Address of the person, if present")),
            responses((status = 200, description = "What was asked for", body = $list),
                (status = "default", description = "What went wrong", body = Problem, content_type = "application/problem+json")))]
        pub(crate) async fn $handler(
            State(gateway): State<Arc<Gateway>>,
            caller: Caller<Accounts>,
            psu: Psu,
            Path(account): Path<String>,
        ) -> Answer<$list> {
            let (limits, data, sources) =
                read(&gateway, &caller, psu, &account, AccountResource::$resource).await?;
            Ok((limits, Json($list { data, sources })))
        }
    )+};
}

resources! {
    /// List who holds an account or may act for it.
    parties, PartyList<PartyView>, Parties, "listParties", "/v1/accounts/{account_id}/parties";
    /// List the payees that are stored with an account.
    beneficiaries, BeneficiaryList<BeneficiaryView>, Beneficiaries, "listBeneficiaries", "/v1/accounts/{account_id}/beneficiaries";
    /// List the standing orders of an account.
    standing_orders, StandingOrderList<StandingOrderView>, StandingOrders, "listStandingOrders", "/v1/accounts/{account_id}/standing-orders";
    /// List the mandates of direct debits of an account.
    direct_debits, DirectDebitList<DirectDebitView>, DirectDebits, "listDirectDebits", "/v1/accounts/{account_id}/direct-debits";
    /// List the payments of an account of days to come.
    scheduled_payments, ScheduledPaymentList<ScheduledPaymentView>, ScheduledPayments, "listScheduledPayments", "/v1/accounts/{account_id}/scheduled-payments";
    /// List the periods for which the bank wrote statements.
    statements, StatementList<StatementView>, Statements, "listStatements", "/v1/accounts/{account_id}/statements";
}
