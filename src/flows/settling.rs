//! Banks at which a fresh consent can be used only after some seconds (quirk
//! `consent-settles`): the PSU waits on our page, and goes on with the same consent.

use std::time::Duration;

use connect::{BankError, CallContext, Consents, Profile, QuirkName, ScaStart};
use domain::{ConsentKind, ConsentStatus, Timestamp};
use store::consents::ConsentRow;

use crate::{FlowError, Gateway};

/// Longest that a person is kept waiting, whatever a profile says.
const LONGEST: u64 = 60;

/// How long a fresh consent of this bank cannot be used; none, if it can at once.
pub(crate) fn settles(profile: &Profile, consent: &ConsentRow) -> Option<Duration> {
    if consent.terms.kind() != ConsentKind::AccountInformation {
        return None;
    }
    let version = profile.accounts_api.as_ref().map_or("", |api| api.version.as_str());
    let quirk = profile.quirks.find(QuirkName::ConsentSettles, "aisp.consent.post", version)?;
    let seconds = quirk.number("seconds").unwrap_or_default().min(LONGEST);
    Some(Duration::from_secs(seconds)).filter(|wait| !wait.is_zero())
}

impl Gateway {
    /// From when a consent that was lodged can be used; none, if nothing is waited for.
    pub(crate) fn settled_at(&self, consent: &ConsentRow) -> Result<Option<Timestamp>, FlowError> {
        let lodged = consent.status == ConsentStatus::AwaitingRedirect
            && consent.bank.consent_id.is_some()
            // With a token the PSU has been there.
            && consent.bank.access_token.is_none();
        if !lodged {
            return Ok(None);
        }
        let wait = settles(&*self.bank_of(consent)?, consent);
        Ok(wait.and_then(|wait| consent.updated_at.checked_add(wait).ok()))
    }
}

/// How the PSU authorises a consent that was lodged before.
pub(crate) fn begun(consents: Consents<'_>, cx: &CallContext<'_>) -> Result<ScaStart, BankError> {
    let begun = match consents {
        Consents::Lodged(lodging) => lodging.begun(cx),
        Consents::Authorized(_) => None,
    };
    begun.ok_or_else(|| cx.unsupported("consent-settles"))
}
