//! The Redis of an address: one server, or the one that sentinels say is the primary now.
//!
//! `redis+sentinel://[user:password@]one:26379,two:26379/service` names the sentinels and what they
//! watch; who signs in does so at the servers, and at the sentinels with `?sentinel_password=…`.
//! `rediss+sentinel` is the same over TLS.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::{ConnectionManager, ConnectionManagerConfig, MultiplexedConnection, PubSub};
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, FromRedisValue, RedisError, RedisResult,
    TlsMode,
};
use tokio::sync::Mutex as Waited;

use crate::hosts::{addresses, parts};

/// Longest wait for a server, and for a sentinel.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often a listener looks whether its server is still the primary.
const LOOK: Duration = Duration::from_secs(2);

/// Where commands go.
#[derive(Clone)]
pub(crate) enum Servers {
    /// Connects when it is first needed, and again when the connection is lost.
    One(Box<(Client, ConnectionManager)>),
    Watched(Watched),
}

/// Servers of which one is the primary, as sentinels know.
#[derive(Clone)]
pub(crate) struct Watched {
    /// Each is asked by itself: one that hangs hinders nobody.
    sentinels: Arc<[Waited<SentinelClient>]>,
    current: Arc<Mutex<Option<MultiplexedConnection>>>,
}

impl Servers {
    /// The servers of an address. A command is tried again so often when the connection is lost.
    pub(crate) fn at(url: &str, retries: usize) -> RedisResult<Self> {
        if let Some(("redis+sentinel" | "rediss+sentinel", ..)) = parts(url) {
            return Ok(Self::Watched(Watched::at(url)?));
        }
        let client = Client::open(url)?;
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            .set_number_of_retries(retries);
        let connection = client.get_connection_manager_lazy(config)?;
        Ok(Self::One(Box::new((client, connection))))
    }

    /// Runs a command.
    pub(crate) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        match self {
            Self::One(one) => command.query_async(&mut one.1.clone()).await,
            Self::Watched(watched) => watched.ask(command).await,
        }
    }

    /// Listens to a channel: `begun` when it does, `heard` for each message, until the connection ends
    /// or the server is the primary no more.
    pub(crate) async fn listen(
        &self,
        channel: &str,
        begun: impl FnOnce(),
        heard: impl Fn(),
    ) -> RedisResult<()> {
        let client = match self {
            Self::One(one) => one.0.clone(),
            Self::Watched(watched) => watched.primary().await?,
        };
        let mut listener = client.get_async_pubsub().await?;
        listener.subscribe(channel).await?;
        begun();
        match self {
            Self::One(_) => hear(listener, heard).await,
            Self::Watched(watched) => tokio::select! {
                () = hear(listener, heard) => {}
                () = watched.moves_from(client.get_connection_info().addr()) => {}
            },
        }
        Ok(())
    }
}

async fn hear(listener: PubSub, heard: impl Fn()) {
    use futures_util::StreamExt;
    let mut messages = listener.into_on_message();
    while messages.next().await.is_some() {
        heard();
    }
}

impl Watched {
    fn at(url: &str) -> RedisResult<Self> {
        let sentinels = addresses(url).into_iter().map(|one| sentinel(&one).map(Waited::new));
        Ok(Self { sentinels: sentinels.collect::<RedisResult<_>>()?, current: Arc::default() })
    }

    /// The primary, as the first sentinel says that answers.
    async fn primary(&self) -> RedisResult<Client> {
        let each = self.sentinels.iter().map(|sentinel| {
            let asking = async { sentinel.lock().await.async_get_client().await };
            Box::pin(async { tokio::time::timeout(PATIENCE, asking).await.map_err(|_| no_answer())? })
        });
        Ok(select_ok(each).await?.0)
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut connection = match current {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let answer = command.query_async(&mut connection).await;
        if answer.is_err() {
            // Whatever it is: who is the primary is asked anew.
            *self.current.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        answer
    }

    async fn connect(&self) -> RedisResult<MultiplexedConnection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE));
        let primary = self.primary().await?;
        let connection = primary.get_multiplexed_async_connection_with_config(&config).await?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        Ok(connection)
    }

    /// Waits until another server is the primary. What hangs is not heard to end.
    async fn moves_from(&self, address: &ConnectionAddr) {
        loop {
            tokio::time::sleep(LOOK).await;
            match self.primary().await {
                Ok(primary) if primary.get_connection_info().addr() != address => return,
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// One of the sentinels that an address names.
fn sentinel(url: &str) -> RedisResult<SentinelClient> {
    let invalid = || RedisError::from((ErrorKind::InvalidClientConfig, "the address names no service"));
    let address = url::Url::parse(url).map_err(|_| invalid())?;
    let host = address.host_str().ok_or_else(invalid)?.trim_matches(['[', ']']).to_owned();
    let port = address.port().unwrap_or(26379);
    let service = address.path().trim_matches('/');
    if service.is_empty() {
        return Err(invalid());
    }
    let tls = address.scheme() == "rediss+sentinel";
    let place = if tls {
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host, port)
    };
    let mut builder = SentinelClientBuilder::new([place], service, SentinelServerType::Master)?;
    if tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    if !address.username().is_empty() {
        builder = builder.set_client_to_redis_username(decoded(address.username()));
    }
    if let Some(password) = address.password() {
        builder = builder.set_client_to_redis_password(decoded(password));
    }
    if let Some((_, password)) = address.query_pairs().find(|(name, _)| name == "sentinel_password") {
        builder = builder.set_client_to_sentinel_password(password);
    }
    builder.build()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

fn no_answer() -> RedisError {
    (ErrorKind::Io, "no sentinel answers").into()
}
