//! Embedded authentication (XS2A 5.2, 7): one authorisation of the bank's, to
//! which each step is a `PUT`, or the `POST` that begins it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect::{
    ApiBase, BankError, BankErrorKind, BankRequest, BankResponse, CallContext, Challenge, Effect,
    EmbeddedAuthentication, EmbeddedSca, EmbeddedStep, PsuInput, ScaMethod, ScaMethodKind,
};
use http::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::flicker;
use super::sca::link_text;
use super::{BerlinGroup, after, failure, request, sca_status, success};
use crate::node::Node;

/// Largest picture of a challenge, in bytes: `image`, "max. 512 kilobyte".
const LARGEST_IMAGE: usize = 512 * 1024;
/// How a PNG begins.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// Links by which a step is taken in an authorisation that the bank has begun,
/// and the same where the step begins it.
const ANSWER: [&str; 2] = ["authoriseTransaction", "startAuthorisationWithTransactionAuthorisation"];
const CHOOSE: [&str; 2] =
    ["selectAuthenticationMethod", "startAuthorisationWithAuthenticationMethodSelection"];
const PASSWORD: [&str; 2] = ["updatePsuAuthentication", "startAuthorisationWithPsuAuthentication"];
/// These are never what begins it: a second password comes after the first, and a bank
/// that is to begin with an identification takes it as a header of the request for that.
const SECOND_PASSWORD: &str = "updateAdditionalPsuAuthentication";
const IDENTIFY: &str = "updatePsuIdentification";

/// What the bank wants next, if its answer is one of an embedded authentication.
/// `own` is where authentications of the resource are, made by us: links say what
/// to do, never where.
pub(super) fn begun(
    response: &BankResponse,
    body: &Node<'_>,
    own: &Url,
) -> Result<Option<EmbeddedSca>, BankError> {
    let Some(step) = step(response, body, &Challenge::default())? else { return Ok(None) };
    if let Some(id) = authorisation_id(body)? {
        return Ok(Some(EmbeddedSca { place: below(own, &id), started: true, step }));
    }
    let links = body.get("_links");
    let starts = [ANSWER, CHOOSE, PASSWORD].into_iter().any(|[_, start]| links.of_any(start).exists());
    // Else it goes on in an authorisation that the bank does not name.
    Ok(starts.then(|| EmbeddedSca { place: own.clone(), started: false, step }))
}

impl EmbeddedAuthentication for BerlinGroup {
    fn give(
        &self,
        cx: &CallContext<'_>,
        sca: &EmbeddedSca,
        input: &PsuInput,
    ) -> Result<BankRequest, BankError> {
        let mut cx = *cx;
        let body = match input {
            PsuInput::Identification(name) => {
                cx.psu_id = Some(name);
                json!({})
            }
            PsuInput::Password(password) => json!({ "psuData": { "password": password.expose_secret() } }),
            PsuInput::SecondPassword(password) => {
                json!({ "psuData": { "additionalPassword": password.expose_secret() } })
            }
            PsuInput::Method(id) => json!({ "authenticationMethodId": id }),
            PsuInput::Code(code) => json!({ "scaAuthenticationData": code.expose_secret() }),
        };
        let method = if sca.started { Method::PUT } else { Method::POST };
        at_the_bank(&cx, method, &sca.place, Effect::Write, Some(&body))
    }

    fn given(
        &self,
        cx: &CallContext<'_>,
        sca: &EmbeddedSca,
        response: &BankResponse,
    ) -> Result<EmbeddedSca, BankError> {
        if !response.status.is_success() {
            let error = failure(&cx.profile.id, response, Effect::Write);
            let status = crate::node::error_body(&response.body);
            let over = status.get("scaStatus").and_then(Value::as_str) == Some("failed");
            let wrong = error.kind == BankErrorKind::PsuAuthenticationFailed;
            return if wrong && over { Ok(sca.then(EmbeddedStep::Failed)) } else { Err(error) };
        }
        let body = success(cx, response, Effect::Write)?;
        let root = Node::root(&cx.profile.id, &body);
        let read = || {
            let before = if let EmbeddedStep::Answer(challenge) = &sca.step {
                *challenge.clone()
            } else {
                Challenge::default()
            };
            let unsupported = || cx.error(BankErrorKind::ScaMethodUnsupported).at("_links");
            let step = step(response, &root, &before)?.ok_or_else(unsupported)?;
            if sca.started {
                return Ok(sca.then(step));
            }
            let over = matches!(step, EmbeddedStep::Done | EmbeddedStep::Failed);
            let place = match authorisation_id(&root)? {
                Some(id) => below(&sca.place, &id),
                None if over => sca.place.clone(),
                None => return Err(root.get("authorisationId").malformed()),
            };
            Ok(EmbeddedSca { place, started: true, step })
        };
        read().map_err(|error| after(Effect::Write, error))
    }

