//! What a client can see of a request of its own afterwards: what became of it, whose time it was, which
//! banks were called.
//!
//! It is noted in memory and written a second later, all requests of that second together: nobody waits
//! for it, and a process that is killed loses a second of it. What must not be lost is in the audit log.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::{Region, RequestId, Timestamp};
use serde::{Deserialize, Serialize};
use store::requests::RequestRow;
use telemetry::FIGURES;

use crate::{FlowError, Gateway};

/// Requests that are noted and not written yet, at most.
const WAITING: usize = 20_000;

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestEvidence {
    /// The request.
    pub id: RequestId,
    /// Whose it was.
    pub client_id: String,
    /// When it came.
    pub at: Timestamp,
    /// Method.
    pub method: String,
    /// Its route, as the description of the interface writes it.
    pub route: String,
    /// Status of the answer.
    pub status: u16,
    /// Why it was refused: a code of the catalogue.
    pub code: Option<String>,
    /// Whose data it was about, where that can be said.
    pub region: Option<Region>,
    /// Microseconds to the answer.
    pub took_us: u64,
    /// Microseconds of that in which a bank was waited for.
    pub at_banks_us: u64,
    /// Calls to banks, in the order of their ends.
    pub calls: Vec<CallEvidence>,
    /// The trace that it was in.
    pub trace_id: Option<String>,
}

/// A call to a bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallEvidence {
    /// The bank.
    pub institution_id: String,
    /// What it was called for.
    pub operation: String,
    /// Method.
    pub method: String,
    /// By which the bank finds it in its log.
    pub request_id: Option<String>,
    /// Status of its answer.
    pub status: Option<u16>,
    /// How it went.
    pub outcome: String,
    /// Microseconds after the request came.
    pub after_us: u64,
    /// Microseconds that it took.
    pub took_us: u64,
}

/// What is noted and not written yet.
#[derive(Debug, Default)]
pub(crate) struct Noted(Mutex<Vec<RequestEvidence>>);

impl Noted {
    fn all(&self) -> MutexGuard<'_, Vec<RequestEvidence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Gateway {
    /// Notes what became of a request.
    pub fn note_request(&self, evidence: RequestEvidence) {
        let mut noted = self.noted.all();
        if noted.len() < WAITING {
            noted.push(evidence);
        } else {
            FIGURES.evidence_dropped(1);
        }
    }

    /// Writes what was noted: in the store of the region that it is about, or the first here.
    ///
    /// # Errors
    ///
    /// [`FlowError`] if a store fails; what it was to keep is lost.
    pub async fn keep_requests(&self) -> Result<(), FlowError> {
        let noted = std::mem::take(&mut *self.noted.all());
        let Some(first) = self.stores().regions().next().map(store::RegionalStore::region) else {
            return Ok(());
        };
        let mut by_region = BTreeMap::<Region, Vec<RequestRow>>::new();
        for evidence in noted {
            let here = evidence.region.filter(|region| self.stores().region(*region).is_ok());
            let row = RequestRow {
                id: evidence.id,
                client_id: evidence.client_id.clone(),
                at: evidence.at,
                evidence: serde_json::to_string(&evidence).map_err(|_| FlowError::Busy)?,
            };
            by_region.entry(here.unwrap_or(first)).or_default().push(row);
        }
        for (region, rows) in by_region {
            let kept = self.stores().region(region)?.keep_requests(&rows).await;
            if let Err(error) = kept {
                FIGURES.evidence_dropped(u64::try_from(rows.len()).unwrap_or(u64::MAX));
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// What became of a request of a client, wherever here it was answered.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the client made no such request, or it is too long ago.
    pub async fn request_of(&self, client_id: &str, id: RequestId) -> Result<RequestEvidence, FlowError> {
        let of = |noted: &&RequestEvidence| noted.id == id && noted.client_id == client_id;
        if let Some(noted) = self.noted.all().iter().find(of) {
            return Ok(noted.clone());
        }
        for store in self.stores().regions() {
            if let Some(evidence) = store.request_of(client_id, id).await? {
                return serde_json::from_str(&evidence).map_err(|_| FlowError::NotFound("request"));
            }
        }
        Err(FlowError::NotFound("request"))
    }
}
