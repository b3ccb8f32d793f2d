//! All that changes at the bank and outlives a restart.

use std::collections::{BTreeMap, BTreeSet};

use domain::Timestamp;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::history::Movement;
use super::magic::{SHORT, magic_reason};
use super::notices::Notices;
use super::order::{Order, OrderState, SETTLEMENT_MS};
use super::people::{Account, accounts, holder};
use crate::BankKind;

/// Everything the bank remembers.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Book {
    pub(crate) consents: BTreeMap<String, Consent>,
    pub(crate) orders: BTreeMap<String, Order>,
    pub(crate) authorisations: BTreeMap<String, Authorisation>,
    pub(crate) pushed: BTreeMap<String, Pushed>,
    pub(crate) tickets: BTreeMap<String, Ticket>,
    pub(crate) codes: BTreeMap<String, Code>,
    /// By digest of the token.
    pub(crate) tokens: BTreeMap<String, Token>,
    /// Idempotency keys and assertion ids, with the resource they made.
    pub(crate) seen: BTreeMap<String, Seen>,
    /// Accesses without the customer, by consent, operation and day.
    pub(crate) accesses: BTreeMap<String, u32>,
    pub(crate) entries: Vec<Entry>,
    /// Clients that registered by request, by `client_id`.
    pub(crate) clients: BTreeMap<String, RegisteredClient>,
    /// Names of TPPs by `organizationIdentifier`, as their certificates say.
    pub(crate) names: BTreeMap<String, String>,
    /// Requests to carry an order out, by its end-to-end id: also those that came too often.
    pub(crate) asked: BTreeMap<String, u32>,
    /// The orders whose day has not come, or not for the last time.
    pub(crate) waiting: BTreeSet<String>,
    /// What TPPs are told of changes.
    pub(crate) notices: Notices,
}

/// Where a consent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ConsentState {
    /// Something is to come before anybody can be asked: the file of a file payment.
    Incomplete,
    Awaiting,
    /// Approved, but not by all who must.
    Partly,
    Authorised,
    Rejected,
    /// Its payment was made.
    Consumed,
    /// Ended by the TPP.
    Ended,
    /// Withdrawn by the customer at the bank.
    Withdrawn,
}

/// What a consent is to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Purpose {
    /// Reading accounts.
    #[default]
    Accounts,
    /// One payment.
    Payment,
    /// Payments again and again, within limits.
    Recurring,
    /// Asking whether an account covers an amount.
    Funds,
}

/// A consent of a customer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Consent {
    pub(crate) id: String,
    /// `organizationIdentifier` of the TPP.
    pub(crate) tpp: String,
    #[serde(default)]
    pub(crate) purpose: Purpose,
    pub(crate) state: ConsentState,
    pub(crate) created: Timestamp,
    pub(crate) changed: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    /// The customer who approved first.
    pub(crate) user: Option<String>,
    /// Every customer who approved.
    #[serde(default)]
    pub(crate) approvals: BTreeSet<String>,
    pub(crate) accounts: Vec<String>,
    pub(crate) frequency: u32,
    /// As requested.
    pub(crate) body: Value,
}

impl Consent {
    /// One that is asked for now, and that nobody has decided.
    pub(crate) fn asked(id: String, tpp: String, purpose: Purpose, now: Timestamp, body: Value) -> Self {
        Self {
            id,
            tpp,
            purpose,
            state: ConsentState::Awaiting,
            created: now,
            changed: now,
            expires: None,
            user: None,
            approvals: Default::default(),
            accounts: Vec::new(),
            frequency: 0,
            body,
        }
    }

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.state == ConsentState::Authorised && !self.has_expired(now)
    }

    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    pub(crate) fn covers(&self, account: &str) -> bool {
        self.accounts.iter().any(|covered| covered == account)
    }

    /// True if the customer gave it, alone or with another.
    pub(crate) fn is_of(&self, user: &str) -> bool {
        self.user.as_deref() == Some(user) || self.approvals.contains(user)
    }

    /// Those who must approve and have not.
    fn missing(&self, kind: BankKind) -> Vec<&'static str> {
        let shared = accounts(kind).iter().filter(|account| self.covers(account.id));
        shared.flat_map(Account::signers).filter(|signer| !self.approvals.contains(*signer)).collect()
    }

    pub(crate) fn becomes(&mut self, state: ConsentState, now: Timestamp) {
        self.state = state;
        self.changed = now;
    }
}

