//! Events that banks have waiting (UK aggregated polling): fetched by one process at a time,
//! and acknowledged once the bank was asked about what they are about.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect::{BankEvents, BankFilter, EventPoll, EventRefused, PolledEvents, Profile, Service};

use crate::accounts::chain;
use crate::notices::{NotificationRefused, SILENT};
use crate::reconcile::LEASE;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// Most events of one answer.
const AT_MOST: u16 = 20;
/// Most answers of one round; what is left then waits for the next.
const ANSWERS: u8 = 10;

/// What became of a token.
enum Verdict {
    Acted,
    Refused(EventRefused),
    /// It stays with the bank, which gives it again.
    Open,
}

impl Gateway {
    /// Begins to fetch the events of every bank whose time has come; returns how many.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; a bank's failure ends its own round.
    pub async fn poll_events(self: &Arc<Self>) -> Result<usize, FlowError> {
        let mut started = 0;
        for profile in self.parts.registry.list(&BankFilter::default(), None, usize::MAX) {
            let stated = profile.notifications.as_ref().filter(|_| profile.connectable());
            let every = stated.and_then(|stated| stated.poll);
            let (Some(every), Ok(store)) = (every, self.parts.stores.region(profile.region)) else {
                continue;
            };
            let turn = format!("events:{}", profile.id.as_str());
            let holder = self.entropy().uuid_v4().simple().to_string();
            let now = self.now();
            if !store.take_turn(&turn, &holder, now, later(now, LEASE)).await? {
                continue;
            }
            let (gateway, store) = (Arc::clone(self), store.clone());
            tokio::spawn(async move {
                gateway.poll_bank(&profile).await;
                // Nobody has a turn before the next round is due.
                let next = gateway.after(every);
                if let Err(error) = store.move_turn(&turn, &holder, next).await {
                    tracing::warn!(error = %chain(&error), "A turn ends later than meant");
                }
            });
            started += 1;
        }
        Ok(started)
    }

    async fn poll_bank(self: &Arc<Self>, profile: &Profile) {
        if let Err(error) = self.fetch_events(profile).await {
            let bank = &profile.id;
            tracing::warn!(bank.code = %bank, error = %chain(&error), "Events of bank {bank} could not be fetched");
        }
    }

    /// Fetches what there is. What became of the tokens of one answer goes along with the
    /// next request; a token that the bank was told nothing of comes again.
    async fn fetch_events(self: &Arc<Self>, profile: &Profile) -> Result<(), FlowError> {
        let dialect = self.dialect_of(profile)?;
        let events = dialect.events().ok_or_else(|| FlowError::Unsupported(profile.id.clone()))?;
        let mut ask = EventPoll { at_most: AT_MOST, ..EventPoll::default() };
        for left in (0..ANSWERS).rev() {
            let polled = self.poll_once(profile, events, &ask).await?;
            ask = self.settle_tokens(profile, events, &polled.tokens).await?;
            if ask.acknowledged.is_empty() && ask.refused.is_empty() {
                return Ok(());
            }
            if !polled.more || left == 0 {
                // Nothing more is wanted than to say what became of these.
                self.poll_once(profile, events, &ask).await?;
                return Ok(());
            }
            ask.at_most = AT_MOST;
        }
        Ok(())
    }

    async fn poll_once(
        &self,
        profile: &Profile,
        events: &dyn BankEvents,
        ask: &EventPoll,
    ) -> Result<PolledEvents, FlowError> {
        let token = self.bank_token(profile, events.token(profile), None).await?;
        let cx = self.context(profile, None, None, token.as_ref(), None);
        let response = self.call_for(Service::Events, profile, events.poll(&cx, ask)?).await?;
        Ok(events.polled(&cx, &response)?)
    }

    /// Acts on tokens, and says what became of each; of those that stay with the bank nothing.
    async fn settle_tokens(
        self: &Arc<Self>,
        profile: &Profile,
        events: &dyn BankEvents,
        tokens: &BTreeMap<String, String>,
    ) -> Result<EventPoll, FlowError> {
        let mut settled = EventPoll::default();
        for (jti, token) in tokens {
            match self.settle_token(profile, events, jti, token).await? {
                Verdict::Acted => settled.acknowledged.push(jti.clone()),
                Verdict::Refused(why) => {
                    settled.refused.insert(jti.clone(), why);
                }
                Verdict::Open => {}
            }
        }
        Ok(settled)
    }

    async fn settle_token(
        self: &Arc<Self>,
        profile: &Profile,
        events: &dyn BankEvents,
        jti: &str,
        token: &str,
    ) -> Result<Verdict, FlowError> {
        let event = match self.verified_event(profile, token).await {
            Ok(event) => event,
            Err(NotificationRefused::Event(why)) => return Ok(Verdict::Refused(why)),
            Err(NotificationRefused::Failed(error)) => return Err(error),
            Err(
                NotificationRefused::Unknown | NotificationRefused::Certificate | NotificationRefused::Notice,
            ) => return Ok(Verdict::Open),
        };
        if event.jti != jti {
            return Ok(Verdict::Refused(EventRefused::InvalidRequest("jti is another")));
        }
        let Some(about) = events.about(&event.events) else { return Ok(Verdict::Refused(SILENT)) };
        // Nobody else asks about it meanwhile; if this process ends, somebody does then.
        let until = later(self.now(), LEASE);
        for notice in self.keep_event(profile, &event, about, until).await? {
            if notice.due_at.is_some() {
                self.heed_notice(&notice).await;
            }
        }
        let store = self.parts.stores.region(profile.region)?;
        let open = store.notices_of(&profile.id, jti).await?.iter().any(|notice| notice.due_at.is_some());
        Ok(if open { Verdict::Open } else { Verdict::Acted })
    }
}
