//! How far a deviation can be met: to the accounts, to all transactions, or to a
//! payment that settles.

use std::time::Duration;

use consentry::demo::{RETURN, Tpp, verifier};
use flows::Read;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::support::consents::ShiftedClock;
use crate::support::funds::{ask, given, issuer};
use crate::support::{TestGateway, UK, parameter, rows};

/// A journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Journey {
    /// A consent, and the accounts under it.
    Accounts,
    /// A consent, and every transaction of the current account.
    Transactions,
    /// A consent, and its token again an hour later.
    Refresh,
    /// A consent, and its accounts again a day later.
    AccountsLater,
    /// A consent, and another one in its place.
    Renewal,
    /// A payment until it is settled.
    Payment,
    /// A consent to questions about funds, and the answer to one.
    Funds,
    /// A mandate, and a payment under it until it is settled, with the account to
    /// refund to.
    Recurring,
}

impl Journey {
    /// Takes it.
    pub(crate) async fn run(self, gw: &TestGateway, tpp: &Tpp, clock: &ShiftedClock) -> Result<(), String> {
        match self {
            Self::Accounts => consented(gw, tpp).await.map(drop),
            Self::Transactions => transactions(gw, tpp).await,
            Self::Refresh => refreshed(gw, tpp, clock).await,
            Self::AccountsLater => accounts_later(gw, tpp, clock).await,
            Self::Renewal => renewed(gw, tpp).await,
            Self::Payment => payment(gw, tpp).await,
            Self::Funds => asked(gw).await,
            Self::Recurring => recurring(gw, tpp).await,
        }
    }
}

fn told(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}

/// A consent that was given, its token, and the id of its current account.
struct Given {
    consents: Vec<String>,
    token: SecretString,
    account: String,
}

async fn consented(gw: &TestGateway, tpp: &Tpp) -> Result<Given, String> {
    let own = tpp.own_token("accounts").await.map_err(told)?;
    let consents = tpp.lodge(&own, &[UK]).await.map_err(told)?;
    let verifier = verifier();
    let pushed = tpp.push(&consents, &verifier).await.map_err(told)?.expect(201).map_err(told)?;
    let visit = gw.person().walk(&tpp.start_of(&pushed).map_err(told)?, RETURN).await.map_err(told)?;
    let code = parameter(&visit, "code");
    if code.is_empty() {
        let consent = tpp.get(&own, &format!("/v1/consents/{}", consents[0])).await.map_err(told)?.json();
        return Err(format!("no code; the consent is {} ({})", consent["status"], consent["status_reason"]));
    }
    let tokens = tpp.redeem(&code, &verifier).await.map_err(told)?.expect(200).map_err(told)?;
    let token: SecretString = tokens.text("/access_token").into();
    let accounts = tpp.get(&token, "/v1/accounts").await.map_err(told)?.expect(200).map_err(told)?;
    let rows = rows(&accounts);
    let current = rows.iter().find(|row| row["cash_account_type"] == "CACC");
    let account = current.ok_or("no current account")?["id"].as_str().unwrap_or_default().to_owned();
    Ok(Given { consents, token, account })
}

async fn transactions(gw: &TestGateway, tpp: &Tpp) -> Result<(), String> {
    let given = consented(gw, tpp).await?;
    let path = format!("/v1/accounts/{}/transactions?limit=200", given.account);
    let answer = tpp.get(&given.token, &path).await.map_err(told)?.expect(200).map_err(told)?;
    // More than the bank gives on one page.
    let found = rows(&answer).len();
    if found > 40 { Ok(()) } else { Err(format!("{found} transactions")) }
}

async fn refreshed(gw: &TestGateway, tpp: &Tpp, clock: &ShiftedClock) -> Result<(), String> {
    let given = consented(gw, tpp).await?;
    clock.advance(3_590);
    gw.read(tpp, &given.consents, Read::Balances).await.map_err(told).map(drop)
}

async fn accounts_later(gw: &TestGateway, tpp: &Tpp, clock: &ShiftedClock) -> Result<(), String> {
    let given = consented(gw, tpp).await?;
    clock.advance(86_400);
    let read = gw.read(tpp, &given.consents, Read::Accounts).await.map_err(told)?;
    let known = read.accounts.iter().any(|account| account.id.to_string() == given.account);
    if known { Ok(()) } else { Err("the account is not there".into()) }
}

