//! Account information (STET 1.4 section 4.3 and 4.4).

use connect::{
    AccountInformation, BankError, BankErrorKind, BankRequest, BankResponse, CallContext,
    ConsentByAuthorization, ConsentInquiry, ConsentOrder, ConsentRevocation, Consents, Effect, ExplicitStart,
    LodgedConsent, MapTarget, NextPage, Page, TransactionQuery,
};
use domain::{Account, AccountIdentification, AccountStatus, AccountUsage, Balance, Pii, Transaction};
use http::Method;
use jiff::ToSpan;
use serde_json::{Value, json};

use super::{AISP, AISP_AND_HISTORY, Stet, failure, request, success};
use crate::berlin_group::{balance, iban_or_other};
use crate::mapped::{Mapped, Rules, booking_status, direction};
use crate::node::Node;

/// A member that no entry has.
const UNTOLD: &str = "";

impl ConsentByAuthorization for Stet {
    fn begin(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<LodgedConsent, BankError> {
        cx.profile.accounts_api()?;
        let today = cx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let old = order.transactions_from.is_some_and(|from| from < today.saturating_sub(90.days()));
        let scope = if old { AISP_AND_HISTORY } else { AISP };
        Ok(LodgedConsent::by_authorization(cx, scope))
    }
}

/// `PUT /consents` replaces what the PSU gave before; nothing is left of an empty one.
impl ConsentRevocation for Stet {
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        let nothing = json!({ "balances": [], "transactions": [], "trustedBeneficiaries": false, "psuIdentity": false });
        let url = cx.profile.accounts_api()?.join(&["consents"]);
        request(cx, Method::PUT, url, Effect::Write, Some(&nothing))
    }

    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        if response.status.is_success() {
            return Ok(());
        }
        let error = failure(cx, response, Effect::Write);
        let ended = matches!(error.kind, BankErrorKind::TokenInvalid | BankErrorKind::ConsentRevoked);
        if ended { Ok(()) } else { Err(error) }
    }
}

impl AccountInformation for Stet {
    fn consents(&self) -> Consents<'_> {
        Consents::Authorized(self)
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
        let url = cx.profile.accounts_api()?.join(&["accounts"]);
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn accounts_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Page<Account>, BankError> {
        let rules = Rules::of(cx.profile);
        page(cx, response, "accounts", |node| account(&rules, node))
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
        Ok(page(cx, response, "balances", |node| balance(&rules, node))?.items)
    }

