//! Mutants of banks, and of the registration of clients.

mod changes;

use super::list::{How, Mutant, mutant};
use crate::target::{Approach, Configuration, Dialect};

const UK: &str = "uk-functional";
const BG: &str = "berlin-group-functional";
const APP: &str = "berlin-group-decoupled";
const TYPED: &str = "berlin-group-embedded";
const STET: &str = "stet-functional";
const PL: &str = "polish-api-functional";
const DCR: &str = "dcr";

/// Those for what a configuration describes: a bank of some standard, the registration of clients.
pub fn of_banks(configuration: &Configuration) -> impl Iterator<Item = &'static Mutant> {
    let bank = configuration.bank.as_ref().map(|bank| match (bank.dialect, bank.sca) {
        (Dialect::UkOpenBanking, _) => UK,
        (Dialect::BerlinGroup, Approach::Redirect) => BG,
        (Dialect::BerlinGroup, Approach::Decoupled) => APP,
        (Dialect::BerlinGroup, Approach::Embedded) => TYPED,
        (Dialect::Stet, _) => STET,
        (Dialect::PolishApi, _) => PL,
    });
    let registers = configuration.registration.is_some();
    MUTANTS.iter().filter(move |mutant| Some(mutant.profile) == bank || (registers && mutant.profile == DCR))
}

/// All of them.
pub fn mutants() -> &'static [Mutant] {
    MUTANTS
}

