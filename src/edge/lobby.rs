//! Threads for whom nobody knows, which give way to those that answer who is known: a handshake
//! is a millisecond of arithmetic that anybody may ask for, and looking into what a stranger
//! sends may take as long.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// How much they give way (nice(2)): beside a thread that does not, about a tenth of its time.
const GIVES_WAY: i32 = 10;

/// Threads for handshakes and for strangers' connections, as many as there are cores.
#[derive(Debug)]
pub struct Lobby(Option<Runtime>);

impl Lobby {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    pub fn open() -> io::Result<Arc<Self>> {
        let runtime = Builder::new_multi_thread()
            .enable_all()
            .thread_name("lobby")
            .on_thread_start(give_way)
            .build()?;
        Ok(Arc::new(Self(Some(runtime))))
    }

    /// Runs a future there; nothing, if it panics. It ends with the one that waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        AbortOnDropHandle::new(self.0.as_ref()?.spawn(future)).await.ok()
    }
}

/// The threads that answer.
#[derive(Clone, Debug)]
pub(crate) struct Home(pub(crate) Handle);

impl Home {
    /// Runs a future there; nothing, if it panics. It ends with the one that waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        AbortOnDropHandle::new(self.0.spawn(future)).await.ok()
    }
}

/// From within a runtime another one can only be left alone to end.
impl Drop for Lobby {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Of the thread that asks. Where that cannot be had, strangers count as much as clients.
fn give_way() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(GIVES_WAY) {
        tracing::debug!(error = %error, "Threads for strangers do not give way");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_there_gives_way_and_ends_with_its_caller() {
        let lobby = Lobby::open().unwrap();
        #[cfg(target_os = "linux")]
        {
            let there =
                lobby.run(async { rustix::process::getpriority_process(None).unwrap() }).await.unwrap();
            let here = rustix::process::getpriority_process(None).unwrap();
            assert_eq!(there, (here + GIVES_WAY).min(19), "19 is the most");
        }
        let (kept, gone) = tokio::sync::oneshot::channel::<()>();
        let forever = lobby.run(async move {
            std::future::pending::<()>().await;
            drop(kept);
        });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), forever).await.is_err());
        assert!(gone.await.is_err(), "it was dropped");
        assert_eq!(lobby.run(async { panic!("on purpose") }).await, None::<()>);
    }
}
