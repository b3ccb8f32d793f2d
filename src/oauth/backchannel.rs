//! CIBA (Client-Initiated Backchannel Authentication, poll and ping): the PSU
//! is asked in the bank's app, without a browser of ours.
//!
//! The hint is the PSU's login name at the bank, and every consent asked for
//! is at a bank whose approach is decoupled: the bank's app is where the PSU
//! sees who asks and decides.

use axum::Json;
use axum::extract::State;
use connect::{PsuPresence, ScaFlow};
use domain::{ConsentId, ConsentStatus, SessionId, Timestamp};
use flows::{FlowError, NextStep};
use http::HeaderMap;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::backchannel::BackchannelRow;
use store::sessions::SessionRow;
use url::Url;

use crate::authenticate::{ClientForm, claim};
use crate::client::{CIBA_GRANT, Delivery};
use crate::form::Form;
use crate::granting::{self, NotGranted};
use crate::pages::sandbox_decision;
use crate::par::{Asked, may_use, what_is_asked};
use crate::{OAuth, OAuthError, request_object, seconds_after, token};

/// What is asked of a PSU without a browser.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    #[serde(flatten)]
    asked: Asked,
    /// Whom to tell, for ping: address, its token, and the id in the clear.
    ping: Option<Ping>,
    /// What the sandbox decides in the PSU's stead.
    decision: Option<bool>,
}

/// CIBA Core §10.2.
#[derive(Clone, Serialize, Deserialize)]
struct Ping {
    endpoint: Url,
    token: String,
    auth_req_id: String,
}

/// What opens the client's endpoint is not printed.
impl std::fmt::Debug for Ping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ping").field("endpoint", &self.endpoint.as_str()).finish_non_exhaustive()
    }
}

/// Seconds that a request lives, unless the client asks for less.
const LIFE: i64 = 300;
/// Seconds between two polls of a client (CIBA Core §7.3).
const INTERVAL: i64 = 5;
/// Seconds between two looks at the banks.
const LOOK: i64 = 1;
/// Seconds that one look may take before another process may try.
const LOOK_LEASE: i64 = 60;

/// `POST /oauth/bc-authorize`.
pub(crate) async fn authorize(
    State(oauth): State<OAuth>,
    headers: HeaderMap,
    asked: ClientForm,
) -> Result<Json<Value>, OAuthError> {
    may_use(&asked, CIBA_GRANT)?;
    let client = &asked.client;
    let gateway = &oauth.gateway;
    let now = gateway.clock().now();
    let request = asked.form.need("request", "the request is signed (request is missing)")?;
    let claims = request_object::claims(client, &gateway.config().issuer, request, now)?;
    // FAPI-CIBA §5.2.2: the signed request says when it was made, and is used once.
    let jti = claims.get("jti").and_then(Value::as_str).filter(|jti| !jti.is_empty() && jti.len() <= 512);
    if crypto::jws::numeric_date(claims.get("iat")).is_none_or(|iat| iat > now.as_second().saturating_add(15))
    {
        return Err(OAuthError::new(
            "invalid_request",
            "the signed request has no iat, or one from the future",
        ));
    }
    let jti = jti.ok_or_else(|| OAuthError::request("the signed request has no jti"))?;
    // Beside the ids of client assertions, which are other ones.
    let jti = crypto::digest::sha256_hex(format!("backchannel {jti}").as_bytes());
    let form = Form::of_claims(claims);
    let login = hint(&form)?;
    message_is_plain(&form)?;
    let what = what_is_asked(&oauth, &asked, &form).await?;
    for id in &what.consents {
        asks_in_its_app(&oauth, &client.id, *id).await?;
    }
    let decision = sandbox_decision(&oauth, &headers);
    // Anything but account access needs the PSU's eyes on amount and payee.
    if decision.is_none() && (what.consents.is_empty() || what.consents.len() != what.details.len()) {
        return Err(OAuthError::request(
            "authorization_details name consents, at banks that ask in their app, and nothing else",
        ));
    }
    let life = match form.get("requested_expiry").map(str::parse::<i64>) {
        Some(Ok(seconds @ 1..)) => seconds.min(LIFE),
        Some(_) => return Err(OAuthError::request("requested_expiry is a positive number of seconds")),
        None => LIFE,
    };
    let auth_req_id = gateway.token_from_home(32);
    let consents = what.consents.clone();
    let plan = Plan { asked: what, ping: ping(&asked, &form, auth_req_id.expose_secret())?, decision };
    let end = seconds_after(now, life);
    let plan = serde_json::to_value(&plan).map_err(|_| OAuthError::request("the request cannot be kept"))?;
    let row = BackchannelRow {
        digest: crypto::digest::sha256_hex(auth_req_id.expose_secret().as_bytes()),
        client_id: client.id.clone(),
        session: SessionId::new(gateway.clock(), gateway.entropy()),
        plan,
        status: "pending".to_owned(),
        grant: None,
        poll_after: now,
        // The first look is this process's, which knows where the PSU is.
        next_look_at: Some(seconds_after(now, LOOK_LEASE)),
        expires_at: end,
    };
    let used = OAuthError::request("the signed request was used before");
    claim(&oauth, &client.id, &jti, seconds_after(now, 7_200), used).await?;
    let session = SessionRow {
        id: row.session,
        kind: "backchannel".to_owned(),
        client_id: client.id.clone(),
        browser_digest: None,
        plan: json!({}),
        status: "open".to_owned(),
        expires_at: end,
    };
    store::transaction!(keyed gateway.stores().global(), tx => {
        tx.open_session(&session).await?;
        tx.open_backchannel(&row).await
    })?;
    // What is personal goes to its region; this store keeps none of it.
    for id in &consents {
        gateway.note_psu_name(*id, &login).await?;
    }
    let psu = presence(&headers, &asked);
    // The answer does not wait for banks.
    tokio::spawn(look(oauth.clone(), row, Some(psu)));
    Ok(Json(json!({
        "auth_req_id": auth_req_id.expose_secret(),
        "expires_in": life,
        "interval": INTERVAL,
    })))
}

