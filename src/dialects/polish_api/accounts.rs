//! Consents and account information.

use connect::{
    AccountInformation, AccountResources, BankConsentStatus, BankError, BankErrorKind, BankRequest,
    BankResponse, CallContext, ConsentInquiry, ConsentLodging, ConsentOrder, ConsentRevocation, Consents,
    Effect, ExplicitStart, LodgedConsent, MapTarget, NextPage, Page, Profile, TransactionDetails,
    TransactionQuery, TransactionSelection,
};
use domain::{
    Account, AccountIdentification, AccountResource, AccountStatus, AccountUsage, Balance, BalanceType,
    BookingStatus, CreditDebit, Permission, Pii, Transaction,
};
use serde_json::{Map, Value, json};

use super::resources::SCHEDULED;
use super::{
    Inside, PolishApi, address, authorize, authorized, failure, request, sealed, success, time_limit,
    unpacked,
};
use crate::mapped::{Mapped, Rules, booking_status, direction};
use crate::node::Node;

/// A member that no entry has.
const UNTOLD: &str = "";

/// Booked transactions.
const DONE: &str = "getTransactionsDone";
/// Transactions on their way.
const PENDING: &str = "getTransactionsPending";
/// One transaction.
const DETAIL: &str = "getTransactionDetail";
/// Most days of history that a consent may name.
const MOST_DAYS: i64 = 1_460;

impl ConsentLodging for PolishApi {
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError> {
        let details = (time_limit(cx, order.valid_until), privileges(cx, order)?);
        authorize(cx, cx.profile.accounts_api()?, "ais", details, &order.redirects)
    }

    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError> {
        let (bank_id, sca) = authorized(cx, response)?;
        let days = cx.profile.max_consent_days;
        let today = cx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let valid_until = days.map(|days| today.saturating_add(jiff::Span::new().days(i64::from(days))));
        let status = BankConsentStatus::AwaitingAuthorisation;
        Ok(LodgedConsent { bank_id, sca, valid_until, status })
    }
}

impl ConsentRevocation for PolishApi {
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        let id = cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ConsentMissing))?;
        let url = address(cx.profile.accounts_api()?, "accounts", "deleteConsent");
        // The one request without a header in its body.
        sealed(cx, url, Effect::Write, Inside::Server, &json!({ "consentId": id }))
    }

    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        if response.status.is_success() {
            return Ok(());
        }
        let error = failure(cx, &unpacked(cx, response)?, Effect::Write);
        let ended = matches!(error.kind, BankErrorKind::ResourceUnknown | BankErrorKind::ConsentRevoked);
        if ended { Ok(()) } else { Err(error) }
    }
}

