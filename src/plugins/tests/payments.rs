//! Guests that pay, each good or bad in one way: what may have moved money stays open.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod support;

use connect::{
    BankError, BankErrorKind, BankPaymentIds, Dialect, Echo, Effect, Operation, Outcome, Profile,
    RedirectUris, TokenKind,
};
use consentry_plugins::{GuestFailed, Limits, NotAPlugin, Plugin};
use domain::{
    AccountIdentification, AccountResource, Execution, Money, PaymentOrder, PaymentRisk, PaymentScheme,
    RemittanceInformation,
};
use support::guest::More;
use support::{Guest, answer, at, call, plugin, refusal};

const SUBMISSION: u32 = 1;
const CANCELLATION: u32 = 2;
const TRAP: &str = "(unreachable)";

fn bank() -> Profile {
    let mut profile = support::bank();
    profile.payments_api =
        Some(connect::ApiBase { url: "https://bank.example/pay".parse().unwrap(), version: "2".into() });
    profile
}

fn iban(text: &str) -> AccountIdentification {
    AccountIdentification::Iban(text.parse().unwrap())
}

fn order() -> PaymentOrder {
    PaymentOrder {
        end_to_end_id: "E-1".into(),
        instruction_id: "I-1".into(),
        amount: Money::parse("12.30", "EUR".parse().unwrap()).unwrap(),
        debtor_account: None,
        creditor_name: "Anna".into(),
        creditor_account: iban("DE89370400440532013000"),
        remittance: RemittanceInformation::default(),
        scheme: PaymentScheme::SepaCreditTransfer,
        execution: Execution::AtOnce,
        abroad: None,
        risk: PaymentRisk::default(),
    }
}

/// What a guest says: an amount that the bank repeated, with a status.
fn report(guest: &mut Guest, status: &str, amount: &str) -> String {
    let ([code, long], [number, short]) = (guest.image.text(status), guest.image.text(amount));
    let [unit, three] = guest.image.text("EUR");
    let mut fields = vec![0, 1, 1, code, long, 0, 0, 0, 0, 0, 0, 0, 1, number, short, unit, three];
    // Neither accounts, names nor a last word.
    fields.resize(44, 0);
    at(guest.image.record(&fields))
}

/// A guest with payments that has these abilities and reads every answer so.
fn paying(abilities: u32, parse: impl FnOnce(&mut Guest) -> String) -> Plugin {
    let mut guest = Guest::default();
    // A scope to lodge with; submitting needs the person's token, asking takes it if held.
    let [scope, long] = guest.image.text("payments");
    let description = [abilities, 1, scope, long, 2, 0, 0, 3, 0, 0];
    let (describe, request) = (guest.image.record(&description), guest.image.record(&[0; 13]));
    let parse_response = parse(&mut guest);
    guest.more = vec![More {
        interface: "payments",
        describe: at(describe),
        build_request: at(request),
        parse_response,
    }];
    plugin(&guest, Limits::default())
}

fn told(error: BankError) -> (BankErrorKind, Outcome) {
    (error.kind, error.outcome)
}

fn ids() -> BankPaymentIds {
    BankPaymentIds { lodged: "s-1".into(), payment: Some("p-1".into()) }
}

/// Without the interface there are no payments, with it those that it describes.
#[test]
fn a_plugin_has_the_payments_that_it_describes() {
    let without = plugin(&Guest::default(), Limits::default());
    assert!(without.payments().is_none() && without.resources().is_none());
    assert_eq!(without.token_for(&bank(), Operation::PaymentLodge), TokenKind::None);

    let tokens = [Operation::PaymentLodge, Operation::PaymentSubmit, Operation::PaymentStatus];
    for (abilities, submits, cancels) in
        [(0, false, false), (SUBMISSION, true, false), (CANCELLATION, false, true)]
    {
        let plugin = paying(abilities, |_| TRAP.into());
        let payments = plugin.payments().unwrap();
        assert_eq!((payments.submits_after_sca(), payments.cancellation().is_some()), (submits, cancels));
        assert_eq!(payments.submit(&call(&bank(), None), "s-1", &order()).is_some(), submits);
        assert_eq!(
            tokens.map(|operation| plugin.token_for(&bank(), operation)),
            [TokenKind::Client("payments"), TokenKind::Psu, TokenKind::PsuIfHeld]
        );
    }
}

/// Requests go to the profile's payments; those that move money are writes, which are
/// never repeated.
#[test]
fn what_moves_money_is_a_write() {
    let plugin = paying(SUBMISSION | CANCELLATION, |_| TRAP.into());
    let (profile, order) = (bank(), order());
    let cx = call(&profile, None);
    let back: url::Url = "https://gateway.example/callback".parse().unwrap();
    let redirects = RedirectUris { ok: back.clone(), nok: back.clone(), callback: back, state: "s".into() };
    let payments = plugin.payments().unwrap();
    let cancellation = payments.cancellation().unwrap();
    let requests = [
        payments.lodge(&cx, &order, &redirects).unwrap(),
        payments.submit(&cx, "s-1", &order).unwrap().unwrap(),
        cancellation.cancel(&cx, &ids(), &domain::Order::Transfer(order.clone())).unwrap(),
        payments.status(&cx, &ids(), &order).unwrap(),
    ];
    assert!(requests.iter().all(|request| request.url.as_str() == "https://bank.example/pay"));
    let effects = requests.map(|request| request.effect);
    assert_eq!(effects, [Effect::Write, Effect::Write, Effect::Write, Effect::Read]);
    let nowhere = support::bank();
    let error = payments.status(&call(&nowhere, None), &ids(), &order).err().unwrap();
    assert_eq!(error.kind, BankErrorKind::ProfileError);
}

