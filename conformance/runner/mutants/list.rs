//! The mutants.

use futures_util::future::BoxFuture;

use super::world::{Asked, World};
use super::{answers, codes, proofs, repair, tokens};
use crate::http::{NoAnswer, Response};

pub(super) type Answer = Result<Response, NoAnswer>;

/// A target that is broken in one way.
#[derive(Debug)]
pub struct Mutant {
    /// Its name.
    pub name: &'static str,
    /// What it does, as the end of a sentence about the target.
    pub breaks: &'static str,
    /// The profile that catches it.
    pub profile: &'static str,
    /// The cases that must catch it, each of them.
    pub caught_by: &'static [&'static str],
    pub(super) how: How,
}

/// How a mutant breaks the target.
pub(super) enum How {
    /// Assertions pass whose only defects are these.
    Assertion(&'static [&'static str]),
    /// Request objects pass whose only defects are these.
    Object(&'static [&'static str]),
    /// Proofs pass whose only defects are these.
    Proof(&'static [&'static str]),
    /// The request is changed.
    Before(fn(&World, &mut Asked)),
    /// The answer is changed.
    After(fn(&World, &Asked, &mut Response)),
    /// Both are.
    Both(fn(&World, &mut Asked), fn(&World, &Asked, &mut Response)),
    /// The exchange is another one.
    Whole(for<'w> fn(&'w World, Asked) -> BoxFuture<'w, Answer>),
}

impl std::fmt::Debug for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("How")
    }
}

impl How {
    /// Asks the target, or does not, and answers.
    pub(super) async fn exchange(&self, world: &World, mut asked: Asked) -> Answer {
        match self {
            Self::Assertion(ignored) => repair::assertion(world, &mut asked, ignored),
            Self::Object(ignored) => repair::object(world, &mut asked, ignored),
            Self::Proof(ignored) => {
                let before = asked.clone();
                proofs::proof(world, &mut asked, ignored);
                let answer = world.forward(&asked).await?;
                proofs::remember(world, &before, &answer);
                return Ok(answer);
            }
            Self::Before(change) => change(world, &mut asked),
            Self::After(change) => {
                let mut answer = world.forward(&asked).await?;
                change(world, &asked, &mut answer);
                return Ok(answer);
            }
            Self::Both(before, after) => {
                before(world, &mut asked);
                let mut answer = world.forward(&asked).await?;
                after(world, &asked, &mut answer);
                return Ok(answer);
            }
            Self::Whole(exchange) => return exchange(world, asked).await,
        }
        world.forward(&asked).await
    }
}

/// All mutants.
#[must_use]
pub fn mutants() -> &'static [Mutant] {
    MUTANTS
}

