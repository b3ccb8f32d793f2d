//! What became of each consent in an aggregated read.

use std::time::Duration;

use connect::BankErrorKind;
use domain::{ConsentId, ConsentStatus, Date, InstitutionId, Region, SuspensionCause, Timestamp};
use limits::Exceeded;
use policy::Denied;
use store::StoreError;

use crate::{FlowError, Unattended};

/// How one bank answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceStatus {
    /// In full.
    Ok,
    /// Not at all.
    Failed(BankErrorKind),
    /// It was not asked, or refused: the consent is not in force.
    NotInForce {
        /// Where the consent stands.
        status: ConsentStatus,
        /// What stops it, if it only is suspended.
        suspended_for: Option<SuspensionCause>,
    },
    /// It was not asked: the consent does not allow this.
    NotAllowed,
    /// It was not asked: it does not offer this.
    NotOffered,
    /// It was not asked: transactions that old need the PSU to be present.
    HistoryNeedsPsu,
    /// It was not asked: the day's calls without the PSU are used up.
    UnattendedUsedUp(Unattended),
    /// It was not asked: too many reads came under the consent.
    TooMany,
    /// It was not asked: the rules of regions forbid it.
    RegionDenied,
    /// It was not asked: a rule of the operator's own forbids it.
    Forbidden,
    /// It did not answer before the deadline.
    TimedOut,
}

/// What became of one consent in an aggregated read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReport {
    /// The consent.
    pub consent: ConsentId,
    /// The bank.
    pub institution: Option<InstitutionId>,
    /// Home region of the data.
    pub region: Region,
    /// How it answered.
    pub status: SourceStatus,
    /// When.
    pub as_of: Timestamp,
    /// Standard that the bank speaks.
    pub standard: Option<String>,
    /// Calls without the PSU that are left under the consent.
    pub unattended: Option<Unattended>,
    /// The quota of reads that is used up.
    pub exceeded: Option<Exceeded>,
    /// When it may answer again, where it or the gateway says so.
    pub retry_after: Option<Duration>,
    /// Our own store was away, or still silent at the deadline: that it was not read says nothing of the bank.
    pub away: bool,
    /// The rules that forbid it.
    pub denied: Option<Denied>,
    /// The first day of transactions that it was asked for, where that is known:
    /// later than the caller wished, if the consent, the bank or the absence of
    /// the PSU allow no more.
    pub history_from: Option<Date>,
}

impl SourceReport {
    /// Notes why nothing was read.
    pub(crate) fn note(&mut self, error: &FlowError) {
        if let FlowError::Denied { denied, .. } = error {
            self.denied = Some(denied.clone());
        }
        let cause = error.cause();
        if let FlowError::UnattendedUsedUp(used_up) = cause {
            self.unattended = Some(*used_up);
        }
        if let FlowError::TooMany(exceeded) = cause {
            self.retry_after = Some(exceeded.wait);
            self.exceeded = Some(exceeded.clone());
        }
        if let FlowError::Bank(error) = cause {
            self.retry_after = error.retry_after;
        }
        self.away = matches!(cause, FlowError::Store(error) if error.is_passing() || matches!(error, StoreError::OutcomeUnknown(_)));
        self.status = status_after(cause);
    }

    /// Why we, and no bank, did not read, where the caller can do something about it.
    pub(crate) fn refusal(&self) -> Option<FlowError> {
        match self.status {
            SourceStatus::NotInForce { status, suspended_for } => {
                Some(FlowError::ConsentNotInForce { consent: self.consent, status, suspended_for })
            }
            SourceStatus::NotAllowed => Some(FlowError::ConsentScope),
            SourceStatus::NotOffered => {
                let missing = FlowError::NotFound("institution");
                Some(self.institution.clone().map_or(missing, FlowError::Unsupported))
            }
            SourceStatus::HistoryNeedsPsu => Some(FlowError::HistoryNeedsPsu),
            SourceStatus::UnattendedUsedUp(used_up) => Some(FlowError::UnattendedUsedUp(used_up)),
            SourceStatus::RegionDenied => Some(FlowError::RegionDenied),
            SourceStatus::Forbidden => Some(FlowError::Forbidden),
            SourceStatus::Ok | SourceStatus::Failed(_) | SourceStatus::TooMany | SourceStatus::TimedOut => {
                None
            }
        }
    }
}

/// How a source stands after an error.
fn status_after(cause: &FlowError) -> SourceStatus {
    if let Some((status, _)) = refused(cause) {
        return status;
    }
    if let FlowError::Unsupported(_) = cause {
        return SourceStatus::NotOffered;
    }
    SourceStatus::Failed(if let FlowError::Bank(error) = cause {
        error.kind
    } else {
        BankErrorKind::Internal
    })
}

/// The code of the reason why we, and no bank, refused something, if we did.
pub(crate) fn refusal(error: &FlowError) -> Option<&'static str> {
    refused(error).map(|(_, code)| code)
}

/// What is a refusal of ours: how a source stands then, and the code of the reason.
fn refused(error: &FlowError) -> Option<(SourceStatus, &'static str)> {
    Some(match error {
        FlowError::Denied { because, .. } => return refused(because),
        FlowError::ConsentNotInForce { status, suspended_for, .. } => {
            let (status, suspended_for) = (*status, *suspended_for);
            (SourceStatus::NotInForce { status, suspended_for }, "consent.not_in_force")
        }
        FlowError::ConsentNotGranted => (SourceStatus::NotAllowed, "auth.consent"),
        FlowError::ConsentScope => (SourceStatus::NotAllowed, "consent.scope"),
        FlowError::HistoryNeedsPsu => (SourceStatus::HistoryNeedsPsu, "consent.history_needs_psu"),
        FlowError::UnattendedUsedUp(used_up) => {
            (SourceStatus::UnattendedUsedUp(*used_up), "consent.unattended_used_up")
        }
        FlowError::TooMany(_) => (SourceStatus::TooMany, "quota.exceeded"),
        FlowError::RegionDenied => (SourceStatus::RegionDenied, "region.denied"),
        FlowError::Forbidden => (SourceStatus::Forbidden, "policy.denied"),
        FlowError::RulesFailed => (SourceStatus::Failed(BankErrorKind::Internal), "policy.failed"),
        FlowError::NotFound(_)
        | FlowError::Invalid(_)
        | FlowError::SnapshotGone
        | FlowError::UnknownInstitution(_)
        | FlowError::Unsupported(_)
        | FlowError::RegionNotHeld(_)
        | FlowError::ConsentState(_)
        | FlowError::NothingToReconfirm
        | FlowError::OtherPsu
        | FlowError::PaymentState(_)
        | FlowError::OrderNotGranted
        | FlowError::MandateState(_)
        | FlowError::MandateBreach(_)
        | FlowError::MandateUsedUp { .. }
        | FlowError::PolicyRefused(_)
        | FlowError::DayUsedUp { .. }
        | FlowError::MandateNotGranted
        | FlowError::RefundUnavailable(_)
        | FlowError::RefundExceeds { .. }
        | FlowError::CallbackMismatch
        | FlowError::CallbackSpent
        | FlowError::KeyInFlight
        | FlowError::KeyReused
        | FlowError::Webhook(_)
        | FlowError::Bank(_)
        | FlowError::AllBanks(_)
        | FlowError::PayeeQuota { .. }
        | FlowError::Busy
        | FlowError::Store(_) => return None,
    })
}
