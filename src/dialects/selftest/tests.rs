use connect::{BankErrorKind, read_profiles};

use super::*;
use crate::{BerlinGroup, PolishApi, Stet, UkOpenBanking};

fn bank(dialect: &str, more: &str) -> Profile {
    let text = format!(
        "group = \"G\"\n[[brand]]\nid = \"de-examplebank\"\nname = \"B\"\ndialect = \"{dialect}\"\nregion = \"eu\"\n\
         environment = \"live\"\nclient_auth = \"certificate\"\n{more}\n"
    );
    let (mut profiles, problems) = read_profiles("x.toml", &text);
    assert_eq!(problems, [], "{more}");
    profiles.pop().unwrap()
}

/// The problems of all tests of a bank.
fn tested(dialect: &dyn Dialect, more: &str) -> Vec<String> {
    let outcomes = run(dialect, &bank(dialect.name(), more));
    assert!(!outcomes.is_empty());
    outcomes.into_iter().flat_map(|outcome| outcome.problems).collect()
}

fn asked(
    dialect: &dyn Dialect,
    profile: &Profile,
    operation: MapTarget,
    given: &Value,
) -> Result<Entries, BankError> {
    let test = ProfileTest {
        name: String::new(),
        operation,
        status: http::StatusCode::OK,
        headers: http::HeaderMap::new(),
        given: given.to_string(),
        expect: Expected::Entries(Vec::new()),
    };
    read(dialect, profile, &test)
}

/// The payee in the remittance text, behind keywords for cards and transfers.
const PAYEE_IN_TEXT: &str = r#"
    [brand.map]
    patterns = { keyword = '^(VIR INST|VIR|PRLV|ANN CARTE|CARTE \d{2}/\d{2})' }
    transactions.creditor_name = 'value ?? entry.remittanceInformationUnstructuredArray.join(" ").erase(keyword)'
    [[brand.tests]]
    name = "card payment"
    operation = "transactions"
    given.transactions.booked = [
        { transactionAmount = { amount = "-12.90", currency = "EUR" }, bookingDate = "2026-06-03", remittanceInformationUnstructuredArray = ["CARTE 03/06 LIDL"] },
        { transactionAmount = { amount = "5", currency = "EUR" }, creditorName = "Shop" },
    ]
    expect = [
        { creditor_name = "LIDL", booking_date = "2026-06-03", direction = "DBIT", amount = "12.90", remittance = ["CARTE 03/06 LIDL"] },
        { creditor_name = "Shop", direction = "CRDT", booking_date = "" },
    ]
"#;

/// Purchases without a minus sign, known by how their text begins.
const SIGN_IN_TEXT: &str = r#"
    [brand.map.transactions]
    direction = 'if entry.remittanceInformationUnstructured.starts_with("ΑΓΟΡΑ ") || is_negative(value) { "DBIT" } else { "CRDT" }'
    [[brand.tests]]
    name = "purchase"
    operation = "transactions"
    given.transactions.pending = [
        { transactionAmount = { amount = "7.10", currency = "EUR" }, remittanceInformationUnstructured = "ΑΓΟΡΑ X" },
        { transactionAmount = { amount = "7.10", currency = "EUR" } },
        { transactionAmount = { amount = "-7.10", currency = "EUR" } },
    ]
    expect = [{ direction = "DBIT" }, { direction = "CRDT" }, { direction = "DBIT" }]
"#;

/// Dates as people write them, a stand-in for no identifier, signs turned round.
const SEVERAL: &str = r#"
    [brand.map]
    transactions.booking_date = 'date(value, "%d.%m.%Y")'
    transactions.bank_transaction_id = 'none_if(value, ["UNASSIGNED", " "])'
    transactions.amount = 'negate(value)'
    transactions.remittance = 'value.split("|")'
    balances.type = 'if value == "disponible" { "ITAV" } else { value }'
    accounts.display_name = 'value ?? entry.alias'
    [[brand.tests]]
    name = "entry"
    operation = "transactions"
    given = '{"transactions":{"booked":[{"transactionId":"UNASSIGNED","bookingDate":"03.06.2026","transactionAmount":{"amount":"12.5","currency":"EUR"},"remittanceInformationUnstructured":"a | b"}]}}'
    expect = [{ bank_transaction_id = "", booking_date = "2026-06-03", direction = "DBIT", amount = "12.50", remittance = ["a", "b"] }]
    [[brand.tests]]
    name = "balance"
    operation = "balances"
    given.balances = [{ balanceType = "disponible", balanceAmount = { amount = "1", currency = "EUR" } }]
    expect = [{ type = "ITAV" }]
    [[brand.tests]]
    name = "account"
    operation = "accounts"
    given.accounts = [{ resourceId = "1", alias = "Mine" }]
    expect = [{ display_name = "Mine", resource_id = "1" }]
    [[brand.tests]]
    name = "refusal"
    operation = "accounts"
    status = 401
    given = '{"tppMessages":[{"code":"CONSENT_EXPIRED"}]}'
    expect_error = "consent-expired"
