//! What a customer shares with whom, and taking it back: the consent then
//! reads `revokedByPsu` or `CANC` to the TPP, which learns it by asking.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::question::sharing;
use super::view::{Consents, page};
use super::{Form, failed, gone, login_page};
use crate::bank::Bank;
use crate::engine::ConsentState;

/// What a ticket for this page is about.
pub(super) const ABOUT: &str = "consents";

/// One live consent.
pub(super) struct Shared {
    pub(super) id: String,
    pub(super) facts: Vec<(&'static str, String)>,
}

pub(super) async fn front(State(bank): State<Arc<Bank>>) -> Response {
    login_page(&bank, ABOUT, false)
}

pub(super) async fn withdraw(State(bank): State<Arc<Bank>>, body: Bytes) -> Response {
    let form = Form::read(&body);
    let (name, id, now) = (form.one("ticket"), form.one("consent"), bank.now());
    let user = bank.vault.change(|book| {
        let ticket = book.tickets.get(name).filter(|ticket| ticket.expires > now)?;
        let user = ticket.user.clone();
        let consent = book.consents.get_mut(id)?;
        let theirs = consent.is_of(&user) && consent.is_live(now);
        if ticket.about.as_deref() != Some(ABOUT) || !theirs {
            return None;
        }
        consent.becomes(ConsentState::Withdrawn, now);
        Some(user)
    });
    let Some(user) = user else { return gone(&bank) };
    if bank.vault.keep().await.is_err() {
        return failed(&bank);
    }
    page_of(&bank, &user, name)
}

pub(super) fn page_of(bank: &Bank, user: &str, ticket: &str) -> Response {
    bank.settle();
    let now = bank.now();
    let shared: Vec<Shared> = bank.vault.read(|book| {
        let live = book.consents.values().filter(|consent| {
            (!consent.for_payment || consent.recurs) && consent.is_of(user) && consent.is_live(now)
        });
        live.map(|consent| Shared { id: consent.id.clone(), facts: sharing(book, consent) }).collect()
    });
    page(StatusCode::OK, &Consents { bank: &bank.name, shared: &shared, ticket })
}
