//! The use cases of the gateway: consents, aggregated reads, payments, events.
//!
//! The only place that joins stores with banks. Work that must finish runs
//! detached from the request that asked for it, so that a client that goes
//! away cannot stop a payment half-way.

mod accounts;
mod answers;
mod approving;
mod audited;
mod bank;
mod bank_tokens;
mod cancel_approval;
mod cancelling;
mod coalesce;
mod consent_bank;
mod consent_changes;
mod consent_life;
mod consents;
mod constraints;
mod decided;
mod deliveries;
mod departed;
mod details;
mod entries;
mod error;
mod event_polls;
mod event_subscriptions;
mod events;
mod evidence;
mod freshness;
mod funds;
mod gateway;
mod health;
mod ids;
mod jurisdiction;
mod lanes;
mod mandate_bank;
mod mandate_funds;
mod mandate_payments;
mod mandates;
mod notices;
mod payees;
mod payments;
mod placing;
mod policies;
mod psu;
mod rail;
mod read;
mod reconcile;
mod refunds;
mod sca;
mod scheme_choice;
mod servers;
mod settling;
mod sources;
mod sync;
mod to_its_end;
mod turns;
mod unattended;
mod webhook_challenge;
mod webhook_connector;
mod webhook_sender;
mod webhook_signing;
mod webhooks;

pub use accounts::{AccountData, Reading};
pub use audited::Asker;
pub use bank::{BankReturn, LEG_TIME, LegSubject};
pub use consents::{ConsentRequest, NextStep};
pub use error::FlowError;
pub use events::{EventPage, EventPlaces};
pub use evidence::{CallEvidence, RequestEvidence};
pub use freshness::{
    Invalidation, LiveToken, Subject as Invalidated, consents_of, invalidate, until_dropped,
};
pub use funds::{FundsConfirmed, FundsRequest};
pub use gateway::{Gateway, GatewayConfig, Parts};
pub use health::InstitutionHealth;
pub use ids::{IdKey, TransactionProvenance, content as entry_content};
pub use jurisdiction::{ConsentRules, InvalidRules, Jurisdictions};
pub use mandate_funds::MandateFunds;
pub use mandate_payments::MandatePaymentRequest;
pub use mandates::{LimitUse, MandateRequest};
pub use notices::{NotificationRefused, ShownCertificate};
pub use payees::{PayeeRequest, PayeeVerified};
pub use payments::{PaymentReply, PaymentRequest};
pub use policy::{Denied, PaymentChange};
pub use psu::PsuConsent;
pub use read::{Read, TransactionWindow};
pub use refunds::{RefundOf, Refundable, refundable};
pub use sca::ScaQuestion;
pub use scheme_choice::SchemeWish;
pub use sources::{SourceReport, SourceStatus};
pub use sync::{Changes, Confidence, Replaced};
pub use unattended::Unattended;
pub use webhook_connector::WebhookPolicy;
pub use webhook_sender::WebhookSender;
pub use webhooks::{NewWebhook, WebhookChange, WebhookRefused};
