//! Everything on one machine: a PKI, the gateway, six model banks, two
//! regions and a demo fintech. Needs nothing but a folder and free ports.

mod apart;
mod banks;
mod clients;
mod data_dir;
mod drive;
mod options;
mod pki;
mod profile_files;
mod software;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use edge::ListenerConfig;
use flows::{Gateway, WebhookPolicy};
use modelbank::{Faults, Habits, Journal, LedgerLine};
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

pub use apart::{BanksApart, Gateway as GatewayOfBanks};
use banks::{ModelBanks, Place};
use data_dir::DataDir;
pub use options::{SandboxOptions, ServerFiles};
pub use pki::Pki;
use software::SoftwareDirectory;

use crate::demo::Client;
use crate::keys::KeySource;
use crate::service::{
    self, BankOptions, ClientOptions, Listen, Origins, Prepared, RuleOptions, Service, ServiceOptions,
    StoreOptions, TlsOptions, WebhookOptions,
};
pub use crate::service::{BlockFeed, EdgeState, LimitsFrom};
use crate::{read, stores};

/// What an outside client needs to know: addresses and files, nothing else.
#[derive(Clone, Debug)]
pub struct Access {
    /// Issuer, and origin of the pages.
    pub issuer: String,
    /// Origin of the API and the OAuth back channel.
    pub api: String,
    /// Certificates and keys of the sandbox.
    pub pki: Arc<Pki>,
    /// The model banks: id, region.
    pub banks: Vec<(String, String)>,
}

/// A running sandbox.
pub struct Sandbox {
    access: Access,
    data: DataDir,
    service: Service,
    banks: Arc<ModelBanks>,
}

const PAGES: u16 = 0;
const API: u16 = 1;

impl Sandbox {
    /// Starts everything and returns when it listens.
    ///
    /// # Errors
    ///
    /// What is in the way, and what to do about it.
    pub async fn start(options: SandboxOptions) -> anyhow::Result<Self> {
        let data = DataDir::open(&options.data_dir)?;
        let pki = Arc::new(Pki::open(data.path(), options.clock.now(), "localhost").await?);
        let prepared = Prepared::of(of_service(&options, &pki)?).await?;
        let stop = CancellationToken::new();
        let home = data.path().join("pki");
        let directory = SoftwareDirectory::open(&home)?;
        let pages_origin = prepared.pages_origin();
        directory.vouch(&home, &pki.seal()?, &ModelBanks::callbacks(pages_origin), options.clock.now())?;
        let banks = match options.banks_apart {
            Some(port_base) => ModelBanks::apart(port_base),
            None => {
                let kept = Some(data.path().join("banks"));
                ModelBanks::start(&options, &Place::default(), kept, &pki, &directory, pages_origin, &stop)
                    .await?
            }
        };
        for profile in banks.profiles(&service::key_url(pages_origin)) {
            let mut profile = if options.bank_notifications { banks::notifying(profile) } else { profile };
            let moved = options.bank_regions.iter().find(|(id, _)| id == profile.id.as_str());
            profile.region = moved.map_or(profile.region, |(_, region)| *region);
            prepared.registry().put(profile);
        }
        let (issuer, api) = (prepared.issuer().to_owned(), prepared.api_origin().to_owned());
        let stores = prepared.stores().await?;
        clients::preload(&stores, options.clients.as_deref(), options.clock.now()).await?;
        let banks = Arc::new(banks);
        let client = Client::new(&pki.root, None)?;
        let drive = |gateway: &Arc<Gateway>, edge: &EdgeState| {
            Ok(drive::routes(drive::Drive {
                gateway: Arc::clone(gateway),
                banks: Arc::clone(&banks),
                virtual_time: options.virtual_time.clone(),
                client,
                edge: edge.clone(),
            }))
        };
        let service = prepared.start(stores, stop, drive, || data.finished()).await?;
        let access = Access { issuer, api, pki, banks: banks.list() };
        Ok(Self { access, data, service, banks })
    }

