//! The shipped rules, by the interface that the gateway uses.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::path::Path;

use cedar_policy::ffi::{FormattingAnswer, FormattingCall, format};
use policy::{
    Agree, AgreementFacts, ChangePayment, ConfirmFunds, ConsentFacts, Decision, Engine, Forward, Keep,
    Keeping, MandateFacts, OrderPayment, PaymentChange, PaymentFacts, ReadData, Service, Step, check,
    explain, test,
};
use serde_json::json;

fn region(name: &str) -> domain::Region {
    name.parse().unwrap()
}

fn consent(service: Service) -> ConsentFacts<'static> {
    ConsentFacts {
        client: "tpp-1",
        granted: true,
        in_force: true,
        service,
        region: region("uk"),
        permissions: ["BALANCES"].into(),
    }
}

fn read() -> ReadData<'static> {
    ReadData {
        client: "tpp-1",
        consent: consent(Service::Accounts),
        class: "balances",
        needs: ["BALANCES", "ACCOUNTS"].into(),
        psu_present: false,
        beyond_history: false,
        cell: region("uk"),
    }
}

fn reasons<D: Decision>(engine: &Engine, asked: &D) -> Vec<String> {
    let denied = engine.decide(asked).expect_err("denied");
    denied.reasons().iter().map(|reason| reason.rule.to_string()).collect()
}

fn permits<D: Decision>(engine: &Engine, asked: &D) -> Vec<String> {
    let permit = engine.decide(asked).expect("permitted");
    permit.rules().iter().map(ToString::to_string).collect()
}

/// What was permitted is remembered, and nothing that is like it.
#[test]
fn a_permit_that_is_remembered_is_of_the_same_request_only() {
    let engine = Engine::open(None).unwrap();
    let first = permits(&engine, &read());
    assert_eq!(permits(&engine, &read()), first);
    type Change = fn(&mut ReadData<'static>);
    let refusals: [(Change, &str); 7] = [
        (|asked| asked.client = "tpp-2", "consent.of-another-client"),
        (|asked| asked.consent.client = "tpp-2", "consent.of-another-client"),
        (|asked| asked.consent.granted = false, "consent.not-granted"),
        (|asked| asked.consent.in_force = false, "consent.not-in-force"),
        (|asked| asked.consent.service = Service::Funds, "consent.other-service"),
        (|asked| asked.needs = ["TRANSACTIONS_BASIC"].into(), "consent.scope"),
        (|asked| asked.beyond_history = true, "consent.history-needs-psu"),
    ];
    for (change, reason) in refusals {
        let mut asked = read();
        change(&mut asked);
        for _ in 0..2 {
            assert_eq!(reasons(&engine, &asked), [reason]);
        }
        // A refusal changes nothing about what is permitted.
        assert_eq!(permits(&engine, &read()), first);
    }
}

/// Futures that poll futures leave little of a stack. That is no reason to refuse.
#[test]
fn what_is_permitted_is_so_however_little_stack_is_left() {
    let engine = Engine::open(None).unwrap();
    let read = read();
    let permitted = std::thread::scope(|scope| {
        let small = std::thread::Builder::new().stack_size(96 * 1024);
        small.spawn_scoped(scope, || permits(&engine, &read)).unwrap().join().unwrap()
    });
    assert_eq!(permitted, permits(&engine, &read));
}

#[test]
fn the_shipped_rules_pass_their_tests_and_every_rule_is_tested() {
    let tested = test(None).unwrap();
    assert!(tested.passed(), "{tested}");
    assert_eq!(tested.untested, [], "{tested}");
    let checked = check(None).unwrap();
    assert_eq!(checked.tests, tested.tests.len());
    assert!(checked.to_string().contains("consent.cedar"), "{checked}");
}

/// A file that lies there and is not in the binary would be read by nobody.
#[test]
fn what_is_shipped_is_what_lies_in_the_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies/access");
    assert_eq!(check(Some(&folder)), check(None));
}

#[test]
fn every_kind_of_request_is_permitted_if_it_is_proper() {
    let engine = Engine::open(None).unwrap();
    assert_eq!(permits(&engine, &read()), ["consent.read"]);
    let cell = region("uk");
    let funds = ConfirmFunds { client: "tpp-1", consent: consent(Service::Funds), cell };
    assert_eq!(permits(&engine, &funds), ["consent.funds"]);
    let mandate = MandateFacts { client: "tpp-1", granted: true, in_force: true, region: cell };
    let mut order = OrderPayment { client: "tpp-1", region: cell, cell, mandate: None };
    assert_eq!(permits(&engine, &order), ["payment.order"]);
    order.mandate = Some(mandate);
    assert_eq!(permits(&engine, &order), ["payment.order"]);
    let payment = PaymentFacts { client: "tpp-1", region: cell };
    let submit = PaymentChange::Submit;
    let change = ChangePayment { client: "tpp-1", payment, change: submit, authorised: true, cell };
    assert_eq!(permits(&engine, &change), ["payment.change"]);
    let agreement = AgreementFacts { client: "tpp-1", region: cell };
    let give = Agree { client: "tpp-1", agreement, step: Step::Give, approved: true, cell };
    assert_eq!(permits(&engine, &give), ["agreement.step"]);
    let keep = Keep { kind: Keeping::Store, of: cell, at: cell, personal: true };
    assert_eq!(permits(&engine, &keep), ["residency.keep"]);
    let forward = Forward { of: cell, through: region("eu") };
    assert_eq!(permits(&engine, &forward), ["residency.forward"]);
}

