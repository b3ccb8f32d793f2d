//! Whether and how a bank takes clients by request (UK Dynamic Client
//! Registration 3.2), and the ways in which banks differ there.

use crypto::{Jwks, OrganizationIdSpelling};

/// How a bank registers clients.
#[derive(Clone, Debug)]
pub struct RegistrationDesk {
    /// The directories whose software statements it believes.
    pub directories: Vec<Directory>,
    /// Its own identifier in the directory: the audience of requests.
    pub financial_id: String,
    /// Where it is not as the standard says.
    pub ways: Vec<RegistrationWay>,
}

/// A directory that signs software statements.
#[derive(Clone, Debug)]
pub struct Directory {
    /// `iss` of its statements.
    pub issuer: String,
    /// Its keys.
    pub keys: Jwks,
}

/// One way in which a bank's registration is not as the standard says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationWay {
    /// Requests are `application/jose`, not `application/jwt`.
    Jose,
    /// The audience of requests is its issuer.
    AudienceIsIssuer,
    /// Refresh tokens are no grant that can be asked for.
    NoRefreshGrant,
    /// Requests must name the subject type `pairwise`.
    SubjectTypeNamed,
    /// A registration is for one service.
    PerRole,
    /// Names `organizationIdentifier` so in subjects; dotted and in hexadecimal otherwise.
    Subject(OrganizationIdSpelling),
    /// The scope of an answer is a list.
    ScopeList,
    /// These times of an answer are in milliseconds.
    Millis(&'static [&'static str]),
    /// The token that manages a registration must have this scope.
    TokenScope(&'static str),
    /// A registration is managed by a token of its own (RFC 7592), which is another
    /// one after each change.
    OwnToken,
}

impl RegistrationDesk {
    pub(crate) fn has(&self, way: RegistrationWay) -> bool {
        self.ways.contains(&way)
    }

    /// How it spells the subjects of certificates.
    pub(crate) fn spelling(&self) -> OrganizationIdSpelling {
        let spelling = |way: &RegistrationWay| {
            if let RegistrationWay::Subject(spelling) = way { Some(*spelling) } else { None }
        };
        self.ways.iter().find_map(spelling).unwrap_or_default()
    }

    pub(crate) fn millis(&self) -> &'static [&'static str] {
        let names = |way: &RegistrationWay| {
            if let RegistrationWay::Millis(names) = way { Some(*names) } else { None }
        };
        self.ways.iter().find_map(names).unwrap_or_default()
    }

    pub(crate) fn token_scope(&self) -> Option<&'static str> {
        self.ways
            .iter()
            .find_map(|way| if let RegistrationWay::TokenScope(scope) = way { Some(*scope) } else { None })
    }
}