"#;

/// A list of method, payee and reference; pending entries dated ahead have no date yet.
const UK: &str = r#"
    [brand.map.transactions]
    creditor_name = '''
        let parts = entry.TransactionInformation.split(",");
        if parts.len() > 1 { parts.item(1) } else { value }
    '''
    booking_date = 'if entry.Status == "Pending" { () } else { value }'
    [[brand.tests]]
    name = "transfer"
    operation = "transactions"
    given.Data.Transaction = [
        { Status = "Pending", BookingDateTime = "2031-01-01T00:00:00Z", CreditDebitIndicator = "Debit", Amount = { Amount = "3.00", Currency = "GBP" }, TransactionInformation = "MOB, Corner Shop, ref" },
    ]
    expect = [{ creditor_name = "Corner Shop", booking_date = "", status = "PDNG" }]
"#;

/// Quirks that were seen at banks, each as rules and tests of a profile.
#[test]
fn quirks_that_names_cannot_say_are_rules() {
    for profile in [PAYEE_IN_TEXT, SIGN_IN_TEXT, SEVERAL] {
        assert_eq!(tested(&BerlinGroup, profile), Vec::<String>::new());
    }
    assert_eq!(tested(&UkOpenBanking, UK), Vec::<String>::new());
}

#[test]
fn a_test_that_fails_says_where() {
    let more = r#"
        [[brand.tests]]
        name = "n"
        operation = "balances"
        given.balances = [{ balanceType = "expected", balanceAmount = { amount = "1", currency = "EUR" } }]
        expect = [{ type = "CLBD", colour = "red", amount = "1.00" }]
        [[brand.tests]]
        name = "n"
        operation = "balances"
        given.balances = []
        expect = [{ type = "CLBD" }]
        [[brand.tests]]
        name = "n"
        operation = "balances"
        given.balances = []
        expect_error = "malformed-response"
        [[brand.tests]]
        name = "n"
        operation = "balances"
        given = "<html>"
        expect = []
    "#;
    assert_eq!(
        tested(&BerlinGroup, more),
        [
            "[0].colour is no field",
            "[0].type is \"XPCD\" instead of \"CLBD\"",
            "0 entries were read instead of 1",
            "0 entries were read instead of the error malformed-response",
            "de-examplebank: the bank's answer cannot be read, status 200, at body",
        ]
    );
}

/// An answer with one entry, and in it what the standard demands.
fn one_entry(dialect: &dyn Dialect, target: MapTarget) -> Value {
    let money = json!({ "amount": "1", "currency": "EUR" });
    let uk = json!({ "Amount": "1", "Currency": "EUR" });
    match (dialect.name(), target) {
        ("berlin-group", MapTarget::Accounts) => json!({ "accounts": [{ "resourceId": "1" }] }),
        ("berlin-group", MapTarget::Balances) => {
            json!({ "balances": [{ "balanceType": "expected", "balanceAmount": money }] })
        }
        ("berlin-group", MapTarget::Transactions) => {
            json!({ "transactions": { "booked": [{ "transactionAmount": money }] } })
        }
        ("stet", MapTarget::Accounts) => json!({ "accounts": [{ "resourceId": "1" }] }),
        ("stet", MapTarget::Balances) => {
            json!({ "balances": [{ "balanceType": "XPCD", "balanceAmount": money }] })
        }
        ("stet", MapTarget::Transactions) => {
            let entry =
                json!({ "status": "BOOK", "creditDebitIndicator": "CRDT", "transactionAmount": money });
            json!({ "transactions": [entry] })
        }
        ("polish-api", MapTarget::Transactions) => {
            let entry = json!({ "amount": "1", "currency": "EUR", "transactionCategory": "CREDIT" });
            json!({ "transactions": [entry] })
        }
        ("polish-api", _) => json!({ "accounts": [{ "accountNumber": "1" }] }),
        (_, MapTarget::Accounts) => json!({ "Data": { "Account": [{ "AccountId": "1" }] } }),
        (_, MapTarget::Balances) => {
            let entry = json!({ "Type": "Expected", "Amount": uk, "CreditDebitIndicator": "Credit" });
            json!({ "Data": { "Balance": [entry] } })
        }
        (_, MapTarget::Transactions) => {
            let entry = json!({ "Status": "Booked", "Amount": uk, "CreditDebitIndicator": "Credit" });
            json!({ "Data": { "Transaction": [entry] } })
        }
    }
}

