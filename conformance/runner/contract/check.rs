//! The questions, and what must come of them.

use serde_json::{Value, json};

use super::{Contract, Operation};
use crate::case::Step;
use crate::http::{Request, Response};
use crate::play::{Failure, Play};

type Outcome = Result<(), Failure>;

/// Asks one question of one operation.
pub(crate) async fn ask(play: &mut Play<'_>, contract: &Contract, step: &Step) -> Outcome {
    let text = |name: &str| step.with.get(name).and_then(Value::as_str).unwrap_or_default();
    let operation = contract
        .description
        .operation(text("operation"))
        .ok_or_else(|| Failure::Blocked("the description has no such operation".to_owned()))?;
    match text("check") {
        "answers" => answers(play, contract, operation).await,
        "without-token" => closed(play, contract, operation, None).await,
        "foreign-token" => closed(play, contract, operation, Some("Bearer conformance-nobody")).await,
        "other-scope" => other_scope(play, contract, operation).await,
        "unknown" => unknown(play, contract, operation).await,
        "malformed" => malformed(play, contract, operation).await,
        "bad-body" => bad_body(play, contract, operation).await,
        "list-for-object" => list_for_object(play, contract, operation).await,
        "bad-query" => bad_query(play, contract, operation).await,
        _ => other_method(play, contract, operation).await,
    }
}

async fn sent(play: &mut Play<'_>, request: &Request) -> Result<Response, Failure> {
    play.send(request).await.map_err(|error| Failure::Broken(format!("no answer: {error}")))
}

fn broken(why: String) -> Failure {
    Failure::Broken(why)
}

fn base(play: &Play<'_>, contract: &Contract, operation: &Operation) -> Result<Request, Failure> {
    let url = contract.address(play.target, operation, None).ok_or_else(|| {
        Failure::NotApplicable("nothing was prepared for a parameter of its path".to_owned())
    })?;
    Ok(contract.request(play.target, operation, url))
}

/// The answer is one that the description knows, and what it says.
fn described(contract: &Contract, operation: &Operation, answer: &Response) -> Outcome {
    let status = answer.status.to_string();
    let class = format!("{}XX", answer.status / 100);
    let known = operation
        .answers
        .get(&status)
        .or_else(|| operation.answers.get(&class))
        .or_else(|| operation.answers.get("default").filter(|_| answer.status >= 400));
    let Some(media) = known else {
        return Err(broken(format!("the status {status} is not described")));
    };
    if answer.status >= 500 {
        return Err(broken(format!("the server failed, with {status}")));
    }
    let kind = answer.header("content-type").unwrap_or_default();
    let plain = kind.split(';').next().unwrap_or_default().trim().to_owned();
    if media.is_empty() {
        if answer.body.is_empty() {
            return Ok(());
        }
        return Err(broken(format!("{status} has a body, and none is described")));
    }
    let Some(pointer) = media.get(&plain) else {
        return Err(broken(format!(
            "{status} is {plain:?}, and not {}",
            media.keys().cloned().collect::<Vec<_>>().join(" or ")
        )));
    };
    if plain.ends_with("json") {
        let body: Value = serde_json::from_slice(&answer.body)
            .map_err(|_| broken(format!("the body of {status} is no JSON")))?;
        if contract.description.document.pointer(pointer).is_some() {
            contract
                .description
                .fits(pointer, &body)
                .map_err(|why| broken(format!("the body of {status}: {why}")))?;
        }
        if answer.status >= 400 {
            if body.get("status").and_then(Value::as_u64) != Some(answer.status.into()) {
                return Err(broken("status of the problem is not the status".to_owned()));
            }
            let says = body.to_string();
            if let Some(leak) =
                ["panicked", "sqlx", "SELECT ", "at src/", ".rs:"].iter().find(|leak| says.contains(**leak))
            {
                return Err(broken(format!("the problem tells of the inside: {leak:?}")));
            }
        }
    }
    if answer.header("x-request-id").is_none() {
        return Err(broken("there is no x-request-id".to_owned()));
    }
    Ok(())
}

