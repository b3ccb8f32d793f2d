//! The catalogue of problems: each with its status, who must act, and what helps.

use http::StatusCode;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $code:literal, $status:ident, $source:literal, $retry:literal, $title:literal;)+) => {
        /// Every problem the API can answer with.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ProblemCode {
            $($(#[doc = $doc])* $name,)+
        }

        impl ProblemCode {
            /// Every code, in the order of the catalogue.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Stable machine-readable code.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// HTTP status.
            #[must_use]
            pub fn status(self) -> StatusCode {
                match self { $(Self::$name => StatusCode::$status,)+ }
            }

            /// Who must act: `client`, `gateway`, `institution` or `psu`.
            #[must_use]
            pub fn source(self) -> &'static str {
                match self { $(Self::$name => $source,)+ }
            }

            /// Whether the same request may succeed later.
            #[must_use]
            pub fn retryable(self) -> bool {
                match self { $(Self::$name => $retry,)+ }
            }

            /// Short text, the same for every occurrence.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)+ }
            }

            /// What it means and what helps.
            #[must_use]
            pub fn documentation(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc,)+),)+ }
            }
        }
    };
}

codes! {
    /// The body is not JSON, or is nested deeper than 64 levels.
    MalformedJson = "request.malformed_json", BAD_REQUEST, "client", false, "The body is not JSON";
    /// The body is declared as XML and is no pain.001 message that is read here.
    MalformedXml = "request.malformed_xml", BAD_REQUEST, "client", false, "The body is not a message of the kind that is wanted";
    /// The body is larger than this operation takes.
    BodyTooLarge = "request.body_too_large", PAYLOAD_TOO_LARGE, "client", false, "The body is too large";
    /// The body did not arrive in time; the connection is closed.
    BodyTimedOut = "request.body_timeout", REQUEST_TIMEOUT, "client", true, "The body took too long";
    /// The body is not declared as application/json, or is compressed.
    MediaType = "request.media_type", UNSUPPORTED_MEDIA_TYPE, "client", false, "The body must be application/json";
    /// Fields are missing, unknown or wrong; `errors` names each.
    Invalid = "request.invalid", UNPROCESSABLE_ENTITY, "client", false, "The request is invalid";
    /// A query parameter is unknown, repeated or wrong.
    Query = "request.query", BAD_REQUEST, "client", false, "A query parameter is wrong";
    /// The request looks like an attack on this service. If it is none, tell the operator its
    /// `X-Request-Id`.
    Suspicious = "request.suspicious", FORBIDDEN, "client", false, "The request was refused";
    /// There is too much in the request to be looked at; send less at a time.
    Effort = "request.effort", PAYLOAD_TOO_LARGE, "client", false, "The request holds too much";
    /// The cursor was changed, or belongs to other parameters.
    CursorInvalid = "request.cursor", BAD_REQUEST, "client", false, "The cursor does not fit the request";
    /// What the cursor stands for is not kept any more; begin anew without one.
    CursorGone = "request.cursor_gone", GONE, "client", false, "The cursor is too old";
    /// A header is missing, repeated or wrong.
    Header = "request.header", BAD_REQUEST, "client", false, "A header is wrong";
    /// The path is not spelled plainly (encoded slashes, dot segments, …).
    Path = "request.path", BAD_REQUEST, "client", false, "The path is not spelled plainly";
    /// There is no such path.
    PathUnknown = "request.path_unknown", NOT_FOUND, "client", false, "There is no such path";
    /// The path exists, the method does not.
    MethodUnknown = "request.method", METHOD_NOT_ALLOWED, "client", false, "The path does not have this method";
    /// There is no such resource for this client.
    NotFound = "resource.not_found", NOT_FOUND, "client", false, "There is no such resource";
    /// No access token in the Authorization header.
    TokenMissing = "auth.token_missing", UNAUTHORIZED, "client", false, "An access token is needed";
    /// The token is unknown, expired or revoked.
    TokenInvalid = "auth.token_invalid", UNAUTHORIZED, "client", false, "The access token is not valid";
    /// The connection shows no client certificate.
    CertificateMissing = "auth.certificate_missing", UNAUTHORIZED, "client", false, "A client certificate is needed";
    /// The client certificate chains to no authority trusted here.
    CertificateUntrusted = "auth.certificate_untrusted", UNAUTHORIZED, "client", false, "The client certificate is not trusted";
    /// The client certificate has expired or is not valid yet.
    CertificateOutOfDate = "auth.certificate_out_of_date", UNAUTHORIZED, "client", false, "The client certificate is out of date";
    /// The client certificate, or one of an authority above it, was revoked.
    CertificateRevoked = "auth.certificate_revoked", UNAUTHORIZED, "client", false, "The client certificate is revoked";
    /// The client certificate is not by the rules of the scheme that this gateway asks for: it
    /// is no QWAC (ETSI TS 119 495), or none of Open Banking's. `errors` says what is wrong.
    CertificateUnfit = "auth.certificate_unfit", UNAUTHORIZED, "client", false, "The client certificate is unfit for PSD2";
    /// Nobody could be asked whether the client certificate is revoked, and
    /// this gateway takes none without knowing.
    RevocationUnknown = "auth.revocation_unknown", UNAUTHORIZED, "gateway", true, "Whether the client certificate is revoked is not known";
    /// The token is bound to another certificate (RFC 8705).
    CertificateMismatch = "auth.certificate_mismatch", UNAUTHORIZED, "client", false, "The token belongs to another certificate";
    /// The DPoP proof is missing, is not about this request, is not by the
    /// token's key, or was used before (RFC 9449 §4.3).
    ProofInvalid = "auth.dpop_proof", UNAUTHORIZED, "client", false, "The DPoP proof is not valid";
    /// The DPoP proof needs the nonce of this answer's DPoP-Nonce (RFC 9449 §9).
    ProofNonce = "auth.dpop_nonce", UNAUTHORIZED, "client", true, "The DPoP proof needs a nonce";
    /// The token lacks the scope.
    ScopeMissing = "auth.scope", FORBIDDEN, "client", false, "The token lacks the scope";
    /// The token was granted for other consents.
    ConsentNotGranted = "auth.consent", FORBIDDEN, "client", false, "The token does not carry the consent";
    /// The consent has ended, or the PSU has not given it yet.
    ConsentNotInForce = "consent.not_in_force", FORBIDDEN, "psu", false, "The consent is not in force";
    /// The consent lacks the permission.
    ConsentScope = "consent.scope", FORBIDDEN, "client", false, "The consent does not allow this";
    /// The consent's life has no such step.
    ConsentState = "consent.state", CONFLICT, "client", false, "The consent cannot do this now";
    /// The TPP has not confirmed in time that the PSU wants to go on; do it, and reads go on.
    ReconfirmationDue = "consent.reconfirmation_due", FORBIDDEN, "client", false, "The consent must be confirmed again";
    /// Nobody has to confirm consents again in the institution's country.
    NothingToReconfirm = "consent.nothing_to_reconfirm", CONFLICT, "client", false, "The consent needs no confirmation";
    /// Transactions that old are given only while the PSU is present (RTS art. 10).
    HistoryNeedsPsu = "consent.history_needs_psu", FORBIDDEN, "psu", false, "Transactions that old need the customer";
    /// The consent was given by another person than the one who is here.
    OtherPsu = "consent.other_person", FORBIDDEN, "psu", false, "The consent is another person's";
    /// The payment's life has no such step.
    PaymentState = "payment.state", CONFLICT, "client", false, "The payment cannot do this now";
    /// Nobody knows where the payment was paid from, or it is of a kind that is not refunded.
    RefundUnavailable = "refund.unavailable", UNPROCESSABLE_ENTITY, "institution", false, "The payment cannot be refunded";
    /// With what is refunded of the payment already, the refund would be more than was paid.
    RefundExceeds = "refund.exceeds", UNPROCESSABLE_ENTITY, "client", false, "The refund is more than is left";
    /// The token was granted for a payment of another amount or payee
    /// (dynamic linking, RTS art. 5).
    PaymentNotGranted = "payment.not_granted", FORBIDDEN, "client", false, "The PSU approved another payment";
    /// The operator of the gateway does not let the client pay that much, or that payee.
    PaymentPolicy = "policy.refused", FORBIDDEN, "client", false, "You may not pay this";
    /// A rule of the operator's own forbids it; `errors` names it.
    PolicyDenied = "policy.denied", FORBIDDEN, "client", false, "A rule of the operator's forbids this";
    /// The client has ordered as much today as the operator of the gateway lets it; it may
    /// order on once the next day begins.
    PaymentDayUsedUp = "policy.day_used_up", UNPROCESSABLE_ENTITY, "client", true, "You have less left today";
    /// The mandate has ended, or the PSU has not given it yet. Nothing was paid.
    MandateState = "mandate.not_in_force", FORBIDDEN, "psu", false, "The mandate is not in force";
    /// The payment is more than the mandate allows in one, in another currency, or
    /// outside of the mandate's time. Nothing was paid.
    MandateBreach = "mandate.breach", UNPROCESSABLE_ENTITY, "client", false, "The payment does not fit the mandate";
    /// The payment is more than a period of the mandate has left. Nothing was paid;
    /// less may fit, or the same once the next period begins.
    MandateUsedUp = "mandate.used_up", UNPROCESSABLE_ENTITY, "client", true, "The mandate has less left in this period";
    /// The token was granted for a mandate of other limits or another payee.
    MandateNotGranted = "mandate.not_granted", FORBIDDEN, "client", false, "The PSU approved another mandate";
    /// What came from the bank does not belong to this browser or bank.
    CallbackMismatch = "callback.mismatch", BAD_REQUEST, "psu", false, "This answer from the bank does not belong here";
    /// What came from the bank was used before or came too late.
    CallbackSpent = "callback.spent", BAD_REQUEST, "psu", false, "This answer from the bank was used before";
    /// The link to the authorization endpoint lacks a parameter or repeats one.
    AuthorizationLink = "authorization.link", BAD_REQUEST, "client", false, "The link to this page is not complete";
    /// The pushed request is unknown, was answered before, or is too old.
    RequestUri = "authorization.request_uri", BAD_REQUEST, "client", false, "The request is not valid any more";
    /// The PSU took too long, or the session never was.
    SessionOver = "session.over", BAD_REQUEST, "psu", false, "The session is over";
    /// The step was taken before.
    SessionSpent = "session.spent", BAD_REQUEST, "psu", false, "The step was taken before";
    /// Another browser began the session.
    SessionBrowser = "session.browser", BAD_REQUEST, "psu", false, "Another browser began this";
    /// The Idempotency-Key header is missing.
    KeyMissing = "idempotency.missing", BAD_REQUEST, "client", false, "An Idempotency-Key is needed";
    /// The Idempotency-Key is longer than 255 characters or not printable ASCII.
    KeyInvalid = "idempotency.invalid", BAD_REQUEST, "client", false, "The Idempotency-Key is not usable";
    /// A request with this key is being worked on.
    KeyInFlight = "idempotency.in_flight", CONFLICT, "client", true, "A request with this key is being worked on";
    /// The key was used with another body.
    KeyReused = "idempotency.reused", UNPROCESSABLE_ENTITY, "client", false, "The key was used for another request";
    /// No institution has this id.
    InstitutionUnknown = "institution.unknown", UNPROCESSABLE_ENTITY, "client", false, "The institution is not known";
    /// The institution is not set up here, or cannot do this.
    InstitutionUnsupported = "institution.unsupported", UNPROCESSABLE_ENTITY, "client", false, "The institution cannot do this here";
    /// The bank cannot be reached.
    BankUnavailable = "institution.unavailable", BAD_GATEWAY, "institution", true, "The bank cannot be reached";
    /// The bank did not answer in time.
    BankTimeout = "institution.timeout", GATEWAY_TIMEOUT, "institution", true, "The bank did not answer in time";
    /// The bank failed.
    BankFailed = "institution.failed", BAD_GATEWAY, "institution", true, "The bank failed";
    /// The bank's answer cannot be read.
    BankMalformed = "institution.malformed", BAD_GATEWAY, "institution", true, "The bank's answer cannot be read";
    /// The bank's answer is about something else than was ordered.
    BankMismatch = "institution.mismatch", BAD_GATEWAY, "institution", false, "The bank answered about something else";
    /// The bank limits how often it may be asked.
    BankThrottled = "institution.throttled", SERVICE_UNAVAILABLE, "institution", true, "The bank limits requests";
    /// The day's accesses without the PSU are used up (RTS art. 36(5)(b)).
    UnattendedUsedUp = "institution.unattended_used_up", TOO_MANY_REQUESTS, "institution", true, "The day's accesses without the customer are used up";
    /// The bank refuses us: certificate, registration or signature.
    BankRefusesUs = "institution.configuration", BAD_GATEWAY, "gateway", false, "The bank refuses the gateway";
    /// The bank refused the request.
    BankRefused = "institution.refused", UNPROCESSABLE_ENTITY, "institution", false, "The bank refused the request";
    /// The PSU did not complete the authentication at the bank.
    BankAuthentication = "institution.authentication", FORBIDDEN, "psu", false, "The customer was not authenticated";
    /// None of the banks of this token answered; `errors` names each.
    AllBanksFailed = "institution.all_failed", BAD_GATEWAY, "institution", true, "None of the banks answered";
    /// Personal data of that region is not held by this installation.
    RegionNotHeld = "region.not_held", UNPROCESSABLE_ENTITY, "client", false, "That region is not held here";
    /// The home of that region's personal data cannot be reached, or does not answer; other regions
    /// are not affected.
    HomeUnavailable = "region.home_unavailable", SERVICE_UNAVAILABLE, "gateway", true, "The home of that region cannot be reached";
    /// Data of that region is not given across its border; ask at its home.
    RegionDenied = "region.denied", FORBIDDEN, "client", false, "That region's data is not given from here";
    /// The request speaks of regions with different homes; send one for each.
    SeveralHomes = "region.several", UNPROCESSABLE_ENTITY, "client", false, "One request is about one home";
    /// The home of that region does not take what this gateway forwards.
    ForwardingRefused = "region.forwarding_refused", BAD_GATEWAY, "gateway", false, "The home of that region refuses this gateway";
    /// The webhook address or an event type is refused.
    WebhookRefused = "webhook.refused", UNPROCESSABLE_ENTITY, "client", false, "The webhook is refused";
    /// The webhook endpoint did not say the challenge back that it was sent; `detail` says
    /// what came instead.
    WebhookChallenge = "webhook.challenge", UNPROCESSABLE_ENTITY, "client", true, "The webhook endpoint did not answer its challenge";
    /// The webhook endpoint is switched off, or has not answered its challenge.
    WebhookStatus = "webhook.not_enabled", CONFLICT, "client", false, "The webhook endpoint is not enabled";
    /// The consent's calls without the PSU of this day are used up (RTS art. 36(5)(b)); the bank was not asked.
    UnattendedQuota = "quota.unattended", TOO_MANY_REQUESTS, "client", true, "The day's calls without the customer are used up";
    /// The client's verifications of payees of this day are used up; the bank was not asked.
    PayeeQuota = "quota.payee_verifications", TOO_MANY_REQUESTS, "client", true, "The day's verifications of payees are used up";
    /// There is more to do than can be done in time. Nothing was done of this; come back.
    Overloaded = "gateway.overloaded", SERVICE_UNAVAILABLE, "gateway", true, "There is too much to do";
    /// More requests came than a policy lets through; `violated-policies` names it and `GET /v1/limits`
    /// shows it.
    TooMany = "quota.exceeded", TOO_MANY_REQUESTS, "client", true, "Too many requests";
    /// The gateway is busy.
    Busy = "gateway.busy", SERVICE_UNAVAILABLE, "gateway", true, "The gateway is busy";
    /// The gateway did not answer in time.
    TimedOut = "gateway.timeout", SERVICE_UNAVAILABLE, "gateway", true, "The gateway did not answer in time";
    /// The database did not say whether it kept what was asked for. Look at the resource, or send the
    /// request again with its Idempotency-Key: what was done is not done twice.
    OutcomeUnknown = "gateway.outcome_unknown", SERVICE_UNAVAILABLE, "gateway", true, "It is not known whether it was done";
    /// Something failed here that should not.
    Internal = "gateway.internal", INTERNAL_SERVER_ERROR, "gateway", true, "Something failed here";
}
