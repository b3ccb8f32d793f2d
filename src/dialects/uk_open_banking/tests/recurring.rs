use connect::RecurringPayments;
use domain::{Alignment, MandateConstraints, MandateOrder, MandateScheme, Period, PeriodicLimit};

use super::*;
use crate::uk_open_banking::recurring::UkRecurring;

fn gbp(text: &str) -> Money {
    Money::parse(text, "GBP".parse().unwrap()).unwrap()
}

fn mandate() -> MandateOrder {
    MandateOrder {
        scheme: MandateScheme::Sweeping,
        constraints: MandateConstraints {
            valid_from: None,
            valid_to: Some("2027-06-01T00:00:00Z".parse().unwrap()),
            max_per_payment: gbp("50.00"),
            max_count: None,
            periodic_limits: vec![
                PeriodicLimit::new(Period::Month, Alignment::Calendar, gbp("200.00")).unwrap(),
                PeriodicLimit::new(Period::HalfYear, Alignment::Consent, gbp("900.00")).unwrap(),
            ],
        },
        creditor_name: "Merchant".into(),
        creditor_account: order().creditor_account,
        remittance: RemittanceInformation { unstructured: None, reference: Some("R7".into()) },
    }
}

fn recurring(version: &str) -> Profile {
    let mut profile = profile(version);
    profile.recurring_api.clone_from(&profile.payments_api);
    profile
}

fn data() -> Value {
    json!({
        "ConsentId": "vrp-1", "Status": "AWAU", "CreationDateTime": "2026-06-01T10:00:01+00:00",
        "ControlParameters": {
            "MaximumIndividualAmount": { "Amount": "50.00", "Currency": "GBP" },
            "PeriodicLimits": [
                { "PeriodType": "Month", "PeriodAlignment": "Calendar", "Amount": "200.00", "Currency": "GBP" },
                { "PeriodType": "Half-year", "PeriodAlignment": "Consent", "Amount": "900.00", "Currency": "GBP" },
            ],
        },
        "Initiation": { "CreditorAccount": {
            "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "20000055779911", "Name": "Merchant",
        } },
    })
}

/// OBDomesticVRPConsentRequest and OBDomesticVRPRequest: the order repeats the
/// initiation of the consent and brings its own instruction, both signed.
#[test]
fn a_mandate_and_its_payments_carry_the_same_initiation_signed() {
    let token = SecretString::from("t");
    for (version, reference) in [
        ("3.1", json!({ "Reference": "R7" })),
        ("4.0", json!({ "Structured": [{ "CreditorReferenceInformation": { "Reference": "R7" } }] })),
    ] {
        let profile = recurring(version);
        let cx = CallContext { bank_consent_id: Some("vrp-1"), ..context(&profile, &token) };
        let creditor = json!({
            "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "20000055779911", "Name": "Merchant",
        });
        let initiation = json!({ "CreditorAccount": creditor, "RemittanceInformation": reference });
        let risk = json!({ "PaymentContextCode": "TransferToSelf", "ContractPresentIndicator": false });
        let consent = UkRecurring.lodge(&cx, &mandate()).unwrap();
        let body = sent(&consent);
        assert_eq!((&body["Data"]["Initiation"], &body["Risk"]), (&initiation, &risk));
        let mut parameters = data()["ControlParameters"].clone();
        parameters["ValidToDateTime"] = json!("2027-06-01T00:00:00+00:00");
        parameters["VRPType"] = json!(["UK.OBIE.VRPType.Sweeping"]);
        parameters["PSUAuthenticationMethods"] = json!(["UK.OBIE.SCANotRequired"]);
        parameters["PSUInteractionTypes"] = json!(["OffSession"]);
        assert_eq!(body["Data"]["ControlParameters"], parameters);
        assert_eq!(body["Data"]["ReadRefundAccount"], "Yes");

        let payment = UkRecurring.submit(&cx, &mandate(), &order()).unwrap();
        let body = sent(&payment);
        assert_eq!((&body["Data"]["Initiation"], &body["Risk"]), (&initiation, &risk));
        assert_eq!(body["Data"]["ConsentId"], "vrp-1");
        assert_eq!(body["Data"]["Instruction"]["InstructedAmount"]["Amount"], "10.50");
        assert_eq!(body["Data"]["Instruction"]["CreditorAccount"], creditor);
        assert!(payment.url.as_str().ends_with("/pisp/domestic-vrps"));
        for request in [&consent, &payment] {
            assert_eq!(request.signature, Signature::DetachedJws);
            assert_eq!(request.header_text("x-idempotency-key"), Some(cx.request_id.to_string().as_str()));
        }
        let end = UkRecurring.revoke(&cx).unwrap();
        assert_eq!(end.method, http::Method::DELETE);
        assert!(end.url.as_str().ends_with("/domestic-vrp-consents/vrp-1"));
    }
}

