//! Named deviations of banks from their standard. Each is strict by default
//! and loosened only by the profile of a bank that needs it.

use std::collections::BTreeMap;

macro_rules! quirk_names {
    ($($variant:ident = $word:literal, [$($parameter:literal),*], $(weakens $weaker:literal,)? $text:literal;)+) => {
        domain::named! {
            /// Name of a deviation, by its word in profiles, and what we do about it.
            QuirkName { $($variant = $word, $text;)+ }
        }

        impl QuirkName {
            /// The parameters it may have.
            #[must_use]
            pub fn parameters(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$($parameter),*],)+ }
            }

            /// The check that it weakens, where it does: what then goes unchecked.
            #[must_use]
            pub fn weakens(self) -> Option<&'static str> {
                match self { $(Self::$variant => [$($weaker,)?].first().copied(),)+ }
            }
        }
    };
}

quirk_names! {
    AccountListOnce = "account-list-once", [],
        "Accounts are listed in the first session only; balances still work.";
    AuthorizationEndpointForRole = "authorization-endpoint-for-role", ["address"],
        "One service is authorised at another address than the metadata names.";
    BearerAnyCase = "bearer-any-case", [],
        "The token endpoint spells `Bearer` in another case; we never compare its case.";
    ConsentInQuery = "consent-in-query", ["parameter"],
        "The authorization request names the consent in a query parameter of its own.";
    ConsentSettles = "consent-settles", ["seconds"],
        "A fresh consent can be used only after some seconds.";
    ContractIndicatorLeftOut = "contract-indicator-left-out", [],
        "The risk block is sent without the contract indicator.";
    ContractIndicatorMisspelt = "contract-indicator-misspelt", ["field_name"],
        "The contract indicator goes by the misspelt name that version 3.1 published.";
    ContractIndicatorUnreliable = "contract-indicator-unreliable", [],
        weakens "the contract indicator of an answer is not compared with the one sent",
        "The answer may give another contract indicator than was sent.";
    DebtorEchoUnreliable = "debtor-echo-unreliable", ["parts"],
        weakens "the debtor of an answer is not compared with the one sent",
        "The answer may give another debtor than was sent.";
    ExtraQuery = "extra-query", ["again", "always"],
        "The authorization request carries further fixed parameters: `always`, and `again` when a consent is confirmed again.";
    FieldLeftOut = "field-left-out", ["field"],
        "A field of the standard must not be sent.";
    FundsAnswerUnreliable = "funds-answer-unreliable", [],
        weakens "the answer about funds is not relied on",
        "The answer about funds may be absent or untrue.";
    HybridAnswerInQuery = "hybrid-answer-in-query", [],
        "The hybrid answer comes in the query, not in the fragment.";
    IdTokenAcrMissing = "id-token-acr-missing", [],
        weakens "how the customer authenticated is not checked",
        "An id_token does not say how the customer authenticated.";
    IdTokenAcrUnreliable = "id-token-acr-unreliable", [],
        weakens "how the customer authenticated is not checked",
        "An id_token may name weaker authentication than took place.";
    IdTokenAuthTimeMissing = "id-token-auth-time-missing", [],
        weakens "when the customer authenticated is not checked",
        "An id_token does not say when the customer authenticated.";
    IdTokenExpiryInMillis = "id-token-expiry-in-millis", [],
        weakens "from when an id_token holds is not checked",
        "Times of an id_token are in milliseconds.";
    IdTokenIntentMissing = "id-token-intent-missing", [],
        weakens "an id_token need not name the consent",
        "An id_token does not name the consent; its absence is accepted, another consent never.";
    IdTokenMissingOnRefresh = "id-token-missing-on-refresh", [],
        "A refresh answers without an id_token.";
    IdTokenNonceMissing = "id-token-nonce-missing", [],
        weakens "an id_token need not repeat the nonce",
        "An id_token has no nonce; its absence is accepted, another nonce never.";
    IdTokenSubject = "id-token-subject", ["value"],
        weakens "the subject of an id_token is not compared with the consent",
        "The subject of an id_token is the customer or our client, not the consent.";
    IdTokenUnreliable = "id-token-unreliable", [],
        weakens "the id_token is not verified",
        "The id_token of a sandbox cannot be verified.";
    InvalidDateIsNone = "invalid-date-is-none", ["field"],
        "A date field that holds no date is read as absent.";
    JwsPayloadNotEncoded = "jws-payload-not-encoded", [],
        "Signatures follow the rules before version 3.1.4: `b64: false` in the header and the raw body signed.";
    LinkEndsInSlash = "link-ends-in-slash", [],
        "Links end in a slash.";
    LinksOfAnotherBrand = "links-of-another-brand", ["also", "stated"],
        weakens "a link to another brand of the group is taken for the bank's own",
        "Links name the base address of another brand of the group.";
    LinksUnreliable = "links-unreliable", [],
        weakens "links are not compared with the bank's address",
        "Links name an address that is not the bank's; they are not compared.";
    MetadataElsewhere = "metadata-elsewhere", ["address"],
        "The metadata is not below the issuer.";
    MetadataResponseModes = "metadata-response-modes", ["supply"],
        "The metadata lists no response modes; the profile states them.";
    MetadataUnpublished = "metadata-unpublished", ["authorization_endpoint", "issuer", "response_modes", "response_types", "scopes", "token_endpoint", "token_endpoint_auth_methods"],
        "The bank publishes no metadata; the profile states its endpoints.";
    NoOpenIdConnect = "no-openid-connect", [],
        weakens "no id_token ties the authorization to the consent",
        "Authorization is plain OAuth 2.0: no id_token anywhere.";
    NoSecondAuthorization = "no-second-authorization", [],
        "An authorised consent cannot be confirmed by a second visit; a new consent is lodged instead.";
    NonceInQueryToo = "nonce-in-query-too", [],
        "The nonce stands in the query as well as in the request object.";
    PaymentContextFixed = "payment-context-fixed", [],
        "The risk block names the payment context `PartyToParty`.";
    PkceExpected = "pkce-expected", ["method"],
        "The bank insists on PKCE, which we always send.";
    QueryNotEncoded = "query-not-encoded", [],
        "The query of the authorization request is joined without percent-encoding before it is wrapped.";
    QueryWrapped = "query-wrapped", ["parameter"],
        "The whole query travels as base64url in one parameter.";
    RefreshTokenForClient = "refresh-token-for-client", [],
        "The client credentials grant gives a refresh token, which is ignored.";
    RefreshTokenMissing = "refresh-token-missing", [],
        "The exchange of the code gives no refresh token.";
    RefundAccountNotAsked = "refund-account-not-asked", [],
        "The payment consent does not ask for the refund account.";
    RefundUnreliable = "refund-unreliable", ["parts"],
        weakens "the refund account of an answer is not checked",
        "The refund account of an answer may be absent or incomplete.";
    RegistrationAccessToken = "registration-access-token", ["token"],
        "A registration is managed with its registration access token.";
    RegistrationAudience = "registration-audience", ["audience"],
        "The registration request names another audience.";
    RegistrationGrants = "registration-grants", ["grant_types"],
        "The registration request lists fewer grant types.";
    RegistrationMediaType = "registration-media-type", [],
        "The registration request is sent as `application/jose`.";
    RegistrationPerRole = "registration-per-role", ["roles"],
        "Each service has a registration of its own.";
    RegistrationScopeList = "registration-scope-list", [],
        "The registration answer gives its scope as a list.";
    RegistrationSubjectType = "registration-subject-type", ["value"],
        "The registration request names a subject type.";
    RegistrationTimesInMillis = "registration-times-in-millis", ["claims"],
        "Times of the registration are in milliseconds.";
    RegistrationTokenScope = "registration-token-scope", ["scope", "scope_by_role"],
        "The token that manages a registration has a scope of its own.";
    RequestAudience = "request-audience", ["also_id_token_issuer", "audience"],
        weakens "an id_token may name another issuer than the metadata",
        "The request object names another audience than the issuer; id_tokens may name it as their issuer.";
    SandboxSteering = "sandbox-steering", ["desired_status", "keys"],
        "The sandbox is steered by supplementary data in requests.";
    ScopeReplaced = "scope-replaced", ["scope"],
        "Another scope is asked for than the standard names.";
    SecondAuthorizationByStatus = "second-authorization-by-status", ["initial_status"],
        "Whether a customer authorises again is told by the consent's status.";
    SelfLinkWithoutId = "self-link-without-id", [],
        "The link to a new resource leaves its identifier out.";
    StatusUnreliable = "status-unreliable", [],
        weakens "the status of a fresh payment is not checked",
        "The status of a fresh payment may not be one the standard allows there.";
    TokenScopeEmpty = "token-scope-empty", [],
        "An empty scope in a token answer means that none is stated.";
    TokenScopeExpected = "token-scope-expected", ["scope"],
        "A token answer states another scope than was asked for.";
    TokenScopeRequested = "token-scope-requested", ["scope"],
        "The token request names a scope.";
    TokenScopeWider = "token-scope-wider", [],
        weakens "a token may be good for more than was asked for",
        "A token answer states further scopes.";
    VrpRefundNested = "vrp-refund-nested", ["path"],
        "The refund account of a recurring payment stands one level deeper.";
}

