//! Which banks there are, and which dialect speaks to each.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use domain::{AccountIdentification, Capability, Country, InstitutionId};

use crate::{Dialect, Profile};

/// Narrows a list of banks. An empty filter admits all.
#[derive(Clone, Debug, Default)]
pub struct BankFilter {
    /// Serves customers in this country.
    pub country: Option<Country>,
    /// Name, group or identifier contains this text, without regard to case.
    pub text: Option<String>,
    /// Has this BIC; eight characters match every branch.
    pub bic: Option<String>,
    /// Can do this.
    pub capability: Option<Capability>,
}

impl BankFilter {
    fn admits(&self, profile: &Profile) -> bool {
        let country = self.country.is_none_or(|country| profile.countries.contains(&country));
        let capability = self.capability.is_none_or(|wanted| profile.capabilities.contains(&wanted));
        let bic = self.bic.as_deref().is_none_or(|wanted| {
            profile.bics.iter().any(|bic| bic.eq_ignore_ascii_case(wanted) || same_bank(bic, wanted))
        });
        let text = self.text.as_deref().is_none_or(|text| {
            let text = text.to_lowercase();
            [&profile.name, &profile.brand_group, profile.id.as_str()]
                .iter()
                .any(|known| known.to_lowercase().contains(&text))
        });
        country && capability && bic && text
    }
}

/// Whether two BICs name the same bank: the first eight characters are equal
/// and one of the two names no branch.
fn same_bank(one: &str, other: &str) -> bool {
    let head = |bic: &str| bic.get(..8).map(str::to_ascii_uppercase);
    (one.len() == 8 || other.len() == 8) && head(one).is_some() && head(one) == head(other)
}

#[derive(Default)]
struct Shelf {
    /// What is always there.
    fixed: BTreeMap<InstitutionId, Arc<Profile>>,
    /// All banks: what was loaded goes before what is always there.
    all: BTreeMap<InstitutionId, Arc<Profile>>,
}

/// All connected banks. Profiles and plugins can be added and replaced while
/// running; a reader keeps what it holds.
#[derive(Default)]
pub struct Registry {
    shelf: RwLock<Shelf>,
    dialects: Vec<Arc<dyn Dialect>>,
    plugins: RwLock<Vec<Arc<dyn Dialect>>>,
}

impl Registry {
    /// No banks yet, these dialects.
    #[must_use]
    pub fn new(dialects: Vec<Arc<dyn Dialect>>) -> Self {
        Self { shelf: RwLock::default(), dialects, plugins: RwLock::default() }
    }

    /// All banks that ship with the gateway.
    #[must_use]
    pub fn embedded(dialects: Vec<Arc<dyn Dialect>>) -> Self {
        let registry = Self::new(dialects);
        for (file, text) in crate::profile_file::EMBEDDED {
            // They have no problems: a test sees to it.
            for profile in crate::read_profiles(file, text).0 {
                registry.put(profile);
            }
        }
        registry
    }

    /// Adds or replaces a bank that is always there.
    pub fn put(&self, profile: Profile) {
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        let profile = Arc::new(profile);
        shelf.fixed.insert(profile.id.clone(), Arc::clone(&profile));
        shelf.all.insert(profile.id.clone(), profile);
    }

    /// Puts these in the place of all that were loaded before, in one step: a
    /// bank that is not among them is again what it always is, or gone.
    pub fn replace_loaded(&self, profiles: Vec<Profile>) {
        let mut shelf = self.shelf.write().unwrap_or_else(PoisonError::into_inner);
        let mut all = shelf.fixed.clone();
        all.extend(profiles.into_iter().map(|profile| (profile.id.clone(), Arc::new(profile))));
        shelf.all = all;
    }

