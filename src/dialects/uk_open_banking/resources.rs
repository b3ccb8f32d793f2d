//! Parties, beneficiaries, standing orders, direct debits, scheduled payments
//! and statements, in the members of 3.1 and of 4.0.

use connect::{AccountResources, BankError, BankRequest, BankResponse, CallContext, Effect, Page, Profile};
use domain::{
    AccountResource, Beneficiary, Date, DirectDebit, Frequency, Occurrence, OrderStatus, Party, Payee, Pii,
    PostalAddress, ResourceEntry, ScheduledPayment, StandingOrder, Statement,
};
use http::Method;

use super::accounts::{amount, next, required};
use super::{UkOpenBanking, date_or_none, identification, request, success};
use crate::node::Node;

/// The path of a resource below an account, and the member its entries are in.
/// Some banks have the parties of an account only as one (`party`).
fn place(profile: &Profile, resource: AccountResource) -> Option<(&'static str, &'static str)> {
    let candidates: &[(&str, &str)] = match resource {
        AccountResource::Parties => &[("parties", "Party"), ("party", "Party")],
        AccountResource::Beneficiaries => &[("beneficiaries", "Beneficiary")],
        AccountResource::StandingOrders => &[("standing-orders", "StandingOrder")],
        AccountResource::DirectDebits => &[("direct-debits", "DirectDebit")],
        AccountResource::ScheduledPayments => &[("scheduled-payments", "ScheduledPayment")],
        AccountResource::Statements => &[("statements", "Statement")],
    };
    candidates.iter().copied().find(|(path, _)| profile.serves(&format!("/accounts/{{id}}/{path}")))
}

impl AccountResources for UkOpenBanking {
    fn offered(&self, profile: &Profile) -> Vec<AccountResource> {
        let all = AccountResource::ALL.iter().copied();
        all.filter(|resource| place(profile, *resource).is_some()).collect()
    }

    fn resource(
        &self,
        cx: &CallContext<'_>,
        resource: AccountResource,
        resource_id: &str,
    ) -> Result<BankRequest, BankError> {
        let (path, _) = place(cx.profile, resource).ok_or_else(|| cx.unsupported(resource.as_str()))?;
        let url = cx.profile.accounts_api()?.join(&["accounts", resource_id, path]);
        request(cx, Method::GET, url, Effect::Read, None)
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
        let data = root.get("Data");
        let (_, member) = place(cx.profile, resource).ok_or_else(|| cx.unsupported(resource.as_str()))?;
        let list = data.get(member);
        // `party` gives one, `parties` a list.
        if list.is_object() {
            return Ok(Page { items: vec![entry(cx.profile, &list, resource)?], next: None });
        }
        let items = required(&data, &list)?
            .iter()
            .map(|node| entry(cx.profile, node, resource))
            .collect::<Result<_, _>>()?;
        Ok(Page { items, next: next(cx, &root)? })
    }
}

fn entry(profile: &Profile, node: &Node<'_>, resource: AccountResource) -> Result<ResourceEntry, BankError> {
    Ok(match resource {
        AccountResource::Parties => ResourceEntry::Party(party(node)?),
        AccountResource::Beneficiaries => ResourceEntry::Beneficiary(Beneficiary {
            bank_id: node.get("BeneficiaryId").text()?,
            payee: payee(node)?,
            reference: node.get("Reference").text()?.map(Pii::from),
            trusted: node.get("BeneficiaryType").text()?.map(|kind| kind == "Trusted"),
        }),
        AccountResource::StandingOrders => ResourceEntry::StandingOrder(standing_order(node)?),
        AccountResource::DirectDebits => ResourceEntry::DirectDebit(direct_debit(profile, node)?),
        AccountResource::ScheduledPayments => {
            let at = node.get("ScheduledPaymentDateTime");
            ResourceEntry::ScheduledPayment(ScheduledPayment {
                bank_id: node.get("ScheduledPaymentId").text()?,
                date: at.date()?.ok_or_else(|| at.malformed())?,
                arrives: node.get("ScheduledType").text()?.as_deref() == Some("Arrival"),
                amount: amount(&node.get("InstructedAmount"))?,
                payee: payee(node)?,
                reference: node.get("Reference").text()?.map(Pii::from),
            })
        }
        AccountResource::Statements => ResourceEntry::Statement(Statement {
            bank_id: node.get("StatementId").text()?,
            reference: node.get("StatementReference").text()?,
            kind: node.get("Type").text()?,
            from: node.get("StartDateTime").date()?,
            to: node.get("EndDateTime").date()?,
            created_at: node.get("CreationDateTime").instant()?,
        }),
    })
}