/// What steps are made of, joined by dots (`pisp.consent.post`); `*` is any.
pub(crate) const STEP_WORDS: &[&str] = &[
    "*",
    "accounts",
    "aisp",
    "auth",
    "balances",
    "cbpii",
    "cc",
    "code",
    "consent",
    "dcr",
    "direct_debits",
    "discovery",
    "funds_confirmation",
    "get",
    "manage",
    "parties",
    "party",
    "payment",
    "pisp",
    "post",
    "refresh",
    "standing_orders",
    "token",
    "transactions",
    "vrp",
];

/// What steps are called after: the services, and our registration for them.
const ROLES: [&str; 5] = ["aisp", "pisp", "vrp", "cbpii", "dcr"];

/// One deviation of one bank: where it shows and with which parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Quirk {
    /// Which.
    pub name: QuirkName,
    /// Steps at which it shows (`aisp.consent.post`, `token.refresh.*`); empty is everywhere.
    pub at: Vec<String>,
    /// Versions of the standard in which it shows; empty is all.
    pub versions: Vec<String>,
    /// Parameters.
    pub parameters: BTreeMap<String, toml::Value>,
}

impl Quirk {
    /// A parameter that is a text.
    #[must_use]
    pub fn text(&self, parameter: &str) -> Option<&str> {
        self.parameters.get(parameter).and_then(toml::Value::as_str)
    }

