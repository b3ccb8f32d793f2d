//! Consents and account information (XS2A 6).

use connect::{
    AccountInformation, ApiBase, BankConsentStatus, BankError, BankErrorKind, BankRequest, BankResponse,
    CallContext, ConsentInquiry, ConsentLodging, ConsentOrder, ConsentRevocation, Consents, Effect,
    ExplicitStart, LodgedConsent, NextPage, Page, Profile, RedirectUris, ScaStart, TransactionDetails,
    TransactionQuery, TransactionSelection,
};
use domain::{Account, Balance, Date, Transaction};
use http::Method;
use jiff::ToSpan;
use serde_json::json;
use url::Url;

use super::options::{access, booking_status, frequency, transaction_formats};
use super::reading::{Debits, balance_by};
use super::sca::next_of;
use super::transactions::transaction;
use super::{
    BerlinGroup, account, after, cards, failure, need_psu_id, request, sca_start, start_authorisation,
    success, transactions_of, with_consent, with_redirects,
};
use crate::mapped::Rules;
use crate::node::Node;

/// How XS2A writes "without end".
const NO_END: Date = Date::constant(9999, 12, 31);

impl ConsentLodging for BerlinGroup {
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError> {
        let recurring = order.recurring || cx.profile.berlin_group.recurring_only;
        let body = json!({
            "access": access(cx, order)?,
            "recurringIndicator": recurring,
            "validUntil": valid_until(cx, order).to_string(),
            "frequencyPerDay": if recurring { frequency(cx, order) } else { 1 },
            "combinedServiceIndicator": false,
        });
        need_psu_id(cx)?;
        let url = cx.profile.accounts_api()?.join(&["consents"]);
        let request = request(cx, Method::POST, url, Effect::Write, Some(&body))?;
        with_redirects(cx, request, &order.redirects)
    }

    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError> {
        lodged(cx, response, ("AIS", cx.profile.accounts_api()?, &["consents"]))
    }
}

/// Reads the answer to the lodging of a consent: the scope's prefix, and where consents
/// of its kind are.
pub(super) fn lodged(
    cx: &CallContext<'_>,
    response: &BankResponse,
    (scope, api, place): (&str, &ApiBase, &[&str]),
) -> Result<LodgedConsent, BankError> {
    let body = success(cx, response, Effect::Write)?;
    let root = Node::root(&cx.profile.id, &body);
    let read = || {
        let bank_id = root.get("consentId").required_id()?;
        let status = consent_status(&root.get("consentStatus"))?;
        let own = api.join(&[place, &[&bank_id, "authorisations"]].concat());
        let sca = sca_start(cx.profile, response, &root, format!("{scope}:{bank_id}"), &own)?;
        Ok(LodgedConsent { bank_id, sca, valid_until: root.get("validUntil").date()?, status })
    };
    read().map_err(|error| after(Effect::Write, error))
}

/// `POST …/{consentId}/authorisations`, of a consent whose scope begins with this.
pub(super) struct ConsentAuthorisation(pub(super) &'static str);

impl ExplicitStart for ConsentAuthorisation {
    fn authorise(
        &self,
        cx: &CallContext<'_>,
        link: &Url,
        redirects: &RedirectUris,
    ) -> Result<BankRequest, BankError> {
        start_authorisation(cx, link, redirects)
    }

    fn authorised(
        &self,
        cx: &CallContext<'_>,
        link: &Url,
        response: &BankResponse,
    ) -> Result<ScaStart, BankError> {
        let body = success(cx, response, Effect::Write)?;
        let root = Node::root(&cx.profile.id, &body);
        let scope = format!("{}:{}", self.0, consent_id(cx)?);
        sca_start(cx.profile, response, &root, scope, link).map_err(|error| after(Effect::Write, error))
    }
}

impl ConsentInquiry for BerlinGroup {
    fn status(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        let url = cx.profile.accounts_api()?.join(&["consents", consent_id(cx)?, "status"]);
        request(cx, Method::GET, url, Effect::Read, None)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError> {
        let body = success(cx, response, Effect::Read)?;
        consent_status(&Node::root(&cx.profile.id, &body).get("consentStatus"))
    }
}

impl ConsentRevocation for BerlinGroup {
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        let url = cx.profile.accounts_api()?.join(&["consents", consent_id(cx)?]);
        request(cx, Method::DELETE, url, Effect::Write, None)
    }

    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        if response.status.is_success() {
            return Ok(());
        }
        let error = failure(&cx.profile.id, response, Effect::Write);
        let ended = matches!(
            error.kind,
            BankErrorKind::ConsentMissing
                | BankErrorKind::ConsentExpired
                | BankErrorKind::ConsentRevoked
                | BankErrorKind::ResourceUnknown
        );
        if ended { Ok(()) } else { Err(error) }
    }
}