/// CIBA Core §7.1: exactly one hint; here it is the login name at the bank.
fn hint(form: &Form) -> Result<String, OAuthError> {
    let given: Vec<_> = ["login_hint", "id_token_hint", "login_hint_token"]
        .into_iter()
        .filter_map(|name| form.get(name).map(|value| (name, value)))
        .collect();
    match given.as_slice() {
        [("login_hint", login)] => {
            let plain = login.len() <= 100 && !login.chars().any(char::is_control);
            if plain {
                Ok((*login).to_owned())
            } else {
                Err(OAuthError::new("unknown_user_id", "login_hint is no login name"))
            }
        }
        [_] => Err(OAuthError::request("the hint is login_hint: the login name at the bank")),
        _ => Err(OAuthError::request("exactly one hint is needed")),
    }
}

/// CIBA Core §7.1: `binding_message` is short and plain, as a phone shows it.
fn message_is_plain(form: &Form) -> Result<(), OAuthError> {
    let plain = |text: &str| text.chars().count() <= 60 && !text.chars().any(char::is_control);
    match form.get("binding_message") {
        Some(text) if !plain(text) => Err(OAuthError::new(
            "invalid_binding_message",
            "binding_message has at most 60 printable characters",
        )),
        Some(_) | None => Ok(()),
    }
}

async fn asks_in_its_app(oauth: &OAuth, client_id: &str, id: ConsentId) -> Result<(), OAuthError> {
    let consent = oauth.gateway.consent(client_id, id).await?;
    let profile = consent.institution.as_ref().and_then(|bank| oauth.gateway.registry().profile(bank));
    // What the bank is not asked for, nobody is asked for without our page.
    let outside = oauth.gateway.is_given_outside(&consent);
    if !outside && profile.is_some_and(|profile| profile.sca.contains(&ScaFlow::Decoupled)) {
        return Ok(());
    }
    Err(OAuthError::request(
        "the bank of the consent does not ask in its app: send the PSU to it by a browser",
    ))
}

/// Where the PSU is: as the client says, or else where the client is (Berlin
/// Group, PSU-IP-Address).
fn presence(headers: &HeaderMap, asked: &ClientForm) -> PsuPresence {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    PsuPresence {
        ip_address: text("psu-ip-address").and_then(|ip| ip.parse().ok()).unwrap_or(asked.address),
        user_agent: text("psu-user-agent").map(str::to_owned),
        accept_language: text("psu-accept-language").map(str::to_owned),
        last_authenticated: None,
    }
}