async fn renewed(gw: &TestGateway, tpp: &Tpp) -> Result<(), String> {
    let given = consented(gw, tpp).await?;
    let own = tpp.own_token("accounts").await.map_err(told)?;
    let order = format!("/v1/consents/{}/renew", given.consents[0]);
    let consent = tpp.post(&own, &order, &json!({})).await.map_err(told)?.expect(201).map_err(told)?;
    let verifier = verifier();
    let pushed =
        tpp.push(&[consent.text("/id")], &verifier).await.map_err(told)?.expect(201).map_err(told)?;
    let visit = gw.person().walk(&tpp.start_of(&pushed).map_err(told)?, RETURN).await.map_err(told)?;
    if parameter(&visit, "code").is_empty() { Err("no code".into()) } else { Ok(()) }
}

async fn payment(gw: &TestGateway, tpp: &Tpp) -> Result<(), String> {
    let own = tpp.own_token("payments").await.map_err(told)?;
    let mut order = Tpp::small_payment(UK);
    order["debtor_account"] = debtor();
    let ordered = tpp.post(&own, "/v1/payments", &order).await.map_err(told)?.expect(201).map_err(told)?;
    let start = ordered.text("/authorization/href");
    gw.person().walk(&start, RETURN).await.map_err(told)?;
    settled(tpp, &own, &ordered.text("/id")).await.map(drop)
}

/// A mandate that is given, and a payment under it that settles and says where a
/// refund goes.
async fn recurring(gw: &TestGateway, tpp: &Tpp) -> Result<(), String> {
    let own = tpp.own_token("payments").await.map_err(told)?;
    let gbp = |amount: &str| json!({ "amount": amount, "currency": "GBP" });
    let mandate = json!({
        "institution_id": UK,
        "scheme": "COMMERCIAL",
        "constraints": {
            "max_per_payment": gbp("50.00"),
            "periodic_limits": [{ "period": "MONTH", "alignment": "CONSENT", "max_amount": gbp("80.00") }],
        },
        "creditor": { "name": "Corner Bookshop" },
        "creditor_account": {
            "sort_code_account_number": { "sort_code": "990011", "account_number": "20000018" },
        },
        "redirect_uri": RETURN,
    });
    let ordered = tpp.post(&own, "/v1/mandates", &mandate).await.map_err(told)?.expect(201).map_err(told)?;
    gw.person().walk(&ordered.text("/authorization/href"), RETURN).await.map_err(told)?;
    let path = format!("/v1/mandates/{}/payments", ordered.text("/id"));
    let paid = tpp.post(&own, &path, &json!({ "amount": gbp("12.34") })).await.map_err(told)?;
    let payment = settled(tpp, &own, &paid.expect(201).map_err(told)?.text("/id")).await?;
    let refund = &payment["refund"]["account"];
    if refund.is_object() { Ok(()) } else { Err("no account to refund to".into()) }
}

/// A payment once it is settled.
async fn settled(tpp: &Tpp, own: &SecretString, id: &str) -> Result<Value, String> {
    let path = format!("/v1/payments/{id}");
    let look = async {
        let mut beat = tokio::time::interval(Duration::from_millis(30));
        loop {
            beat.tick().await;
            let payment = tpp.get(own, &path).await.map_err(told)?.json();
            if payment["final"] == true || payment["failure"].is_object() {
                let settled = payment["state"] == "SETTLED";
                return if settled { Ok(payment) } else { Err(outcome(&payment)) };
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(3), look)
        .await
        .unwrap_or_else(|_| Err("nothing comes of it".into()))
}

async fn asked(gw: &TestGateway) -> Result<(), String> {
    let tpp = issuer(gw).await;
    let given = given(&tpp, UK, gw.person()).await?;
    let answer = ask(&tpp, &given, "1.00", "GBP").await.expect(200).map_err(told)?.json();
    // An answer that tells nothing is a no, and is said to be worth nothing.
    let (available, reliable) = (&answer["available"], &answer["reliable"]);
    if available == reliable { Ok(()) } else { Err(format!("available {available}, reliable {reliable}")) }
}

fn outcome(payment: &Value) -> String {
    format!("{} ({})", payment["state"], payment["failure"])
}

fn debtor() -> Value {
    json!({ "sort_code_account_number": { "sort_code": "990011", "account_number": "10000017" } })
}
