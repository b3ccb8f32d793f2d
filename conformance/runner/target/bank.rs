//! A bank as the target: its dialect, its addresses, and what it wants signed.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

/// The standard by which a bank is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// UK Open Banking Read/Write.
    #[default]
    UkOpenBanking,
    /// Berlin Group NextGenPSD2.
    BerlinGroup,
    /// STET PSD2 API.
    Stet,
    /// PolishAPI.
    PolishApi,
}

/// How customers of a Berlin Group bank approve (NextGenPSD2 Implementation Guidelines §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Approach {
    /// On the bank's pages.
    #[default]
    Redirect,
    /// In the bank's app.
    Decoupled,
    /// Through us: password and code pass on to the bank.
    Embedded,
}

/// By what a Berlin Group bank has requests signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signing {
    /// `Digest` and `Signature` of draft-cavage-http-signatures-12.
    #[default]
    Cavage,
    /// `Content-Digest`, `Signature-Input` and `Signature` (RFC 9421).
    Rfc9421,
}

/// A test customer of the bank, where the person approves elsewhere than on its pages.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// `PSU-ID`.
    pub id: String,
    /// What is typed as the password, where it passes through us.
    #[serde(default)]
    pub password: String,
    /// What is typed as the code of every method.
    #[serde(default)]
    pub code: String,
}

impl std::fmt::Debug for Customer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Customer").finish_non_exhaustive()
    }
}

/// A bank, as its documentation describes it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BankConfiguration {
    /// The standard.
    pub dialect: Dialect,
    /// Base address of account information, and of all that has no address of its own.
    #[serde(default)]
    pub accounts: Option<Url>,
    /// Base address of payments.
    #[serde(default)]
    pub payments: Option<Url>,
    /// Base address of confirmation of funds.
    #[serde(default)]
    pub funds: Option<Url>,
    /// Base address of variable recurring payments.
    #[serde(default)]
    pub recurring: Option<Url>,
    /// The name of the certificate whose key signs requests (QSealC).
    #[serde(default)]
    pub seal: Option<String>,
    /// What that key is called in our key set.
    #[serde(default)]
    pub kid: Option<String>,
    /// The trust anchor that signatures name (`http://openbanking.org.uk/tan`).
    #[serde(default)]
    pub tan: Option<String>,
    /// Who signs (`http://openbanking.org.uk/iss`), in the place of the client identifier.
    #[serde(default)]
    pub iss: Option<String>,
    /// Where the certificate can be fetched: `keyId` of STET.
    #[serde(default)]
    pub seal_url: Option<String>,
    /// Key set with the keys that sign answers, in the place of `jwks_uri` of the metadata.
    #[serde(default)]
    pub answer_keys: Option<Url>,
    /// The same as a file, where the bank publishes no key set.
    #[serde(default)]
    pub answer_key_file: Option<PathBuf>,
    /// How its customers approve. Berlin Group only.
    #[serde(default)]
    pub sca: Approach,
    /// By what requests are signed. Berlin Group only.
    #[serde(default)]
    pub signing: Signing,
    /// What signatures of RFC 9421 are tagged as (`tag`, §2.3), where the bank wants that.
    #[serde(default)]
    pub signature_tag: Option<String>,
    /// Who approves, where that is not on its pages.
    #[serde(default)]
    pub customer: Option<Customer>,
    /// Paths of what the bank offers beyond what it must; cases have it as `needs`.
    #[serde(default)]
    pub endpoints: Vec<String>,
    /// One authorisation does for all cases that only read with the same permissions: for banks whose
    /// customer is a person who is asked each time.
    #[serde(default)]
    pub share_consents: bool,
    /// A folder with the official OpenAPI files, against which answers are judged.
    #[serde(default)]
    pub specs: Option<PathBuf>,
    /// A folder with official manifests, which are played beside our own cases.
    #[serde(default)]
    pub manifests: Option<PathBuf>,
}

impl BankConfiguration {
    /// The base address of an API: `accounts`, `payments`, `funds` or `recurring`.
    #[must_use]
    pub fn base(&self, api: &str) -> Option<&str> {
        let own = match api {
            "payments" => &self.payments,
            "funds" => &self.funds,
            "recurring" => &self.recurring,
            _ => &self.accounts,
        };
        let url = own.as_ref().or(self.accounts.as_ref())?;
        Some(url.as_str().trim_end_matches('/'))
    }

    /// Whether an API speaks the words of version 4 of the UK standard.
    #[must_use]
    pub fn is_v4(&self, api: &str) -> bool {
        self.base(api).is_some_and(|base| base.contains("/v4"))
    }

    pub(super) fn beside(&mut self, folder: &Path) {
        for path in [&mut self.specs, &mut self.manifests, &mut self.answer_key_file].into_iter().flatten() {
            *path = folder.join(&path);
        }
    }
}

/// How clients are registered (RFC 7591; UK DCR 3.3).
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RegistrationConfiguration {
    /// The media type of a registration that the client signs: without it, plain JSON is sent.
    #[serde(default)]
    pub media: Option<String>,
    /// Plain JSON is taken, too, and managed by RFC 7592.
    #[serde(default)]
    pub plain: bool,
    /// Who a signed registration is for: the issuer if nothing else is said.
    #[serde(default)]
    pub audience: Option<String>,
    /// The key of a test directory (PEM), which signs statements as the cases want them.
    #[serde(default)]
    pub directory_key: Option<PathBuf>,
    /// What that key is called.
    #[serde(default)]
    pub directory_kid: Option<String>,
    /// The claims of a statement; `iat` is added.
    #[serde(default)]
    pub statement: serde_json::Map<String, Value>,
    /// The metadata that is registered.
    #[serde(default)]
    pub metadata: serde_json::Map<String, Value>,
    /// Registrations are managed with a token of the client's own, and not with one that came with
    /// the registration (UK DCR 3.3 §4.2).
    #[serde(default)]
    pub managed_by_own_token: bool,
}

impl RegistrationConfiguration {
    pub(super) fn beside(&mut self, folder: &Path) {
        if let Some(path) = &mut self.directory_key {
            *path = folder.join(&path);
        }
    }
}