    fn progress(&self, cx: &CallContext<'_>, sca: &EmbeddedSca) -> Option<Result<BankRequest, BankError>> {
        sca.started.then(|| at_the_bank(cx, Method::GET, &sca.place, Effect::Read, None))
    }

    fn progress_read(
        &self,
        cx: &CallContext<'_>,
        response: &BankResponse,
    ) -> Result<Option<EmbeddedStep>, BankError> {
        let body = success(cx, response, Effect::Read)?;
        end(&Node::root(&cx.profile.id, &body).get("scaStatus"))
    }

    fn image(&self, cx: &CallContext<'_>, link: &Url) -> Result<BankRequest, BankError> {
        at_the_bank(cx, Method::GET, link, Effect::Read, None)?
            .header("accept", "image/png")
            .map_err(|name| cx.error(BankErrorKind::Internal).at(name))
    }

    fn image_read(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<String, BankError> {
        if !response.status.is_success() {
            return Err(failure(&cx.profile.id, response, Effect::Read));
        }
        if !is_png(&response.body) {
            return Err(BankError::malformed(&cx.profile.id, "/challengeData/imageLink"));
        }
        Ok(STANDARD.encode(&response.body))
    }
}

/// A request to an address that was kept, or that the bank gave.
fn at_the_bank(
    cx: &CallContext<'_>,
    method: Method,
    place: &Url,
    effect: Effect,
    body: Option<&Value>,
) -> Result<BankRequest, BankError> {
    if !cx.profile.permits(place) {
        return Err(BankError::malformed(&cx.profile.id, "/_links"));
    }
    request(cx, method, place.clone(), effect, body)
}

/// What an answer wants next, in the order in which the steps are taken from
/// behind: a bank that takes a code already wants no password.
fn step(
    response: &BankResponse,
    root: &Node<'_>,
    before: &Challenge,
) -> Result<Option<EmbeddedStep>, BankError> {
    let status = root.get("scaStatus");
    if status.exists() {
        sca_status(&status)?;
        if let Some(end) = end(&status)? {
            return Ok(Some(end));
        }
    }
    let links = root.get("_links");
    let has = |names: [&str; 2]| names.into_iter().any(|name| links.of_any(name).exists());
    if has(ANSWER) {
        return Ok(Some(EmbeddedStep::Answer(Box::new(challenge(root, before)?))));
    }
    if has(CHOOSE) {
        let methods = root.get("scaMethods");
        let methods = methods.items()?.iter().map(method).collect::<Result<Vec<_>, _>>()?;
        return Ok((!methods.is_empty()).then_some(EmbeddedStep::Choose(methods)));
    }
    if links.of_any(SECOND_PASSWORD).exists() {
        return Ok(Some(EmbeddedStep::SecondPassword));
    }
    if has(PASSWORD) {
        return Ok(Some(EmbeddedStep::Password));
    }
    if links.of_any(IDENTIFY).exists() {
        return Ok(Some(EmbeddedStep::Identify));
    }
    let approach = response.header_text("aspsp-sca-approach").unwrap_or_default();
    if approach.eq_ignore_ascii_case("DECOUPLED") {
        return Ok(Some(EmbeddedStep::Wait(root.get("psuMessage").text()?)));
    }
    Ok(None)
}

/// The end that a `scaStatus` says.
fn end(status: &Node<'_>) -> Result<Option<EmbeddedStep>, BankError> {
    Ok(match status.required_text()?.as_str() {
        "finalised" | "exempted" => Some(EmbeddedStep::Done),
        "failed" => Some(EmbeddedStep::Failed),
        _ => None,
    })
}

/// `authenticationObject`.
fn method(node: &Node<'_>) -> Result<ScaMethod, BankError> {
    let kind = match node.get("authenticationType").text()?.as_deref() {
        Some("SMS_OTP") => ScaMethodKind::Sms,
        Some("CHIP_OTP") => ScaMethodKind::Chip,
        Some("PHOTO_OTP") => ScaMethodKind::Photo,
        Some("PUSH_OTP" | "PUSH_DEC") => ScaMethodKind::Push,
        Some("SMTP_OTP") => ScaMethodKind::Mail,
        Some(_) | None => ScaMethodKind::Other,
    };
    Ok(ScaMethod {
        id: node.get("authenticationMethodId").required_text()?,
        kind,
        name: node.get("name").text()?,
        explanation: node.get("explanation").text()?,
    })
}

/// `challengeData`, with what the answer says beside it. A bank that takes
/// another code may say nothing of what it answers: then `before` stands.
fn challenge(root: &Node<'_>, before: &Challenge) -> Result<Challenge, BankError> {
    let chosen = root.get("chosenScaMethod");
    let method = if chosen.is_object() { Some(method(&chosen)?) } else { before.method.clone() };
    let data = root.get("challengeData");
    if !data.is_object() {
        let words = root.get("psuMessage").text()?.into_iter();
        let words = words.chain(before.words.iter().cloned()).fold(Vec::new(), told_once);
        return Ok(Challenge { method, words, ..before.clone() });
    }
    let image = data.get("image");
    let picture = image.text()?;
    let fits = |text: &String| {
        STANDARD.decode(text).is_ok_and(|bytes| bytes.len() <= LARGEST_IMAGE && is_png(&bytes))
    };
    if picture.as_ref().is_some_and(|picture| !fits(picture)) {
        return Err(image.malformed());
    }
    let link = data.get("imageLink");
    let image_link = link.text()?.map(|text| Url::parse(&text).map_err(|_| link.malformed())).transpose()?;
    let words = [root.get("psuMessage").text()?, data.get("additionalInformation").text()?];
    let by_card = method.as_ref().is_some_and(|method| method.kind == ScaMethodKind::Chip);
    let given = data.get("data").texts("value")?.into_iter();
    let typed = given.flat_map(|text| match flicker::typed(&text).filter(|_| by_card) {
        Some(typed) => typed,
        None => vec![text],
    });
    // Some leave out a letter.
    let either = |name: &'static str, misspelt: &'static str| {
        data.get(if data.get(name).exists() { name } else { misspelt })
    };
    let length = either("otpMaxLength", "optMaxLength");
    let max_length =
        length.word()?.map(|digits| digits.parse().map_err(|_| length.malformed())).transpose()?;
    Ok(Challenge {
        method,
        words: words.into_iter().flatten().fold(Vec::new(), told_once),
        data: typed.collect(),
        image_link: image_link.filter(|_| picture.is_none()),
        image: picture,
        digits: either("otpFormat", "optFormat").text()?.as_deref() == Some("integer"),
        max_length,
    })
}

fn told_once(mut told: Vec<String>, words: String) -> Vec<String> {
    if !told.contains(&words) {
        told.push(words);
    }
    told
}

fn is_png(bytes: &[u8]) -> bool {
    bytes.starts_with(PNG)
}

/// The bank's name of the authorisation: as it says, or as its links do.
fn authorisation_id(root: &Node<'_>) -> Result<Option<String>, BankError> {
    if let Some(id) = root.get("authorisationId").identifier()? {
        return Ok(Some(id));
    }
    let links = root.get("_links");
    for name in ["scaStatus", ANSWER[0], CHOOSE[0], SECOND_PASSWORD, PASSWORD[0], IDENTIFY] {
        let link = links.of_any(name);
        let Some(text) = link_text(&link)? else { continue };
        let path = text.split(['?', '#']).next().unwrap_or_default();
        let after = path.rsplit_once("/authorisations/").map(|(_, id)| id.trim_end_matches('/'));
        // Not one that is written in another way in an address.
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if let Some(id) = after.filter(|id| id.bytes().all(plain) && ApiBase::is_segment(id)) {
            return Ok(Some(id.to_owned()));
        }
    }
    Ok(None)
}

fn below(own: &Url, id: &str) -> Url {
    let mut place = own.clone();
    if let Ok(mut path) = place.path_segments_mut() {
        path.pop_if_empty().push(id);
    }
    place
}