/// Milliseconds from `from` to `to`; zero if the clock went back.
pub(crate) fn elapsed_ms(from: Timestamp, to: Timestamp) -> i64 {
    to.as_millisecond().saturating_sub(from.as_millisecond()).max(0)
}

/// What an authorisation is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Subject {
    Consent(String),
    Order(String),
    /// Taking an order back.
    Cancellation(String),
}

/// Where an authorisation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ScaState {
    Received,
    /// By the first password; a second one is wanted.
    HalfAuthenticated,
    Authenticated,
    /// The method is known, and the code is not.
    Selected,
    Finalised,
    Failed,
}

impl ScaState {
    /// The customer has not answered yet.
    pub(crate) fn waits(self) -> bool {
        matches!(self, Self::Received | Self::HalfAuthenticated | Self::Authenticated | Self::Selected)
    }
}

/// One attempt of a customer to approve something.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Authorisation {
    pub(crate) id: String,
    pub(crate) subject: Subject,
    pub(crate) user: Option<String>,
    pub(crate) state: ScaState,
    /// The TPP passes password and code on.
    #[serde(default)]
    pub(crate) embedded: bool,
    /// Passwords and codes that were wrong.
    #[serde(default)]
    pub(crate) wrong: u8,
    pub(crate) created: Timestamp,
    pub(crate) redirect: Option<String>,
    pub(crate) nok_redirect: Option<String>,
    /// Decided by nobody's click after a moment: approve (true) or decline.
    pub(crate) decides_itself: Option<bool>,
}

/// A pushed authorization request (RFC 9126).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Pushed {
    pub(crate) consent: String,
    pub(crate) redirect_uri: String,
    pub(crate) scope: String,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: String,
    /// An id_token is to come with the code (OpenID Connect Core §3.3).
    #[serde(default)]
    pub(crate) hybrid: bool,
    /// The client that asks; empty where the standard knows one per organisation.
    #[serde(default)]
    pub(crate) client: String,
    pub(crate) expires: Timestamp,
}

/// A customer's log-in on the way to one decision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ticket {
    pub(crate) user: String,
    /// The request or authorisation at hand; none in the bank's own app.
    pub(crate) about: Option<String>,
    pub(crate) expires: Timestamp,
}

/// An authorization code.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) request: Pushed,
    pub(crate) user: String,
    pub(crate) authenticated: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) used: bool,
}

/// An access or refresh token.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) scope: String,
    /// The consent it is bound to; none for client credentials.
    pub(crate) consent: Option<String>,
    pub(crate) refresh: bool,
    /// `x5t#S256` it is bound to.
    pub(crate) thumbprint: String,
    pub(crate) expires: Timestamp,
    /// The code it came from, whose replay ends it.
    pub(crate) code: Option<String>,
    /// The client that asked for it.
    #[serde(default)]
    pub(crate) client: Option<String>,
}

/// A client that registered by request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RegisteredClient {
    pub(crate) id: String,
    /// `organizationIdentifier` of its certificate.
    pub(crate) organisation: String,
    pub(crate) redirect_uris: Vec<String>,
    pub(crate) jwks: Value,
    pub(crate) scope: String,
    pub(crate) issued: Timestamp,
    /// Digest of the token that manages it, where it has one of its own.
    pub(crate) token: Option<String>,
    /// What it is told of itself.
    pub(crate) metadata: serde_json::Map<String, Value>,
}

/// Something that may come only once.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) resource: String,
    pub(crate) until: Timestamp,
}

/// Money a payment moved.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) account: String,
    pub(crate) at: Timestamp,
    pub(crate) amount: Decimal,
    pub(crate) counterparty: String,
    pub(crate) counterparty_account: String,
    pub(crate) remittance: String,
    pub(crate) end_to_end: Option<String>,
}

