//! A bell between the processes of one installation, through Redis: "there is
//! something new in the store". It carries no data, and nothing depends on it
//! being heard: whoever misses it looks a little later.

use std::fmt;
use std::time::Duration;

use futures_util::StreamExt;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{AsyncCommands, Client};

/// Where it is rung. Installations that share a Redis hear each other, which
/// costs a look.
const CHANNEL: &str = "consentry:invalidations";
/// Longest wait for Redis.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why the bell does not ring.
#[derive(Debug, thiserror::Error)]
#[error("Redis does not answer")]
pub struct BellError(#[from] redis::RedisError);

/// What a listener hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It listens from now on; what was rung before, it has missed.
    Listening,
    /// Somebody rang.
    Ring,
}

/// A bell that every process with the same Redis hears.
#[derive(Clone)]
pub struct Bell {
    client: Client,
    ringer: ConnectionManager,
}

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

impl Bell {
    /// A bell at `url` (`redis://…` or `rediss://…`). Connects when it is first
    /// needed, and again when the connection is lost.
    ///
    /// # Errors
    ///
    /// [`BellError`] if `url` is no address of a Redis.
    pub fn at(url: &str) -> Result<Self, BellError> {
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(1);
        let ringer = client.get_connection_manager_lazy(config)?;
        Ok(Self { client, ringer })
    }

    /// Rings.
    ///
    /// # Errors
    ///
    /// [`BellError`] if Redis does not answer.
    pub async fn ring(&self) -> Result<(), BellError> {
        self.ringer.clone().publish::<_, _, ()>(CHANNEL, "").await?;
        Ok(())
    }

    /// Listens until the connection ends.
    ///
    /// # Errors
    ///
    /// [`BellError`] if Redis does not answer.
    pub async fn listen(&self, heard: impl Fn(Heard)) -> Result<(), BellError> {
        let mut listener = self.client.get_async_pubsub().await?;
        listener.subscribe(CHANNEL).await?;
        heard(Heard::Listening);
        let mut rings = listener.into_on_message();
        while rings.next().await.is_some() {
            heard(Heard::Ring);
        }
        Ok(())
    }
}
