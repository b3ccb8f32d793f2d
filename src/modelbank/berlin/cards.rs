//! Card accounts, in their own words. What the customer owes is positive
//! (`debitAccounting`).

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::accounts::{Kind, money};
use crate::engine::{Account, Movement};

pub(super) static CARDS: Kind = Kind {
    cards: true,
    place: "card-accounts",
    list: "cardAccounts",
    one: "cardAccount",
    entries: "cardTransactions",
    entry: transaction,
};

fn transaction(account: &Account, movement: &Movement) -> Value {
    let day = movement.at.to_zoned(TimeZone::UTC).date().to_string();
    let mut view = json!({
        "cardTransactionId": movement.id,
        "transactionDate": day,
        "transactionAmount": money(-movement.amount, account.currency),
        "maskedPAN": account.masked_pan(),
        "transactionDetails": movement.remittance,
        "invoiced": false,
    });
    if let Some(view) = view.as_object_mut() {
        if !movement.pending {
            view.insert("bookingDate".into(), day.into());
        }
        if let Some(category) = movement.merchant_category {
            view.insert("merchantCategoryCode".into(), category.into());
        }
    }
    view
}
