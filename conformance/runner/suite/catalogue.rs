//! The profiles that come along, and cases of the user's own.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use include_dir::{Dir, include_dir};
use serde::Deserialize;

use crate::case::{Action, Case, Step};

static CASES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/cases");

/// Cases that belong together.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What it is called.
    pub name: String,
    /// What it is about, in one sentence.
    pub title: String,
    /// It begins with the metadata of an authorization server.
    pub metadata: bool,
    /// More cases are made from the description of the API.
    pub openapi: bool,
    /// Its cases, by id.
    pub cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    title: String,
    #[serde(default)]
    includes: Vec<String>,
    #[serde(default)]
    metadata: bool,
    #[serde(default)]
    openapi: bool,
    /// Steps that several cases begin with, by name.
    #[serde(default)]
    sequences: BTreeMap<String, Vec<Step>>,
}

/// A file with several cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Several {
    case: Vec<Case>,
}

/// The cases of a file: one, or each `[[case]]`.
fn cases_of(text: &str) -> anyhow::Result<Vec<Case>> {
    let table: toml::Table = toml::from_str(text)?;
    if table.contains_key("case") {
        return Ok(toml::from_str::<Several>(text)?.case);
    }
    Ok(vec![Case::read(text)?])
}

/// Puts the steps of sequences where they are used; a sequence may use another.
fn unrolled(steps: &[Step], sequences: &BTreeMap<String, Vec<Step>>, depth: u8) -> anyhow::Result<Vec<Step>> {
    anyhow::ensure!(depth < 8, "a sequence uses itself");
    let mut all = Vec::new();
    for step in steps {
        let Some(name) =
            step.uses.as_deref().filter(|_| step.action == Action::Sequence && step.skips.is_none())
        else {
            all.push(step.clone());
            continue;
        };
        let sequence = sequences.get(name).with_context(|| format!("there is no sequence {name}"))?;
        let mut inner = unrolled(sequence, sequences, depth.saturating_add(1))?;
        // What the user of a sequence sets is known before it begins.
        if let Some(first) = inner.first_mut() {
            let own = std::mem::replace(&mut first.set, step.set.clone());
            for (name, value) in own {
                first.set.entry(name).or_insert(value);
            }
        }
        let mark = |skips| Step { skips: Some(skips), set: BTreeMap::new(), ..step.clone() };
        if step.share {
            all.push(Step { set: step.set.clone(), ..mark(inner.len().saturating_add(1)) });
            all.extend(inner);
            all.push(mark(0));
        } else {
            all.extend(inner);
        }
    }
    Ok(all)
}

/// The names of the profiles that come along.
#[must_use]
pub fn profiles() -> Vec<String> {
    let names = CASES.dirs().filter_map(|folder| folder.path().to_str());
    let mut names: Vec<_> = names.map(str::to_owned).collect();
    names.sort();
    names
}

/// A profile that comes along, with the cases of a folder (`*.toml`) beside its own.
///
/// # Errors
///
/// If there is none of the name, or a case cannot be read.
pub fn profile(name: &str, more: Option<&Path>) -> anyhow::Result<Profile> {
    let Some(folder) = CASES.get_dir(name) else {
        bail!("there is no profile {name}; there are {}", profiles().join(", "));
    };
    let about = folder
        .get_file(format!("{name}/profile.toml"))
        .and_then(include_dir::File::contents_utf8)
        .with_context(|| format!("the profile {name} says nothing about itself"))?;
    let about: About = toml::from_str(about).with_context(|| format!("{name}/profile.toml"))?;
    let mut cases = Vec::new();
    for file in folder.files() {
        if ["profile.toml", "preparation.toml"].iter().any(|name| file.path().ends_with(name)) {
            continue;
        }
        let text = file.contents_utf8().with_context(|| format!("{} is no text", file.path().display()))?;
        let read = if file.path().extension().is_some_and(|kind| kind == "table") {
            super::table::cases(text)
        } else {
            cases_of(text)
        };
        cases.extend(read.with_context(|| file.path().display().to_string())?);
    }
    for included in &about.includes {
        let included = profile(included, None)?;
        // The same case, sharper, may be in the profile that includes.
        let known: Vec<_> = cases.iter().map(|case| case.id.clone()).collect();
        cases.extend(included.cases.into_iter().filter(|case| !known.contains(&case.id)));
    }
    if let Some(folder) = more {
        cases.extend(of_folder(folder)?);
    }
    for case in &mut cases {
        case.steps = unrolled(&case.steps, &about.sequences, 0).with_context(|| case.id.clone())?;
    }
    cases.sort_by(|one, other| one.id.cmp(&other.id));
    if let Some(twice) = cases.windows(2).find_map(|two| match two {
        [one, other] if one.id == other.id => Some(one.id.clone()),
        _ => None,
    }) {
        bail!("the case {twice} is there twice");
    }
    Ok(Profile {
        name: name.to_owned(),
        title: about.title,
        metadata: about.metadata,
        openapi: about.openapi,
        cases,
    })
}

fn of_folder(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let mut cases = Vec::new();
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "toml") {
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            cases.extend(cases_of(&text).with_context(|| path.display().to_string())?);
        }
    }
    Ok(cases)
}
