//! A plugin in the place of a dialect.

use connect::{
    AccountInformation, AccountResources, BankConsentStatus, BankError, BankErrorKind, BankRequest,
    BankResponse, CallContext, ConsentByAuthorization, ConsentInquiry, ConsentLodging, ConsentOrder,
    ConsentRevocation, Consents, Dialect, Effect, ExplicitStart, LodgedConsent, NextPage, Operation, PLUGIN,
    Page, PaymentInitiation, Profile, TokenEndpoint, TokenKind, TransactionQuery,
};
use domain::{Account, Balance, Transaction};

use crate::host::{Guest, GuestFailed, Host, NotAPlugin};
use crate::reading::Reading;
use crate::request::{page_of, refused, request, target_of};
use crate::{asking, wit};

/// One plugin, ready to be called.
pub struct Plugin {
    /// As profiles name it: `plugin:NAME`.
    dialect: String,
    standard: String,
    consents: wit::Consents,
    abilities: wit::Abilities,
    pub(crate) payments: Option<wit::payments::Description>,
    pub(crate) resources: Option<wit::resources::Kinds>,
    pub(crate) guest: Guest,
}

/// Longest text by which a plugin names its standard, characters.
const STANDARD: usize = 80;

impl Plugin {
    /// Compiles a component and asks it what it is: seconds for a large one, on
    /// the thread that calls. Whose it is must have been checked before.
    ///
    /// # Errors
    ///
    /// [`NotAPlugin`], with what is wrong with it.
    pub fn load(host: &Host, name: &str, component: &[u8]) -> Result<Self, NotAPlugin> {
        let (guest, said) = host.load(component)?;
        let standard: String = said.bank.standard.trim().chars().take(STANDARD).collect();
        if standard.is_empty() || standard.chars().any(char::is_control) {
            return Err(NotAPlugin::Describe(GuestFailed::Unreadable));
        }
        Ok(Self {
            dialect: format!("{PLUGIN}{name}"),
            standard,
            consents: said.bank.consents,
            abilities: said.bank.abilities,
            payments: said.payments,
            resources: said.resources,
            guest,
        })
    }

    /// Lets the plugin say what to send.
    fn ask(
        &self,
        cx: &CallContext<'_>,
        question: &wit::Question,
        effect: Effect,
    ) -> Result<BankRequest, BankError> {
        let api = cx.profile.accounts_api()?;
        let context = asking::context(cx, Some(api));
        let built = self.guest.bank(|store, bank| bank.call_build_request(store, question, &context));
        match built.map_err(|why| self.failed(cx, why))? {
            Ok(given) => request(cx, api, given, effect),
            Err(failure) => Err(named(cx, failure)),
        }
    }

    /// Lets the plugin say what an answer means.
    fn read(
        &self,
        cx: &CallContext<'_>,
        operation: wit::Operation,
        response: &BankResponse,
        effect: Effect,
    ) -> Result<wit::Answer, BankError> {
        let heard = heard(cx, response, effect)?;
        let context = asking::context(cx, cx.profile.accounts_api.as_ref());
        let read =
            self.guest.bank(|store, bank| bank.call_parse_response(store, operation, &context, &heard));
        let told = |error: BankError| error.with_status(heard.status).after_status(heard.status, effect);
        match read.map_err(|why| told(self.failed(cx, why)))? {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(told(named(cx, failure))),
        }
    }

    pub(crate) fn failed(&self, cx: &CallContext<'_>, why: GuestFailed) -> BankError {
        tracing::error!(bank = %cx.profile.id, plugin = %self.dialect, why = %why, "A plugin failed");
        refused(cx, format!("{} ({why})", self.dialect))
    }
}

/// The bank's answer as a plugin hears it.
///
/// # Errors
///
/// What needs no plugin to be read: the bank is busy, or fails.
pub(crate) fn heard(
    cx: &CallContext<'_>,
    response: &BankResponse,
    effect: Effect,
) -> Result<wit::Response, BankError> {
    let status = response.status.as_u16();
    if status == 429 || status >= 500 {
        let error = cx.error(BankErrorKind::of_status(status)).at("status").with_status(status);
        return Err(error.after_status(status, effect).with_retry_after(response.retry_after()));
    }
    // Cookies are between bank and browser.
    let headers = response.headers.iter().filter(|(name, _)| *name != http::header::SET_COOKIE);
    let headers =
        headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    Ok(wit::Response { status, headers: headers.collect(), body: response.body.to_vec() })
}

/// What the plugin says went wrong.
pub(crate) fn named(cx: &CallContext<'_>, failure: wit::Failure) -> BankError {
    use BankErrorKind as K;
    use wit::Reason as R;
    let kind = match failure.reason {
        R::ConsentMissing => K::ConsentMissing,
        R::ConsentExpired => K::ConsentExpired,
        R::ConsentRevoked => K::ConsentRevoked,
        R::QuotaExceeded => K::QuotaExceeded,
        R::TokenInvalid => K::TokenInvalid,
        R::AccountNotAccessible => K::AccountNotAccessible,
        R::ResourceUnknown => K::ResourceUnknown,
        R::HistoryWindow => K::HistoryWindow,
        R::InvalidRequest => K::InvalidRequest,
        R::CertificateRejected => K::CertificateRejected,
        R::SignatureRejected => K::SignatureRejected,
        R::PsuActionRequired => K::PsuActionRequired,
        R::Unsupported => K::Unsupported,
        R::MalformedResponse => K::MalformedResponse,
    };
    cx.error(kind).with_bank_code(failure.bank_code.as_deref().unwrap_or_default())
}

impl Dialect for Plugin {
    fn name(&self) -> &str {
        &self.dialect
    }

