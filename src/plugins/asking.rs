//! What we know, in the words of a plugin.

use connect::{ApiBase, CallContext, ConsentOrder, RedirectUris, TransactionQuery, TransactionSelection};
use domain::{
    Abroad, AccountIdentification, ChargeBearer, Execution, ExecutionRule, PaymentFrequency, PaymentOrder,
    PaymentScheme, Permission, Pii, PostalAddress, Recurrence,
};

use crate::wit;
use crate::wit::payments as paying;

/// What holds for a call to an interface of the bank. No token and nothing of the
/// person's device is in it.
pub(crate) fn context(cx: &CallContext<'_>, api: Option<&ApiBase>) -> wit::Context {
    wit::Context {
        bank: cx.profile.id.to_string(),
        version: api.map(|api| api.version.clone()).unwrap_or_default(),
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

pub(crate) fn lodging(order: &PaymentOrder, redirects: &RedirectUris) -> paying::Lodging {
    paying::Lodging {
        order: payment_order(order),
        redirect_ok: redirects.ok.to_string(),
        redirect_nok: redirects.nok.to_string(),
    }
}

pub(crate) fn held(order: &PaymentOrder, lodged: &str, payment: Option<&str>) -> paying::Held {
    paying::Held {
        order: payment_order(order),
        lodged_id: lodged.to_owned(),
        payment_id: payment.map(str::to_owned),
    }
}

fn payment_order(order: &PaymentOrder) -> paying::Order {
    paying::Order {
        end_to_end_id: order.end_to_end_id.clone().into_inner(),
        instruction_id: order.instruction_id.clone(),
        amount: order.amount.amount_text(),
        currency: order.amount.currency().code().to_owned(),
        debtor_account: order.debtor_account.as_ref().map(account_number),
        creditor_name: order.creditor_name.clone().into_inner(),
        creditor_account: account_number(&order.creditor_account),
        remittance: order.remittance.unstructured.clone().map(Pii::into_inner),
        reference: order.remittance.reference.clone().map(Pii::into_inner),
        scheme: match order.scheme {
            PaymentScheme::SepaCreditTransfer => paying::Scheme::SepaCreditTransfer,
            PaymentScheme::SepaInstant => paying::Scheme::SepaInstant,
            PaymentScheme::FasterPayments => paying::Scheme::FasterPayments,
            PaymentScheme::Elixir => paying::Scheme::Elixir,
            PaymentScheme::ExpressElixir => paying::Scheme::ExpressElixir,
            PaymentScheme::CrossBorder => paying::Scheme::CrossBorder,
        },
        execution: match &order.execution {
            Execution::AtOnce => paying::Execution::AtOnce,
            Execution::On(day) => paying::Execution::OnDay(day.to_string()),
            Execution::Repeated(series) => paying::Execution::Repeated(recurrence(series)),
        },
        abroad: order.abroad.as_ref().map(abroad),
    }
}

fn recurrence(series: &Recurrence) -> paying::Series {
    paying::Series {
        first: series.first.to_string(),
        last: series.last.map(|day| day.to_string()),
        frequency: match series.frequency {
            PaymentFrequency::Daily => paying::Frequency::Daily,
            PaymentFrequency::Weekly => paying::Frequency::Weekly,
            PaymentFrequency::EveryTwoWeeks => paying::Frequency::EveryTwoWeeks,
            PaymentFrequency::Monthly => paying::Frequency::Monthly,
            PaymentFrequency::EveryTwoMonths => paying::Frequency::EveryTwoMonths,
            PaymentFrequency::Quarterly => paying::Frequency::Quarterly,
            PaymentFrequency::SemiAnnual => paying::Frequency::SemiAnnual,
            PaymentFrequency::Annual => paying::Frequency::Annual,
        },
        day_off: series.rule.map(|rule| match rule {
            ExecutionRule::Following => paying::DayOff::Following,
            ExecutionRule::Preceding => paying::DayOff::Preceding,
        }),
    }
}

fn abroad(abroad: &Abroad) -> paying::Abroad {
    let address = |address: &PostalAddress| paying::Address {
        lines: address.lines.clone().into_iter().map(Pii::into_inner).collect(),
        street_name: address.street_name.clone().map(Pii::into_inner),
        building_number: address.building_number.clone().map(Pii::into_inner),
        post_code: address.post_code.clone().map(Pii::into_inner),
        town_name: address.town_name.clone().map(Pii::into_inner),
        country_sub_division: address.country_sub_division.clone().map(Pii::into_inner),
        country: address.country.clone().map(Pii::into_inner),
    };
    paying::Abroad {
        creditor_agent: abroad.creditor_agent.clone(),
        creditor_address: abroad.creditor_address.as_ref().map(address),
        charge_bearer: match abroad.charge_bearer {
            ChargeBearer::Debtor => paying::ChargeBearer::Debtor,
            ChargeBearer::Creditor => paying::ChargeBearer::Creditor,
            ChargeBearer::Shared => paying::ChargeBearer::Shared,
            ChargeBearer::ServiceLevel => paying::ChargeBearer::ServiceLevel,
        },
    }
}

#[cfg(test)]
mod tests;
