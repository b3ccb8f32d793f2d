//! Who calls: the certificate, its role, and the token bound to it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use crypto::{Certificate, Psd2Role, QcType};

use super::refusal::Refusal;
use crate::bank::{Bank, Client};
use crate::engine::Consent;
use crate::engine::book::Token;
use crate::journal::{Fact, Facts};
use crate::listen::Peer;

/// The caller of one request.
pub(crate) struct Caller {
    pub(crate) peer: Option<Arc<Certificate>>,
    pub(crate) headers: HeaderMap,
    pub(crate) facts: Facts,
}

impl FromRequestParts<Arc<Bank>> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Bank>) -> Result<Self, Infallible> {
        Ok(Self {
            peer: parts.extensions.get::<Peer>().map(|peer| Arc::clone(&peer.0)),
            headers: parts.headers.clone(),
            facts: parts.extensions.get::<Facts>().cloned().unwrap_or_default(),
        })
    }
}

impl Caller {
    /// The caller's legal name, as its certificate says.
    pub(crate) fn name(&self) -> String {
        let name = self.peer.as_deref().and_then(|peer| peer.organization.clone());
        name.unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The caller's `organizationIdentifier`, if its certificate is a QWAC
    /// with `role`.
    pub(crate) fn organisation(&self, role: Psd2Role) -> Result<&str, Refusal> {
        let peer = self.peer.as_deref().ok_or(Refusal::Forbidden)?;
        if !peer.psd2_problems(QcType::Web).is_empty() || !peer.has_role(role) {
            return Err(Refusal::Forbidden);
        }
        self.facts.note(Fact::Role);
        if self.header("x-fapi-customer-ip-address").is_some() {
            self.facts.note(Fact::PsuPresent);
        }
        peer.organization_identifier.as_deref().ok_or(Refusal::Forbidden)
    }

    /// The live access token with `scope`, bound to this certificate.
    pub(crate) fn token(&self, bank: &Bank, scope: &str) -> Result<Token, Refusal> {
        let header = self.header(AUTHORIZATION.as_str()).ok_or(Refusal::Token)?;
        let (scheme, value) = header.split_once(' ').ok_or(Refusal::Token)?;
        let peer = self.peer.as_deref().ok_or(Refusal::Token)?;
        let digest = crypto::digest::sha256_hex(value.trim().as_bytes());
        let token = bank.vault.read(|book| book.tokens.get(&digest).cloned()).ok_or(Refusal::Token)?;
        let bound = token.thumbprint == peer.thumbprint.to_string();
        if !scheme.eq_ignore_ascii_case("bearer") || token.refresh || !bound || token.expires <= bank.now() {
            return Err(Refusal::Token);
        }
        if !token.scope.split(' ').any(|granted| granted == scope) {
            return Err(Refusal::Forbidden);
        }
        self.facts.note(Fact::Token);
        Ok(token)
    }

    /// The consent a customer's token is bound to.
    pub(crate) fn bound_consent(&self, bank: &Bank, scope: &str) -> Result<Consent, Refusal> {
        let token = self.token(bank, scope)?;
        let consent = token.consent.ok_or(Refusal::Forbidden)?;
        let consent = bank.vault.read(|book| book.consents.get(&consent).cloned());
        consent.ok_or(Refusal::Forbidden)
    }

    /// The consent of this path, if it is the caller's.
    pub(crate) fn own_consent(
        &self,
        bank: &Bank,
        organisation: &str,
        id: &str,
        for_payment: bool,
    ) -> Result<Consent, Refusal> {
        let consent = bank.vault.read(|book| book.consents.get(id).cloned());
        let consent = consent.filter(|consent| consent.for_payment == for_payment);
        let consent = consent.ok_or_else(Refusal::not_found)?;
        if consent.tpp == organisation { Ok(consent) } else { Err(Refusal::Forbidden) }
    }

    /// The registered client with the caller's certificate.
    pub(crate) fn client<'b>(&self, bank: &'b Bank) -> Option<&'b Client> {
        let organisation = self.peer.as_deref()?.organization_identifier.as_deref()?;
        bank.clients.iter().find(|client| client.registered.organization_identifier == organisation)
    }
}
