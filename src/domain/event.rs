//! Events, and the endpoints that are told of them.

use std::fmt;

crate::named! {
    /// What an event tells. Clients are told what each means in these words.
    EventType {
        ConsentCreated = "consent.created", "A consent was lodged.";
        ConsentAwaitingAuthorization = "consent.awaiting_authorization", "The bank waits for the PSU to give the consent.";
        ConsentPartiallyAuthorized = "consent.partially_authorized", "The consent was given by one, and others must give it too.";
        ConsentAuthorized = "consent.authorized", "The consent is in force.";
        ConsentRejected = "consent.rejected", "The PSU or the bank did not give the consent.";
        ConsentFailed = "consent.failed", "The consent came to nothing, because the bank failed.";
        ConsentExpiring = "consent.expiring", "The consent ends soon: renew it.";
        ConsentReconfirmDue = "consent.reconfirm_due", "The client must soon confirm that the PSU wants to go on.";
        ConsentReconfirmed = "consent.reconfirmed", "The client confirmed that the PSU wants to go on.";
        ConsentSuspended = "consent.suspended", "Nothing is read under the consent for now.";
        ConsentResumed = "consent.resumed", "The consent is in force again.";
        ConsentRevoked = "consent.revoked", "The PSU, the client or the bank withdrew the consent.";
        ConsentExpired = "consent.expired", "The time of the consent is over.";
        PaymentCreated = "payment.created", "A payment was ordered.";
        PaymentAuthorizationRequired = "payment.authorization_required", "The PSU must approve the payment.";
        PaymentAuthorizing = "payment.authorizing", "The PSU is with the bank.";
        PaymentAuthorized = "payment.authorized", "The payment is approved.";
        PaymentSubmitted = "payment.submitted", "The payment is with the bank.";
        PaymentAccepted = "payment.accepted", "The bank executes the payment.";
        PaymentSettled = "payment.settled", "The money has moved.";
        PaymentRejected = "payment.rejected", "The PSU or the bank refused the payment.";
        PaymentFailed = "payment.failed", "The payment came to nothing.";
        PaymentCancelled = "payment.cancelled", "The payment was taken back.";
        PaymentExpired = "payment.expired", "Nobody approved the payment in time.";
        PaymentStatusUnknown = "payment.status_unknown", "Whether the money has moved is not known: never order again.";
        PaymentAttentionRequired = "payment.attention_required", "Somebody must ask the bank what became of the payment.";
        MandateAuthorized = "mandate.authorized", "The mandate is in force.";
        MandateRejected = "mandate.rejected", "The PSU or the bank did not give the mandate.";
        MandateRevoked = "mandate.revoked", "The PSU, the client or the bank withdrew the mandate.";
        MandateExpired = "mandate.expired", "The time of the mandate is over.";
        MandateLimitNearing = "mandate.limit_nearing", "Payments have taken a period of the mandate to 80 percent of its limit.";
        InstitutionDown = "institution.down", "The bank does not answer.";
        InstitutionDegraded = "institution.degraded", "The bank answers now and then.";
        InstitutionRecovered = "institution.recovered", "The bank answers again.";
        InstitutionMaintenanceScheduled = "institution.maintenance_scheduled", "The bank announces when it will not answer.";
        InstitutionMetadataChanged = "institution.metadata_changed", "The bank's authorization server publishes something else than before.";
        WebhookDisabled = "webhook.disabled", "A webhook endpoint was switched off.";
        WebhookTest = "webhook.test", "The client asked for a test of the endpoint. Nobody else is told.";
        WebhookChallenge = "webhook.challenge", "The endpoint must say the challenge back before it is told of anything.";
    }
}

impl EventType {
    /// What kind of resource it is about.
    #[must_use]
    pub fn resource_type(self) -> &'static str {
        match self.as_str().split_once('.') {
            Some(("webhook", _)) | None => "webhook_endpoint",
            Some((resource, _)) => resource,
        }
    }

    /// The word behind the kind of resource.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.as_str().split_once('.').map_or("", |(_, word)| word)
    }

    /// Whether an endpoint may ask for it. The others are sent to whom they concern.
    #[must_use]
    pub fn subscribable(self) -> bool {
        !matches!(self, Self::WebhookTest | Self::WebhookChallenge)
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

crate::named! {
    /// Where a webhook endpoint stands.
    WebhookStatus {
        Pending = "pending", "It is told of nothing until it answers a challenge.";
        Enabled = "enabled", "It is told of events.";
        Disabled = "disabled", "It is told of nothing until its client switches it on again.";
    }
}
