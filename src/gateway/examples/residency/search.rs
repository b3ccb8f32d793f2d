//! The search: every byte of every file, for what belongs to persons of other regions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aho_corasick::AhoCorasick;
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;

/// What says something of a person, by the region where it is at home.
#[derive(Clone, Debug, Default)]
pub struct Canaries(BTreeMap<String, BTreeSet<String>>);

/// Something that is where it must not be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hit {
    /// Where.
    pub file: String,
    /// Of which region.
    pub region: String,
    /// How often.
    pub times: usize,
}

impl Canaries {
    /// Notes a text of a person of a region.
    pub fn add(&mut self, region: &str, text: &str) {
        // Short ones are anywhere.
        if text.len() >= 8 {
            self.0.entry(region.to_owned()).or_default().insert(text.to_owned());
        }
    }

    /// How many there are of a region.
    pub fn count(&self, region: &str) -> usize {
        self.only(region).len()
    }

    /// What is known of persons of this region and of no other.
    fn only(&self, region: &str) -> BTreeSet<&str> {
        let others = || self.0.iter().filter(|(other, _)| *other != region);
        let texts = self.0.get(region).into_iter().flatten();
        let alone =
            texts.filter(|text| !others().any(|(_, theirs)| theirs.iter().any(|it| it.contains(*text))));
        alone.map(String::as_str).collect()
    }

    /// Looks through a folder for what belongs to regions other than `home`; through what is
    /// nobody's home, for all. Bytes that were looked at, and what was found.
    pub fn search(&self, folder: &Path, home: Option<&str>) -> anyhow::Result<(u64, Vec<Hit>)> {
        let mut words = Vec::new();
        for region in self.0.keys().filter(|region| home != Some(region.as_str())) {
            for text in self.only(region) {
                words.push((region.as_str(), text.to_owned()));
                // As JSON, in hexadecimal, and in base64 (but for its end, where it depends on what follows).
                words.push((region.as_str(), serde_json::to_string(text)?.trim_matches('"').to_owned()));
                words.push((region.as_str(), hex::encode(text)));
                let whole = text.len().saturating_sub(text.len() % 3);
                let encoded = STANDARD_NO_PAD.encode(text.as_bytes().get(..whole).unwrap_or_default());
                words.push((region.as_str(), encoded));
            }
        }
        let finder = AhoCorasick::new(words.iter().map(|(_, word)| word))?;
        let (mut bytes, mut hits) = (0, BTreeMap::new());
        visit(folder, &mut |path, content| {
            bytes += u64::try_from(content.len()).unwrap_or(u64::MAX);
            for found in finder.find_iter(content) {
                let region = words.get(found.pattern().as_usize()).map_or("", |(region, _)| *region);
                *hits.entry((path.display().to_string(), region.to_owned())).or_insert(0_usize) += 1;
            }
        })?;
        let hits = hits.into_iter().map(|((file, region), times)| Hit { file, region, times });
        Ok((bytes, hits.collect()))
    }
}

/// Shows every file below a folder. What goes away meanwhile is not there.
fn visit(folder: &Path, look: &mut impl FnMut(&Path, &[u8])) -> anyhow::Result<()> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(()) };
    for entry in entries.flatten() {
        let (path, kind) = (entry.path(), entry.file_type()?);
        if kind.is_dir() {
            visit(&path, look)?;
        } else if kind.is_file()
            && let Ok(content) = std::fs::read(&path)
        {
            look(&path, &content);
        }
    }
    Ok(())
}