impl AccountInformation for PolishApi {
    fn consents(&self) -> Consents<'_> {
        Consents::Lodged(self)
    }

    fn inquiry(&self) -> Option<&dyn ConsentInquiry> {
        None
    }

    fn revocation(&self) -> Option<&dyn ConsentRevocation> {
        Some(self)
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

    fn accounts(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        ask(cx, "getAccounts", Map::new())
    }

    fn accounts_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Page<Account>, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let list = root.get("accounts");
        let rules = Rules::of(cx.profile);
        let items = list.items()?.iter().map(|node| account(&rules, node)).collect::<Result<_, _>>()?;
        let next = match root.get("pageInfo").get("nextPage").text()? {
            Some(page) => {
                let url = address(cx.profile.accounts_api()?, "accounts", "getAccounts");
                Some(NextPage::asked_in_body(url, json!({ "pageId": page }).to_string()))
            }
            None => None,
        };
        Ok(Page { items, next })
    }

    fn balances(&self, cx: &CallContext<'_>, resource_id: &str) -> Result<BankRequest, BankError> {
        ask(cx, "getAccount", of_account(resource_id))
    }

    fn balances_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Vec<Balance>, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let account = root.get("account");
        let balance = |name: &str, kind: BalanceType| {
            let (amount, number) = account.signed_money(name, "currency")?;
            Ok(Balance {
                kind,
                amount,
                direction: CreditDebit::of(number),
                credit_line_included: None,
                reference_date: None,
                last_change_at: None,
            })
        };
        Ok(vec![
            balance("bookingBalance", BalanceType::InterimBooked)?,
            balance("availableBalance", BalanceType::InterimAvailable)?,
        ])
    }

    fn transactions(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        query: &TransactionQuery,
    ) -> Result<BankRequest, BankError> {
        let mut members = of_account(resource_id);
        for (name, day) in [("transactionDateFrom", query.from), ("transactionDateTo", query.to)] {
            if let Some(day) = day {
                members.insert(name.into(), json!(day.to_string()));
            }
        }
        let operation = match query.status {
            TransactionSelection::Both | TransactionSelection::Booked => DONE,
            TransactionSelection::Pending => PENDING,
        };
        ask(cx, operation, members)
    }

    /// Booked and pending entries are two lists: the second follows the last
    /// page of the first.
    fn transactions_read(
        &self,
        cx: &CallContext<'_>,
        asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<Transaction>, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let done = asked.url.path().ends_with(DONE);
        let status = if done { BookingStatus::Booked } else { BookingStatus::Pending };
        let (list, rules) = (root.get("transactions"), Rules::of(cx.profile));
        let items =
            list.items()?.iter().map(|entry| transaction(&rules, entry, status)).collect::<Result<_, _>>()?;
        let next = match further(cx, asked, &root)? {
            None if done => {
                let url = address(cx.profile.accounts_api()?, "accounts", PENDING);
                Some(NextPage::asked_in_body(url, Value::Object(own_members(cx, asked)?).to_string()))
            }
            next => next,
        };
        Ok(Page { items, next })
    }

    fn details(&self) -> Option<&dyn TransactionDetails> {
        Some(self)
    }

    fn next_page(&self, cx: &CallContext<'_>, link: &NextPage) -> Result<BankRequest, BankError> {
        let members = asked_members(cx, link.asks().unwrap_or_default().as_bytes())?;
        request(cx, link.url().clone(), Effect::Read, Inside::AccountData, members)
    }
}

impl TransactionDetails for PolishApi {
    fn offered(&self, _: &Profile) -> bool {
        true
    }

    fn detail(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        listed: &Transaction,
    ) -> Option<Result<BankRequest, BankError>> {
        let mut members = of_account(resource_id);
        members.insert("itemId".into(), json!(listed.bank_transaction_id.as_deref()?));
        if let Some(at) = listed.booked_at {
            members.insert("bookingDate".into(), json!(at.to_string()));
        }
        Some(ask(cx, DETAIL, members))
    }

    fn detail_read(
        &self,
        cx: &CallContext<'_>,
        listed: &Transaction,
        response: &BankResponse,
    ) -> Result<Transaction, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let told = Node::root(&cx.profile.id, &body);
        transaction(&Rules::of(cx.profile), &told.get("baseInfo"), listed.status)
    }
}

pub(super) fn ask(
    cx: &CallContext<'_>,
    operation: &str,
    members: Map<String, Value>,
) -> Result<BankRequest, BankError> {
    let url = address(cx.profile.accounts_api()?, "accounts", operation);
    request(cx, url, Effect::Read, Inside::AccountData, members)
}

/// What a request of ours asked; nothing, where none was made.
fn asked_members(cx: &CallContext<'_>, body: &[u8]) -> Result<Map<String, Value>, BankError> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_slice(body).map_err(|_| cx.error(BankErrorKind::Internal).at("body"))
}

/// What a request asked beside its header and its page.
fn own_members(cx: &CallContext<'_>, asked: &BankRequest) -> Result<Map<String, Value>, BankError> {
    let mut members = asked_members(cx, asked.body.as_deref().unwrap_or_default())?;
    members.remove("requestHeader");
    members.remove("pageId");
    Ok(members)
}

/// The page after this answer, of the same list.
pub(super) fn further(
    cx: &CallContext<'_>,
    asked: &BankRequest,
    root: &Node<'_>,
) -> Result<Option<NextPage>, BankError> {
    let Some(page) = root.get("pageInfo").get("nextPage").text()? else { return Ok(None) };
    let mut members = own_members(cx, asked)?;
    members.insert("pageId".into(), json!(page));
    Ok(Some(NextPage::asked_in_body(asked.url.clone(), Value::Object(members).to_string())))
}

