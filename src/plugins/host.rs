//! Compiles plugins and calls them, within bounds.

use std::time::Duration;

use wasmtime::component::{Component, Instance, InstancePre, Linker};
use wasmtime::{Config, Engine, ResourceLimiter, Store, Trap};

use crate::wit::{Description, bank, payments, resources};

/// What one call of a plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory, of all memories together.
    pub memory: usize,
    /// Steps, about one for each WebAssembly instruction.
    pub fuel: u64,
    /// Time, in steps of 10 ms.
    pub time: Duration,
    /// Bytes of what it returns, as they lie in our memory.
    pub answer: usize,
}

impl Default for Limits {
    /// 64 MiB, two thousand million steps, two seconds, 32 MiB: about a hundred
    /// times what a page of a hundred entries takes.
    fn default() -> Self {
        Self { memory: 64 << 20, fuel: 2_000_000_000, time: Duration::from_secs(2), answer: 32 << 20 }
    }
}

/// Largest component, bytes.
const LARGEST: usize = 32 << 20;

/// The interfaces that a component may leave out.
const PAYMENTS: &str = "consentry:connector/payments@1.0.0";
const RESOURCES: &str = "consentry:connector/resources@1.0.0";

/// How often the clock of the calls ticks.
const TICK: Duration = Duration::from_millis(10);

/// Elements of all tables, core instances, memories and tables of one call.
const TABLE_ELEMENTS: usize = 100_000;
const INSTANCES: usize = 64;
const MEMORIES: usize = 8;
const TABLES: usize = 32;

/// The machine cannot run plugins.
#[derive(Debug, thiserror::Error)]
#[error("WebAssembly cannot be run on this machine: {0}")]
pub struct HostFailed(String);

/// Why bytes are no plugin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlugin {
    /// Too many of them.
    #[error("is larger than 32 MiB")]
    TooLarge,
    /// A module of core WebAssembly, or none of WebAssembly at all.
    #[error("is no WebAssembly component: {0}")]
    NoComponent(String),
    /// It wants something from the host.
    #[error("imports {0}, and a plugin may import nothing: no network, no clock, no files, no log")]
    Imports(String),
    /// It does not give what the interface names.
    #[error("does not export what src/plugins/wit has, consentry:connector/bank@1.0.0 at least: {0}")]
    Exports(String),
    /// It fails when it is asked what it is.
    #[error("fails when it is asked to describe itself: {0}")]
    Describe(GuestFailed),
}

/// How a call ended without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GuestFailed {
    /// It took too long.
    #[error("out of time")]
    Time,
    /// It took too many steps.
    #[error("out of fuel")]
    Fuel,
    /// It wanted too much memory.
    #[error("out of memory")]
    Memory,
    /// It trapped.
    #[error("trap")]
    Trap,
    /// What it returned is larger than allowed, or not of its type.
    #[error("unreadable")]
    Unreadable,
}

/// Compiles and runs plugins. A clone shares the engine.
#[derive(Clone)]
pub struct Host {
    engine: Engine,
    limits: Limits,
}

impl Host {
    /// An engine, and the clock of its calls.
    ///
    /// # Errors
    ///
    /// [`HostFailed`] if the machine has no compiler of WebAssembly, or no thread
    /// can be started.
    pub fn new(limits: Limits) -> Result<Self, HostFailed> {
        let mut config = Config::new();
        config.consume_fuel(true).epoch_interruption(true);
        // Names of the guest's functions are of no use without its source.
        config.wasm_backtrace_max_frames(None);
        let failed = |error: &dyn std::fmt::Display| HostFailed(error.to_string());
        let engine = Engine::new(&config).map_err(|error| failed(&error))?;
        let weak = engine.weak();
        let tick = move || {
            while let Some(engine) = weak.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(TICK);
            }
        };
        let clock = std::thread::Builder::new().name("plugin-clock".into());
        clock.spawn(tick).map_err(|error| failed(&error))?;
        Ok(Self { engine, limits })
    }

    /// Compiles a component and asks it what it is. Takes a second for each few
    /// megabytes, on the thread that calls.
    ///
    /// # Errors
    ///
    /// [`NotAPlugin`], with what is wrong with it.
    pub(crate) fn load(&self, bytes: &[u8]) -> Result<(Guest, Descriptions), NotAPlugin> {
        if bytes.len() > LARGEST {
            return Err(NotAPlugin::TooLarge);
        }
        let unusable = |error: wasmtime::Error| NotAPlugin::NoComponent(root_cause(&error));
        let component = Component::from_binary(&self.engine, bytes).map_err(unusable)?;
        if let Some((import, _)) = component.component_type().imports(&self.engine).next() {
            return Err(NotAPlugin::Imports(import.to_owned()));
        }
        let linker: Linker<Bounds> = Linker::new(&self.engine);
        let wrong = |error: wasmtime::Error| NotAPlugin::Exports(root_cause(&error));
        let pre = linker.instantiate_pre(&component).map_err(wrong)?;
        let bank = bank::GuestIndices::new(&pre).map_err(wrong)?;
        let payments = exported(&pre, PAYMENTS, payments::GuestIndices::new).map_err(wrong)?;
        let resources = exported(&pre, RESOURCES, resources::GuestIndices::new).map_err(wrong)?;
        let guest = Guest { pre, bank, payments, resources, limits: self.limits };
        let said = guest.describe().map_err(NotAPlugin::Describe)?;
        Ok((guest, said))
    }
}

