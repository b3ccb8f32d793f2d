//! `consentry banks register` and `consentry banks registration`: we become a
//! bank's client, and what came of it is kept in the bank's deployment.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use connect::bank_oauth::{
    Metadata, Registered, Registrar, RegistrationError, RegistrationOrder, Role, SoftwareStatement,
};
use connect::{Outcome, Profile, RegisteredClient, Transport};
use crypto::Certificate;
use domain::{Capability, Clock, SystemClock, SystemEntropy};
use serde_json::json;
use url::Url;

use super::bank_access::{ChosenBank, Material};
use crate::cli::{BankAccessArgs, RegisterArgs, RegistrationArgs, RegistrationCommand};
use crate::{deployments, read};

/// Registers us, once for each service where the bank wants that.
pub(super) async fn register(args: RegisterArgs) -> anyhow::Result<ExitCode> {
    let desk = Desk::of(&args.access).await?;
    let wish = Wish::of(&args, &desk.bank)?;
    for (role, roles) in wish.parts(&desk.bank.profile) {
        if let Some(client) = desk.known(role) {
            let (bank, id) = (&desk.bank.profile.id, &client.client_id);
            bail!("we are registered at {bank} already, as {id}: banks registration delete ends that");
        }
        let made = desk.transport.register(&desk.registrar(), &wish.order(&roles)).await;
        let made = made.map_err(|error| explained(error, "registered us"))?;
        let lost = || format!("the bank knows us as {} now, and that was not kept", made.client.client_id);
        let files = desk.keep(role, Some(&made.client)).with_context(lost)?;
        tell(&desk, role, &made, &files, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one of the commands on a registration.
pub(super) async fn manage(command: RegistrationCommand) -> anyhow::Result<ExitCode> {
    match command {
        RegistrationCommand::Show(args) => show(&args).await,
        RegistrationCommand::Update(args) => update(&args).await,
        RegistrationCommand::Delete(args) => delete(&args).await,
    }
}

async fn show(args: &RegistrationArgs) -> anyhow::Result<ExitCode> {
    let desk = Desk::of(&args.access).await?;
    for (role, client) in desk.registrations(args.role.as_deref())? {
        let shown = desk.transport.registration(&desk.registrar(), &client, role).await?;
        let files = desk.keep_what_is_new(role, &client, &shown)?;
        tell(&desk, role, &shown, &files, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn update(args: &RegisterArgs) -> anyhow::Result<ExitCode> {
    let desk = Desk::of(&args.access).await?;
    let wish = Wish::of(args, &desk.bank)?;
    for (role, roles) in wish.parts(&desk.bank.profile) {
        let client = desk.known(role).with_context(|| desk.nowhere())?;
        let order = wish.order(&roles);
        let changed = desk.transport.update_registration(&desk.registrar(), &client, role, &order).await;
        let changed = changed.map_err(|error| explained(error, "changed the registration"))?;
        let files = desk.keep_what_is_new(role, &client, &changed)?;
        tell(&desk, role, &changed, &files, args.json)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn delete(args: &RegistrationArgs) -> anyhow::Result<ExitCode> {
    let desk = Desk::of(&args.access).await?;
    for (role, client) in desk.registrations(args.role.as_deref())? {
        let ended = desk.transport.delete_registration(&desk.registrar(), &client, role).await;
        ended.map_err(|error| explained(error, "ended the registration"))?;
        let files = desk.keep(role, None)?;
        let (bank, id) = (&desk.bank.profile.id, &client.client_id);
        let mut out = std::io::stdout().lock();
        if args.json {
            let role = role.map(Role::word);
            writeln!(
                out,
                "{}",
                json!({ "bank": bank.as_str(), "role": role, "deleted": id, "written": files })
            )?;
        } else {
            writeln!(out, "{id} is no longer a client of {bank}; forgotten in {}", files.join(", "))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A failure, and what may have happened all the same.
fn explained(error: RegistrationError, done: &str) -> anyhow::Error {
    let unknown = matches!(&error, RegistrationError::Bank(error) if error.outcome == Outcome::Unknown);
    let error = anyhow::Error::new(error);
    if unknown {
        error.context(format!("the bank may have {done}: ask it before trying again"))
    } else {
        error
    }
}

/// Where registrations at one bank are dealt with.
struct Desk {
    bank: ChosenBank,
    material: Material,
    certificate: Certificate,
    transport: Transport,
    metadata: Metadata,
}

impl Desk {
    async fn of(args: &BankAccessArgs) -> anyhow::Result<Self> {
        let bank = ChosenBank::of(args)?;
        let material = Material::of(args)?;
        let (certificate, transport) = (material.certificate()?, material.transport()?);
        let metadata = transport.server_metadata(&bank.profile, None).await?;
        Ok(Self { bank, material, certificate, transport, metadata })
    }

    fn registrar(&self) -> Registrar<'_> {
        Registrar {
            profile: &self.bank.profile,
            metadata: &self.metadata,
            signing_key: &self.material.signing_key,
            certificate: &self.certificate,
            now: SystemClock.now(),
            entropy: &SystemEntropy,
        }
    }

    /// Our registration, by the deployment or as the profile states it.
    fn known(&self, role: Option<Role>) -> Option<RegisteredClient> {
        let stated =
            || self.bank.profile.client_id.clone().filter(|_| role.is_none()).map(RegisteredClient::known_as);
        self.bank.deployment.client_for(role).cloned().or_else(stated)
    }

    /// All our registrations, or that of one service.
    fn registrations(&self, only: Option<&str>) -> anyhow::Result<Vec<(Option<Role>, RegisteredClient)>> {
        let only = only.and_then(Role::from_word);
        let all = std::iter::once(None).chain(Role::ALL.map(Some));
        let found: Vec<_> = all
            .filter(|role| only.is_none() || *role == only)
            .filter_map(|role| Some((role, self.known(role)?)))
            .collect();
        if found.is_empty() { bail!(self.nowhere()) } else { Ok(found) }
    }

    fn nowhere(&self) -> String {
        let id = &self.bank.profile.id;
        format!("{} knows of no such registration: banks register makes one", self.bank.file_of(id).display())
    }

    /// Keeps a registration, or forgets it, for every bank that shares it.
    fn keep(&self, role: Option<Role>, client: Option<&RegisteredClient>) -> anyhow::Result<Vec<String>> {
        let mut written = Vec::new();
        for bank in &self.bank.sharing {
            let file = self.bank.file_of(bank);
            let mut deployment = deployments::read(&file)?;
            deployment.keep_client(role, client.cloned());
            deployments::write(&file, &deployment)?;
            written.push(file.display().to_string());
        }
        Ok(written)
    }

    /// Keeps the token and the address that an answer has anew (RFC 7592 §3).
    fn keep_what_is_new(
        &self,
        role: Option<Role>,
        known: &RegisteredClient,
        answer: &Registered,
    ) -> anyhow::Result<Vec<String>> {
        let new = answer.client.clone();
        if new.access_token.is_none() && (new.client_uri.is_none() || new.client_uri == known.client_uri) {
            return Ok(Vec::new());
        }
        let client = RegisteredClient {
            client_id: known.client_id.clone(),
            client_uri: new.client_uri.or_else(|| known.client_uri.clone()),
            access_token: new.access_token.or_else(|| known.access_token.clone()),
        };
        self.keep(role, Some(&client))
    }
}

/// What we want to be registered for.
struct Wish {
    statement: Option<SoftwareStatement>,
    roles: Vec<Role>,
    redirect_uris: Vec<Url>,
}

impl Wish {
    fn of(args: &RegisterArgs, bank: &ChosenBank) -> anyhow::Result<Self> {
        let statement = args.software_statement.as_deref().map(statement).transpose()?;
        let profile = &bank.profile;
        let mut roles: Vec<Role> = args.role.iter().filter_map(|word| Role::from_word(word)).collect();
        if roles.is_empty() {
            let covered = statement.as_ref().map_or_else(|| Role::ALL.to_vec(), SoftwareStatement::roles);
            let offered = |role: &Role| match role {
                Role::Accounts => profile.capabilities.contains(&Capability::Accounts),
                Role::Payments | Role::Recurring => profile.capabilities.contains(&Capability::Payments),
                Role::Funds => profile.capabilities.contains(&Capability::FundsConfirmation),
            };
            roles = covered.into_iter().filter(offered).collect();
        }
        let mut redirect_uris = args.redirect_uri.clone();
        if redirect_uris.is_empty() {
            let ends = |url: &&Url| {
                bank.sharing.iter().any(|bank| url.path().ends_with(&format!("/callback/{bank}")))
            };
            let known = statement.as_ref().map(SoftwareStatement::redirect_uris).unwrap_or_default();
            redirect_uris = known.iter().filter(ends).cloned().collect();
        }
        if redirect_uris.is_empty() {
            bail!(
                "no address of the software statement ends in /callback/{}: name one with --redirect-uri",
                profile.id
            );
        }
        Ok(Self { statement, roles, redirect_uris })
    }

    /// One registration, or one for each service.
    fn parts(&self, profile: &Profile) -> Vec<(Option<Role>, Vec<Role>)> {
        match profile.roles_registered_apart() {
            None => vec![(None, self.roles.clone())],
            Some(apart) => {
                let wanted = apart.into_iter().filter(|role| self.roles.contains(role));
                wanted.map(|role| (Some(role), vec![role])).collect()
            }
        }
    }

    fn order<'a>(&'a self, roles: &'a [Role]) -> RegistrationOrder<'a> {
        RegistrationOrder { statement: self.statement.as_ref(), roles, redirect_uris: &self.redirect_uris }
    }
}

fn statement(file: &Path) -> anyhow::Result<SoftwareStatement> {
    SoftwareStatement::parse(&read(file)?).with_context(|| format!("{} cannot be used", file.display()))
}

fn tell(
    desk: &Desk,
    role: Option<Role>,
    registered: &Registered,
    files: &[String],
    as_json: bool,
) -> anyhow::Result<()> {
    let bank = &desk.bank.profile.id;
    let (id, role) = (&registered.client.client_id, role.map(Role::word));
    let since = registered.issued_at.map(|at| at.to_string());
    let mut out = std::io::stdout().lock();
    if as_json {
        let report = json!({
            "bank": bank.as_str(), "role": role, "client_id": id, "issued_at": since,
            "metadata": registered.metadata, "written": files,
        });
        writeln!(out, "{report}")?;
        return Ok(());
    }
    let of = role.map(|role| format!(" ({role})")).unwrap_or_default();
    writeln!(
        out,
        "{bank}{of} knows us as {id}{}",
        since.map(|at| format!(" since {at}")).unwrap_or_default()
    )?;
    for (name, value) in registered.metadata.iter().filter(|(name, _)| *name != "software_statement") {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        writeln!(out, "  {name:<34} {value}")?;
    }
    if !files.is_empty() {
        writeln!(out, "written: {}", files.join(", "))?;
    }
    Ok(())
}
