//! Quotas that processes share, through Redis. What is there may be lost at any time: it is
//! what was used lately, and each process goes on by what it knows itself.

use std::fmt;
use std::time::Duration;

use limits::{Ahead, Key, Pool, PoolLost, Spent};

use crate::bell::BellError;
use crate::servers::Servers;

/// Keys in one call: Redis does nothing else meanwhile.
const AT_ONCE: usize = 500;
/// Where processes say that they are there.
const PROCESSES: &str = "consentry:quotas:processes";

/// Adds what each key used to when all of it will have come back, and counts processes that
/// were here in the last five seconds. By the clock of Redis, in microseconds.
const SETTLE: &str = "
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - 5000000)
redis.call('PEXPIRE', KEYS[1], 10000)
local answer = { redis.call('ZCARD', KEYS[1]) }
for i = 2, #KEYS do
  local before = tonumber(redis.call('GET', KEYS[i]) or '0')
  local ahead = math.max(before - now, 0) + tonumber(ARGV[i])
  redis.call('SET', KEYS[i], string.format('%.0f', now + ahead), 'PX', math.ceil(ahead / 1000) + 1)
  answer[i] = ahead
end
return answer
";

/// A Redis in which processes settle quotas.
#[derive(Clone)]
pub struct RedisPool {
    servers: Servers,
    process: String,
}

impl fmt::Debug for RedisPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPool").finish_non_exhaustive()
    }
}

impl RedisPool {
    /// A pool at `url`, as [`Bell::at`](crate::bell::Bell::at) takes it, for the process of this name.
    ///
    /// # Errors
    ///
    /// [`BellError`] if `url` is no address of a Redis.
    pub fn at(url: &str, process: String) -> Result<Self, BellError> {
        Ok(Self { servers: Servers::at(url, 0)?, process })
    }

    async fn ask(&self, spent: &[Spent]) -> Result<(Vec<Ahead>, u32), PoolLost> {
        let mut command = redis::cmd("EVAL");
        command.arg(SETTLE).arg(spent.len().saturating_add(1)).arg(PROCESSES);
        for spent in spent {
            command.arg(name_of(spent));
        }
        command.arg(&self.process);
        for spent in spent {
            command.arg(u64::try_from(spent.part.as_micros()).unwrap_or(u64::MAX));
        }
        let answer: Vec<u64> = self.servers.ask(&command).await.map_err(lost)?;
        let (processes, ahead) = answer.split_first().ok_or(PoolLost)?;
        let ahead = ahead.iter().map(|micros| Duration::from_micros(*micros)).collect();
        Ok((ahead, u32::try_from(*processes).unwrap_or(1)))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "it is what map_err gives")]
fn lost(error: redis::RedisError) -> PoolLost {
    tracing::debug!(error = %error, "Redis does not answer");
    PoolLost
}

impl Pool for RedisPool {
    async fn settle(&self, spent: &[Spent]) -> Result<(Vec<Ahead>, u32), PoolLost> {
        let (mut ahead, mut processes) = self.ask(spent.get(..AT_ONCE).unwrap_or(spent)).await?;
        for more in spent.chunks(AT_ONCE).skip(1) {
            let (further, now) = self.ask(more).await?;
            ahead.extend(further);
            processes = now;
        }
        Ok((ahead, processes))
    }
}

/// Where what is spent of a key is kept. A digest: who has the Redis learns of nobody.
fn name_of(spent: &Spent) -> String {
    let Spent { policy, key, .. } = spent;
    let text = match key {
        Key::Certificate(thumbprint) => format!("{policy} certificate {}", crypto::digest::hex(thumbprint)),
        Key::Address(address) => format!("{policy} address {address}"),
        Key::Id(id) => format!("{policy} id {id}"),
    };
    format!("consentry:quotas:{}", crypto::digest::sha256_hex(text.as_bytes()))
}
