//! Who calls: the certificate, its role, the token bound to it, and the seal.
//! What is missing has no wire shape here: each face has its own words for it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OriginalUri};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, Uri};
use crypto::http_signature::request_target;
use crypto::{Certificate, Psd2Role, QcType};

use crate::bank::{Bank, Client};
use crate::engine::Consent;
use crate::engine::book::Token;
use crate::journal::{Fact, Facts};
use crate::listen::Peer;

/// What a caller lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The client certificate is no QWAC.
    Certificate,
    /// The certificate lacks the role.
    Role,
    /// There is no live token that is bound to the certificate.
    Token,
    /// The token is for something else.
    Scope,
}

/// The caller of one request.
pub(crate) struct Caller {
    pub(crate) peer: Option<Arc<Certificate>>,
    pub(crate) headers: HeaderMap,
    pub(crate) facts: Facts,
    method: Method,
    uri: Uri,
}

impl FromRequestParts<Arc<Bank>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Bank>) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

impl Caller {
    pub(crate) fn of(parts: &Parts) -> Self {
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
        Self {
            peer: parts.extensions.get::<Peer>().map(|peer| Arc::clone(&peer.0)),
            headers: parts.headers.clone(),
            facts: parts.extensions.get::<Facts>().cloned().unwrap_or_default(),
            method: parts.method.clone(),
            uri: uri.clone(),
        }
    }

    /// The caller's legal name, as its certificate says.
    pub(crate) fn name(&self) -> String {
        let name = self.peer.as_deref().and_then(|peer| peer.organization.clone());
        name.unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The value of a header as a signature covers it, all of its lines joined;
    /// also of `(request-target)` and of `@method`.
    pub(crate) fn sent(&self, name: &str) -> Option<String> {
        match name {
            "(request-target)" => {
                let path = self.uri.path_and_query()?.as_str();
                return Some(request_target(self.method.as_str(), path));
            }
            "@method" => return Some(self.method.as_str().to_owned()),
            _ => {}
        }
        let values: Option<Vec<&str>> =
            self.headers.get_all(name).iter().map(|value| value.to_str().ok()).collect();
        values.filter(|values| !values.is_empty()).map(|values| values.join(", "))
    }

    /// The address that was asked for, below the bank's own (RFC 9421 `@target-uri`).
    pub(crate) fn target(&self, origin: &str) -> Option<String> {
        Some(format!("{origin}{}", self.uri.path_and_query()?))
    }

    /// The caller's `organizationIdentifier`, if its certificate is a QWAC
    /// with `role`.
    pub(crate) fn organisation(&self, role: Psd2Role) -> Result<&str, Unfit> {
        let peer = self.peer.as_deref().filter(|peer| peer.psd2_problems(QcType::Web).is_empty());
        let peer = peer.ok_or(Unfit::Certificate)?;
        if !peer.has_role(role) {
            return Err(Unfit::Role);
        }
        self.facts.note(Fact::Role);
        if self.psu_present() {
            self.facts.note(Fact::PsuPresent);
        }
        peer.organization_identifier.as_deref().ok_or(Unfit::Certificate)
    }

    /// True if the caller says that the customer is there.
    pub(crate) fn psu_present(&self) -> bool {
        ["psu-ip-address", "x-fapi-customer-ip-address"].iter().any(|name| self.headers.contains_key(*name))
    }

    /// True if this certificate may seal what the caller sends: qualified, ours
    /// to trust, and of the organisation that connected; else anyone could
    /// replace it.
    pub(crate) fn seals_with(&self, bank: &Bank, seal: &Certificate) -> bool {
        let connected = self.peer.as_deref().and_then(|peer| peer.organization_identifier.as_ref());
        seal.psd2_problems(QcType::Seal).is_empty()
            && seal.organization_identifier.as_ref() == connected
            && bank.trusts(&seal.der)
    }

    /// The live access token, bound to this certificate.
    pub(crate) fn live_token(&self, bank: &Bank) -> Result<Token, Unfit> {
        let header = self.header(AUTHORIZATION.as_str()).ok_or(Unfit::Token)?;
        let (scheme, value) = header.split_once(' ').ok_or(Unfit::Token)?;
        let peer = self.peer.as_deref().ok_or(Unfit::Token)?;
        let digest = crypto::digest::sha256_hex(value.trim().as_bytes());
        let token = bank.vault.read(|book| book.tokens.get(&digest).cloned()).ok_or(Unfit::Token)?;
        let bound = token.thumbprint == peer.thumbprint.to_string();
        if !scheme.eq_ignore_ascii_case("bearer") || token.refresh || !bound || token.expires <= bank.now() {
            return Err(Unfit::Token);
        }
        Ok(token)
    }

    /// The live access token with `scope`, bound to this certificate.
    pub(crate) fn token(&self, bank: &Bank, scope: &str) -> Result<Token, Unfit> {
        let token = self.live_token(bank)?;
        if !token.scope.split(' ').any(|granted| granted == scope) {
            return Err(Unfit::Scope);
        }
        self.facts.note(Fact::Token);
        Ok(token)
    }

    /// The consent a customer's token is bound to.
    pub(crate) fn bound_consent(&self, bank: &Bank, scope: &str) -> Result<Consent, Unfit> {
        let token = self.token(bank, scope)?;
        let consent = token.consent.ok_or(Unfit::Scope)?;
        let consent = bank.vault.read(|book| book.consents.get(&consent).cloned());
        consent.ok_or(Unfit::Scope)
    }

    /// The registered client with the caller's certificate.
    pub(crate) fn client(&self, bank: &Bank) -> Option<Arc<Client>> {
        bank.client_of(self.peer.as_deref()?.organization_identifier.as_deref()?)
    }
}
