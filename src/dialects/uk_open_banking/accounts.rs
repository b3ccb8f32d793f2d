//! Account access consents and account information.

use connect::{
    AccountInformation, BankConsentStatus, BankError, BankErrorKind, BankRequest, BankResponse, CallContext,
    ConsentInquiry, ConsentLodging, ConsentOrder, ConsentRevocation, Consents, Effect, ExplicitStart,
    LodgedConsent, NextPage, Page, ScaStart, TransactionQuery,
};
use domain::{
    Account, AccountStatus, AccountUsage, Balance, BalanceType, BookingStatus, CreditDebit, Permission,
    Transaction,
};
use http::Method;
use jiff::ToSpan;
use serde_json::{Map, json};
use url::Url;

use super::{UkOpenBanking, after, consent_status, failure, identification, request, success};
use crate::node::Node;

impl ConsentLodging for UkOpenBanking {
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError> {
        let mut data = Map::new();
        data.insert("Permissions".into(), json!(permissions(cx, order)));
        if let Some(until) = valid_until(cx, order) {
            data.insert("ExpirationDateTime".into(), json!(format!("{until}T23:59:59+00:00")));
        }
        if let Some(from) = order.transactions_from {
            data.insert("TransactionFromDateTime".into(), json!(format!("{from}T00:00:00+00:00")));
        }
        let body = json!({ "Data": data, "Risk": {} });
        let url = cx.profile.accounts_api()?.join(&["account-access-consents"]);
        request(cx, Method::POST, url, Effect::Write, Some(&body))
    }

    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError> {
        let body = success(cx, response, Effect::Write)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let read = || {
            let bank_id = data.get("ConsentId").required_id()?;
            let sca = ScaStart::OAuth {
                scope: "openid accounts".into(),
                intent_id: Some(bank_id.clone()),
                metadata: None,
            };
            let status = consent_status(&data.get("Status"))?;
            Ok(LodgedConsent { bank_id, sca, valid_until: data.get("ExpirationDateTime").date()?, status })
        };
        read().map_err(|error| after(Effect::Write, error))
    }
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
        if response.status.is_success() {
            return Ok(());
        }
        let error = failure(&cx.profile.id, response, Effect::Write);
        let ended = matches!(error.kind, BankErrorKind::ResourceUnknown | BankErrorKind::ConsentMissing);
        if ended { Ok(()) } else { Err(error) }
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
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let list = data.get("Account");
        let items = required(&data, &list)?.iter().map(account).collect::<Result<_, _>>()?;
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
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        let list = data.get("Balance");
        required(&data, &list)?.iter().map(balance).collect()
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
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let data = root.get("Data");
        if !data.is_object() {
            return Err(data.malformed());
        }
        // The list is optional in the standard: no entries, no member.
        let list = data.get("Transaction");
        let items = list.items()?.iter().map(transaction).collect::<Result<_, _>>()?;
        Ok(Page { items, next: next(cx, &root)? })
    }

    fn next_page(&self, cx: &CallContext<'_>, link: &NextPage) -> Result<BankRequest, BankError> {
        request(cx, Method::GET, link.url().clone(), Effect::Read, None)
    }
}

/// An empty list may be left out of `Data`, but `Data` itself never.
fn required<'n>(data: &Node<'_>, list: &'n Node<'n>) -> Result<Vec<Node<'n>>, BankError> {
    if data.is_object() { list.items() } else { Err(data.malformed()) }
}

fn consent_url(cx: &CallContext<'_>) -> Result<Url, BankError> {
    let id = cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ConsentMissing))?;
    Ok(cx.profile.accounts_api()?.join(&["account-access-consents", id]))
}

