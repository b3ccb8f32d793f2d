//! A bank's profile: all that is particular about one brand, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crypto::OrganizationIdSpelling;
use domain::{Approach, Capability, Country, InstitutionId, PaymentScheme, Region, Timestamp};
use secrecy::SecretString;
use url::Url;

use crate::bank_oauth::Role;
use crate::{
    BankError, BerlinGroupOptions, Mapping, Notifications, PayeeOptions, PaymentConstraints, ProfileTest,
    Quirk, QuirkName, Quirks, UkOpenBankingOptions,
};

/// What the dialect of a plugin begins with; its name follows.
pub const PLUGIN: &str = "plugin:";

/// Whether a plugin may be called so: at most 63 lower-case letters, digits and
/// hyphens, of which a hyphen is not the first.
#[must_use]
pub fn is_plugin_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(plain)
}

/// Whether a profile reaches real money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Environment {
    /// Real customers.
    Live,
    /// A bank's test system, or one of our own model banks.
    Sandbox,
}

impl Environment {
    /// The word used in profiles and in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Sandbox => "sandbox",
        }
    }
}

/// How we authenticate as OAuth client of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// By our TLS certificate (RFC 8705 `tls_client_auth`).
    TlsClientAuth,
    /// By a signed assertion (RFC 7523), audience the bank's issuer.
    PrivateKeyJwt,
}

/// What the bank wants signed with our seal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signing {
    /// Nothing.
    None,
    /// Detached JWS (UK Open Banking).
    DetachedJws {
        /// `http://openbanking.org.uk/iss`; `None` takes the transport's own.
        iss: Option<String>,
        /// `http://openbanking.org.uk/tan`: DNS name of the trust anchor.
        tan: String,
        /// The bank signs what it answers about payments, and nothing else is believed.
        verify_answers: bool,
    },
    /// `Digest` and `Signature` headers (Berlin Group).
    DigestSignature,
    /// `Digest` and `Signature` headers that cover the request's target (STET).
    DigestSignatureByUrl {
        /// Address of our QSealC, in which `{sha256}` stands for the fingerprint
        /// of the certificate: SHA-256, lower-case hexadecimal.
        key_url: String,
    },
    /// `Content-Digest`, `Signature-Input` and `Signature` (RFC 9421, RFC 9530).
    MessageSignature {
        /// Name of our key, in which `{sha256}` stands for the fingerprint of the
        /// certificate; `None` is the name that the Berlin Group gives it.
        key_id: Option<String>,
        /// What the signature is for (RFC 9421 §2.3 `tag`).
        tag: Option<String>,
    },
    /// Detached JWS over every body (PolishAPI).
    BodyJws,
}

/// A way of strong customer authentication the bank offers, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaFlow {
    /// The browser goes to a link of the bank's.
    Redirect,
    /// The browser goes through the bank's OAuth server.
    OAuth,
    /// The PSU confirms in the bank's app.
    Decoupled,
    /// The PSU's password and codes go to the bank through our pages.
    Embedded,
}

/// Where the bank's OAuth server is. Endpoints that are `None` are read from
/// its metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// Issuer identifier, compared character by character with the metadata.
    pub issuer: Option<String>,
    /// Address of the metadata, where it is not at the place RFC 8414 or OpenID Connect names.
    pub metadata_url: Option<Url>,
    /// Authorization endpoint, where it overrides the metadata.
    pub authorization_endpoint: Option<Url>,
    /// Token endpoint, where it overrides the metadata.
    pub token_endpoint: Option<Url>,
    /// Pushed authorization request endpoint (RFC 9126), where it overrides the metadata.
    pub pushed_authorization_request_endpoint: Option<Url>,
    /// JWK set, where it overrides the metadata.
    pub jwks_uri: Option<Url>,
    /// Registration endpoint (RFC 7591), where it overrides the metadata.
    pub registration_endpoint: Option<Url>,
    /// The bank wants a signed request object (RFC 9101).
    pub signed_request_object: bool,
    /// The bank takes pushed requests; otherwise the request goes through the browser.
    pub pushed_requests: bool,
    /// `response_type` to ask for: `code` or `code id_token`.
    pub response_type: ResponseType,
}