impl Entry {
    pub(crate) fn is_booked(&self, now: Timestamp) -> bool {
        elapsed_ms(self.at, now) >= SETTLEMENT_MS
    }

    pub(crate) fn movement(&self, now: Timestamp) -> Movement {
        Movement {
            id: self.id.clone(),
            at: self.at,
            pending: !self.is_booked(now),
            amount: self.amount,
            counterparty: self.counterparty.clone(),
            counterparty_account: Some(self.counterparty_account.clone()),
            remittance: self.remittance.clone(),
            end_to_end: self.end_to_end.clone(),
            merchant_category: None,
            code: if self.amount.is_sign_negative() {
                ["PMNT", "ICDT", "ESCT"]
            } else {
                ["PMNT", "RCDT", "ESCT"]
            },
        }
    }
}

impl Book {
    /// A TPP as a customer is told of it.
    pub(crate) fn known_as(&self, tpp: &str) -> String {
        self.names.get(tpp).map_or_else(|| tpp.to_owned(), |name| format!("{name} ({tpp})"))
    }

    /// Booked balance of an account at `now`.
    pub(crate) fn booked(&self, account: &Account, now: Timestamp) -> Decimal {
        self.sum(account, |entry| entry.is_booked(now))
    }

    /// What can be spent: booked, less what is on its way out.
    pub(crate) fn available(&self, account: &Account, now: Timestamp) -> Decimal {
        self.sum(account, |entry| entry.amount.is_sign_negative() || entry.is_booked(now))
    }

    /// Whether an amount can be spent.
    pub(crate) fn covers(&self, account: &Account, amount: Decimal, now: Timestamp) -> bool {
        magic_reason(amount) != Some(SHORT) && self.available(account, now) >= amount
    }

    /// Ends a consent by the word of the TPP, and its tokens with it.
    pub(crate) fn end_consent(&mut self, id: &str, now: Timestamp) {
        if let Some(consent) = self.consents.get_mut(id) {
            consent.becomes(ConsentState::Ended, now);
        }
        self.tokens.retain(|_, token| token.consent.as_deref() != Some(id));
    }

    fn sum(&self, account: &Account, counts: impl Fn(&Entry) -> bool) -> Decimal {
        self.entries
            .iter()
            .filter(|entry| entry.account == account.id && counts(entry))
            .fold(account.opening(), |sum, entry| sum.saturating_add(entry.amount))
    }

    /// Decides an authorisation: consent or order move on, once.
    pub(crate) fn decide(&mut self, kind: BankKind, id: &str, decision: &Decision, now: Timestamp) {
        let Some(authorisation) = self.authorisations.get_mut(id) else { return };
        if !authorisation.state.waits() {
            return;
        }
        authorisation.state = if decision.approved { ScaState::Finalised } else { ScaState::Failed };
        authorisation.user = Some(decision.user.clone());
        match authorisation.subject.clone() {
            Subject::Consent(consent) => {
                self.decide_consent(kind, &consent, decision, now);
                let partly = self.consents.get(&consent);
                let partly = partly.filter(|consent| consent.state == ConsentState::Partly);
                let missing = partly.map(|consent| consent.missing(kind)).unwrap_or_default();
                self.ask_cosigners(id, &Subject::Consent(consent), missing, now);
            }
            Subject::Order(order) => {
                let debtor = decision.accounts.first().cloned();
                if let Some(order) = self.orders.get_mut(&order) {
                    order.user = Some(decision.user.clone());
                    if !decision.approved && order.state == OrderState::Received {
                        order.state = OrderState::Rejected("DS02".to_owned(), now);
                    }
                }
                if decision.approved && kind == BankKind::Stet {
                    self.approve(&order, debtor, now);
                } else if decision.approved {
                    self.sign(kind, id, &order, decision, now);
                }
            }
            Subject::Cancellation(order) => {
                if decision.approved {
                    self.cancel(&order, now);
                }
            }
        }
    }

