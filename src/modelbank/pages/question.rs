//! What a customer is asked, in words, and what becomes of the answer.

use std::fmt;

use serde_json::Value;

use crate::BankKind;
use crate::bank::Bank;
use crate::berlin::asked_accounts;
use crate::engine::book::Decision;
use crate::engine::{Book, Consent, Purpose, Subject};
use crate::oauth;

/// What a question is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// A pushed authorization request.
    Request(String),
    /// A Berlin Group authorisation.
    Authorisation(String),
}

impl fmt::Display for About {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(name) => write!(f, "request:{name}"),
            Self::Authorisation(id) => write!(f, "sca:{id}"),
        }
    }
}

impl About {
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.split_once(':')? {
            ("request", name) => Some(Self::Request(name.to_owned())),
            ("sca", id) => Some(Self::Authorisation(id.to_owned())),
            _ => None,
        }
    }

    /// True if it still waits for an answer.
    pub(super) fn is_open(&self, bank: &Bank) -> bool {
        match self {
            Self::Request(name) => oauth::pending_named(bank, name).is_some(),
            Self::Authorisation(id) => bank.vault.read(|book| {
                book.authorisations.get(id).is_some_and(|authorisation| authorisation.state.waits())
            }),
        }
    }

    /// The user it is meant for, if that was said.
    pub(super) fn named_user(&self, bank: &Bank) -> Option<&'static str> {
        match self {
            Self::Request(_) => None,
            Self::Authorisation(id) => {
                let user = bank.vault.read(|book| book.authorisations.get(id)?.user.clone())?;
                bank.user(&user)
            }
        }
    }

    /// The accounts it names.
    pub(super) fn asked(&self, bank: &Bank) -> Option<Vec<String>> {
        match self {
            Self::Request(name) => {
                let pushed = oauth::pending_named(bank, name)?;
                oauth::asked_debtor(bank, &pushed).map(|id| vec![id.to_owned()])
            }
            Self::Authorisation(id) => {
                bank.vault.read(|book| asked_accounts(book, bank, &book.authorisations.get(id)?.subject))
            }
        }
    }
}

/// An account offered to choose.
pub(super) struct Choice {
    pub(super) id: &'static str,
    pub(super) name: &'static str,
    pub(super) iban: &'static str,
}

/// A question as it is shown.
pub(super) struct Question {
    pub(super) about: String,
    pub(super) title: &'static str,
    pub(super) facts: Vec<(&'static str, String)>,
    pub(super) purpose: Purpose,
    pub(super) accounts: Vec<Choice>,
}

impl Question {
    /// The question for `user`; `None` if it is no longer there.
    pub(super) fn of(bank: &Bank, about: &About, user: &str) -> Option<Self> {
        let asked = about.asked(bank);
        let named = |id: &str| asked.as_ref().is_none_or(|asked| asked.iter().any(|one| one == id));
        let accounts = bank
            .accounts_of(user)
            .filter(|account| named(account.id))
            .map(|account| Choice { id: account.id, name: account.name, iban: account.iban })
            .collect();
        let (purpose, facts) = facts(bank, about)?;
        let title = match purpose {
            Purpose::Accounts => "Share account data",
            Purpose::Payment => "Approve a payment",
            Purpose::Recurring => "Approve recurring payments",
            Purpose::Funds => "Let somebody ask whether there is enough money",
        };
        Some(Self { about: about.to_string(), title, facts, purpose, accounts })
    }

