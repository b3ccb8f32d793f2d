//! What the rules (`policies/access`) say of what a client asks, and which refusal of ours that
//! is. What touches a person's data takes the [`Permit`] that it got here.

use connect::PsuPresence;
use domain::{ConsentKind, MandateStatus, PaymentState, Permission, Region};
use policy::{
    Agree, AgreementFacts, ChangePayment, ConfirmFunds, ConsentFacts, Denied, MandateFacts, OrderPayment,
    PaymentChange, PaymentFacts, Permit, ReadData, Service, Step,
};
use store::consents::ConsentRow;
use store::mandates::MandateRow;
use store::payments::PaymentRow;

use crate::accounts::not_in_force;
use crate::audited::Asker;
use crate::read::Read;
use crate::{FlowError, Gateway};

/// What a rule comes to.
type Meaning = fn(&ConsentRow) -> FlowError;

/// The rules that are told first where several forbid something: what they come to, in this order.
const OF_CONSENTS: &[(&str, Meaning)] = &[
    ("consent.of-another-client", |_| FlowError::NotFound("consent")),
    ("consent.elsewhere", |_| FlowError::RegionDenied),
    ("consent.other-service", |_| FlowError::ConsentScope),
    ("consent.not-granted", |_| FlowError::ConsentNotGranted),
    ("consent.not-in-force", not_in_force),
    ("consent.scope", |_| FlowError::ConsentScope),
    ("consent.history-needs-psu", |_| FlowError::HistoryNeedsPsu),
];

impl Gateway {
    /// Whether a client may read under a consent that lies in the store of `cell`.
    pub(crate) fn may_read(
        &self,
        asker: Asker<'_>,
        consent: &ConsentRow,
        cell: Region,
        read: Read<'_>,
        psu: Option<&PsuPresence>,
    ) -> Result<Permit<ReadData<'static>>, FlowError> {
        let asked = ReadData {
            client: asker.client,
            consent: self.facts_of(consent, asker.consents.contains(&consent.id)),
            class: read.kind().as_str(),
            needs: read.needs().iter().map(|permission| permission.as_str()).collect(),
            psu_present: psu.is_some(),
            beyond_history: self.is_beyond_history(consent, read),
            cell,
        };
        let decided = self.parts.policy.decide(&asked);
        decided.map(Permit::lasting).map_err(|denied| of_consent(denied, consent))
    }

    /// Whether a client may ask whether the account of a consent covers an amount.
    pub(crate) fn may_confirm_funds(
        &self,
        client: &str,
        consent: &ConsentRow,
        granted: bool,
        cell: Region,
    ) -> Result<Permit<ConfirmFunds<'static>>, FlowError> {
        let asked = ConfirmFunds { client, consent: self.facts_of(consent, granted), cell };
        let decided = self.parts.policy.decide(&asked);
        decided.map(Permit::lasting).map_err(|denied| of_consent(denied, consent))
    }

    fn facts_of<'a>(&self, consent: &'a ConsentRow, granted: bool) -> ConsentFacts<'a> {
        ConsentFacts {
            client: &consent.client_id,
            granted,
            in_force: consent.is_in_force(self.now()),
            service: match consent.terms.kind() {
                ConsentKind::AccountInformation => Service::Accounts,
                ConsentKind::FundsConfirmation => Service::Funds,
            },
            region: consent.id.region(),
            permissions: consent.terms.permissions.iter().copied().map(Permission::as_str).collect(),
        }
    }

    /// Whether a client may order a payment that is at home in `region`, in the store of `cell`;
    /// under a mandate, which its token was granted for or not.
    pub(crate) fn may_order(
        &self,
        client: &str,
        region: Region,
        cell: Region,
        mandate: Option<(&MandateRow, bool)>,
    ) -> Result<Permit<OrderPayment<'static>>, FlowError> {
        let facts = mandate.map(|(mandate, granted)| MandateFacts {
            client: &mandate.client_id,
            granted,
            in_force: mandate.status == MandateStatus::Authorized,
            region: mandate.id.region(),
        });
        let asked = OrderPayment { client, region, cell, mandate: facts };
        self.parts.policy.decide(&asked).map(Permit::lasting).map_err(|denied| {
            let because = match mandate {
                Some(_) if forbids(&denied, "mandate.of-another-client") => FlowError::NotFound("mandate"),
                Some(_) if forbids(&denied, "mandate.not-granted") => FlowError::MandateNotGranted,
                Some((mandate, _)) if forbids(&denied, "mandate.not-in-force") => {
                    FlowError::MandateState(mandate.status)
                }
                Some(_) | None => other(&denied),
            };
            told(denied, because)
        })
    }

    /// Whether a client may do something with a payment that lies in the store of `cell`.
    pub(crate) fn may_change(
        &self,
        client: &str,
        payment: &PaymentRow,
        cell: Region,
        change: PaymentChange,
    ) -> Result<Permit<ChangePayment<'static>>, FlowError> {
        let facts = PaymentFacts { client: &payment.client_id, region: payment.id.region() };
        let authorised = payment.state == PaymentState::Authorized;
        let asked = ChangePayment { client, payment: facts, change, authorised, cell };
        self.parts.policy.decide(&asked).map(Permit::lasting).map_err(|denied| {
            let because = if forbids(&denied, "payment.of-another-client") {
                FlowError::NotFound("payment")
            } else if forbids(&denied, "payment.not-authorised") {
                FlowError::PaymentState(payment.state)
            } else {
                other(&denied)
            };
            told(denied, because)
        })
    }

    /// Whether a step may be taken with a consent on behalf of a client.
    pub(crate) fn may_step_consent(
        &self,
        client: &str,
        consent: &ConsentRow,
        step: Step,
        approved: bool,
    ) -> Result<Permit<Agree<'static>>, FlowError> {
        let agreement = AgreementFacts { client: &consent.client_id, region: consent.id.region() };
        self.may_step(client, agreement, step, approved).map_err(|denied| of_agreement(denied, "consent"))
    }

    /// The same with a mandate.
    pub(crate) fn may_step_mandate(
        &self,
        client: &str,
        mandate: &MandateRow,
        step: Step,
        approved: bool,
    ) -> Result<Permit<Agree<'static>>, FlowError> {
        let agreement = AgreementFacts { client: &mandate.client_id, region: mandate.id.region() };
        self.may_step(client, agreement, step, approved).map_err(|denied| of_agreement(denied, "mandate"))
    }

    fn may_step(
        &self,
        client: &str,
        agreement: AgreementFacts<'_>,
        step: Step,
        approved: bool,
    ) -> Result<Permit<Agree<'static>>, Denied> {
        // The store that it lies in, or will.
        let cell =
            self.parts.stores.region(agreement.region).map_or(agreement.region, |store| store.region());
        self.parts.policy.decide(&Agree { client, agreement, step, approved, cell }).map(Permit::lasting)
    }
}