    /// Takes up limits, rules of access and of the filter, certificates, authorities and revocation lists as
    /// their files are now.
    pub async fn reload(&self) {
        self.service.reload().await;
    }

    /// What an outside client needs to know.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access.clone()
    }

    /// The use cases, for tests that look behind the interface.
    #[must_use]
    pub fn gateway(&self) -> &Arc<Gateway> {
        self.service.gateway()
    }

    /// What the edge counts.
    #[must_use]
    pub fn edge(&self) -> &EdgeState {
        self.service.edge()
    }

    /// Faults and journal of a model bank.
    #[must_use]
    pub fn bank(&self, id: &str) -> Option<(Faults, Journal)> {
        self.banks.handles(id)
    }

    /// Every transfer that a model bank has.
    #[must_use]
    pub fn ledger(&self, id: &str) -> Vec<LedgerLine> {
        self.banks.bank(id).map(modelbank::RunningBank::ledger).unwrap_or_default()
    }

    /// How many changes a model bank is still to tell of.
    #[must_use]
    pub fn untold(&self, id: &str) -> usize {
        self.banks.bank(id).map_or(0, modelbank::RunningBank::untold)
    }

    /// Where a model bank is to tell of a consent or order of its own.
    #[must_use]
    pub fn notice_address(&self, id: &str, about: &str) -> Option<String> {
        self.banks.bank(id)?.notice_address(about)
    }

    /// Habits of a model bank.
    #[must_use]
    pub fn bank_habits(&self, id: &str) -> Option<Habits> {
        self.banks.habits(id)
    }

    /// Address of the pages of a model bank, without a trailing slash.
    #[must_use]
    pub fn bank_pages(&self, id: &str) -> Option<String> {
        self.banks.pages(id)
    }

    /// Ends everything: open requests get their answers first.
    pub async fn stop(self) {
        self.service.stop(self.banks.stopped()).await;
    }

    /// What the terminal shows: addresses, and commands that work as they stand.
    #[must_use]
    pub fn welcome(&self, ready_ms: u128) -> String {
        let Access { issuer, api, .. } = &self.access;
        let folder =
            std::path::absolute(self.data.path()).unwrap_or_else(|_| self.data.path().to_owned()).join("pki");
        let pki = shell_quoted(&folder.display().to_string());
        let curl = format!(
            "curl --silent --show-error --cacert {pki}/root.pem --cert {pki}/fintech.pem --key {pki}/fintech.key"
        );
        let token = format!(
            "{curl} -d grant_type=client_credentials -d client_id=demo-fintech -d scope=accounts {api}/oauth/token"
        );
        let mut lines = vec![
            format!("Consentry sandbox is ready ({ready_ms} ms)."),
            String::new(),
            format!("  Pages and discovery   {issuer}"),
            format!("  API and OAuth (mTLS)  {api}"),
        ];
        lines.extend(self.banks.describe());
        lines.push(format!("  State and keys        {}", self.data.path().display()));
        lines.push("  Demo client           demo-fintech (tls_client_auth with pki/fintech.pem)".to_owned());
        lines.extend([
            String::new(),
            "Which banks are there?".to_owned(),
            format!("  {curl} '{api}/v1/institutions?country=GB&limit=5'"),
            String::new(),
            "A token of the demo client's own:".to_owned(),
            format!("  {token}"),
            String::new(),
            "Lodge a consent with it:".to_owned(),
            format!(
                "  {curl} -H \"Authorization: Bearer $({token} | sed 's/.*\"access_token\":\"\\([^\"]*\\)\".*/\\1/')\" \
                 -H \"Idempotency-Key: $(date +%s%N)\" -H 'Content-Type: application/json' \
                 -d '{{\"type\":\"ACCOUNT_INFORMATION\",\"institution_id\":\"gb-albion-bank\",\"permissions\":[\"READ_ACCOUNTS_DETAIL\",\"READ_BALANCES\"]}}' \
                 {api}/v1/consents"
            ),
            String::new(),
            "The whole journey: consentry sandbox --demo. Stop with Ctrl-C.".to_owned(),
        ]);
        lines.join("\n")
    }
}

