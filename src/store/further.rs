//! Migrations that nobody has yet, for tests of how a schema changes while it is used: files in
//! the folders `global`, `region` and `keys` of the one that `CONSENTRY_TEST_MIGRATIONS` names, as in
//! `region/9000_name.sql`. Only in builds with the feature `crash-points`, and for `consentry migrate` alone.

use std::path::{Path, PathBuf};

use crate::database::{Held, Schema};

/// The migrations of this schema, and the further ones. They are kept for as long as the process lives.
pub(crate) fn schema(schema: Schema, held: Held) -> Schema {
    let Some(folder) = std::env::var_os("CONSENTRY_TEST_MIGRATIONS").map(PathBuf::from) else {
        return schema;
    };
    let folder = folder.join(match held {
        Held::Global => "global",
        Held::Region => "region",
        Held::Keys => "keys",
    });
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut further: Vec<_> = files.filter_map(|file| read(&file.path())).collect();
    further.sort_unstable();
    let all: Vec<_> = schema.iter().copied().chain(further).collect();
    all.leak()
}

fn read(file: &Path) -> Option<(i64, &'static str, &'static str)> {
    let (version, name) = file.file_stem()?.to_str()?.split_once('_')?;
    let sql = std::fs::read_to_string(file).ok()?;
    Some((version.parse().ok()?, name.to_owned().leak(), sql.leak()))
}
