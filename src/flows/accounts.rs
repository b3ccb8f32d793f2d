//! Aggregated reads: one call, many banks.
//!
//! Every bank is asked at the same time under one deadline; what one bank does
//! changes nothing for the others. An answer that misses a bank says so.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use connect::{
    AccountInformation, AccountResources, BankError, BankErrorKind, BankRequest, BankResponse, CallContext,
    Operation, Page, PageGuard, Profile, PsuPresence, QuirkName, StatementFile, StatementFiles, TokenKind,
};
use domain::{
    Account, AccountId, AccountStatus, AccountUsage, Balance, ConsentId, Date, InstitutionId, Permission,
    ResourceEntry, Timestamp, Transaction, TransactionId,
};
use futures_util::future::join_all;
use jiff::ToSpan;
use limits::{Key, Partition};
use secrecy::{ExposeSecret, SecretString};
use store::accounts::{AccountLink, ConsentToRead};
use store::consents::ConsentRow;

use crate::audited::{Access, Asker, rules_of};
use crate::bank::accounts_of;
use crate::consents::date_of;
use crate::ids::TransactionProvenance;
use crate::placing::is_about_consent;
use crate::read::{Read, TransactionWindow};
use crate::sources::{SourceReport, SourceStatus, refusal};
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// Pages of one account that are read at most.
const MAX_PAGES: usize = 40;
/// Accounts of one bank that are asked at the same time.
const ACCOUNTS_AT_ONCE: usize = 4;
/// How often a read renews a token that the bank refuses although it should hold.
const RENEWALS: u8 = 2;
/// When to come again where our own store is away.
const AWAY: Duration = Duration::from_secs(5);

/// One account with what was read of it.
#[derive(Clone, Debug)]
pub struct AccountData {
    /// Our id.
    pub id: AccountId,
    /// Consent it was read under.
    pub consent: ConsentId,
    /// Where it is held.
    pub institution: InstitutionId,
    /// Details; none where only balances or transactions were read.
    pub account: Option<Account>,
    /// Whether the consent allows the detail: identifications and holders of
    /// accounts, counterparties and purposes of transactions.
    pub detail: bool,
    /// Balances.
    pub balances: Vec<Balance>,
    /// Transactions with our ids.
    pub transactions: Vec<(TransactionId, TransactionProvenance, Transaction)>,
    /// Further information, of the kind that was read.
    pub resources: Vec<ResourceEntry>,
    /// The file of a statement; none if it was not asked for, or the bank has no such statement.
    pub file: Option<StatementFile>,
    /// Where it comes from: standard, with version.
    pub standard: String,
    /// When it was read.
    pub fetched_at: Timestamp,
}

/// The merged answer.
#[derive(Clone, Debug)]
pub struct Reading {
    /// Accounts in the order of the consents, then of their ids.
    pub accounts: Vec<AccountData>,
    /// One report per consent.
    pub sources: Vec<SourceReport>,
}

/// One consent's share of a read.
pub(crate) struct Source<'a> {
    pub(crate) profile: Arc<Profile>,
    consent: ConsentRow,
    token: Option<SecretString>,
    psu: Option<&'a PsuPresence>,
    standard: String,
    resources: Option<&'a dyn AccountResources>,
    files: Option<&'a dyn StatementFiles>,
    /// The first day of transactions to ask for; none, if nothing limits it.
    pub(crate) history_from: Option<Date>,
}