pub(super) fn of_account(number: &str) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("accountNumber".into(), json!(number));
    members
}

/// What the consent allows: of the accounts named, else of those the PSU chooses.
fn privileges(cx: &CallContext<'_>, order: &ConsentOrder) -> Result<Value, BankError> {
    let uses = if order.recurring { "multiple" } else { "single" };
    let simple = json!({ "scopeUsageLimit": uses });
    let today = cx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let days = match order.transactions_from {
        Some(from) => today.since(from).map_or(1, |span| i64::from(span.get_days()).saturating_add(1)),
        None => i64::from(cx.profile.max_history_days),
    };
    let history = json!({ "scopeUsageLimit": uses, "maxAllowedHistoryLong": days.clamp(1, MOST_DAYS) });
    let mut list = Map::new();
    if order.permissions.contains(&Permission::ReadScheduled)
        && AccountResources::offered(&PolishApi, cx.profile).contains(&AccountResource::ScheduledPayments)
    {
        list.insert(format!("ais:{SCHEDULED}"), history.clone());
    }
    list.insert("ais-accounts:getAccounts".into(), simple.clone());
    list.insert("ais:getAccount".into(), simple);
    let reads_transactions = |permission: &Permission| {
        matches!(permission, Permission::ReadTransactionsBasic | Permission::ReadTransactionsDetail)
    };
    if order.permissions.iter().any(reads_transactions) {
        list.insert(format!("ais:{DONE}"), history.clone());
        list.insert(format!("ais:{PENDING}"), history.clone());
    }
    if order.permissions.contains(&Permission::ReadTransactionsDetail) {
        list.insert(format!("ais:{DETAIL}"), history);
    }
    if order.accounts.is_empty() {
        return Ok(json!([list]));
    }
    let named = order.accounts.iter().map(|account| {
        let mut list = list.clone();
        list.insert("accountNumber".into(), json!(written(cx, account)?));
        Ok(Value::Object(list))
    });
    named.collect::<Result<Vec<_>, BankError>>().map(Value::Array)
}

/// An account as the standard writes it.
pub(super) fn written(cx: &CallContext<'_>, account: &AccountIdentification) -> Result<String, BankError> {
    match account {
        AccountIdentification::Iban(iban) => Ok(iban.as_str().to_owned()),
        AccountIdentification::Bban(number) => Ok(number.clone()),
        AccountIdentification::SortCode(_)
        | AccountIdentification::MaskedPan(_)
        | AccountIdentification::Other { .. } => Err(cx.unsupported("account")),
    }
}

/// An account number: an IBAN, or its 26 digits without the country (NRB).
fn identified(text: &str) -> AccountIdentification {
    let number: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    let national = number.len() == 26 && number.bytes().all(|b| b.is_ascii_digit());
    let iban = if national { format!("PL{number}") } else { number.clone() };
    match iban.parse() {
        Ok(iban) => AccountIdentification::Iban(iban),
        Err(_) => AccountIdentification::Other { identification: number, scheme_name: "NRB".into() },
    }
}

fn account(rules: &Rules<'_>, node: &Node<'_>) -> Result<Account, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Accounts, node)?;
    let number = node.get("accountNumber").required_id()?;
    let kind = node.get("accountType");
    let code = kind.get("code").text()?.filter(|code| code.len() == 4);
    let untold = node.get(UNTOLD);
    let named = mapped.ruled("resource_id", &node.get("accountNumber"), |node| node.required_id())?;
    Ok(Account {
        identifications: vec![identified(&number)],
        resource_id: named.unwrap_or(number),
        currency: mapped.ruled("currency", &untold, |node| node.currency())?.flatten(),
        display_name: mapped.text("display_name", node.get("accountTypeName"))?.map(Pii::from),
        product: mapped.text("product", node.get("accountTypeName"))?,
        holders: mapped
            .ruled("holders", &untold, |node| node.texts("name"))?
            .unwrap_or_default()
            .into_iter()
            .map(Pii::from)
            .collect(),
        cash_account_type: mapped.ruled("cash_account_type", &kind, |node| node.text())?.unwrap_or(code),
        usage: AccountUsage::Unknown,
        status: AccountStatus::Unknown,
        bic: mapped.ruled("bic", &untold, |node| node.text())?.flatten(),
        balances: Vec::new(),
    })
}

