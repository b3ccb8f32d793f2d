//! The world's institutions, of which we connect only some: imported from a
//! directory of one JSON object a line, and searched in memory.

mod fold;
mod import;

use domain::Country;
use fold::fold;
pub use import::{DirectoryEntry, ImportReport, Skipped, import};

/// Where a text lies in an arena.
#[derive(Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    fn of<'a>(&self, arena: &'a str) -> &'a str {
        let start = usize::try_from(self.start).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(self.length).unwrap_or(0));
        arena.get(start..end).unwrap_or_default()
    }
}

struct Row {
    id: Span,
    name: Span,
    /// Start in the folded arena; it ends where the next row starts.
    folded: u32,
    bic: [u8; 11],
    countries: Span,
}

/// An index of all institutions: one arena for texts, one for folded texts,
/// rows in order of identifier.
#[derive(Default)]
pub struct Directory {
    texts: String,
    folded: String,
    countries: Vec<Country>,
    rows: Vec<Row>,
}

/// What to look for. Everything given must hold; an empty search finds all.
#[derive(Clone, Debug, Default)]
pub struct DirectorySearch {
    /// Words that must all occur in the names or the identifier, anywhere in a
    /// word, without regard to case and accents.
    pub text: Option<String>,
    /// Serves this country.
    pub country: Option<Country>,
    /// Has this BIC; the first four or more characters are enough.
    pub bic: Option<String>,
}

/// One institution found.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryHit<'a> {
    /// Identifier in the directory; the key of paging.
    pub id: &'a str,
    /// Name.
    pub name: &'a str,
    /// BIC, if known.
    pub bic: Option<&'a str>,
    /// Countries served.
    pub countries: &'a [Country],
}

impl Directory {
    /// Builds the index. Of two entries with one identifier the later stays.
    #[must_use]
    pub fn build(mut entries: Vec<DirectoryEntry>) -> Self {
        entries.reverse();
        entries.sort_by(|one, other| one.id.cmp(&other.id));
        entries.dedup_by(|earlier, kept| earlier.id == kept.id);
        let mut directory = Self::default();
        directory.rows.reserve_exact(entries.len());
        for entry in entries {
            directory.push(&entry);
        }
        directory.texts.shrink_to_fit();
        directory.folded.shrink_to_fit();
        directory.countries.shrink_to_fit();
        directory
    }

    fn push(&mut self, entry: &DirectoryEntry) {
        let offset = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        let mut keep = |text: &str| {
            let span = Span { start: offset(self.texts.len()), length: offset(text.len()) };
            self.texts.push_str(text);
            span
        };
        let (id, name) = (keep(&entry.id), keep(&entry.name));
        let folded = offset(self.folded.len());
        let folded_name = fold(&entry.name);
        self.folded.push_str(&folded_name);
        if let Some(legal) = entry.legal_name.as_deref().map(fold).filter(|legal| *legal != folded_name) {
            self.folded.push(' ');
            self.folded.push_str(&legal);
        }
        self.folded.push(' ');
        self.folded.push_str(&entry.id);
        self.folded.push('\n');
        let mut bic = [0; 11];
        for (slot, byte) in bic.iter_mut().zip(entry.bic.as_deref().unwrap_or_default().bytes()) {
            *slot = byte.to_ascii_uppercase();
        }
        let countries = Span { start: offset(self.countries.len()), length: offset(entry.countries.len()) };
        self.countries.extend(&entry.countries);
        self.rows.push(Row { id, name, folded, bic, countries });
    }

    /// How many institutions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Bytes the index holds.
    #[must_use]
    pub fn memory(&self) -> usize {
        let rows = self.rows.capacity().saturating_mul(size_of::<Row>());
        let countries = self.countries.capacity().saturating_mul(size_of::<Country>());
        self.texts
            .capacity()
            .saturating_add(self.folded.capacity())
            .saturating_add(rows)
            .saturating_add(countries)
    }

    /// The institution with this identifier.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<DirectoryHit<'_>> {
        let index = self.rows.binary_search_by(|row| row.id.of(&self.texts).cmp(id)).ok()?;
        self.rows.get(index).map(|row| self.hit(row))
    }

    /// The institutions found, in order of identifier, that come after `after`,
    /// at most `limit`. The last one's identifier begins the next page.
    #[must_use]
    pub fn search(
        &self,
        search: &DirectorySearch,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<DirectoryHit<'_>> {
        let first = after.map_or(0, |after| self.rows.partition_point(|row| row.id.of(&self.texts) <= after));
        let folded = fold(search.text.as_deref().unwrap_or_default());
        let mut words: Vec<&str> = folded.split_whitespace().collect();
        words.sort_by_key(|word| std::cmp::Reverse(word.len()));
        let bic = search.bic.as_deref().map(|bic| bic.trim().to_ascii_uppercase());
        let mut hits = Vec::new();
        let mut index = first;
        while hits.len() < limit {
            // The longest word finds the next candidate; the others check it.
            index = match words.first() {
                None => index,
                Some(word) => match self.next_with(index, word) {
                    Some(found) => found,
                    None => break,
                },
            };
            let Some(row) = self.rows.get(index) else { break };
            let text = self.folded_of(index);
            let all = words.iter().skip(1).all(|word| text.contains(word));
            if all && self.serves(row, search.country) && has_bic(row, bic.as_deref()) {
                hits.push(self.hit(row));
            }
            index = index.saturating_add(1);
        }
        hits
    }

    /// The first row at or after `index` whose folded text holds the word.
    fn next_with(&self, index: usize, word: &str) -> Option<usize> {
        let start = usize::try_from(self.rows.get(index)?.folded).ok()?;
        let found = self.folded.get(start..)?.find(word)?.checked_add(start)?;
        let row = self.rows.partition_point(|row| usize::try_from(row.folded).is_ok_and(|at| at <= found));
        row.checked_sub(1)
    }

    fn folded_of(&self, index: usize) -> &str {
        let start = |index: usize| self.rows.get(index).and_then(|row| usize::try_from(row.folded).ok());
        let end = start(index.saturating_add(1)).unwrap_or(self.folded.len());
        start(index).and_then(|start| self.folded.get(start..end)).unwrap_or_default()
    }

    fn countries_of(&self, row: &Row) -> &[Country] {
        let start = usize::try_from(row.countries.start).unwrap_or(usize::MAX);
        let end = start.saturating_add(usize::try_from(row.countries.length).unwrap_or(0));
        self.countries.get(start..end).unwrap_or_default()
    }

    fn serves(&self, row: &Row, country: Option<Country>) -> bool {
        country.is_none_or(|country| self.countries_of(row).contains(&country))
    }

    fn hit<'a>(&'a self, row: &'a Row) -> DirectoryHit<'a> {
        DirectoryHit {
            id: row.id.of(&self.texts),
            name: row.name.of(&self.texts),
            bic: Some(bic_of(row)).filter(|bic| !bic.is_empty()),
            countries: self.countries_of(row),
        }
    }
}

fn bic_of(row: &Row) -> &str {
    std::str::from_utf8(&row.bic).unwrap_or_default().trim_end_matches('\0')
}

/// A BIC of eight characters is that of the head office, which `XXX` names too.
fn has_bic(row: &Row, wanted: Option<&str>) -> bool {
    let Some(wanted) = wanted else { return true };
    let known = bic_of(row);
    wanted.len() >= 4 && (known.starts_with(wanted) || (known.len() == 8 && wanted == format!("{known}XXX")))
}

#[cfg(test)]
mod tests;
