//! Threads for whom nobody knows, which give way to those that answer who is known: a handshake
//! is a millisecond of arithmetic that anybody may ask for, and looking into what a stranger
//! sends may take as long. Known clients that go on over their quota are served there, too, until they have kept to it
//! for a while.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// How much they give way (nice(2)): beside a thread that does not, about a tenth of its time.
const GIVES_WAY: i32 = 10;

/// Threads for handshakes and for strangers' connections, as many as there are cores, and one at the door: whoever
/// comes has not to wait for all that is done for those who are there.
#[derive(Debug)]
pub struct Lobby(Option<Threads>);

#[derive(Debug)]
struct Threads {
    lobby: Runtime,
    door: Runtime,
}

impl Lobby {
    /// Starts the threads.
    ///
    /// # Errors
    ///
    /// The operating system's error.
    pub fn open() -> io::Result<Arc<Self>> {
        let threads = |name: &str| {
            let mut builder = Builder::new_multi_thread();
            builder.enable_all().thread_name(name).on_thread_start(give_way);
            builder
        };
        let (lobby, door) = (threads("lobby").build()?, threads("door").worker_threads(1).build()?);
        Ok(Arc::new(Self(Some(Threads { lobby, door }))))
    }

    /// Runs a future there; nothing, if it panics. It ends with the one that waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        AbortOnDropHandle::new(self.0.as_ref()?.lobby.spawn(future)).await.ok()
    }

    /// The same at the door.
    pub(crate) async fn run_at_door(&self, future: impl Future<Output = ()> + Send + 'static) {
        if let Some(threads) = &self.0 {
            let _ = AbortOnDropHandle::new(threads.door.spawn(future)).await;
        }
    }

    /// Both rooms, where this runs at home.
    pub(crate) fn rooms(&self) -> Option<Rooms> {
        self.0
            .as_ref()
            .map(|threads| Rooms { home: Handle::current(), lobby: threads.lobby.handle().clone() })
    }
}

/// Where something runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// The threads that answer.
    Home,
    /// Those that give way.
    Lobby,
}

impl Room {
    /// The one that is not this one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Home => Self::Lobby,
            Self::Lobby => Self::Home,
        }
    }
}

/// The threads of both.
#[derive(Clone, Debug)]
pub(crate) struct Rooms {
    home: Handle,
    lobby: Handle,
}

impl Rooms {
    /// The threads of one.
    pub(crate) fn handle(&self, room: Room) -> &Handle {
        match room {
            Room::Home => &self.home,
            Room::Lobby => &self.lobby,
        }
    }

    /// Runs a future in one; nothing, if it panics. It ends with the one that waits for it.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        room: Room,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let threads = self.handle(room);
        let task = match room {
            Room::Home => threads.spawn(future),
            Room::Lobby => threads.spawn(Yielding::of(Box::pin(future))),
        };
        AbortOnDropHandle::new(task).await.ok()
    }
}

/// A future that lets other threads go first whenever it has done something.
///
/// A thread that gives way is still let go on for the rest of its slice, some milliseconds, when one that does
/// not awakes; what it does at a time takes a tenth of that.
pub(crate) struct Yielding<F> {
    inner: Pin<Box<F>>,
    let_go_first: fn(),
}

impl<F> Yielding<F> {
    /// Lets go first whom the operating system chooses (sched_yield(2)).
    pub(crate) fn of(inner: Pin<Box<F>>) -> Self {
        Self { inner, let_go_first: std::thread::yield_now }
    }
}

impl<F: Future> Future for Yielding<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.inner.as_mut().poll(cx);
        (self.let_go_first)();
        polled
    }
}

/// From within a runtime another one can only be left alone to end.
impl Drop for Lobby {
    fn drop(&mut self) {
        if let Some(Threads { lobby, door }) = self.0.take() {
            door.shutdown_background();
            lobby.shutdown_background();
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
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn others_go_first_after_each_piece_of_work() {
        static YIELDS: AtomicU32 = AtomicU32::new(0);
        let inner = Box::pin(async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            "done"
        });
        let let_go_first = || {
            YIELDS.fetch_add(1, Ordering::Relaxed);
        };
        assert_eq!(Yielding { inner, let_go_first }.await, "done");
        assert_eq!(YIELDS.load(Ordering::Relaxed), 3);
    }

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
