//! What the audit log says of reads: who, under which consent, of which bank, which class of
//! data, and what allowed it or stood against it.

use std::borrow::Cow;

use audit::{Outcome, Record};
use connect::PsuPresence;
use crypto::certificate::Thumbprint;
use domain::{ConsentId, InstitutionId, Permission, ReadKind, Region, RequestId, Timestamp};
use policy::{Decision, Permit};
use store::StoreError;
use store::consents::ConsentRow;

use crate::consents::{TRIES, date_of};
use crate::{FlowError, Gateway};

/// Who asks, and in which request.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    /// The client.
    pub client: &'a str,
    /// The consents that its token carries.
    pub consents: &'a [ConsentId],
    /// The request.
    pub request: RequestId,
    /// The certificate of the connection, if one was shown.
    pub certificate: Option<Thumbprint>,
}

/// A read under one consent.
#[derive(Clone, Copy)]
pub(crate) struct Access<'a> {
    pub(crate) asker: Asker<'a>,
    pub(crate) consent: ConsentId,
    pub(crate) institution: Option<&'a InstitutionId>,
    pub(crate) kind: ReadKind,
    pub(crate) psu: Option<&'a PsuPresence>,
}

impl<'a> Access<'a> {
    /// It was done, as the rules permit.
    pub(crate) fn done<'b, D: Decision>(
        self,
        at: Timestamp,
        permit: &'b Permit<D>,
        permission: Option<Permission>,
    ) -> Record<'b>
    where
        'a: 'b,
    {
        let rule = permit.rule();
        let permission = permission.map(Permission::as_str);
        Record { rule, permission, ..self.record(at, Outcome::Success) }
    }

    /// It was refused before any bank was asked.
    pub(crate) fn refused<'b>(self, at: Timestamp, reason: &'static str, rules: Option<&'b str>) -> Record<'b>
    where
        'a: 'b,
    {
        Record { reason: Some(reason), rule: rules, ..self.record(at, Outcome::Failure) }
    }

    fn record(self, at: Timestamp, outcome: Outcome) -> Record<'a> {
        Record {
            at,
            region: self.consent.region(),
            action: "data.read",
            is_access: true,
            outcome,
            reason: None,
            permission: None,
            client: self.asker.client,
            request: Some(self.asker.request),
            certificate: self.asker.certificate,
            consent: Some(self.consent),
            resource: None,
            institution: self.institution,
            class: Some(self.kind.as_str()),
            rule: None,
            psu_present: Some(self.psu.is_some()),
        }
    }
}

impl Gateway {
    /// Notes what was read under a consent, in the ledger and in the audit log, and returns when that is on
    /// the disk. Where the consent is no longer the one that the read began with, `judge` says of it as it
    /// is now whether that may be kept.
    ///
    /// # Errors
    ///
    /// Those of `judge`, [`FlowError::NotFound`] if the consent is gone, [`FlowError::Store`] if the store
    /// fails.
    pub(crate) async fn noted<D: Decision>(
        &self,
        access: Access<'_>,
        consent: &ConsentRow,
        judge: impl Fn(&ConsentRow) -> Result<Permit<D>, FlowError>,
        permission: Option<Permission>,
    ) -> Result<(), FlowError> {
        let store = self.parts.stores.region(consent.id.region())?;
        let mut consent = Cow::Borrowed(consent);
        for _ in 0..TRIES {
            let (permit, now) = (judge(&consent)?, self.now());
            let record = access.done(now, &permit, permission);
            let of = (consent.id, consent.revision);
            match store.note_read(of, access.kind, date_of(now), &record).await {
                Err(StoreError::Conflict) => consent = Cow::Owned(Box::pin(self.any_consent(of.0)).await?),
                noted => return Ok(noted?),
            }
        }
        Err(FlowError::Busy)
    }

    /// Writes down, in a log of this cell, that a request about another region was not passed on to
    /// its home. Who asked is not known here: that is looked at there.
    pub async fn not_passed(
        &self,
        of: Region,
        rules: &str,
        request: Option<RequestId>,
        certificate: Option<Thumbprint>,
    ) {
        let Some(store) = self.parts.stores.regions().next() else { return };
        let refused = Record {
            at: self.now(),
            region: of,
            action: "request.forwarded",
            is_access: true,
            outcome: Outcome::Failure,
            reason: Some("region.denied"),
            permission: None,
            client: "",
            request,
            certificate,
            consent: None,
            resource: None,
            institution: None,
            class: None,
            rule: Some(rules),
            psu_present: None,
        };
        if let Err(error) = store.audit(&refused).await {
            tracing::error!(error = %error, "The audit log does not have a request that was not passed on");
        }
    }
}

/// The rules that forbid something, between spaces.
pub(crate) fn rules_of(error: &FlowError) -> Option<String> {
    let FlowError::Denied { denied, .. } = error else { return None };
    Some(denied.rules().collect::<Vec<_>>().join(" "))
}