fn party(node: &Node<'_>) -> Result<Party, BankError> {
    let mut phones = Vec::new();
    for name in ["Phone", "Mobile"] {
        let number = node.get(name).text()?.filter(|number| !phones.contains(number));
        phones.extend(number);
    }
    let addresses = node.get("Address").items()?.iter().map(address).collect::<Result<_, _>>()?;
    let role = node.get("PartyType").text()?;
    Ok(Party {
        bank_id: node.get("PartyId").text()?,
        name: node.get("Name").text()?.map(Pii::from),
        legal_name: node.get("FullLegalName").text()?.map(Pii::from),
        role: if role.is_some() { role } else { node.get("AccountRole").text()? },
        emails: node.get("EmailAddress").text()?.into_iter().map(Pii::from).collect(),
        phones: phones.into_iter().map(Pii::from).collect(),
        addresses,
    })
}

fn address(node: &Node<'_>) -> Result<PostalAddress, BankError> {
    let mut lines = Vec::new();
    for line in node.get("AddressLine").items()? {
        lines.extend(line.text()?);
    }
    Ok(PostalAddress {
        lines: lines.into_iter().map(Pii::from).collect(),
        street_name: node.get("StreetName").text()?.map(Pii::from),
        building_number: node.get("BuildingNumber").text()?.map(Pii::from),
        post_code: node.get("PostCode").text()?.map(Pii::from),
        town_name: node.get("TownName").text()?.map(Pii::from),
        country_sub_division: node.get("CountrySubDivision").text()?.map(Pii::from),
        country: node.get("Country").text()?.map(Pii::from),
    })
}

fn payee(node: &Node<'_>) -> Result<Payee, BankError> {
    let account = node.get("CreditorAccount");
    let agent = node.get("CreditorAgent");
    let scheme = agent.get("SchemeName").text()?;
    let bic = if scheme.is_some_and(|scheme| scheme.ends_with("BICFI")) {
        agent.get("Identification").text()?
    } else {
        None
    };
    let name = account.get("Name").text()?;
    Ok(Payee {
        name: if name.is_some() { name.map(Pii::from) } else { agent.get("Name").text()?.map(Pii::from) },
        account: identification(&account)?,
        bic,
    })
}

/// Words of 3.1, codes of 4.0.
fn status(node: &Node<'_>) -> Result<OrderStatus, BankError> {
    Ok(match node.text()?.as_deref() {
        Some("Active" | "ACTV") => OrderStatus::Active,
        Some("Inactive" | "CANC" | "EXPI" | "SUSP") => OrderStatus::Inactive,
        Some(_) | None => OrderStatus::Unknown,
    })
}

fn occurrence(date: Option<Date>, money: &Node<'_>) -> Result<Option<Occurrence>, BankError> {
    let amount = if money.exists() { Some(amount(money)?) } else { None };
    Ok((date.is_some() || amount.is_some()).then_some(Occurrence { date, amount }))
}

fn standing_order(node: &Node<'_>) -> Result<StandingOrder, BankError> {
    let mandate = node.get("MandateRelatedInformation");
    // 3.1 has these two at the order itself.
    let moved = |name: &'static str| -> Result<Option<Date>, BankError> {
        let date = mandate.get(name).date()?;
        if date.is_some() { Ok(date) } else { node.get(name).date() }
    };
    let (frequency, day) = frequency(node, &mandate)?;
    let lines = node.get("RemittanceInformation");
    let lines = lines.get("Unstructured");
    let first_line = lines.items()?.first().map(Node::text).transpose()?.flatten();
    let reference = node.get("Reference").text()?;
    let remaining = node.get("NumberOfPayments").text()?;
    let at = |name: &'static str| node.get(name).date();
    Ok(StandingOrder {
        bank_id: node.get("StandingOrderId").text()?,
        status: status(&node.get("StandingOrderStatusCode"))?,
        frequency,
        day,
        first: occurrence(moved("FirstPaymentDateTime")?, &node.get("FirstPaymentAmount"))?,
        next: occurrence(at("NextPaymentDateTime")?, &node.get("NextPaymentAmount"))?,
        previous: occurrence(at("LastPaymentDateTime")?, &node.get("LastPaymentAmount"))?,
        last: occurrence(moved("FinalPaymentDateTime")?, &node.get("FinalPaymentAmount"))?,
        remaining: remaining.and_then(|number| number.parse().ok()),
        payee: payee(node)?,
        reference: if reference.is_some() { reference.map(Pii::from) } else { first_line.map(Pii::from) },
    })
}

