//! `consentry clients`.

use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use crypto::Certificate;
use domain::{Clock, SystemClock, SystemEntropy};
use flows::{Invalidated, Invalidation};
use oauth::{Client, Registration, new_client_id};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::SchemaUse;
use store::clients::ClientRow;
use store::{GlobalStore, StoreError, Tx};

use crate::cli::{ClientsCommand, StoreArgs};
use crate::service::StoreOptions;

/// Runs one of the commands.
pub(crate) async fn run(command: ClientsCommand) -> anyhow::Result<ExitCode> {
    match command {
        ClientsCommand::Add { file, certificate, replace, json, at } => {
            let wanted = read_metadata(&file)?;
            let certificate = certificate.as_deref().map(read_certificate).transpose()?;
            let store = open(&at).await?;
            let added = add(&store, wanted, certificate.as_ref(), replace).await;
            store.close().await;
            tell_added(&added?, json)
        }
        ClientsCommand::List { json, at } => {
            let store = open(&at).await?;
            let rows = store.clients().await;
            store.close().await;
            let rows: Vec<_> = rows?.into_iter().filter(|row| !is_gone(row)).collect();
            list(&rows, json)
        }
        ClientsCommand::Show { id, at } => {
            let store = open(&at).await?;
            let row = existing(&store, &id).await;
            store.close().await;
            let row = row?;
            writeln!(std::io::stdout(), "{:#}", described(&row)?)?;
            Ok(ExitCode::SUCCESS)
        }
        ClientsCommand::Suspend { id, at } => change(&at, &id, Status::Suspended).await,
        ClientsCommand::Activate { id, at } => change(&at, &id, Status::Active).await,
        ClientsCommand::Remove { id, at } => change(&at, &id, Status::Deleted).await,
        ClientsCommand::Policy { id, set, none, at } => {
            super::payment_policy::run(&at, &id, set.as_deref(), none).await
        }
    }
}

/// What an operator can make of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Active,
    Suspended,
    Deleted,
}

impl Status {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Deleted => "deleted",
        }
    }
}

pub(super) fn is_gone(row: &ClientRow) -> bool {
    ![Status::Active, Status::Suspended].iter().any(|status| row.status == status.as_str())
}

pub(super) async fn open(at: &StoreArgs) -> anyhow::Result<GlobalStore> {
    // A PostgreSQL that is named is enough: no folder has to be there.
    let named = |url: &String| StoreOptions {
        url: Some(url.clone().into()),
        global_url: at.global_database_url.clone().map(Into::into),
        schema: SchemaUse::AsItIs,
    };
    let (stores, file) = match (&at.config, &at.database_url) {
        (None, Some(url)) => (named(url), None),
        (Some(_), _) | (None, None) => {
            let place = at.place()?;
            (place.stores.clone(), Some(place.file("global")))
        }
    };
    let url = match stores.global_url.as_ref().or(stores.url.as_ref()) {
        Some(url) => store::postgres_databases(url.expose_secret(), &["global"], stores.schema)
            .await
            .context("the database cannot be reached")?
            .into_iter()
            .next(),
        None => file,
    };
    let url = url.context("the database has no address")?;
    GlobalStore::open_as(&url, stores.schema).await.context("the clients cannot be read")
}

pub(super) async fn existing(store: &GlobalStore, id: &str) -> anyhow::Result<ClientRow> {
    let row = store.client(id).await?;
    row.with_context(|| format!("there is no client {id}: see `consentry clients list`"))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    More(Vec<Map<String, Value>>),
    One(Map<String, Value>),
}

/// The objects of a file, or of the standard input.
fn read_metadata(file: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    let name = file.display();
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)?;
    } else {
        bytes = std::fs::read(file).with_context(|| format!("{name} cannot be read"))?;
    }
    let unusable = || format!("{name} is no JSON object of RFC 7591 metadata, nor an array of them");
    let read = crypto::json::unique_value(&bytes).with_context(unusable)?;
    let objects = match serde_json::from_value(read).with_context(unusable)? {
        OneOrMore::More(objects) => objects,
        OneOrMore::One(object) => vec![object],
    };
    if objects.is_empty() {
        bail!("{name} is an array without a client");
    }
    Ok(objects)
}

fn read_certificate(file: &Path) -> anyhow::Result<Certificate> {
    let pem = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    Certificate::from_pem(&pem).with_context(|| format!("{} holds no certificate", file.display()))
}

/// Registers all of them, or none.
async fn add(
    store: &GlobalStore,
    wanted: Vec<Map<String, Value>>,
    certificate: Option<&Certificate>,
    replace: bool,
) -> anyhow::Result<Vec<Registration>> {
    let (added, last) = store::transaction!(store, tx => {
        put_all(tx, store, &wanted, certificate, replace).await.map_err(NotAdded)
    })?;
    if let Some(last) = last {
        flows::until_dropped(store, &SystemClock, &last).await?;
    }
    Ok(added)
}

/// Why clients are not registered.
struct NotAdded(anyhow::Error);

