//! Banks from files and folders of the operator, taken up while the gateway
//! runs: all of a change, or nothing of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, bail};
use connect::{Dialect, Profile, Registry, Scorecard};
use domain::InstitutionId;
use flows::Gateway;
use telemetry::{FIGURES, Reloaded};

use crate::deployments;

/// What tells one state of a file from another.
type Stamp = (PathBuf, Option<SystemTime>, u64);

/// The files and folders that banks come from: of a folder, its profile files and
/// the deployments of its banks and of those that ship; of a file, the
/// deployments of its banks beside it.
pub(crate) struct BankFiles {
    places: Vec<PathBuf>,
    /// Banks that ship are there to be deployed.
    embedded: bool,
    seen: Vec<Stamp>,
}

impl BankFiles {
    /// Reads all of them.
    ///
    /// # Errors
    ///
    /// Every problem of every file, one a line, with file, line and key.
    pub(crate) fn open(places: &[PathBuf], embedded: bool) -> anyhow::Result<(Self, Vec<Profile>)> {
        let mut files = Self { places: places.to_vec(), embedded, seen: Vec::new() };
        files.seen = files.stamps()?;
        let profiles = files.read_all(&files.seen)?;
        Ok((files, profiles))
    }

    /// What the banks are now, if that has changed since the last look. A change
    /// with a problem in it is reported, once, and is none.
    pub(crate) fn look(&mut self) -> Option<Vec<Profile>> {
        let now = match self.stamps() {
            Ok(now) if now == self.seen => return None,
            Ok(now) => now,
            // As if nothing were there; what cannot be listed cannot be read.
            Err(_) if self.seen.is_empty() => return None,
            Err(error) => {
                unread(&error);
                self.seen.clear();
                return None;
            }
        };
        let read = self.read_all(&now);
        self.seen = now;
        read.map_err(|error| unread(&error)).ok()
    }

    /// Every file with what tells its state, in their order.
    fn stamps(&self) -> anyhow::Result<Vec<Stamp>> {
        let mut stamps = Vec::new();
        for place in &self.places {
            let deployments = deployments::files_at(place)?.into_iter().map(|(_, path)| path);
            let scorecards = deployments::scorecards_at(place)?;
            for path in profile_files(place)?.into_iter().chain(deployments).chain(scorecards) {
                let unreadable = || format!("{} cannot be read", path.display());
                let metadata = fs::metadata(&path).with_context(unreadable)?;
                stamps.push((path, metadata.modified().ok(), metadata.len()));
            }
        }
        Ok(stamps)
    }

    fn read_all(&self, stamps: &[Stamp]) -> anyhow::Result<Vec<Profile>> {
        let mut banks: BTreeMap<InstitutionId, (&Path, Profile)> = BTreeMap::new();
        let mut deployed = BTreeMap::new();
        let mut scorecards = BTreeMap::new();
        let mut problems = Vec::new();
        for (path, ..) in stamps {
            if let Some(id) = connect::deployment_of(path) {
                deployed.insert(id, path.as_path());
                continue;
            }
            let name = path.display().to_string();
            let text = fs::read_to_string(path).with_context(|| format!("{name} cannot be read"))?;
            if let Some(id) = connect::scorecard_of(path) {
                match serde_json::from_str::<Scorecard>(&text) {
                    Ok(card) if card.bank == id.as_str() => drop(scorecards.insert(id, card)),
                    Ok(card) => problems.push(format!("{name}: it is the scorecard of {}", card.bank)),
                    Err(error) => problems.push(format!("{name}: {error}")),
                }
                continue;
            }
            let (profiles, wrong) = connect::read_profiles(&name, &text);
            problems.extend(wrong.iter().map(ToString::to_string));
            for profile in profiles {
                let id = profile.id.clone();
                if let Some((other, _)) = banks.insert(id.clone(), (path, profile)) {
                    problems.push(format!("{name}: {id} is in {} already", other.display()));
                }
            }
        }
        let mut profiles: BTreeMap<_, _> =
            banks.into_iter().map(|(id, (_, profile))| (id, profile)).collect();
        self.deploy(&mut profiles, deployed, &mut problems);
        for (id, profile) in &mut profiles {
            profile.scorecard = scorecards.remove(id);
        }
        if !problems.is_empty() {
            bail!("{}", problems.join("\n"));
        }
        let empty = profiles.values().filter_map(|profile| profile.filled().err());
        empty.for_each(|empty| tracing::warn!("{empty}"));
        Ok(profiles.into_values().collect())
    }

    /// Fills the slots of these banks, and adds those that ship and are deployed here.
    fn deploy(
        &self,
        profiles: &mut BTreeMap<InstitutionId, Profile>,
        deployed: BTreeMap<InstitutionId, &Path>,
        problems: &mut Vec<String>,
    ) {
        let ships = self.embedded && !deployed.is_empty();
        let shipped = if ships { Registry::embedded(Vec::new()) } else { Registry::default() };
        for (id, path) in deployed {
            // What lies beside a single file may be about the banks of others.
            let in_folder = self.places.iter().any(|place| path.parent() == Some(place));
            let shipped = || shipped.profile(&id).filter(|_| in_folder).map(Arc::unwrap_or_clone);
            let Some(profile) = profiles.remove(&id).or_else(shipped) else {
                if in_folder {
                    problems.push(format!("{}: no bank is called {id}", path.display()));
                }
                continue;
            };
            match deployments::read(path) {
                Ok(deployment) => drop(profiles.insert(id, profile.deployed(deployment))),
                Err(error) => problems.push(format!("{error:#}")),
            }
        }
    }
}