/// After a request that moves money a trap, an answer of another kind, and one that is
/// not about the order leave open what the bank did, whatever the answer's status.
#[test]
fn what_cannot_be_read_leaves_a_payment_open() {
    let (profile, order) = (bank(), order());
    let cx = call(&profile, None);
    let trap = paying(SUBMISSION | CANCELLATION, |_| TRAP.into());
    let payments = trap.payments().unwrap();
    for status in [200, 302, 409] {
        let lodged = payments.lodged(&cx, &order, &answer(status)).err().unwrap();
        let submitted = payments.submitted(&cx, &order, &answer(status)).unwrap_err();
        let cancelled = payments.cancellation().unwrap();
        let whole = domain::Order::Transfer(order.clone());
        let cancelled = cancelled.cancelled(&cx, &ids(), &whole, &answer(status)).unwrap_err();
        for error in [lodged, submitted, cancelled] {
            assert_eq!(told(error), (BankErrorKind::PluginFailed, Outcome::Unknown), "{status}");
        }
    }
    let asked = payments.status_read(&cx, &ids(), &order, &answer(200)).unwrap_err();
    assert_eq!(told(asked), (BankErrorKind::PluginFailed, Outcome::NotDone));

    let other = paying(SUBMISSION, |guest| report(guest, "ACSC", "12.31"));
    let error = other.payments().unwrap().submitted(&cx, &order, &answer(200)).unwrap_err();
    assert_eq!(error.field.as_deref(), Some("report.echo.amount"));
    assert_eq!(told(error), (BankErrorKind::EchoMismatch, Outcome::Unknown));
    // A report is no answer to lodging.
    let error = other.payments().unwrap().lodged(&cx, &order, &answer(200)).err().unwrap();
    assert_eq!(told(error), (BankErrorKind::PluginFailed, Outcome::Unknown));
    // The bank's own failure needs no plugin to be read.
    let error = payments.submitted(&cx, &order, &answer(503)).unwrap_err();
    assert_eq!(told(error), (BankErrorKind::BankUnavailable, Outcome::Unknown));
}

/// What the bank says of the order itself is passed on.
#[test]
fn what_is_about_the_order_is_passed_on() {
    let plugin = paying(SUBMISSION, |guest| report(guest, "ACSC", "12.3"));
    let profile = bank();
    let cx = call(&profile, None);
    let report = plugin.payments().unwrap().submitted(&cx, &order(), &answer(200)).unwrap();
    assert_eq!(report.status.unwrap().as_str(), "ACSC");
    // The creditor's account was not repeated.
    assert_eq!((report.echo, report.bank_payment_id), (Echo::Absent, None));
}

/// A refusal is believed where the answer's status is one, and then alone.
#[test]
fn a_refusal_is_certain_where_the_bank_refused() {
    let profile = bank();
    let cx = call(&profile, None);
    // The first reason is `payment-rejected`, the last `malformed-response`.
    for (reason, status, kind, outcome) in [
        (0, 409, BankErrorKind::PaymentRejected, Outcome::NotDone),
        (0, 200, BankErrorKind::PaymentRejected, Outcome::Unknown),
        (14, 409, BankErrorKind::MalformedResponse, Outcome::Unknown),
    ] {
        let plugin = paying(SUBMISSION, |guest| at(guest.image.record(&[1, reason, 0, 0, 0])));
        let error = plugin.payments().unwrap().submitted(&cx, &order(), &answer(status)).unwrap_err();
        assert_eq!(told(error), (kind, outcome), "{reason} {status}");
    }
}

/// Further information is what the plugin names, and nothing else is asked for.
#[test]
fn further_information_is_what_the_plugin_names() {
    let mut guest = Guest::default();
    let request = guest.image.record(&[0; 13]);
    // No entry of the second kind, and no further page.
    let page = guest.image.record(&[0, 1, 4, 0, 0, 0, 0, 0, 0]);
    guest.more = vec![More {
        interface: "resources",
        describe: "(i32.const 2)".into(),
        build_request: at(request),
        parse_response: at(page),
    }];
    let plugin = plugin(&guest, Limits::default());
    let profile = bank();
    let cx = call(&profile, None);
    let resources = plugin.resources().unwrap();
    assert_eq!(resources.offered(&profile), [AccountResource::Beneficiaries]);
    let asked = resources.resource(&cx, AccountResource::Beneficiaries, "71").unwrap();
    assert_eq!((asked.url.as_str(), asked.effect), ("https://bank.example/api", Effect::Read));
    let page = resources.resource_read(&cx, AccountResource::Beneficiaries, &asked, &answer(200)).unwrap();
    assert!(page.items.is_empty() && page.next.is_none());
    let error = resources.resource_read(&cx, AccountResource::Parties, &asked, &answer(200)).err().unwrap();
    assert_eq!((error.kind, error.field.as_deref()), (BankErrorKind::PluginFailed, Some("entries")));
    let error = resources.resource(&cx, AccountResource::Statements, "71").err().unwrap();
    assert_eq!(error.kind, BankErrorKind::Unsupported);
}

/// A plugin that cannot say what its payments are is none.
#[test]
fn payments_that_cannot_be_described_keep_a_plugin_out() {
    let mut guest = Guest::default();
    let request = at(guest.image.record(&[0; 13]));
    guest.more = vec![More {
        interface: "payments",
        describe: TRAP.into(),
        build_request: request.clone(),
        parse_response: request,
    }];
    assert_eq!(refusal(&guest.component()), NotAPlugin::Describe(GuestFailed::Trap));
}
