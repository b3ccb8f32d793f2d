//! Who the PSU is, and whom she pays without authentication (STET 1.4 section 4.3).
//! Both belong to the PSU: every account of hers has the same.

use connect::{AccountResources, BankError, BankRequest, BankResponse, CallContext, Effect, Page, Profile};
use domain::{AccountResource, Beneficiary, Party, Payee, Pii, ResourceEntry};
use http::Method;

use super::accounts::{identification, page};
use super::{Stet, request, success};
use crate::node::Node;

/// The path of a resource; none where the standard, or the bank, has none.
fn path(profile: &Profile, resource: AccountResource) -> Option<&'static str> {
    let path = match resource {
        AccountResource::Parties => "end-user-identity",
        AccountResource::Beneficiaries => "trusted-beneficiaries",
        AccountResource::StandingOrders
        | AccountResource::DirectDebits
        | AccountResource::ScheduledPayments
        | AccountResource::Statements => return None,
    };
    profile.serves(&format!("/{path}")).then_some(path)
}

impl AccountResources for Stet {
    fn offered(&self, profile: &Profile) -> Vec<AccountResource> {
        let all = AccountResource::ALL.iter().copied();
        all.filter(|resource| path(profile, *resource).is_some()).collect()
    }

    fn resource(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        _resource_id: &str,
    ) -> Result<BankRequest, BankError> {
        let path = path(cx.profile, resource).ok_or_else(|| cx.unsupported(resource.as_str()))?;
        let url = cx.profile.accounts_api()?.join(&[path]);
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn resource_read(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        _asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<ResourceEntry>, BankError> {
        match resource {
            AccountResource::Parties => {
                let told = success(cx, response, Effect::Read)?;
                let name = told.map(|body| Node::root(&cx.profile.id, &body).get("connectedPsu").text());
                let party = |name| ResourceEntry::Party(Party { name: Some(name), ..Party::default() });
                let items = name.transpose()?.flatten().map(Pii::from).map(party).into_iter().collect();
                Ok(Page { items, next: None })
            }
            AccountResource::Beneficiaries => page(cx, response, "beneficiaries", beneficiary),
            AccountResource::StandingOrders
            | AccountResource::DirectDebits
            | AccountResource::ScheduledPayments
            | AccountResource::Statements => Err(cx.unsupported(resource.as_str())),
        }
    }
}

/// A list of the trusted: one that says nothing of itself is one.
fn beneficiary(node: &Node<'_>) -> Result<ResourceEntry, BankError> {
    Ok(ResourceEntry::Beneficiary(Beneficiary {
        bank_id: node.get("id").text()?,
        payee: Payee {
            name: node.get("creditor").get("name").text()?.map(Pii::from),
            account: identification(&node.get("creditorAccount"))?,
            bic: node.get("creditorAgent").get("bicFi").text()?,
        },
        reference: None,
        trusted: Some(node.get("isTrusted").boolean()?.unwrap_or(true)),
    }))
}
