//! In which request something is done: what the audit log says of changes, without every function on
//! the way to the store having to know it.

use crypto::certificate::Thumbprint;
use domain::RequestId;

tokio::task_local! {
    static OCCASION: Occasion;
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    /// Its id.
    pub request: RequestId,
    /// The certificate of its connection, if one was shown.
    pub certificate: Option<Thumbprint>,
}

impl Occasion {
    /// Does something in this request. Changes that are made meanwhile are said to be of it.
    pub async fn of<T>(self, work: impl Future<Output = T>) -> T {
        OCCASION.scope(self, work).await
    }

    /// The request that is being worked on.
    pub(crate) fn now() -> Option<Self> {
        OCCASION.try_with(|occasion| *occasion).ok()
    }
}

/// Work that is of the same request as this, wherever it is done.
pub fn carried<T>(work: impl Future<Output = T> + Send) -> impl Future<Output = T> + Send {
    let occasion = Occasion::now();
    async move {
        match occasion {
            Some(occasion) => occasion.of(work).await,
            None => work.await,
        }
    }
}