impl AccountInformation for BerlinGroup {
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
        Some(&ConsentAuthorisation("AIS"))
    }

    fn accounts(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        let url = cx.profile.accounts_api()?.join(&["accounts"]);
        with_consent(cx, request(cx, Method::GET, url, Effect::Read, None)?)
    }

    fn accounts_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Page<Account>, BankError> {
        let rules = Rules::of(cx.profile);
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let of_cards = root.get("cardAccounts").exists();
        let (name, read): (_, fn(&Rules<'_>, &Node<'_>) -> _) =
            if of_cards { ("cardAccounts", cards::account) } else { ("accounts", account) };
        let list = root.get(name);
        let items = list.required_items()?.iter().map(|node| read(&rules, node)).collect::<Result<_, _>>()?;
        let next = match next_of(cx.profile, &root)? {
            None if !of_cards => cards::list_of(cx.profile)?,
            next => next,
        };
        Ok(Page { items, next })
    }

    fn balances(&self, cx: &CallContext<'_>, resource_id: &str) -> Result<BankRequest, BankError> {
        let [place, id] = cards::path_of(resource_id);
        let url = cx.profile.accounts_api()?.join(&[place, id, "balances"]);
        with_consent(cx, request(cx, Method::GET, url, Effect::Read, None)?)
    }

    fn balances_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Vec<Balance>, BankError> {
        let rules = Rules::of(cx.profile);
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let (list, debits) = (root.get("balances"), Debits::of(&root)?);
        list.required_items()?.iter().map(|node| balance_by(&rules, node, debits)).collect()
    }

    fn transactions(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        query: &TransactionQuery,
    ) -> Result<BankRequest, BankError> {
        let [place, id] = cards::path_of(resource_id);
        let mut url = cx.profile.accounts_api()?.join(&[place, id, "transactions"]);
        let status = booking_status(cx, query.status)?;
        {
            let mut pairs = url.query_pairs_mut();
            pairs.append_pair("bookingStatus", status);
            // The standard wants a first day whenever booked entries are asked for.
            if query.status != TransactionSelection::Pending || query.from.is_some() {
                pairs.append_pair("dateFrom", &query.from.unwrap_or_else(|| first_day(cx)).to_string());
            }
            if let Some(to) = query.to {
                pairs.append_pair("dateTo", &to.to_string());
            }
        }
        let request = request(cx, Method::GET, url, Effect::Read, None)?;
        let formats = transaction_formats(cx);
        let request =
            request.header("accept", &formats).map_err(|name| cx.error(BankErrorKind::Internal).at(name))?;
        with_consent(cx, request)
    }

    fn transactions_read(
        &self,
        cx: &CallContext<'_>,
        _asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<Transaction>, BankError> {
        if !response.status.is_success() {
            return Err(failure(&cx.profile.id, response, Effect::Read));
        }
        transactions_of(cx.profile, response).map_err(|error| error.with_status(response.status.as_u16()))
    }

    fn details(&self) -> Option<&dyn TransactionDetails> {
        Some(self)
    }

    fn next_page(&self, cx: &CallContext<'_>, link: &NextPage) -> Result<BankRequest, BankError> {
        with_consent(cx, request(cx, Method::GET, link.url().clone(), Effect::Read, None)?)
    }
}

impl TransactionDetails for BerlinGroup {
    fn offered(&self, profile: &Profile) -> bool {
        profile.berlin_group.transaction_details
    }

    fn detail(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        listed: &Transaction,
    ) -> Option<Result<BankRequest, BankError>> {
        // The standard has it for accounts alone.
        let ["accounts", account] = cards::path_of(resource_id) else { return None };
        let id = listed.bank_transaction_id.as_deref()?;
        Some(cx.profile.accounts_api().and_then(|api| {
            let url = api.join(&["accounts", account, "transactions", id]);
            with_consent(cx, request(cx, Method::GET, url, Effect::Read, None)?)
        }))
    }

    fn detail_read(
        &self,
        cx: &CallContext<'_>,
        listed: &Transaction,
        response: &BankResponse,
    ) -> Result<Transaction, BankError> {
        let body = success(cx, response, Effect::Read)?;
        let root = Node::root(&cx.profile.id, &body);
        let told = root.get("transactionsDetails");
        // Some wrap it once more, as the standard's text has it and its example has not.
        let inner = told.get("transactionDetails");
        let told = if inner.exists() { inner } else { told };
        transaction(&Rules::of(cx.profile), &told, listed.status)
    }
}

pub(super) fn consent_id<'a>(cx: &CallContext<'a>) -> Result<&'a str, BankError> {
    cx.bank_consent_id.ok_or_else(|| cx.error(BankErrorKind::ConsentMissing))
}

/// The first day where none is asked for: 90 days back, which a bank gives
/// without fresh authentication (RTS Art. 10), or less if it has less.
fn first_day(cx: &CallContext<'_>) -> Date {
    let today = cx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    today.saturating_sub(i32::from(cx.profile.max_history_days.min(90)).days())
}

/// The day asked for, or the latest the bank allows.
fn valid_until(cx: &CallContext<'_>, order: &ConsentOrder) -> Date {
    let today = cx.now.to_zoned(jiff::tz::TimeZone::UTC).date();
    let latest =
        cx.profile.max_consent_days.map_or(NO_END, |days| today.saturating_add(i32::from(days).days()));
    order.valid_until.unwrap_or(latest).min(latest)
}

/// `consentStatus`.
pub(crate) fn consent_status(node: &Node<'_>) -> Result<BankConsentStatus, BankError> {
    Ok(match node.required_text()?.as_str() {
        "received" => BankConsentStatus::AwaitingAuthorisation,
        "partiallyAuthorised" => BankConsentStatus::PartiallyAuthorised,
        "valid" => BankConsentStatus::Authorised,
        "rejected" => BankConsentStatus::Rejected,
        "revokedByPsu" => BankConsentStatus::RevokedByPsu,
        "expired" => BankConsentStatus::Expired,
        "terminatedByTpp" => BankConsentStatus::TerminatedByTpp,
        _ => return Err(node.malformed()),
    })
}
