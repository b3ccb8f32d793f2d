//! A bell between the processes of one installation, through Redis: "there is
//! something new in the store". It carries no data, and nothing depends on it
//! being heard: whoever misses it looks a little later.

use std::fmt;

use crate::servers::Servers;

/// Where it is rung. Installations that share a Redis hear each other, which
/// costs a look.
const CHANNEL: &str = "consentry:invalidations";

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
pub struct Bell(Servers);

impl fmt::Debug for Bell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bell").finish_non_exhaustive()
    }
}

impl Bell {
    /// A bell at `url` (`redis://…`, `rediss://…`, or `redis+sentinel://…` with the sentinels and
    /// what they watch). Connects when it is first needed, and again when the connection is lost.
    ///
    /// # Errors
    ///
    /// [`BellError`] if `url` is no address of a Redis.
    pub fn at(url: &str) -> Result<Self, BellError> {
        Ok(Self(Servers::at(url, 1)?))
    }

    /// Rings.
    ///
    /// # Errors
    ///
    /// [`BellError`] if Redis does not answer.
    pub async fn ring(&self) -> Result<(), BellError> {
        self.0.ask::<()>(redis::cmd("PUBLISH").arg(CHANNEL).arg("")).await?;
        Ok(())
    }

    /// Whether Redis answers.
    ///
    /// # Errors
    ///
    /// [`BellError`] if it does not.
    pub async fn answers(&self) -> Result<(), BellError> {
        self.0.ask::<()>(&redis::cmd("PING")).await?;
        Ok(())
    }

    /// Listens until the connection ends.
    ///
    /// # Errors
    ///
    /// [`BellError`] if Redis does not answer.
    pub async fn listen(&self, heard: impl Fn(Heard)) -> Result<(), BellError> {
        self.0.listen(CHANNEL, || heard(Heard::Listening), || heard(Heard::Ring)).await?;
        Ok(())
    }
}