/// `CREDIT` or `DEBIT`, or as a rule says it.
fn category(node: &Node<'_>) -> Result<CreditDebit, BankError> {
    match &*node.required_word()? {
        "CREDIT" => Ok(CreditDebit::Credit),
        "DEBIT" => Ok(CreditDebit::Debit),
        _ => direction(node),
    }
}

/// Name and account of who sends or is paid.
pub(super) fn party(node: &Node<'_>) -> Result<(Option<String>, Option<AccountIdentification>), BankError> {
    let number = node.get("accountNumber").text()?;
    let name = lines(node)?.into_iter().next();
    Ok((name, number.as_deref().map(identified)))
}

/// `nameAddress`: the name, then the address.
pub(super) fn lines(node: &Node<'_>) -> Result<Vec<String>, BankError> {
    node.get("nameAddress").get("value").texts("value")
}

fn transaction(rules: &Rules<'_>, node: &Node<'_>, status: BookingStatus) -> Result<Transaction, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Transactions, node)?;
    let unit = mapped.read("currency", node.get("currency"), |node| node.required_currency())?;
    let (amount, _) = mapped.read("amount", node.get("amount"), |node| node.signed_amount(unit))?;
    let after = if node.get("postTransactionBalance").exists() {
        let (money, number) = node.signed_money("postTransactionBalance", "currency")?;
        Some((money, CreditDebit::of(number)))
    } else {
        None
    };
    let ((debtor_name, debtor_account), (creditor_name, creditor_account)) =
        (party(&node.get("sender"))?, party(&node.get("recipient"))?);
    let booked = || node.get("bookingDate");
    // What the standard has no place for, a rule may find in another.
    let untold = node.get(UNTOLD);
    let text = |field| Ok(mapped.ruled(field, &untold, |node| node.text())?.flatten());
    let name = |field, told| Ok(mapped.ruled(field, &untold, |node| node.text())?.unwrap_or(told));
    let number = |field, told| {
        let by_rule = mapped.ruled(field, &untold, |node| node.text())?;
        Ok(by_rule.map_or(told, |number| number.as_deref().map(identified)))
    };
    Ok(Transaction {
        bank_transaction_id: mapped.text("bank_transaction_id", node.get("itemId"))?,
        entry_reference: text("entry_reference")?,
        end_to_end_id: text("end_to_end_id")?.map(Pii::from),
        mandate_id: text("mandate_id")?,
        status: mapped.ruled("status", &untold, booking_status)?.unwrap_or(status),
        amount,
        direction: mapped.read("direction", node.get("transactionCategory"), category)?,
        booking_date: mapped.read("booking_date", booked(), |node| node.date())?,
        value_date: mapped.read("value_date", node.get("tradeDate"), |node| node.date())?,
        booked_at: mapped.read("booked_at", booked(), |node| node.instant())?,
        creditor_name: name("creditor_name", creditor_name)?.map(Pii::from),
        creditor_account: number("creditor_account", creditor_account)?,
        debtor_name: name("debtor_name", debtor_name)?.map(Pii::from),
        debtor_account: number("debtor_account", debtor_account)?,
        remittance: mapped
            .read("remittance", node.get("description"), |node| node.texts("value"))?
            .into_iter()
            .map(Pii::from)
            .collect(),
        references: mapped
            .ruled("references", &untold, |node| node.texts("value"))?
            .unwrap_or_default()
            .into_iter()
            .map(Pii::from)
            .collect(),
        bank_transaction_code: text("bank_transaction_code")?,
        proprietary_code: mapped.text("proprietary_code", node.get("transactionType"))?,
        merchant_category_code: mapped.text("merchant_category_code", node.get("mcc"))?,
        balance_after: after,
    })
}