fn shell_quoted(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    if plain { text.to_owned() } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

/// Loopback, at the port with this offset.
fn address(port_base: u16, offset: u16) -> SocketAddr {
    let port = if port_base == 0 { 0 } else { port_base.saturating_add(offset) };
    (Ipv4Addr::LOCALHOST, port).into()
}

fn port_hint(address: SocketAddr) -> String {
    format!(
        "port {} is taken: stop what uses it, or move every port with --port-base (for instance --port-base 18440)",
        address.port()
    )
}

/// What the gateway of a sandbox is run with.
fn of_service(options: &SandboxOptions, pki: &Pki) -> anyhow::Result<ServiceOptions> {
    let home = options.data_dir.join("pki");
    let (certificate, key) = options
        .server
        .certificate
        .clone()
        .unwrap_or_else(|| (home.join("server.pem"), KeySource::File(home.join("server.key"))));
    let mut roots_pem = pki.root.clone();
    for file in &options.trust_bank_ca {
        roots_pem.push_str(&read(file)?);
    }
    let bounds = ListenerConfig::default();
    // Everybody comes from this machine, most with the one certificate of the demo.
    let most = bounds.max_connections;
    let secret = |url: &Option<String>| url.clone().map(SecretString::from);
    let (port_base, clock) = (options.port_base, Arc::clone(&options.clock));
    Ok(ServiceOptions {
        folder: options.data_dir.clone(),
        keys: options.data_dir.clone(),
        regions: stores::sandbox_regions()?,
        cells: options.cells.clone(),
        make_keys: true,
        works: true,
        answers: true,
        listen: Listen {
            pages: address(port_base, PAGES),
            api: address(port_base, API),
            bounds: ListenerConfig { max_per_address: most, max_per_client: most, ..bounds },
            proxies: options.proxies.clone(),
            taken: port_hint,
        },
        origins: Origins { issuer: options.issuer.clone(), ..Origins::default() },
        tls: TlsOptions {
            certificate,
            key,
            ocsp_response: options.server.ocsp_response.clone(),
            authorities: std::iter::once(home.join("root.pem")).chain(options.trust_ca.clone()).collect(),
            trust_profiles: options.trust_profiles.clone(),
            revocation: options.revocation,
            revocation_lists: options.revocation_lists.clone(),
            ocsp_hosts: options.ocsp_hosts.clone(),
            // A responder of a sandbox may well run beside it.
            private_responders: true,
        },
        stores: StoreOptions {
            url: secret(&options.database_url),
            global_url: secret(&options.global_database_url),
            ..StoreOptions::default()
        },
        redis_url: secret(&options.redis_url),
        banks: BankOptions {
            files: options.banks.clone(),
            embedded: options.embedded_banks,
            plugins: options.plugins.clone(),
            roots_pem,
            identity: (pki.gateway_qwac.certificate_pem.clone(), pki.gateway_qwac.key_pem.clone().into()),
            identity_files: None,
            seal: pki.seal()?,
        },
        rules: RuleOptions {
            access: options.policies.clone(),
            retention: options.retention.clone(),
            limits: options.limits.clone(),
            filter: options.filter,
            filter_files: options.filter_files.clone(),
            private_addresses: true,
        },
        clients: ClientOptions {
            open_registration: options.open_registration,
            software_issuers: options.software_issuers.clone(),
            require_dpop_nonce: options.require_dpop_nonce,
            payee_verifications_per_day: options.payee_verifications_per_day,
        },
        webhooks: WebhookOptions {
            challenge: options.webhook_challenge,
            policy: WebhookPolicy::LoopbackToo,
            roots_pem: pki.root.clone(),
            proxy: None,
        },
        auto_approve: options.auto_approve,
        read_deadline: options.read_deadline,
        event_heartbeat: options.event_heartbeat,
        block_feed: options.block_feed.clone(),
        tracer: None,
        trace_per_mille: 0,
        clock,
        entropy: Arc::clone(&options.entropy),
    })
}