const MUTANTS: &[Mutant] = &[
    mutant(
        "uk-interaction-id-dropped",
        "answers without x-fapi-interaction-id",
        UK,
        &["OB-301-ACC-100000", "OB-301-ACC-100700", "uk-interaction-id-minted"],
        How::After(changes::no_interaction_id),
    ),
    mutant(
        "uk-interaction-id-own",
        "answers with an interaction id of its own",
        UK,
        &["OB-301-ACC-100700", "OB-301-TRA-105500"],
        How::After(changes::own_interaction_id),
    ),
    mutant(
        "uk-unknown-account-known",
        "answers for an account that there is not",
        UK,
        &["OB-301-BAL-101600", "OB-301-TRA-105700"],
        How::After(changes::unknown_account),
    ),
    mutant(
        "uk-unknown-is-404",
        "answers 404 where the standard has 400",
        UK,
        &["uk-account-consent-unknown", "uk-payment-order-unknown", "OB-301-VRP-102150"],
        How::After(changes::not_found),
    ),
    mutant(
        "uk-permission-forgotten",
        "tells balances without the permission",
        UK,
        &["OB-301-BAL-101400"],
        How::After(changes::allowed),
    ),
    mutant(
        "uk-numbers-always",
        "tells account numbers whatever was permitted",
        UK,
        &["uk-accounts-basic-hides-numbers"],
        How::After(changes::numbers),
    ),
    mutant(
        "uk-narrative-always",
        "tells narratives whatever was permitted",
        UK,
        &["uk-transactions-basic-hides-narrative"],
        How::After(changes::narrative),
    ),
    mutant(
        "uk-direction-forgotten",
        "tells debits where credits were permitted",
        UK,
        &["uk-transactions-credits-only", "uk-transactions-debits-only"],
        How::After(changes::other_direction),
    ),
    mutant(
        "uk-token-not-asked-for",
        "answers without a token",
        UK,
        &["OB-301-ACC-100600", "OB-301-ACC-101100"],
        How::After(changes::no_token),
    ),
    mutant(
        "uk-idempotency-forgotten",
        "takes every request for a new one",
        UK,
        &["uk-payment-idempotent", "uk-payment-order-idempotent"],
        How::Before(changes::other_key),
    ),
    mutant(
        "uk-answers-unsigned",
        "does not sign its answers",
        UK,
        &["OB-301-DOP-100100", "OB-301-VRP-100100"],
        How::After(changes::unsigned),
    ),
    mutant(
        "uk-answers-changed",
        "changes answers after it signed them",
        UK,
        &["OB-301-DOP-100100", "OB-301-DOP-100700"],
        How::After(changes::one_more_space),
    ),
    mutant(
        "uk-signature-not-asked-for",
        "takes consents without a signature",
        UK,
        &["OB-316-DOP-100310"],
        How::After(changes::signature_missing),
    ),
    mutant(
        "uk-signature-not-verified",
        "takes consents with a wrong signature",
        UK,
        &["uk-payment-signature-tampered", "uk-payment-signature-of-another-body"],
        How::After(changes::signature_wrong),
    ),
    mutant(
        "uk-status-word-of-3",
        "says AwaitingAuthorisation in version 4",
        UK,
        &["uk-account-consent-awaits"],
        How::After(changes::older_word),
    ),
    mutant(
        "uk-consent-pays-twice",
        "places a second order under a consent",
        UK,
        &["uk-payment-order-once"],
        How::After(changes::consumed),
    ),
    mutant(
        "uk-order-not-compared",
        "places an order that differs from its consent",
        UK,
        &["uk-payment-order-differs"],
        How::After(changes::mismatch),
    ),
    mutant(
        "uk-limits-forgotten",
        "pays above the control parameters",
        UK,
        &["uk-recurring-too-much-at-once", "uk-recurring-too-much-in-all"],
        How::After(changes::limits),
    ),
    mutant(
        "uk-deleted-is-there",
        "shows a consent that was deleted",
        UK,
        &["uk-account-consent-deleted", "OB-301-VRP-102150"],
        How::After(changes::still_there),
    ),
    mutant(
        "bg-request-id-dropped",
        "answers without X-Request-ID",
        BG,
        &["bg-consent-lodged", "bg-request-id-echoed"],
        How::After(changes::no_request_id),
    ),
    mutant(
        "bg-consent-id-ignored",
        "reads accounts without Consent-ID",
        BG,
        &["bg-consent-id-missing"],
        How::Both(changes::known_consent, changes::remember_consent),
    ),
    mutant(
        "bg-no-transaction-id",
        "tells transactions without their names",
        BG,
        &["bg-transaction-details"],
        How::After(changes::no_transaction_id),
    ),
    mutant(
        "bg-frequency-forgotten",
        "counts no accesses",
        BG,
        &["bg-frequency-exceeded"],
        How::Before(changes::present),
    ),
    mutant(
        "bg-status-words",
        "has words of its own for payments",
        BG,
        &["bg-payment-lodged", "bg-payment-status-received"],
        How::After(changes::own_words),
    ),
    mutant(
        "bg-404-for-400",
        "answers 404 for a parameter that is wrong",
        BG,
        &["bg-transactions-status-unknown", "bg-consent-past"],
        How::After(changes::wrong_is_unknown),
    ),
    mutant(
        "bg-consent-valid-at-once",
        "takes a consent for valid that nobody approved",
        BG,
        &["bg-consent-status-received"],
        How::After(changes::valid_at_once),
    ),
    mutant(
        "bg-signature-not-asked-for",
        "takes consents without a signature",
        BG,
        &["bg-signature-missing"],
        How::After(changes::unsealed),
    ),
    mutant(
        "app-approach-unsaid",
        "does not say that the person approves in the app",
        APP,
        &["bg-app-approach"],
        How::After(changes::no_approach),
    ),
    mutant(
        "app-asks-anybody",
        "takes a PSU-ID that it does not know",
        APP,
        &["bg-app-psu-unknown"],
        How::After(changes::anybody),
    ),
    mutant(
        "app-never-ends",
        "says that what was approved in the app has only begun",
        APP,
        &["bg-app-status"],
        How::After(changes::only_begun),
    ),
    mutant(
        "typed-anything",
        "takes any password and any code",
        TYPED,
        &["bg-embedded-password-wrong", "bg-embedded-code-wrong"],
        How::After(changes::anybody),
    ),
    mutant(
        "typed-in-any-order",
        "takes a code before a method, and after the end",
        TYPED,
        &["bg-embedded-code-early", "bg-embedded-over"],
        How::After(changes::any_order),
    ),
    mutant(
        "typed-unsigned",
        "takes passwords without a signature",
        TYPED,
        &["bg-embedded-unsigned"],
        How::After(changes::unsealed_word),
    ),
    mutant(
        "message-coverage-forgotten",
        "does not look at what a signature covers, and when it was made",
        TYPED,
        &[
            "bg-message-uncovered-method",
            "bg-message-uncovered-target-uri",
            "bg-message-uncovered-content-digest",
            "bg-message-uncovered-x-request-id",
            "bg-message-stale",
            "bg-message-early",
            "bg-message-other-key-named",
        ],
        How::After(changes::any_signature),
    ),
    mutant(
        "stet-no-hal",
        "says application/json",
        STET,
        &["stet-accounts", "stet-payment-lodged"],
        How::After(changes::no_hal),
    ),
    mutant(
        "stet-no-links",
        "answers without links",
        STET,
        &["stet-accounts", "stet-balances"],
        How::After(changes::no_links),
    ),
    mutant(
        "stet-choice-forgotten",
        "tells what was not chosen",
        STET,
        &["stet-consent-narrowed", "stet-consent-identity-withheld"],
        How::After(changes::told_anyway),
    ),
    mutant(
        "stet-confirmed-too-early",
        "confirms what nobody approved",
        STET,
        &["stet-payment-confirmed-too-early"],
        How::After(changes::confirmed_early),
    ),
    mutant(
        "pl-answers-unsigned",
        "does not sign its answers",
        PL,
        &["pl-accounts", "pl-payment"],
        How::After(changes::unsigned),
    ),
    mutant(
        "pl-answers-changed",
        "changes answers after it signed them",
        PL,
        &["pl-accounts"],
        How::After(changes::one_more_space),
    ),
    mutant(
        "pl-privilege-forgotten",
        "tells what the person did not allow",
        PL,
        &["pl-privilege-missing"],
        How::After(changes::told_anyway),
    ),
    mutant(
        "pl-approval-pays-twice",
        "pays twice for one approval",
        PL,
        &["pl-payment-once"],
        How::After(changes::paid_again),
    ),
    mutant(
        "dcr-token-not-asked-for",
        "shows a registration to anybody",
        DCR,
        &["DCR-007", "DCR-003", "dcr-without-token"],
        How::After(changes::shown),
    ),
    mutant(
        "dcr-statement-believed",
        "believes every statement",
        DCR,
        &[
            "dcr-statement-none",
            "dcr-statement-expired",
            "dcr-statement-tampered",
            "dcr-statement-of-another-issuer",
        ],
        How::After(changes::believed),
    ),
    mutant(
        "dcr-any-redirect-uri",
        "registers every redirect_uri",
        DCR,
        &["dcr-redirect-uri-http", "dcr-redirect-uri-fragment"],
        How::After(changes::redirected),
    ),
    mutant(
        "dcr-any-metadata",
        "registers every metadata",
        DCR,
        &["DCR-011", "dcr-auth-method-none", "dcr-scope-unknown", "dcr-alg-rs256"],
        How::After(changes::any_metadata),
    ),
    mutant(
        "dcr-secret",
        "hands out a client secret",
        DCR,
        &["DCR-002", "DCR-008"],
        How::After(changes::secret),
    ),
    mutant(
        "dcr-deleted-is-there",
        "forgets nothing",
        DCR,
        &["DCR-002", "DCR-003", "DCR-010"],
        How::Before(changes::not_deleted),
    ),
];
