//! The model banks, and how the gateway reaches them.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use connect::{
    ApiBase, AuthorizationServer, ClientAuth, Environment, FileReport, Notifications, Profile, ResponseType,
    SandboxUser, ScaFlow, Signing,
};
use crypto::Jwks;
use domain::{Capability, PaymentScheme};
use modelbank::{BankConfig, BankKind, Faults, Habits, Journal, ModelBank, OauthClient, RunningBank};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::pki::GATEWAY_ORGANISATION;
use super::software::SoftwareDirectory;
use super::{Pki, SandboxOptions, address, port_hint};

/// Which bank is where.
struct Plan {
    kind: BankKind,
    id: &'static str,
    name: &'static str,
    region: &'static str,
    country: &'static str,
    bic: &'static str,
    /// What the national numbers of its accounts begin with.
    code: &'static str,
    port: u16,
    words: &'static str,
}

const PLANS: [Plan; 6] = [
    Plan {
        kind: BankKind::UkOpenBanking,
        id: "gb-albion-bank",
        name: "Albion Bank",
        region: "uk",
        country: "GB",
        bic: "ALBNGB2L",
        code: "990011",
        port: 4,
        words: "UK Open Banking 4.0, GBP, redirect",
    },
    Plan {
        kind: BankKind::BerlinGroupRedirect,
        id: "de-rheinbank",
        name: "Rheinbank",
        region: "eu",
        country: "DE",
        bic: "RHNBDEFF",
        code: "99910000",
        port: 6,
        words: "Berlin Group 1.3, EUR, redirect",
    },
    Plan {
        kind: BankKind::BerlinGroupDecoupled,
        id: "fr-banque-lumiere",
        name: "Banque Lumière",
        region: "eu",
        country: "FR",
        bic: "LUMIFRPP",
        code: "9990100001",
        port: 8,
        words: "Berlin Group 1.3, EUR, decoupled",
    },
    Plan {
        kind: BankKind::Stet,
        id: "fr-credit-rivage",
        name: "Crédit Rivage",
        region: "eu",
        country: "FR",
        bic: "RIVGFRPP",
        code: "9990200001",
        port: 10,
        words: "STET 1.4, EUR, redirect",
    },
    Plan {
        kind: BankKind::PolishApi,
        id: "pl-bank-wisla",
        name: "Bank Wisła",
        region: "eu",
        country: "PL",
        bic: "WISLPLPW",
        code: "99901006",
        port: 12,
        words: "PolishAPI 2.1, PLN, redirect",
    },
    Plan {
        kind: BankKind::BerlinGroupEmbedded,
        id: "at-donaubank",
        name: "Donaubank",
        region: "eu",
        country: "AT",
        bic: "DONAATWW",
        code: "99903",
        port: 14,
        words: "Berlin Group 1.3, EUR, embedded",
    },
];

/// Client identifier of the gateway at banks that register clients.
const CLIENT_ID: &str = "consentry-gateway";

/// Where a bank is reached.
struct Whereabouts {
    /// Base address of its interface.
    api_url: String,
    /// Base address of its pages, and issuer of its authorization server.
    pages_url: String,
}

/// Where all of them are.
pub(super) struct Place {
    /// The name by which they are reached.
    pub(super) host: String,
    /// Where they listen.
    pub(super) address: IpAddr,
}

impl Default for Place {
    fn default() -> Self {
        Self { host: "localhost".to_owned(), address: Ipv4Addr::LOCALHOST.into() }
    }
}

impl Place {
    fn at(&self, port_base: u16, offset: u16) -> SocketAddr {
        (self.address, address(port_base, offset).port()).into()
    }
}

