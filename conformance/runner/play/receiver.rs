//! A receiver of webhooks, as a client would run one: it keeps what comes, and answers as it is told.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::http::Identity;

/// What was delivered.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    /// Where to.
    pub(super) path: String,
    /// Headers, names in small letters.
    pub(super) headers: Vec<(String, String)>,
    /// The very bytes.
    pub(super) body: Bytes,
}

impl Delivery {
    /// A header.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

/// An answer that is given.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) status: u16,
    pub(super) location: Option<String>,
}

#[derive(Debug, Default)]
struct State {
    arrived: Vec<Delivery>,
    planned: VecDeque<Planned>,
}

/// A receiver that is running.
#[derive(Debug)]
pub(super) struct Receiver {
    port: u16,
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Receiver {
    /// A receiver on a free port of this machine, with a certificate that the sender trusts.
    pub(super) async fn start(identity: &Identity) -> anyhow::Result<Self> {
        let (chain, key) = identity.parts();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let (state, news) = (Arc::new(Mutex::new(State::default())), Arc::new(Notify::new()));
        let (kept, told) = (Arc::clone(&state), Arc::clone(&news));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, state, news) = (acceptor.clone(), Arc::clone(&kept), Arc::clone(&told));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                        let (state, news) = (Arc::clone(&state), Arc::clone(&news));
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body
                                .collect()
                                .await
                                .map(http_body_util::Collected::to_bytes)
                                .unwrap_or_default();
                            let headers = head.headers.iter();
                            let headers = headers
                                .map(|(name, value)| {
                                    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
                                })
                                .collect();
                            let path = head.uri.path().to_owned();
                            let planned = {
                                let mut state = locked(&state);
                                state.arrived.push(Delivery { path, headers, body });
                                state.planned.pop_front()
                            };
                            news.notify_waiters();
                            let planned = planned.unwrap_or(Planned { status: 204, location: None });
                            let mut answer = hyper::Response::builder().status(planned.status);
                            if let Some(location) = planned.location {
                                answer = answer.header("location", location);
                            }
                            Ok::<_, Infallible>(answer.body(Full::new(Bytes::new())).unwrap_or_default())
                        }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { port, state, news, serving })
    }

    /// Its address.
    pub(super) fn url(&self) -> String {
        format!("https://localhost:{}/hooks", self.port)
    }

    /// What the next deliveries are answered with; then 204 again.
    pub(super) fn plan(&self, planned: impl IntoIterator<Item = Planned>) {
        locked(&self.state).planned.extend(planned);
    }

    /// What has come.
    pub(super) fn arrived(&self) -> Vec<Delivery> {
        locked(&self.state).arrived.clone()
    }

    /// Waits until so many have come.
    pub(super) async fn wait_for(&self, number: usize) -> Option<Vec<Delivery>> {
        let waiting = async {
            loop {
                let notified = self.news.notified();
                tokio::pin!(notified);
                // From now on nothing is missed.
                notified.as_mut().enable();
                let arrived = self.arrived();
                if arrived.len() >= number {
                    return arrived;
                }
                notified.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.ok()
    }
}
