//! Subscriptions to events at banks: kept as the profiles say, without a person. Losing one
//! costs nothing but time, and the bank tells us what it has, so that the wish is compared
//! and lodged again and again.

use std::sync::Arc;

use connect::{BankEvents, BankFilter, BankRequest, BankResponse, CallContext, EventWish, Profile, Service};

use crate::accounts::chain;
use crate::reconcile::LEASE;
use crate::webhooks::later;
use crate::{FlowError, Gateway};

/// Seconds until a subscription is looked at again.
const EVERY: i64 = 3_600;
/// The same after a failure.
const AFTER_FAILURE: i64 = 60;

impl Gateway {
    /// Looks at the subscription at every bank whose time has come; returns at how many.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if a store fails; a bank's failure is tried again later.
    pub async fn keep_subscriptions(self: &Arc<Self>) -> Result<usize, FlowError> {
        let mut started = 0;
        for profile in self.parts.registry.list(&BankFilter::default(), None, usize::MAX) {
            let Ok(store) = self.parts.stores.region(profile.region) else { continue };
            let there = profile.connectable() && profile.events_api().is_ok();
            let dialect = self.parts.registry.dialect(&profile).filter(|_| there);
            let Some(dialect) = dialect else { continue };
            let Some(events) = dialect.events() else { continue };
            // Another wish has another turn, which comes at once.
            let wish = self.event_wish(&profile, events);
            let wished = crypto::digest::sha256_hex(format!("{wish:?}").as_bytes());
            let turn = format!("subscription:{}:{wished}", profile.id.as_str());
            let holder = self.entropy().uuid_v4().simple().to_string();
            let now = self.now();
            if !store.take_turn(&turn, &holder, now, later(now, LEASE)).await? {
                continue;
            }
            let (gateway, store) = (Arc::clone(self), store.clone());
            tokio::spawn(async move {
                let bank = &profile.id;
                let wait = match gateway.keep_subscription(&profile, wish).await {
                    Ok(()) => EVERY,
                    Err(error) => {
                        tracing::warn!(bank.code = %bank, error = %chain(&error), "The subscription at bank {bank} could not be kept");
                        AFTER_FAILURE
                    }
                };
                if let Err(error) = store.move_turn(&turn, &holder, later(gateway.now(), wait)).await {
                    tracing::warn!(error = %chain(&error), "A turn ends earlier than meant");
                }
            });
            started += 1;
        }
        Ok(started)
    }

    /// Makes the subscription at a bank what the profile says. A bank has one for each client.
    async fn keep_subscription(&self, profile: &Profile, wish: Option<EventWish>) -> Result<(), FlowError> {
        let dialect = self.dialect_of(profile)?;
        let events = dialect.events().ok_or_else(|| FlowError::Unsupported(profile.id.clone()))?;
        let bank = &profile.id;
        let ask = |cx: &CallContext<'_>| events.subscriptions(cx);
        let there =
            self.ask_of_events(profile, events, ask, |cx, r| events.subscriptions_read(cx, r)).await?;
        let Some(wish) = wish else {
            for subscription in there {
                let end = |cx: &CallContext<'_>| events.unsubscribe(cx, &subscription.id);
                self.ask_of_events(profile, events, end, |cx, r| events.taken(cx, r)).await?;
                tracing::info!(bank.code = %bank, "The subscription at bank {bank} has ended");
            }
            return Ok(());
        };
        if there.iter().any(|subscription| subscription.wish == wish) {
            return Ok(());
        }
        let id = there.first().map(|subscription| subscription.id.as_str());
        let subscribe = |cx: &CallContext<'_>| events.subscribe(cx, id, &wish);
        self.ask_of_events(profile, events, subscribe, |cx, r| events.taken(cx, r)).await?;
        tracing::info!(bank.code = %bank, "Bank {bank} was subscribed to");
        Ok(())
    }

    /// What a bank is to send; nothing, where the profile wants no events.
    fn event_wish(&self, profile: &Profile, events: &dyn BankEvents) -> Option<EventWish> {
        let stated = profile.notifications.as_ref()?;
        let mut callback = self.notification_address(&profile.id)?;
        callback.path_segments_mut().ok()?.push("event-notifications");
        let wanted = stated.push || stated.poll.is_some();
        wanted.then(|| EventWish { callback: stated.push.then_some(callback), types: events.types() })
    }

    async fn ask_of_events<T>(
        &self,
        profile: &Profile,
        events: &dyn BankEvents,
        request: impl FnOnce(&CallContext<'_>) -> Result<BankRequest, connect::BankError>,
        read: impl FnOnce(&CallContext<'_>, &BankResponse) -> Result<T, connect::BankError>,
    ) -> Result<T, FlowError> {
        let token = self.bank_token(profile, events.token(profile), None).await?;
        let cx = self.context(profile, None, None, token.as_ref(), None);
        let response = self.call_for(Service::Events, profile, request(&cx)?).await?;
        Ok(read(&cx, &response)?)
    }
}