    fn transactions(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        query: &TransactionQuery,
    ) -> Result<BankRequest, BankError> {
        let mut url = cx.profile.accounts_api()?.join(&["accounts", resource_id, "transactions"]);
        for (name, day) in [("dateFrom", query.from), ("dateTo", query.to)] {
            if let Some(day) = day {
                url.query_pairs_mut().append_pair(name, &day.to_string());
            }
        }
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn transactions_read(
        &self,
        cx: &CallContext<'_>,
        _asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<Transaction>, BankError> {
        let rules = Rules::of(cx.profile);
        page(cx, response, "transactions", |node| transaction(&rules, node))
    }

    fn next_page(&self, cx: &CallContext<'_>, link: &NextPage) -> Result<BankRequest, BankError> {
        request(cx, Method::GET, link.url().clone(), Effect::Read, None)
    }
}

/// A HAL resource that is a list. No content is an empty one.
pub(super) fn page<T>(
    cx: &CallContext<'_>,
    response: &BankResponse,
    name: &str,
    read: impl Fn(&Node<'_>) -> Result<T, BankError>,
) -> Result<Page<T>, BankError> {
    let body = success(cx, response, Effect::Read)?.unwrap_or_else(|| json!({ name: [] }).into());
    let root = Node::root(&cx.profile.id, &body);
    let items = root.get(name).required_items()?.iter().map(read).collect::<Result<_, _>>()?;
    let links = root.get("_links");
    let next = links.get("next");
    let href = next.get("href");
    let next = match href.text()? {
        Some(link) => {
            Some(NextPage::of(cx.profile, &cx.profile.accounts_api()?.url, &link, &href.pointer())?)
        }
        None => None,
    };
    Ok(Page { items, next })
}

/// `accountId`: an IBAN, or another identification with its scheme. A card
/// number in clear is never kept.
pub(super) fn identification(node: &Node<'_>) -> Result<Option<AccountIdentification>, BankError> {
    if let Some(iban) = node.get("iban").text()? {
        return Ok(Some(iban_or_other(iban)));
    }
    let other = node.get("other");
    let Some(text) = other.get("identification").text()? else { return Ok(None) };
    Ok(match other.get("schemeName").text()?.as_deref() {
        Some("BBAN") => Some(AccountIdentification::Bban(text)),
        Some("CPAN" | "TPAN") if text.bytes().all(|b| b.is_ascii_digit()) => None,
        Some("CPAN" | "TPAN") => Some(AccountIdentification::MaskedPan(text)),
        scheme => Some(AccountIdentification::Other {
            identification: text,
            scheme_name: scheme.unwrap_or_default().to_owned(),
        }),
    })
}

fn account(rules: &Rules<'_>, node: &Node<'_>) -> Result<Account, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Accounts, node)?;
    let id = node.get("accountId");
    let usage = match node.get("usage").text()?.as_deref() {
        Some("PRIV") => AccountUsage::Private,
        Some("ORGA") => AccountUsage::Organisation,
        Some(_) | None => AccountUsage::Unknown,
    };
    let balances =
        node.get("balances").items()?.iter().map(|node| balance(rules, node)).collect::<Result<_, _>>()?;
    let currency = mapped.read("currency", node.get("currency"), |node| node.currency())?;
    Ok(Account {
        resource_id: mapped.read("resource_id", node.get("resourceId"), |node| node.required_id())?,
        identifications: identification(&id)?.into_iter().collect(),
        currency: currency.or(id.get("currency").currency()?),
        display_name: mapped.text("display_name", node.get("name"))?.map(Pii::from),
        product: mapped.text("product", node.get("product"))?,
        holders: mapped
            .ruled("holders", &node.get(UNTOLD), |node| node.texts("name"))?
            .unwrap_or_default()
            .into_iter()
            .map(Pii::from)
            .collect(),
        cash_account_type: mapped.text("cash_account_type", node.get("cashAccountType"))?,
        usage,
        status: AccountStatus::Unknown,
        bic: mapped.text("bic", node.get("bicFi"))?,
        balances,
    })
}

fn transaction(rules: &Rules<'_>, node: &Node<'_>) -> Result<Transaction, BankError> {
    let mapped = Mapped::new(rules, MapTarget::Transactions, node)?;
    let place = node.get("transactionAmount");
    let unit = mapped.read("currency", place.get("currency"), |node| node.required_currency())?;
    let (amount, _) = mapped.read("amount", place.get("amount"), |node| node.signed_amount(unit))?;
    let code = node.get("bankTransactionCode");
    let parts = [code.get("domain").text()?, code.get("family").text()?, code.get("subFamily").text()?];
    let iso = parts.into_iter().collect::<Option<Vec<_>>>().map(|parts| parts.join("-"));
    let told = node.get("remittanceInformation");
    let (remittance, references) = remittance(&told)?;
    let id = |field, name| mapped.read(field, node.get(name), |node| node.identifier());
    let date = |field, name| mapped.read(field, node.get(name), |node| node.date());
    // What the standard has no place for, a rule may find in another.
    let untold = node.get(UNTOLD);
    let text = |field| Ok(mapped.ruled(field, &untold, |node| node.text())?.flatten());
    let party = |field| Ok(mapped.ruled(field, &untold, |node| node.text())?.flatten().map(iban_or_other));
    Ok(Transaction {
        bank_transaction_id: id("bank_transaction_id", "resourceId")?,
        entry_reference: id("entry_reference", "entryReference")?,
        end_to_end_id: id("end_to_end_id", "endToEndId")?.map(Pii::from),
        mandate_id: text("mandate_id")?,
        status: mapped.read("status", node.get("status"), booking_status)?,
        amount,
        direction: mapped.read("direction", node.get("creditDebitIndicator"), direction)?,
        booking_date: date("booking_date", "bookingDate")?,
        value_date: date("value_date", "valueDate")?,
        booked_at: mapped.ruled("booked_at", &untold, |node| node.instant())?.flatten(),
        creditor_name: text("creditor_name")?.map(Pii::from),
        creditor_account: party("creditor_account")?,
        debtor_name: text("debtor_name")?.map(Pii::from),
        debtor_account: party("debtor_account")?,
        remittance: mapped
            .ruled("remittance", &told, |node| node.texts("reference"))?
            .unwrap_or(remittance)
            .into_iter()
            .map(Pii::from)
            .collect(),
        references: mapped
            .ruled("references", &told, |node| node.texts("reference"))?
            .unwrap_or(references)
            .into_iter()
            .map(Pii::from)
            .collect(),
        bank_transaction_code: mapped
            .ruled("bank_transaction_code", &code, |node| node.text())?
            .unwrap_or(iso),
        proprietary_code: mapped.text("proprietary_code", code.get("code"))?,
        merchant_category_code: text("merchant_category_code")?,
        balance_after: None,
    })
}

/// A list of texts up to 1.4.0, then `unstructured` texts and `structured` references.
fn remittance(node: &Node<'_>) -> Result<(Vec<String>, Vec<String>), BankError> {
    let texts = |list: &Node<'_>| -> Result<Vec<String>, BankError> {
        let texts = list.items()?.iter().map(Node::text).collect::<Result<Vec<_>, _>>()?;
        Ok(texts.into_iter().flatten().collect())
    };
    if !node.is_object() {
        return Ok((texts(node)?, Vec::new()));
    }
    let mut references = Vec::new();
    for entry in node.get("structured").items()? {
        references.extend(entry.get("creditorReferenceInformation").get("reference").text()?);
    }
    Ok((texts(&node.get("unstructured"))?, references))
}

/// An account as `accountId` has it.
pub(super) fn written(cx: &CallContext<'_>, account: &AccountIdentification) -> Result<Value, BankError> {
    match account {
        AccountIdentification::Iban(iban) => Ok(json!({ "iban": iban.as_str() })),
        AccountIdentification::SortCode(_)
        | AccountIdentification::Bban(_)
        | AccountIdentification::MaskedPan(_)
        | AccountIdentification::Other { .. } => Err(cx.unsupported("account")),
    }
}
