//! The files that rules are in: those shipped, or a folder of an operator's.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use crate::invalid::{Finding, InvalidPolicies};

/// The texts of the files, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Source {
    files: BTreeMap<String, String>,
}

/// By what a folder is recognised as changed, without reading it.
pub(crate) type Stamps = BTreeMap<String, (Option<SystemTime>, u64)>;

const REGIONS: &str = "regions.toml";

impl Source {
    /// The rules that the gateway ships.
    pub(crate) fn shipped() -> Self {
        macro_rules! files {
            ($($name:literal),*) => {
                [$(($name, include_str!(concat!("../../policies/access/", $name)))),*]
            };
        }
        let files = files!["consent.cedar", "payment.cedar", "residency.cedar", "regions.toml", "tests.toml"];
        Self { files: files.map(|(name, text)| (name.to_owned(), text.to_owned())).into() }
    }

    /// What is in a folder, or what is shipped.
    pub(crate) fn read(folder: Option<&Path>) -> Result<Self, InvalidPolicies> {
        let Some(folder) = folder else { return Ok(Self::shipped()) };
        let unreadable = |name: &str, error: &io::Error| {
            InvalidPolicies::of(Finding::whole(name, format!("cannot be read: {error}")))
        };
        let mut files = BTreeMap::new();
        for name in
            stamps(folder).map_err(|error| unreadable(&folder.display().to_string(), &error))?.into_keys()
        {
            let text = fs::read_to_string(folder.join(&name)).map_err(|error| unreadable(&name, &error))?;
            files.insert(name, text);
        }
        if !files.contains_key(REGIONS) {
            let finding = Finding::whole(REGIONS, "is not there".to_owned());
            return Err(InvalidPolicies::of(finding));
        }
        Ok(Self { files })
    }

    /// The names of the files.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// The files of rules: name and text.
    pub(crate) fn rules(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files_where(|name| name.ends_with(".cedar"))
    }

    /// The files of tests: name and text.
    pub(crate) fn tests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files_where(|name| name.ends_with(".toml") && name != REGIONS)
    }

    /// The description of the regions: name and text.
    pub(crate) fn regions(&self) -> (&str, &str) {
        (REGIONS, self.files.get(REGIONS).map_or("", String::as_str))
    }

    fn files_where(&self, wanted: fn(&str) -> bool) -> impl Iterator<Item = (&str, &str)> {
        self.files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .filter(move |(name, _)| wanted(name))
    }
}

/// The stamps of the files of a folder that are read.
pub(crate) fn stamps(folder: &Path) -> io::Result<Stamps> {
    let mut stamps = Stamps::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') || !(name.ends_with(".cedar") || name.ends_with(".toml")) {
            continue;
        }
        // Through links: a mounted folder is often one of links into another.
        let about = fs::metadata(entry.path())?;
        stamps.insert(name, (about.modified().ok(), about.len()));
    }
    Ok(stamps)
}
