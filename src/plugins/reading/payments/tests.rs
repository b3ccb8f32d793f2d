use connect::Profile;
use domain::{Execution, PaymentRisk, PaymentScheme, RemittanceInformation};
use uuid::Uuid;

use super::*;

fn order() -> PaymentOrder {
    PaymentOrder {
        end_to_end_id: "E-1".into(),
        instruction_id: "I-1".into(),
        amount: Money::parse("12.30", "EUR".parse().unwrap()).unwrap(),
        debtor_account: Some(iban("DE75512108001245126199")),
        creditor_name: "Anna".into(),
        creditor_account: iban("DE89370400440532013000"),
        remittance: RemittanceInformation::default(),
        scheme: PaymentScheme::SepaCreditTransfer,
        execution: Execution::AtOnce,
        abroad: None,
        risk: PaymentRisk::default(),
    }
}

fn iban(text: &str) -> AccountIdentification {
    AccountIdentification::Iban(text.parse().unwrap())
}

fn read<T>(what: impl FnOnce(&Reading<'_>) -> Read<T>) -> Read<T> {
    let mut profile =
        Profile::blank("xx-bank".parse().unwrap(), "Bank", "eu".parse().unwrap(), "plugin:test");
    profile.hosts = vec!["bank.example".into()];
    let cx = CallContext {
        profile: &profile,
        request_id: Uuid::nil(),
        now: "2026-01-02T03:04:05Z".parse().unwrap(),
        psu: None,
        psu_id: None,
        access_token: None,
        bank_consent_id: None,
    };
    what(&Reading::of(&cx))
}

/// What a bank repeats that repeats everything.
fn same() -> paying::Echo {
    let number = |text: &str| Some(wit::AccountNumber::Iban(text.into()));
    paying::Echo {
        amount: Some(paying::Money { amount: "12.3".into(), currency: "EUR".into() }),
        creditor_account: number("DE89370400440532013000"),
        debtor_account: number("DE75512108001245126199"),
        end_to_end_id: Some("E-1".into()),
        instruction_id: Some("I-1".into()),
    }
}

fn nothing() -> paying::Echo {
    paying::Echo {
        amount: None,
        creditor_account: None,
        debtor_account: None,
        end_to_end_id: None,
        instruction_id: None,
    }
}

fn said() -> paying::Report {
    paying::Report {
        status: Some("ACSC".into()),
        approval: None,
        reason: None,
        payment_id: Some("p-1".into()),
        echo: same(),
        refund_account: None,
        last_word: false,
    }
}

fn report(said: paying::Report) -> Read<PaymentReport> {
    read(|reading| reading.report(paying::Answer::Report(said), &order()))
}

fn lodged(status: Option<&str>, authentication: wit::Authentication, submits: bool) -> Read<LodgedPayment> {
    let lodged = paying::LodgedPayment {
        lodged_id: "s-1".into(),
        status: status.map(str::to_owned),
        authentication,
        echo: nothing(),
    };
    read(|reading| reading.lodged_payment(paying::Answer::Lodged(lodged), &order(), submits))
}

/// What a bank repeats is the order, or the answer is about another.
#[test]
fn what_is_repeated_is_what_was_ordered() {
    let full = report(said()).unwrap();
    assert_eq!((full.echo, full.status), (Echo::Same, Some(IsoPaymentStatus::AcceptedSettlementCompleted)));
    assert_eq!(full.bank_payment_id.as_deref(), Some("p-1"));
    assert_eq!(report(paying::Report { echo: nothing(), ..said() }).unwrap().echo, Echo::Absent);
    let half = paying::Echo { creditor_account: None, ..same() };
    assert_eq!(report(paying::Report { echo: half, ..said() }).unwrap().echo, Echo::Absent);

    type Change = fn(&mut paying::Echo);
    let money =
        |amount: &str, currency: &str| paying::Money { amount: amount.into(), currency: currency.into() };
    let changes: [(&str, Change); 5] = [
        ("amount", |echo| echo.amount.as_mut().unwrap().amount = "-12.30".into()),
        ("creditor-account", |echo| echo.creditor_account = echo.debtor_account.clone()),
        ("debtor-account", |echo| echo.debtor_account = echo.creditor_account.clone()),
        ("end-to-end-id", |echo| echo.end_to_end_id = Some("E-2".into())),
        ("instruction-id", |echo| echo.instruction_id = Some(String::new())),
    ];
    for (field, change) in changes {
        let mut other = same();
        change(&mut other);
        let error = report(paying::Report { echo: other, ..said() }).err().unwrap();
        assert_eq!(
            (error.kind, error.field),
            (BankErrorKind::EchoMismatch, Some(format!("report.echo.{field}")))
        );
    }
    for (amount, kind) in [
        (money("12.31", "EUR"), BankErrorKind::EchoMismatch),
        (money("12.30", "GBP"), BankErrorKind::EchoMismatch),
        (money("1e1", "EUR"), BankErrorKind::PluginFailed),
        (money("12.30", "euro"), BankErrorKind::PluginFailed),
    ] {
        let echo = paying::Echo { amount: Some(amount), ..same() };
        assert_eq!(report(paying::Report { echo, ..said() }).err().unwrap().kind, kind);
    }
}

/// Codes are codes, and a name is one that can be asked by.
#[test]
fn what_is_no_status_reason_or_name_is_refused_with_its_place() {
    type Change = fn(&mut paying::Report);
    let changes: [(&str, Change); 5] = [
        ("status", |report| report.status = Some("acsc".into())),
        ("reason", |report| report.reason = Some("AM4".into())),
        ("reason", |report| report.reason = Some("Anna".into())),
        ("payment-id", |report| report.payment_id = Some("..".into())),
        ("refund-account", |report| report.refund_account = Some(wit::AccountNumber::Bban(" ".into()))),
    ];
    for (field, change) in changes {
        let mut wrong = said();
        change(&mut wrong);
        let error = report(wrong).err().unwrap();
        assert_eq!((error.kind, error.field), (BankErrorKind::PluginFailed, Some(format!("report.{field}"))));
    }
    let reason = paying::Report { reason: Some("AM04".into()), last_word: true, ..said() };
    let kept = report(reason).unwrap();
    assert_eq!((kept.iso_reason.as_deref(), kept.last_word), (Some("AM04"), true));
}

/// An order that waits for its submission waits for a browser that comes back.
#[test]
fn who_submits_sends_the_person_to_the_bank() {
    use wit::Authentication as A;
    let redirect = || A::Redirect("https://bank.example/desk".into());
    assert!(matches!(lodged(None, redirect(), true).unwrap().sca, ScaStart::Redirect(_)));
    assert!(matches!(lodged(None, A::Decoupled(None), true).unwrap().sca, ScaStart::Unsupported));
    assert!(matches!(lodged(None, A::NotNeeded, true).unwrap().sca, ScaStart::Unsupported));
    assert!(matches!(lodged(None, A::Decoupled(None), false).unwrap().sca, ScaStart::Decoupled { .. }));
    let away = lodged(None, A::Redirect("https://evil.example/".into()), true).err().unwrap();
    assert_eq!(away.field.as_deref(), Some("lodged.authentication.redirect"));
    let rejected = lodged(Some("RJCT"), redirect(), true).err().unwrap();
    assert_eq!(
        (rejected.kind, rejected.bank_code.as_deref()),
        (BankErrorKind::PaymentRejected, Some("RJCT"))
    );
}