/// Says that a change is none, and why.
fn unread(error: &anyhow::Error) {
    FIGURES.reload_failed(Reloaded::Banks);
    tracing::error!(error = format!("{error:#}"), "The banks stay as they are");
}

/// The profile files of a folder, in their order; a file stands for itself.
///
/// # Errors
///
/// The folder cannot be listed.
pub(crate) fn profile_files(place: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !place.is_dir() {
        return Ok(vec![place.to_path_buf()]);
    }
    let unreadable = || format!("{} cannot be read", place.display());
    let mut found = Vec::new();
    for entry in fs::read_dir(place).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        if connect::is_profile_file(&path) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Puts what a look found in the place of what was loaded before.
pub(crate) fn take_up(gateway: &Gateway, changed: Option<Vec<Profile>>) {
    if let Some(profiles) = changed {
        let number = profiles.len();
        let registry = gateway.registry();
        for profile in profiles.iter().filter(|profile| registry.dialect(profile).is_none()) {
            let (id, dialect) = (&profile.id, &profile.dialect);
            tracing::error!(bank = %id, dialect, "{id} speaks {dialect}, which is not there");
        }
        registry.replace_loaded(profiles);
        tracing::info!(banks = number, "{number} banks were read anew");
    }
}

/// The same, of plugins.
pub(crate) fn take_up_plugins(gateway: &Gateway, changed: Option<Vec<Arc<dyn Dialect>>>) {
    if let Some(plugins) = changed {
        let number = plugins.len();
        gateway.registry().replace_plugins(plugins);
        tracing::info!(plugins = number, "{number} plugins are in service");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bank(id: &str) -> String {
        format!(
            "group = \"G\"\n[[brand]]\nid = \"{id}\"\nname = \"B\"\ndialect = \"berlin-group\"\nregion = \"eu\"\n\
             countries = [\"DE\"]\nenvironment = \"live\"\ncapabilities = [\"accounts\"]\nsca = [\"redirect\"]\n\
             client_auth = \"certificate\"\nsigning = {{ method = \"none\" }}\n"
        )
    }

    fn ids(profiles: &[Profile]) -> Vec<&str> {
        profiles.iter().map(|profile| profile.id.as_str()).collect()
    }

    /// One mistake in one file, and nothing of the change is taken up; when it
    /// is mended, all of it is.
    #[test]
    fn a_change_is_taken_up_as_a_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write("a.toml", &bank("de-a"));
        write("notes.txt", "no bank");
        let (mut files, first) = BankFiles::open(&[folder.path().to_path_buf()], true).unwrap();
        assert_eq!(ids(&first), ["de-a"]);
        assert!(files.look().is_none());

        write("b.toml", &bank("de-b"));
        write("c.toml", &bank("de-c").replace("capabilities", "abilities"));
        assert!(files.look().is_none());
        assert!(files.look().is_none());
        write("c.toml", &bank("de-b"));
        assert!(files.look().is_none(), "one bank in two files");
        write("c.toml", &bank("de-cc"));
        write(
            "d.yaml",
            "group: G\nbrand: [{id: de-d, name: D, dialect: berlin-group, region: eu, environment: live, client_auth: certificate}]",
        );
        assert_eq!(ids(&files.look().unwrap()), ["de-a", "de-b", "de-cc", "de-d"]);
        assert!(files.look().is_none());

        let (place, away) = (folder.path().to_path_buf(), folder.path().with_extension("away"));
        fs::rename(&place, &away).unwrap();
        assert!(files.look().is_none());
        fs::rename(&away, &place).unwrap();
        assert_eq!(files.look().unwrap().len(), 4, "what is there again is read again");
    }

    /// What the operator knows fills the slots of the folder's banks and of those
    /// that ship; a secret that others may read, and a bank that nobody knows, are
    /// mistakes like any other.
    #[test]
    fn a_deployment_fills_the_slots_of_its_bank() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let open = |place: &Path| BankFiles::open(&[place.to_path_buf()], true).map(|(_, banks)| banks);
        let slots = "client_id = \"deployment\"\nfinancial_id = \"deployment\"\n";
        write("a.toml", &format!("{}{slots}", bank("de-a")));
        let empty = open(folder.path()).unwrap();
        assert_eq!(empty[0].missing, ["client_id", "financial_id"]);

        write("de-a.deployment.toml", "client_id = \"c\"\nfinancial_id = \"f\"\n");
        write("gb-monzo.deployment.toml", "financial_id = \"m\"\n");
        let full = open(folder.path()).unwrap();
        assert_eq!(ids(&full), ["de-a", "gb-monzo"]);
        assert!(full[0].connectable(), "{:?}", full[0].missing);
        assert_eq!(full[1].financial_id.as_deref(), Some("m"));
        // Beside a single file, only what is about its banks.
        assert_eq!(ids(&open(&folder.path().join("a.toml")).unwrap()), ["de-a"]);

        write("de-b.deployment.toml", "client_id = \"c\"\n");
        let refused = open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("de-b.deployment.toml: no bank is called de-b"), "{refused}");
        assert!(open(&folder.path().join("a.toml")).is_ok());
        fs::remove_file(folder.path().join("de-b.deployment.toml")).unwrap();
        let secret = "client_id = \"c\"\nfinancial_id = \"f\"\nregistration_access_token = \"t\"\n";
        write("de-a.deployment.toml", secret);
        let refused = open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("others may read it: chmod 600"), "{refused}");
        let deployment = connect::read_deployment("x", secret).unwrap();
        deployments::write(&folder.path().join("de-a.deployment.toml"), &deployment).unwrap();
        assert!(open(folder.path()).unwrap()[0].connectable());
    }
}