    /// A parameter that is a whole number; none, if it is absent or negative.
    #[must_use]
    pub fn number(&self, parameter: &str) -> Option<u64> {
        self.parameters.get(parameter).and_then(toml::Value::as_integer).and_then(|n| n.try_into().ok())
    }

    /// A parameter that is a list of texts; empty, if it is absent.
    #[must_use]
    pub fn texts(&self, parameter: &str) -> Vec<&str> {
        let list = self.parameters.get(parameter).and_then(toml::Value::as_array);
        list.into_iter().flatten().filter_map(toml::Value::as_str).collect()
    }

    /// What goes unchecked because of it, if anything.
    #[must_use]
    pub fn weakens(&self) -> Option<&'static str> {
        // Another audience of our own request is harmless; another issuer of theirs is not.
        let harmless = self.name == QuirkName::RequestAudience && !self.also_issuer();
        self.name.weakens().filter(|_| !harmless)
    }

    /// Whether id_tokens may name the audience of [`QuirkName::RequestAudience`] as their issuer.
    pub(crate) fn also_issuer(&self) -> bool {
        self.parameters.get("also_id_token_issuer") == Some(&toml::Value::Boolean(true))
    }

    /// Whether it can show at any step of this service in this version: nothing
    /// in `at` keeps it to other services.
    fn concerns(&self, role: &str, version: &str) -> bool {
        let elsewhere =
            |pattern: &String| pattern.split('.').any(|part| ROLES.contains(&part) && part != role);
        let here = self.at.is_empty() || !self.at.iter().all(elsewhere);
        here && (self.versions.is_empty() || self.versions.iter().any(|known| known == version))
    }

    fn shows_at(&self, step: &str, version: &str) -> bool {
        let at = self.at.is_empty() || self.at.iter().any(|pattern| covers(pattern, step));
        at && (self.versions.is_empty() || self.versions.iter().any(|known| known == version))
    }
}

