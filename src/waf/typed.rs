//! What rules need not look at because another layer has typed it.

use ahash::HashMap;

/// Parts of one request that a schema has already typed. They count, but rules do not look at them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Typed {
    /// Arguments by their names.
    arguments: HashMap<String, Extent>,
    /// Headers whose values are typed, by their names in any case.
    headers: Vec<String>,
    whole_body: bool,
}

/// How much of an argument is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Extent {
    /// Nothing: a value of this name is of no form, whatever others of it are.
    Nothing,
    /// Its name, which is none of the sender's.
    Name,
    /// Its value, too.
    All,
}

impl Typed {
    /// Adds an argument whose form another layer has checked, as rules name it: `page` in a query
    /// or form, `json.debtor.iban` in a JSON body.
    pub fn add_argument(&mut self, name: String) {
        self.arguments.entry(name).or_insert(Extent::All);
    }

    /// Adds an argument that another layer knows by its name, while its value may be anything.
    pub fn add_name(&mut self, name: String) {
        let extent = self.arguments.entry(name).or_insert(Extent::Name);
        *extent = Extent::Name.min(*extent);
    }

    /// Says that a value of this name is of no form that is known, and that rules are to look at
    /// all that are called so: they cannot tell one from the other.
    pub fn add_unknown(&mut self, name: &str) {
        self.arguments.insert(name.to_owned(), Extent::Nothing);
    }

    /// Adds a header whose value is of a form that another layer has checked.
    pub fn add_header(&mut self, name: &str) {
        self.headers.push(name.to_owned());
    }

    /// Says that every part of the body was either typed or is an argument, so
    /// that the raw body need not be looked at.
    pub fn add_whole_body(&mut self) {
        self.whole_body = true;
    }

    /// Names of arguments that are typed as a whole, in order.
    #[must_use]
    pub fn arguments(&self) -> Vec<&str> {
        let all = self.arguments.iter().filter(|(_, extent)| **extent == Extent::All);
        let mut names: Vec<&str> = all.map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    /// Whether the raw body need not be looked at.
    #[must_use]
    pub fn whole_body(&self) -> bool {
        self.whole_body
    }

    pub(crate) fn argument(&self, name: &[u8]) -> Option<Extent> {
        if self.arguments.is_empty() {
            return None;
        }
        let known = std::str::from_utf8(name).ok().and_then(|name| self.arguments.get(name)).copied();
        known.filter(|extent| *extent > Extent::Nothing)
    }

    pub(crate) fn header(&self, name: &str) -> bool {
        self.headers.iter().any(|typed| typed.eq_ignore_ascii_case(name))
    }
}