/// Each field that may have a rule is what its rule gives, in every dialect; and
/// what fails the check that a bank's own value has to pass is the profile's fault.
#[test]
fn every_field_is_what_its_rule_gives_and_passes_the_checks_of_a_banks_value() {
    let dialects: [&dyn Dialect; 4] = [&BerlinGroup, &UkOpenBanking, &Stet, &PolishApi];
    for dialect in dialects {
        for target in MapTarget::ALL {
            if (dialect.name(), target) == ("polish-api", MapTarget::Balances) {
                continue;
            }
            for (field, _) in target.fields() {
                let given = match *field {
                    "amount" => json!("7.50"),
                    "currency" => json!("USD"),
                    "direction" => json!("DBIT"),
                    "status" => json!("INFO"),
                    "type" => json!("CLBD"),
                    "credit_line_included" => json!(true),
                    "booking_date" | "value_date" | "reference_date" => json!("2026-06-03"),
                    "booked_at" | "last_change_at" => json!("2026-06-03T04:05:06Z"),
                    "holders" | "remittance" | "references" => json!(["x", "y"]),
                    _ => json!("made"),
                };
                let key = format!("{}.{field}", target.as_str());
                let answer = one_entry(dialect, target);
                let ruled = |rule: &str| {
                    let profile = bank(dialect.name(), &format!("[brand.map]\n{key} = '{rule}'"));
                    asked(dialect, &profile, target, &answer)
                };
                let entries = ruled(&given.to_string()).unwrap_or_else(|error| panic!("{key}: {error}"));
                assert_eq!(entries[0][*field], given, "{} {key}", dialect.name());
                let error = ruled("[[[1]]]").unwrap_err();
                assert_eq!(error.kind, BankErrorKind::ProfileError, "{key}");
                assert!(error.field.as_deref().unwrap().starts_with(&format!("map.{key}")), "{error}");
            }
        }
    }
}

/// A rule that does not end, or an entry that is too large for rules, is an error
/// of this bank's profile. The same answer at a bank without rules is read.
#[test]
fn a_rule_that_runs_into_a_limit_is_that_banks_profile_error() {
    let transactions = MapTarget::Transactions;
    let mut answer = one_entry(&BerlinGroup, transactions);
    let endless = "[brand.map]\ntransactions.creditor_name = 'while entry.transactionAmount != () {} value'";
    let (endless, plain) = (bank("berlin-group", endless), bank("berlin-group", ""));
    let failure = |answer: &Value| {
        let error = asked(&BerlinGroup, &endless, transactions, answer).unwrap_err();
        (error.kind, error.field.unwrap())
    };
    let profile_error = BankErrorKind::ProfileError;
    let steps = "map.transactions.creditor_name (too many steps)";
    assert_eq!(failure(&answer), (profile_error, steps.into()));
    assert_eq!(asked(&BerlinGroup, &plain, transactions, &answer).unwrap().len(), 1);
    let text = "x".repeat(20_000);
    answer["transactions"]["booked"][0]["remittanceInformationUnstructured"] = text.into();
    assert_eq!(failure(&answer), (profile_error, "map.transactions (too large)".into()));
    assert_eq!(asked(&BerlinGroup, &plain, transactions, &answer).unwrap().len(), 1);
}

/// The examples of the handbook load, and their tests pass.
#[test]
fn the_examples_of_the_handbook_are_profiles() {
    let handbook = include_str!("../../../docs/profiles.md");
    let mut examples = 0;
    for block in handbook.split("\n```").skip(1).step_by(2) {
        let (language, text) = block.split_once('\n').unwrap();
        let (file, text) = match language {
            "toml" => ("x.toml", text.to_owned()),
            "yaml" => ("x.yaml", text.to_owned()),
            // What may stand in a brand.
            "toml brand" => {
                let uk = text.contains("uk_open_banking");
                let dialect = if uk { "uk-open-banking" } else { "berlin-group" };
                let brand = format!(
                    "group = \"G\"\n[[brand]]\nid = \"de-b\"\nname = \"B\"\ndialect = \"{dialect}\"\n\
                     region = \"eu\"\nenvironment = \"live\"\nclient_auth = \"certificate\"\n"
                );
                ("x.toml", format!("{brand}{text}"))
            }
            _ => continue,
        };
        let (profiles, problems) = read_profiles(file, &text);
        assert_eq!((profiles.len(), problems), (1, Vec::new()), "{text}");
        let dialect: &dyn Dialect =
            if profiles[0].dialect == "berlin-group" { &BerlinGroup } else { &UkOpenBanking };
        for outcome in run(dialect, &profiles[0]) {
            assert_eq!(outcome.problems, Vec::<String>::new(), "{}", outcome.name);
        }
        examples += 1;
    }
    assert_eq!(examples, 8);
}
