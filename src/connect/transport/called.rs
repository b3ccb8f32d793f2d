//! What is told of a call to a bank: figures, and a note on the trail of the request that it is for.

use std::time::Duration;

use domain::{InstitutionId, Region};
use telemetry::{BankCall, BankLabels, BankOutcome, Calling, FIGURES, TraceContext, Trail};

use super::Answer;
use crate::{BankError, BankErrorKind, BankRequest, Profile};

/// A call, as it is told of.
#[derive(Clone)]
pub(super) struct Called {
    bank: InstitutionId,
    region: Region,
    operation: &'static str,
    method: String,
    request_id: Option<String>,
    trace: Option<TraceContext>,
}

/// Headers by which banks find a request again.
const REQUEST_IDS: [&str; 2] = ["x-request-id", "x-fapi-interaction-id"];

impl Called {
    pub(super) fn of(profile: &Profile, request: &BankRequest) -> Self {
        Self {
            bank: profile.id.clone(),
            region: profile.region,
            operation: request.service.as_str(),
            method: request.method.to_string(),
            request_id: REQUEST_IDS.iter().find_map(|name| request.header_text(name)).map(str::to_owned),
            trace: Trail::now().and_then(|trail| trail.context()),
        }
    }

    pub(super) fn count(&self, outcome: BankOutcome, took: Duration) {
        let (bank, region) = (self.bank.to_string(), self.region.to_string());
        FIGURES.bank_called(
            BankLabels { bank, operation: self.operation, region },
            outcome,
            took,
            self.trace,
        );
    }

    /// It is on its way, for the request that is worked on.
    pub(super) fn calling(&self) -> Option<Calling> {
        Trail::now().map(|trail| trail.calling())
    }

    /// It was not made, and this is why.
    pub(super) fn spared(&self, why: BankError) -> BankError {
        self.count(BankOutcome::Spared, Duration::ZERO);
        if let Some(calling) = self.calling() {
            calling.ended(BankCall { outcome: BankOutcome::Spared, ..self.as_call(&Err(why.clone())) });
        }
        why
    }

    pub(super) fn as_call(&self, answer: &Answer) -> BankCall {
        let of_error = |error: &BankError| error.http_status;
        BankCall {
            bank: self.bank.to_string(),
            operation: self.operation,
            method: self.method.clone(),
            request_id: self.request_id.clone(),
            status: answer.as_ref().map_or_else(of_error, |response| Some(response.status.as_u16())),
            outcome: outcome_of(answer),
            after: Duration::ZERO,
            took: Duration::ZERO,
        }
    }
}

/// How a call went.
pub(super) fn outcome_of(answer: &Answer) -> BankOutcome {
    match answer {
        Ok(response) if response.status.is_server_error() => BankOutcome::Failed,
        Ok(response) if response.status.is_client_error() => BankOutcome::Refused,
        Ok(_) => BankOutcome::Ok,
        Err(error) if error.kind == BankErrorKind::BankTimeout => BankOutcome::Timeout,
        Err(error) if error.outcome == crate::Outcome::Unknown => BankOutcome::Unknown,
        Err(_) => BankOutcome::Failed,
    }
}