fn refused(contract: &Contract, operation: &Operation, answer: &Response, statuses: &[u16]) -> Outcome {
    described(contract, operation, answer)?;
    if statuses.contains(&answer.status) {
        return Ok(());
    }
    Err(broken(format!("the status is {}, and not one of {statuses:?}", answer.status)))
}

async fn answers(play: &mut Play<'_>, contract: &Contract, operation: &Operation) -> Outcome {
    let request = base(play, contract, operation)?;
    if let Some(pointer) = &operation.body {
        let body = contract.body(operation);
        contract.description.fits(pointer, &body).map_err(|why| {
            Failure::Blocked(format!("what would be sent does not fit the description: {why}"))
        })?;
    }
    let answer = sent(play, &request).await?;
    described(contract, operation, &answer)?;
    play.note(format!("{} answered {}", operation.id, answer.status));
    // What only ever says no has not shown what it answers.
    if answer.status >= 400 && !contract.preparation.refuses.contains_key(&operation.id) {
        return Err(broken(format!("it refused, with {}", answer.status)));
    }
    Ok(())
}

async fn closed(
    play: &mut Play<'_>,
    contract: &Contract,
    operation: &Operation,
    token: Option<&str>,
) -> Outcome {
    let mut request = base(play, contract, operation)?;
    request.headers.retain(|(name, _)| name != "authorization");
    if let Some(token) = token {
        request = request.header("authorization", token);
    }
    let answer = sent(play, &request).await?;
    refused(contract, operation, &answer, &[401])?;
    match answer.header("www-authenticate") {
        Some(_) => Ok(()),
        None => Err(broken("there is no WWW-Authenticate".to_owned())),
    }
}

async fn other_scope(play: &mut Play<'_>, contract: &Contract, operation: &Operation) -> Outcome {
    let needed: Vec<_> = operation.scopes.iter().flatten().collect();
    let other = ["accounts", "payments", "fundsconfirmations"]
        .into_iter()
        .filter(|scope| !needed.iter().any(|known| known.as_str() == *scope))
        .find_map(|scope| contract.values.text(&format!("own_{scope}")).map(str::to_owned));
    let other =
        other.ok_or_else(|| Failure::NotApplicable("no token of another scope was prepared".to_owned()))?;
    let mut request = base(play, contract, operation)?;
    request.headers.retain(|(name, _)| name != "authorization");
    let request = request.header("authorization", format!("Bearer {other}"));
    let answer = sent(play, &request).await?;
    refused(contract, operation, &answer, &[403])
}

/// An identifier of the right form that nobody has.
async fn unknown(play: &mut Play<'_>, contract: &Contract, operation: &Operation) -> Outcome {
    let mut url = contract.address(play.target, operation, Some("conformance-nothing"));
    // Of the form of the one that was prepared: its digits are others.
    if let Some(real) = contract.address(play.target, operation, None) {
        let path = real.path().to_owned();
        let mut parts: Vec<String> = path.split('/').map(str::to_owned).collect();
        for (part, template) in parts.iter_mut().zip(operation.path.split('/')) {
            if template.starts_with('{') {
                *part = another(part);
            }
        }
        let mut other = real.clone();
        other.set_path(&parts.join("/"));
        url = Some(other);
    }
    let url = url.ok_or_else(|| Failure::NotApplicable("the api has no address".to_owned()))?;
    let answer = sent(play, &contract.request(play.target, operation, url)).await?;
    refused(contract, operation, &answer, &[400, 403, 404])
}

/// The same form with other hexadecimal digits at its end.
fn another(id: &str) -> String {
    let keep = id.chars().count().saturating_sub(8);
    id.chars()
        .enumerate()
        .map(|(at, letter)| match letter {
            _ if at < keep => letter,
            '0' => '1',
            digit if digit.is_ascii_digit() => '0',
            'a'..='f' => '9',
            other => other,
        })
        .collect()
}

