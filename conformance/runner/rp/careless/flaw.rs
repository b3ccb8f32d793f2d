//! Every way to be careless, and the banks that must notice it.

use crate::rp::Mode;

macro_rules! flaws {
    ($($variant:ident $says:literal [$($mode:ident)+];)*) => {
        /// A way to be careless, or stricter than the standards.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Flaw { $(#[doc = $says] $variant,)* }

        impl Flaw {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// What is careless about it.
            #[must_use]
            pub fn says(self) -> &'static str {
                match self { $(Self::$variant => $says,)* }
            }

            /// The banks that must notice it.
            #[must_use]
            pub fn caught_by(self) -> &'static [Mode] {
                match self { $(Self::$variant => &[$(Mode::$mode),+],)* }
            }
        }
    };
}

flaws! {
    AnyIssuer "It does not compare the issuer of the metadata." [IssuerMismatch IssuerSlash];
    IssuerSlash "It takes an issuer with a slash more for the same." [IssuerSlash];
    IssuerMayMiss "It takes metadata without an issuer." [IssuerMissing];
    FollowMetadata "It follows redirects of the metadata." [MetadataRedirects];
    AnyScheme "It goes to addresses without TLS." [MetadataHttpToken MetadataHttpKeys];
    AnyHost "It goes to hosts that are not the bank's." [MetadataForeignToken MetadataForeignAlias];
    NoAlias "It knows no aliases for mutual TLS." [MetadataAlias];
    StrictMetadata "It refuses metadata with members that it does not know." [MetadataUnknown];
    AnyAuthority "It trusts any issuer of certificates." [TlsStranger];
    FollowPush "It follows redirects of pushed requests." [PushRedirects];

    QueryToo "It sends parameters through the browser, too." [RequestPushed];
    PlainPkce "Its challenge is the verifier." [RequestPkce];
    FixedState "Its state and nonce are always the same." [RequestFresh];
    ObjectForToken "Its request object is for the token endpoint." [RequestObject];
    AssertionForToken "Its assertion is for the token endpoint." [RequestAssertion];
    NoCertificate "It shows no certificate where it reads." [RequestCertificate];

    AnyIss "It does not compare `iss` of the answer." [ResponseIss ResponseIssOfAnother ResponseIssSlash];
    IssMayMiss "It takes answers without `iss`." [ResponseNoIss];
    IssSlash "It takes `iss` with a slash more for the same." [ResponseIssSlash];
    FirstOfTwo "It takes the first of two parameters." [ResponseTwoIss ResponseTwoStates ResponseTwoCodes];
    AnyState "It takes any state for the one of its browser." [ResponseState];
    StateMayMiss "It takes answers without a state." [ResponseNoState];
    AnyBrowser "It takes answers in any browser." [ResponseStateOfAnother ResponseInAnotherBrowser];
    StateLives "It takes an answer again." [ResponseAgain];
    MixedUp "It redeems a code at the bank that the answer names." [ResponseIssOfAnother];
    CodeBeforeError "It takes a code though there is an error." [ResponseCodeAndError];
    EmptyCode "It redeems a code that is not there." [ResponseNoCode];
    DeniedIsGiven "It takes any answer for a yes." [ResponseError];
    AnyCallback "It has one callback for all banks." [ResponseAtAnotherCallback];

    StrictExpiresIn "It wants to know how long a token lives." [TokenNoExpiresIn];
    StrictTokenType "It wants `Bearer` in these letters." [TokenTypeCase];
    AnyTokenType "It takes tokens of any type." [TokenTypeUnknown];
    TypeMayMiss "It takes tokens without a type." [TokenNoType];
    FollowToken "It follows redirects of the token endpoint." [TokenRedirects];
    AnyMedia "It reads whatever looks like JSON." [TokenHtml];
    AnySize "It reads answers of any size." [TokenHuge];
    AnyStatus "It takes tokens out of a refusal." [TokenFails];
    AnyToken "It shows any token, or none." [TokenLineBreak TokenNoAccessToken];
    AnyScope "It takes tokens that are good for more than it asked for." [TokenScopeWider];
    IdTokenMayMiss "It asks for an id_token and goes on without." [TokenNoIdToken];
    NeverRefreshes "It gives up when its token is refused." [Refresh TokenEnds];
    OldRefreshToken "It keeps its first refresh token." [Refresh TokenEnds];

    NoSignature "It does not verify signatures." [IdTokenTampered IdTokenOtherKey IdTokenUnknownKid];
    AlgNone "It takes id_tokens without a signature." [IdTokenNone];
    AlgNoneOtherCase "It refuses `none` in small letters only." [IdTokenNoneOtherCase];
    AlgRs256 "It takes RS256." [IdTokenRs256];
    AlgHmac "It takes HS256." [IdTokenHmac];
    OwnJwk "It takes the key that an id_token brings." [IdTokenOwnJwk];
    FollowJku "It looks for keys where an id_token says." [IdTokenJku];
    IgnoreCrit "It does not look at critical headers." [IdTokenCrit];
    AnyUse "It takes keys that are for something else." [IdTokenEncKey];
    PublishedKey "It takes keys whose private half everybody has." [IdTokenPublishedKey];
    StrictKeys "It refuses key sets with keys that it cannot use." [KeysDecoys];
    FirstOfName "It looks at the first key of a name only." [KeysSharedKid];
    FollowKeys "It follows redirects of the key set." [KeysRedirect];
    AnyIdTokenIss "It does not compare `iss` of id_tokens." [IdTokenIss IdTokenOfAnotherBank];
    IdTokenIssMayMiss "It takes id_tokens of nobody." [IdTokenNoIss];
    AnyAud "It does not look at whom id_tokens are for." [IdTokenAud];
    AudMayMiss "It takes id_tokens for nobody." [IdTokenNoAud];
    AudAmongOthers "It takes id_tokens that are for others, too." [IdTokenSecondAud IdTokenSecondAudAzp];
    StrictAud "It wants the audience to be a text." [IdTokenAudList];
    AnyAzp "It does not look at `azp`." [IdTokenAzp];
    AnyExp "It does not look at when id_tokens end." [IdTokenExpired];
    ExpMayMiss "It takes id_tokens without an end." [IdTokenNoExp];
    ExpAsText "It takes an end that is a text." [IdTokenExpText];
    AnyStart "It does not look at when id_tokens begin." [IdTokenFuture];
    AnyNonce "It does not compare the nonce." [IdTokenNonce IdTokenOfAnotherSession];
    NonceMayMiss "It takes id_tokens without a nonce." [IdTokenNoNonce];
    SubMayMiss "It takes id_tokens about nobody." [IdTokenNoSub];
    AnyIntent "It does not compare the consent." [IdTokenIntent];
    IntentMayMiss "It takes id_tokens without a consent." [IdTokenNoIntent];
    AnyAcr "It does not look at how the person authenticated." [IdTokenAcr];
    AnyAtHash "It does not look at the token that an id_token belongs to." [IdTokenAtHash];
    AnyCHash "It does not look at the code that an id_token belongs to." [HybridCHash];
    CHashMayMiss "It takes id_tokens through the browser that belong to no code." [HybridNoCHash];
    AnySHash "It does not look at the state that an id_token belongs to." [HybridSHash];
    AnyFront "It does not verify id_tokens through the browser." [HybridIss];
    FrontMayMiss "It goes on without an id_token through the browser." [HybridNoIdToken];
}