fn next(cx: &CallContext<'_>, root: &Node<'_>) -> Result<Option<NextPage>, BankError> {
    let links = root.get("Links");
    let next = links.get("Next");
    let Some(link) = next.text()? else { return Ok(None) };
    let base = &cx.profile.accounts_api()?.url;
    NextPage::of(cx.profile, base, &link, &next.pointer()).map(Some)
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
fn account(node: &Node<'_>) -> Result<Account, BankError> {
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
    let nickname = node.get("Nickname").text()?;
    let description = node.get("Description").text()?;
    Ok(Account {
        resource_id: node.get("AccountId").required_id()?,
        identifications,
        currency: node.get("Currency").currency()?,
        display_name: nickname.or_else(|| description.clone()),
        product: description,
        holders,
        cash_account_type: code.or_else(|| subtype.map(str::to_owned)),
        usage,
        status,
        bic,
        balances: Vec::new(),
    })
}

fn direction(node: &Node<'_>) -> Result<CreditDebit, BankError> {
    match node.required_text()?.as_str() {
        "Credit" | "CRDT" => Ok(CreditDebit::Credit),
        "Debit" | "DBIT" => Ok(CreditDebit::Debit),
        _ => Err(node.malformed()),
    }
}

/// Amounts of the standard have no sign; the indicator beside them has.
fn amount(node: &Node<'_>) -> Result<domain::Money, BankError> {
    let (money, number) = node.signed_money("Amount", "Currency")?;
    if number.is_sign_negative() && !number.is_zero() {
        return Err(node.get("Amount").malformed());
    }
    Ok(money)
}

fn balance(node: &Node<'_>) -> Result<Balance, BankError> {
    let mut credit_line_included = None;
    for line in node.get("CreditLine").items()? {
        let included = line.get("Included").boolean()?.unwrap_or(false);
        credit_line_included = Some(credit_line_included.unwrap_or(false) || included);
    }
    let at = node.get("DateTime");
    Ok(Balance {
        kind: balance_type(&node.get("Type").required_text()?),
        amount: amount(&node.get("Amount"))?,
        direction: direction(&node.get("CreditDebitIndicator"))?,
        credit_line_included,
        reference_date: at.date()?,
        last_change_at: at.instant()?,
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

fn transaction(node: &Node<'_>) -> Result<Transaction, BankError> {
    let status = node.get("Status");
    let status = match status.required_text()?.as_str() {
        "Booked" | "BOOK" => BookingStatus::Booked,
        "Pending" | "PDNG" => BookingStatus::Pending,
        "INFO" | "FUTR" => BookingStatus::Information,
        "Rejected" | "RJCT" => BookingStatus::Rejected,
        _ => return Err(status.malformed()),
    };
    let (creditor, debtor) = (node.get("CreditorAccount"), node.get("DebtorAccount"));
    let merchant = node.get("MerchantDetails");
    let after = node.get("Balance");
    let balance_after = if after.exists() {
        Some((amount(&after.get("Amount"))?, direction(&after.get("CreditDebitIndicator"))?))
    } else {
        None
    };
    let code = node.get("BankTransactionCode");
    let bank_transaction_code = match (code.get("Code").text()?, code.get("SubCode").text()?) {
        (Some(code), Some(sub)) => Some(format!("{code}-{sub}")),
        (code, _) => code,
    };
    let booked = node.get("BookingDateTime");
    let creditor_name = creditor.get("Name").text()?;
    Ok(Transaction {
        bank_transaction_id: node.get("TransactionId").text()?,
        entry_reference: node.get("TransactionReference").text()?,
        end_to_end_id: None,
        mandate_id: None,
        status,
        amount: amount(&node.get("Amount"))?,
        direction: direction(&node.get("CreditDebitIndicator"))?,
        booking_date: booked.date()?,
        value_date: node.get("ValueDateTime").date()?,
        booked_at: booked.instant()?,
        creditor_name: creditor_name.or(merchant.get("MerchantName").text()?),
        creditor_account: identification(&creditor)?,
        debtor_name: debtor.get("Name").text()?,
        debtor_account: identification(&debtor)?,
        remittance: node.get("TransactionInformation").text()?.into_iter().collect(),
        references: Vec::new(),
        bank_transaction_code,
        proprietary_code: node.get("ProprietaryBankTransactionCode").get("Code").text()?,
        merchant_category_code: merchant.get("MerchantCategoryCode").text()?,
        balance_after,
    })
}
