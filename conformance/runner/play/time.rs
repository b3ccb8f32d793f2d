//! Time that passes: really, or at the target's word.

use std::time::Duration;

use serde_json::json;

use super::{Failure, Play};
use crate::case::{Action, Expectation, Observed, Step};
use crate::http::Request;

impl Play<'_> {
    /// Waits until so many seconds have passed for the target.
    pub(super) async fn wait(&mut self, step: &Step) -> Result<(), Failure> {
        let Some(time) = self.target.is.time.clone() else {
            tokio::time::sleep(Duration::from_secs(step.seconds)).await;
            return Ok(());
        };
        let ask = Step { action: Action::ClientCredentials, expect: Expectation::Success, ..step.clone() };
        let ask = Step { client: Some("main".to_owned()), ..ask };
        let kept = self.values.get("own_token").cloned();
        let observed = self.client_credentials(&ask).await?;
        let Some(token) = self.values.text("own_token").map(str::to_owned) else {
            return Err(Failure::Blocked(format!("no token to move the time with: {observed:?}")));
        };
        let certificate = self.target.client("main").and_then(|client| client.is.certificate.clone());
        let body = json!({"days": 0, "seconds": step.seconds}).to_string();
        let request = Request::new("POST", time.url)
            .header("authorization", format!("Bearer {token}"))
            .body("application/json", body)
            .with(certificate.as_deref());
        match self.observe(&request).await? {
            Observed::Answer(answer) if answer.status < 300 => {
                self.clock.move_on(Duration::from_secs(step.seconds));
                self.values.at(self.clock.now());
                if let Some(kept) = kept {
                    self.values.set("own_token", kept);
                }
                Ok(())
            }
            Observed::Answer(answer) => {
                Err(Failure::Blocked(format!("the target's time cannot be moved: status {}", answer.status)))
            }
            Observed::Returned(_) | Observed::Closed(_) => {
                Err(Failure::Blocked("the target's time cannot be moved".to_owned()))
            }
        }
    }
}