impl Gateway {
    /// Reads from every bank of the token's consents.
    ///
    /// # Errors
    ///
    /// [`FlowError::AllBanks`] if banks were asked and none answered, [`FlowError::Busy`] if our own store did
    /// not,
    /// [`FlowError::NotFound`] if the only account asked for is under none of the consents.
    pub async fn read(
        &self,
        asker: Asker<'_>,
        only: Option<AccountId>,
        read: Read<'_>,
        psu: Option<&PsuPresence>,
    ) -> Result<Reading, FlowError> {
        let shares = asker
            .consents
            .iter()
            .filter(|consent| only.is_none_or(|account| account.region() == consent.region()))
            // Their homes are asked apart (`cells`).
            .filter(|consent| !self.parts.config.elsewhere.contains(&consent.region()))
            .map(|consent| self.share(asker, *consent, only, read, psu));
        let mut reading = Reading { accounts: Vec::new(), sources: Vec::new() };
        for (mut accounts, report) in join_all(shares).await.into_iter().flatten() {
            accounts.sort_by_key(|account| account.id);
            reading.accounts.extend(accounts);
            reading.sources.push(report);
        }
        let mut seen = HashSet::new();
        // The same account under two consents is one account.
        reading.accounts.retain(|account| seen.insert(account.id));

        let answered = reading.sources.iter().any(|source| source.status == SourceStatus::Ok);
        if only.is_some() && reading.accounts.is_empty() && (answered || reading.sources.is_empty()) {
            return Err(FlowError::NotFound("account"));
        }
        if answered || reading.sources.is_empty() {
            return Ok(reading);
        }
        // It is not known how the banks are.
        if reading.sources.iter().all(|source| source.away) {
            return Err(FlowError::Busy);
        }
        // A single reason that the caller can act on is worth more than "no bank answered".
        if let [only] = reading.sources.as_mut_slice()
            && let Some(because) = only.refusal()
        {
            return Err(match only.denied.take() {
                Some(denied) => FlowError::Denied { denied, because: Box::new(because) },
                None => because,
            });
        }
        Err(FlowError::AllBanks(reading.sources))
    }

    /// One consent's share. `None` if it does not hold the only account wanted.
    pub(crate) async fn share_alone(
        &self,
        asker: Asker<'_>,
        id: ConsentId,
        only: Option<AccountId>,
        read: Read<'_>,
        psu: Option<&PsuPresence>,
    ) -> Option<(Vec<AccountData>, SourceReport)> {
        let mut report = SourceReport {
            consent: id,
            institution: None,
            region: id.region(),
            status: SourceStatus::Failed(BankErrorKind::Internal),
            as_of: self.now(),
            standard: None,
            unattended: None,
            exceeded: None,
            retry_after: None,
            away: true,
            denied: None,
            history_from: None,
        };
        let work = self.share_of(asker, id, only, read, psu, &mut report);
        let result = tokio::time::timeout(self.parts.config.read_deadline, work).await;
        let accounts = match result {
            Ok(Ok(accounts)) => accounts,
            Ok(Err(error)) => {
                report.note(&error);
                tracing::warn!(consent.id = %id, error = %chain(&error), "Consent {id} could not be read");
                let institution = report.institution.as_ref();
                let access = Access { asker, consent: id, institution, kind: read.kind(), psu };
                Box::pin(self.audit_refusal(access, &error)).await;
                Vec::new()
            }
            Err(_) => {
                report.status = SourceStatus::TimedOut;
                Vec::new()
            }
        };
        if report.away {
            report.retry_after = Some(AWAY);
        }
        report.as_of = self.now();
        let missed = only.is_some() && accounts.is_empty() && report.status == SourceStatus::Ok;
        (!missed).then_some((accounts, report))
    }

    /// Notes that our rules refused a read of somebody's data. What cannot be noted is refused all the same.
    pub(crate) async fn audit_refusal(&self, access: Access<'_>, error: &FlowError) {
        let Some(reason) = refusal(error).filter(|_| access.institution.is_some()) else { return };
        let Ok(store) = self.parts.stores.region(access.consent.region()) else { return };
        let rules = rules_of(error);
        if let Err(error) = store.audit(&access.refused(self.now(), reason, rules.as_deref())).await {
            tracing::error!(consent.id = %access.consent, error = %chain(&error), "A refusal is not in the audit log");
        }
    }

