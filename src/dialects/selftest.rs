//! Runs the tests that profiles bring with them: the dialect reads what the bank
//! is said to answer, as it would in service, and what it reads is compared.

use connect::{
    BankError, BankRequest, BankResponse, CallContext, Dialect, Expected, MapTarget, Profile, ProfileTest,
    TransactionQuery,
};
use domain::{Account, AccountIdentification, Balance, Timestamp, Transaction};
use secrecy::SecretString;
use serde_json::{Map, Value, json};
use url::Url;
use uuid::Uuid;

/// What became of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestOutcome {
    /// The test.
    pub name: String,
    /// What is not as expected; nothing, if it passed.
    pub problems: Vec<String>,
}

/// Runs all tests of a profile.
#[must_use]
pub fn run(dialect: &dyn Dialect, profile: &Profile) -> Vec<TestOutcome> {
    let outcome = |test: &ProfileTest| TestOutcome {
        name: test.name.clone(),
        problems: compare(&test.expect, read(dialect, profile, test)),
    };
    profile.tests.iter().map(outcome).collect()
}

type Entries = Vec<Map<String, Value>>;

fn read(dialect: &dyn Dialect, profile: &Profile, test: &ProfileTest) -> Result<Entries, BankError> {
    let (status, headers) = (test.status, test.headers.clone());
    let response = BankResponse { status, headers, body: test.given.clone().into() };
    entries(dialect, profile, test.operation, &response)
}

/// The entries that the dialect reads in an answer.
pub(crate) fn entries(
    dialect: &dyn Dialect,
    profile: &Profile,
    operation: MapTarget,
    response: &BankResponse,
) -> Result<Entries, BankError> {
    let Some(accounts) = dialect.accounts() else { return Ok(Vec::new()) };
    let token = SecretString::from("token");
    let cx = CallContext {
        profile,
        request_id: Uuid::nil(),
        now: Timestamp::UNIX_EPOCH,
        psu: None,
        psu_id: None,
        access_token: Some(&token),
        bank_consent_id: Some("consent"),
    };
    Ok(match operation {
        MapTarget::Accounts => accounts.accounts_read(&cx, response)?.items.iter().map(account).collect(),
        MapTarget::Balances => accounts.balances_read(&cx, response)?.iter().map(balance).collect(),
        MapTarget::Transactions => {
            // What was asked says at some standards which page is next; a profile that
            // cannot be asked can still be read.
            let asked = accounts.transactions(&cx, "account", &TransactionQuery::default());
            let asked = match asked {
                Ok(asked) => asked,
                Err(_) => BankRequest::get(nowhere(profile)?),
            };
            accounts.transactions_read(&cx, &asked, response)?.items.iter().map(transaction).collect()
        }
    })
}

fn nowhere(profile: &Profile) -> Result<Url, BankError> {
    Url::parse("https://bank.invalid/").map_err(|_| BankError::profile(&profile.id, "accounts_api"))
}

fn compare(expected: &Expected, read: Result<Entries, BankError>) -> Vec<String> {
    match (expected, read) {
        (Expected::Error(kind), Err(error)) if error.kind == *kind => Vec::new(),
        (_, Err(error)) => vec![error.to_string()],
        (Expected::Error(kind), Ok(entries)) => {
            vec![format!("{} entries were read instead of the error {kind}", entries.len())]
        }
        (Expected::Entries(expected), Ok(entries)) if expected.len() != entries.len() => {
            vec![format!("{} entries were read instead of {}", entries.len(), expected.len())]
        }
        (Expected::Entries(expected), Ok(entries)) => {
            let pairs = expected.iter().zip(&entries).enumerate();
            pairs.flat_map(|(index, (expected, entry))| differences(index, expected, entry)).collect()
        }
    }
}

fn differences(index: usize, expected: &Map<String, Value>, entry: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    for (field, wanted) in expected {
        let Some(value) = entry.get(field) else {
            found.push(format!("[{index}].{field} is no field"));
            continue;
        };
        let absent = value.is_null() && wanted.as_str() == Some("");
        if !absent && value != wanted {
            found.push(format!("[{index}].{field} is {value} instead of {wanted}"));
        }
    }
    found
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => Map::new(),
    }
}

fn account(account: &Account) -> Map<String, Value> {
    members(json!({
        "resource_id": account.resource_id,
        "identifications": account.identifications.iter().map(identification).collect::<Vec<_>>(),
        "currency": account.currency.map(|currency| currency.code()),
        "display_name": account.display_name,
        "product": account.product,
        "holders": account.holders,
        "cash_account_type": account.cash_account_type,
        "bic": account.bic,
    }))
}

fn balance(balance: &Balance) -> Map<String, Value> {
    members(json!({
        "type": balance.kind.code(),
        "amount": balance.amount.amount_text(),
        "currency": balance.amount.currency().code(),
        "direction": balance.direction.code(),
        "credit_line_included": balance.credit_line_included,
        "reference_date": balance.reference_date.map(|day| day.to_string()),
        "last_change_at": balance.last_change_at.map(|at| at.to_string()),
    }))
}

fn transaction(entry: &Transaction) -> Map<String, Value> {
    members(json!({
        "bank_transaction_id": entry.bank_transaction_id,
        "entry_reference": entry.entry_reference,
        "end_to_end_id": entry.end_to_end_id,
        "mandate_id": entry.mandate_id,
        "status": entry.status.code(),
        "amount": entry.amount.amount_text(),
        "currency": entry.amount.currency().code(),
        "direction": entry.direction.code(),
        "booking_date": entry.booking_date.map(|day| day.to_string()),
        "value_date": entry.value_date.map(|day| day.to_string()),
        "booked_at": entry.booked_at.map(|at| at.to_string()),
        "creditor_name": entry.creditor_name,
        "creditor_account": entry.creditor_account.as_ref().map(identification),
        "debtor_name": entry.debtor_name,
        "debtor_account": entry.debtor_account.as_ref().map(identification),
        "remittance": entry.remittance,
        "references": entry.references,
        "bank_transaction_code": entry.bank_transaction_code,
        "proprietary_code": entry.proprietary_code,
        "merchant_category_code": entry.merchant_category_code,
    }))
}

fn identification(account: &AccountIdentification) -> String {
    match account {
        AccountIdentification::Iban(iban) => iban.as_str().to_owned(),
        AccountIdentification::SortCode(account) => account.joined(),
        AccountIdentification::Bban(text) | AccountIdentification::MaskedPan(text) => text.clone(),
        AccountIdentification::Other { identification, .. } => identification.clone(),
    }
}

#[cfg(test)]
mod quirks;
#[cfg(test)]
mod tests;
