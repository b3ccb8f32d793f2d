//! Account access consents and account information.

use connect::{
    AccountInformation, BankConsentStatus, BankError, BankErrorKind, BankRequest, BankResponse, CallContext,
    ConsentInquiry, ConsentLodging, ConsentOrder, ConsentRevocation, Consents, Effect, ExplicitStart,
    LodgedConsent, MapTarget, NextPage, Page, ScaStart, TransactionQuery,
};
use domain::{
    Account, AccountIdentification, AccountStatus, AccountUsage, Balance, BalanceType, Currency, Money,
    Permission, Pii, Transaction,
};
use http::Method;
use jiff::ToSpan;
use serde_json::{Map, json};
use url::Url;

use super::{UkOpenBanking, after, consent_status, date_or_none, ended, identification, request, success};
use crate::mapped::{Mapped, Rules, booking_status, direction};
use crate::node::Node;

impl ConsentLodging for UkOpenBanking {
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError> {
        let mut data = Map::new();
        data.insert("Permissions".into(), json!(permissions(cx, order)));
        if let Some(until) = valid_until(cx, order) {
            data.insert("ExpirationDateTime".into(), json!(end_of_day(until)));
        }
        if let Some(from) = order.transactions_from {
            data.insert("TransactionFromDateTime".into(), json!(format!("{from}T00:00:00+00:00")));
        }
        let body = json!({ "Data": data, "Risk": {} });
        let url = cx.profile.accounts_api()?.join(&["account-access-consents"]);
        request(cx, Method::POST, url, Effect::Write, Some(&body))
    }

    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError> {
        lodged_for("openid accounts", cx, response)
    }

    fn begun(&self, cx: &CallContext<'_>) -> Option<ScaStart> {
        cx.bank_consent_id.map(|id| authorised_by("openid accounts", id))
    }
}

fn authorised_by(scope: &str, consent: &str) -> ScaStart {
    ScaStart::OAuth { scope: scope.to_owned(), intent_id: Some(consent.to_owned()), metadata: None }
}

impl ConsentInquiry for UkOpenBanking {
    fn status(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        request(cx, Method::GET, consent_url(cx)?, Effect::Read, None)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        consent_status(&root.get("Data").get("Status"))
    }
}

impl ConsentRevocation for UkOpenBanking {
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        request(cx, Method::DELETE, consent_url(cx)?, Effect::Write, None)
    }

    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        ended(cx, response)
    }
}

impl AccountInformation for UkOpenBanking {
    fn consents(&self) -> Consents<'_> {
        Consents::Lodged(self)
    }

    fn inquiry(&self) -> Option<&dyn ConsentInquiry> {
        Some(self)
    }

    fn revocation(&self) -> Option<&dyn ConsentRevocation> {
        Some(self)
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

    fn accounts(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        let url = cx.profile.accounts_api()?.join(&["accounts"]);
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn accounts_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Page<Account>, BankError> {
        let rules = Rules::of(cx.profile);
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let list = data.get("Account");
        let items =
            required(&data, &list)?.iter().map(|node| account(&rules, node)).collect::<Result<_, _>>()?;
        Ok(Page { items, next: next(cx, &root)? })
    }

    fn balances(&self, cx: &CallContext<'_>, resource_id: &str) -> Result<BankRequest, BankError> {
        let url = cx.profile.accounts_api()?.join(&["accounts", resource_id, "balances"]);
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn balances_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Vec<Balance>, BankError> {
        let rules = Rules::of(cx.profile);
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let list = data.get("Balance");
        required(&data, &list)?.iter().map(|node| balance(&rules, node)).collect()
    }

    fn transactions(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        query: &TransactionQuery,
    ) -> Result<BankRequest, BankError> {
        let mut url = cx.profile.accounts_api()?.join(&["accounts", resource_id, "transactions"]);
        if let Some(from) = query.from {
            url.query_pairs_mut().append_pair("fromBookingDateTime", &format!("{from}T00:00:00"));
        }
        if let Some(to) = query.to {
            url.query_pairs_mut().append_pair("toBookingDateTime", &format!("{to}T23:59:59"));
        }
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn transactions_read(
        &self,
        cx: &CallContext<'_>,
        _asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<Transaction>, BankError> {
        if nothing(cx, response) {
            return Ok(Page { items: Vec::new(), next: None });
        }
        let rules = Rules::of(cx.profile);
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        if !data.is_object() {
            return Err(data.malformed());
        }
        // The list is optional in the standard: no entries, no member.
        let list = data.get("Transaction");
        let entries = list.items()?;
        let mut items = Vec::with_capacity(entries.len());
        for entry in &entries {
            items.push(transaction(&rules, entry)?);
        }
        Ok(Page { items, next: next(cx, &root)? })
    }

    fn next_page(&self, cx: &CallContext<'_>, link: &NextPage) -> Result<BankRequest, BankError> {
        request(cx, Method::GET, link.url().clone(), Effect::Read, None)
    }
}

/// A success without a body, where the bank means no entries by it.
fn nothing(cx: &CallContext<'_>, response: &BankResponse) -> bool {
    cx.profile.uk_open_banking.empty_answer_is_none
        && response.status.is_success()
        && response.body.trim_ascii().is_empty()
}

/// An empty list may be left out of `Data`, but `Data` itself never.
pub(super) fn required<'n>(data: &Node<'_>, list: &'n Node<'n>) -> Result<Vec<Node<'n>>, BankError> {
    if data.is_object() { list.items() } else { Err(data.malformed()) }
}

fn consent_url(cx: &CallContext<'_>) -> Result<Url, BankError> {
    let id = cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ConsentMissing))?;
    Ok(cx.profile.accounts_api()?.join(&["account-access-consents", id]))
}

