//! The Polish face: PolishAPI 2.1.

use std::sync::Arc;

use axum::Router;

use crate::bank::Bank;

pub(crate) fn router(_: &Arc<Bank>) -> Router<Arc<Bank>> {
    Router::new()
}
