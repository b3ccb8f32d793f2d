//! Habits of a bank: lasting ways to differ from its standard, each a switch.
//! They bear the names of the deviations that profiles state (`quirks`), and
//! show what a client meets that knows nothing of them.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

domain::named! {
    /// One habit, by the name of the deviation in profiles, and what the bank does.
    Habit {
        AccountListOnce = "account-list-once",
            "Accounts are listed within an hour of the authorisation only.";
        AuthorizationEndpointForRole = "authorization-endpoint-for-role",
            "Account information is authorised at `/authorize/accounts` only.";
        BearerAnyCase = "bearer-any-case",
            "The token endpoint writes `bEARER`.";
        ConsentInQuery = "consent-in-query",
            "The browser must bring the consent in the parameter `consent`, too.";
        ConsentSettles = "consent-settles",
            "A consent that was lodged a second ago cannot be authorised yet.";
        ContractIndicatorLeftOut = "contract-indicator-left-out",
            "A risk block with a contract indicator is refused.";
        ContractIndicatorMisspelt = "contract-indicator-misspelt",
            "The contract indicator is known as `ContractPresentInidicator`, and required.";
        ContractIndicatorUnreliable = "contract-indicator-unreliable",
            "Payment consents are answered with another contract indicator.";
        DebtorEchoUnreliable = "debtor-echo-unreliable",
            "A debtor that a payment consent names is answered with another account.";
        ExtraQuery = "extra-query",
            "The browser must bring `channel=tpp`.";
        FieldLeftOut = "field-left-out",
            "`Data.Initiation.InstructionIdentification` is refused.";
        FundsAnswerUnreliable = "funds-answer-unreliable",
            "A question about funds is answered without `FundsAvailable`.";
        HybridAnswerInQuery = "hybrid-answer-in-query",
            "The hybrid answer comes in the query.";
        IdTokenAcrMissing = "id-token-acr-missing",
            "An id_token has no `acr`.";
        IdTokenAcrUnreliable = "id-token-acr-unreliable",
            "An id_token names `0` as its `acr`.";
        IdTokenAuthTimeMissing = "id-token-auth-time-missing",
            "An id_token has no `auth_time`.";
        IdTokenExpiryInMillis = "id-token-expiry-in-millis",
            "Times of an id_token are in milliseconds.";
        IdTokenIntentMissing = "id-token-intent-missing",
            "An id_token does not name the consent.";
        IdTokenMissingOnRefresh = "id-token-missing-on-refresh",
            "A refresh answers without an id_token, which this bank does always.";
        IdTokenNonceMissing = "id-token-nonce-missing",
            "An id_token has no nonce.";
        IdTokenSubject = "id-token-subject",
            "The subject of an id_token is our client.";
        IdTokenUnreliable = "id-token-unreliable",
            "The signature of an id_token is that of another token.";
        InvalidDateIsNone = "invalid-date-is-none",
            "`BookingDateTime` of transactions is `0000-00-00T00:00:00`.";
        JwsPayloadNotEncoded = "jws-payload-not-encoded",
            "Signatures follow the rules before version 3.1.4.";
        LinkEndsInSlash = "link-ends-in-slash",
            "The path of `Links.Self` ends in a slash.";
        LinksOfAnotherBrand = "links-of-another-brand",
            "Links begin with `https://sister.example/open-banking/v4.0/aisp`.";
        LinksUnreliable = "links-unreliable",
            "Links begin with `https://internal.example`.";
        MetadataElsewhere = "metadata-elsewhere",
            "The metadata is at `/metadata.json`.";
        MetadataResponseModes = "metadata-response-modes",
            "The metadata lists no response modes.";
        MetadataUnpublished = "metadata-unpublished",
            "There is no metadata.";
        NoOpenIdConnect = "no-openid-connect",
            "No answer has an id_token.";
        NoSecondAuthorization = "no-second-authorization",
            "A consent that was authorised is not authorised again.";
        NonceInQueryToo = "nonce-in-query-too",
            "The browser must bring the nonce, too.";
        PaymentContextFixed = "payment-context-fixed",
            "No payment context but `PartyToParty` is taken.";
        PkceExpected = "pkce-expected",
            "A request without a PKCE challenge is refused, which this bank does always.";
        QueryNotEncoded = "query-not-encoded",
            "What is wrapped is read without percent-decoding.";
        QueryWrapped = "query-wrapped",
            "The browser brings the whole query as base64url in `data`.";
        RefreshTokenForClient = "refresh-token-for-client",
            "The client credentials grant gives a refresh token.";
        RefreshTokenMissing = "refresh-token-missing",
            "A code gives no refresh token.";
        RefundAccountNotAsked = "refund-account-not-asked",
            "A payment consent that asks for the refund account is refused.";
        RefundUnreliable = "refund-unreliable",
            "The refund account has no number.";
        RequestAudience = "request-audience",
            "A request object must name `https://tpp.albion.example` as its audience, and id_tokens name it as their issuer.";
        SandboxSteering = "sandbox-steering",
            "A payment without `SupplementaryData.DesiredStatus` is refused.";
        ScopeReplaced = "scope-replaced",
            "The scope of account information is `ais`.";
        SecondAuthorizationByStatus = "second-authorization-by-status",
            "A consent that is to be authorised again awaits authorisation meanwhile.";
        SelfLinkWithoutId = "self-link-without-id",
            "The link to a new resource leaves its identifier out.";
        StatusUnreliable = "status-unreliable",
            "A fresh payment consent is said to be consumed.";
        TokenScopeEmpty = "token-scope-empty",
            "A token answer has an empty scope.";
        TokenScopeExpected = "token-scope-expected",
            "A token answer states the scope `ais-session`.";
        TokenScopeRequested = "token-scope-requested",
            "The exchange of a code must name the scope `openid`.";
        TokenScopeWider = "token-scope-wider",
            "A token answer states the further scope `profile`.";
        VrpRefundNested = "vrp-refund-nested",
            "The refund account of a recurring payment stands in `Data.Refund.Account`.";
    }
}

/// Address that links of [`Habit::LinksUnreliable`] begin with.
pub(crate) const INTERNAL: &str = "https://internal.example";
/// Address that links of [`Habit::LinksOfAnotherBrand`] begin with.
pub(crate) const SISTER: &str = "https://sister.example";
/// Audience of [`Habit::RequestAudience`].
pub(crate) const AUDIENCE: &str = "https://tpp.albion.example";

/// The habits of one running bank. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Habits(Arc<RwLock<BTreeSet<Habit>>>);

impl Habits {
    /// Takes these up, and leaves all others.
    pub fn become_only(&self, habits: impl IntoIterator<Item = Habit>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = habits.into_iter().collect();
    }

    /// Those that the bank has.
    #[must_use]
    pub fn all(&self) -> Vec<Habit> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Whether the bank has this one.
    #[must_use]
    pub fn has(&self, habit: Habit) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(&habit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bank_has_the_habits_it_took_up_last() {
        let habits = Habits::default();
        habits.become_only([Habit::NoOpenIdConnect, Habit::TokenScopeEmpty]);
        assert!(habits.has(Habit::TokenScopeEmpty) && !habits.has(Habit::QueryWrapped));
        habits.become_only([Habit::QueryWrapped]);
        assert_eq!(habits.all(), [Habit::QueryWrapped]);
        for habit in Habit::ALL {
            assert_eq!(Habit::from_word(habit.as_str()), Some(*habit));
        }
    }
}