    async fn share_of(
        &self,
        asker: Asker<'_>,
        id: ConsentId,
        only: Option<AccountId>,
        read: Read<'_>,
        psu: Option<&PsuPresence>,
        report: &mut SourceReport,
    ) -> Result<Vec<AccountData>, FlowError> {
        let ConsentToRead { consent, accounts: known, unattended, day: _ } =
            self.consent_to_read(asker.client, id, only).await?;
        report.institution.clone_from(&consent.institution);
        self.parts.limiter.count(Partition::Consent, &Key::id(&id.to_string()), None)?;
        let store = self.parts.stores.region(id.region())?;
        let judge = |consent: &ConsentRow| self.may_read(asker, consent, store.region(), read, psu);
        drop(judge(&consent)?);
        let institution = consent.institution.clone().ok_or(FlowError::NotFound("institution"))?;
        let profile = self.bank(&institution)?;
        let dialect = self.dialect_of(&profile)?;
        let information = accounts_of(&*dialect, &profile)?;
        if !read.offered_by(&*dialect, &profile) {
            return Err(FlowError::Unsupported(institution));
        }
        let standard = dialect.standard(&profile);
        report.standard = Some(standard.clone());
        let held = |only: AccountId| known.iter().any(|link| link.account == only);
        if only.is_some_and(|only| !known.is_empty() && !held(only)) {
            // Nothing of it is here: the bank is not asked, and nothing is counted.
            (report.status, report.away) = (SourceStatus::Ok, false);
            return Ok(Vec::new());
        }
        report.unattended = if psu.is_some() {
            self.unattended_of(&consent, unattended)
        } else {
            let wanted =
                known.iter().map(|link| link.account).filter(|id| only.is_none_or(|only| *id == only));
            Box::pin(self.take_unattended(&profile, &consent, read, &wanted.collect::<Vec<_>>())).await?
        };
        if let Read::Transactions(window) | Read::Transaction(_, window) = read {
            report.history_from = self.history_from(&profile, &consent, window, psu.is_some());
        }
        let history_from = report.history_from;
        let kind = dialect.token_for(&profile, Operation::AccountData);
        let mut source = Source {
            profile: Arc::clone(&profile),
            consent,
            token: None,
            psu,
            standard,
            resources: dialect.resources(),
            files: dialect.statement_files(),
            history_from,
        };
        let mut renewals = RENEWALS;
        let accounts = loop {
            report.away = false;
            let asked = self.ask_source(information, &mut source, kind, &known, only, read).await;
            report.away = true;
            let refused = match asked {
                Err(FlowError::Bank(refused)) => refused,
                other => break other?,
            };
            let mut changed = Box::pin(self.changed_since(&source, &refused)).await?;
            if changed.is_none() && renewals > 0 {
                renewals = renewals.saturating_sub(1);
                changed = Box::pin(self.renewed_since(&source, &refused)).await?;
            }
            let Some(changed) = changed else {
                return Err(Box::pin(self.after_refusal(&source.consent, refused)).await);
            };
            drop(judge(&changed)?);
            source.consent = changed;
        };
        // What is not in the ledger and the audit log does not leave the house.
        let access = Access { asker, consent: id, institution: Some(&institution), kind: read.kind(), psu };
        let used = read.uses(&source.consent.terms.permissions);
        self.noted(access, &source.consent, judge, used).await?;
        (report.status, report.away) = (SourceStatus::Ok, false);
        Ok(accounts)
    }

    /// Asks a bank with the token that the consent has now.
    async fn ask_source(
        &self,
        information: &dyn AccountInformation,
        source: &mut Source<'_>,
        kind: TokenKind<'_>,
        known: &[AccountLink],
        only: Option<AccountId>,
        read: Read<'_>,
    ) -> Result<Vec<AccountData>, FlowError> {
        let psu_token = self.psu_token(&source.profile, &source.consent).await?;
        source.token = self.bank_token(&source.profile, kind, psu_token).await?;
        self.read_source(information, source, known, only, read).await
    }

    /// A consent as another process has changed it since, if that may be why a bank refused: what was shown
    /// there is not what the consent holds now.
    async fn changed_since(
        &self,
        source: &Source<'_>,
        refused: &BankError,
    ) -> Result<Option<ConsentRow>, FlowError> {
        if !is_about_consent(refused.kind) {
            return Ok(None);
        }
        let now = self.any_consent(source.consent.id).await?;
        let shown = source.token.as_ref().map(ExposeSecret::expose_secret);
        let changed = now.revision != source.consent.revision && now.bank.access_token.as_deref() != shown;
        Ok(changed.then_some(now))
    }

    /// A consent with another token, where the bank ended the one it had before its time and gave something to renew
    /// it by (RFC 6750 §3.1); none where that is not so, or the bank does not renew it.
    async fn renewed_since(
        &self,
        source: &Source<'_>,
        refused: &BankError,
    ) -> Result<Option<ConsentRow>, FlowError> {
        let held = source.consent.bank.access_token.as_deref();
        let shown = source.token.as_ref().map(ExposeSecret::expose_secret);
        if refused.kind != BankErrorKind::TokenInvalid || shown.is_none() || shown != held {
            return Ok(None);
        }
        match self.renewed_token(&source.profile, &source.consent).await {
            Ok(Some(_)) => Ok(Some(self.any_consent(source.consent.id).await?)),
            Ok(None) | Err(FlowError::Bank(_)) => Ok(None),
            Err(other) => Err(other),
        }
    }