/// Whether a pattern such as `auth.*` or `pisp.consent` covers a step such as
/// `pisp.consent.post`: segment by segment, `*` is any, a prefix covers all below.
fn covers(pattern: &str, step: &str) -> bool {
    let mut steps = step.split('.');
    pattern.split('.').all(|wanted| steps.next().is_some_and(|found| wanted == "*" || wanted == found))
}

/// All deviations of one bank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Quirks(Vec<Quirk>);

impl Quirks {
    /// From a list.
    #[must_use]
    pub fn new(quirks: Vec<Quirk>) -> Self {
        Self(quirks)
    }

    /// The deviation of this name at this step in this version, if the bank has it.
    #[must_use]
    pub fn find(&self, name: QuirkName, step: &str, version: &str) -> Option<&Quirk> {
        self.0.iter().find(|quirk| quirk.name == name && quirk.shows_at(step, version))
    }

    /// The checks that are weaker for this service (`aisp`, `pisp`) in this
    /// version, each named once, by the words of the quirks.
    #[must_use]
    pub fn checks_relaxed(&self, role: &str, version: &str) -> Vec<&'static str> {
        let relaxed =
            self.0.iter().filter(|quirk| quirk.weakens().is_some() && quirk.concerns(role, version));
        let mut names: Vec<_> = relaxed.map(|quirk| quirk.name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Quirk> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_that_are_weaker_are_those_of_the_service_and_version() {
        let quirk = |name, at: &[&str], versions: &[&str]| Quirk {
            name,
            at: at.iter().map(ToString::to_string).collect(),
            versions: versions.iter().map(ToString::to_string).collect(),
            parameters: BTreeMap::new(),
        };
        let quirks = Quirks::new(vec![
            quirk(QuirkName::IdTokenNonceMissing, &["auth.*"], &[]),
            quirk(QuirkName::IdTokenNonceMissing, &["token.code.pisp", "token.code.aisp"], &[]),
            quirk(QuirkName::LinksUnreliable, &["pisp.payment"], &[]),
            quirk(QuirkName::StatusUnreliable, &[], &["3.1"]),
            quirk(QuirkName::RequestAudience, &[], &[]),
            quirk(QuirkName::BearerAnyCase, &[], &[]),
        ]);
        assert_eq!(quirks.checks_relaxed("aisp", "4.0"), ["id-token-nonce-missing"]);
        let payments = ["id-token-nonce-missing", "links-unreliable", "status-unreliable"];
        assert_eq!(quirks.checks_relaxed("pisp", "3.1"), payments);
    }

    #[test]
    fn a_quirk_shows_only_at_its_steps_and_versions() {
        let quirks = Quirks::new(vec![Quirk {
            name: QuirkName::BearerAnyCase,
            at: vec!["token.*".into(), "pisp.consent".into()],
            versions: vec!["3.1".into()],
            parameters: BTreeMap::new(),
        }]);
        let shows = |step, version| quirks.find(QuirkName::BearerAnyCase, step, version).is_some();
        assert!(shows("token.code.aisp", "3.1") && shows("pisp.consent.post", "3.1"));
        assert!(!shows("pisp.payment.post", "3.1") && !shows("token.cc", "4.0"));
        assert!(!shows("pisp", "3.1"));
    }
}