/// What a refused step of a consent or a mandate comes to.
fn of_agreement(denied: Denied, what: &'static str) -> FlowError {
    let because = if forbids(&denied, "agreement.of-another-client") {
        FlowError::NotFound(what)
    } else {
        other(&denied)
    };
    told(denied, because)
}

fn of_consent(denied: Denied, consent: &ConsentRow) -> FlowError {
    let known = OF_CONSENTS.iter().find(|(rule, _)| forbids(&denied, rule));
    let because = known.map_or_else(|| other(&denied), |(_, because)| because(consent));
    told(denied, because)
}

fn forbids(denied: &Denied, rule: &str) -> bool {
    denied.reasons().iter().any(|reason| &*reason.rule == rule)
}

/// What rules come to that are about no consent, mandate or payment as such.
fn other(denied: &Denied) -> FlowError {
    let any = |test: fn(&str) -> bool| denied.reasons().iter().any(|reason| test(&reason.rule));
    if any(|rule| rule.ends_with(".elsewhere") || rule.starts_with("residency.") || rule == UNKNOWN_REGION) {
        FlowError::RegionDenied
    } else if any(|rule| matches!(rule, "policy.rule-failed" | "policy.no-permit")) {
        FlowError::RulesFailed
    } else {
        FlowError::Forbidden
    }
}

const UNKNOWN_REGION: &str = "policy.unknown-region";

/// What is another's is not there, and nothing is said of it.
fn told(denied: Denied, because: FlowError) -> FlowError {
    if matches!(because, FlowError::NotFound(_)) {
        return because;
    }
    FlowError::Denied { denied, because: Box::new(because) }
}
