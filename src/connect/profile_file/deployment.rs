//! What an operator knows of one bank, and what registration gave: the file
//! `BANK.deployment.toml`, beside the profiles. It is read as strictly as they are.

use std::path::Path;

use domain::InstitutionId;
use secrecy::{ExposeSecret, SecretString};

use super::payees::payees;
use super::table::{Findings, Table};
use super::{ProfileProblem, api, document, host, secure};
use crate::bank_oauth::Role;
use crate::{ApiBase, Deployment, PayeeOptions, RegisteredClient};

/// How the name of such a file ends.
const ENDING: &str = ".deployment.toml";

/// The bank that a file is about, if its name says that it is a deployment.
#[must_use]
pub fn deployment_of(path: &Path) -> Option<InstitutionId> {
    path.file_name()?.to_str()?.strip_suffix(ENDING)?.parse().ok()
}

/// Reads the deployment of one bank.
///
/// # Errors
///
/// Everything that is wrong with it.
pub fn read_deployment(file: &str, text: &str) -> Result<Deployment, Vec<ProfileProblem>> {
    let document = document(file, text).map_err(|problem| vec![problem])?;
    let mut findings = Findings::default();
    let mut table = Table::new(file, String::new(), document.root, &mut findings);
    let deployment = deployment(&mut table);
    table.finish();
    for problem in &mut findings.problems {
        problem.key = problem.key.trim_start_matches('.').to_owned();
        problem.line = document.lines.of(&problem.key);
    }
    if findings.problems.is_empty() { Ok(deployment) } else { Err(findings.problems) }
}

fn deployment(table: &mut Table<'_>) -> Deployment {
    let mut deployment = Deployment { client: client(table), ..Deployment::default() };
    for role in Role::ALL {
        if let Some(mut inner) = table.table(role.word()) {
            deployment.clients.extend(client(&mut inner).map(|client| (role, client)));
            inner.finish();
        }
    }
    deployment.financial_id = table.text("financial_id");
    deployment.issuer = table.text("issuer").filter(|issuer| {
        let fine = secure(issuer).is_some();
        if !fine {
            table.problem("issuer", "is an https address");
        }
        fine
    });
    // What is given here is no slot again; a version without an address is a problem of its own.
    let mut empty = Vec::new();
    deployment.accounts_api = api(table, "accounts_api", true, &mut empty);
    deployment.payments_api = api(table, "payments_api", true, &mut empty);
    deployment.funds_api = api(table, "funds_api", true, &mut empty);
    for slot in empty {
        table.problem(&slot, "is to be given here");
    }
    deployment.payees = payees(table);
    deployment.hosts = table.words("hosts", "a host name, or a domain that begins with a dot", host);
    deployment
}

fn client(table: &mut Table<'_>) -> Option<RegisteredClient> {
    let client_id = table.text("client_id");
    let access_token = table.text("registration_access_token").map(SecretString::from);
    let client_uri = table.text("registration_client_uri").and_then(|text| {
        let url = secure(&text);
        if url.is_none() {
            table.problem("registration_client_uri", "is an https address");
        }
        url
    });
    if client_id.is_none() && (access_token.is_some() || client_uri.is_some()) {
        table.problem("client_id", "is missing: what is here is of no registration");
    }
    Some(RegisteredClient { client_id: client_id?, client_uri, access_token })
}

/// A deployment as its file has it. It may hold a secret: only its owner may
/// read the file.
#[must_use]
pub fn deployment_text(deployment: &Deployment) -> String {
    let mut root = toml::Table::new();
    let mut put = |key: &str, value: Option<toml::Value>| {
        if let Some(value) = value {
            root.insert(key.to_owned(), value);
        }
    };
    put("financial_id", deployment.financial_id.clone().map(Into::into));
    put("issuer", deployment.issuer.clone().map(Into::into));
    put("accounts_api", deployment.accounts_api.as_ref().map(|api| api_table(api).into()));
    put("payments_api", deployment.payments_api.as_ref().map(|api| api_table(api).into()));
    put("funds_api", deployment.funds_api.as_ref().map(|api| api_table(api).into()));
    put("payee_verification", payees_table(&deployment.payees).map(Into::into));
    put("hosts", Some(deployment.hosts.clone().into()).filter(|_| !deployment.hosts.is_empty()));
    for (role, client) in &deployment.clients {
        put(role.word(), Some(client_table(client).into()));
    }
    root.extend(deployment.client.iter().flat_map(client_table));
    format!("# What the operator knows of the bank, and what registering there gave.\n{root}")
}

fn api_table(api: &ApiBase) -> toml::Table {
    [("use".to_owned(), api.version.clone().into()), (api.version.clone(), api.url.to_string().into())]
        .into_iter()
        .collect()
}

fn payees_table(payees: &PayeeOptions) -> Option<toml::Table> {
    let address = payees.address.as_ref().map(|url| ("address".to_owned(), url.to_string().into()));
    let bic = payees.requesting_bic.as_ref().map(|bic| ("requesting_bic".to_owned(), bic.clone().into()));
    let table: toml::Table = [address, bic].into_iter().flatten().collect();
    (!table.is_empty()).then_some(table)
}

fn client_table(client: &RegisteredClient) -> toml::Table {
    let mut table = toml::Table::new();
    table.insert("client_id".to_owned(), client.client_id.clone().into());
    if let Some(uri) = &client.client_uri {
        table.insert("registration_client_uri".to_owned(), uri.to_string().into());
    }
    if let Some(token) = &client.access_token {
        table.insert("registration_access_token".to_owned(), token.expose_secret().into());
    }
    table
}

#[cfg(test)]
mod tests;