async fn malformed(play: &mut Play<'_>, contract: &Contract, operation: &Operation) -> Outcome {
    for instead in ["x", "%00", "..%2f..%2fetc", "con_zz_0", "'%20or%201=1", "%F0%9F%92%A3", &"9".repeat(400)]
    {
        let Some(url) = contract.address(play.target, operation, Some(instead)) else { continue };
        let answer = sent(play, &contract.request(play.target, operation, url)).await?;
        if !(400..500).contains(&answer.status) {
            return Err(broken(format!("{instead:?} was answered with {}", answer.status)));
        }
        // The filter may say no before the operation is known, and does so as a problem.
        described(contract, operation, &answer)?;
    }
    Ok(())
}

async fn bad_body(play: &mut Play<'_>, contract: &Contract, operation: &Operation) -> Outcome {
    let base = base(play, contract, operation)?;
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    let bodies = [
        "{",
        "[]",
        "null",
        "\"text\"",
        "{\"conformance\":1}",
        "{\"a\":1,\"a\":2}",
        deep.as_str(),
        "\u{feff}{}",
    ];
    let empty_fits =
        operation.body.as_ref().is_some_and(|pointer| contract.description.fits(pointer, &json!({})).is_ok());
    for body in bodies {
        // A body that fits is none of these.
        let fits = serde_json::from_str::<Value>(body).is_ok_and(|value| {
            operation.body.as_ref().is_some_and(|pointer| contract.description.fits(pointer, &value).is_ok())
        });
        if fits || (empty_fits && body.contains("conformance")) {
            continue;
        }
        let request = Request { body: body.to_owned().into(), ..base.clone() };
        let answer = sent(play, &request).await?;
        refused(contract, operation, &answer, &[400, 409, 413, 415, 422])
            .map_err(|failure| named(failure, body))?;
    }
    let mut other = base.clone();
    for (name, value) in &mut other.headers {
        if name == "content-type" {
            "text/csv".clone_into(value);
        }
    }
    let answer = sent(play, &other).await?;
    refused(contract, operation, &answer, &[400, 415]).map_err(|failure| named(failure, "text/csv"))
}

async fn list_for_object(play: &mut Play<'_>, contract: &Contract, operation: &Operation) -> Outcome {
    let base = base(play, contract, operation)?;
    for (pointer, body) in contract.lists_for_objects(operation) {
        let request = Request { body: body.to_string().into(), ..base.clone() };
        let answer = sent(play, &request).await?;
        refused(contract, operation, &answer, &[400, 422])
            .map_err(|failure| named(failure, &format!("a list at {pointer}")))?;
    }
    Ok(())
}

fn named(failure: Failure, what: &str) -> Failure {
    let short: String = what.chars().take(60).collect();
    match failure {
        Failure::Broken(why) => Failure::Broken(format!("{short:?}: {why}")),
        other @ (Failure::Blocked(_) | Failure::NotApplicable(_)) => other,
    }
}

async fn bad_query(play: &mut Play<'_>, contract: &Contract, operation: &Operation) -> Outcome {
    for (name, value) in operation.bad_queries() {
        let mut request = base(play, contract, operation)?;
        request.url.query_pairs_mut().append_pair(&name, &value);
        let answer = sent(play, &request).await?;
        refused(contract, operation, &answer, &[400, 422]).map_err(|failure| self::named(failure, &name))?;
    }
    Ok(())
}

async fn other_method(play: &mut Play<'_>, contract: &Contract, operation: &Operation) -> Outcome {
    let there: Vec<_> = contract
        .description
        .operations
        .iter()
        .filter(|other| other.path == operation.path)
        .map(|other| other.method.as_str())
        .collect();
    let Some(other) = ["PUT", "PATCH", "DELETE", "POST"].into_iter().find(|method| !there.contains(method))
    else {
        return Err(Failure::NotApplicable("it has every method".to_owned()));
    };
    let mut request = base(play, contract, operation)?;
    other.clone_into(&mut request.method);
    request.body = bytes::Bytes::new();
    let answer = sent(play, &request).await?;
    if answer.status != 405 {
        return Err(broken(format!("{other} is answered with {} and not 405", answer.status)));
    }
    let allowed = answer.header("allow").unwrap_or_default().to_uppercase();
    match there.iter().find(|method| !allowed.contains(**method)) {
        Some(missing) => Err(broken(format!("Allow does not name {missing}"))),
        None => Ok(()),
    }
}
