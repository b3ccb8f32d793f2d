//! What a cluster asks of a process: whether it lives, whether it has started, whether to send it anything.
//!
//! It is answered by a thread of its own, so that it is answered when all others are busy. Being ready is
//! about this process: what all processes share, such as a database, takes nobody out of service when it is
//! away, since there would be nobody left to say so. It is named all the same.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Time between two beats of the threads that answer.
const BEAT: Duration = Duration::from_millis(500);
/// How long they may be silent.
const SILENT: Duration = Duration::from_secs(10);

/// How a process is, as it says itself.
#[derive(Debug)]
pub(crate) struct Condition {
    born: Instant,
    /// Milliseconds after birth.
    beat: AtomicU64,
    started: AtomicBool,
    leaving: AtomicBool,
    shared: arc_swap::ArcSwap<Vec<Missing>>,
}

/// Something shared that is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// What it is, such as `store.eu`.
    pub(crate) what: String,
    /// What is said of it.
    pub(crate) why: String,
}

impl Condition {
    /// A process that has just been born.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            beat: AtomicU64::new(0),
            started: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            shared: arc_swap::ArcSwap::default(),
        })
    }

    /// It answers from now on.
    pub(crate) fn started(&self) {
        self.started.store(true, Ordering::Relaxed);
    }

    /// It is not to be sent anything any more.
    pub(crate) fn leaving(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    /// What of what is shared is away.
    pub(crate) fn misses(&self, missing: Vec<Missing>) {
        self.shared.store(Arc::new(missing));
    }

    /// Beats on the threads that answer, until `stop`.
    pub(crate) async fn beat(self: Arc<Self>, stop: CancellationToken) {
        let mut beat = tokio::time::interval(BEAT);
        while stop.run_until_cancelled(beat.tick()).await.is_some() {
            let at = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.beat.store(at, Ordering::Relaxed);
        }
    }

    fn silent_for(&self) -> Duration {
        self.born.elapsed().saturating_sub(Duration::from_millis(self.beat.load(Ordering::Relaxed)))
    }

    fn lives(&self) -> Result<(), String> {
        let silent = self.silent_for();
        if silent <= SILENT { Ok(()) } else { Err(format!("threads silent for {} s", silent.as_secs())) }
    }

    fn is_ready(&self) -> Result<(), &'static str> {
        match () {
            () if self.leaving.load(Ordering::Relaxed) => Err("leaving"),
            () if !self.started.load(Ordering::Relaxed) => Err("starting"),
            () => Ok(()),
        }
    }

    fn view(&self, status: &str, reasons: &[String]) -> Value {
        let missing = self.shared.load();
        let degraded = missing.iter().map(|missing| json!({ "what": missing.what, "why": missing.why }));
        json!({ "status": status, "reasons": reasons, "degraded": degraded.collect::<Vec<_>>() })
    }
}

/// The routes; `metrics` makes the page of figures.
pub(crate) fn routes(condition: Arc<Condition>, metrics: Arc<dyn Fn() -> String + Send + Sync>) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/startupz", get(startupz))
        .with_state(condition)
        .route("/metrics", get(move || std::future::ready(page(&*metrics))))
}

fn page(metrics: &(dyn Fn() -> String + Send + Sync)) -> Response {
    let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(http::header::CONTENT_TYPE, media)], metrics()).into_response()
}

fn answer(condition: &Condition, outcome: Result<(), String>) -> Response {
    match outcome {
        Ok(()) => Json(condition.view("ok", &[])).into_response(),
        Err(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(condition.view("unavailable", &[why]))).into_response()
        }
    }
}

async fn livez(State(condition): State<Arc<Condition>>) -> Response {
    let outcome = condition.lives();
    answer(&condition, outcome)
}

async fn readyz(State(condition): State<Arc<Condition>>) -> Response {
    let outcome = condition.lives().and_then(|()| condition.is_ready().map_err(str::to_owned));
    answer(&condition, outcome)
}

async fn startupz(State(condition): State<Arc<Condition>>) -> Response {
    let started = condition.started.load(Ordering::Relaxed);
    answer(&condition, if started { Ok(()) } else { Err("starting".to_owned()) })
}

/// Binds, and answers on a thread of its own until `stop`.
///
/// # Errors
///
/// If the address is taken.
pub(crate) fn listen(
    address: SocketAddr,
    routes: Router,
    stop: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let taken = || format!("{address} is taken: say another one as listen.operations");
    let socket = std::net::TcpListener::bind(address).with_context(taken)?;
    socket.set_nonblocking(true)?;
    let bound = socket.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("operations".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let served = async {
                let socket = TcpListener::from_std(socket)?;
                axum::serve(socket, routes).with_graceful_shutdown(stop.clone().cancelled_owned()).await
            };
            if let Err(error) = served.await {
                tracing::error!(error = %error, "Nobody answers whether this process lives");
            }
        });
    })?;
    Ok(bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_between_its_start_and_its_leave() {
        let condition = Condition::new();
        assert_eq!(condition.is_ready(), Err("starting"));
        condition.started();
        assert_eq!(condition.is_ready(), Ok(()));
        assert_eq!(condition.lives(), Ok(()));
        let missing = Missing { what: "store.eu".to_owned(), why: "the database failed".to_owned() };
        condition.misses(vec![missing]);
        assert_eq!(condition.is_ready(), Ok(()), "others would be as unready");
        assert_eq!(condition.view("ok", &[])["degraded"][0]["what"], "store.eu");
        condition.leaving();
        assert_eq!(condition.is_ready(), Err("leaving"));
    }

    #[test]
    fn threads_that_are_stuck_are_noticed() {
        let mut condition = Condition {
            born: Instant::now(),
            beat: AtomicU64::new(0),
            started: AtomicBool::new(true),
            leaving: AtomicBool::new(false),
            shared: arc_swap::ArcSwap::default(),
        };
        condition.born = condition.born.checked_sub(Duration::from_secs(11)).unwrap();
        assert_eq!(condition.lives(), Err("threads silent for 11 s".to_owned()));
    }
}