    /// The bank, if there is one of this name.
    #[must_use]
    pub fn profile(&self, id: &InstitutionId) -> Option<Arc<Profile>> {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner).all.get(id).cloned()
    }

    /// Puts these in the place of all plugins of before, in one step. Calls that
    /// are under way end with what they began with.
    pub fn replace_plugins(&self, plugins: Vec<Arc<dyn Dialect>>) {
        *self.plugins.write().unwrap_or_else(PoisonError::into_inner) = plugins;
    }

    /// The dialect a bank speaks, if there is such a one.
    #[must_use]
    pub fn dialect(&self, profile: &Profile) -> Option<Arc<dyn Dialect>> {
        let spoken = |dialect: &&Arc<dyn Dialect>| dialect.name() == profile.dialect;
        let plugins = || self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        self.dialects.iter().find(spoken).cloned().or_else(|| plugins().iter().find(spoken).cloned())
    }

    /// The banks that the filter admits, by identifier, after `after`, at most `limit`.
    #[must_use]
    pub fn list(
        &self,
        filter: &BankFilter,
        after: Option<&InstitutionId>,
        limit: usize,
    ) -> Vec<Arc<Profile>> {
        let shelf = self.shelf.read().unwrap_or_else(PoisonError::into_inner);
        shelf
            .all
            .values()
            .filter(|profile| after.is_none_or(|after| profile.id > *after))
            .filter(|profile| filter.admits(profile))
            .take(limit)
            .cloned()
            .collect()
    }

    /// The bank that is known to hold an account: of several, the one that names more of its
    /// number.
    #[must_use]
    pub fn holder_of(&self, account: &AccountIdentification) -> Option<Arc<Profile>> {
        let shelf = self.shelf.read().unwrap_or_else(PoisonError::into_inner);
        let known = shelf.all.values().filter_map(|profile| Some((profile.holds(account)?, profile)));
        known.max_by_key(|(known, _)| *known).map(|(_, profile)| Arc::clone(profile))
    }

    /// How many banks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shelf.read().unwrap_or_else(PoisonError::into_inner).all.len()
    }

    /// True if there is no bank.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(registry: &Registry, filter: &BankFilter) -> Vec<String> {
        registry.list(filter, None, 100).iter().map(|profile| profile.id.as_str().to_owned()).collect()
    }

    fn bank(id: &str, name: &str, country: &str, bic: &str) -> Profile {
        let mut profile = Profile::blank(id.parse().unwrap(), name, "eu".parse().unwrap(), "berlin-group");
        profile.countries = vec![country.parse().unwrap()];
        profile.bics = vec![bic.to_owned()];
        profile.capabilities = [Capability::Accounts].into();
        profile
    }

    #[test]
    fn banks_are_found_by_country_text_bic_and_capability() {
        let registry = Registry::new(Vec::new());
        registry.put(bank("de-one", "Eins Bank", "DE", "EINSDEFF"));
        registry.put(bank("fr-two", "Banque Deux", "FR", "DEUXFRPPXXX"));
        let filter = |change: fn(&mut BankFilter)| {
            let mut filter = BankFilter::default();
            change(&mut filter);
            ids(&registry, &filter)
        };
        assert_eq!(filter(|_| {}), ["de-one", "fr-two"]);
        assert_eq!(filter(|filter| filter.country = "FR".parse().ok()), ["fr-two"]);
        assert_eq!(filter(|filter| filter.text = Some("EINS".into())), ["de-one"]);
        assert_eq!(filter(|filter| filter.bic = Some("einsdeffxxx".into())), ["de-one"]);
        assert_eq!(filter(|filter| filter.bic = Some("DEUXFRPP".into())), ["fr-two"]);
        assert_eq!(filter(|filter| filter.bic = Some("DEUXFRPP123".into())), [""; 0]);
        assert_eq!(filter(|filter| filter.capability = Some(Capability::Payments)), [""; 0]);
    }

    #[test]
    fn an_account_is_held_by_the_bank_that_names_most_of_its_number() {
        let registry = Registry::new(Vec::new());
        for (id, code) in [("de-group", "3704"), ("de-brand", "37040044"), ("de-other", "12030000")] {
            registry.put(Profile { bank_codes: vec![code.to_owned()], ..bank(id, "Bank", "DE", "BANKDEFF") });
        }
        let holder = |iban: &str| {
            let account = AccountIdentification::Iban(iban.parse().unwrap());
            registry.holder_of(&account).map(|profile| profile.id.as_str().to_owned())
        };
        assert_eq!(holder("DE89370400440532013000").as_deref(), Some("de-brand"));
        assert_eq!(holder("DE02120300000000202051").as_deref(), Some("de-other"));
        assert_eq!(holder("GB29NWBK60161331926819"), None);
    }

    #[test]
    fn pages_follow_each_other_and_a_reader_keeps_the_profile_it_holds() {
        let registry = Registry::new(Vec::new());
        for n in 0..7 {
            registry.put(bank(&format!("de-bank{n}"), "Bank", "DE", "BANKDEFF"));
        }
        let first = registry.list(&BankFilter::default(), None, 4);
        let rest = registry.list(&BankFilter::default(), first.last().map(|profile| &profile.id), 4);
        assert_eq!((first.len(), rest.len(), registry.len()), (4, 3, 7));
        let held = registry.profile(&"de-bank0".parse().unwrap()).unwrap();
        registry.put(bank("de-bank0", "Renamed", "DE", "BANKDEFF"));
        assert_eq!((held.name.as_str(), registry.len()), ("Bank", 7));
        assert_eq!(registry.profile(&held.id).unwrap().name, "Renamed");
    }
}