/// Finds the functions of an interface that a component may export or leave out.
fn exported<T>(
    pre: &InstancePre<Bounds>,
    name: &str,
    find: impl FnOnce(&InstancePre<Bounds>) -> wasmtime::Result<T>,
) -> wasmtime::Result<Option<T>> {
    pre.component().get_export_index(None, name).map(|_| find(pre)).transpose()
}

fn root_cause(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

/// What a plugin says of itself.
pub(crate) struct Descriptions {
    pub(crate) bank: Description,
    /// Of its payments, if it has any.
    pub(crate) payments: Option<payments::Description>,
    /// The further information on accounts that it has.
    pub(crate) resources: Option<resources::Kinds>,
}

/// A compiled component. No call sees anything of another.
pub(crate) struct Guest {
    pre: InstancePre<Bounds>,
    bank: bank::GuestIndices,
    payments: Option<payments::GuestIndices>,
    resources: Option<resources::GuestIndices>,
    limits: Limits,
}

impl Guest {
    fn describe(&self) -> Result<Descriptions, GuestFailed> {
        let bank = self.bank(|store, bank| bank.call_describe(store))?;
        let payments = self.payments.as_ref();
        let payments = payments.map(|_| self.payments(|store, it| it.call_describe(store))).transpose()?;
        let resources = self.resources.as_ref();
        let resources = resources.map(|_| self.resources(|store, it| it.call_describe(store))).transpose()?;
        Ok(Descriptions { bank, payments, resources })
    }

    /// Calls a function of the interface `bank`.
    pub(crate) fn bank<T>(
        &self,
        call: impl FnOnce(&mut Store<Bounds>, &bank::Guest) -> wasmtime::Result<T>,
    ) -> Result<T, GuestFailed> {
        self.call(|store, instance| {
            let bank = self.bank.load(&mut *store, instance)?;
            call(store, &bank)
        })
    }

    /// Calls a function of the interface `payments`; without it the answer is unreadable.
    pub(crate) fn payments<T>(
        &self,
        call: impl FnOnce(&mut Store<Bounds>, &payments::Guest) -> wasmtime::Result<T>,
    ) -> Result<T, GuestFailed> {
        let indices = self.payments.as_ref().ok_or(GuestFailed::Unreadable)?;
        self.call(|store, instance| {
            let payments = indices.load(&mut *store, instance)?;
            call(store, &payments)
        })
    }

    /// Calls a function of the interface `resources`; without it the answer is unreadable.
    pub(crate) fn resources<T>(
        &self,
        call: impl FnOnce(&mut Store<Bounds>, &resources::Guest) -> wasmtime::Result<T>,
    ) -> Result<T, GuestFailed> {
        let indices = self.resources.as_ref().ok_or(GuestFailed::Unreadable)?;
        self.call(|store, instance| {
            let resources = indices.load(&mut *store, instance)?;
            call(store, &resources)
        })
    }

    /// Runs one call in an instance of its own. Other tasks of the thread go on
    /// elsewhere meanwhile, where the runtime has several threads.
    fn call<T>(
        &self,
        call: impl FnOnce(&mut Store<Bounds>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, GuestFailed> {
        match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(tokio::runtime::RuntimeFlavor::MultiThread) => {
                tokio::task::block_in_place(|| self.call_here(call))
            }
            Ok(_) | Err(_) => self.call_here(call),
        }
    }

    fn call_here<T>(
        &self,
        call: impl FnOnce(&mut Store<Bounds>, &Instance) -> wasmtime::Result<T>,
    ) -> Result<T, GuestFailed> {
        let Limits { memory, fuel, time, answer } = self.limits;
        let bounds = Bounds { memory, elements: TABLE_ELEMENTS, refused: false };
        let mut store = Store::new(self.pre.component().engine(), bounds);
        store.limiter(|bounds| bounds);
        store.set_hostcall_fuel(answer);
        let ticks = time.as_millis().div_ceil(TICK.as_millis().max(1));
        store.set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX).max(1));
        let outcome = store
            .set_fuel(fuel)
            .and_then(|()| self.pre.instantiate(&mut store))
            .and_then(|instance| call(&mut store, &instance));
        outcome.map_err(|error| match error.downcast_ref::<Trap>() {
            Some(Trap::Interrupt) => GuestFailed::Time,
            Some(Trap::OutOfFuel) => GuestFailed::Fuel,
            // Who gets no memory traps, or says so to nobody.
            _ if store.data().refused => GuestFailed::Memory,
            Some(_) => GuestFailed::Trap,
            None => GuestFailed::Unreadable,
        })
    }
}

/// What is left of memory and tables in one call.
pub(crate) struct Bounds {
    memory: usize,
    elements: usize,
    refused: bool,
}

impl Bounds {
    fn take(left: &mut usize, current: usize, desired: usize) -> bool {
        let taken = left.checked_sub(desired.saturating_sub(current));
        taken.is_some_and(|rest| {
            *left = rest;
            true
        })
    }
}

impl ResourceLimiter for Bounds {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = Self::take(&mut self.memory, current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let granted = Self::take(&mut self.elements, current, desired);
        self.refused |= !granted;
        Ok(granted)
    }

    fn instances(&self) -> usize {
        INSTANCES
    }

    fn tables(&self) -> usize {
        TABLES
    }

    fn memories(&self) -> usize {
        MEMORIES
    }
}
