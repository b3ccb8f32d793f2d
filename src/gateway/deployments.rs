//! Files `BANK.deployment.toml`: what an operator knows of a bank, and what our
//! registration there gave. One that holds a secret is for its owner's eyes alone.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use connect::Deployment;
use domain::InstitutionId;

use crate::private_file;

/// Where the deployment of a bank lies whose profile is in this file or folder.
pub(crate) fn beside(profile: &Path, bank: &InstitutionId) -> PathBuf {
    folder_of(profile).join(format!("{bank}.deployment.toml"))
}

fn folder_of(place: &Path) -> &Path {
    if place.is_dir() {
        return place;
    }
    place.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The deployments in a folder, or beside a file, in their order.
///
/// # Errors
///
/// The folder cannot be listed.
pub(crate) fn files_at(place: &Path) -> anyhow::Result<Vec<(InstitutionId, PathBuf)>> {
    let folder = folder_of(place);
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        found.extend(connect::deployment_of(&path).map(|bank| (bank, path)));
    }
    found.sort();
    Ok(found)
}

/// The scorecards in a folder, or beside a file, in their order.
///
/// # Errors
///
/// The folder cannot be listed.
pub(crate) fn scorecards_at(place: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let folder = folder_of(place);
    let unreadable = || format!("{} cannot be read", folder.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        found.extend(connect::scorecard_of(&path).map(|_| path));
    }
    found.sort();
    Ok(found)
}

/// Reads a deployment; an empty one, if there is no such file.
///
/// # Errors
///
/// Everything that is wrong with it, one a line; or others may read a secret in it.
pub(crate) fn read(file: &Path) -> anyhow::Result<Deployment> {
    let name = file.display().to_string();
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Deployment::default()),
        Err(error) => return Err(error).with_context(|| format!("{name} cannot be read")),
    };
    let deployment = connect::read_deployment(&name, &text).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(lines.join("\n"))
    })?;
    if deployment.is_secret() && fs::metadata(file)?.permissions().mode() & 0o077 != 0 {
        bail!("{name} holds a registration access token, and others may read it: chmod 600 {name}");
    }
    Ok(deployment)
}

/// Puts a deployment in the place of what the file held, in one step.
pub(crate) fn write(file: &Path, deployment: &Deployment) -> anyhow::Result<()> {
    private_file::replace(file, &connect::deployment_text(deployment))
}