/// What the authorization endpoint is asked to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ResponseType {
    /// `code`, in the query.
    #[default]
    Code,
    /// `code id_token`, in the fragment (FAPI 1 hybrid).
    CodeIdToken,
}

impl ResponseType {
    /// The value of the parameter.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::CodeIdToken => "code id_token",
        }
    }
}

/// What we may ask of one bank at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Time for one call, from the first byte sent to the last received.
    pub deadline: Duration,
    /// Calls at the same time.
    pub max_in_flight: usize,
    /// Calls that may wait for one of those places.
    pub max_waiting: usize,
    /// Bytes of an answer's body.
    pub max_body: usize,
    /// Times that a read is repeated where the bank cannot be reached.
    pub retries: u8,
    /// After how long a read is asked a second time beside the first; never, if `None`.
    pub hedge_after: Option<Duration>,
    /// How long a bank that is down is left alone before a call tries it again.
    pub open_for: Duration,
}

impl Default for Limits {
    /// 30 s, 20 calls, 20 waiting, 8 MiB, two repeats, no second question, 30 s of rest.
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(30),
            max_in_flight: 20,
            max_waiting: 20,
            max_body: 8 * 1024 * 1024,
            retries: 2,
            hedge_after: None,
            open_for: Duration::from_secs(30),
        }
    }
}

/// Where one API of a bank is, and in which version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiBase {
    /// Base address, version included, without a closing slash
    /// (`https://api.bank.example/open-banking/v4.0/aisp`, `https://xs2a.bank.example/v1`).
    pub url: Url,
    /// Version of the standard: `3.1`, `4.0`, `1.3`.
    pub version: String,
}

impl ApiBase {
    /// Whether an identifier of the bank's can be a segment of an address: at most
    /// 512 bytes, printable and without spaces, and no step to another place.
    #[must_use]
    pub fn is_segment(id: &str) -> bool {
        let fits = (1..=512).contains(&id.len());
        fits && id != "." && id != ".." && id.chars().all(|c| !c.is_control() && !c.is_whitespace())
    }

    /// An address below the base; every segment is percent-encoded, so that an
    /// identifier of the bank's cannot leave its place.
    #[must_use]
    pub fn join(&self, segments: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url.set_query(None);
        url.set_fragment(None);
        url
    }
}

/// A user of a sandbox bank, told to developers.
#[derive(Clone, Debug)]
pub struct SandboxUser {
    /// Login name.
    pub username: String,
    /// Password; never a real one.
    pub password: SecretString,
    /// Code that the bank takes from this user, where it takes the same every time.
    pub code: Option<SecretString>,
    /// What this user shows ("has two accounts", "refuses").
    pub purpose: String,
}

/// Older data that a bank gives right after the PSU has authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshHistory {
    /// For so long, minutes, from the lodging of the consent.
    pub minutes: u16,
    /// Oldest data then, days.
    pub days: u16,
}

/// How a bank counts accesses without the PSU (RTS art. 36(5)(b)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnattendedCounting {
    /// Every call under a consent is one, whatever it asks for: the strictest reading.
    #[default]
    Together,
    /// Each kind of data of each account apart.
    Apart,
    /// All calls in so many minutes are one; such parts of the day begin at midnight, UTC.
    Slots(u16),
    /// Not at all: bank, TPP and PSU have agreed on more.
    Unlimited,
}

