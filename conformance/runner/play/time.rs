//! Time that passes: really, or at the target's word.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Failure, Known, Play};
use crate::case::{Action, Observed, Step};
use crate::clock::Clock;
use crate::http::Request;
use crate::target::{Authentication, Target, TimeConfiguration};

impl Play<'_> {
    /// Waits until so many seconds have passed for the target.
    pub(super) async fn wait(&mut self, step: &Step) -> Result<(), Failure> {
        let Some(time) = self.target.is.time.clone() else {
            tokio::time::sleep(Duration::from_secs(step.seconds)).await;
            return Ok(());
        };
        let kept = self.values.get("own_token").cloned();
        let request = Request::new("POST", time.url.clone())
            .body("application/json", json!({"days": 0, "seconds": step.seconds}).to_string());
        let answer = self.keeper_of_time(&time, request).await?;
        if !(200..300).contains(&answer.0) {
            return Err(Failure::Blocked(format!("the target's time cannot be moved: status {}", answer.0)));
        }
        self.clock.move_on(Duration::from_secs(step.seconds));
        self.values.at(self.clock.now());
        if let Some(kept) = kept {
            self.values.set("own_token", kept);
        }
        Ok(())
    }

    /// Asks where the target's time is kept, with a token of the client's own.
    async fn keeper_of_time(
        &mut self,
        time: &TimeConfiguration,
        request: Request,
    ) -> Result<(u16, Value), Failure> {
        let role = time.client.as_deref().unwrap_or("main");
        let ask =
            Step { action: Action::ClientCredentials, client: Some(role.to_owned()), ..Step::default() };
        self.values.at(self.clock.now());
        let asked = self.client_credentials(&ask).await?;
        self.succeeded(&ask, &asked)
            .map_err(|why| Failure::Blocked(format!("no token to move time with: {why:?}")))?;
        let token = self.values.text("own_token").unwrap_or_default().to_owned();
        let certificate = self.target.client(role).and_then(|client| client.is.certificate.clone());
        let request = request.header("authorization", format!("Bearer {token}")).with(certificate.as_deref());
        match self.observe(&request).await? {
            Observed::Answer(answer) => Ok((answer.status, answer.json())),
            Observed::Returned(_) | Observed::Closed(_) => {
                Err(Failure::Blocked("the target's time cannot be asked for".to_owned()))
            }
        }
    }
}

/// Finds out how far ahead the target's time is, where it can be moved: somebody may have moved it
/// before. Needs a client that authenticates without knowing what time it is.
///
/// # Errors
///
/// If it does not say.
pub(crate) async fn learn(
    target: &Target,
    clock: &Clock,
    known: &std::sync::Arc<Known>,
) -> Result<(), Failure> {
    let Some(time) = &target.is.time else { return Ok(()) };
    let role = time.client.as_deref().unwrap_or("main");
    let timeless =
        target.client(role).is_some_and(|client| client.is.authentication != Authentication::PrivateKeyJwt);
    if !timeless {
        return Ok(());
    }
    let mut play = Play::new(target, clock, std::sync::Arc::clone(known), role)?;
    let (status, json) = play.keeper_of_time(time, Request::new("GET", time.url.clone())).await?;
    match json.get("seconds_ahead").and_then(Value::as_i64) {
        Some(ahead) if status == 200 => {
            clock.set_ahead(ahead);
            Ok(())
        }
        Some(_) | None => Err(Failure::Blocked(format!("the target does not say what time it is: {status}"))),
    }
}
