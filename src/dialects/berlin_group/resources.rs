//! What the standard tells beside balances and transactions: holders (from the
//! account), trusted beneficiaries, and standing orders (as entries of the
//! transaction list that are for information).

use connect::{AccountResources, BankError, BankRequest, BankResponse, CallContext, Effect, Page, Profile};
use domain::{
    AccountResource, Beneficiary, Frequency, Occurrence, OrderStatus, Party, Payee, Pii, ResourceEntry,
    StandingOrder,
};
use http::Method;

use super::cards;
use super::sca::next_of;
use super::{BerlinGroup, account, identifications, request, success, with_consent};
use crate::mapped::Rules;
use crate::node::Node;

impl AccountResources for BerlinGroup {
    fn offered(&self, profile: &Profile) -> Vec<AccountResource> {
        let mut offered = vec![AccountResource::Parties];
        if profile.serves("/trusted-beneficiaries") {
            offered.push(AccountResource::Beneficiaries);
        }
        if profile.serves("/accounts/{id}/transactions?bookingStatus=information") {
            offered.push(AccountResource::StandingOrders);
        }
        offered
    }

    fn resource(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        resource_id: &str,
    ) -> Result<BankRequest, BankError> {
        let api = cx.profile.accounts_api()?;
        // Of a card account the standard tells the holder only.
        let [place, id] = cards::path_of(resource_id);
        let offered = self.offered(cx.profile).contains(&resource)
            && (resource == AccountResource::Parties || !cards::is_card(resource_id));
        let url = match resource {
            AccountResource::Parties if offered => api.join(&[place, id]),
            AccountResource::Beneficiaries if offered => {
                let mut url = api.join(&["trusted-beneficiaries"]);
                url.query_pairs_mut().append_pair("accountId", resource_id);
                url
            }
            AccountResource::StandingOrders if offered => {
                let mut url = api.join(&["accounts", resource_id, "transactions"]);
                url.query_pairs_mut().append_pair("bookingStatus", "information");
                url
            }
            AccountResource::Parties
            | AccountResource::Beneficiaries
            | AccountResource::StandingOrders
            | AccountResource::DirectDebits
            | AccountResource::ScheduledPayments
            | AccountResource::Statements => {
                return Err(cx.unsupported(resource.as_str()));
            }
        };
        with_consent(cx, request(cx, Method::GET, url, Effect::Read, None)?)
    }

    fn resource_read(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        _asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<ResourceEntry>, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        match resource {
            AccountResource::Parties => {
                let card = root.get("cardAccount");
                let details = if card.exists() { card } else { root.get("account") };
                let holders = account(&Rules::of(cx.profile), &details)?.holders;
                let items = holders
                    .into_iter()
                    .map(|name| ResourceEntry::Party(Party { name: Some(name), ..Party::default() }));
                Ok(Page { items: items.collect(), next: None })
            }
            AccountResource::Beneficiaries => {
                let list = root.get("trustedBeneficiaries");
                let items = list.required_items()?.iter().map(beneficiary).collect::<Result<_, _>>()?;
                Ok(Page { items, next: next_of(cx.profile, &root)? })
            }
            AccountResource::StandingOrders => {
                let report = root.get("transactions");
                let list = report.get("information");
                let items = list.items()?.iter().map(standing_order).collect::<Result<_, _>>()?;
                Ok(Page { items, next: next_of(cx.profile, &report)? })
            }
            AccountResource::DirectDebits
            | AccountResource::ScheduledPayments
            | AccountResource::Statements => Err(cx.unsupported(resource.as_str())),
        }
    }
}

fn beneficiary(node: &Node<'_>) -> Result<ResourceEntry, BankError> {
    Ok(ResourceEntry::Beneficiary(Beneficiary {
        bank_id: node.get("trustedBeneficiaryId").text()?,
        payee: payee(node)?,
        reference: node.get("creditorAlias").text()?.map(Pii::from),
        trusted: Some(true),
    }))
}

fn payee(node: &Node<'_>) -> Result<Payee, BankError> {
    Ok(Payee {
        name: node.get("creditorName").text()?.map(Pii::from),
        account: identifications(&node.get("creditorAccount"))?.into_iter().next(),
        bic: node.get("creditorAgent").text()?,
    })
}

fn standing_order(node: &Node<'_>) -> Result<ResourceEntry, BankError> {
    let (amount, _) = node.get("transactionAmount").signed_money("amount", "currency")?;
    let additional = node.get("additionalInformationStructured");
    let details = additional.get("standingOrderDetails");
    let on = |date| Occurrence { date: Some(date), amount: Some(amount) };
    let day = details.get("dayOfExecution").text()?;
    let bank_id = node.get("entryReference").text()?;
    Ok(ResourceEntry::StandingOrder(StandingOrder {
        bank_id: if bank_id.is_some() { bank_id } else { node.get("transactionId").text()? },
        status: OrderStatus::Active,
        frequency: frequency(details.get("frequency").text()?.as_deref()),
        day: day.and_then(|day| day.parse().ok()),
        first: details.get("startDate").date()?.map(on),
        next: node.get("valueDate").date()?.map(on).or(Some(Occurrence { date: None, amount: Some(amount) })),
        previous: None,
        last: details.get("endDate").date()?.map(on),
        remaining: None,
        payee: payee(node)?,
        reference: node.get("remittanceInformationUnstructured").text()?.map(Pii::from),
    }))
}

/// EventFrequency7Code of ISO 20022.
fn frequency(word: Option<&str>) -> Frequency {
    match word {
        Some("Daily") => Frequency::Daily,
        Some("Weekly") => Frequency::Weekly,
        Some("EveryTwoWeeks") => Frequency::Fortnightly,
        Some("Monthly" | "MonthlyVariable") => Frequency::Monthly,
        Some("EveryTwoMonths") => Frequency::EveryTwoMonths,
        Some("Quarterly") => Frequency::Quarterly,
        Some("SemiAnnual") => Frequency::SemiAnnual,
        Some("Annual") => Frequency::Annual,
        Some(_) | None => Frequency::Other,
    }
}