    /// Notes the word of one who must approve an order, and carries it out once all
    /// have. Whoever comes second agrees to what the first chose.
    fn sign(&mut self, kind: BankKind, first: &str, id: &str, decision: &Decision, now: Timestamp) {
        let Some(order) = self.orders.get_mut(id).filter(|order| order.state == OrderState::Received) else {
            return;
        };
        order.approvals.insert(holder(kind, &decision.user).to_owned());
        let debtor = order.debtor.clone().or_else(|| decision.accounts.first().cloned()).unwrap_or_default();
        let from = accounts(kind).iter().find(|account| account.id == debtor);
        // A magic customer sees another's accounts and signs for none of them.
        let signs = from.is_some_and(|from| from.is_of(&decision.user) && from.cosigner.is_some());
        let signers = from.filter(|_| signs).into_iter().flat_map(Account::signers);
        let missing: Vec<_> = signers.filter(|signer| !order.approvals.contains(*signer)).collect();
        if missing.is_empty() {
            return self.execute(kind, id, &debtor, now, false);
        }
        order.debtor = Some(debtor);
        self.ask_cosigners(first, &Subject::Order(id.to_owned()), missing, now);
    }

    /// Notes the customer's word on an order that the TPP must confirm.
    fn approve(&mut self, id: &str, debtor: Option<String>, now: Timestamp) {
        if let Some(order) = self.orders.get_mut(id).filter(|order| order.state == OrderState::Received) {
            order.debtor = debtor;
            order.state = OrderState::Approved(now);
        }
    }

    /// Decides a consent that waits, or confirms one again.
    pub(crate) fn decide_consent(&mut self, kind: BankKind, id: &str, decision: &Decision, now: Timestamp) {
        let Some(consent) = self.consents.get_mut(id) else { return };
        match (consent.state, decision.approved) {
            (ConsentState::Awaiting | ConsentState::Partly | ConsentState::Authorised, true) => {
                // Whoever comes second agrees to what the first chose.
                if consent.state != ConsentState::Partly {
                    consent.user = Some(decision.user.clone());
                    consent.accounts.clone_from(&decision.accounts);
                }
                consent.approvals.insert(holder(kind, &decision.user).to_owned());
                let whole = consent.missing(kind).is_empty();
                consent.becomes(if whole { ConsentState::Authorised } else { ConsentState::Partly }, now);
            }
            (ConsentState::Awaiting | ConsentState::Partly, false) => {
                consent.becomes(ConsentState::Rejected, now);
            }
            (
                ConsentState::Incomplete
                | ConsentState::Authorised
                | ConsentState::Rejected
                | ConsentState::Consumed
                | ConsentState::Ended
                | ConsentState::Withdrawn,
                _,
            ) => {}
        }
    }

    /// Puts what needs others before them, in the bank's app.
    fn ask_cosigners(&mut self, first: &str, subject: &Subject, missing: Vec<&str>, now: Timestamp) {
        for user in missing {
            // As unguessable as the authorisation that it follows.
            let asked = format!("{first}-{user}");
            self.authorisations.entry(asked.clone()).or_insert(Authorisation {
                id: asked,
                subject: subject.clone(),
                user: Some(user.to_owned()),
                state: ScaState::Received,
                embedded: false,
                wrong: 0,
                created: now,
                redirect: None,
                nok_redirect: None,
                decides_itself: None,
            });
        }
    }

    /// Forgets what has run out.
    pub(crate) fn prune(&mut self, now: Timestamp) {
        self.pushed.retain(|_, pushed| pushed.expires > now);
        self.tickets.retain(|_, ticket| ticket.expires > now);
        self.codes.retain(|_, code| elapsed_ms(code.expires, now) < 600_000);
        self.tokens.retain(|_, token| token.expires > now);
        self.seen.retain(|_, seen| seen.until > now);
    }
}

/// What a customer decided.
#[derive(Clone, Debug)]
pub(crate) struct Decision {
    pub(crate) user: String,
    pub(crate) approved: bool,
    pub(crate) accounts: Vec<String>,
}
