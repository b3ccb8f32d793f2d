//! A case: what is done, and what must come of it. Data, read from TOML.

mod edit;
mod expect;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use edit::{Edit, JwtEdit};
pub use expect::{Expect, Match, Observed, Statuses};
pub use value::{Values, random};

/// How bad it is if a case fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// The clause says that it must be so.
    #[default]
    Must,
    /// The clause says that it should be so: a warning.
    Should,
}

/// One case of a profile. Each stands for itself: it makes what it needs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it is called, in its profile and everywhere: of an official suite the name there.
    pub id: String,
    /// What must hold, in one sentence.
    pub title: String,
    /// Where that is written.
    pub clause: String,
    /// How bad it is if it does not hold.
    #[serde(default)]
    pub severity: Severity,
    /// What the target, or the configuration, must have. Otherwise the case does not apply.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Roles of the client that plays it, one after the other. A role that is not configured is left
    /// out; the case does not apply if all are.
    #[serde(default = "main_client")]
    pub clients: Vec<String>,
    /// Why it is not played at all: of another market, or in no target's power.
    #[serde(default)]
    pub left_out: Option<String>,
    /// Time is moved, or something shared is changed: nothing else may run beside it.
    #[serde(default)]
    pub alone: bool,
    /// What is done.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What is done after it, however it ended: what was broken on purpose is mended.
    #[serde(default)]
    pub finally: Vec<Step>,
}

fn main_client() -> Vec<String> {
    vec!["main".to_owned()]
}

/// What a step does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Reads the metadata of the authorization server (RFC 8414).
    Metadata,
    /// Pushes an authorization request (RFC 9126).
    Push,
    /// Sends the person's browser to the authorization endpoint.
    Authorize,
    /// Sends the person's browser to `url`, and sees where it ends.
    Browse,
    /// `push`, `authorize` and `token` as they should be.
    Login,
    /// Redeems the code, or asks with the grant of `form`.
    Token,
    /// Refreshes.
    Refresh,
    /// Asks for a token of the client's own.
    ClientCredentials,
    /// Reads the protected resource with the access token.
    Resource,
    /// Introspects a token (RFC 7662).
    Introspect,
    /// Revokes a token (RFC 7009).
    Revoke,
    /// Any request: `method`, `url`, `body`.
    Request,
    /// A request to a bank, dressed and signed as its dialect wants it.
    Call,
    /// Sends the person's browser to an address that a bank gave.
    Visit,
    /// Has a consent authorised at a bank by OAuth, and redeems the code.
    Authorise,
    /// Registers a client, with a software statement where there is one to be had.
    Register,
    /// The steps of the profile that have the name in `uses`.
    Sequence,
    /// Waits, or moves the target's time on where that can be done.
    Wait,
    /// Looks at values that are there, with `values`.
    #[default]
    Check,
    /// A check that is code: `probe`, and `with` for what it wants to know.
    Probe,
}

/// One step of a case. Which members count depends on what it does.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What it does.
    #[serde(rename = "do")]
    pub action: Action,
    /// What it is for, if that does not go without saying.
    #[serde(default)]
    pub says: Option<String>,
    /// The role of the client, in the place of the case's.
    #[serde(default)]
    pub client: Option<String>,
    /// The name of the client certificate, or `none`, or `other`, in the place of the client's.
    #[serde(default)]
    pub certificate: Option<String>,
    /// Changes to the parameters of the form, or to the query. Of a push these are the parameters of
    /// the authorization, wherever they go.
    #[serde(default)]
    pub form: Edit,
    /// Changes to what lies beside a request object.
    #[serde(default)]
    pub outer: Edit,
    /// Changes to the client assertion (RFC 7523).
    #[serde(default)]
    pub assertion: JwtEdit,
    /// Changes to the request object (RFC 9101).
    #[serde(default)]
    pub object: JwtEdit,
    /// Changes to the DPoP proof (RFC 9449).
    #[serde(default)]
    pub proof: JwtEdit,
    /// Changes to the signature of a request to a bank.
    #[serde(default)]
    pub signature: JwtEdit,
    /// Changes to the headers.
    #[serde(default)]
    pub headers: Edit,
    /// Values that are set before.
    #[serde(default)]
    pub set: BTreeMap<String, Value>,
    /// The steps of the profile that stand here.
    #[serde(default)]
    pub uses: Option<String>,
    /// What comes of them does for other cases as well, where a person is not to be asked again.
    #[serde(default)]
    pub share: bool,
    /// How many steps are left out where that is there already. Of sequences in place only.
    #[serde(skip)]
    pub skips: Option<usize>,
    /// The access token to show, or the token to ask about.
    #[serde(default)]
    pub token: Option<String>,
    /// Where the access token goes: `header`, `query` or `body`.
    #[serde(default)]
    pub token_in: Option<String>,
    /// The authorization scheme, as it is written.
    #[serde(default)]
    pub scheme: Option<String>,
    /// The endpoint of the metadata to use, in the place of the action's own.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// The method, in the place of the action's own.
    #[serde(default)]
    pub method: Option<String>,
    /// The address.
    #[serde(default)]
    pub url: Option<String>,
    /// A body of JSON.
    #[serde(default)]
    pub body: Option<Value>,
    /// A body as it is.
    #[serde(default)]
    pub text: Option<String>,
    /// The person declines.
    #[serde(default)]
    pub deny: bool,
    /// The browser goes no further than the first page.
    #[serde(default)]
    pub stop_at_page: bool,
    /// Seconds to wait.
    #[serde(default)]
    pub seconds: u64,
    /// The check that is code.
    #[serde(default)]
    pub probe: Option<String>,
    /// What the check wants to know.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    /// Values and what they must be.
    #[serde(default)]
    pub values: BTreeMap<String, Match>,
    /// What must come of it; of several, one. Without any, that the action succeeds.
    #[serde(default)]
    pub expect: Expectation,
    /// If this comes of it, the case is over and has passed.
    #[serde(default)]
    pub or_end: Option<Expect>,
    /// Values of the answer to keep, by JSON pointer; `header:NAME` is a header, `value:NAME` a value
    /// that is known, under another name.
    #[serde(default)]
    pub save: BTreeMap<String, String>,
}

/// What must come of a step.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(untagged)]
pub enum Expectation {
    /// That the action succeeds.
    #[default]
    #[serde(skip)]
    Success,
    /// This.
    One(Box<Expect>),
    /// One of these.
    Any(Vec<Expect>),
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    ///
    /// If a member is missing, unknown, or of another kind.
    pub fn read(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}
