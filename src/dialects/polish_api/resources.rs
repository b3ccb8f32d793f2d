//! What the standard tells beside balances and transactions: the holder (from the
//! account), and payments to come.

use connect::{AccountResources, BankError, BankRequest, BankResponse, CallContext, Effect, Page, Profile};
use domain::{AccountResource, Party, Payee, Pii, PostalAddress, ResourceEntry, ScheduledPayment};

use super::accounts::{ask, further, lines, of_account, party};
use super::{PolishApi, success};
use crate::node::Node;

/// Payments to come.
pub(super) const SCHEDULED: &str = "getTransactionsScheduled";

/// The operation that tells of a resource; none where the standard, or the bank, has none.
fn operation(profile: &Profile, resource: AccountResource) -> Option<&'static str> {
    let operation = match resource {
        AccountResource::Parties => "getAccount",
        AccountResource::ScheduledPayments => SCHEDULED,
        AccountResource::Beneficiaries
        | AccountResource::StandingOrders
        | AccountResource::DirectDebits
        | AccountResource::Statements => return None,
    };
    profile.serves(&format!("/{operation}")).then_some(operation)
}

impl AccountResources for PolishApi {
    fn offered(&self, profile: &Profile) -> Vec<AccountResource> {
        let all = AccountResource::ALL.iter().copied();
        all.filter(|resource| operation(profile, *resource).is_some()).collect()
    }

    fn resource(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        resource_id: &str,
    ) -> Result<BankRequest, BankError> {
        let operation = operation(cx.profile, resource).ok_or_else(|| cx.unsupported(resource.as_str()))?;
        ask(cx, operation, of_account(resource_id))
    }

    fn resource_read(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<ResourceEntry>, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        match resource {
            AccountResource::Parties => {
                let holder = holder(&root.get("account"))?;
                Ok(Page { items: vec![ResourceEntry::Party(holder)], next: None })
            }
            AccountResource::ScheduledPayments => {
                let list = root.get("transactions");
                // A credit to come is no order of the account.
                let mut items = Vec::new();
                for entry in list.items()? {
                    if entry.get("transactionCategory").required_text()? == "DEBIT" {
                        items.push(ResourceEntry::ScheduledPayment(scheduled(&entry)?));
                    }
                }
                Ok(Page { items, next: further(cx, asked, &root)? })
            }
            AccountResource::Beneficiaries
            | AccountResource::StandingOrders
            | AccountResource::DirectDebits
            | AccountResource::Statements => Err(cx.unsupported(resource.as_str())),
        }
    }
}

/// `nameAddress` of the account: its holder.
fn holder(account: &Node<'_>) -> Result<Party, BankError> {
    let mut told = lines(account)?.into_iter();
    let name = told.next();
    let lines: Vec<_> = told.collect();
    let addresses = if lines.is_empty() {
        Vec::new()
    } else {
        vec![PostalAddress { lines: lines.into_iter().map(Pii::from).collect(), ..PostalAddress::default() }]
    };
    Ok(Party { name: name.map(Pii::from), addresses, ..Party::default() })
}

/// `TransactionScheduledInfo`; its `tradeDate` is the day on which it is made.
fn scheduled(node: &Node<'_>) -> Result<ScheduledPayment, BankError> {
    let day = node.get("tradeDate");
    let recipient = node.get("recipient");
    let (name, account) = party(&recipient)?;
    Ok(ScheduledPayment {
        bank_id: node.get("itemId").identifier()?,
        date: day.date()?.ok_or_else(|| day.malformed())?,
        arrives: false,
        amount: node.signed_money("amount", "currency")?.0,
        payee: Payee {
            name: name.map(Pii::from),
            account,
            bic: recipient.get("bank").get("bicOrSwift").text()?,
        },
        reference: node.get("description").text()?.map(Pii::from),
    })
}
