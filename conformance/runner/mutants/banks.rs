//! Mutants of banks, and of the registration of clients.

mod changes;

use super::list::{How, Mutant};
use crate::target::{Configuration, Dialect};

const UK: &str = "uk-functional";
const BG: &str = "berlin-group-functional";
const STET: &str = "stet-functional";
const PL: &str = "polish-api-functional";
const DCR: &str = "dcr";

/// Those for what a configuration describes: a bank of some standard, the registration of clients.
pub fn of_banks(configuration: &Configuration) -> impl Iterator<Item = &'static Mutant> {
    let bank = configuration.bank.as_ref().map(|bank| match bank.dialect {
        Dialect::UkOpenBanking => UK,
        Dialect::BerlinGroup => BG,
        Dialect::Stet => STET,
        Dialect::PolishApi => PL,
    });
    let registers = configuration.registration.is_some();
    MUTANTS.iter().filter(move |mutant| Some(mutant.profile) == bank || (registers && mutant.profile == DCR))
}

/// All of them.
pub fn mutants() -> &'static [Mutant] {
    MUTANTS
}

const fn mutant(
    profile: &'static str,
    name: &'static str,
    breaks: &'static str,
    caught_by: &'static [&'static str],
    how: How,
) -> Mutant {
    Mutant { name, breaks, profile, caught_by, how }
}

