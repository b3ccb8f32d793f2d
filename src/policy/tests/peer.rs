//! Every combination of facts, by the rules and by a second reading of them in Rust.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;

use domain::Region;
use policy::{
    Agree, AgreementFacts, ChangePayment, ConfirmFunds, ConsentFacts, Decision, Engine, Forward, Keep,
    Keeping, MandateFacts, OrderPayment, PaymentChange, PaymentFacts, ReadData, Service, Step,
};

const CLIENTS: [&str; 2] = ["tpp-1", "tpp-2"];
const BOTH: [bool; 2] = [false, true];
const SERVICES: [Service; 2] = [Service::Accounts, Service::Funds];
const CHANGES: [PaymentChange; 4] =
    [PaymentChange::Read, PaymentChange::Submit, PaymentChange::Cancel, PaymentChange::Refund];
const STEPS: [Step; 4] = [Step::Lodge, Step::See, Step::Give, Step::End];
const KEEPINGS: [Keeping; 5] =
    [Keeping::Store, Keeping::Log, Keeping::Replicate, Keeping::Cache, Keeping::BackUp];

fn regions() -> [Region; 2] {
    ["uk", "eu"].map(|name| name.parse().unwrap())
}

/// The answer of the engine has to be the reasons that hold, or the permit if none does.
#[track_caller]
fn compare<D: Decision>(engine: &Engine, asked: &D, permit: &str, reasons: &[(bool, &str)]) {
    let wanted: BTreeSet<&str> =
        reasons.iter().filter(|(holds, _)| *holds).map(|(_, reason)| *reason).collect();
    match engine.decide(asked) {
        Ok(by) => {
            assert!(wanted.is_empty(), "permitted in spite of {wanted:?}");
            assert_eq!(by.rules().iter().map(|rule| &**rule).collect::<Vec<_>>(), [permit]);
        }
        Err(denied) => {
            let got: Vec<&str> = denied.reasons().iter().map(|reason| &*reason.rule).collect();
            assert_eq!(got, wanted.into_iter().collect::<Vec<_>>());
        }
    }
}

/// Every consent there can be, for the client `tpp-1`.
fn consents() -> Vec<ConsentFacts<'static>> {
    let mut all = Vec::new();
    for (granted, in_force) in BOTH.into_iter().flat_map(|one| BOTH.map(|other| (one, other))) {
        for (service, region) in SERVICES.into_iter().flat_map(|one| regions().map(|other| (one, other))) {
            for permissions in [BTreeSet::new(), ["A"].into(), ["B", "C"].into(), ["A", "B"].into()] {
                all.push(ConsentFacts { client: "tpp-1", granted, in_force, service, region, permissions });
            }
        }
    }
    all
}

fn of_consent(consent: &ConsentFacts<'_>, client: &str, cell: Region) -> [(bool, &'static str); 4] {
    [
        (consent.client != client, "consent.of-another-client"),
        (!consent.granted, "consent.not-granted"),
        (!consent.in_force, "consent.not-in-force"),
        (consent.region != cell, "consent.elsewhere"),
    ]
}

#[test]
fn every_read_is_decided_as_it_is_here() {
    let engine = Engine::open(None).unwrap();
    for consent in consents() {
        for (client, cell) in CLIENTS.into_iter().flat_map(|client| regions().map(|cell| (client, cell))) {
            for needs in [BTreeSet::new(), ["A"].into(), ["A", "C"].into()] {
                for (psu_present, beyond_history) in [(false, false), (false, true), (true, true)] {
                    let consent = consent.clone();
                    let needs = needs.clone();
                    let class = "balances";
                    let asked = ReadData { client, consent, class, needs, psu_present, beyond_history, cell };
                    let mut reasons = of_consent(&asked.consent, client, cell).to_vec();
                    let none = asked.needs.is_disjoint(&asked.consent.permissions);
                    reasons.push((none, "consent.scope"));
                    reasons.push((asked.consent.service == Service::Funds, "consent.other-service"));
                    reasons.push((beyond_history && !psu_present, "consent.history-needs-psu"));
                    compare(&engine, &asked, "consent.read", &reasons);
                }
            }
        }
    }
}

