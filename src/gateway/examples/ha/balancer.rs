//! A balancer of connections, as a Service of Kubernetes is one: it asks each of its backends whether
//! it is ready, sends new connections to those that are, and leaves open ones alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use super::processes::ask;

/// How often a backend is asked.
const BEAT: Duration = Duration::from_millis(250);
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(1);
/// After so many failures it gets nothing any more.
const FALL: u32 = 2;

/// What is asked, and where.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    pub port: u16,
    pub path: &'static str,
}

/// Those that connections may go to.
#[derive(Clone)]
pub struct Backends(Arc<[watch::Receiver<bool>]>);

impl Backends {
    /// Asks each again and again.
    pub fn asked(checks: &[Check]) -> Self {
        let each = checks.iter().map(|check| {
            let (tell, told) = watch::channel(false);
            tokio::spawn(look(*check, tell));
            told
        });
        Self(each.collect())
    }

    /// How many are ready.
    pub fn ready(&self) -> usize {
        self.0.iter().filter(|up| *up.borrow()).count()
    }

    /// Takes connections at a port for the backends at these ports, in the order of the checks. With
    /// `cuts`, those of a backend that is not ready any more are ended.
    pub async fn balance(&self, listen: u16, ports: Vec<u16>, cuts: bool) -> anyhow::Result<()> {
        let listener = TcpListener::bind(("127.0.0.1", listen)).await?;
        let backends = self.clone();
        let turns = AtomicUsize::new(0);
        tokio::spawn(async move {
            loop {
                let Ok((inner, _)) = listener.accept().await else { continue };
                let turn = turns.fetch_add(1, Ordering::Relaxed);
                let ready: Vec<_> = backends.0.iter().zip(&ports).filter(|(up, _)| *up.borrow()).collect();
                let Some((up, port)) = turn.checked_rem(ready.len()).and_then(|place| ready.get(place))
                else {
                    continue;
                };
                tokio::spawn(carry(inner, **port, cuts.then(|| (*up).clone())));
            }
        });
        Ok(())
    }
}

async fn look(check: Check, tell: watch::Sender<bool>) {
    let mut beat = interval(BEAT);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failed = FALL;
    while !tell.is_closed() {
        beat.tick().await;
        let answer = ask(check.port, "GET", check.path, "", PATIENCE).await;
        failed = match answer {
            Some((200, _)) => 0,
            // It says so itself.
            Some(_) => FALL,
            None => failed.saturating_add(1),
        };
        tell.send_if_modified(|up| std::mem::replace(up, failed < FALL) != (failed < FALL));
    }
}

async fn carry(mut inner: TcpStream, port: u16, cut: Option<watch::Receiver<bool>>) {
    let Ok(mut outer) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let _ = outer.set_nodelay(true);
    let _ = inner.set_nodelay(true);
    let severed = async {
        match cut {
            Some(mut up) => drop(up.wait_for(|up| !up).await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = severed => {}
        _ = tokio::io::copy_bidirectional(&mut inner, &mut outer) => {}
    }
}
