//! What each bank does wrong, or unusually, and what a client must make of it.

use super::bank::Place;

/// What must come of a journey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// It ends with the person's data.
    Data,
    /// Nothing is sent: there is no secure connection.
    NoRequest,
    /// Nothing follows the metadata.
    NothingAfterMetadata,
    /// Nobody is sent to the bank's page.
    NothingAfterPush,
    /// No code is redeemed, and nothing is given.
    NothingAfterAnswer,
    /// No data is asked for with the token, and nothing is given.
    NothingAfterToken,
    /// It ends with the person's data, and the code is redeemed once.
    OneCode,
}

/// How a journey goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// From beginning to end.
    Once,
    /// Twice, each in a browser of its own; the second is judged.
    Twice,
    /// Once, and then the browser opens the address that the bank sent it to again.
    Again,
    /// Once; then tokens end twice, and each time it is read again.
    Later,
    /// Another browser opens the address that the bank sent this one to.
    Stranger,
}

macro_rules! modes {
    ($($variant:ident $name:literal $wants:ident $drive:ident $says:literal;)*) => {
        /// What a bank does.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mode { $(#[doc = $says] $variant,)* }

        impl Mode {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What it is called in cases, addresses and institutions.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What it does, in one sentence.
            #[must_use]
            pub fn says(self) -> &'static str {
                match self { $(Self::$variant => $says,)* }
            }

            /// What must come of it.
            #[must_use]
            pub fn wants(self) -> Wants {
                match self { $(Self::$variant => Wants::$wants,)* }
            }

            /// How a client is driven.
            #[must_use]
            pub fn drive(self) -> Drive {
                match self { $(Self::$variant => Drive::$drive,)* }
            }
        }
    };
}