pub(super) fn next(cx: &CallContext<'_>, root: &Node<'_>) -> Result<Option<NextPage>, BankError> {
    let links = root.get("Links");
    let next = links.get("Next");
    let Some(link) = next.text()? else { return Ok(None) };
    let base = &cx.profile.accounts_api()?.url;
    NextPage::of(cx.profile, base, &link, &next.pointer()).map(Some)
}

/// Reads the answer to a lodged consent, which the PSU authorises with this scope.
pub(super) fn lodged_for(
    scope: &str,
    cx: &CallContext<'_>,
    response: &BankResponse,
) -> Result<LodgedConsent, BankError> {
    let body = success(cx, response, Effect::Write)?;
    let root = Node::root(&cx.profile.id, &body);
    let data = root.get("Data");
    let read = || {
        let bank_id = data.get("ConsentId").required_id()?;
        let sca = authorised_by(scope, &bank_id);
        let status = consent_status(&data.get("Status"))?;
        Ok(LodgedConsent { bank_id, sca, valid_until: data.get("ExpirationDateTime").date()?, status })
    };
    read().map_err(|error| after(Effect::Write, error))
}

/// The last second of a day.
pub(super) fn end_of_day(day: domain::Date) -> String {
    format!("{day}T23:59:59+00:00")
}

/// The day asked for, or the latest the bank allows; none is without end.
fn valid_until(cx: &CallContext<'_>, order: &ConsentOrder) -> Option<domain::Date> {
    let today = cx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let latest = cx.profile.max_consent_days.map(|days| today.saturating_add(i32::from(days).days()));
    match (order.valid_until, latest) {
        (Some(wanted), Some(latest)) => Some(wanted.min(latest)),
        (wanted, latest) => wanted.or(latest),
    }
}

/// The permissions of the standard, without those the bank refuses.
fn permissions(cx: &CallContext<'_>, order: &ConsentOrder) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = Vec::new();
    for permission in &order.permissions {
        let wanted: &[&'static str] = match permission {
            Permission::ReadAccountsBasic => &["ReadAccountsBasic"],
            Permission::ReadAccountsDetail => &["ReadAccountsDetail"],
            Permission::ReadBalances => &["ReadBalances"],
            Permission::ReadParty => &["ReadParty"],
            Permission::ReadBeneficiaries => &["ReadBeneficiariesDetail"],
            Permission::ReadStandingOrders => &["ReadStandingOrdersDetail"],
            Permission::ReadDirectDebits => &["ReadDirectDebits"],
            Permission::ReadScheduled => &["ReadScheduledPaymentsDetail"],
            Permission::ReadStatements => &["ReadStatementsDetail"],
            Permission::ReadTransactionsBasic => {
                &["ReadTransactionsBasic", "ReadTransactionsCredits", "ReadTransactionsDebits"]
            }
            Permission::ReadTransactionsDetail => {
                &["ReadTransactionsDetail", "ReadTransactionsCredits", "ReadTransactionsDebits"]
            }
        };
        for name in wanted {
            let refused = cx.profile.refused_permissions.iter().any(|refused| refused == name);
            if !refused && !names.contains(name) {
                names.push(name);
            }
        }
    }
    names
}

