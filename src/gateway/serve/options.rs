//! What a gateway is run with, as a configuration says.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use crypto::Scheme;
use domain::{SystemClock, SystemEntropy};
use edge::ListenerConfig;
use flows::WebhookPolicy;
use store::SchemaUse;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config};
use crate::filter::FilterFiles;
use crate::keys::KeySource;
use crate::service::{
    BankIdentityFiles, BankOptions, BankSeal, BlockFeed, ClientOptions, LimitsFrom, Listen, Origins,
    RuleOptions, ServiceOptions, StoreOptions, TlsOptions, WebhookOptions,
};
use crate::{read, together};

/// All of it. Files that it names are read, and nothing is written.
///
/// # Errors
///
/// What is missing, or cannot be used.
pub(crate) fn of(config: &Config, retire: CancellationToken) -> anyhow::Result<ServiceOptions> {
    // The first, as it is part of the configuration and no secret that comes later.
    let regions = super::regions(config).context("regions.cell_file")?;
    let bank = &config.bank;
    let seal_certificate = read(needed(bank.seal_certificate.as_ref(), "bank.seal_certificate")?)?;
    let seal_key = read(needed(bank.seal_key.as_ref(), "bank.seal_key")?)?;
    let identity_files = BankIdentityFiles {
        certificate: needed(bank.certificate.as_ref(), "bank.certificate")?.to_owned(),
        key: needed(bank.key.as_ref(), "bank.key")?.to_owned(),
        authorities: bank.authorities.clone(),
    };
    let identity = (read(&identity_files.certificate)?, read(&identity_files.key)?.into());
    let longest = config.drain.longest.0;
    Ok(ServiceOptions {
        folder: config.node.data_dir.clone(),
        keys: config.key_dir().to_owned(),
        regions,
        cells: config.regions.cell_file.clone(),
        make_keys: false,
        works: config.work.here,
        answers: true,
        listen: Listen {
            pages: config.listen.pages,
            api: config.listen.api,
            bounds: ListenerConfig {
                max_connections: count(config.listen.connections),
                max_per_address: count(config.listen.per_address),
                max_per_client: count(config.listen.per_client),
                drain_timeout: longest,
                retire,
                ..ListenerConfig::default()
            },
            proxies: config.listen.proxies.clone(),
            taken: |address| {
                format!("{address} is taken: stop what uses it, or say another one under [listen]")
            },
        },
        origins: Origins {
            issuer: Some(origin(&config.public.issuer, "public.issuer")?),
            pages: config.public.pages.as_deref().map(|pages| origin(pages, "public.pages")).transpose()?,
            api: Some(origin(&config.public.api, "public.api")?),
        },
        tls: tls(config)?,
        stores: stores(config, SchemaUse::AsItIs)?,
        redis_url: config::address(config.redis.url.as_ref(), config.redis.url_file.as_deref())
            .context("[redis]")?,
        banks: BankOptions {
            files: config.banks.folders.clone(),
            embedded: config.banks.embedded,
            plugins: config.banks.plugins.clone(),
            roots_pem: together(&bank.authorities, "bank.authorities")?,
            identity,
            identity_files: Some(identity_files),
            seal: BankSeal::of(&seal_certificate, &seal_key).context("[bank]: the seal cannot be used")?,
        },
        rules: RuleOptions {
            access: config.policies.access.clone(),
            retention: config.policies.retention.clone(),
            limits: config.policies.limits.clone().map_or(LimitsFrom::Binary, LimitsFrom::File),
            filter: config.filter.mode,
            filter_files: FilterFiles {
                policy: config.filter.policy.clone(),
                rules: config.filter.rules.clone(),
                crs: config.filter.core_rule_set.clone(),
            },
            private_addresses: config.webhooks.loopback,
        },
        clients: ClientOptions {
            open_registration: config.clients.open_registration,
            software_issuers: config.clients.software_issuers.clone(),
            require_dpop_nonce: config.clients.require_dpop_nonce,
            payee_verifications_per_day: config.clients.payee_verifications_per_day,
        },
        webhooks: WebhookOptions {
            challenge: config.webhooks.challenge,
            policy: match config.webhooks.loopback {
                true => WebhookPolicy::LoopbackToo,
                false => WebhookPolicy::PublicOnly,
            },
            roots_pem: together(&config.webhooks.authorities, "webhooks.authorities")?,
            proxy: config.webhooks.proxy.as_deref().map(proxy).transpose()?,
        },
        auto_approve: false,
        read_deadline: config.reads.deadline.0,
        event_heartbeat: config.reads.heartbeat.0,
        block_feed: BlockFeed {
            file: config.filter.block_list.clone(),
            url: config.filter.block_webhook.clone(),
        },
        tracer: None,
        trace_per_mille: config.telemetry.sample_per_mille,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
    })
}

/// Where state is kept.
///
/// # Errors
///
/// A file with an address that cannot be read.
pub(crate) fn stores(config: &Config, schema: SchemaUse) -> anyhow::Result<StoreOptions> {
    let of = &config.database;
    let url = config::address(of.url.as_ref(), of.url_file.as_deref()).context("[database]")?;
    let global_url =
        config::address(of.global_url.as_ref(), of.global_url_file.as_deref()).context("[database]")?;
    if url.is_none() && global_url.is_some() {
        bail!("[database]: there is an address of what is no person's and none of the rest");
    }
    Ok(StoreOptions { url, global_url, schema })
}

fn tls(config: &Config) -> anyhow::Result<TlsOptions> {
    let tls = &config.tls;
    let of =
        |scheme, files: &[PathBuf]| -> Vec<_> { files.iter().map(|file| (scheme, file.clone())).collect() };
    Ok(TlsOptions {
        certificate: needed(tls.certificate.as_ref(), "tls.certificate")?.to_owned(),
        key: KeySource::File(needed(tls.key.as_ref(), "tls.key")?.to_owned()),
        ocsp_response: tls.ocsp_response.clone(),
        authorities: tls.client_authorities.clone(),
        trust_profiles: [
            of(Scheme::Eidas, &tls.qwac_issuers),
            of(Scheme::OpenBanking, &tls.open_banking_issuers),
        ]
        .concat(),
        revocation: tls.revocation.into(),
        revocation_lists: tls.revocation_lists.clone(),
        ocsp_hosts: tls.ocsp_hosts.clone(),
        private_responders: false,
    })
}

fn needed<'f>(file: Option<&'f PathBuf>, name: &str) -> anyhow::Result<&'f Path> {
    file.map(PathBuf::as_path).with_context(|| format!("{name} is not said, and nothing works without it"))
}

/// Host and port of a proxy.
fn proxy(said: &str) -> anyhow::Result<String> {
    let url = said.parse::<url::Url>().ok().filter(|url| url.scheme() == "http");
    let place = url.and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    place.context("webhooks.proxy is no address such as http://proxy:3128")
}

/// An origin: https, a host, nothing behind it.
fn origin(said: &str, name: &str) -> anyhow::Result<String> {
    let url = said.parse::<url::Url>().ok().filter(|url| url.scheme() == "https" && url.has_host());
    let plain = url.filter(|url| url.path() == "/" && url.query().is_none() && !said.ends_with('/'));
    plain.with_context(|| {
        format!("{name} is no origin: https://host or https://host:port, and nothing behind it")
    })?;
    Ok(said.to_owned())
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