modes! {
    Happy "happy" Data Once "It is right.";
    RequestPushed "request-pushed" Data Once "It looks at what the browser brings.";
    RequestPkce "request-pkce" Data Once "It looks at challenge and verifier.";
    RequestFresh "request-fresh" Data Twice "It looks for what comes twice.";
    RequestObject "request-object" Data Once "It looks at the request object.";
    RequestAssertion "request-assertion" Data Once "It looks at client assertions.";
    RequestCertificate "request-certificate" Data Once "It looks at the client certificate.";

    IssuerMismatch "issuer-mismatch" NothingAfterMetadata Once "Its metadata names another issuer.";
    IssuerSlash "issuer-slash" NothingAfterMetadata Once "Its metadata names the issuer with a slash more.";
    IssuerMissing "issuer-missing" NothingAfterMetadata Once "Its metadata names no issuer.";
    MetadataRedirects "metadata-redirects" NothingAfterMetadata Once "Its metadata is said to be elsewhere.";
    MetadataHttpToken "metadata-http-token" NothingAfterMetadata Once "Its token endpoint has no TLS.";
    MetadataHttpKeys "metadata-http-keys" NothingAfterToken Once "Its key set has no TLS.";
    MetadataForeignToken "metadata-foreign-token" NothingAfterMetadata Once "Its token endpoint is on a host that is none of the bank's.";
    MetadataForeignAlias "metadata-foreign-alias" NothingAfterMetadata Once "The alias of its token endpoint is on a host that is none of the bank's.";
    MetadataAlias "metadata-alias" Data Once "Its token endpoint for mutual TLS has an alias.";
    MetadataUnknown "metadata-unknown" Data Once "Its metadata has members that nobody knows.";

    TlsExpired "tls-expired" NoRequest Once "Its certificate has expired.";
    TlsOtherName "tls-other-name" NoRequest Once "Its certificate is for another host.";
    TlsStranger "tls-stranger" NoRequest Once "Its certificate is of an issuer that nobody trusts.";

    PushRedirects "push-redirects" NothingAfterPush Once "Its endpoint for pushed requests sends them elsewhere.";

    ResponseIss "response-iss" NothingAfterAnswer Once "The answer through the browser names another issuer.";
    ResponseNoIss "response-no-iss" NothingAfterAnswer Once "The answer through the browser names no issuer.";
    ResponseIssSlash "response-iss-slash" NothingAfterAnswer Once "The answer through the browser names the issuer with a slash more.";
    ResponseIssOfAnother "response-iss-of-another" NothingAfterAnswer Once "The answer through the browser names another bank that is known.";
    ResponseTwoIss "response-two-iss" NothingAfterAnswer Once "The answer through the browser names two issuers.";
    ResponseState "response-state" NothingAfterAnswer Once "The answer has another state.";
    ResponseNoState "response-no-state" NothingAfterAnswer Once "The answer has no state.";
    ResponseTwoStates "response-two-states" NothingAfterAnswer Once "The answer has two states.";
    ResponseStateOfAnother "response-state-of-another" NothingAfterAnswer Twice "The answer has the state of another session that waits.";
    ResponseTwoCodes "response-two-codes" NothingAfterAnswer Once "The answer has two codes.";
    ResponseCodeAndError "response-code-and-error" NothingAfterAnswer Once "The answer has a code and an error.";
    ResponseNoCode "response-no-code" NothingAfterAnswer Once "The answer has neither code nor error.";
    ResponseError "response-error" NothingAfterAnswer Once "The person declines.";
    ResponseAgain "response-again" OneCode Again "The answer comes a second time.";
    ResponseInAnotherBrowser "response-in-another-browser" NothingAfterAnswer Stranger "The answer comes in another browser.";
    ResponseAtAnotherCallback "response-at-another-callback" NothingAfterAnswer Once "The answer comes where another bank answers.";

    TokenNoExpiresIn "token-no-expires-in" Data Once "The token answer does not say how long the token lives.";
    TokenTypeCase "token-type-case" Data Once "The token answer says `bEARER`.";
    TokenTypeUnknown "token-type-unknown" NothingAfterToken Once "The token is of a type that nobody knows.";
    TokenNoType "token-no-type" NothingAfterToken Once "The token answer names no type.";
    TokenRedirects "token-redirects" NothingAfterToken Once "The token endpoint sends the code elsewhere.";
    TokenHtml "token-html" NothingAfterToken Once "The token answer is said to be HTML.";
    TokenHuge "token-huge" NothingAfterToken Once "The token answer has 10 MiB.";
    TokenFails "token-fails" NothingAfterToken Once "The token answer is a refusal with a token in it.";
    TokenNoAccessToken "token-no-access-token" NothingAfterToken Once "The token answer has no access token.";
    TokenLineBreak "token-line-break" NothingAfterToken Once "The access token has a line break and a header in it.";
    TokenScopeWider "token-scope-wider" NothingAfterToken Once "The token is good for more than was asked for.";
    TokenNoIdToken "token-no-id-token" NothingAfterToken Once "The token answer has no id_token.";
    Refresh "refresh" Data Once "It takes no access token before the third, and each refresh token once.";

    TokenEnds "token-ends" Data Later "Its access tokens end, and each refresh token is good for once.";

    IdTokenIss "id-token-iss" NothingAfterToken Once "The id_token names another issuer.";
    IdTokenNoIss "id-token-no-iss" NothingAfterToken Once "The id_token names no issuer.";
    IdTokenAud "id-token-aud" NothingAfterToken Once "The id_token is for another client.";
    IdTokenNoAud "id-token-no-aud" NothingAfterToken Once "The id_token is for nobody.";
    IdTokenSecondAud "id-token-second-aud" NothingAfterToken Once "The id_token is for a second client, too.";
    IdTokenSecondAudAzp "id-token-second-aud-azp" NothingAfterToken Once "The id_token is for a second client, too, and names the first as authorised.";
    IdTokenAudList "id-token-aud-list" Data Once "The audience of the id_token is a list of one.";
    IdTokenAzp "id-token-azp" NothingAfterToken Once "The id_token was given to another client.";
    IdTokenExpired "id-token-expired" NothingAfterToken Once "The id_token has expired.";
    IdTokenNoExp "id-token-no-exp" NothingAfterToken Once "The id_token does not expire.";
    IdTokenExpText "id-token-exp-text" NothingAfterToken Once "The end of the id_token is a text.";
    IdTokenFuture "id-token-future" NothingAfterToken Once "The id_token holds from tomorrow on.";
    IdTokenNonce "id-token-nonce" NothingAfterToken Once "The id_token has another nonce.";
    IdTokenNoNonce "id-token-no-nonce" NothingAfterToken Once "The id_token has no nonce.";
    IdTokenOfAnotherSession "id-token-of-another-session" NothingAfterToken Twice "The id_token is that of an earlier session.";
    IdTokenNoSub "id-token-no-sub" NothingAfterToken Once "The id_token is about nobody.";
    IdTokenIntent "id-token-intent" NothingAfterToken Once "The id_token is about another consent.";
    IdTokenNoIntent "id-token-no-intent" NothingAfterToken Once "The id_token names no consent.";
    IdTokenAcr "id-token-acr" NothingAfterToken Once "The id_token tells of a weaker authentication than was asked for.";
    IdTokenAtHash "id-token-at-hash" NothingAfterToken Once "The id_token belongs to another access token.";
    IdTokenNone "id-token-none" NothingAfterToken Once "The id_token has no signature.";
    IdTokenNoneOtherCase "id-token-none-other-case" NothingAfterToken Once "The id_token has no signature, and says so in other letters.";
    IdTokenRs256 "id-token-rs256" NothingAfterToken Once "The id_token is signed with RS256.";
    IdTokenHmac "id-token-hmac" NothingAfterToken Once "The id_token is signed with the public key as a secret.";
    IdTokenTampered "id-token-tampered" NothingAfterToken Once "The signature of the id_token is wrong.";
    IdTokenOtherKey "id-token-other-key" NothingAfterToken Once "The id_token is signed by a stranger in the name of the bank's key.";
    IdTokenUnknownKid "id-token-unknown-kid" NothingAfterToken Once "The id_token names a key that is not published.";
    IdTokenOwnJwk "id-token-own-jwk" NothingAfterToken Once "The id_token brings the key that signed it.";
    IdTokenJku "id-token-jku" NothingAfterToken Once "The id_token says where the key is that signed it.";
    IdTokenCrit "id-token-crit" NothingAfterToken Once "The id_token has a critical header that nobody knows.";
    IdTokenOfAnotherBank "id-token-of-another-bank" NothingAfterToken Once "The id_token is another bank's, and whole.";
    IdTokenEncKey "id-token-enc-key" NothingAfterToken Once "The id_token is signed by a key that is for encryption.";
    IdTokenPublishedKey "id-token-published-key" NothingAfterToken Once "The id_token is signed by a key whose private half is published.";

    KeysDecoys "keys-decoys" Data Once "The key set has keys that nobody can use, too.";
    KeysSharedKid "keys-shared-kid" Data Once "Keys of two kinds have one name.";
    KeysRedirect "keys-redirect" NothingAfterToken Once "The key set is said to be elsewhere.";

    Hybrid "hybrid" Data Once "It answers with an id_token through the browser, too.";
    HybridCHash "hybrid-c-hash" NothingAfterAnswer Once "The id_token through the browser belongs to another code.";
    HybridNoCHash "hybrid-no-c-hash" NothingAfterAnswer Once "The id_token through the browser belongs to no code.";
    HybridSHash "hybrid-s-hash" NothingAfterAnswer Once "The id_token through the browser belongs to another state.";
    HybridIss "hybrid-iss" NothingAfterAnswer Once "The id_token through the browser names another issuer.";
    HybridNoIdToken "hybrid-no-id-token" NothingAfterAnswer Once "There is no id_token in the answer through the browser.";
}

impl Mode {
    /// The bank of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mode| mode.name() == name)
    }

    /// What the institution is called at the client under test.
    #[must_use]
    pub fn institution(self) -> String {
        format!("gb-rp-{}", self.name())
    }

    /// It answers with `code id_token`.
    #[must_use]
    pub fn hybrid(self) -> bool {
        self.name().starts_with("hybrid")
    }

    /// Where it listens: those whose TLS is wrong have a place of their own.
    #[must_use]
    pub fn place(self) -> Place {
        match self.name() {
            "tls-expired" => Place::Expired,
            "tls-other-name" => Place::OtherName,
            "tls-stranger" => Place::Stranger,
            _ => Place::Right,
        }
    }
}
