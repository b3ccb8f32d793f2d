//! The pages of embedded authentication: password, choice of a method, code. What
//! is typed in goes to the bank and nowhere else.

use std::collections::HashMap;

use askama::Template;
use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::response::Response;
use connect::{Challenge, EmbeddedStep, Profile, PsuInput, ScaFlow, ScaMethod, ScaMethodKind};
use domain::SessionId;
use edge::PeerIdentity;
use flows::{FlowError, LegSubject, NextStep, ScaQuestion};
use http::HeaderMap;
use secrecy::SecretString;
use store::sessions::SessionRow;

use super::cancellation;
use super::consent::WaitPage;
use super::mandate::{self, mandate_of};
use super::payment::{self, payment_of};
use super::session::{Visit, plan_of, posted, visit};
use super::{Frame, PageError, Reason, go, presence, sandbox_decision, time};
use crate::OAuth;
use crate::texts::{Text, Texts};

/// Longest password or code, in characters.
const LONGEST: usize = 200;

/// What the page wants.
enum Wanted {
    Name,
    Password,
    SecondPassword,
    Method(Vec<Choice>),
    Code(Box<Code>),
}

/// A method on the page.
struct Choice {
    id: String,
    name: String,
    explanation: Option<String>,
}

/// A challenge on the page.
struct Code {
    method: Option<String>,
    words: Vec<String>,
    image: Option<String>,
    data: Vec<String>,
    hint: Option<String>,
    digits: bool,
    longest: usize,
}

#[derive(Template)]
#[template(path = "sca.html")]
struct ScaPage<'a> {
    frame: &'a Frame,
    heading: String,
    bank: &'a str,
    /// What the PSU approves by it, where that is a payment (RTS art. 5).
    approves: Option<String>,
    wrong: Option<&'static Text>,
    place: String,
    number: i64,
    wanted: Wanted,
    form_token: String,
}

/// Whether a bank asks on our pages.
pub(crate) fn asks_here(profile: &Profile) -> bool {
    profile.sca.contains(&ScaFlow::Embedded)
}

/// What the bank of the session wants, if it wants anything.
async fn question(
    oauth: &OAuth,
    session: &SessionRow,
) -> Result<Option<(LegSubject, ScaQuestion)>, PageError> {
    let subjects = match session.kind.as_str() {
        "payment" => {
            let id = payment_of(oauth, session).await?.id;
            let cancels = cancellation::is_for(session);
            vec![if cancels { LegSubject::Cancellation(id) } else { LegSubject::Payment(id) }]
        }
        "mandate" => vec![LegSubject::Mandate(mandate_of(oauth, session).await?.id)],
        _ => {
            let consents = plan_of(session)?.request.asked.consents;
            consents.into_iter().map(LegSubject::Consent).collect()
        }
    };
    for subject in subjects {
        if let Some(question) = oauth.gateway.sca_question(session.id, subject).await? {
            return Ok(Some((subject, question)));
        }
    }
    Ok(None)
}

/// Whether the bank wants something of the PSU, and nothing is on its way to it.
pub(crate) async fn asks_now(oauth: &OAuth, session: &SessionRow) -> Result<bool, PageError> {
    Ok(question(oauth, session).await?.is_some_and(|(_, question)| !question.busy))
}

/// `GET /consent/{session}/sca`.
pub(crate) async fn show_consent(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    show(&oauth, visit(&oauth, id, "authorization", &headers).await?, &peer, &headers).await
}

/// `GET /pay/{session}/sca`.
pub(crate) async fn show_payment(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    show(&oauth, visit(&oauth, id, "payment", &headers).await?, &peer, &headers).await
}

/// `GET /mandate/{session}/sca`.
pub(crate) async fn show_mandate(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    show(&oauth, visit(&oauth, id, "mandate", &headers).await?, &peer, &headers).await
}

/// `POST /mandate/{session}/sca`.
pub(crate) async fn answer_mandate(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "mandate", &headers, &form).await?;
    answer(&oauth, &session, form, &peer, &headers).await
}