#[test]
fn a_mandate_that_the_bank_repeats_with_other_limits_is_refused() {
    let (profile, token) = (recurring("4.0"), SecretString::from("t"));
    let cx = context(&profile, &token);
    let lodged = |data: &Value| {
        UkRecurring.lodged(&cx, &mandate(), &answer(201, &json!({ "Data": data, "Risk": {} })))
    };
    let right = lodged(&data()).ok().unwrap();
    assert_eq!(right.bank_id, "vrp-1");
    assert_eq!(right.created_at, Some("2026-06-01T10:00:01Z".parse().unwrap()));
    for (pointer, value) in [
        ("/ControlParameters/MaximumIndividualAmount/Amount", json!("500.00")),
        ("/ControlParameters/PeriodicLimits/0/Amount", json!("2000.00")),
        ("/ControlParameters/PeriodicLimits/0/PeriodType", json!("Day")),
        ("/ControlParameters/PeriodicLimits/1/PeriodAlignment", json!("Calendar")),
        ("/Initiation/CreditorAccount/Identification", json!("20000055779912")),
    ] {
        let mut other = data();
        *other.pointer_mut(pointer).unwrap() = value;
        let error = lodged(&other).err().unwrap();
        assert_eq!((error.kind, error.outcome), (BankErrorKind::EchoMismatch, Outcome::Unknown), "{pointer}");
    }
    let mut fewer = data();
    fewer["ControlParameters"]["PeriodicLimits"].as_array_mut().unwrap().pop();
    assert_eq!(lodged(&fewer).err().unwrap().kind, BankErrorKind::EchoMismatch);
}

#[test]
fn a_payment_under_a_mandate_is_compared_and_its_refund_account_read() {
    let token = SecretString::from("t");
    let nested = Quirk {
        name: QuirkName::VrpRefundNested,
        at: vec!["vrp.payment".into()],
        versions: Vec::new(),
        parameters: [("path".to_owned(), "Data.Refund.Account".into())].into_iter().collect(),
    };
    let account = json!({
        "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "80200110203345", "Name": "Mr K",
    });
    let read = |quirks: &[Quirk], amount: &str, refund: &Value| {
        let mut profile = recurring("4.0");
        profile.quirks = Quirks::new(quirks.to_vec());
        let body = json!({ "Data": {
            "DomesticVRPId": "p1", "ConsentId": "vrp-1", "Status": "RCVD", "Refund": refund,
            "Instruction": {
                "InstructedAmount": { "Amount": amount, "Currency": "GBP" },
                "CreditorAccount": {
                    "SchemeName": "UK.OBIE.SortCodeAccountNumber", "Identification": "20000055779911",
                },
            },
        } });
        UkRecurring.submitted(&context(&profile, &token), &order(), &answer(201, &body))
    };
    let right = read(&[], "10.50", &account).unwrap();
    assert_eq!((right.echo, right.bank_payment_id.as_deref()), (Echo::Same, Some("p1")));
    assert!(matches!(right.refund_account, Some(AccountIdentification::SortCode(_))));
    assert_eq!(read(&[], "10.51", &account).unwrap_err().kind, BankErrorKind::EchoMismatch);
    assert_eq!(read(&[], "10.50", &Value::Null).unwrap().refund_account, None);
    let deeper = json!({ "Account": account });
    assert_eq!(read(&[], "10.50", &deeper).unwrap_err().kind, BankErrorKind::MalformedResponse);
    assert_eq!(read(&[nested], "10.50", &deeper).unwrap().refund_account, right.refund_account);
}

/// OBVRPFundsConfirmationRequest: signed, and without a key against repeats.
#[test]
fn a_question_about_funds_is_signed_and_answered_by_a_word() {
    let (mut profile, token) = (recurring("4.0"), SecretString::from("t"));
    let answered = |profile: &Profile, data: Value| {
        let cx = CallContext { bank_consent_id: Some("vrp-1"), ..context(profile, &token) };
        UkRecurring.funds_answer(&cx, &gbp("10.00"), &answer(201, &json!({ "Data": data })))
    };
    {
        let cx = CallContext { bank_consent_id: Some("vrp-1"), ..context(&profile, &token) };
        let request = UkRecurring.ask_funds(&cx, &gbp("10.00")).unwrap().unwrap();
        assert!(request.url.path().ends_with("/domestic-vrp-consents/vrp-1/funds-confirmation"));
        assert_eq!((request.signature, request.effect), (Signature::DetachedJws, Effect::Read));
        assert_eq!(request.header_text("x-idempotency-key"), None);
        let data =
            json!({ "ConsentId": "vrp-1", "InstructedAmount": { "Amount": "10.00", "Currency": "GBP" } });
        assert_eq!(sent(&request), json!({ "Data": data }));
    }
    let data = |word: &str| {
        json!({
            "FundsConfirmationId": "f1", "ConsentId": "vrp-1",
            "FundsAvailableResult": { "FundsAvailable": word },
            "InstructedAmount": { "Amount": "10.00", "Currency": "GBP" },
        })
    };
    for (word, available) in [("Available", true), ("NotAvailable", false)] {
        let said = answered(&profile, data(word)).unwrap();
        assert_eq!((said.available, said.bank_reference.as_deref()), (available, Some("f1")));
    }
    let error = answered(&profile, data("Perhaps")).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("/Data/FundsAvailableResult/FundsAvailable"));
    for (pointer, other) in [("/ConsentId", "vrp-2"), ("/InstructedAmount/Amount", "11.00")] {
        let mut data = data("Available");
        *data.pointer_mut(pointer).unwrap() = json!(other);
        assert_eq!(answered(&profile, data).unwrap_err().kind, BankErrorKind::EchoMismatch, "{pointer}");
    }
    profile.absent_paths = vec!["/domestic-vrp-consents/{id}/funds-confirmation".into()];
    let cx = CallContext { bank_consent_id: Some("vrp-1"), ..context(&profile, &token) };
    assert!(UkRecurring.ask_funds(&cx, &gbp("1.00")).is_none());
}