/// One brand of a bank, resolved: group defaults and brand overrides merged.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Our name of the brand.
    pub id: InstitutionId,
    /// The bank's name as customers know it.
    pub name: String,
    /// The group whose systems serve the brand.
    pub brand_group: String,
    /// Countries of the brand's customers; the first is the home country.
    pub countries: Vec<Country>,
    /// BICs (ISO 9362), 8 or 11 characters.
    pub bics: Vec<String>,
    /// Home region of all personal data from this bank.
    pub region: Region,
    /// Live or sandbox.
    pub environment: Environment,
    /// Name of the dialect: `uk-open-banking`, `berlin-group`, `stet`, `polish-api`, or
    /// `plugin:NAME` for a plugin.
    pub dialect: String,
    /// Account information: what stands before `/accounts` and `/consents`.
    pub accounts_api: Option<ApiBase>,
    /// Payment initiation: what stands before `/payments` and `/domestic-payments`.
    pub payments_api: Option<ApiBase>,
    /// Where confirmation of funds is.
    pub funds_api: Option<ApiBase>,
    /// How payees are verified there.
    pub payees: PayeeOptions,
    /// What the national numbers of its accounts begin with: bank codes, in the UK sort codes.
    pub bank_codes: Vec<String>,
    /// The bank's OAuth server; `None` where the bank uses none.
    pub authorization_server: Option<AuthorizationServer>,
    /// Our client identifier at the bank; `None` until we are registered.
    pub client_id: Option<String>,
    /// Our client identifiers for services that have one of their own.
    pub client_ids: BTreeMap<Role, String>,
    /// How we authenticate there.
    pub client_auth: ClientAuth,
    /// `x-fapi-financial-id`, or what a registration needs; `None` until the deployment gives it.
    pub financial_id: Option<String>,
    /// What is signed.
    pub signing: Signing,
    /// Ways of authentication, the preferred one first.
    pub sca: Vec<ScaFlow>,
    /// The bank needs the PSU's identifier before authentication.
    pub psu_id_required: bool,
    /// What the bank can do.
    pub capabilities: BTreeSet<Capability>,
    /// Rails of its payments.
    pub payment_schemes: Vec<PaymentScheme>,
    /// What it wants of payments beyond their standard.
    pub payment_constraints: PaymentConstraints,
    /// Longest life of a consent, days; `None` is without end.
    pub max_consent_days: Option<u16>,
    /// Oldest data it gives, days.
    pub max_history_days: u16,
    /// Older data that it gives for a while after authentication.
    pub fresh_history: Option<FreshHistory>,
    /// Most days of transactions that one question may ask for, both ends counted; `None`: any.
    pub max_days_per_query: Option<u16>,
    /// How accesses without the PSU count.
    pub unattended: UnattendedCounting,
    /// Budgets.
    pub limits: Limits,
    /// Permissions in the standard's words that the bank refuses a consent for.
    pub refused_permissions: Vec<String>,
    /// Deviations from its standard.
    pub quirks: Quirks,
    /// Quirks that weaken a check and are accepted, each with the reason.
    pub allow_weaker: BTreeMap<QuirkName, String>,
    /// What the Berlin Group standard leaves open, as this bank has it.
    pub berlin_group: BerlinGroupOptions,
    /// The same of the UK Open Banking standard.
    pub uk_open_banking: UkOpenBankingOptions,
    /// Rules for what names cannot say.
    pub mapping: Mapping,
    /// Tests that it brings with it.
    pub tests: Vec<ProfileTest>,
    /// Hosts besides those of the addresses above that calls may go to; a name
    /// that starts with a dot admits every host below it.
    pub hosts: Vec<String>,
    /// Users of a sandbox.
    pub sandbox_users: Vec<SandboxUser>,
    /// What it was found to be worth: of the operator's, and in no profile file.
    pub scorecard: Option<crate::Scorecard>,
    /// Variable recurring payments: the same for their base address.
    pub recurring_api: Option<ApiBase>,
    /// How it tells us of changes; `None` where it does not.
    pub notifications: Option<Notifications>,
    /// How we become the bank's client.
    pub registration: Option<Registration>,
    /// The bank authenticates customers; false at sandboxes that only ask to confirm.
    pub customer_authentication: bool,
    /// Paths of the standard that the bank does not serve.
    pub absent_paths: Vec<String>,
    /// What the bank offers beyond its standard.
    pub extras: Vec<String>,
    /// What an operator should know.
    pub note: Option<String>,
    /// When the bank says that it will not be there.
    pub maintenance: Vec<Maintenance>,
    /// Keys that the deployment has to fill in before the bank can be called.
    pub missing: Vec<String>,
}

/// A time at which a bank says that it will not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// From then.
    pub from: Timestamp,
    /// Until then.
    pub until: Timestamp,
    /// What the bank says of it.
    pub note: Option<String>,
}

/// What a request for registration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RegistrationForm {
    /// A JWT that we sign (UK Dynamic Client Registration 3.x).
    #[default]
    Jwt,
    /// JSON (RFC 7591).
    Json,
}

