//! The token endpoint: JSON in place of a form.

use connect::bank_oauth::{BankTokens, tokens_of};
use connect::{BankError, BankErrorKind, BankRequest, BankResponse, CallContext, Effect, TokenEndpoint};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};
use url::Url;

use super::{Inside, PolishApi, address, client_id, failure, request, unpacked};

impl TokenEndpoint for PolishApi {
    fn exchange(
        &self,
        cx: &CallContext<'_>,
        code: &SecretString,
        callback: &Url,
    ) -> Result<BankRequest, BankError> {
        let mut members = Map::new();
        members.insert("grant_type".into(), json!("authorization_code"));
        // The published file spells it with a capital, the text of the standard without.
        members.insert("Code".into(), json!(code.expose_secret()));
        members.insert("code".into(), json!(code.expose_secret()));
        members.insert("redirect_uri".into(), json!(callback));
        ask(cx, members)
    }

    fn refresh(&self, cx: &CallContext<'_>, refresh_token: &SecretString) -> Result<BankRequest, BankError> {
        let mut members = Map::new();
        members.insert("grant_type".into(), json!("refresh_token"));
        members.insert("refresh_token".into(), json!(refresh_token.expose_secret()));
        ask(cx, members)
    }

    fn tokens_read(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<BankTokens, BankError> {
        let response = unpacked(cx, response)?;
        if response.status.is_success() {
            return tokens_of(cx.profile, &response);
        }
        let mut error = failure(cx, &response, Effect::Write);
        // Codes are each bank's own; what is refused here is a code or a token.
        if matches!(error.http_status, Some(400 | 401 | 403 | 422)) {
            error.kind = BankErrorKind::TokenInvalid;
        }
        Err(error)
    }
}

fn ask(cx: &CallContext<'_>, mut members: Map<String, Value>) -> Result<BankRequest, BankError> {
    let api = match &cx.profile.accounts_api {
        Some(api) => api,
        None => cx.profile.payments_api()?,
    };
    members.insert("client_id".into(), json!(client_id(cx)?));
    members.insert("is_user_session".into(), json!(false));
    request(cx, address(api, "auth", "token"), Effect::Write, Inside::Server, members)
}