/// `POST /consent/{session}/sca`.
pub(crate) async fn answer_consent(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "authorization", &headers, &form).await?;
    answer(&oauth, &session, form, &peer, &headers).await
}

/// `POST /pay/{session}/sca`.
pub(crate) async fn answer_payment(
    State(oauth): State<OAuth>,
    Path(id): Path<SessionId>,
    Extension(peer): Extension<PeerIdentity>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Result<Response, PageError> {
    let session = posted(&oauth, id, "payment", &headers, &form).await?;
    answer(&oauth, &session, form, &peer, &headers).await
}

async fn show(
    oauth: &OAuth,
    visit: Visit,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    let Visit { session, browser, frame } = visit;
    let place = time::place(&session);
    let Some((subject, question)) = question(oauth, &session).await? else {
        return Ok(go(&format!("{place}/wait")));
    };
    let profile = oauth.gateway.registry().profile(&question.institution);
    let bank = profile.as_ref().map_or(question.institution.as_str(), |profile| profile.name.as_str());
    let form_token = browser.form_token();
    if question.busy {
        // The same form, sent twice: the first one is at the bank.
        return Ok(WaitPage { frame: &frame, bank, place, form_token }.response());
    }
    if sandbox_decision(oauth, headers).is_some()
        && let Some(input) = profile.as_deref().and_then(|profile| known_to_all(profile, &question))
    {
        return give(oauth, &session, subject, question.number, input, peer, headers).await;
    }
    let t = frame.t;
    let number = question.number;
    let log_in = || t.sca.log_in.with("bank", bank);
    let (heading, wanted, mistake) = match question.step {
        EmbeddedStep::Identify => (log_in(), Wanted::Name, &t.sca.wrong_name),
        EmbeddedStep::Password => (log_in(), Wanted::Password, &t.sca.wrong_password),
        EmbeddedStep::SecondPassword => (log_in(), Wanted::SecondPassword, &t.sca.wrong_password),
        EmbeddedStep::Choose(methods) => {
            let methods = methods.into_iter().map(|method| choice(t, method)).collect();
            (t.sca.choose.to_string(), Wanted::Method(methods), &t.sca.wrong_method)
        }
        EmbeddedStep::Answer(challenge) => {
            (t.sca.confirm.to_string(), Wanted::Code(Box::new(code(t, *challenge))), &t.sca.wrong_code)
        }
        EmbeddedStep::Wait(_) | EmbeddedStep::Done | EmbeddedStep::Failed => {
            return Ok(go(&format!("{place}/wait")));
        }
    };
    let approves = match subject {
        LegSubject::Consent(_) => None,
        LegSubject::Payment(_) => Some(payment::title(&frame, &payment_of(oauth, &session).await?)),
        LegSubject::Cancellation(_) => Some(cancellation::title(&frame, &payment_of(oauth, &session).await?)),
        LegSubject::Mandate(_) => Some(mandate::title(&frame)),
    };
    let wrong = question.wrong.then_some(mistake);
    let again = format!("{place}/sca");
    let page = ScaPage { frame: &frame, heading, bank, approves, wrong, place, number, wanted, form_token };
    Ok(frame.picture_page(&page, &again))
}

fn choice(t: &'static Texts, method: ScaMethod) -> Choice {
    let name = method.name.unwrap_or_else(|| kind(t, method.kind).to_string());
    Choice { id: method.id, name, explanation: method.explanation }
}

fn code(t: &'static Texts, challenge: Challenge) -> Code {
    let longest = challenge.max_length.map(usize::from).filter(|length| (1..LONGEST).contains(length));
    let hint = longest.map(|length| {
        let text = if challenge.digits { &t.sca.digits } else { &t.sca.characters };
        text.with("count", length)
    });
    Code {
        method: challenge.method.map(|method| choice(t, method).name),
        words: challenge.words,
        image: challenge.image,
        data: challenge.data,
        hint,
        digits: challenge.digits,
        longest: longest.unwrap_or(LONGEST),
    }
}

fn kind(t: &'static Texts, kind: ScaMethodKind) -> &'static Text {
    match kind {
        ScaMethodKind::Sms => &t.sca.sms,
        ScaMethodKind::Chip => &t.sca.chip,
        ScaMethodKind::Photo => &t.sca.photo,
        ScaMethodKind::Push => &t.sca.push,
        ScaMethodKind::Mail => &t.sca.mail,
        ScaMethodKind::Other => &t.sca.other,
    }
}

/// What the sandbox fills in when nobody is there. Once: a bank that says no to it
/// is shown to whoever looks.
fn known_to_all(profile: &Profile, question: &ScaQuestion) -> Option<PsuInput> {
    let user = profile.sandbox_users.first().filter(|_| !question.wrong)?;
    match &question.step {
        EmbeddedStep::Identify => Some(PsuInput::Identification(user.username.clone())),
        EmbeddedStep::Password => Some(PsuInput::Password(user.password.clone())),
        EmbeddedStep::Choose(methods) => Some(PsuInput::Method(methods.first()?.id.clone())),
        EmbeddedStep::Answer(_) => user.code.clone().map(PsuInput::Code),
        EmbeddedStep::SecondPassword | EmbeddedStep::Wait(_) | EmbeddedStep::Done | EmbeddedStep::Failed => {
            None
        }
    }
}

async fn answer(
    oauth: &OAuth,
    session: &SessionRow,
    mut form: HashMap<String, String>,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    let number = form.get("number").and_then(|number| number.parse().ok());
    let number = number.ok_or_else(|| PageError::form(Reason::Form))?;
    let Some((subject, _)) = question(oauth, session).await? else {
        return Ok(go(&format!("{}/wait", time::place(session))));
    };
    let mut typed = |name: &str| {
        let text = form.remove(name)?;
        let fits = !text.is_empty() && text.chars().count() <= LONGEST;
        fits.then_some(text)
    };
    let named = typed("psu_id");
    if named.as_ref().is_some_and(|name| !name.bytes().all(|byte| (b' '..=b'~').contains(&byte))) {
        // It goes in a header.
        return Err(PageError::form(Reason::Form));
    }
    let input = if let Some(name) = named {
        PsuInput::Identification(name)
    } else if let Some(password) = typed("second_password") {
        PsuInput::SecondPassword(SecretString::from(password))
    } else if let Some(password) = typed("password") {
        PsuInput::Password(SecretString::from(password))
    } else if let Some(method) = typed("method") {
        PsuInput::Method(method)
    } else if let Some(code) = typed("code") {
        // As devices show it: in groups.
        PsuInput::Code(SecretString::from(code.split_whitespace().collect::<String>()))
    } else {
        return Err(PageError::form(Reason::Form));
    };
    give(oauth, session, subject, number, input, peer, headers).await
}

async fn give(
    oauth: &OAuth,
    session: &SessionRow,
    subject: LegSubject,
    number: i64,
    input: PsuInput,
    peer: &PeerIdentity,
    headers: &HeaderMap,
) -> Result<Response, PageError> {
    let place = time::place(session);
    let psu = presence(peer, headers);
    match oauth.gateway.answer_sca(session.id, subject, number, input, &psu).await {
        Ok(NextStep::Ask) => Ok(go(&format!("{place}/sca"))),
        Ok(
            NextStep::Redirect(_)
            | NextStep::Wait(_)
            | NextStep::GoOn
            | NextStep::Authorized
            | NextStep::Ended(_),
        ) => Ok(go(&format!("{place}/wait"))),
        // It came to nothing, which the consent or payment knows; the next page tells.
        Err(FlowError::Bank(_)) if oauth.gateway.sca_question(session.id, subject).await?.is_none() => {
            Ok(go(&format!("{place}/wait")))
        }
        Err(error) => Err(error.into()),
    }
}
