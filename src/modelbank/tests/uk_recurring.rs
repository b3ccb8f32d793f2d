//! Variable recurring payments at the UK bank, over real TLS.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod world;

use consentry_modelbank::BankKind;
use domain::Clock;
use serde_json::{Value, json};
use world::{Answer, Bank, Tpp, World, parameter};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-long";
const CONSENTS: &str = "/pisp/domestic-vrp-consents";

fn consent_data() -> Value {
    json!({
        "ReadRefundAccount": "Yes",
        "ControlParameters": {
            "VRPType": ["UK.OBIE.VRPType.Sweeping"],
            "PSUAuthenticationMethods": ["UK.OBIE.SCANotRequired"],
            "MaximumIndividualAmount": {"Amount": "50.00", "Currency": "GBP"},
            "PeriodicLimits": [
                {"PeriodType": "Day", "PeriodAlignment": "Consent", "Amount": "80.00", "Currency": "GBP"}
            ]
        },
        "Initiation": {
            "CreditorAccount": {
                "SchemeName": "UK.OBIE.SortCodeAccountNumber",
                "Identification": "99001120000018",
                "Name": "Ben Okafor"
            }
        }
    })
}

async fn post(
    world: &World,
    tpp: &Tpp,
    bank: &Bank,
    path: &str,
    token: &str,
    key: &str,
    data: &Value,
) -> Answer {
    let body = json!({"Data": data, "Risk": {"PaymentContextCode": "TransferToSelf"}}).to_string();
    let sealed = tpp.sealed(world.clock.now().as_second(), &body);
    let headers = [("x-jws-signature", sealed.as_str()), ("x-idempotency-key", key)];
    tpp.uk(bank, "POST", path, token, &headers, &body).await
}

/// A consent that the customer gave, and the token of it.
async fn given(world: &World, tpp: &Tpp, bank: &Bank, client: &str) -> (String, String) {
    let made = post(world, tpp, bank, CONSENTS, client, "c", &consent_data()).await.expect(201);
    assert_eq!(made.at("/Data/Status"), "AWAU");
    let consent = made.at("/Data/ConsentId");
    let url = tpp.push(bank, &consent, "openid payments", VERIFIER).await;
    let sent_back = world.browser().send("GET", &url, &[], "").await.expect(303);
    let tokens = tpp.redeem(bank, &parameter(&sent_back, "code").unwrap(), VERIFIER).await.expect(200);
    (consent, tokens.at("/access_token"))
}

fn order(consent: &str, amount: &str) -> Value {
    let initiation = consent_data()["Initiation"].clone();
    json!({
        "ConsentId": consent,
        "PSUAuthenticationMethod": "UK.OBIE.SCANotRequired",
        "VRPType": "UK.OBIE.VRPType.Sweeping",
        "Initiation": initiation,
        "Instruction": {
            "InstructionIdentification": "i1",
            "EndToEndIdentification": "e1",
            "InstructedAmount": {"Amount": amount, "Currency": "GBP"},
            "CreditorAccount": initiation["CreditorAccount"]
        }
    })
}