const MUTANTS: &[Mutant] = &[
    mutant(
        UK,
        "uk-interaction-id-dropped",
        "answers without x-fapi-interaction-id",
        &["OB-301-ACC-100000", "OB-301-ACC-100700", "uk-interaction-id-minted"],
        How::After(changes::no_interaction_id),
    ),
    mutant(
        UK,
        "uk-interaction-id-own",
        "answers with an interaction id of its own",
        &["OB-301-ACC-100700", "OB-301-TRA-105500"],
        How::After(changes::own_interaction_id),
    ),
    mutant(
        UK,
        "uk-unknown-account-known",
        "answers for an account that there is not",
        &["OB-301-BAL-101600", "OB-301-TRA-105700"],
        How::After(changes::unknown_account),
    ),
    mutant(
        UK,
        "uk-unknown-is-404",
        "answers 404 where the standard has 400",
        &["uk-account-consent-unknown", "uk-payment-order-unknown", "OB-301-VRP-102150"],
        How::After(changes::not_found),
    ),
    mutant(
        UK,
        "uk-permission-forgotten",
        "tells balances without the permission",
        &["OB-301-BAL-101400"],
        How::After(changes::allowed),
    ),
    mutant(
        UK,
        "uk-numbers-always",
        "tells account numbers whatever was permitted",
        &["uk-accounts-basic-hides-numbers"],
        How::After(changes::numbers),
    ),
    mutant(
        UK,
        "uk-narrative-always",
        "tells narratives whatever was permitted",
        &["uk-transactions-basic-hides-narrative"],
        How::After(changes::narrative),
    ),
    mutant(
        UK,
        "uk-direction-forgotten",
        "tells debits where credits were permitted",
        &["uk-transactions-credits-only", "uk-transactions-debits-only"],
        How::After(changes::other_direction),
    ),
    mutant(
        UK,
        "uk-token-not-asked-for",
        "answers without a token",
        &["OB-301-ACC-100600", "OB-301-ACC-101100"],
        How::After(changes::no_token),
    ),
    mutant(
        UK,
        "uk-idempotency-forgotten",
        "takes every request for a new one",
        &["uk-payment-idempotent", "uk-payment-order-idempotent"],
        How::Before(changes::other_key),
    ),
    mutant(
        UK,
        "uk-answers-unsigned",
        "does not sign its answers",
        &["OB-301-DOP-100100", "OB-301-VRP-100100"],
        How::After(changes::unsigned),
    ),
    mutant(
        UK,
        "uk-answers-changed",
        "changes answers after it signed them",
        &["OB-301-DOP-100100", "OB-301-DOP-100700"],
        How::After(changes::one_more_space),
    ),
    mutant(
        UK,
        "uk-signature-not-asked-for",
        "takes consents without a signature",
        &["OB-316-DOP-100310"],
        How::After(changes::signature_missing),
    ),
    mutant(
        UK,
        "uk-signature-not-verified",
        "takes consents with a wrong signature",
        &["uk-payment-signature-tampered", "uk-payment-signature-of-another-body"],
        How::After(changes::signature_wrong),
    ),
    mutant(
        UK,
        "uk-status-word-of-3",
        "says AwaitingAuthorisation in version 4",
        &["uk-account-consent-awaits"],
        How::After(changes::older_word),
    ),
    mutant(
        UK,
        "uk-consent-pays-twice",
        "places a second order under a consent",
        &["uk-payment-order-once"],
        How::After(changes::consumed),
    ),
    mutant(
        UK,
        "uk-order-not-compared",
        "places an order that differs from its consent",
        &["uk-payment-order-differs"],
        How::After(changes::mismatch),
    ),
    mutant(
        UK,
        "uk-limits-forgotten",
        "pays above the control parameters",
        &["uk-recurring-too-much-at-once", "uk-recurring-too-much-in-all"],
        How::After(changes::limits),
    ),
    mutant(
        UK,
        "uk-deleted-is-there",
        "shows a consent that was deleted",
        &["uk-account-consent-deleted", "OB-301-VRP-102150"],
        How::After(changes::still_there),
    ),
    mutant(
        BG,
        "bg-request-id-dropped",
        "answers without X-Request-ID",
        &["bg-consent-lodged", "bg-request-id-echoed"],
        How::After(changes::no_request_id),
    ),
    mutant(
        BG,
        "bg-consent-id-ignored",
        "reads accounts without Consent-ID",
        &["bg-consent-id-missing"],
        How::Both(changes::known_consent, changes::remember_consent),
    ),
    mutant(
        BG,
        "bg-no-transaction-id",
        "tells transactions without their names",
        &["bg-transaction-details"],
        How::After(changes::no_transaction_id),
    ),
    mutant(
        BG,
        "bg-frequency-forgotten",
        "counts no accesses",
        &["bg-frequency-exceeded"],
        How::Before(changes::present),
    ),
    mutant(
        BG,
        "bg-status-words",
        "has words of its own for payments",
        &["bg-payment-lodged", "bg-payment-status-received"],
        How::After(changes::own_words),
    ),
    mutant(
        BG,
        "bg-404-for-400",
        "answers 404 for a parameter that is wrong",
        &["bg-transactions-status-unknown", "bg-consent-past"],
        How::After(changes::wrong_is_unknown),
    ),
    mutant(
        BG,
        "bg-consent-valid-at-once",
        "takes a consent for valid that nobody approved",
        &["bg-consent-status-received"],
        How::After(changes::valid_at_once),
    ),
    mutant(
        BG,
        "bg-signature-not-asked-for",
        "takes consents without a signature",
        &["bg-signature-missing"],
        How::After(changes::unsealed),
    ),
    mutant(
        STET,
        "stet-no-hal",
        "says application/json",
        &["stet-accounts", "stet-payment-lodged"],
        How::After(changes::no_hal),
    ),
    mutant(
        STET,
        "stet-no-links",
        "answers without links",
        &["stet-accounts", "stet-balances"],
        How::After(changes::no_links),
    ),
    mutant(
        STET,
        "stet-choice-forgotten",
        "tells what was not chosen",
        &["stet-consent-narrowed", "stet-consent-identity-withheld"],
        How::After(changes::told_anyway),
    ),
    mutant(
        STET,
        "stet-confirmed-too-early",
        "confirms what nobody approved",
        &["stet-payment-confirmed-too-early"],
        How::After(changes::confirmed_early),
    ),
    mutant(
        PL,
        "pl-answers-unsigned",
        "does not sign its answers",
        &["pl-accounts", "pl-payment"],
        How::After(changes::unsigned),
    ),
    mutant(
        PL,
        "pl-answers-changed",
        "changes answers after it signed them",
        &["pl-accounts"],
        How::After(changes::one_more_space),
    ),
    mutant(
        PL,
        "pl-privilege-forgotten",
        "tells what the person did not allow",
        &["pl-privilege-missing"],
        How::After(changes::told_anyway),
    ),
    mutant(
        PL,
        "pl-approval-pays-twice",
        "pays twice for one approval",
        &["pl-payment-once"],
        How::After(changes::paid_again),
    ),
    mutant(
        DCR,
        "dcr-token-not-asked-for",
        "shows a registration to anybody",
        &["DCR-007", "DCR-003", "dcr-without-token"],
        How::After(changes::shown),
    ),
    mutant(
        DCR,
        "dcr-statement-believed",
        "believes every statement",
        &[
            "dcr-statement-none",
            "dcr-statement-expired",
            "dcr-statement-tampered",
            "dcr-statement-of-another-issuer",
        ],
        How::After(changes::believed),
    ),
    mutant(
        DCR,
        "dcr-any-redirect-uri",
        "registers every redirect_uri",
        &["dcr-redirect-uri-http", "dcr-redirect-uri-fragment"],
        How::After(changes::redirected),
    ),
    mutant(
        DCR,
        "dcr-any-metadata",
        "registers every metadata",
        &["DCR-011", "dcr-auth-method-none", "dcr-scope-unknown", "dcr-alg-rs256"],
        How::After(changes::any_metadata),
    ),
    mutant(
        DCR,
        "dcr-secret",
        "hands out a client secret",
        &["DCR-002", "DCR-008"],
        How::After(changes::secret),
    ),
    mutant(
        DCR,
        "dcr-deleted-is-there",
        "forgets nothing",
        &["DCR-002", "DCR-003", "DCR-010"],
        How::Before(changes::not_deleted),
    ),
];