    async fn read_source(
        &self,
        information: &dyn AccountInformation,
        source: &Source<'_>,
        known: &[AccountLink],
        only: Option<AccountId>,
        read: Read<'_>,
    ) -> Result<Vec<AccountData>, FlowError> {
        if read != Read::Accounts && !known.is_empty() {
            return self.read_links(information, source, known, only, read).await;
        }
        let listed = self.list(information, source).await;
        if !known.is_empty() && unlisted_now(&source.profile, &listed) {
            let held = known.iter().filter(|link| only.is_none_or(|only| link.account == only));
            return Ok(held.map(|link| self.by_id_alone(source, link)).collect());
        }
        let accounts = listed?;
        let links: Vec<_> = accounts
            .iter()
            .filter_map(|data| {
                let resource_id = data.account.as_ref()?.resource_id.clone();
                Some(AccountLink { account: data.id, resource_id })
            })
            .collect();
        if links.iter().any(|link| !known.contains(link)) {
            let store = self.parts.stores.region(source.consent.id.region())?;
            let numbers = accounts.iter().filter_map(|data| data.account.as_ref());
            let numbers: Vec<_> = numbers.flat_map(|account| account.identifications.clone()).collect();
            Box::pin(store.link_accounts(source.consent.id, &links, &numbers)).await?;
        }
        if read == Read::Accounts {
            return Ok(accounts.into_iter().filter(|a| only.is_none_or(|only| a.id == only)).collect());
        }
        self.read_links(information, source, &links, only, read).await
    }

    /// An account of which no more is told than that it is there.
    fn by_id_alone(&self, source: &Source<'_>, link: &AccountLink) -> AccountData {
        let account = Account {
            resource_id: link.resource_id.clone(),
            identifications: Vec::new(),
            currency: None,
            display_name: None,
            product: None,
            holders: Vec::new(),
            cash_account_type: None,
            usage: AccountUsage::Unknown,
            status: AccountStatus::Unknown,
            bic: None,
            balances: Vec::new(),
        };
        AccountData { account: Some(account), ..self.bare(source, link.account, Read::Accounts) }
    }

    async fn list(
        &self,
        information: &dyn AccountInformation,
        source: &Source<'_>,
    ) -> Result<Vec<AccountData>, FlowError> {
        let profile = &*source.profile;
        let cx = self.cx(source);
        let first = information.accounts(&cx)?;
        let read = |_: &BankRequest, response: &BankResponse| information.accounts_read(&cx, response);
        let accounts = self.pages(information, &cx, first, read).await?;
        let region = source.consent.id.region();
        Ok(accounts
            .into_iter()
            .map(|account| {
                let id = self.parts.id_key.account(&source.consent.client_id, &profile.id, region, &account);
                AccountData {
                    balances: account.balances.clone(),
                    account: Some(account),
                    ..self.bare(source, id, Read::Accounts)
                }
            })
            .collect())
    }

    /// Follows a bank's pages to the last one, or to where it goes in circles.
    pub(crate) async fn pages<T>(
        &self,
        information: &dyn AccountInformation,
        cx: &CallContext<'_>,
        first: BankRequest,
        read: impl Fn(&BankRequest, &BankResponse) -> Result<Page<T>, BankError>,
    ) -> Result<Vec<T>, FlowError> {
        let mut guard = PageGuard::new(MAX_PAGES);
        let mut request = first;
        let mut items = Vec::new();
        loop {
            let page = read(&request, &self.call(cx.profile, request.clone()).await?)?;
            items.extend(page.items);
            let Some(next) = page.next else { return Ok(items) };
            guard.admit(cx.profile, &next)?;
            request = information.next_page(cx, &next)?;
        }
    }

    async fn read_links(
        &self,
        information: &dyn AccountInformation,
        source: &Source<'_>,
        links: &[AccountLink],
        only: Option<AccountId>,
        read: Read<'_>,
    ) -> Result<Vec<AccountData>, FlowError> {
        let wanted: Vec<_> =
            links.iter().filter(|link| only.is_none_or(|only| link.account == only)).collect();
        let mut found = Vec::new();
        for some in wanted.chunks(ACCOUNTS_AT_ONCE) {
            let reads = some.iter().map(|link| self.read_link(information, source, link, read));
            for data in join_all(reads).await {
                found.push(data?);
            }
        }
        Ok(found)
    }

