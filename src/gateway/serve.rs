//! A gateway as a configuration says: `consentry serve`, and `consentry worker`.

mod admin;
mod operations;
mod options;
mod traces;

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use cells::CellFile;
use domain::{Clock, Region, SystemClock, SystemEntropy};
use flows::Gateway;
use store::{SchemaUse, Stores};
use telemetry::{FIGURES, Registry, Reloaded, Told};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admin::Admin;
use crate::audit_logs;
use crate::certificates;
use crate::config::{Config, Difference, variables};
use crate::log::Level;
use crate::service::state::{Keys, mark};
use crate::service::{self, Lately, Prepared, Service, WatchedTls};
use crate::signals::StopSignals;
use crate::stores::{self, StorePlace};
use admin::AdminListener;
use operations::{Condition, Missing};
pub(crate) use options::{of as service_options, stores as store_options};
use traces::Traces;

/// Time between two looks at what is shared.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two looks at when certificates end.
const SLOW_LOOK: Duration = Duration::from_secs(60);
/// Values that a reload takes up; all others wait for a restart.
const TAKEN_UP: [&str; 1] = ["log.level"];

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Answers, and works if its configuration says so.
    Gateway,
    /// Works, and answers nobody.
    Worker,
}

/// A process that serves.
struct Process {
    file: Option<PathBuf>,
    config: Config,
    level: Level,
    condition: Arc<Condition>,
    service: Service,
    traces: Option<Arc<Traces>>,
    /// Rings when an operator wants a reload.
    reload: Arc<Notify>,
    /// Connections end with their next answer.
    retire: CancellationToken,
    operations: CancellationToken,
    tasks: TaskTracker,
}

/// Serves until somebody stops it.
///
/// # Errors
///
/// What is in the way of a start.
pub(crate) async fn run(
    file: Option<PathBuf>,
    config: Config,
    level: Level,
    role: Role,
) -> anyhow::Result<()> {
    let mut signals = StopSignals::catch()?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut process = Process::start(file, config, level, role).await?;
    loop {
        tokio::select! {
            () = signals.wait() => break,
            _ = hangup.recv() => process.reload().await,
            // An operator wants it.
            () = process.reload.notified() => process.reload().await,
        }
    }
    process.leave(&mut signals).await;
    Ok(())
}

impl Process {
    async fn start(file: Option<PathBuf>, config: Config, level: Level, role: Role) -> anyhow::Result<Self> {
        let condition = Condition::new();
        let (operations, retire) = (CancellationToken::new(), CancellationToken::new());
        let figures = Arc::new(OnceLock::<Registry>::new());
        let page = Arc::clone(&figures);
        let page = move || page.get().map_or_else(|| "# EOF\n".to_owned(), telemetry::text_of);
        let routes = operations::routes(Arc::clone(&condition), Arc::new(page));
        let operations_at = operations::listen(config.listen.operations, routes, operations.clone())?;
        let tasks = TaskTracker::new();
        tasks.spawn(Arc::clone(&condition).beat(operations.clone()));
        let mut options = service_options(&config, retire.clone())?;
        let traces = config.telemetry.otlp_endpoint.as_deref().map(Traces::to).transpose()?;
        options.tracer = traces.clone().map(|traces| -> Arc<dyn service::Tracer> { traces });
        if role == Role::Worker {
            options.works = true;
            options.answers = false;
        }
        let operators = AdminListener::open(&config).await?;
        let prepared = Prepared::of(options).await?;
        let opened = opened(&prepared, config.database.patience.0).await?;
        // So that commands know what is in it.
        mark(&config.node.data_dir)?;
        stores::note_regions(&config.node.data_dir, prepared.regions())?;
        let (pages, api) = (prepared.issuer().to_owned(), prepared.api_origin().to_owned());
        let stop = CancellationToken::new();
        let looked_at = opened.clone();
        let service = prepared.start(opened, stop, |_, _| Ok(Router::new()), || Ok(())).await?;
        let (edge, lately) = (service.edge().clone(), Arc::clone(service.lately()));
        let digest = config.digest();
        let hash = digest.clone();
        let _ = figures.set(telemetry::registered(move || {
            let mut told = service::told(&edge, &lately);
            told.push(Told {
                name: "config_info",
                help: "The configuration that this process has, by its digest",
                counts: false,
                values: vec![(vec![("hash", hash.clone())], 1.0)],
            });
            told
        }));
        let look = Look {
            stores: looked_at,
            gateway: Arc::clone(service.gateway()),
            condition: Arc::clone(&condition),
            lately: Arc::clone(service.lately()),
            config: Arc::new(config.clone()),
        };
        tasks.spawn(look.again_and_again(operations.clone()));
        let reload = Arc::<Notify>::default();
        if let Some(operators) = operators {
            let admin = Admin {
                gateway: Arc::clone(service.gateway()),
                stores: service.stores().clone(),
                edge: service.edge().clone(),
                lately: Arc::clone(service.lately()),
                viewers: config.admin.viewers.as_slice().into(),
                operators: config.admin.operators.as_slice().into(),
                config: digest.clone(),
                reload: Arc::clone(&reload),
            };
            let stop = operations.clone();
            tasks.spawn(service::watch(operators.tls.clone(), WatchedTls::look, |()| {}, stop.clone()));
            tasks.spawn(operators.serve(crate::admin::routes(admin), service.edge().clone(), stop));
        }
        tasks.close();
        condition.started();
        tracing::info!(pages, api, operations = %operations_at, config = digest, "Consentry is ready");
        Ok(Self { file, config, level, condition, service, traces, reload, retire, operations, tasks })
    }

