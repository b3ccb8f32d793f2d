//! Lists that come in pages.

use std::collections::HashSet;

use url::Url;

use crate::{BankError, Profile, QuirkName};

/// A link to the next page that has passed the guards: it leads to the same
/// host and resource, and is not the page it stands on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NextPage {
    url: Url,
    asks: Option<String>,
}

impl NextPage {
    /// Takes a link as the bank wrote it, absolute or relative to `base`.
    ///
    /// # Errors
    ///
    /// `malformed-response` if the link leads to a host that is not the profile's.
    pub fn of(profile: &Profile, base: &Url, link: &str, field: &str) -> Result<Self, BankError> {
        let refused = || BankError::malformed(&profile.id, field);
        let own = own_brand(profile, base, link);
        let mut url = base.join(own.as_deref().unwrap_or(link)).map_err(|_| refused())?;
        url.set_fragment(None);
        let same_host =
            url.host_str() == base.host_str() && url.port_or_known_default() == base.port_or_known_default();
        if same_host && profile.permits(&url) { Ok(Self { url, asks: None }) } else { Err(refused()) }
    }

    /// A page of standards that name pages in the body of a request: `url` is
    /// ours, `asks` is the body.
    #[must_use]
    pub fn asked_in_body(url: Url, asks: String) -> Self {
        Self { url, asks: Some(asks) }
    }

    /// The address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// What to ask there, where it is not in the address.
    #[must_use]
    pub fn asks(&self) -> Option<&str> {
        self.asks.as_deref()
    }
}

/// A link to another address, written for the bank's own: some groups print one
/// brand's address in the answers of all, some banks an address of their inside
/// (quirks of the profile). What is followed is always below our own base.
fn own_brand(profile: &Profile, base: &Url, link: &str) -> Option<String> {
    let version = profile.accounts_api.as_ref().map_or("", |api| api.version.as_str());
    if profile.quirks.find(QuirkName::LinksUnreliable, "aisp.transactions", version).is_some() {
        let place = Url::parse(link).ok()?;
        return Some(place[url::Position::BeforePath..].to_owned());
    }
    let quirk = profile.quirks.find(QuirkName::LinksOfAnotherBrand, "aisp.transactions", version)?;
    let other = quirk.text("also")?.replace("{version}", &format!("v{version}"));
    let rest = link.strip_prefix(&other)?;
    let complete = rest.is_empty() || rest.starts_with(['/', '?']);
    complete.then(|| format!("{}{rest}", base.as_str().trim_end_matches('/')))
}

/// Follows pages: refuses a page seen before and more pages than allowed.
pub struct PageGuard {
    seen: HashSet<NextPage>,
    left: usize,
}

impl PageGuard {
    /// At most `pages` links are followed.
    #[must_use]
    pub fn new(pages: usize) -> Self {
        Self { seen: HashSet::new(), left: pages }
    }

    /// Notes a link before it is followed.
    ///
    /// # Errors
    ///
    /// `malformed-response` if the bank's links run in a circle or do not end.
    pub fn admit(&mut self, profile: &Profile, link: &NextPage) -> Result<(), BankError> {
        let fresh = self.left > 0 && self.seen.insert(link.clone());
        self.left = self.left.saturating_sub(1);
        if fresh { Ok(()) } else { Err(BankError::malformed(&profile.id, "next page")) }
    }
}

/// One page of a list.
#[derive(Clone)]
pub struct Page<T> {
    /// The entries, in the bank's order.
    pub items: Vec<T>,
    /// The next page, if there is one.
    pub next: Option<NextPage>,
}