/// `OBAccount6`, in the members of 3.1 and of 4.0.
fn account(rules: &Rules<'_>, node: &Node<'_>) -> Result<Account, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Accounts, node)?;
    let (mut identifications, mut holders) = (Vec::new(), Vec::new());
    for entry in node.get("Account").items()? {
        identifications.extend(identification(&entry)?);
        let name = entry.get("Name").text()?.filter(|name| !holders.contains(name));
        holders.extend(name);
    }
    let usage = match node.get("AccountCategory").text()?.or(node.get("AccountType").text()?).as_deref() {
        Some("Personal") => AccountUsage::Private,
        Some("Business") => AccountUsage::Organisation,
        Some(_) | None => AccountUsage::Unknown,
    };
    let status = match node.get("Status").text()?.as_deref() {
        Some("Enabled") => AccountStatus::Enabled,
        Some("Disabled") => AccountStatus::Blocked,
        Some("Deleted") => AccountStatus::Closed,
        Some(_) | None => AccountStatus::Unknown,
    };
    let code = node.get("AccountTypeCode").text()?;
    let subtype = node.get("AccountSubType").text()?;
    let subtype = subtype.as_deref().and_then(|name| match name {
        "CurrentAccount" => Some("CACC"),
        "Savings" => Some("SVGS"),
        "CreditCard" | "ChargeCard" | "PrePaidCard" => Some("CARD"),
        "Loan" | "Mortgage" => Some("LOAN"),
        _ => None,
    });
    let servicer = node.get("Servicer");
    let bic = if servicer.get("SchemeName").text()?.is_some_and(|scheme| scheme.ends_with("BICFI")) {
        servicer.get("Identification").text()?
    } else {
        None
    };
    let nickname = node.get("Nickname");
    let display = if nickname.text()?.is_some() { nickname } else { node.get("Description") };
    Ok(Account {
        resource_id: mapped.read("resource_id", node.get("AccountId"), |node| node.required_id())?,
        identifications,
        currency: mapped.read("currency", node.get("Currency"), |node| node.currency())?,
        display_name: mapped.text("display_name", display)?.map(Pii::from),
        product: mapped.text("product", node.get("Description"))?,
        holders: mapped
            .ruled("holders", &node.get("Account"), |node| node.texts("Name"))?
            .unwrap_or(holders)
            .into_iter()
            .map(Pii::from)
            .collect(),
        cash_account_type: mapped
            .ruled("cash_account_type", &node.get("AccountTypeCode"), |node| node.text())?
            .unwrap_or_else(|| code.or_else(|| subtype.map(str::to_owned))),
        usage,
        status,
        bic: mapped.ruled("bic", &servicer.get("Identification"), |node| node.text())?.unwrap_or(bic),
        balances: Vec::new(),
    })
}

/// Amounts of the standard have no sign; the indicator beside them has.
fn unsigned(amount: &Node<'_>, unit: Currency) -> Result<Money, BankError> {
    let (money, number) = amount.signed_amount(unit)?;
    if number.is_sign_negative() && !number.is_zero() { Err(amount.malformed()) } else { Ok(money) }
}

/// An amount that no rule touches.
pub(super) fn amount(node: &Node<'_>) -> Result<Money, BankError> {
    unsigned(&node.get("Amount"), node.get("Currency").required_currency()?)
}

fn mapped_amount(mapped: &Mapped<'_>, node: &Node<'_>) -> Result<Money, BankError> {
    let unit = mapped.read("currency", node.get("Currency"), |node| node.required_currency())?;
    mapped.read("amount", node.get("Amount"), |amount| unsigned(amount, unit))
}

fn balance(rules: &Rules<'_>, node: &Node<'_>) -> Result<Balance, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Balances, node)?;
    let mut line_included = None;
    for line in node.get("CreditLine").items()? {
        let included = line.get("Included").boolean()?.unwrap_or(false);
        line_included = Some(line_included.unwrap_or(false) || included);
    }
    let kind = mapped.read("type", node.get("Type"), |node| node.required_text())?;
    let told = mapped.ruled("credit_line_included", &node.get("CreditLine"), |node| node.boolean())?;
    Ok(Balance {
        kind: balance_type(&kind),
        amount: mapped_amount(&mapped, &node.get("Amount"))?,
        direction: mapped.read("direction", node.get("CreditDebitIndicator"), direction)?,
        credit_line_included: told.unwrap_or(line_included),
        reference_date: mapped.read("reference_date", node.get("DateTime"), |node| node.date())?,
        last_change_at: mapped.read("last_change_at", node.get("DateTime"), |node| node.instant())?,
    })
}

