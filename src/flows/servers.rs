//! The authorization servers of banks, as their metadata describes them: read
//! again when it is out of date, and what has changed since is told.

use std::sync::Arc;
use std::time::Duration;

use connect::bank_oauth::{Metadata, Published};
use connect::{BankError, Profile};
use domain::EventType;
use url::Url;

use crate::gateway::CachedServer;
use crate::{FlowError, Gateway};

/// How long we go on with what we know of a server that cannot be asked.
const GRACE: Duration = Duration::from_secs(300);

impl Gateway {
    /// Metadata of a bank's authorization server, read again when it is out of date.
    pub(crate) async fn server(
        &self,
        profile: &Profile,
        named: Option<&Url>,
    ) -> Result<Arc<Metadata>, FlowError> {
        if let Some(stated) = Metadata::of_profile(profile) {
            return Ok(Arc::new(stated));
        }
        let known = self.servers.lock().await.get(&profile.id).cloned();
        let known = known.filter(|known| known.stated == profile.authorization_server);
        if let Some(known) = &known
            && known.until > self.now()
            && let Some(metadata) = &known.metadata
        {
            return Ok(Arc::clone(metadata));
        }
        let discovery = match (self.parts.transport.discover(profile, named).await, known.as_ref()) {
            (Ok(discovery), _) => discovery,
            (Err(error), Some(known)) => return self.without_answer(profile, known, error).await,
            (Err(error), None) => return Err(error.into()),
        };
        if let Some(known) = &known {
            self.tell_of_drift(profile, &known.published, &discovery.published).await;
        }
        let metadata = discovery.metadata(profile).map(Arc::new);
        let read = CachedServer {
            stated: profile.authorization_server.clone(),
            named: named.cloned(),
            // What is refused is looked at again at each use, and told once.
            metadata: metadata.as_ref().ok().cloned(),
            published: discovery.published.clone(),
            until: self.after(discovery.lifetime()),
        };
        self.servers.lock().await.insert(profile.id.clone(), read);
        Ok(metadata?)
    }

    /// Reads again the metadata in use that is out of date, so that a change is
    /// noticed before somebody needs what has changed.
    pub async fn look_at_servers(&self) {
        let now = self.now();
        let servers = self.servers.lock().await;
        let due = servers.iter().filter(|(_, known)| known.until <= now);
        let due: Vec<_> = due.map(|(id, known)| (id.clone(), known.named.clone())).collect();
        drop(servers);
        for (id, named) in due {
            let read = match self.parts.registry.profile(&id) {
                Some(profile) => self.server(&profile, named.as_ref()).await,
                None => continue,
            };
            if let Err(error) = read {
                tracing::debug!(institution = id.as_str(), error = %error, "The metadata of a bank was not read");
                // Its next use asks again; this round need not do so every second.
                if let Some(known) = self.servers.lock().await.get_mut(&id) {
                    (known.until, known.metadata) = (self.after(GRACE), None);
                }
            }
        }
    }

    /// A bank that cannot be asked is taken at its last word for a while.
    async fn without_answer(
        &self,
        profile: &Profile,
        known: &CachedServer,
        error: BankError,
    ) -> Result<Arc<Metadata>, FlowError> {
        let (Some(metadata), true) = (&known.metadata, error.kind.counts_against_bank()) else {
            return Err(error.into());
        };
        if let Some(known) = self.servers.lock().await.get_mut(&profile.id) {
            known.until = self.after(GRACE);
        }
        Ok(Arc::clone(metadata))
    }

    /// Logs what a bank has changed in its metadata, and writes events of it.
    async fn tell_of_drift(&self, profile: &Profile, before: &Published, now: &Published) {
        let drifts = now.since(before);
        if drifts.is_empty() {
            return;
        }
        let mut members: Vec<&str> = drifts.iter().map(|drift| drift.member.as_str()).collect();
        members.dedup();
        let members = members.join(", ");
        tracing::warn!(
            institution = profile.id.as_str(),
            members,
            "The metadata of {} has changed: {members}",
            profile.id
        );
        let what = crate::health::Told { key: &now.digest(), status: &members };
        if let Err(error) =
            self.tell_of(profile, "metadata", what, EventType::InstitutionMetadataChanged).await
        {
            tracing::error!(institution = profile.id.as_str(), error = %error, "Nobody was told of changed metadata");
        }
    }
}
