//! `consentry clients policy`: what the operator lets a client pay.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use domain::{
    AccountIdentification, Money, Others, PayeePolicy, PaymentPolicy, SortCodeAccount, SystemClock,
};
use flows::{IdKey, Invalidated};
use serde::{Deserialize, Serialize};

use super::clients::{existing, is_gone, open};
use crate::cli::StoreArgs;
use crate::service::state::id_key;

/// A policy as an operator writes it, in TOML.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyFile {
    max_per_payment: Vec<String>,
    max_per_day: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_payments_per_day: Option<u32>,
    payees: Payees,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
struct Payees {
    others: Allowed,
    max_to_others: Vec<String>,
    #[serde(skip_serializing)]
    trusted: Vec<Account>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Allowed {
    #[default]
    Allowed,
    Refused,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, untagged)]
enum Account {
    Iban { iban: String },
    SortCode { sort_code: String, account_number: String },
}

impl PolicyFile {
    fn policy(&self, digest: impl Fn(&AccountIdentification) -> String) -> anyhow::Result<PaymentPolicy> {
        let payees = &self.payees;
        let others = match (&payees.others, amounts("payees.max_to_others", &payees.max_to_others)?) {
            (Allowed::Refused, most) if most.is_empty() => Others::Refused,
            (Allowed::Refused, _) => bail!("payees.max_to_others: others are refused, so they have no most"),
            (Allowed::Allowed, most) if most.is_empty() => Others::Alike,
            (Allowed::Allowed, most) => Others::UpTo(most),
        };
        let mut trusted = std::collections::BTreeSet::new();
        for (index, account) in payees.trusted.iter().enumerate() {
            let account = account.identification().with_context(|| format!("payees.trusted[{index}]"))?;
            trusted.insert(digest(&account));
        }
        Ok(PaymentPolicy {
            max_per_payment: amounts("max_per_payment", &self.max_per_payment)?,
            max_per_day: amounts("max_per_day", &self.max_per_day)?,
            max_payments_per_day: self.max_payments_per_day,
            payees: PayeePolicy { trusted, others },
        })
    }

    fn of(policy: &PaymentPolicy) -> Self {
        let texts = |amounts: &[Money]| amounts.iter().map(Money::to_string).collect();
        let (others, most) = match &policy.payees.others {
            Others::Alike => (Allowed::Allowed, Vec::new()),
            Others::UpTo(most) => (Allowed::Allowed, texts(most)),
            Others::Refused => (Allowed::Refused, Vec::new()),
        };
        Self {
            max_per_payment: texts(&policy.max_per_payment),
            max_per_day: texts(&policy.max_per_day),
            max_payments_per_day: policy.max_payments_per_day,
            payees: Payees { others, max_to_others: most, trusted: Vec::new() },
        }
    }
}

impl Account {
    fn identification(&self) -> anyhow::Result<AccountIdentification> {
        Ok(match self {
            Self::Iban { iban } => AccountIdentification::Iban(iban.parse()?),
            Self::SortCode { sort_code, account_number } => {
                AccountIdentification::SortCode(SortCodeAccount::new(sort_code, account_number)?)
            }
        })
    }
}

fn amounts(key: &str, texts: &[String]) -> anyhow::Result<Vec<Money>> {
    let mut amounts: Vec<Money> = Vec::new();
    for text in texts {
        let amount: Money =
            text.parse().with_context(|| format!("{key}: an amount is written \"100.00 EUR\""))?;
        if amounts.iter().any(|known| known.currency() == amount.currency()) {
            bail!("{key}: {} has two amounts", amount.currency());
        }
        amounts.push(amount);
    }
    Ok(amounts)
}

/// Shows, replaces or ends the policy of a client.
pub(super) async fn run(
    at: &StoreArgs,
    id: &str,
    file: Option<&Path>,
    none: bool,
) -> anyhow::Result<ExitCode> {
    let wanted = match file {
        Some(file) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))?;
            let key = IdKey::new(id_key(&at.place()?.keys)?);
            // What toml says may repeat a line of the file, and there are accounts in it.
            let read: PolicyFile = toml::from_str(&text).map_err(|error| {
                let line = text.get(..error.span().map_or(0, |span| span.start)).unwrap_or_default();
                anyhow::anyhow!("line {}: {}", line.lines().count().max(1), error.message())
            })?;
            let policy = read.policy(|account| key.payee(id, account));
            Some(policy.with_context(|| format!("{} holds no policy", file.display()))?)
        }
        None => None,
    };
    let store = open(at).await?;
    let done = change(&store, id, wanted.as_ref(), none).await;
    store.close().await;
    writeln!(std::io::stdout(), "{}", done?)?;
    Ok(ExitCode::SUCCESS)
}

async fn change(
    store: &store::GlobalStore,
    id: &str,
    wanted: Option<&PaymentPolicy>,
    none: bool,
) -> anyhow::Result<String> {
    let row = existing(store, id).await?;
    if is_gone(&row) {
        bail!("client {id} was removed");
    }
    if wanted.is_none() && !none {
        return match &row.payment_policy {
            Some(policy) => {
                let text = toml::to_string(&PolicyFile::of(policy))?;
                let trusted = policy.payees.trusted.len();
                Ok(format!("{text}# {trusted} trusted payees, of whom only digests are kept"))
            }
            None => Ok(format!("# Client {id} has no limits of its own.")),
        };
    }
    // What is set twice is set.
    let set = store::transaction!(keyed store, tx => {
        tx.set_payment_policy(id, wanted).await?;
        flows::invalidate(tx, &SystemClock, Invalidated::Client(id)).await
    })?;
    flows::until_dropped(store, &SystemClock, &set).await?;
    Ok(match wanted {
        Some(_) => format!("Orders of client {id} are held against this from now on."),
        None => format!("Client {id} has no limits of its own any more."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<PaymentPolicy, String> {
        let file: PolicyFile = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        file.policy(AccountIdentification::normalised).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_policy_reads_as_it_is_written() {
        let policy = read(
            "max_per_payment = [\"100.00 EUR\", \"80 GBP\"]\nmax_payments_per_day = 9\n\
             [payees]\nmax_to_others = [\"5.00 EUR\"]\n\
             trusted = [{ iban = \"DE42999100002000000018\" }, { sort_code = \"20-00-00\", account_number = \"12345678\" }]",
        )
        .unwrap();
        assert_eq!((policy.max_per_payment.len(), policy.payees.trusted.len()), (2, 2));
        let again = toml::to_string(&PolicyFile::of(&policy)).unwrap();
        assert_eq!(
            PaymentPolicy {
                payees: PayeePolicy {
                    trusted: policy.payees.trusted.clone(),
                    ..read(&again).unwrap().payees
                },
                ..read(&again).unwrap()
            },
            policy
        );
        assert!(!again.contains("2000000018") && !again.contains("12345678"), "{again}");
    }

    #[test]
    fn what_is_wrong_with_a_policy_is_said() {
        for (text, why) in [
            ("max_per_day = [\"100\"]", "max_per_day: an amount is written"),
            ("max_per_day = [\"1 EUR\", \"2 EUR\"]", "EUR has two amounts"),
            ("[payees]\ntrusted = [{ iban = \"DE00\" }]", "payees.trusted[0]"),
            ("[payees]\nothers = \"refused\"\nmax_to_others = [\"1 EUR\"]", "others are refused"),
            ("max_per_year = []", "unknown field"),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
