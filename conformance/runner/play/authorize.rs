//! The front channel, and what comes back over it.

use serde_json::{Value, json};

use super::{Failure, Play};
use crate::case::{Observed, Step};
use crate::jose::Unverified;

impl Play<'_> {
    /// Sends the browser to the authorization endpoint with the pushed request, and nothing else.
    pub(super) async fn authorize(&mut self, step: &Step) -> Result<Observed, Failure> {
        let client = self.client(step)?;
        let endpoint = self.known.metadata.get("authorization_endpoint").and_then(Value::as_str);
        let endpoint = step.url.as_deref().map_or(endpoint, Some);
        let mut url = endpoint
            .and_then(|url| url::Url::parse(&self.values.filled(url)).ok())
            .ok_or_else(|| Failure::broken("the metadata has no authorization_endpoint"))?;
        let request_uri = self.values.text("request_uri").unwrap_or_default().to_owned();
        let query = vec![
            ("client_id".to_owned(), client.is.client_id.clone()),
            ("request_uri".to_owned(), request_uri),
        ];
        url.query_pairs_mut().extend_pairs(step.form.pairs(query, &self.values));
        let redirect_uri = match self.values.text("redirect_uri") {
            Some(uri) => uri.to_owned(),
            None => client.is.redirect_uris.first().cloned().unwrap_or_default(),
        };
        let observed = if step.stop_at_page {
            let request = crate::http::Request::new("GET", url).header("accept", "text/html");
            self.observe(&request).await?
        } else {
            self.browse(url, &redirect_uri, step.deny).await?
        };
        let Observed::Returned(mut params) = observed else { return Ok(observed) };
        if let Some((_, response)) = params.iter().find(|(name, _)| name == "response").cloned() {
            let claims = self.signed_response(&response, &client.is.client_id)?;
            params.extend(claims);
        }
        for (name, value) in &params {
            if matches!(name.as_str(), "code" | "iss") {
                self.values.set(name, value.as_str());
            }
        }
        Ok(Observed::Returned(params))
    }

    /// The parameters in a signed response (JARM §2.1, §2.4).
    fn signed_response(&self, response: &str, client_id: &str) -> Result<Vec<(String, String)>, Failure> {
        let broken = |why: String| Failure::Broken(format!("the signed response: {why}"));
        let read = Unverified::read(response).ok_or_else(|| broken("is no JWT".to_owned()))?;
        let read = read.verified(&self.known.keys, &["PS256", "ES256", "EdDSA"]).map_err(broken)?;
        let issuer = self.values.text("issuer").unwrap_or_default();
        let named = read.claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        if named.trim_end_matches('/') != issuer {
            return Err(broken("iss is not the issuer".to_owned()));
        }
        if read.claims.get("aud") != Some(&json!(client_id)) {
            return Err(broken("aud is not the client".to_owned()));
        }
        let now = self.clock.now();
        match read.claims.get("exp").and_then(Value::as_i64) {
            Some(exp) if exp > now && exp <= now + 600 => {}
            Some(_) => return Err(broken("exp is not within the next ten minutes".to_owned())),
            None => return Err(broken("there is no exp".to_owned())),
        }
        let members = read.claims.into_iter().filter(|(name, _)| !matches!(name.as_str(), "aud" | "exp"));
        Ok(members
            .map(|(name, value)| (name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
            .collect())
    }
}
