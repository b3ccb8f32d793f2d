//! What we know, in the words of a plugin.

use connect::{CallContext, ConsentOrder, TransactionQuery, TransactionSelection};
use domain::{AccountIdentification, Permission};

use crate::wit;

/// What holds for a call. No token and nothing of the person's device is in it.
pub(crate) fn context(cx: &CallContext<'_>) -> wit::Context {
    wit::Context {
        bank: cx.profile.id.to_string(),
        version: cx.profile.accounts_api.as_ref().map(|api| api.version.clone()).unwrap_or_default(),
        now: cx.now.to_string(),
        request_id: cx.request_id.to_string(),
        consent_id: cx.bank_consent_id.map(str::to_owned),
        psu_id: cx.psu_id.map(str::to_owned),
        psu_present: cx.psu.is_some(),
    }
}

pub(crate) fn consent_order(order: &ConsentOrder) -> wit::ConsentOrder {
    wit::ConsentOrder {
        permissions: order.permissions.iter().copied().map(permission).collect(),
        accounts: order.accounts.iter().map(account_number).collect(),
        valid_until: order.valid_until.map(|day| day.to_string()),
        recurring: order.recurring,
        frequency_per_day: order.frequency_per_day,
        transactions_from: order.transactions_from.map(|day| day.to_string()),
        redirect_ok: order.redirects.ok.to_string(),
        redirect_nok: order.redirects.nok.to_string(),
    }
}

pub(crate) fn transaction_query(account: &str, query: &TransactionQuery) -> wit::TransactionQuery {
    wit::TransactionQuery {
        account: account.to_owned(),
        from: query.from.map(|day| day.to_string()),
        to: query.to.map(|day| day.to_string()),
        status: match query.status {
            TransactionSelection::Both => wit::Selection::Both,
            TransactionSelection::Booked => wit::Selection::Booked,
            TransactionSelection::Pending => wit::Selection::Pending,
        },
    }
}

fn permission(permission: Permission) -> wit::Permission {
    match permission {
        Permission::ReadAccountsBasic => wit::Permission::AccountsBasic,
        Permission::ReadAccountsDetail => wit::Permission::AccountsDetail,
        Permission::ReadBalances => wit::Permission::Balances,
        Permission::ReadTransactionsBasic => wit::Permission::TransactionsBasic,
        Permission::ReadTransactionsDetail => wit::Permission::TransactionsDetail,
        Permission::ReadParty => wit::Permission::Party,
        Permission::ReadBeneficiaries => wit::Permission::Beneficiaries,
        Permission::ReadStandingOrders => wit::Permission::StandingOrders,
        Permission::ReadDirectDebits => wit::Permission::DirectDebits,
        Permission::ReadScheduled => wit::Permission::Scheduled,
        Permission::ReadStatements => wit::Permission::Statements,
    }
}

fn account_number(account: &AccountIdentification) -> wit::AccountNumber {
    match account {
        AccountIdentification::Iban(iban) => wit::AccountNumber::Iban(iban.as_str().to_owned()),
        AccountIdentification::SortCode(account) => wit::AccountNumber::SortCode(account.joined()),
        AccountIdentification::Bban(text) => wit::AccountNumber::Bban(text.clone()),
        AccountIdentification::MaskedPan(text) => wit::AccountNumber::MaskedPan(text.clone()),
        AccountIdentification::Other { identification, scheme_name } => {
            wit::AccountNumber::Other(wit::OtherNumber {
                number: identification.clone(),
                scheme: scheme_name.clone(),
            })
        }
    }
}