/// Words of 3.1, codes of 4.0.
fn balance_type(name: &str) -> BalanceType {
    match name {
        "ClosingBooked" | "CLBD" => BalanceType::ClosingBooked,
        "ClosingAvailable" | "CLAV" => BalanceType::ClosingAvailable,
        "InterimBooked" | "ITBD" => BalanceType::InterimBooked,
        "InterimAvailable" | "ITAV" => BalanceType::InterimAvailable,
        "OpeningBooked" | "OPBD" => BalanceType::OpeningBooked,
        "OpeningAvailable" | "OPAV" => BalanceType::OpeningAvailable,
        "Expected" | "XPCD" => BalanceType::Expected,
        "ForwardAvailable" | "FWAV" => BalanceType::ForwardAvailable,
        "PreviouslyClosedBooked" | "PRCD" => BalanceType::PreviouslyClosedBooked,
        "Information" | "INFO" => BalanceType::Information,
        _ => BalanceType::Other,
    }
}

fn transaction(rules: &Rules<'_>, node: &Node<'_>) -> Result<Transaction, BankError> {
    const STEP: &str = "aisp.transactions";
    let mapped = Mapped::new(rules, MapTarget::Transactions, node)?;
    let (creditor, debtor) = (node.get("CreditorAccount"), node.get("DebtorAccount"));
    let merchant = node.get("MerchantDetails");
    let after = node.get("Balance");
    let balance_after = if after.exists() {
        let money = after.get("Amount");
        let money = unsigned(&money.get("Amount"), money.get("Currency").required_currency()?)?;
        Some((money, direction(&after.get("CreditDebitIndicator"))?))
    } else {
        None
    };
    let code = node.get("BankTransactionCode");
    let bank_transaction_code = match (code.get("Code").text()?, code.get("SubCode").text()?) {
        (Some(code), Some(sub)) => Some(format!("{code}-{sub}")),
        (code, _) => code,
    };
    let payee = creditor.get("Name");
    let payee = if payee.text()?.is_some() { payee } else { merchant.get("MerchantName") };
    let id = |field, name| mapped.read(field, node.get(name), |node| node.identifier());
    let absent = || node.get("");
    let booked = || node.get("BookingDateTime");
    let on = |field, read| date_or_none(rules.profile(), STEP, field, read);
    Ok(Transaction {
        bank_transaction_id: id("bank_transaction_id", "TransactionId")?,
        entry_reference: id("entry_reference", "TransactionReference")?,
        end_to_end_id: mapped.ruled("end_to_end_id", &absent(), |node| node.text())?.flatten().map(Pii::from),
        mandate_id: mapped.ruled("mandate_id", &absent(), |node| node.text())?.flatten(),
        status: mapped.read("status", node.get("Status"), booking_status)?,
        amount: mapped_amount(&mapped, &node.get("Amount"))?,
        direction: mapped.read("direction", node.get("CreditDebitIndicator"), direction)?,
        booking_date: on("BookingDateTime", mapped.read("booking_date", booked(), |node| node.date()))?,
        value_date: on(
            "ValueDateTime",
            mapped.read("value_date", node.get("ValueDateTime"), |node| node.date()),
        )?,
        booked_at: date_or_none(
            rules.profile(),
            STEP,
            "BookingDateTime",
            mapped.read("booked_at", booked(), |node| node.instant()),
        )?,
        creditor_name: mapped.text("creditor_name", payee)?.map(Pii::from),
        creditor_account: mapped.read("creditor_account", creditor, counterparty)?,
        debtor_name: mapped.text("debtor_name", debtor.get("Name"))?.map(Pii::from),
        debtor_account: mapped.read("debtor_account", debtor, counterparty)?,
        remittance: mapped
            .read("remittance", node.get("TransactionInformation"), |node| node.texts("Name"))?
            .into_iter()
            .map(Pii::from)
            .collect(),
        references: mapped
            .ruled("references", &absent(), |node| node.texts("Name"))?
            .unwrap_or_default()
            .into_iter()
            .map(Pii::from)
            .collect(),
        bank_transaction_code: mapped
            .ruled("bank_transaction_code", &code, |node| node.text())?
            .unwrap_or(bank_transaction_code),
        proprietary_code: mapped
            .text("proprietary_code", node.get("ProprietaryBankTransactionCode").get("Code"))?,
        merchant_category_code: mapped
            .text("merchant_category_code", merchant.get("MerchantCategoryCode"))?,
        balance_after,
    })
}

/// An account that an entry names, or a rule by its IBAN.
fn counterparty(node: &Node<'_>) -> Result<Option<AccountIdentification>, BankError> {
    if node.is_object() {
        return identification(node);
    }
    Ok(node.text()?.map(crate::berlin_group::iban_or_other))
}