fn ping(asked: &ClientForm, form: &Form, auth_req_id: &str) -> Result<Option<Ping>, OAuthError> {
    let Some(Delivery::Ping(endpoint)) = &asked.client.delivery else { return Ok(None) };
    let endpoint = Url::parse(endpoint).map_err(|_| OAuthError::server())?;
    let token = form.need("client_notification_token", "client_notification_token is missing")?;
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if token.len() > 1_024 || !token.bytes().all(allowed) {
        return Err(OAuthError::request("client_notification_token is no bearer token (RFC 6750)"));
    }
    Ok(Some(Ping { endpoint, token: token.to_owned(), auth_req_id: auth_req_id.to_owned() }))
}

impl OAuth {
    /// Asks the banks of every request that is due; returns how many.
    ///
    /// # Errors
    ///
    /// [`FlowError::Store`] if the database fails.
    pub async fn ask_backchannel_banks(&self) -> Result<usize, FlowError> {
        let due = self.gateway.stores().global().backchannel_due(self.gateway.clock().now()).await?;
        let elsewhere = &self.gateway.config().elsewhere;
        // Another cell's consents are asked about there.
        let ours = |row: &BackchannelRow| {
            let plan = serde_json::from_value::<Plan>(row.plan.clone());
            !plan.is_ok_and(|plan| plan.asked.consents.iter().any(|id| elsewhere.contains(&id.region())))
        };
        let due: Vec<_> = due.into_iter().filter(ours).collect();
        let started = due.len();
        for row in due {
            tokio::spawn(look(self.clone(), row, None));
        }
        Ok(started)
    }
}

/// One look at the banks of a request, by one process at a time.
async fn look(oauth: OAuth, row: BackchannelRow, psu: Option<PsuPresence>) {
    match take_a_look(&oauth, &row, psu.as_ref()).await {
        Ok(()) | Err(FlowError::Store(StoreError::Conflict)) => {}
        Err(error) => {
            tracing::warn!(error = %error, client.id = row.client_id, "A backchannel request waits")
        }
    }
}

async fn take_a_look(
    oauth: &OAuth,
    row: &BackchannelRow,
    psu: Option<&PsuPresence>,
) -> Result<(), FlowError> {
    let global = oauth.gateway.stores().global();
    let now = oauth.gateway.clock().now();
    let lease = seconds_after(now, LOOK_LEASE);
    store::transaction!(global, tx => { tx.take_backchannel_look(row, lease).await })?;
    let taken = BackchannelRow { next_look_at: Some(lease), ..row.clone() };
    let Ok(plan) = serde_json::from_value::<Plan>(row.plan.clone()) else {
        return settle(oauth, &taken, None, "denied").await;
    };
    let refused = match progress(oauth, row, &plan, psu, now).await? {
        Progress::Waiting if row.expires_at > now => {
            let waiting = store::transaction!(global, tx => {
                tx.take_backchannel_look(&taken, seconds_after(now, LOOK)).await
            });
            return waiting.map_err(FlowError::from);
        }
        Progress::Waiting => return settle(oauth, &taken, Some(&plan), "denied").await,
        Progress::Decided { refused } => refused,
    };
    let granted = match granting::of(oauth, &row.client_id, &plan.asked, &refused).await {
        Ok(granted) if plan.decision != Some(false) => granted,
        Ok(_) | Err(NotGranted::Denied | NotGranted::GrantGone) => {
            return settle(oauth, &taken, Some(&plan), "denied").await;
        }
        Err(NotGranted::Store(error)) => return Err(error),
    };
    let changed = store::transaction!(global, tx => {
        let changed = granted.record(&oauth.gateway, tx).await?;
        tx.settle_backchannel(&row.digest, "approved", Some(granted.id())).await?;
        Ok::<_, StoreError>(changed)
    })?;
    if let Some(changed) = changed {
        oauth.gateway.until_dropped(&changed).await?;
    }
    tell(oauth, &plan).await;
    Ok(())
}

async fn settle(
    oauth: &OAuth,
    row: &BackchannelRow,
    plan: Option<&Plan>,
    status: &str,
) -> Result<(), FlowError> {
    store::transaction!(oauth.gateway.stores().global(), tx => {
        tx.settle_backchannel(&row.digest, status, None).await
    })?;
    if let Some(plan) = plan {
        tell(oauth, plan).await;
    }
    Ok(())
}