/// The model banks: where they are, and those that run in this process.
pub(super) struct ModelBanks {
    places: Vec<(&'static Plan, Whereabouts)>,
    running: Vec<(&'static Plan, RunningBank)>,
}

impl ModelBanks {
    /// Those of a process of their own, on the ports that follow from the first.
    pub(super) fn apart(port_base: u16) -> Self {
        let url = |port: u16| format!("https://localhost:{}", address(port_base, port).port());
        let place = |plan: &Plan| Whereabouts {
            api_url: url(plan.port),
            pages_url: url(plan.port.saturating_add(1)),
        };
        Self { places: PLANS.iter().map(|plan| (plan, place(plan))).collect(), running: Vec::new() }
    }

    pub(super) async fn start(
        options: &SandboxOptions,
        place: &Place,
        state_dir: Option<PathBuf>,
        pki: &Pki,
        directory: &SoftwareDirectory,
        issuer: &str,
        stop: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let seal = pki.seal()?;
        let mut running = Vec::new();
        for plan in &PLANS {
            let config = BankConfig {
                kind: plan.kind,
                id: plan.id.to_owned(),
                name: plan.name.to_owned(),
                api_addr: place.at(options.port_base, plan.port),
                pages_addr: place.at(options.port_base, plan.port.saturating_add(1)),
                host: place.host.clone(),
                server_certificate_pem: pki.server.certificate_pem.clone(),
                server_key_pem: pki.server.key_pem.clone(),
                client_ca_pem: pki.root.clone(),
                signing_key_pem: None,
                clients: vec![OauthClient {
                    client_id: CLIENT_ID.to_owned(),
                    organization_identifier: GATEWAY_ORGANISATION.to_owned(),
                    redirect_uris: vec![callback(issuer, plan)],
                    jwks: Jwks::of([&*seal.key]).to_value(),
                    seal_pem: Some(pki.gateway_qseal.certificate_pem.clone()),
                }],
                registration: (plan.kind == BankKind::UkOpenBanking).then(|| directory.desk()),
                auto_approve: options.auto_approve,
                state_dir: state_dir.clone(),
                clock: options.clock.clone(),
                entropy: options.entropy.clone(),
                shutdown: stop.clone(),
            };
            let bank = ModelBank::start(config).await.map_err(|error| {
                let taken = if let modelbank::StartFailed::Listen(address, _) = &error {
                    Some(*address)
                } else {
                    None
                };
                taken.map_or_else(|| anyhow!(error), |address| anyhow!(port_hint(address)))
            });
            running.push((plan, bank.with_context(|| format!("{} could not start", plan.name))?));
        }
        let whereabouts = |bank: &RunningBank| Whereabouts {
            api_url: bank.api_url.clone(),
            pages_url: bank.pages_url.clone(),
        };
        Ok(Self { places: running.iter().map(|(plan, bank)| (*plan, whereabouts(bank))).collect(), running })
    }

    /// The callbacks of banks that register clients.
    pub(super) fn callbacks(issuer: &str) -> Vec<String> {
        let registering = PLANS.iter().filter(|plan| plan.kind == BankKind::UkOpenBanking);
        registering.map(|plan| callback(issuer, plan)).collect()
    }

    /// How the gateway reaches them; `key_url` is where its seal is published.
    pub(super) fn profiles(&self, key_url: &str) -> impl Iterator<Item = Profile> {
        self.places.iter().filter_map(move |(plan, place)| profile(plan, place, key_url))
    }

    /// Identifier and region of each.
    pub(super) fn list(&self) -> Vec<(String, String)> {
        self.places.iter().map(|(plan, _)| (plan.id.to_owned(), plan.region.to_owned())).collect()
    }

    pub(super) fn describe(&self) -> impl Iterator<Item = String> {
        self.places.iter().map(|(plan, place)| {
            format!("  {:<21} {} ({}; {})", plan.name, place.pages_url, plan.words, plan.id)
        })
    }

    pub(super) fn bank(&self, id: &str) -> Option<&RunningBank> {
        self.running.iter().find(|(plan, _)| plan.id == id).map(|(_, bank)| bank)
    }

    pub(super) fn handles(&self, id: &str) -> Option<(Faults, Journal)> {
        self.bank(id).map(|bank| (bank.faults(), bank.journal()))
    }

    pub(super) fn habits(&self, id: &str) -> Option<Habits> {
        self.bank(id).map(RunningBank::habits)
    }

    /// Answers what waits for a customer in the app of any bank.
    pub(super) fn answer_in_apps(&self, user: &str, approve: bool) {
        for (plan, bank) in &self.running {
            if plan.kind == BankKind::BerlinGroupDecoupled {
                bank.answer_in_app(user, approve);
            }
        }
    }

    /// Withdraws a consent as its customer would at the bank.
    pub(super) fn withdraw(&self, id: &str, consent: &str) -> bool {
        self.bank(id).is_some_and(|bank| bank.withdraw(consent))
    }

    pub(super) fn pages(&self, id: &str) -> Option<String> {
        self.bank(id).map(|bank| bank.pages_url.clone())
    }

    pub(super) async fn stopped(&self) {
        for (_, bank) in &self.running {
            bank.stopped().await;
        }
    }
}

/// Where a bank sends the browser back to.
fn callback(issuer: &str, plan: &Plan) -> String {
    format!("{issuer}/callback/{}", plan.id)
}

fn profile(plan: &Plan, bank: &Whereabouts, key_url: &str) -> Option<Profile> {
    let mut profile =
        Profile::blank(plan.id.parse().ok()?, plan.name, plan.region.parse().ok()?, dialect(plan.kind));
    profile.brand_group = "Consentry sandbox".to_owned();
    profile.environment = Environment::Sandbox;
    profile.countries = vec![plan.country.parse().ok()?];
    profile.bics = vec![plan.bic.to_owned()];
    profile.bank_codes = vec![plan.code.to_owned()];
    profile.capabilities =
        [Capability::Accounts, Capability::Balances, Capability::Transactions, Capability::Payments].into();
    profile.capabilities.insert(Capability::FundsConfirmation);
    profile.capabilities.insert(Capability::PayeeVerification);
    profile.capabilities.insert(Capability::ScheduledPayments);
    profile.capabilities.insert(Capability::PeriodicPayments);
    profile.capabilities.insert(Capability::BulkPayments);
    if plan.kind != BankKind::UkOpenBanking {
        profile.capabilities.insert(Capability::PaymentCancellation);
    }
    let embedded = plan.kind == BankKind::BerlinGroupEmbedded;
    let code = || embedded.then(|| modelbank::CODE.to_owned().into());
    profile.sandbox_users = modelbank::users(plan.kind)
        .into_iter()
        .map(|user| SandboxUser {
            username: user.to_owned(),
            password: modelbank::PASSWORD.to_owned().into(),
            code: code(),
            purpose: "approves or declines as the person at the page decides".to_owned(),
        })
        .chain(modelbank::MAGIC_USERS.iter().map(|(user, purpose)| SandboxUser {
            username: (*user).to_owned(),
            password: modelbank::PASSWORD.to_owned().into(),
            code: code(),
            purpose: (*purpose).to_owned(),
        }))
        .collect();
    // Whoever plays with faults does not want to wait for half a minute.
    profile.limits.open_for = Duration::from_secs(1);
    let base = |path: &str, version: &str| {
        let url = Url::parse(&format!("{}{path}", bank.api_url)).ok()?;
        Some(ApiBase { url, version: version.to_owned() })
    };
    let payees = match plan.kind {
        BankKind::UkOpenBanking => "/open-banking/v4.0/confirmation-payee",
        BankKind::BerlinGroupRedirect
        | BankKind::BerlinGroupDecoupled
        | BankKind::BerlinGroupEmbedded
        | BankKind::Stet
        | BankKind::PolishApi => "/vop/v1",
    };
    profile.payees.address = base(payees, "").map(|api| api.url);
    profile.payees.requesting_bic = Some("CONSDEFF".to_owned());
    match plan.kind {
        BankKind::UkOpenBanking => {
            profile.accounts_api = base("/open-banking/v4.0/aisp", "4.0");
            profile.payments_api = base("/open-banking/v4.0/pisp", "4.0");
            profile.funds_api = base("/open-banking/v4.0/cbpii", "4.0");
            profile.recurring_api = base("/open-banking/v4.0/pisp", "4.0");
            profile.uk_open_banking.file_report = Some(FileReport::Pain002);
            profile.capabilities.insert(Capability::Vrp);
            profile.authorization_server = Some(AuthorizationServer {
                issuer: Some(bank.pages_url.clone()),
                signed_request_object: true,
                pushed_requests: true,
                response_type: ResponseType::Code,
                ..AuthorizationServer::default()
            });
            profile.client_id = Some(CLIENT_ID.to_owned());
            profile.client_auth = ClientAuth::TlsClientAuth;
            let tan = "consentry.example".to_owned();
            profile.signing = Signing::DetachedJws { iss: None, tan, verify_answers: true };
            profile.sca = vec![ScaFlow::OAuth];
            profile.payment_schemes = vec![PaymentScheme::FasterPayments, PaymentScheme::CrossBorder];
        }
        BankKind::Stet => {
            profile.accounts_api = base("/stet/psd2/v1.4", "1.4");
            profile.payments_api = base("/stet/psd2/v1.4", "1.4");
            profile.funds_api = base("/stet/psd2/v1.4", "1.4");
            profile.authorization_server = Some(AuthorizationServer {
                issuer: Some(bank.pages_url.clone()),
                ..AuthorizationServer::default()
            });
            profile.client_id = Some(CLIENT_ID.to_owned());
            profile.signing = Signing::DigestSignatureByUrl { key_url: key_url.to_owned() };
            profile.sca = vec![ScaFlow::OAuth];
            profile.payment_schemes = SEPA.to_vec();
            profile.max_consent_days = Some(180);
        }
        BankKind::PolishApi => {
            profile.accounts_api = base("/v2_1_1.1", "2.1");
            profile.payments_api = base("/v2_1_1.1", "2.1");
            profile.funds_api = base("/v2_1_1.1", "2.1");
            profile.client_id = Some(CLIENT_ID.to_owned());
            profile.signing = Signing::BodyJws;
            profile.sca = vec![ScaFlow::Redirect];
            profile.payment_schemes =
                vec![PaymentScheme::Elixir, PaymentScheme::ExpressElixir, PaymentScheme::CrossBorder];
            profile.max_consent_days = Some(180);
        }
        BankKind::BerlinGroupRedirect | BankKind::BerlinGroupDecoupled | BankKind::BerlinGroupEmbedded => {
            profile.accounts_api = base("/v1", "1.3");
            profile.payments_api = base("/v1", "1.3");
            profile.funds_api = base("/v1", "1.3");
            let decoupled = plan.kind == BankKind::BerlinGroupDecoupled;
            let sca = if decoupled { ScaFlow::Decoupled } else { ScaFlow::Redirect };
            profile.sca = vec![if embedded { ScaFlow::Embedded } else { sca }];
            profile.signing = if embedded {
                Signing::MessageSignature { key_id: None, tag: Some("psd2".to_owned()) }
            } else {
                Signing::DigestSignature
            };
            profile.psu_id_required = decoupled || embedded;
            profile.berlin_group.card_accounts = embedded;
            profile.berlin_group.transaction_details = true;
            profile.payment_schemes = SEPA.to_vec();
            profile.max_consent_days = Some(180);
            // The bank's pages are where it sends its customers.
            profile.hosts = Vec::new();
        }
    }
    Some(profile)
}

/// The same bank, which tells of changes as far as its standard knows that.
pub(super) fn notifying(mut profile: Profile) -> Profile {
    let events_api = profile.accounts_api.as_ref().and_then(|api| {
        let url = api.url.join("/open-banking/v4.0").ok()?;
        Some(ApiBase { url, version: api.version.clone() })
    });
    profile.notifications = match profile.dialect.as_str() {
        "uk-open-banking" => {
            let poll = Some(Duration::from_secs(5));
            Some(Notifications { push: true, poll, events_api, ..Notifications::default() })
        }
        "berlin-group" => Some(Notifications { push: true, ..Notifications::default() }),
        _ => None,
    };
    profile
}

/// Rails of the banks in the euro area.
const SEPA: [PaymentScheme; 3] =
    [PaymentScheme::SepaCreditTransfer, PaymentScheme::SepaInstant, PaymentScheme::CrossBorder];

fn dialect(kind: BankKind) -> &'static str {
    match kind {
        BankKind::UkOpenBanking => "uk-open-banking",
        BankKind::BerlinGroupRedirect | BankKind::BerlinGroupDecoupled | BankKind::BerlinGroupEmbedded => {
            "berlin-group"
        }
        BankKind::Stet => "stet",
        BankKind::PolishApi => "polish-api",
    }
}
