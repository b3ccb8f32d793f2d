//! Events, and the endpoints that are told of them.

crate::named! {
    /// Where a webhook endpoint stands.
    WebhookStatus {
        Enabled = "enabled", "It is told of events.";
        Disabled = "disabled", "It is told of nothing until its client switches it on again.";
    }
}
