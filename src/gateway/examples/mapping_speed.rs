//! Turns a bank's list of 10,000 transactions into the JSON of our API, on one
//! core: read, checked, given ids, written. Beside it, in turns, the same bytes
//! are only parsed into values and written again. Prints one JSON object.

use std::time::Instant;

use api::{TransactionView, Viewer};
use bytes::Bytes;
use connect::{AccountInformation, ApiBase, BankRequest, BankResponse, CallContext, Dialect, Profile};
use dialects::{BerlinGroup, UkOpenBanking};
use domain::{AccountId, ConsentId};
use flows::{AccountData, IdKey};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

/// As in the gateway.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const ENTRIES: usize = 10_000;
const ROUNDS: usize = 15;

fn main() -> anyhow::Result<()> {
    let mut figures = serde_json::Map::new();
    let dialects: [&dyn Dialect; 2] = [&BerlinGroup, &UkOpenBanking];
    for dialect in dialects {
        let (profile, body) = bank(dialect.name())?;
        let information = dialect.accounts().ok_or_else(|| anyhow::anyhow!("no account information"))?;
        let response = answer(&body);
        let (mut ours, mut tree) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            ours.push(rate(body.len(), || read(information, &profile, &response))?);
            tree.push(rate(body.len(), || {
                Ok(usize::from(serde_json::from_slice::<Value>(&body)?.is_object()))
            })?);
        }
        figures.insert(
            dialect.name().to_owned(),
            json!({ "bytes": body.len(), "mb_per_second": median(ours), "value_mb_per_second": median(tree) }),
        );
    }
    println!("{}", Value::Object(figures));
    Ok(())
}

/// Millions of bytes a second.
fn rate(bytes: usize, work: impl Fn() -> anyhow::Result<usize>) -> anyhow::Result<u64> {
    let started = Instant::now();
    anyhow::ensure!(work()? > 0, "nothing was read");
    let micros = u64::try_from(started.elapsed().as_micros())?.max(1);
    Ok(u64::try_from(bytes)? / micros)
}

fn median(mut all: Vec<u64>) -> u64 {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

/// From the bytes of the bank to those of the API.
fn read(
    information: &dyn AccountInformation,
    profile: &Profile,
    response: &BankResponse,
) -> anyhow::Result<usize> {
    let now = domain::Timestamp::UNIX_EPOCH;
    let cx = CallContext {
        profile,
        request_id: Uuid::nil(),
        now,
        psu: None,
        psu_id: None,
        access_token: None,
        bank_consent_id: None,
    };
    let asked = BankRequest::get(profile.accounts_api()?.url.clone());
    let entries = information.transactions_read(&cx, &asked, response)?.items;
    let id = AccountId::from_uuid(profile.region, Uuid::nil());
    let ids = IdKey::new([7; 32]).transactions(id, &entries);
    let account = AccountData {
        id,
        consent: ConsentId::from_uuid(profile.region, Uuid::nil()),
        institution: profile.id.clone(),
        account: None,
        detail: true,
        balances: Vec::new(),
        transactions: Vec::new(),
        resources: Vec::new(),
        file: None,
        standard: profile.dialect.clone(),
        fetched_at: now,
    };
    let viewer = Viewer::of(&account);
    let views: Vec<TransactionView> = ids
        .into_iter()
        .zip(entries)
        .map(|((id, provenance), entry)| viewer.show(id, provenance, entry))
        .collect();
    Ok(serde_json::to_vec(&views)?.len())
}

fn answer(body: &Bytes) -> BankResponse {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    BankResponse { status: StatusCode::OK, headers, body: body.clone() }
}

fn bank(dialect: &str) -> anyhow::Result<(Profile, Bytes)> {
    let mut profile = Profile::blank("de-bench".parse()?, "Bench", "eu".parse()?, dialect);
    let url = "https://bank.example/v1".parse()?;
    profile.accounts_api = Some(ApiBase { url, version: "1.3".into() });
    let entry: fn(usize) -> Value = if dialect == "berlin-group" { berlin_group } else { uk };
    let entries: Vec<Value> = (0..ENTRIES).map(entry).collect();
    let body = if dialect == "berlin-group" {
        json!({ "account": { "iban": "DE89370400440532013000" }, "transactions": { "booked": entries } })
    } else {
        json!({ "Data": { "Transaction": entries }, "Links": {}, "Meta": { "TotalPages": 1 } })
    };
    Ok((profile, body.to_string().into()))
}

fn berlin_group(n: usize) -> Value {
    json!({
        "transactionId": format!("2026-11-{:08}", n),
        "entryReference": format!("2026-{:06}", n),
        "endToEndId": format!("E2E-{n}"),
        "bookingDate": "2026-11-02",
        "valueDate": "2026-11-02",
        "transactionAmount": { "currency": "EUR", "amount": format!("-{}.{:02}", n % 900, n % 100) },
        "creditorName": "Frischmarkt am Dom GmbH",
        "creditorAccount": { "iban": "DE02120300000000202051" },
        "remittanceInformationUnstructured": format!("Kartenzahlung Frischmarkt Filiale {} 02.11.2026", n % 97),
        "bankTransactionCode": "PMNT-CCRD-POSD",
        "proprietaryBankTransactionCode": "KARTE",
    })
}

fn uk(n: usize) -> Value {
    json!({
        "AccountId": "22289",
        "TransactionId": format!("{:012}", n.saturating_add(1)),
        "TransactionReference": format!("Ref {n}"),
        "CreditDebitIndicator": "Debit",
        "Status": "BOOK",
        "BookingDateTime": "2026-11-02T10:43:07+00:00",
        "ValueDateTime": "2026-11-02T10:43:07+00:00",
        "TransactionInformation": format!("Card payment at Green Basket {}", n % 97),
        "Amount": { "Amount": format!("{}.{:02}", n % 900, n % 100), "Currency": "GBP" },
        "BankTransactionCode": { "Code": "CCRD", "SubCode": "POSD" },
        "ProprietaryBankTransactionCode": { "Code": "CARD", "Issuer": "AlbionBank" },
        "MerchantDetails": { "MerchantName": "Green Basket", "MerchantCategoryCode": "5411" },
        "Balance": {
            "Amount": { "Amount": "230.00", "Currency": "GBP" },
            "CreditDebitIndicator": "Credit",
            "Type": "ITBD",
        },
    })
}
