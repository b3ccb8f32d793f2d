//! Parties, beneficiaries, standing orders, direct debits, scheduled payments
//! and statements.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use domain::Date;
use serde_json::{Value, json};

use super::accounts::{access, money, page};
use super::consents::permits;
use super::refusal::Refusal;
use crate::bank::Bank;
use crate::caller::Caller;
use crate::engine::Account;
use crate::engine::arrangements::{self, Monthly, Payee};

type Answer = Result<Json<Value>, Refusal>;

pub(super) async fn parties(State(bank): State<Arc<Bank>>, caller: Caller, Path(id): Path<String>) -> Answer {
    list(&bank, &caller, &id, ("parties", "Party"), &["ReadParty"], |account, _| {
        let owner = json!({
            "PartyId": format!("{}-{}", account.id, account.user),
            "PartyType": "Sole",
            "Name": account.owner,
            "FullLegalName": account.owner,
            "EmailAddress": format!("{}@example.com", account.user),
            "Phone": "+44-2079460123",
            "Address": [{
                "AddressType": "HOME",
                "StreetName": "Harbour Road",
                "BuildingNumber": "12",
                "PostCode": "AB1 2CD",
                "TownName": "Albion",
                "Country": "GB",
            }],
        });
        vec![owner]
    })
}

pub(super) async fn beneficiaries(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let permissions = ["ReadBeneficiariesBasic", "ReadBeneficiariesDetail"];
    list(&bank, &caller, &id, ("beneficiaries", "Beneficiary"), &permissions, |account, detail| {
        let view = |payee: &Payee| {
            let mut view = json!({
                "AccountId": account.id,
                "BeneficiaryId": payee.id,
                "BeneficiaryType": if payee.trusted { "Trusted" } else { "Ordinary" },
                "Reference": "Stored payee",
            });
            add(&mut view, detail, "CreditorAccount", creditor(payee.name, &payee.account));
            view
        };
        arrangements::payees(account).iter().map(view).collect()
    })
}

pub(super) async fn standing_orders(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let now = bank.now();
    let permissions = ["ReadStandingOrdersBasic", "ReadStandingOrdersDetail"];
    list(&bank, &caller, &id, ("standing-orders", "StandingOrder"), &permissions, |account, detail| {
        let view = |order: &Monthly| {
            let mut view = json!({
                "AccountId": account.id,
                "StandingOrderId": order.id,
                "StandingOrderStatusCode": "ACTV",
                "NextPaymentDateTime": at(order.next),
                "LastPaymentDateTime": at(order.previous),
                "NextPaymentAmount": money(order.amount, account.currency),
                "LastPaymentAmount": money(order.amount, account.currency),
                "MandateRelatedInformation": {
                    "FirstPaymentDateTime": "2024-01-01T00:00:00+00:00",
                    "Frequency": {"Type": "MNTH", "CountPerPeriod": 1, "PointInTime": format!("{:02}", order.day)},
                },
                "RemittanceInformation": {"Unstructured": ["Rent"]},
            });
            add(&mut view, detail, "CreditorAccount", creditor(order.name, &order.account));
            view
        };
        arrangements::standing_orders(account, now).iter().map(view).collect()
    })
}

pub(super) async fn direct_debits(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let now = bank.now();
    list(&bank, &caller, &id, ("direct-debits", "DirectDebit"), &["ReadDirectDebits"], |account, _| {
        let view = |debit: &Monthly| {
            json!({
                "AccountId": account.id,
                "DirectDebitId": debit.id,
                "DirectDebitStatusCode": "ACTV",
                "Name": debit.name,
                "MandateRelatedInformation": {
                    "MandateIdentification": format!("M-{}", debit.id),
                    "Frequency": {"Type": "MNTH", "CountPerPeriod": 1, "PointInTime": format!("{:02}", debit.day)},
                },
                "PreviousPaymentDateTime": at(debit.previous),
                "PreviousPaymentAmount": money(debit.amount, account.currency),
            })
        };
        arrangements::direct_debits(account, now).iter().map(view).collect()
    })
}

pub(super) async fn scheduled(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let now = bank.now();
    let permissions = ["ReadScheduledPaymentsBasic", "ReadScheduledPaymentsDetail"];
    list(&bank, &caller, &id, ("scheduled-payments", "ScheduledPayment"), &permissions, |account, detail| {
        let view = |payment: &arrangements::ToCome| {
            let mut view = json!({
                "AccountId": account.id,
                "ScheduledPaymentId": payment.id,
                "ScheduledPaymentDateTime": at(payment.on),
                "ScheduledType": "Execution",
                "Reference": "Theatre tickets",
                "InstructedAmount": money(payment.amount, account.currency),
            });
            let to = creditor(payment.payee.name, &payment.payee.account);
            add(&mut view, detail, "CreditorAccount", to);
            view
        };
        arrangements::to_come(account, now).iter().map(view).collect()
    })
}

pub(super) async fn statements(
    State(bank): State<Arc<Bank>>,
    caller: Caller,
    Path(id): Path<String>,
) -> Answer {
    let now = bank.now();
    let permissions = ["ReadStatementsBasic", "ReadStatementsDetail"];
    list(&bank, &caller, &id, ("statements", "Statement"), &permissions, |account, _| {
        let view = |month: &arrangements::Month| {
            json!({
                "AccountId": account.id,
                "StatementId": month.id,
                "StatementReference": month.number,
                "Type": "RegularPeriodic",
                "StartDateTime": at(month.first),
                "EndDateTime": at(month.last),
                "CreationDateTime": at(month.last),
            })
        };
        arrangements::months(account, now).iter().map(view).collect()
    })
}

/// One list of an account, if the consent has one of `permissions`; the last
/// of them is the one for everything.
fn list(
    bank: &Bank,
    caller: &Caller,
    id: &str,
    (path, member): (&str, &str),
    permissions: &[&str],
    entries: impl Fn(&Account, bool) -> Vec<Value>,
) -> Answer {
    let (consent, accounts) = access(bank, caller, Some(id), permissions)?;
    let detail = permissions.last().is_some_and(|detail| permits(&consent, detail));
    let views: Vec<Value> = accounts.iter().flat_map(|account| entries(account, detail)).collect();
    Ok(Json(page(bank, &format!("/accounts/{id}/{path}"), json!({ member: views }))))
}

fn add(view: &mut Value, wanted: bool, name: &str, value: Value) {
    if let (true, Some(view)) = (wanted, view.as_object_mut()) {
        view.insert(name.to_owned(), value);
    }
}

fn creditor(name: &str, account: &str) -> Value {
    json!({"SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": account, "Name": name})
}

fn at(date: Date) -> String {
    format!("{date}T00:00:00+00:00")
}
