//! What the audit log says of reads: who, under which consent, of which bank, which class of
//! data, and what allowed it or stood against it.

use audit::{Outcome, Record};
use connect::PsuPresence;
use crypto::certificate::Thumbprint;
use domain::{ConsentId, InstitutionId, Permission, ReadKind, Region, RequestId, Timestamp};
use policy::{Decision, Permit};

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
