//! A log for each region, where one process holds several: a line that names ids of one region is
//! written to that region's file, every other line to `gateway.log`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Lines that are about no region, or about several.
const COMMON: &str = "gateway";

/// The files of a folder. They are appended to.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
    open: Mutex<BTreeMap<String, File>>,
}

impl Files {
    /// Files of a folder, which is made.
    ///
    /// # Errors
    ///
    /// If it cannot be made or written to.
    pub(super) fn below(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut open = BTreeMap::new();
        open.insert(COMMON.to_owned(), appended(folder, COMMON)?);
        Ok(Self { folder: folder.to_owned(), open: Mutex::new(open) })
    }
}

fn appended(folder: &Path, name: &str) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(folder.join(format!("{name}.log")))
}

/// The file of a line.
fn name_of(line: &[u8]) -> String {
    let regions = cells::regions_in(&String::from_utf8_lossy(line));
    match (regions.first(), regions.len()) {
        (Some(region), 1) => region.as_str().to_owned(),
        (Some(_) | None, _) => COMMON.to_owned(),
    }
}

/// Each line comes in one piece.
impl Write for &Files {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let name = name_of(line);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if !open.contains_key(&name) {
            open.insert(name.clone(), appended(&self.folder, &name)?);
        }
        if let Some(file) = open.get_mut(&name) {
            file.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tracing::Dispatch;
    use tracing_subscriber::EnvFilter;

    use super::*;

    #[test]
    fn a_line_goes_to_the_file_of_its_region() {
        let folder = tempfile::tempdir().unwrap();
        let files = Arc::new(Files::below(&folder.path().join("logs")).unwrap());
        let log: Dispatch = super::super::to(files, EnvFilter::new("trace")).into();
        let id = |region: &str| format!("con_{region}_01a2220987ac795c99a8df167cd7c47e");
        tracing::dispatcher::with_default(&log, || {
            tracing::info!(consent.id = %id("eu"), "First");
            tracing::info!("Consent {} is authorized", id("uk"));
            tracing::info!(consent.id = %id("eu"), "Another of {}", id("uk"));
            tracing::info!(consent.id = "con_eu_short", "Of nobody");
            let _span = tracing::info_span!("read", consent.id = %id("eu")).entered();
            tracing::info!("Second");
        });
        let read = |name: &str| std::fs::read_to_string(folder.path().join("logs").join(name)).unwrap();
        let (eu, uk, common) = (read("eu.log"), read("uk.log"), read("gateway.log"));
        for (file, told, lines) in [
            (&eu, ["First", "Second"], 2),
            (&uk, ["Consent con_uk", "authorized"], 1),
            (&common, ["Another", "Of nobody"], 2),
        ] {
            assert!(told.iter().all(|told| file.contains(told)) && file.lines().count() == lines, "{file}");
        }
        assert!(!uk.contains("con_eu") && !eu.contains("con_uk"));
    }

    #[test]
    fn a_folder_that_cannot_be_written_to_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Files::below(&file).is_err());
    }
}
