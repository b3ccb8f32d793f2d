//! Embedded authentication: what the bank wants to know of the PSU goes to it
//! through our pages, one request a step.

use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

use super::CallContext;
use crate::{BankError, BankRequest, BankResponse};

/// An embedded authentication and what the bank wants next.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddedSca {
    /// Where the next request goes, made from the bank's identifiers.
    pub place: Url,
    /// Whether the bank has begun; if not, the next request begins.
    pub started: bool,
    /// What the bank wants next.
    pub step: EmbeddedStep,
}

impl EmbeddedSca {
    /// The same with another step.
    #[must_use]
    pub fn then(&self, step: EmbeddedStep) -> Self {
        Self { step, ..self.clone() }
    }
}

/// What a bank wants next, or what came of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EmbeddedStep {
    /// The name by which the bank knows the PSU.
    Identify,
    /// The PSU's password.
    Password,
    /// A second password of the PSU's, after the first.
    SecondPassword,
    /// One of these methods.
    Choose(Vec<ScaMethod>),
    /// The code that answers this.
    Answer(Box<Challenge>),
    /// Nothing from us: the PSU confirms in the bank's app, to whom this is to be
    /// said meanwhile.
    Wait(Option<String>),
    /// The PSU is authenticated, or need not be.
    Done,
    /// The PSU is not, for good.
    Failed,
}

/// A method that the PSU has at the bank.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScaMethod {
    /// What the bank calls it.
    pub id: String,
    /// What it is.
    pub kind: ScaMethodKind,
    /// Its name as the PSU or the bank gave it.
    pub name: Option<String>,
    /// What the bank says about it.
    pub explanation: Option<String>,
}

/// What a method is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScaMethodKind {
    /// A code by text message.
    Sms,
    /// A code from a card and its reader.
    Chip,
    /// A code from a picture.
    Photo,
    /// A code in the bank's app.
    Push,
    /// A code by mail.
    Mail,
    /// What the bank's own words say.
    Other,
}

/// What a code answers.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The method, where the bank says it.
    pub method: Option<ScaMethod>,
    /// What the bank wants the PSU told.
    pub words: Vec<String>,
    /// What the PSU types into the device that makes the code, in this order. What a reader
    /// would see flicker is here as text.
    pub data: Vec<String>,
    /// The picture to scan: a PNG in Base64.
    pub image: Option<String>,
    /// Where the picture is, if it does not come along
    /// ([`EmbeddedAuthentication::image`]).
    pub image_link: Option<Url>,
    /// The code has digits only.
    pub digits: bool,
    /// Most characters of the code.
    pub max_length: Option<u16>,
}

/// What the PSU gives the bank.
pub enum PsuInput {
    /// The PSU's name at the bank.
    Identification(String),
    /// The password.
    Password(SecretString),
    /// The second password.
    SecondPassword(SecretString),
    /// The method with this identifier.
    Method(String),
    /// The code.
    Code(SecretString),
}

/// Embedded authentication in one standard.
pub trait EmbeddedAuthentication: Send + Sync {
    /// Gives the bank what it wants.
    ///
    /// # Errors
    ///
    /// `malformed-response` if the place is none of the bank's.
    fn give(
        &self,
        cx: &CallContext<'_>,
        sca: &EmbeddedSca,
        input: &PsuInput,
    ) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`EmbeddedAuthentication::give`].
    ///
    /// # Errors
    ///
    /// `psu-auth-failed` if what was given is wrong, and the PSU may try again
    /// unless [`EmbeddedAuthentication::progress`] says otherwise; else the bank's
    /// error, or `malformed-response`.
    fn given(
        &self,
        cx: &CallContext<'_>,
        sca: &EmbeddedSca,
        response: &BankResponse,
    ) -> Result<EmbeddedSca, BankError>;

    /// Asks how it stands; none if the bank has not begun.
    ///
    /// # Errors
    ///
    /// `malformed-response` if the place is none of the bank's.
    fn progress(&self, cx: &CallContext<'_>, sca: &EmbeddedSca) -> Option<Result<BankRequest, BankError>>;

    /// Reads the answer to [`EmbeddedAuthentication::progress`]: the end it has come
    /// to, none while it is open.
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn progress_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Option<EmbeddedStep>, BankError>;

    /// Asks for the picture of a challenge. We fetch it and not the PSU's browser,
    /// of which the bank is to learn no more than we tell.
    ///
    /// # Errors
    ///
    /// `malformed-response` if the link leads away from the bank.
    fn image(&self, cx: &CallContext<'_>, link: &Url) -> Result<BankRequest, BankError>;

    /// Reads the answer to [`EmbeddedAuthentication::image`]: a PNG in Base64.
    ///
    /// # Errors
    ///
    /// The bank's error, or `malformed-response`.
    fn image_read(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<String, BankError>;
}