/// How we become a client of a bank.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// By a request; otherwise by hand at the bank's portal.
    pub automatic: bool,
    /// Version of the registration standard.
    pub version: Option<String>,
    /// What the request is.
    pub request: RegistrationForm,
    /// How the organisation identifier (2.5.4.97) is written in the subject of
    /// our certificate.
    pub organisation_id_in_subject: OrganizationIdSpelling,
    /// A registration can be read.
    pub read: bool,
    /// A registration can be replaced.
    pub update: bool,
    /// A registration can be deleted.
    pub delete: bool,
    /// Brands with the same word share one registration.
    pub shared_as: Option<String>,
}

impl Profile {
    /// True if the bank serves this path of its standard, as `absent_paths` writes it.
    #[must_use]
    pub fn serves(&self, path: &str) -> bool {
        !self.absent_paths.iter().any(|absent| absent == path)
    }

    /// A profile with nothing but a name, strict in everything, live.
    #[must_use]
    pub fn blank(id: InstitutionId, name: impl Into<String>, region: Region, dialect: &str) -> Self {
        let name = name.into();
        Self {
            id,
            brand_group: name.clone(),
            name,
            countries: Vec::new(),
            bics: Vec::new(),
            region,
            environment: Environment::Live,
            dialect: dialect.to_owned(),
            accounts_api: None,
            payments_api: None,
            funds_api: None,
            payees: PayeeOptions::default(),
            bank_codes: Vec::new(),
            authorization_server: None,
            client_id: None,
            client_ids: BTreeMap::new(),
            client_auth: ClientAuth::TlsClientAuth,
            financial_id: None,
            signing: Signing::None,
            sca: Vec::new(),
            psu_id_required: false,
            capabilities: BTreeSet::new(),
            payment_schemes: Vec::new(),
            payment_constraints: PaymentConstraints::default(),
            max_consent_days: None,
            max_history_days: 90,
            fresh_history: None,
            max_days_per_query: None,
            unattended: UnattendedCounting::default(),
            limits: Limits::default(),
            refused_permissions: Vec::new(),
            quirks: Quirks::default(),
            allow_weaker: BTreeMap::new(),
            berlin_group: BerlinGroupOptions::default(),
            uk_open_banking: UkOpenBankingOptions::default(),
            mapping: Mapping::default(),
            tests: Vec::new(),
            hosts: Vec::new(),
            sandbox_users: Vec::new(),
            scorecard: None,
            recurring_api: None,
            notifications: None,
            registration: None,
            customer_authentication: true,
            absent_paths: Vec::new(),
            extras: Vec::new(),
            note: None,
            maintenance: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// Our client identifier at the bank for a service.
    #[must_use]
    pub fn client_of(&self, role: Role) -> Option<&str> {
        let role = match role {
            Role::Recurring => Role::Payments,
            known @ (Role::Accounts | Role::Payments | Role::Funds) => known,
        };
        self.client_ids.get(&role).or(self.client_id.as_ref()).map(String::as_str)
    }

    /// States how the bank deviates from its standard. A deviation that moves an
    /// address is written into the address itself.
    pub fn deviate(&mut self, quirks: Quirks) {
        if let Some(server) = &mut self.authorization_server {
            let address = |name, parameter| {
                let quirk: &Quirk = quirks.find(name, "discovery", "")?;
                Url::parse(quirk.text(parameter)?).ok()
            };
            if let Some(url) = address(QuirkName::MetadataElsewhere, "address") {
                server.metadata_url = Some(url);
            }
            if let Some(url) = address(QuirkName::MetadataUnpublished, "token_endpoint") {
                server.token_endpoint = Some(url);
            }
            if let Some(url) = address(QuirkName::MetadataUnpublished, "authorization_endpoint") {
                server.authorization_endpoint = Some(url);
            }
        }
        self.quirks = quirks;
    }

    /// Whether the bank's answer to an authorization request stands behind the `#` of
    /// our callback (OpenID Connect Core §3.3.2.5), where no server sees it.
    #[must_use]
    pub fn answers_in_fragment(&self) -> bool {
        let server = self.authorization_server.as_ref();
        let hybrid = server.is_some_and(|server| server.response_type == ResponseType::CodeIdToken);
        let version = self.accounts_api.as_ref().map_or("", |api| api.version.as_str());
        hybrid && self.quirks.find(QuirkName::HybridAnswerInQuery, "auth.aisp", version).is_none()
    }

    /// The plugin that speaks to the bank, where none of our dialects does.
    #[must_use]
    pub fn plugin(&self) -> Option<&str> {
        self.dialect.strip_prefix(PLUGIN)
    }

    /// The checks that are weaker when a consent to this service is given here.
    #[must_use]
    pub fn checks_relaxed(&self, role: Role) -> Vec<&'static str> {
        self.quirks.checks_relaxed(role.word(), role.version(self))
    }

    /// The approaches to authentication in the words of our API, without repeats.
    #[must_use]
    pub fn approaches(&self) -> Vec<Approach> {
        let mut approaches = Vec::new();
        for flow in &self.sca {
            let approach = match flow {
                ScaFlow::Redirect | ScaFlow::OAuth => Approach::Redirect,
                ScaFlow::Decoupled => Approach::Decoupled,
                ScaFlow::Embedded => Approach::Embedded,
            };
            if !approaches.contains(&approach) {
                approaches.push(approach);
            }
        }
        approaches
    }

    /// Address and version of account information.
    ///
    /// # Errors
    ///
    /// `profile-error` if the bank has none.
    pub fn accounts_api(&self) -> Result<&ApiBase, BankError> {
        self.accounts_api.as_ref().ok_or_else(|| BankError::profile(&self.id, "accounts_api"))
    }

    /// Address and version of payment initiation.
    ///
    /// # Errors
    ///
    /// `profile-error` if the bank has none.
    pub fn payments_api(&self) -> Result<&ApiBase, BankError> {
        self.payments_api.as_ref().ok_or_else(|| BankError::profile(&self.id, "payments_api"))
    }

    /// Address and version of confirmation of funds.
    ///
    /// # Errors
    ///
    /// `profile-error` if the bank has none.
    pub fn funds_api(&self) -> Result<&ApiBase, BankError> {
        self.funds_api.as_ref().ok_or_else(|| BankError::profile(&self.id, "funds_api"))
    }

    /// Address and version of recurring payments.
    ///
    /// # Errors
    ///
    /// `profile-error` if the bank has none.
    pub fn recurring_api(&self) -> Result<&ApiBase, BankError> {
        self.recurring_api.as_ref().ok_or_else(|| BankError::profile(&self.id, "recurring_api"))
    }

    /// Address and version of subscriptions and events.
    ///
    /// # Errors
    ///
    /// `profile-error` if the bank has none.
    pub fn events_api(&self) -> Result<&ApiBase, BankError> {
        let stated = self.notifications.as_ref().and_then(|stated| stated.events_api.as_ref());
        stated.ok_or_else(|| BankError::profile(&self.id, "notifications.events_api"))
    }

    /// Whether a call may go to this address: https, and a host and port of the
    /// profile's own. A link in an answer can never lead our certificate elsewhere.
    #[must_use]
    pub fn permits(&self, url: &Url) -> bool {
        let Some(host) = url.host_str() else { return false };
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return false;
        }
        let same = |known: &Url| {
            known.host_str() == Some(host) && known.port_or_known_default() == url.port_or_known_default()
        };
        let named = self.hosts.iter().any(|name| {
            url.port_or_known_default() == Some(443)
                && (name == host || (name.starts_with('.') && host.ends_with(name.as_str())))
        });
        let server = self.authorization_server.as_ref();
        let issuer =
            server.and_then(|server| server.issuer.as_deref()).and_then(|text| Url::parse(text).ok());
        let endpoints = server.into_iter().flat_map(|server| {
            [
                server.metadata_url.as_ref(),
                server.authorization_endpoint.as_ref(),
                server.token_endpoint.as_ref(),
                server.pushed_authorization_request_endpoint.as_ref(),
                server.jwks_uri.as_ref(),
                server.registration_endpoint.as_ref(),
            ]
        });
        named
            || issuer.as_ref().is_some_and(same)
            || [&self.accounts_api, &self.payments_api, &self.funds_api, &self.recurring_api]
                .into_iter()
                .flatten()
                .any(|api| same(&api.url))
            || self.events_api().is_ok_and(|api| same(&api.url))
            || self.berlin_group.funds_consents.as_ref().is_some_and(same)
            || self.payees.address.as_ref().is_some_and(same)
            || endpoints.flatten().any(same)
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id.as_str())
    }
}