    fn standard(&self, _profile: &Profile) -> String {
        self.standard.clone()
    }

    fn token_for(&self, _profile: &Profile, operation: Operation) -> TokenKind<'_> {
        match (operation, &self.consents) {
            (Operation::Consent, wit::Consents::Lodged(Some(scope))) => TokenKind::Client(scope),
            (Operation::AccountData, wit::Consents::Lodged(_)) => TokenKind::PsuIfHeld,
            (Operation::Consent | Operation::AccountData, wit::Consents::Authorized(_)) => TokenKind::Psu,
            (Operation::PaymentLodge, _) => self.payment_token(|said| &said.lodge_token),
            (Operation::PaymentSubmit, _) => self.payment_token(|said| &said.submit_token),
            (Operation::PaymentStatus, _) => self.payment_token(|said| &said.status_token),
            (Operation::Consent, wit::Consents::Lodged(None))
            | (Operation::FundsConsent | Operation::Funds | Operation::Payees, _) => TokenKind::None,
        }
    }

    fn accounts(&self) -> Option<&dyn AccountInformation> {
        Some(self)
    }

    fn resources(&self) -> Option<&dyn AccountResources> {
        self.resources.is_some().then_some(self)
    }

    fn payments(&self) -> Option<&dyn PaymentInitiation> {
        self.payments.is_some().then_some(self)
    }

    fn tokens(&self) -> Option<&dyn TokenEndpoint> {
        None
    }
}

impl ConsentLodging for Plugin {
    fn lodge(&self, cx: &CallContext<'_>, order: &ConsentOrder) -> Result<BankRequest, BankError> {
        let question = wit::Question::LodgeConsent(asking::consent_order(order));
        self.ask(cx, &question, Effect::Write)
    }

    fn lodged(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<LodgedConsent, BankError> {
        let answer = self.read(cx, wit::Operation::LodgeConsent, response, Effect::Write)?;
        // The bank has it, whatever cannot be read of it.
        Reading::of(cx).lodged(answer).map_err(BankError::unknown)
    }
}

impl ConsentByAuthorization for Plugin {
    fn begin(&self, cx: &CallContext<'_>, _order: &ConsentOrder) -> Result<LodgedConsent, BankError> {
        let wit::Consents::Authorized(scope) = &self.consents else {
            return Err(cx.error(BankErrorKind::Unsupported));
        };
        cx.profile.accounts_api()?;
        Ok(LodgedConsent::by_authorization(cx, scope))
    }
}

impl ConsentInquiry for Plugin {
    fn status(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        self.ask(cx, &wit::Question::ConsentStatus, Effect::Read)
    }

    fn status_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<BankConsentStatus, BankError> {
        let answer = self.read(cx, wit::Operation::ConsentStatus, response, Effect::Read)?;
        Reading::of(cx).status(answer)
    }
}

impl ConsentRevocation for Plugin {
    fn revoke(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        self.ask(cx, &wit::Question::RevokeConsent, Effect::Write)
    }

    fn revoked(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<(), BankError> {
        let answer = self.read(cx, wit::Operation::RevokeConsent, response, Effect::Write)?;
        Reading::of(cx).revoked(&answer).map_err(BankError::unknown)
    }
}

impl AccountInformation for Plugin {
    fn consents(&self) -> Consents<'_> {
        match self.consents {
            wit::Consents::Lodged(_) => Consents::Lodged(self),
            wit::Consents::Authorized(_) => Consents::Authorized(self),
        }
    }

    fn inquiry(&self) -> Option<&dyn ConsentInquiry> {
        self.abilities.contains(wit::Abilities::CONSENT_STATUS).then_some(self)
    }

    fn revocation(&self) -> Option<&dyn ConsentRevocation> {
        self.abilities.contains(wit::Abilities::REVOCATION).then_some(self)
    }

    fn explicit_start(&self) -> Option<&dyn ExplicitStart> {
        None
    }

    fn accounts(&self, cx: &CallContext<'_>) -> Result<BankRequest, BankError> {
        self.ask(cx, &wit::Question::Accounts, Effect::Read)
    }

    fn accounts_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Page<Account>, BankError> {
        let answer = self.read(cx, wit::Operation::Accounts, response, Effect::Read)?;
        let (items, next) = Reading::of(cx).accounts(answer)?;
        Ok(Page { items, next: next.map(|target| page_of(cx, target)).transpose()? })
    }

    fn balances(&self, cx: &CallContext<'_>, resource_id: &str) -> Result<BankRequest, BankError> {
        self.ask(cx, &wit::Question::Balances(resource_id.to_owned()), Effect::Read)
    }

    fn balances_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Vec<Balance>, BankError> {
        let answer = self.read(cx, wit::Operation::Balances, response, Effect::Read)?;
        Reading::of(cx).balances(answer)
    }

    fn transactions(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        query: &TransactionQuery,
    ) -> Result<BankRequest, BankError> {
        let question = wit::Question::Transactions(asking::transaction_query(resource_id, query));
        self.ask(cx, &question, Effect::Read)
    }

    fn transactions_read(
        &self,
        cx: &CallContext<'_>,
        _asked: &BankRequest,
        response: &BankResponse,
    ) -> Result<Page<Transaction>, BankError> {
        let answer = self.read(cx, wit::Operation::Transactions, response, Effect::Read)?;
        let (items, next) = Reading::of(cx).transactions(answer)?;
        Ok(Page { items, next: next.map(|target| page_of(cx, target)).transpose()? })
    }

    fn next_page(&self, cx: &CallContext<'_>, link: &NextPage) -> Result<BankRequest, BankError> {
        self.ask(cx, &wit::Question::NextPage(target_of(cx, link)?), Effect::Read)
    }
}
