//! How banks are doing, told to those who have consents there.

use std::collections::BTreeMap;

use connect::{BankFilter, HealthChange, HealthStatus, Profile, Service, ServiceHealth, Tally};
use domain::{ConsentStatus, EventType, InstitutionId, Region};
use store::StoreError;
use store::statistics::BankDay;

use crate::events::Subject;
use crate::{FlowError, Gateway};

/// How both services of an institution are doing, as this process sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstitutionHealth {
    /// Account information.
    pub accounts: ServiceHealth,
    /// Payment initiation.
    pub payments: ServiceHealth,
    /// Confirmation of funds.
    pub funds: ServiceHealth,
    /// Verification of payees.
    pub payees: ServiceHealth,
}

/// What is told of a change; nothing of a bank that is called for the first
/// time, or no more.
fn news(change: &HealthChange) -> Option<EventType> {
    match change.to {
        HealthStatus::Down => Some(EventType::InstitutionDown),
        HealthStatus::Degraded => Some(EventType::InstitutionDegraded),
        HealthStatus::Healthy if change.from != HealthStatus::Unknown => {
            Some(EventType::InstitutionRecovered)
        }
        HealthStatus::Healthy | HealthStatus::Unknown => None,
    }
}

/// What is told of a bank, once.
pub(crate) struct Told<'a> {
    /// What tells it from what was told before.
    pub(crate) key: &'a str,
    /// What the event says.
    pub(crate) status: &'a str,
}

impl<'a> Told<'a> {
    fn plain(status: &'a str) -> Self {
        Self { key: status, status }
    }
}

fn bank_day(institution: &InstitutionId, service: Service, day: &str, tally: Tally) -> BankDay {
    BankDay {
        institution: institution.to_string(),
        service: service.as_str().to_owned(),
        day: day.to_owned(),
        calls: tally.calls,
        failed: tally.failed,
        unanswered: tally.unanswered,
        took_ms: tally.took_ms,
        slowest_ms: tally.slowest_ms,
        down_ms: tally.down_ms,
    }
}

impl Gateway {
    /// How an institution is doing, as this process sees it.
    #[must_use]
    pub fn health_of(&self, institution: &InstitutionId) -> InstitutionHealth {
        let health = self.parts.transport.health();
        InstitutionHealth {
            accounts: health.of(institution, Service::Accounts),
            payments: health.of(institution, Service::Payments),
            funds: health.of(institution, Service::Funds),
            payees: health.of(institution, Service::Payees),
        }
    }

    /// Writes events of what has changed with banks since this was last called,
    /// for the clients that hold a consent in force there.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; what was not told then is not told.
    pub async fn tell_of_banks(&self) -> Result<(), FlowError> {
        for change in self.parts.transport.health().changes() {
            tracing::info!(
                institution = change.institution.as_str(),
                service = change.service.as_str(),
                from = change.from.as_str(),
                to = change.to.as_str(),
                "The health of a bank has changed"
            );
            let profile = self.parts.registry.profile(&change.institution);
            // Events of the bank's are no service to clients.
            let news = news(&change).filter(|_| change.service != Service::Events);
            if let (Some(profile), Some(news)) = (profile, news) {
                let what = Told::plain(change.to.as_str());
                self.tell_of(&profile, change.service.as_str(), what, news).await?;
            }
        }
        Ok(())
    }

    /// Writes down how banks answered since this was last called, for the figures of the quarter
    /// (RTS (EU) 2018/389 art. 32(4)).
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; what was not written then is written later.
    pub async fn keep_statistics(&self) -> Result<(), FlowError> {
        let now = self.now();
        let day = now.to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
        let health = self.parts.transport.health();
        let mut seen: BTreeMap<Region, Vec<_>> = BTreeMap::new();
        for (institution, service, tally) in health.tallies(now) {
            if let Some(profile) = self.parts.registry.profile(&institution) {
                seen.entry(profile.region).or_default().push((institution, service, tally));
            }
        }
        let mut failed = None;
        for (region, seen) in seen {
            let Ok(store) = self.parts.stores.region(region) else { continue };
            // One for all banks of a region: this is done again every second.
            let written = store::transaction!(store, tx => {
                for (institution, service, tally) in &seen {
                    tx.add_to_bank_day(&bank_day(institution, *service, &day, *tally)).await?;
                }
                Ok::<_, StoreError>(())
            });
            if let Err(error) = written {
                for (institution, service, tally) in seen {
                    health.give_back(&institution, service, tally);
                }
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Writes events of the next maintenance that the profiles of banks announce.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails.
    pub async fn tell_of_maintenance(&self) -> Result<(), FlowError> {
        let now = self.now();
        for profile in self.parts.registry.list(&BankFilter::default(), None, usize::MAX) {
            let next = profile.maintenance.iter().filter(|window| window.until > now);
            if let Some(window) = next.min_by_key(|window| window.from) {
                let from = window.from.to_string();
                self.tell_of(
                    &profile,
                    "maintenance",
                    Told::plain(&from),
                    EventType::InstitutionMaintenanceScheduled,
                )
                .await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn tell_of(
        &self,
        profile: &Profile,
        service: &str,
        what: Told<'_>,
        news: EventType,
    ) -> Result<(), FlowError> {
        let Ok(store) = self.parts.stores.region(profile.region) else { return Ok(()) };
        let clients = store.clients_at(&profile.id, ConsentStatus::Authorized.as_str()).await?;
        let now = self.now();
        // What was told is not told again.
        store::transaction!(keyed store, tx => {
            if !tx.tell_of_institution(&profile.id, service, what.key, now).await? {
                return Ok(());
            }
            for client in &clients {
                let subject = Subject::Institution {
                    id: profile.id.clone(),
                    region: profile.region,
                    status: what.status.to_owned(),
                    told: news,
                };
                tx.emit(&self.event(client, &subject, now.as_microsecond(), now)).await?;
            }
            Ok(())
        })
    }
}
