//! Requests of the Core Rule Set's own tests.

use serde_json::Value;
use url::Url;

use super::{Failure, Play};
use crate::case::{Observed, Step};
use crate::http::Request;

impl Play<'_> {
    /// Sends the request of a stage, and looks whether it was refused.
    pub(super) async fn crs(&mut self, step: &Step) -> Result<(), Failure> {
        let input = step.with.get("input").cloned().unwrap_or_default();
        let text = |name: &str| input.get(name).and_then(Value::as_str).unwrap_or_default();
        if input.get("encoded_request").is_some() {
            return Err(Failure::NotApplicable("it is no request that a client of HTTP can make".to_owned()));
        }
        let api = self.values.text("api").unwrap_or_default();
        let uri = if text("uri").is_empty() { "/" } else { text("uri") };
        let url = Url::parse(&format!("{api}{uri}")).ok().filter(|_| uri.starts_with('/'));
        let mut url =
            url.ok_or_else(|| Failure::NotApplicable("its address is none of this server".to_owned()))?;
        let mut method = if text("method").is_empty() { "GET" } else { text("method") };
        let mut data = text("data").to_owned();
        // Where nothing lies nothing is looked into: what the test sends goes where a text may stand.
        if let Some(address) = self.values.text("crs_address") {
            let query: Vec<_> = url.query_pairs().map(|(name, value)| format!("{name}={value}")).collect();
            let payload = if data.is_empty() { query.join("&") } else { std::mem::take(&mut data) };
            let payload: String = url::form_urlencoded::byte_serialize(payload.as_bytes()).collect();
            url = Url::parse(&format!("{api}{address}{payload}"))
                .map_err(|_| Failure::Blocked("crs_address is no address".to_owned()))?;
            method = "GET";
        }
        let certificate = self.target.client(&self.role).and_then(|client| client.is.certificate.clone());
        let mut request = Request::new(method, url).with(certificate.as_deref());
        for (name, value) in input.get("headers").and_then(Value::as_object).into_iter().flatten() {
            // What a connection is made of is ours.
            if !["host", "connection", "content-length"].contains(&name.to_ascii_lowercase().as_str()) {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                request = request.header(name, value);
            }
        }
        if !data.is_empty() {
            request = request.body("application/x-www-form-urlencoded", data);
        }
        let refused = match self.observe(&request).await {
            Ok(Observed::Answer(answer)) => {
                matches!(answer.status, 400 | 403 | 405 | 406 | 413 | 414 | 415 | 422 | 431 | 501)
            }
            Ok(Observed::Closed(_)) => true,
            Ok(Observed::Returned(_)) => false,
            Err(Failure::Blocked(why)) => return Err(Failure::NotApplicable(why)),
            Err(other) => return Err(other),
        };
        match (step.with.get("refused") == Some(&Value::Bool(true)), refused) {
            (true, false) => Err(Failure::Broken("it was not refused".to_owned())),
            (false, true) => Err(Failure::Broken("it was refused".to_owned())),
            (true, true) | (false, false) => Ok(()),
        }
    }
}