#[test]
fn every_question_for_funds_is_decided_as_it_is_here() {
    let engine = Engine::open(None).unwrap();
    for consent in consents() {
        for (client, cell) in CLIENTS.into_iter().flat_map(|client| regions().map(|cell| (client, cell))) {
            let asked = ConfirmFunds { client, consent: consent.clone(), cell };
            let mut reasons = of_consent(&consent, client, cell).to_vec();
            reasons.push((consent.service == Service::Accounts, "consent.other-service"));
            compare(&engine, &asked, "consent.funds", &reasons);
        }
    }
}

#[test]
fn every_order_is_decided_as_it_is_here() {
    let engine = Engine::open(None).unwrap();
    let mut mandates = vec![None];
    for (granted, in_force) in BOTH.into_iter().flat_map(|one| BOTH.map(|other| (one, other))) {
        for (client, region) in CLIENTS.into_iter().flat_map(|client| regions().map(|at| (client, at))) {
            mandates.push(Some(MandateFacts { client, granted, in_force, region }));
        }
    }
    for mandate in mandates {
        for (region, cell) in regions().into_iter().flat_map(|one| regions().map(|other| (one, other))) {
            let asked = OrderPayment { client: "tpp-1", region, cell, mandate: mandate.clone() };
            let of = |wrong: &dyn Fn(&MandateFacts<'_>) -> bool| mandate.as_ref().is_some_and(wrong);
            let reasons = [
                (region != cell, "payment.elsewhere"),
                (of(&|mandate| mandate.client != "tpp-1"), "mandate.of-another-client"),
                (of(&|mandate| !mandate.granted), "mandate.not-granted"),
                (of(&|mandate| !mandate.in_force), "mandate.not-in-force"),
                (of(&|mandate| mandate.region != cell), "mandate.elsewhere"),
            ];
            compare(&engine, &asked, "payment.order", &reasons);
        }
    }
}

#[test]
fn every_change_of_a_payment_is_decided_as_it_is_here() {
    let engine = Engine::open(None).unwrap();
    for (change, authorised) in CHANGES.into_iter().flat_map(|change| BOTH.map(|by| (change, by))) {
        for client in CLIENTS {
            for (region, cell) in regions().into_iter().flat_map(|one| regions().map(|other| (one, other))) {
                let payment = PaymentFacts { client: "tpp-1", region };
                let asked = ChangePayment { client, payment, change, authorised, cell };
                let reasons = [
                    (client != "tpp-1", "payment.of-another-client"),
                    (region != cell, "payment.elsewhere"),
                    (change == PaymentChange::Submit && !authorised, "payment.not-authorised"),
                ];
                compare(&engine, &asked, "payment.change", &reasons);
            }
        }
    }
}

#[test]
fn every_step_of_an_agreement_is_decided_as_it_is_here() {
    let engine = Engine::open(None).unwrap();
    for (step, approved) in STEPS.into_iter().flat_map(|step| BOTH.map(|by| (step, by))) {
        for client in CLIENTS {
            for (region, cell) in regions().into_iter().flat_map(|one| regions().map(|other| (one, other))) {
                let agreement = AgreementFacts { client: "tpp-1", region };
                let asked = Agree { client, agreement, step, approved, cell };
                let reasons = [
                    (client != "tpp-1", "agreement.of-another-client"),
                    (step == Step::Give && !approved, "agreement.not-approved"),
                    (region != cell, "agreement.elsewhere"),
                ];
                compare(&engine, &asked, "agreement.step", &reasons);
            }
        }
    }
}

#[test]
fn every_way_to_keep_and_to_pass_on_is_decided_as_it_is_here() {
    let engine = Engine::open(None).unwrap();
    for (of, at) in regions().into_iter().flat_map(|one| regions().map(|other| (one, other))) {
        for (kind, personal) in KEEPINGS.into_iter().flat_map(|kind| BOTH.map(|of| (kind, of))) {
            let reasons = [
                (kind == Keeping::Log && personal, "residency.personal-log"),
                (kind != Keeping::Log && of != at, "residency.copy"),
            ];
            compare(&engine, &Keep { kind, of, at, personal }, "residency.keep", &reasons);
        }
        compare(&engine, &Forward { of, through: at }, "residency.forward", &[]);
    }
}

/// A permit is proof, and goes where the work is done.
#[test]
fn engines_are_shared_and_permits_are_sent() {
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Engine>();
    shared::<policy::Permit<ReadData<'static>>>();
    shared::<policy::Denied>();
}