/// Two payments under one consent, the limits of it, and its end.
#[tokio::test]
async fn payments_are_made_under_a_consent_until_a_limit_or_its_end() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let client = tpp.client_token(&bank, "payments").await;
    let (consent, token) = given(&world, &tpp, &bank, &client).await;
    let path = format!("{CONSENTS}/{consent}");
    let shown = tpp.uk(&bank, "GET", &path, &client, &[], "").await.expect(200);
    assert_eq!(shown.at("/Data/Status"), "AUTH");
    assert!(shown.json().pointer("/Data/DebtorAccount/Identification").is_some());
    let vrps = "/pisp/domestic-vrps";
    let pay = async |key: &str, amount: &str| {
        post(&world, &tpp, &bank, vrps, &token, key, &order(&consent, amount)).await
    };
    let first = pay("1", "40.00").await.expect(201);
    assert_eq!(first.json()["Data"]["Refund"]["SchemeName"], "UK.OBIE.SortCodeAccountNumber");
    assert_eq!(
        pay("1", "40.00").await.expect(201).at("/Data/DomesticVRPId"),
        first.at("/Data/DomesticVRPId")
    );
    let one = format!("{vrps}/{}", first.at("/Data/DomesticVRPId"));
    tpp.uk(&bank, "GET", &one, &client, &[], "").await.expect(200);
    let funds = |amount: &str| json!({ "ConsentId": consent, "InstructedAmount": { "Amount": amount, "Currency": "GBP" } });
    let place = format!("{path}/funds-confirmation");
    for (amount, said) in [("1.00", "Available"), ("5.11", "NotAvailable"), ("9999999.00", "NotAvailable")] {
        let told = post(&world, &tpp, &bank, &place, &token, "f", &funds(amount)).await.expect(201);
        assert_eq!(told.at("/Data/FundsAvailableResult/FundsAvailable"), said, "{amount}");
    }
    let unsigned = json!({ "Data": funds("1.00") }).to_string();
    let refused = tpp.uk(&bank, "POST", &place, &token, &[], &unsigned).await.expect(400);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "U019");
    // More than one payment may have, and more than the day has left.
    for (key, amount) in [("2", "50.01"), ("3", "40.01")] {
        assert_eq!(pay(key, amount).await.expect(400).at("/Errors/0/ErrorCode"), "U014", "{amount}");
    }
    pay("4", "40.00").await.expect(201);
    let mut other = order(&consent, "1.00");
    other["Instruction"]["CreditorAccount"]["Identification"] = json!("99001120000026");
    let refused = post(&world, &tpp, &bank, vrps, &token, "5", &other).await.expect(400);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "U008");
    // A VRP consent is none to a single payment, and the other way round.
    let single = format!("/pisp/domestic-payment-consents/{consent}");
    tpp.uk(&bank, "GET", &single, &client, &[], "").await.expect(400);
    tpp.uk(&bank, "DELETE", &path, &client, &[], "").await.expect(204);
    tpp.uk(&bank, "GET", &path, &client, &[], "").await.expect(400);
    pay("6", "1.00").await.expect(401);
    bank.stop().await;
}

/// What no consent can be made of.
#[tokio::test]
async fn control_parameters_that_make_no_sense_are_refused() {
    let world = World::new();
    let tpp = world.both();
    let bank = world.bank(BankKind::UkOpenBanking, true, &[&tpp]).await;
    let client = tpp.client_token(&bank, "payments").await;
    for (pointer, value, code) in [
        ("/ControlParameters/PeriodicLimits", json!([]), "U004"),
        ("/ControlParameters/PeriodicLimits/0/PeriodType", json!("Decade"), "U002"),
        ("/ControlParameters/PeriodicLimits/0/Amount", json!("-1"), "U002"),
        ("/ControlParameters/VRPType", json!(["UK.OBIE.VRPType.Else"]), "U002"),
        ("/ControlParameters/MaximumIndividualAmount/Currency", json!("EUR"), "U023"),
        ("/Initiation/CreditorAccount/Identification", json!("1"), "U021"),
    ] {
        let mut data = consent_data();
        *data.pointer_mut(pointer).unwrap() = value;
        let refused =
            post(&world, &tpp, &bank, CONSENTS, &client, pointer.rsplit('/').next().unwrap(), &data).await;
        assert_eq!(refused.expect(400).at("/Errors/0/ErrorCode"), code, "{pointer}");
    }
    let mut fortnight = consent_data();
    let limit = &mut fortnight["ControlParameters"]["PeriodicLimits"][0];
    limit["PeriodType"] = json!("Fortnight");
    limit["PeriodAlignment"] = json!("Calendar");
    let refused = post(&world, &tpp, &bank, CONSENTS, &client, "f", &fortnight).await.expect(400);
    assert_eq!(refused.at("/Errors/0/ErrorCode"), "U002");
    bank.stop().await;
}