impl From<StoreError> for NotAdded {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<NotAdded> for anyhow::Error {
    fn from(error: NotAdded) -> Self {
        error.0
    }
}

impl store::Passing for NotAdded {
    fn store_error(&self) -> Option<&StoreError> {
        self.0.downcast_ref()
    }
}

/// Writes all of them, and what is to be followed last.
async fn put_all(
    tx: &mut Tx,
    store: &GlobalStore,
    wanted: &[Map<String, Value>],
    certificate: Option<&Certificate>,
    replace: bool,
) -> anyhow::Result<(Vec<Registration>, Option<Invalidation>)> {
    let (mut added, mut last) = (Vec::new(), None);
    for (index, mut metadata) in wanted.iter().cloned().enumerate() {
        let id = match metadata.remove("client_id") {
            None => new_client_id(&SystemEntropy),
            Some(Value::String(id)) if !id.is_empty() && id.len() <= 128 => id,
            Some(_) => bail!("client_id of client {index} is not a text of 1 to 128 characters"),
        };
        if added.iter().any(|other: &Registration| other.client.id == id) {
            bail!("client {id} is named twice");
        }
        match store.client(&id).await? {
            Some(row) if is_gone(&row) => {
                bail!("client {id} was removed, and its id is not used again: choose another one")
            }
            Some(_) if !replace => {
                bail!("client {id} is there already: give --replace to put this in its place")
            }
            Some(_) | None => {}
        }
        if let Some(certificate) = certificate {
            fill_subject(&mut metadata, certificate);
        }
        let registration =
            Registration::new(&id, metadata, certificate).with_context(|| format!("client {id}"))?;
        tx.put_client(&id, &registration.metadata, SystemClock.now()).await?;
        added.push(registration);
    }
    for one in &added {
        // Whoever has followed the last has followed all.
        last = Some(flows::invalidate(tx, &SystemClock, Invalidated::Client(&one.client.id)).await?);
    }
    Ok((added, last))
}

/// A client that authenticates by its certificate and names no subject is the
/// subject of the one that the operator was given.
fn fill_subject(metadata: &mut Map<String, Value>, certificate: &Certificate) {
    let by_certificate =
        metadata.get("token_endpoint_auth_method").and_then(Value::as_str) == Some("tls_client_auth");
    if by_certificate && !metadata.keys().any(|name| name.starts_with("tls_client_auth_")) {
        metadata.insert("tls_client_auth_subject_dn".to_owned(), certificate.subject_dn.as_str().into());
    }
}

async fn change(at: &StoreArgs, id: &str, to: Status) -> anyhow::Result<ExitCode> {
    let store = open(at).await?;
    let changed = change_in(&store, id, to).await;
    store.close().await;
    changed?;
    let said = match to {
        Status::Active => "is active again: it may log in and its tokens hold.",
        Status::Suspended => {
            "is suspended. From now on it gets no token, and none of its tokens is accepted."
        }
        Status::Deleted => "is removed, with its grants and tokens. None of them is accepted from now on.",
    };
    writeln!(std::io::stdout(), "Client {id} {said}")?;
    Ok(ExitCode::SUCCESS)
}

pub(crate) async fn change_in(store: &GlobalStore, id: &str, to: Status) -> anyhow::Result<()> {
    let row = existing(store, id).await?;
    if is_gone(&row) {
        bail!("client {id} was removed");
    }
    // What is set twice is set.
    let changed = store::transaction!(keyed store, tx => {
        tx.set_client_status(id, to.as_str()).await?;
        if to == Status::Deleted {
            tx.revoke_client(id, SystemClock.now()).await?;
        }
        flows::invalidate(tx, &SystemClock, Invalidated::Client(id)).await
    })?;
    Ok(flows::until_dropped(store, &SystemClock, &changed).await?)
}

fn described(row: &ClientRow) -> anyhow::Result<Value> {
    let client = Client::from_metadata(&row.client_id, &row.metadata)
        .with_context(|| format!("the registration of client {} is damaged", row.client_id))?;
    let mut described = client.effective(&row.metadata);
    if let Some(members) = described.as_object_mut() {
        members.insert("status".to_owned(), row.status.as_str().into());
        members.insert("client_id_issued_at".to_owned(), json!(row.created_at.as_second()));
    }
    Ok(described)
}

fn list(rows: &[ClientRow], as_json: bool) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for row in rows {
        let shown = described(row)?;
        if as_json {
            writeln!(out, "{shown}")?;
        } else {
            let text = |name: &str| shown.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            writeln!(
                out,
                "{:<28} {:<10} {:<30} {:<28} {}",
                row.client_id,
                row.status,
                text("client_name"),
                text("token_endpoint_auth_method"),
                text("scope"),
            )?;
        }
    }
    if !as_json {
        writeln!(out, "{} clients", rows.len())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell_added(added: &[Registration], as_json: bool) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    for Registration { client, metadata } in added {
        if as_json {
            writeln!(out, "{}", client.effective(metadata))?;
        } else {
            writeln!(out, "Client {} ({}) is registered.", client.id, client.name)?;
        }
    }
    if !as_json {
        writeln!(out, "A running sandbox knows this at once; nothing has to be restarted.")?;
    }
    Ok(ExitCode::SUCCESS)
}