    /// Reads the configuration and all that it names anew.
    async fn reload(&mut self) {
        match Config::read(self.file.as_deref(), &variables()) {
            Ok(config) => {
                for Difference { name, from, to } in self.config.differences(&config) {
                    let when = if TAKEN_UP.contains(&&*name) { "now" } else { "after a restart" };
                    tracing::info!(setting = name, from, to, when, "The configuration has changed");
                }
                match self.level.change(&config.log.level) {
                    // What waits for a restart stays different until there is one.
                    Ok(()) => self.config.log = config.log,
                    Err(error) => {
                        FIGURES.reload_failed(Reloaded::Configuration);
                        tracing::error!(error = format!("{error:#}"), "The log's level stays as it was");
                    }
                }
            }
            Err(error) => {
                FIGURES.reload_failed(Reloaded::Configuration);
                tracing::error!(error = format!("{error:#}"), "The configuration stays as it was");
            }
        }
        self.service.reload().await;
    }

    /// Stops: it says that it leaves, waits until that is known, and lets open requests end.
    async fn leave(self, signals: &mut StopSignals) {
        self.condition.leaving();
        self.retire.cancel();
        tracing::info!("Consentry leaves");
        tokio::select! {
            () = tokio::time::sleep(self.config.drain.before.0) => {}
            // Whoever says it twice does not want to wait.
            () = signals.wait() => {}
        }
        self.service.stop(async {}).await;
        if let Some(traces) = self.traces
            && let Err(error) = tokio::task::spawn_blocking(move || traces.close()).await
        {
            tracing::warn!(error = %error, "The last traces were not sent");
        }
        self.operations.cancel();
        self.tasks.wait().await;
        tracing::info!("Consentry has stopped");
    }
}