    async fn read_link(
        &self,
        information: &dyn AccountInformation,
        source: &Source<'_>,
        link: &AccountLink,
        read: Read<'_>,
    ) -> Result<AccountData, FlowError> {
        let profile = &*source.profile;
        let cx = self.cx(source);
        let mut data = self.bare(source, link.account, read);
        match read {
            Read::Accounts => {}
            Read::Balances => {
                let response = self.call(profile, information.balances(&cx, &link.resource_id)?).await?;
                data.balances = information.balances_read(&cx, &response)?;
            }
            Read::Resource(resource) => {
                let offered = source.resources.ok_or_else(|| FlowError::Unsupported(profile.id.clone()))?;
                let first = offered.resource(&cx, resource, &link.resource_id)?;
                let read = |asked: &BankRequest, response: &BankResponse| {
                    offered.resource_read(&cx, resource, asked, response)
                };
                data.resources = self.pages(information, &cx, first, read).await?;
            }
            Read::StatementFile(id) => {
                let files = source.files.ok_or_else(|| FlowError::Unsupported(profile.id.clone()))?;
                let response = self.call(profile, files.file(&cx, &link.resource_id, id)?).await?;
                data.file = match files.file_read(&cx, &response) {
                    Err(error) if error.kind == BankErrorKind::ResourceUnknown => None,
                    read => Some(read?),
                };
            }
            Read::Transactions(window) => {
                data.transactions = self.entries(information, source, link, window.to).await?;
            }
            Read::Transaction(id, window) => {
                let entry =
                    Box::pin(self.entry(information, source, link, (id, window.to), data.detail)).await?;
                data.transactions = entry.into_iter().collect();
            }
        }
        Ok(data)
    }

    /// The first day of transactions to ask for; none, if nothing limits it.
    fn history_from(
        &self,
        profile: &Profile,
        consent: &ConsentRow,
        window: TransactionWindow,
        attended: bool,
    ) -> Option<Date> {
        let wanted = window.from.max(consent.terms.history_from);
        let unattended = (!attended).then(|| self.earliest(consent));
        // Only a wish can go further back than the bank's memory does.
        let fresh = profile.fresh_history.filter(|fresh| {
            attended && later(consent.created_at, i64::from(fresh.minutes) * 60) > self.now()
        });
        let days = fresh.map_or(profile.max_history_days, |fresh| fresh.days.max(profile.max_history_days));
        let days = i64::from(days).days();
        let remembered = wanted.map(|_| date_of(self.now()).saturating_sub(days));
        wanted.max(unattended).max(remembered)
    }

    fn bare(&self, source: &Source<'_>, id: AccountId, read: Read<'_>) -> AccountData {
        let wanted = match read {
            Read::Accounts | Read::Balances | Read::Resource(_) | Read::StatementFile(_) => {
                Permission::ReadAccountsDetail
            }
            Read::Transactions(_) | Read::Transaction(..) => Permission::ReadTransactionsDetail,
        };
        AccountData {
            id,
            consent: source.consent.id,
            institution: source.profile.id.clone(),
            account: None,
            detail: source.consent.terms.permissions.contains(&wanted),
            balances: Vec::new(),
            transactions: Vec::new(),
            resources: Vec::new(),
            file: None,
            standard: source.standard.clone(),
            fetched_at: self.now(),
        }
    }

    pub(crate) fn cx<'a>(&self, source: &'a Source<'_>) -> CallContext<'a> {
        self.context(
            &source.profile,
            source.psu,
            source.consent.bank.psu_id.as_deref(),
            source.token.as_ref(),
            source.consent.bank.consent_id.as_deref(),
        )
    }
}

/// Some banks list accounts in the first session only: later ones refuse the list, or
/// leave it empty, and all else can be read.
fn unlisted_now(profile: &Profile, listed: &Result<Vec<AccountData>, FlowError>) -> bool {
    let version = profile.accounts_api.as_ref().map_or("", |api| api.version.as_str());
    let once = profile.quirks.find(QuirkName::AccountListOnce, "aisp.accounts", version).is_some();
    once && match listed {
        Ok(accounts) => accounts.is_empty(),
        Err(FlowError::Bank(error)) => error.http_status == Some(403),
        Err(_) => false,
    }
}

pub(crate) fn not_in_force(consent: &ConsentRow) -> FlowError {
    FlowError::ConsentNotInForce {
        consent: consent.id,
        status: consent.status,
        suspended_for: consent.life.suspended_for,
    }
}

/// An error with everything behind it, for the log.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