fn direct_debit(profile: &Profile, node: &Node<'_>) -> Result<DirectDebit, BankError> {
    const PREVIOUS: &str = "PreviousPaymentDateTime";
    let mandate = node.get("MandateRelatedInformation");
    let moved = mandate.get("MandateIdentification").text()?;
    Ok(DirectDebit {
        bank_id: node.get("DirectDebitId").text()?,
        mandate_id: if moved.is_some() { moved } else { node.get("MandateIdentification").text()? },
        status: status(&node.get("DirectDebitStatusCode"))?,
        creditor_name: node.get("Name").text()?.map(Pii::from),
        frequency: frequency(node, &mandate)?.0,
        previous: occurrence(
            date_or_none(profile, "aisp.direct_debits", PREVIOUS, node.get(PREVIOUS).date())?,
            &node.get("PreviousPaymentAmount"),
        )?,
    })
}

/// A code with a day (4.0), or a word such as `IntrvlMnthDay:01:05` (3.1):
/// every month on the fifth.
fn frequency(node: &Node<'_>, mandate: &Node<'_>) -> Result<(Frequency, Option<u8>), BankError> {
    let new = mandate.get("Frequency");
    let day = |text: &str| text.parse::<u8>().ok().filter(|day| (1..=31).contains(day));
    if new.exists() {
        let code = new.get("Type").text()?.unwrap_or_default();
        let point = new.get("PointInTime").text()?;
        return Ok((code_of(&code), point.as_deref().and_then(day)));
    }
    let Some(text) = node.get("Frequency").text()? else { return Ok((Frequency::Other, None)) };
    let mut parts = text.split(':');
    let (word, interval, on) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let frequency = match (word, interval) {
        ("EvryDay" | "EvryWorkgDay", _) => Frequency::Daily,
        ("IntrvlWkDay", Some("01" | "1")) => Frequency::Weekly,
        ("IntrvlWkDay", Some("02" | "2")) => Frequency::Fortnightly,
        ("WkInMnthDay", _) | ("IntrvlMnthDay", Some("01" | "1")) => Frequency::Monthly,
        ("IntrvlMnthDay", Some("02" | "2")) => Frequency::EveryTwoMonths,
        ("IntrvlMnthDay", Some("03" | "3")) | ("QtrDay", _) => Frequency::Quarterly,
        ("IntrvlMnthDay", Some("06" | "6")) => Frequency::SemiAnnual,
        ("IntrvlMnthDay", Some("12")) => Frequency::Annual,
        _ => code_of(&text),
    };
    let weekly_or_monthly = matches!(word, "IntrvlWkDay" | "IntrvlMnthDay" | "WkInMnthDay");
    Ok((frequency, on.filter(|_| weekly_or_monthly).and_then(day)))
}

/// ISO codes and the names that stand for them.
fn code_of(code: &str) -> Frequency {
    match code {
        "DAIL" | "Daily" => Frequency::Daily,
        "WEEK" | "Weekly" => Frequency::Weekly,
        "FRTN" | "TOWK" | "Fortnightly" => Frequency::Fortnightly,
        "MNTH" | "Monthly" => Frequency::Monthly,
        "TOMN" => Frequency::EveryTwoMonths,
        "QURT" | "QUTR" | "Quarterly" => Frequency::Quarterly,
        "MIAN" | "SEMI" | "HalfYearly" => Frequency::SemiAnnual,
        "YEAR" | "Annual" | "Yearly" => Frequency::Annual,
        _ => Frequency::Other,
    }
}
