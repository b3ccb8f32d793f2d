//! Who the cells are: a file of the operator's.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use domain::Region;
use serde::Deserialize;
use url::Url;

/// What a cell is, and which others there are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CellFile {
    /// Its name in contexts, and in the answers that it gives.
    pub name: String,
    /// The regions that it holds, and nobody else does.
    pub regions: BTreeSet<Region>,
    /// The region that its machines stand in; any of those that it holds, where it is not said.
    pub stands_in: Option<Region>,
    /// Where other cells reach it.
    pub listen: SocketAddr,
    /// The certificate that it shows to other cells (PEM).
    pub certificate: PathBuf,
    /// The key of that (PEM, P-256): it signs contexts, too.
    pub key: PathBuf,
    /// Who issues the certificates of cells (PEM).
    pub trust: PathBuf,
    /// The others.
    #[serde(default, rename = "neighbour")]
    pub neighbours: Vec<Neighbour>,
    /// Where a share of reads is asked a second time, if anywhere.
    pub shadow: Option<Shadow>,
    /// Whose reads are asked here a second time.
    #[serde(default, rename = "original")]
    pub originals: Vec<Original>,
}

/// Another deployment of the same regions, which is asked a share of reads, too. Its answers reach nobody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shadow {
    /// Its name.
    pub name: String,
    /// Where it is reached: an https origin.
    pub address: Url,
    /// Its certificate (PEM); several, while it changes.
    pub certificates: Vec<PathBuf>,
    /// How many of 1,000 reads.
    pub per_mille: u16,
}

/// A deployment whose shadow this is: reads that it sends are answered, and nothing else.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Original {
    /// Its name.
    pub name: String,
    /// Its certificate (PEM); several, while it changes.
    pub certificates: Vec<PathBuf>,
}

/// Another cell.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbour {
    /// Its name.
    pub name: String,
    /// The regions that it holds.
    pub regions: BTreeSet<Region>,
    /// Where it is reached: an https origin.
    pub address: Url,
    /// Its certificate (PEM): what it shows, and whose key signs its contexts. Several, while
    /// it changes.
    pub certificates: Vec<PathBuf>,
    /// Origin of its API for clients.
    pub api: Url,
    /// Origin of its pages.
    pub pages: Url,
    /// What becomes of requests about its regions.
    #[serde(default)]
    pub across: Across,
}

/// What becomes of a request about a region of another cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Across {
    /// It is forwarded.
    #[default]
    Forward,
    /// Its sender is told to send it there (307).
    Redirect,
    /// It is refused.
    Refuse,
}

/// Why a file describes no cells.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCells {
    /// It is not TOML of this form.
    #[error("{0}")]
    Form(String),
    /// A cell without a region.
    #[error("{0} holds no region")]
    Empty(String),
    /// Two hold the same.
    #[error("{region} is held by {one} and by {other}: a region has one home")]
    Twice {
        /// The region.
        region: Region,
        /// Who holds it.
        one: String,
        /// Who does, too.
        other: String,
    },
    /// Two of one name.
    #[error("two cells are called {0}")]
    SameName(String),
    /// An address that is none.
    #[error("{0} of {1} is an https origin, without a path")]
    Address(&'static str, String),
}

impl CellFile {
    /// The regions that requests which come in here may pass through.
    #[must_use]
    pub fn places(&self) -> BTreeSet<Region> {
        self.stands_in.map_or_else(|| self.regions.clone(), |place| BTreeSet::from([place]))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    ///
    /// [`InvalidCells`] says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidCells> {
        let file: Self = toml::from_str(text).map_err(|error| InvalidCells::Form(error.to_string()))?;
        let mut homes: BTreeMap<Region, &str> = BTreeMap::new();
        let mut names = BTreeSet::new();
        let all = file.neighbours.iter().map(|cell| (&cell.name, &cell.regions));
        for (name, regions) in std::iter::once((&file.name, &file.regions)).chain(all) {
            if !names.insert(name) {
                return Err(InvalidCells::SameName(name.clone()));
            }
            if regions.is_empty() {
                return Err(InvalidCells::Empty(name.clone()));
            }
            for region in regions {
                if let Some(one) = homes.insert(*region, name) {
                    let (one, other) = (one.to_owned(), name.clone());
                    return Err(InvalidCells::Twice { region: *region, one, other });
                }
            }
        }
        let beside = file.originals.iter().map(|original| &original.name);
        for name in beside.chain(file.shadow.as_ref().map(|shadow| &shadow.name)) {
            if !names.insert(name) {
                return Err(InvalidCells::SameName(name.clone()));
            }
        }
        let of_cells = file.neighbours.iter().flat_map(|cell| {
            let places = [("address", &cell.address), ("api", &cell.api), ("pages", &cell.pages)];
            places.map(|(what, url)| (what, url, &cell.name))
        });
        let of_shadow = file.shadow.as_ref().map(|shadow| ("address", &shadow.address, &shadow.name));
        for (what, url, name) in of_cells.chain(of_shadow) {
            if !is_origin(url) {
                return Err(InvalidCells::Address(what, name.clone()));
            }
        }
        Ok(file)
    }
}

fn is_origin(url: &Url) -> bool {
    url.scheme() == "https" && url.path() == "/" && url.query().is_none() && url.host().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    const UK: &str = "name = \"cell-uk\"\nregions = [\"uk\"]\nlisten = \"127.0.0.1:9443\"\n\
                      certificate = \"c.pem\"\nkey = \"k.pem\"\ntrust = \"t.pem\"\n";

    fn neighbour(name: &str, region: &str, address: &str) -> String {
        format!(
            "[[neighbour]]\nname = \"{name}\"\nregions = [\"{region}\"]\naddress = \"{address}\"\n\
             certificates = [\"e.pem\"]\napi = \"https://api.example\"\npages = \"https://pages.example\"\n"
        )
    }

    #[test]
    fn a_region_has_one_home() {
        let with = |name: &str, region: &str, address: &str| {
            CellFile::parse(&format!("{UK}{}", neighbour(name, region, address)))
                .map_err(|error| error.to_string())
        };
        let good = with("cell-eu", "eu", "https://eu.internal:9443").unwrap();
        assert_eq!(good.neighbours[0].across, Across::Forward);
        assert_eq!(good.places(), BTreeSet::from(["uk".parse().unwrap()]));
        let abroad = CellFile::parse(&UK.replace("listen", "stands_in = \"eu\"\nlisten")).unwrap();
        assert_eq!(abroad.places(), BTreeSet::from(["eu".parse().unwrap()]));
        let why = |outcome: Result<CellFile, String>| outcome.unwrap_err();
        assert_eq!(
            why(with("cell-eu", "uk", "https://eu.internal")),
            "uk is held by cell-uk and by cell-eu: a region has one home"
        );
        assert_eq!(why(with("cell-uk", "eu", "https://eu.internal")), "two cells are called cell-uk");
        assert_eq!(
            why(with("cell-eu", "eu", "http://eu.internal")),
            "address of cell-eu is an https origin, without a path"
        );
        assert!(
            why(with("cell-eu", "europe", "https://eu.internal")).contains("two to four lower-case letters")
        );
        assert_eq!(
            why(CellFile::parse(&UK.replace("[\"uk\"]", "[]")).map_err(|error| error.to_string())),
            "cell-uk holds no region"
        );
        assert!(CellFile::parse(&UK.replace("name =", "nick =")).is_err());
    }
}