    /// What the chosen accounts are for, and whether it is one.
    pub(super) fn legend(&self) -> (&'static str, bool) {
        match self.purpose {
            Purpose::Accounts => ("Share", false),
            Purpose::Payment | Purpose::Recurring => ("Pay from", true),
            Purpose::Funds => ("Answer about", true),
        }
    }
}

/// Everything in the app that waits for `user`.
pub(super) fn waiting_for(bank: &Bank, user: &str) -> Vec<Question> {
    bank.settle();
    let ids = bank.waiting_in_app(user);
    ids.into_iter().filter_map(|id| Question::of(bank, &About::Authorisation(id), user)).collect()
}

/// Records the decision; answers where the browser goes, if anywhere.
pub(super) fn conclude(bank: &Bank, about: &About, decision: &Decision) -> Option<String> {
    match about {
        About::Request(name) => oauth::conclude(bank, name, decision),
        About::Authorisation(id) => bank.vault.change(|book| {
            book.decide(bank.kind, id, decision, bank.now());
            let authorisation = book.authorisations.get(id)?;
            let declined = authorisation.nok_redirect.clone().filter(|_| !decision.approved);
            declined.or_else(|| authorisation.redirect.clone())
        }),
    }
}

fn facts(bank: &Bank, about: &About) -> Option<(Purpose, Vec<(&'static str, String)>)> {
    match about {
        About::Request(name) => {
            let pushed = oauth::pending_named(bank, name)?;
            bank.vault.read(|book| {
                let consent = book.consents.get(&pushed.consent)?;
                let facts = match consent.purpose {
                    Purpose::Payment => payment(bank, book, consent),
                    Purpose::Accounts | Purpose::Recurring | Purpose::Funds => sharing(book, consent),
                };
                Some((consent.purpose, facts))
            })
        }
        About::Authorisation(id) => bank.vault.read(|book| match &book.authorisations.get(id)?.subject {
            Subject::Consent(id) => {
                let consent = book.consents.get(id)?;
                Some((consent.purpose, sharing(book, consent)))
            }
            Subject::Order(id) => {
                let order = book.orders.get(id)?;
                let mut facts = order.instruction().facts();
                facts.push(("Asked by", book.known_as(&order.tpp)));
                Some((Purpose::Payment, facts))
            }
            Subject::Cancellation(id) => {
                let order = book.orders.get(id)?;
                let facts = [vec![("Cancel", id.clone())], order.instruction().facts()].concat();
                Some((Purpose::Payment, facts))
            }
        }),
    }
}

/// A payment whose consent waits, or one that is to be taken back.
fn payment(bank: &Bank, book: &Book, consent: &Consent) -> Vec<(&'static str, String)> {
    let polish = bank.kind == BankKind::PolishApi;
    let asked = if polish { crate::polish::asked(consent) } else { crate::uk::orders::asked(bank, consent) };
    let mut facts = match (asked, crate::polish::to_cancel(&consent.body)) {
        (Some(asked), _) => asked.facts(),
        (None, Some(id)) => {
            let order = book.orders.get(id);
            let facts = order.map(|order| order.instruction().facts()).unwrap_or_default();
            [vec![("Cancel", id.to_owned())], facts].concat()
        }
        (None, None) => Vec::new(),
    };
    facts.push(("Asked by", book.known_as(&consent.tpp)));
    facts
}

/// Payments again and again, with their limits.
fn recurring(book: &Book, consent: &Consent) -> Vec<(&'static str, String)> {
    let limits = crate::uk::recurring::limits_in_words(&consent.body);
    let mut facts: Vec<_> = limits.into_iter().map(|limit| ("At most", limit)).collect();
    let text = |pointer: &str| consent.body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    facts.push(("To", text("/Data/Initiation/CreditorAccount/Name").to_owned()));
    facts.push(("Account", text("/Data/Initiation/CreditorAccount/Identification").to_owned()));
    facts.push(("Until", until(consent)));
    facts.push(("Asked by", book.known_as(&consent.tpp)));
    facts
}

fn until(consent: &Consent) -> String {
    consent.expires.map_or("you end it".to_owned(), |expires| expires.strftime("%-d %B %Y").to_string())
}

/// What a consent shares or allows, in words.
pub(super) fn sharing(book: &Book, consent: &Consent) -> Vec<(&'static str, String)> {
    if consent.purpose == Purpose::Recurring {
        return recurring(book, consent);
    }
    let body = consent.body.to_string();
    let funds = consent.purpose == Purpose::Funds;
    let mut data = vec![if funds { "whether an amount is there" } else { "account details" }];
    let signs: [(&[&str], _); 3] = [
        (&["ReadBalances", "\"balances\"", "allPsd2", "ais:getAccount\""], "balances"),
        (
            &[
                "ReadTransactions",
                "\"transactions\"",
                "allPsd2",
                "ais:getTransactionsDone",
                "ais:getTransactionsPending",
            ],
            "transactions",
        ),
        (&["ais:getTransactionsScheduled"], "payments to come"),
    ];
    for (sign, words) in signs {
        if sign.iter().any(|sign| body.contains(sign)) {
            data.push(words);
        }
    }
    vec![("Data", data.join(", ")), ("Until", until(consent)), ("Asked by", book.known_as(&consent.tpp))]
}