const SECURITY: &str = "fapi2-security";
const SIGNING: &str = "fapi2-message-signing";

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "assertion-alg-none",
        breaks: "takes assertions without a signature",
        profile: SECURITY,
        caught_by: &["own-assertion-alg-none"],
        how: How::Assertion(&["alg-none"]),
    },
    Mutant {
        name: "assertion-alg-hmac",
        breaks: "takes assertions whose secret is the public key",
        profile: SECURITY,
        caught_by: &["own-assertion-by-hmac"],
        how: How::Assertion(&["alg-hmac"]),
    },
    Mutant {
        name: "assertion-rs256",
        breaks: "takes assertions by RS256",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-signed-client-assertion-with-RS256-fails"],
        how: How::Assertion(&["alg-rs256"]),
    },
    Mutant {
        name: "assertion-signature",
        breaks: "does not verify assertions",
        profile: SECURITY,
        caught_by: &["own-assertion-by-another-key", "own-assertion-tampered"],
        how: How::Assertion(&["signature"]),
    },
    Mutant {
        name: "assertion-jwk",
        breaks: "believes the key in the header of an assertion",
        profile: SECURITY,
        caught_by: &["own-assertion-jwk-in-header"],
        how: How::Assertion(&["jwk-in-header"]),
    },
    Mutant {
        name: "assertion-crit",
        breaks: "ignores critical headers",
        profile: SECURITY,
        caught_by: &["own-assertion-crit-unknown"],
        how: How::Assertion(&["crit"]),
    },
    Mutant {
        name: "assertion-expired",
        breaks: "takes expired assertions",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-ensure-client-assertion-with-exp-is-5-minutes-in-past-fails",
        ],
        how: How::Assertion(&["expired"]),
    },
    Mutant {
        name: "assertion-without-exp",
        breaks: "takes assertions that live for ever",
        profile: SECURITY,
        caught_by: &["own-assertion-without-exp"],
        how: How::Assertion(&["no-exp"]),
    },
    Mutant {
        name: "assertion-exp-text",
        breaks: "takes assertions whose exp is a text",
        profile: SECURITY,
        caught_by: &["own-assertion-exp-as-text"],
        how: How::Assertion(&["exp-text"]),
    },
    Mutant {
        name: "assertion-future",
        breaks: "takes assertions from the future",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-par-ensure-jwt-client-assertions-nbf-over-60-seconds-in-the-future-fails",
        ],
        how: How::Assertion(&["future"]),
    },
    Mutant {
        name: "assertion-aud",
        breaks: "ignores aud",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-ensure-client-assertion-with-wrong-aud-fails",
            "fapi2-security-profile-final-par-test-par-endpoint-url-as-audience-fails",
            "fapi2-security-profile-final-par-test-token-endpoint-url-as-audience-fails",
        ],
        how: How::Assertion(&["aud"]),
    },
    Mutant {
        name: "assertion-aud-array",
        breaks: "takes assertions for several audiences",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-test-array-as-audience-fails"],
        how: How::Assertion(&["aud-array"]),
    },
    Mutant {
        name: "assertion-without-aud",
        breaks: "takes assertions for anybody",
        profile: SECURITY,
        caught_by: &["own-assertion-without-aud"],
        how: How::Assertion(&["no-aud"]),
    },
    Mutant {
        name: "assertion-without-sub",
        breaks: "takes assertions about nobody",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-client-assertion-with-no-sub-fails"],
        how: How::Assertion(&["no-sub"]),
    },
    Mutant {
        name: "assertion-without-iss",
        breaks: "takes assertions from nobody",
        profile: SECURITY,
        caught_by: &["own-assertion-without-iss"],
        how: How::Assertion(&["no-iss"]),
    },
    Mutant {
        name: "assertion-iss",
        breaks: "takes assertions from another client",
        profile: SECURITY,
        caught_by: &["own-assertion-iss-is-another"],
        how: How::Assertion(&["iss"]),
    },
    Mutant {
        name: "assertion-sub",
        breaks: "takes assertions about another client",
        profile: SECURITY,
        caught_by: &["own-assertion-sub-is-another"],
        how: How::Assertion(&["sub"]),
    },
    Mutant {
        name: "assertion-without-jti",
        breaks: "takes assertions that cannot be used once",
        profile: SECURITY,
        caught_by: &["own-assertion-without-jti"],
        how: How::Assertion(&["no-jti"]),
    },
    Mutant {
        name: "assertion-replay",
        breaks: "takes an assertion again and again",
        profile: SECURITY,
        caught_by: &["own-assertion-used-once"],
        how: How::Assertion(&["replay"]),
    },
    Mutant {
        name: "object-alg-none",
        breaks: "takes request objects without a signature",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-request-object-signature-algorithm-is-not-none"],
        how: How::Object(&["alg-none"]),
    },
    Mutant {
        name: "object-rs256",
        breaks: "takes request objects by RS256",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-signed-request-object-with-RS256-fails"],
        how: How::Object(&["alg-rs256"]),
    },
    Mutant {
        name: "object-alg-hmac",
        breaks: "takes request objects whose secret is the public key",
        profile: SIGNING,
        caught_by: &["own-request-object-by-hmac"],
        how: How::Object(&["alg-hmac"]),
    },
    Mutant {
        name: "object-signature",
        breaks: "does not verify request objects",
        profile: SIGNING,
        caught_by: &[
            "fapi2-security-profile-final-ensure-request-object-with-invalid-signature-fails",
            "fapi2-security-profile-final-ensure-matching-key-in-authorization-request",
        ],
        how: How::Object(&["signature"]),
    },
    Mutant {
        name: "object-jwk",
        breaks: "believes the key in the header of a request object",
        profile: SIGNING,
        caught_by: &["own-request-object-by-its-own-jwk"],
        how: How::Object(&["jwk-in-header"]),
    },
    Mutant {
        name: "object-crit",
        breaks: "ignores critical headers of request objects",
        profile: SIGNING,
        caught_by: &["own-request-object-crit-unknown"],
        how: How::Object(&["crit"]),
    },
    Mutant {
        name: "object-without-exp",
        breaks: "takes request objects without exp",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-request-object-without-exp-fails"],
        how: How::Object(&["no-exp"]),
    },
    Mutant {
        name: "object-without-nbf",
        breaks: "takes request objects without nbf",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-request-object-without-nbf-fails"],
        how: How::Object(&["no-nbf"]),
    },
    Mutant {
        name: "object-expired",
        breaks: "takes expired request objects",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-expired-request-object-fails"],
        how: How::Object(&["expired"]),
    },
    Mutant {
        name: "object-exp-far",
        breaks: "takes request objects that live for hours",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-request-object-with-exp-over-60-fails"],
        how: How::Object(&["exp-far"]),
    },
    Mutant {
        name: "object-nbf-old",
        breaks: "takes request objects of hours ago",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-request-object-with-nbf-over-60-fails"],
        how: How::Object(&["nbf-old"]),
    },
    Mutant {
        name: "object-aud",
        breaks: "takes request objects for other servers",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-request-object-with-bad-aud-fails"],
        how: How::Object(&["aud"]),
    },
    Mutant {
        name: "object-iss",
        breaks: "takes request objects from another client",
        profile: SIGNING,
        caught_by: &["own-request-object-iss-is-not-the-client"],
        how: How::Object(&["iss"]),
    },
    Mutant {
        name: "object-client-id",
        breaks: "takes request objects for another client",
        profile: SIGNING,
        caught_by: &["own-request-object-client-id-differs"],
        how: How::Object(&["client-id"]),
    },
    Mutant {
        name: "object-request-uri",
        breaks: "takes request objects with a request_uri",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-par-authorization-request-containing-request_uri"],
        how: How::Object(&["request-uri-inside"]),
    },
    Mutant {
        name: "object-request",
        breaks: "takes request objects with a request",
        profile: SIGNING,
        caught_by: &["own-request-object-with-request-in-it"],
        how: How::Object(&["request-inside"]),
    },
    Mutant {
        name: "object-future",
        breaks: "takes request objects from the future",
        profile: SIGNING,
        caught_by: &["own-request-object-future"],
        how: How::Object(&["future"]),
    },
    Mutant {
        name: "unsigned-push",
        breaks: "takes unsigned requests of clients that sign",
        profile: SIGNING,
        caught_by: &["fapi2-security-profile-final-ensure-unsigned-request-at-par-endpoint-fails"],
        how: How::Before(codes::unsigned_push),
    },
    Mutant {
        name: "outer-parameters",
        breaks: "lets parameters beside a request object win",
        profile: SIGNING,
        caught_by: &["own-parameters-beside-a-request-object"],
        how: How::Before(codes::outer_wins),
    },
    Mutant {
        name: "introspection-unsigned",
        breaks: "does not sign introspection",
        profile: SIGNING,
        caught_by: &["own-signed-introspection"],
        how: How::After(answers::introspection_unsigned),
    },
    Mutant {
        name: "proof-missing",
        breaks: "needs no proof",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["missing", "bearer"]),
    },
    Mutant {
        name: "proof-bearer",
        breaks: "takes bound tokens as bearer tokens",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["bearer"]),
    },
    Mutant {
        name: "proof-twice",
        breaks: "takes two proofs",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["twice"]),
    },
    Mutant {
        name: "proof-no-jwt",
        breaks: "takes proofs that are none",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["no-jwt"]),
    },
    Mutant {
        name: "proof-typ",
        breaks: "ignores typ of proofs",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["typ"]),
    },
    Mutant {
        name: "proof-alg-none",
        breaks: "takes unsigned proofs",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["alg-none"]),
    },
    Mutant {
        name: "proof-alg-hmac",
        breaks: "takes proofs by a secret",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["alg-hmac"]),
    },
    Mutant {
        name: "proof-no-jwk",
        breaks: "takes proofs without a key",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["no-jwk"]),
    },
    Mutant {
        name: "proof-private-jwk",
        breaks: "takes proofs with a private key in them",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["private-jwk"]),
    },
    Mutant {
        name: "proof-signature",
        breaks: "does not verify proofs",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["signature"]),
    },
    Mutant {
        name: "proof-key",
        breaks: "takes proofs by any key",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["key"]),
    },
    Mutant {
        name: "proof-no-jti",
        breaks: "takes proofs without jti",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["no-jti"]),
    },
    Mutant {
        name: "proof-no-htm",
        breaks: "takes proofs without htm",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["no-htm"]),
    },
    Mutant {
        name: "proof-htm",
        breaks: "takes proofs for another method",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["htm"]),
    },
    Mutant {
        name: "proof-no-htu",
        breaks: "takes proofs without htu",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["no-htu"]),
    },
    Mutant {
        name: "proof-htu",
        breaks: "takes proofs for another address",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["htu"]),
    },
    Mutant {
        name: "proof-no-iat",
        breaks: "takes proofs without iat",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["no-iat"]),
    },
    Mutant {
        name: "proof-old",
        breaks: "takes old proofs",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["old"]),
    },
    Mutant {
        name: "proof-future",
        breaks: "takes proofs from the future",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["future"]),
    },
    Mutant {
        name: "proof-no-ath",
        breaks: "takes proofs without ath",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["no-ath"]),
    },
    Mutant {
        name: "proof-ath",
        breaks: "takes proofs for another token",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["ath"]),
    },
    Mutant {
        name: "proof-iat-text",
        breaks: "takes proofs whose iat is a text",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-dpop-negative-tests"],
        how: How::Proof(&["iat-text"]),
    },
    Mutant {
        name: "proof-replay",
        breaks: "takes a proof again and again",
        profile: SECURITY,
        caught_by: &["own-dpop-proof-used-once"],
        how: How::Proof(&["replay"]),
    },
    Mutant {
        name: "pkce-ignored",
        breaks: "does not look at verifiers",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-ensure-pkce-code-verifier-required",
            "fapi2-security-profile-final-incorrect-pkce-code-verifier-rejected",
            "fapi2-security-profile-final-par-ensure-pkce-required",
        ],
        how: How::Before(codes::without_pkce),
    },
    Mutant {
        name: "pkce-plain",
        breaks: "takes PKCE by plain",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-plain-pkce-rejected"],
        how: How::Before(codes::plain_pkce),
    },
    Mutant {
        name: "redirect-uri-missing",
        breaks: "fills in a missing redirect_uri",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-redirect-uri-in-authorization-request"],
        how: How::Before(codes::redirect_uri_filled_in),
    },
    Mutant {
        name: "redirect-uri-any",
        breaks: "takes any redirect_uri",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-registered-redirect-uri"],
        how: How::Before(codes::any_redirect_uri),
    },
    Mutant {
        name: "redirect-uri-prefix",
        breaks: "compares redirect_uris by their beginning",
        profile: SECURITY,
        caught_by: &["own-redirect-uri-longer-path", "own-redirect-uri-more-query"],
        how: How::Before(codes::redirect_uri_by_prefix),
    },
    Mutant {
        name: "redirect-uri-at-token",
        breaks: "does not compare redirect_uri when a code is redeemed",
        profile: SECURITY,
        caught_by: &["own-code-with-another-redirect-uri"],
        how: How::Before(codes::redirect_uri_not_compared),
    },
    Mutant {
        name: "code-of-anybody",
        breaks: "redeems a code for whoever shows it",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-authorization-code-is-bound-to-client"],
        how: How::Before(codes::code_of_anybody),
    },
    Mutant {
        name: "code-again",
        breaks: "redeems a code again and again",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-attempt-reuse-authorization-code-after-one-second",
            "own-token-ends-with-reused-code",
        ],
        how: How::Whole(codes::code_again),
    },
    Mutant {
        name: "code-short",
        breaks: "hands out codes that can be guessed",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::Both(codes::long_code, codes::short_code),
    },
    Mutant {
        name: "unpushed",
        breaks: "takes requests that were not pushed",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-ensure-unsigned-authorization-request-without-using-par-fails",
        ],
        how: How::Whole(codes::unpushed_request),
    },
    Mutant {
        name: "request-uri-again",
        breaks: "takes a request_uri again and again",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-attempt-reuse-request_uri"],
        how: How::Whole(codes::request_uri_for_ever),
    },
    Mutant {
        name: "request-uri-expired",
        breaks: "takes a request_uri at any time",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-attempt-to-use-expired-request_uri"],
        how: How::Whole(codes::request_uri_for_ever),
    },
    Mutant {
        name: "request-uri-of-anybody",
        breaks: "takes a request_uri of another client",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-attempt-to-use-request_uri-for-different-client"],
        how: How::Before(codes::request_uri_of_anybody),
    },
    Mutant {
        name: "request-uri-in-push",
        breaks: "ignores a request_uri in a push",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-par-authorization-request-containing-request_uri-form-param",
        ],
        how: How::Before(codes::request_uri_in_push),
    },
    Mutant {
        name: "request-uri-long",
        breaks: "lets a request_uri live for an hour",
        profile: SECURITY,
        caught_by: &["own-push-response-not-stored"],
        how: How::After(codes::long_request_uri),
    },
    Mutant {
        name: "response-type-any",
        breaks: "takes any response type",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-ensure-response-type-token-fails",
            "fapi2-security-profile-final-ensure-response-type-code-idtoken-fails",
        ],
        how: How::Before(codes::any_response_type),
    },
    Mutant {
        name: "iss-missing",
        breaks: "sends no iss",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-without-duplicate-parameters"],
        how: How::After(codes::no_iss),
    },
    Mutant {
        name: "iss-wrong",
        breaks: "sends another iss",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-without-duplicate-parameters"],
        how: How::After(codes::wrong_iss),
    },
    Mutant {
        name: "state-missing",
        breaks: "sends no state back",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-without-duplicate-parameters"],
        how: How::After(codes::no_state),
    },
    Mutant {
        name: "state-cut",
        breaks: "cuts a long state off",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-authorization-request-with-long-state"],
        how: How::After(codes::short_state),
    },
    Mutant {
        name: "state-cleaned",
        breaks: "leaves characters out of state",
        profile: SECURITY,
        caught_by: &["own-state-with-any-characters"],
        how: How::After(codes::plain_state),
    },
    Mutant {
        name: "state-from-outside",
        breaks: "takes a state from beside the pushed request",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-ensure-different-state-inside-and-outside-request-object",
            "fapi2-security-profile-final-state-only-outside-request-object-not-used",
        ],
        how: How::Whole(codes::state_from_outside),
    },
    Mutant {
        name: "token-in-front",
        breaks: "sends a token over the front channel",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-user-rejects-authentication"],
        how: How::After(codes::token_in_front),
    },
    Mutant {
        name: "more-in-front",
        breaks: "tells the client more than it asked for",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-user-rejects-authentication"],
        how: How::After(codes::more_in_front),
    },
    Mutant {
        name: "refusal-renamed",
        breaks: "calls a refusal an error of the server",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-user-rejects-authentication"],
        how: How::After(codes::other_error),
    },
    Mutant {
        name: "refusal-ignored",
        breaks: "goes on when the person declines",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-user-rejects-authentication"],
        how: How::Before(codes::nobody_declines),
    },
    Mutant {
        name: "redirect-307",
        breaks: "redirects by 307",
        profile: SECURITY,
        caught_by: &["own-method-of-a-form-does-not-go-along"],
        how: How::After(codes::status_307),
    },
    Mutant {
        name: "details-any",
        breaks: "ignores authorization_details",
        profile: SECURITY,
        caught_by: &["own-details-that-are-no-list", "own-details-of-an-unknown-type"],
        how: How::Before(codes::any_details),
    },
    Mutant {
        name: "binding-ignored",
        breaks: "skips cnf: a token opens for whoever has it",
        profile: SECURITY,
        caught_by: &["own-stolen-token-no-certificate", "own-stolen-token-another-certificate"],
        how: How::Before(tokens::binding_not_checked),
    },
    Mutant {
        name: "binding-any-certificate",
        breaks: "takes a bound token with any certificate",
        profile: SECURITY,
        caught_by: &["own-stolen-token-another-certificate"],
        how: How::Before(tokens::any_certificate),
    },
    Mutant {
        name: "unbound-tokens",
        breaks: "issues tokens without a certificate",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-holder-of-key-required", "own-own-token-is-bound"],
        how: How::Before(tokens::unbound_tokens),
    },
    Mutant {
        name: "no-authentication",
        breaks: "does not authenticate clients",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-client-assertion-in-token-endpoint"],
        how: How::Before(tokens::nobody_authenticates),
    },
    Mutant {
        name: "introspection-open",
        breaks: "introspects for anybody",
        profile: SECURITY,
        caught_by: &["own-introspection-without-authentication"],
        how: How::Before(tokens::introspection_for_anybody),
    },
    Mutant {
        name: "revocation-open",
        breaks: "revokes for anybody",
        profile: SECURITY,
        caught_by: &["own-revocation-without-authentication"],
        how: How::Before(tokens::revocation_for_anybody),
    },
    Mutant {
        name: "secrets",
        breaks: "takes secrets",
        profile: SECURITY,
        caught_by: &["own-secret-in-the-form", "own-secret-in-the-header"],
        how: How::Before(tokens::secrets_taken),
    },
    Mutant {
        name: "client-id-not-compared",
        breaks: "does not compare client_id with the assertion",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-client-id-in-token-endpoint"],
        how: How::Before(tokens::client_id_not_compared),
    },
    Mutant {
        name: "tls-expired",
        breaks: "takes expired client certificates",
        profile: SECURITY,
        caught_by: &["own-tls-client-certificate-expired"],
        how: How::Before(tokens::expired_certificate),
    },
    Mutant {
        name: "tls-lookalike",
        breaks: "takes client certificates of any issuer",
        profile: SECURITY,
        caught_by: &["own-tls-client-certificate-lookalike"],
        how: How::Before(tokens::lookalike_certificate),
    },
    Mutant {
        name: "tls-other",
        breaks: "takes the client certificate of somebody else",
        profile: SECURITY,
        caught_by: &["own-tls-client-certificate-other"],
        how: How::Before(tokens::certificate_of_another),
    },
    Mutant {
        name: "tls-none",
        breaks: "takes clients without their certificate",
        profile: SECURITY,
        caught_by: &["own-tls-client-certificate-none"],
        how: How::Before(tokens::no_certificate),
    },
    Mutant {
        name: "token-in-query",
        breaks: "takes a token in the query",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::Before(tokens::token_in_query),
    },
    Mutant {
        name: "token-in-body",
        breaks: "takes a token in the body",
        profile: SECURITY,
        caught_by: &["own-token-in-the-body"],
        how: How::Before(tokens::token_in_body),
    },
    Mutant {
        name: "certificate-in-header",
        breaks: "believes a certificate in a header",
        profile: SECURITY,
        caught_by: &["own-forwarded-certificate-is-not-believed"],
        how: How::Before(tokens::certificate_in_header),
    },
    Mutant {
        name: "scheme-by-letter",
        breaks: "compares the authorization scheme letter by letter",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-access-token-type-header-case-sensitivity"],
        how: How::Whole(tokens::scheme_by_letter),
    },
    Mutant {
        name: "any-token-opens",
        breaks: "opens resources with refresh and id tokens",
        profile: SECURITY,
        caught_by: &["own-refresh-token-is-no-access-token", "own-id-token-is-no-access-token"],
        how: How::Before(tokens::any_token_opens),
    },
    Mutant {
        name: "nothing-revoked",
        breaks: "revokes nothing",
        profile: SECURITY,
        caught_by: &["own-revoked-token", "own-revoked-refresh-token"],
        how: How::Whole(tokens::nothing_revoked),
    },
    Mutant {
        name: "revoked-by-anybody",
        breaks: "revokes tokens of others",
        profile: SECURITY,
        caught_by: &["own-revocation-by-another"],
        how: How::Before(tokens::revoked_by_anybody),
    },
    Mutant {
        name: "unknown-revocation",
        breaks: "calls the revocation of no token an error",
        profile: SECURITY,
        caught_by: &["own-revocation-of-what-is-not"],
        how: How::Whole(tokens::unknown_token_is_an_error),
    },
    Mutant {
        name: "told-to-anybody",
        breaks: "tells others about a token",
        profile: SECURITY,
        caught_by: &["own-introspection-by-another"],
        how: How::Before(tokens::told_to_anybody),
    },
    Mutant {
        name: "refreshed-by-anybody",
        breaks: "refreshes for other clients",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-refresh-token"],
        how: How::Before(tokens::refreshed_by_anybody),
    },
    Mutant {
        name: "rotating",
        breaks: "rotates refresh tokens",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-refresh-token"],
        how: How::Whole(tokens::rotating),
    },
    Mutant {
        name: "tokens-short",
        breaks: "hands out tokens that can be guessed",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::Whole(tokens::short_tokens),
    },
    Mutant {
        name: "passwords",
        breaks: "takes passwords",
        profile: SECURITY,
        caught_by: &["own-password-grant"],
        how: How::Before(tokens::passwords),
    },
    Mutant {
        name: "any-grant",
        breaks: "takes any grant",
        profile: SECURITY,
        caught_by: &["own-unknown-grant"],
        how: How::Before(tokens::any_grant),
    },
    Mutant {
        name: "by-get",
        breaks: "takes forms by GET",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-par-attempt-invalid-http-method", "own-token-by-get"],
        how: How::Before(tokens::by_get),
    },
    Mutant {
        name: "first-counts",
        breaks: "lets the first of two parameters count",
        profile: SECURITY,
        caught_by: &["own-redirect-uri-twice", "own-token-parameters-twice"],
        how: How::Before(tokens::first_counts),
    },
    Mutant {
        name: "any-scope",
        breaks: "gives any scope",
        profile: SECURITY,
        caught_by: &["own-no-scope-beyond-the-registration", "fapi2-security-profile-final-refresh-token"],
        how: How::Whole(tokens::any_scope),
    },
    Mutant {
        name: "open-resource",
        breaks: "opens resources to anybody",
        profile: SECURITY,
        caught_by: &["own-no-token", "own-invalid-token"],
        how: How::Whole(tokens::open_resource),
    },
    Mutant {
        name: "metadata-issuer",
        breaks: "names another issuer",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-discovery-end-point-verification"],
        how: How::After(answers::other_issuer),
    },
    Mutant {
        name: "metadata-response-types",
        breaks: "announces tokens in the front channel",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-discovery-end-point-verification"],
        how: How::After(answers::response_types),
    },
    Mutant {
        name: "metadata-plain",
        breaks: "announces PKCE by plain",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-discovery-end-point-verification"],
        how: How::After(answers::plain_listed),
    },
    Mutant {
        name: "metadata-iss",
        breaks: "announces no iss",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-discovery-end-point-verification"],
        how: How::After(answers::no_iss_announced),
    },
    Mutant {
        name: "metadata-secret",
        breaks: "announces secrets",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-discovery-end-point-verification"],
        how: How::After(answers::secret_listed),
    },
    Mutant {
        name: "metadata-rs256",
        breaks: "announces RS256",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-discovery-end-point-verification"],
        how: How::After(answers::rs256_listed),
    },
    Mutant {
        name: "metadata-http",
        breaks: "announces an address without TLS",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-discovery-end-point-verification"],
        how: How::After(answers::http_endpoint),
    },
    Mutant {
        name: "metadata-push",
        breaks: "announces that pushing is optional",
        profile: SECURITY,
        caught_by: &["own-pushed-requests-are-required"],
        how: How::After(answers::push_not_required),
    },
    Mutant {
        name: "metadata-no-push",
        breaks: "announces no endpoint for pushes",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-discovery-end-point-verification"],
        how: How::After(answers::no_push_endpoint),
    },
    Mutant {
        name: "keys-private",
        breaks: "publishes a private key",
        profile: SECURITY,
        caught_by: &["own-key-set"],
        how: How::After(answers::private_key_published),
    },
    Mutant {
        name: "keys-same-kid",
        breaks: "publishes two keys by one name",
        profile: SECURITY,
        caught_by: &["own-key-set"],
        how: How::After(answers::same_kid_twice),
    },
    Mutant {
        name: "tokens-stored",
        breaks: "lets token responses be stored",
        profile: SECURITY,
        caught_by: &["own-token-response-not-stored"],
        how: How::After(answers::stored),
    },
    Mutant {
        name: "pushes-stored",
        breaks: "lets answers to pushes be stored",
        profile: SECURITY,
        caught_by: &["own-push-response-not-stored"],
        how: How::After(answers::push_stored),
    },
    Mutant {
        name: "data-stored",
        breaks: "lets account data be stored",
        profile: SECURITY,
        caught_by: &["own-resource-not-stored"],
        how: How::After(answers::data_stored),
    },
    Mutant {
        name: "no-challenge",
        breaks: "does not say how to authenticate",
        profile: SECURITY,
        caught_by: &["own-no-token"],
        how: How::After(answers::no_challenge),
    },
    Mutant {
        name: "interaction-id",
        breaks: "drops the interaction id",
        profile: SECURITY,
        caught_by: &["own-interaction-id-comes-back"],
        how: How::After(answers::no_interaction_id),
    },
    Mutant {
        name: "framed",
        breaks: "lets its pages be put into frames",
        profile: SECURITY,
        caught_by: &["own-pages-are-not-framed"],
        how: How::After(answers::framed),
    },
    Mutant {
        name: "cors",
        breaks: "lets scripts of others read the authorization endpoint",
        profile: SECURITY,
        caught_by: &["own-no-scripts-of-others-at-authorization"],
        how: How::After(answers::scripts_of_others),
    },
    Mutant {
        name: "status-404",
        breaks: "answers 404 for 400",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-registered-redirect-uri"],
        how: How::After(answers::status_404),
    },
    Mutant {
        name: "status-200",
        breaks: "answers 200 for errors",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-registered-redirect-uri"],
        how: How::After(answers::status_200),
    },
    Mutant {
        name: "errors-html",
        breaks: "answers errors as pages",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-registered-redirect-uri"],
        how: How::After(answers::html_errors),
    },
    Mutant {
        name: "errors-own",
        breaks: "answers errors by names of its own",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-registered-redirect-uri"],
        how: How::After(answers::error_of_its_own),
    },
    Mutant {
        name: "errors-lines",
        breaks: "puts line breaks into errors",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-ensure-registered-redirect-uri"],
        how: How::After(answers::lines_in_errors),
    },
    Mutant {
        name: "errors-leak",
        breaks: "repeats secrets in errors",
        profile: SECURITY,
        caught_by: &["own-errors-tell-no-secrets", "own-resource-errors-tell-no-secrets"],
        how: How::After(answers::leaking_errors),
    },
    Mutant {
        name: "expires-text",
        breaks: "says lifetimes as texts",
        profile: SECURITY,
        caught_by: &["own-token-response-not-stored"],
        how: How::After(answers::lifetime_as_text),
    },
    Mutant {
        name: "introspection-leak",
        breaks: "describes tokens that are dead",
        profile: SECURITY,
        caught_by: &["own-introspection-of-a-dead-token"],
        how: How::After(answers::dead_tokens_described),
    },
    Mutant {
        name: "introspection-no-cnf",
        breaks: "does not say what a token is bound to",
        profile: SECURITY,
        caught_by: &["own-introspection-of-a-live-token"],
        how: How::After(answers::binding_not_told),
    },
    Mutant {
        name: "id-token-without-nonce",
        breaks: "leaves nonce out of id_tokens",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::After(answers::id_token_without_nonce),
    },
    Mutant {
        name: "id-token-for-another",
        breaks: "issues id_tokens for another client",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::After(answers::id_token_for_another),
    },
    Mutant {
        name: "id-token-of-another",
        breaks: "issues id_tokens of another issuer",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::After(answers::id_token_of_another),
    },
    Mutant {
        name: "id-token-expired",
        breaks: "issues expired id_tokens",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::After(answers::id_token_expired),
    },
    Mutant {
        name: "id-token-without-sub",
        breaks: "issues id_tokens about nobody",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::After(answers::id_token_without_sub),
    },
    Mutant {
        name: "id-token-unsigned",
        breaks: "does not sign id_tokens",
        profile: SECURITY,
        caught_by: &["fapi2-security-profile-final-happy-flow"],
        how: How::After(answers::id_token_unsigned),
    },
    Mutant {
        name: "id-token-short-nonce",
        breaks: "cuts a long nonce off",
        profile: SECURITY,
        caught_by: &[
            "fapi2-security-profile-final-ensure-authorization-request-with-64-char-nonce-success",
            "fapi2-security-profile-final-ensure-authorization-request-with-long-nonce",
        ],
        how: How::After(answers::id_token_with_short_nonce),
    },
];