/// CIBA Core §10.2: a ping says that there is something to fetch, not what. A
/// client that is not reached still has its polls.
async fn tell(oauth: &OAuth, plan: &Plan) {
    let Some(ping) = &plan.ping else { return };
    let body = json!({ "auth_req_id": ping.auth_req_id }).to_string();
    if let Err(error) = oauth.gateway.notify(&ping.endpoint, &ping.token, &body).await {
        tracing::warn!(error, "A client could not be pinged");
    }
}

enum Progress {
    /// A bank still asks.
    Waiting,
    /// Every bank has an answer.
    Decided { refused: Vec<ConsentId> },
}

async fn progress(
    oauth: &OAuth,
    row: &BackchannelRow,
    plan: &Plan,
    psu: Option<&PsuPresence>,
    now: Timestamp,
) -> Result<Progress, FlowError> {
    let gateway = &oauth.gateway;
    let (mut refused, mut waiting) = (Vec::new(), false);
    for id in &plan.asked.consents {
        if plan.decision == Some(false) || row.expires_at <= now {
            gateway.decline_consent(*id).await?;
            refused.push(*id);
            continue;
        }
        let step = match (gateway.consent(&row.client_id, *id).await?.status, psu) {
            (ConsentStatus::Created, Some(psu)) => gateway.start_consent(row.session, *id, psu).await,
            // The process that knew where the PSU is ended before the bank was asked.
            (ConsentStatus::Created, None) => Ok(NextStep::Ended(ConsentStatus::Failed)),
            (_, _) => gateway.poll_consent(*id).await,
        };
        match step {
            Ok(NextStep::Authorized) => {}
            Ok(NextStep::Wait(_)) => waiting = true,
            // The bank wants a browser after all, or said no.
            Ok(NextStep::Redirect(_) | NextStep::Ask | NextStep::GoOn | NextStep::Ended(_)) => {
                gateway.decline_consent(*id).await?;
                refused.push(*id);
            }
            // A bank that does not answer for once, or another step that was
            // first; one that refused for good has ended the consent.
            Err(FlowError::Bank(_) | FlowError::Store(StoreError::Conflict)) => {
                if gateway.consent(&row.client_id, *id).await?.status.is_final() {
                    refused.push(*id);
                } else {
                    waiting = true;
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(if waiting { Progress::Waiting } else { Progress::Decided { refused } })
}

/// The token endpoint's part of CIBA (Core §10.1, §11).
pub(crate) async fn redeem(oauth: &OAuth, asked: &ClientForm) -> Result<Value, OAuthError> {
    let id = asked.form.need("auth_req_id", "auth_req_id is missing")?;
    let digest = crypto::digest::sha256_hex(id.as_bytes());
    let global = oauth.gateway.stores().global();
    let refused = || OAuthError::grant("the auth_req_id is not valid");
    let row = global.backchannel(&digest).await?.filter(|row| row.client_id == asked.client.id);
    let row = row.ok_or_else(refused)?;
    let now = oauth.gateway.clock().now();
    if row.expires_at <= now {
        return Err(OAuthError::new("expired_token", "the PSU did not decide in time"));
    }
    match row.status.as_str() {
        "approved" => {}
        "denied" => return Err(OAuthError::new("access_denied", "the PSU or the bank refused")),
        "pending" => {
            let noted = store::transaction!(global, tx => {
                tx.note_backchannel_poll(&digest, now, seconds_after(now, INTERVAL)).await
            });
            return match noted {
                Ok(()) => Err(OAuthError::new("authorization_pending", "the PSU has not decided yet")),
                Err(StoreError::Conflict) => {
                    Err(OAuthError::new("slow_down", "ask every five seconds at most"))
                }
                Err(error) => Err(error.into()),
            };
        }
        _ => return Err(refused()),
    }
    let cnf = asked.confirmation()?;
    let grant = row.grant.ok_or_else(refused)?;
    let grant = global.grant(grant).await?.filter(|grant| grant.revoked_at.is_none()).ok_or_else(refused)?;
    let scope = token::still_covered(asked, &grant.scope)?;
    let issued = store::transaction!(global, tx => {
        match tx.redeem_backchannel(&digest).await {
            Ok(()) => token::issue(oauth, tx, asked, cnf, &grant, &scope, None).await,
            Err(StoreError::Conflict) => Err(token::NotIssued::Refused(refused())),
            Err(error) => Err(error.into()),
        }
    });
    Ok(issued?)
}
