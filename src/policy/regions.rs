//! What may leave which region, and to where: `regions.toml`.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{Entities, Entity, RestrictedExpression};
use domain::Region;
use serde::Deserialize;

use crate::ask::Names;

/// What is known of a region.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Described {
    /// Whose law it is under.
    jurisdiction: String,
    /// By what right data leaves it, or why none does.
    basis: String,
    /// The regions to which its data may be copied.
    copies: BTreeSet<Region>,
    /// The regions through which requests about it may be passed on.
    streams: BTreeSet<Region>,
}

/// The regions that there are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct Regions(BTreeMap<Region, Described>);

impl Described {
    /// Its attributes in the schema.
    pub(crate) fn schema() -> String {
        "copies: Set<Region>, streams: Set<Region>".to_owned()
    }
}

impl Regions {
    /// Reads the text of a file. The error is a sentence, and the offset in the text it is about.
    pub(crate) fn parse(text: &str) -> Result<Self, (String, usize)> {
        let regions: Self = toml::from_str(text)
            .map_err(|error| (error.message().to_owned(), error.span().map_or(0, |span| span.start)))?;
        regions.whole().map_err(|says| (says, 0))?;
        Ok(regions)
    }

    /// These, and others, of which none is among these.
    pub(crate) fn and(&self, others: &Self) -> Result<Self, String> {
        let mut both = self.clone();
        for (region, described) in &others.0 {
            if both.0.insert(*region, described.clone()).is_some() {
                return Err(format!("{region} is described already"));
            }
        }
        both.whole()?;
        Ok(both)
    }

    fn whole(&self) -> Result<(), String> {
        for (region, described) in &self.0 {
            if described.jurisdiction.is_empty() || described.basis.is_empty() {
                return Err(format!("{region} does not say both its jurisdiction and its basis"));
            }
            let others = described.copies.iter().chain(&described.streams);
            if let Some(other) = others.into_iter().find(|other| !self.0.contains_key(other)) {
                return Err(format!("{region} names {other}, which is not described"));
            }
        }
        Ok(())
    }

    /// The regions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Region> {
        self.0.keys().copied()
    }

    /// The entities of the regions. `None` if one cannot be made, which no file brings about.
    pub(crate) fn entities(&self, names: &Names) -> Option<Entities> {
        let set = |regions: &BTreeSet<Region>| {
            let all: Result<Vec<_>, _> = regions.iter().map(|region| names.region(*region)).collect();
            all.ok().map(|all| {
                RestrictedExpression::new_set(all.into_iter().map(RestrictedExpression::new_entity_uid))
            })
        };
        let mut entities = Vec::new();
        for (region, described) in &self.0 {
            let attributes = HashMap::from([
                ("copies".to_owned(), set(&described.copies)?),
                ("streams".to_owned(), set(&described.streams)?),
            ]);
            entities.push(Entity::new(names.region(*region).ok()?, attributes, HashSet::new()).ok()?);
        }
        Entities::from_entities(entities, None).ok()
    }
}