#[test]
fn a_refusal_names_every_reason_and_its_display_names_ids_only() {
    let engine = Engine::open(None).unwrap();
    let mut asked = read();
    asked.client = "tpp-2";
    asked.needs = BTreeSet::new();
    let denied = engine.decide(&asked).unwrap_err();
    assert_eq!(denied.to_string(), "denied by consent.of-another-client, consent.scope");
    assert_eq!(&*denied.reasons()[0].says, "The consent was given to another client.");
}

#[test]
fn a_permit_outlives_what_the_request_borrowed() {
    let engine = Engine::open(None).unwrap();
    let permit: policy::Permit<ReadData<'static>> = {
        let client = String::from("tpp-1");
        let mut asked = read();
        asked.client = &client;
        engine.decide(&asked).unwrap().lasting()
    };
    assert_eq!(&*permit.rules()[0], "consent.read");
}

#[test]
fn a_region_that_nobody_described_is_refused_wherever_it_is_named() {
    let engine = Engine::open(None).unwrap();
    let (known, unknown) = (region("uk"), region("us"));
    let mut asked = read();
    asked.cell = unknown;
    assert_eq!(reasons(&engine, &asked), ["policy.unknown-region"]);
    // Not even at home in it.
    asked.consent.region = unknown;
    assert_eq!(reasons(&engine, &asked), ["policy.unknown-region"]);
    let mandate = MandateFacts { client: "tpp-1", granted: true, in_force: true, region: unknown };
    let order = OrderPayment { client: "tpp-1", region: known, cell: known, mandate: Some(mandate) };
    assert_eq!(reasons(&engine, &order), ["policy.unknown-region"]);
    let keep = Keep { kind: Keeping::Store, of: unknown, at: unknown, personal: true };
    assert_eq!(reasons(&engine, &keep), ["policy.unknown-region"]);
    let forward = Forward { of: unknown, through: unknown };
    assert_eq!(reasons(&engine, &forward), ["policy.unknown-region"]);
}

/// Ids come from outside: none of them is read as Cedar.
#[test]
fn an_id_is_text_whatever_is_in_it() {
    let engine = Engine::open(None).unwrap();
    for id in ["", "\" == principal || \"", "tpp-1\0", "Client::\"tpp-1\"", "\u{202e}tpp-1", "TPP-1"] {
        let mut asked = read();
        asked.client = id;
        assert_eq!(reasons(&engine, &asked), ["consent.of-another-client"], "{id:?}");
        asked.consent.client = id;
        assert_eq!(permits(&engine, &asked), ["consent.read"], "{id:?}");
    }
}

#[test]
fn a_request_is_explained_in_the_form_that_tests_have() {
    let engine = Engine::open(None).unwrap();
    let mut request = json!({ "ask": "keep", "kind": "store", "of": "uk", "at": "eu", "personal": true });
    let explained = explain(&engine, &request).unwrap();
    assert_eq!(explained.to_string(), "deny\n  residency.copy: Data of this region is not kept in that one.");
    let machine = serde_json::to_value(&explained).unwrap();
    assert_eq!(machine["decision"], "deny");
    assert_eq!(machine["rules"][0]["rule"], "residency.copy");
    request["at"] = json!("us");
    let explained = explain(&engine, &request).unwrap();
    assert!(explained.to_string().starts_with("deny\n  policy.unknown-region: A region"), "{explained}");

    let wrong = |name: &str, value: serde_json::Value| {
        let mut request = request.clone();
        request[name] = value;
        explain(&engine, &request).unwrap_err().to_string()
    };
    assert_eq!(
        wrong("kind", json!("memory")),
        "this is no request: kind: is one of store, log, replicate, cache, back_up"
    );
    assert_eq!(
        wrong("ask", json!("open")),
        "this is no request: ask: is one of read, funds, order, change, agree, keep, forward"
    );
    assert_eq!(wrong("colour", json!("red")), "this is no request: it has no field colour");
    assert_eq!(wrong("personal", json!("yes")), "this is no request: personal: is true or false");
    assert!(wrong("of", json!("Europe")).contains("of: a region is two to four lower-case letters"));
}

#[test]
fn the_files_are_formatted() {
    let files = [
        ("consent", include_str!("../../../policies/access/consent.cedar")),
        ("payment", include_str!("../../../policies/access/payment.cedar")),
        ("residency", include_str!("../../../policies/access/residency.cedar")),
        ("invariants", include_str!("../prove/invariants.cedar")),
    ];
    for (name, text) in files {
        let call: FormattingCall = serde_json::from_value(json!({ "policyText": text })).unwrap();
        match format(call) {
            FormattingAnswer::Success { formatted_policy } => assert_eq!(text, formatted_policy, "{name}"),
            FormattingAnswer::Failure { errors } => panic!("{name}: {errors:?}"),
        }
    }
}
