//! What a person sees of their consents, and takes back. The person has a name
//! here that only the hosted pages can make; nothing else is known of them.

use domain::{AccountIdentification, ConsentId, ConsentStatus, InstitutionId, Permission, Timestamp};
use store::StoreError;
use store::consents::Note;
use store::usage::Usage;

use crate::consents::TRIES;
use crate::{FlowError, Gateway};

/// A consent as the person who gave it sees it.
#[derive(Clone, Debug)]
pub struct PsuConsent {
    /// The consent.
    pub id: ConsentId,
    /// Who has access.
    pub client_id: String,
    /// Where.
    pub institution: Option<InstitutionId>,
    /// Where it stands.
    pub status: ConsentStatus,
    /// To what.
    pub permissions: Vec<Permission>,
    /// The account whose funds are asked about; none where accounts are read.
    pub funds_of: Option<AccountIdentification>,
    /// Since when; none if it was never given.
    pub since: Option<Timestamp>,
    /// Until when: its end, or when it ended before.
    pub until: Option<Timestamp>,
    /// What was read so far, by kind.
    pub reads: Vec<Usage>,
}

impl Gateway {
    /// Notes whose consent it is. `psu_digest` is a digest that tells nobody who
    /// the person is; the hosted pages make it. Until it is given it belongs to
    /// whoever was asked last: the journey may begin again in another browser.
    ///
    /// # Errors
    ///
    /// [`FlowError::OtherPsu`] if it was given, and is another person's.
    pub async fn bind_psu(&self, id: ConsentId, psu_digest: &str) -> Result<(), FlowError> {
        let mut tries = 0;
        loop {
            let consent = self.any_consent(id).await?;
            match consent.psu_digest.as_deref() {
                Some(bound) if bound == psu_digest => return Ok(()),
                Some(_) if consent.terms.authorized_at.is_some() => return Err(FlowError::OtherPsu),
                Some(_) | None => {}
            }
            let bound = self.move_consent(consent, Note::by("psu"), |row| {
                row.psu_digest = Some(psu_digest.to_owned());
            });
            match bound.await {
                Err(FlowError::Store(StoreError::Conflict)) if tries < TRIES => tries += 1,
                bound => return bound.map(|_| ()),
            }
        }
    }

    /// The consents of a person in every region held here, with what was read.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn consents_of_psu(&self, psu_digest: &str) -> Result<Vec<PsuConsent>, FlowError> {
        let mut found = Vec::new();
        for store in self.parts.stores.regions() {
            for row in store.consents_of_psu(psu_digest).await? {
                // One that is past its end is shown as what it is.
                let row = self.any_consent(row.id).await?;
                let reads = store.usage(row.id).await?;
                let ended = row.status.is_final().then_some(row.updated_at);
                found.push(PsuConsent {
                    id: row.id,
                    client_id: row.client_id,
                    institution: row.institution,
                    status: row.status,
                    permissions: row.terms.permissions,
                    funds_of: row.terms.funds_of,
                    since: row.terms.authorized_at,
                    until: ended.into_iter().chain(row.expires_at).min(),
                    reads,
                });
            }
        }
        Ok(found)
    }

    /// A person withdraws a consent of theirs: at once here, then at the bank.
    ///
    /// # Errors
    ///
    /// [`FlowError::NotFound`] if the person has no such consent.
    pub async fn withdraw_by_psu(&self, psu_digest: &str, id: ConsentId) -> Result<(), FlowError> {
        let consent = self.any_consent(id).await?;
        if consent.psu_digest.as_deref() != Some(psu_digest) {
            return Err(FlowError::NotFound("consent"));
        }
        self.withdraw(consent, ConsentStatus::RevokedByPsu, Note::by("psu")).await
    }
}