/// Opens the stores; while one is away or behind, again and again for as long as is said.
async fn opened(prepared: &Prepared, patience: Duration) -> anyhow::Result<Stores> {
    let until = tokio::time::Instant::now().checked_add(patience);
    loop {
        match prepared.stores().await {
            Ok(stores) => return Ok(stores),
            Err(error) if until.is_some_and(|until| tokio::time::Instant::now() < until) => {
                tracing::warn!(error = format!("{error:#}"), "Waits for the databases");
                tokio::time::sleep(LOOK).await;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What is looked at again and again.
struct Look {
    stores: Stores,
    gateway: Arc<Gateway>,
    condition: Arc<Condition>,
    lately: Arc<Lately>,
    config: Arc<Config>,
}

impl Look {
    async fn again_and_again(self, stop: CancellationToken) {
        let (mut beat, mut slow_beat) = (tokio::time::interval(LOOK), tokio::time::interval(SLOW_LOOK));
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = beat.tick() => self.at_shared().await,
                _ = slow_beat.tick() => self.at_certificates().await,
            }
        }
    }

    /// Asks whether what is shared is there.
    async fn at_shared(&self) {
        let asked = self.stores.ask_all(LOOK).await;
        let mut answers: Vec<_> = asked
            .into_iter()
            .map(|(name, answer)| (format!("store.{name}"), answer.map_err(|error| error.to_string())))
            .collect();
        if let Some(answer) = self.gateway.bell_answers(LOOK).await {
            answers.push(("redis".to_owned(), answer.map_err(str::to_owned)));
        }
        let mut missing = Vec::new();
        for (what, answer) in answers {
            self.lately.is_there(&what, answer.is_ok());
            missing.extend(answer.err().map(|why| Missing { what, why }));
        }
        self.condition.misses(missing);
    }

    /// Notes when certificates end. Which there are is asked each time: a cell's neighbours come and go.
    async fn at_certificates(&self) {
        let config = Arc::clone(&self.config);
        let now = self.gateway.clock().now();
        let read = tokio::task::spawn_blocking(move || {
            let held = certificates::held(&config);
            let ends = held.iter().filter_map(|held| {
                let end = certificates::first_end(held.whose, &held.read(), now)?;
                Some((held.name.clone(), end))
            });
            let ends: Vec<_> = ends.collect();
            (held.into_iter().map(|held| held.name).collect::<Vec<_>>(), ends)
        });
        if let Ok((held, ends)) = read.await {
            self.lately.end(&held, ends);
        }
    }
}

/// Brings the schema of every database up to date, making those that are missing: each, and how many
/// migrations it lacked.
///
/// # Errors
///
/// Which database, and why.
pub(crate) async fn migrate(config: &Config) -> anyhow::Result<Vec<(String, usize)>> {
    let options = store_options(config, SchemaUse::BringUpToDate)?;
    let place = StorePlace { folder: &config.node.data_dir, keys: config.key_dir(), stores: &options };
    stores::migrate(place, &regions(config)?).await.context("a schema stays as it was")
}

/// The regions that are held here.
///
/// # Errors
///
/// A file of a cell that cannot be used.
pub(crate) fn regions(config: &Config) -> anyhow::Result<Vec<Region>> {
    match &config.regions.cell_file {
        None => Ok(config.regions.held.clone()),
        Some(file) => {
            let cell = CellFile::parse(&crate::read(file)?);
            let cell = cell.with_context(|| format!("{} tells of no cell", file.display()))?;
            Ok(cell.regions.into_iter().collect())
        }
    }
}

/// Makes the keys that are missing, for all processes that are to share them.
///
/// # Errors
///
/// If they cannot be written.
pub(crate) async fn make_keys(config: &Config) -> anyhow::Result<()> {
    let (folder, regions) = (config.key_dir(), regions(config)?);
    let host = config.public.issuer.trim_start_matches("https://");
    anyhow::ensure!(!host.is_empty(), "public.issuer is not said, and the logs of audit are named after it");
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    Keys::made(folder, &regions, &SystemEntropy, SystemClock.now()).await?;
    regions.iter().try_for_each(|region| audit_logs::make_key(folder, *region, host))?;
    mark(folder)
}

/// What is wrong with a configuration: what, and why. Nothing outside of this machine is asked.
pub(crate) async fn check(config: &Config) -> Vec<(String, String)> {
    let options = match service_options(config, CancellationToken::new()) {
        Ok(options) => options,
        Err(error) => return vec![("configuration".to_owned(), format!("{error:#}"))],
    };
    let checked = service::check(&options).await;
    checked
        .into_iter()
        .filter_map(|(what, done)| Some((what.to_owned(), format!("{:#}", done.err()?))))
        .collect()
}
