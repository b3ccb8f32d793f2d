//! Profiles key by key, as they are when defaults and brand are one.

use std::collections::BTreeMap;

use super::{Document, EMBEDDED, ProfileProblem, document, merged, parts};

/// The keys of one brand (`limits.max_in_flight`, `quirks.consent-settles.at`)
/// with their values as TOML writes them.
pub type ProfileKeys = BTreeMap<String, String>;

/// The keys of every brand of a file, by the brand's identifier. They need not
/// make a profile that can be loaded.
///
/// # Errors
///
/// The text is neither TOML nor YAML.
pub fn profile_keys(file: &str, text: &str) -> Result<BTreeMap<String, ProfileKeys>, ProfileProblem> {
    let Document { root, .. } = document(file, text)?;
    let parts = parts(file, root, &mut Vec::new());
    let brands = parts.brands.into_iter().map(|(index, brand)| {
        let mut whole = merged(&parts.defaults, brand);
        whole.insert("group".into(), parts.group.clone().into());
        let id = whole.get("id").and_then(toml::Value::as_str);
        let id = id.map_or_else(|| format!("brand[{index}]"), str::to_owned);
        let mut keys = ProfileKeys::new();
        flatten("", &whole.into(), &mut keys);
        (id, keys)
    });
    Ok(brands.collect())
}

/// The keys of a bank that ships with the gateway.
#[must_use]
pub fn embedded_profile_keys(id: &str) -> Option<ProfileKeys> {
    EMBEDDED.iter().find_map(|(file, text)| profile_keys(file, text).ok()?.remove(id))
}

fn flatten(path: &str, value: &toml::Value, keys: &mut ProfileKeys) {
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                flatten(&below(name), value, keys);
            }
        }
        toml::Value::Array(list) if !list.is_empty() && list.iter().all(toml::Value::is_table) => {
            let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
            for entry in list {
                // By name, so that one more in the middle is one more and not all others.
                let name = entry.get("name").and_then(toml::Value::as_str).unwrap_or("");
                let count =
                    seen.entry(name).and_modify(|count| *count = count.saturating_add(1)).or_insert(1);
                let name = if *count > 1 { format!("{name}#{count}") } else { name.to_owned() };
                flatten(&below(&name), entry, keys);
            }
        }
        toml::Value::String(_)
        | toml::Value::Integer(_)
        | toml::Value::Float(_)
        | toml::Value::Boolean(_)
        | toml::Value::Datetime(_)
        | toml::Value::Array(_) => {
            keys.insert(path.to_owned(), value.to_string());
        }
    }
}
