//! A migration takes nothing away that the version before uses: both run on what it leaves, while one replaces the
//! other.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::path::Path;

/// The last migrations of each folder that no version has run before: what they change, nobody uses.
const BEFORE_ANY: [(&str, u32); 3] = [("global", 40), ("keys", 1), ("region", 110)];
/// How a migration begins that takes away what no version uses any more, and says which was the last that did.
const CONTRACTS: &str = "-- Contracts: ";

/// Statements that the version before may stumble over.
fn taken_away(sql: &str) -> Vec<String> {
    if sql.starts_with(CONTRACTS) {
        return Vec::new();
    }
    let lines = sql.lines().map(|line| line.split("--").next().unwrap_or_default());
    let text = lines.collect::<Vec<_>>().join(" ").to_lowercase();
    let statements =
        text.split(';').map(|statement| statement.split_whitespace().collect::<Vec<_>>().join(" "));
    let takes = |statement: &String| {
        let has = |part: &str| format!(" {statement} ").contains(part);
        let added_without_value = has(" add column ") && has(" not null") && !has(" default ");
        let changed = has(" set not null ") || (has(" alter column ") && has(" type "));
        has(" drop table ")
            || has(" drop column ")
            || has(" rename ")
            || has(" add constraint ")
            || changed
            || added_without_value
    };
    statements.filter(takes).collect()
}

#[test]
fn what_comes_later_only_adds() {
    let mut seen = 0;
    for (folder, last) in BEFORE_ANY {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations").join(folder);
        for entry in fs::read_dir(&folder).unwrap() {
            let file = entry.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            let number: u32 = name.split('_').next().unwrap().parse().unwrap();
            seen += 1;
            let taken = taken_away(&fs::read_to_string(&file).unwrap());
            assert!(number <= last || taken.is_empty(), "{name} takes away: {taken:?}");
        }
    }
    assert!(seen > 20, "{seen} migrations were read");
}

#[test]
fn what_takes_away_is_noticed() {
    for sql in [
        "drop table tokens;",
        "create table more (id text primary key);\nDROP TABLE if exists tokens;",
        "alter table payments drop column note;",
        "alter table payments rename to orders;",
        "alter table payments\n  rename column note to remark;",
        "alter table payments alter column note set not null;",
        "alter table payments alter column amount type bigint;",
        "alter table payments add column note text not null;",
        "alter table payments add constraint some check (amount > 0);",
    ] {
        assert_eq!(taken_away(sql).len(), 1, "{sql}");
    }
    for sql in [
        "create table more (id text primary key, note text not null);",
        "alter table payments add column note text;",
        "alter table payments add column note text not null default '';",
        "create index of_payments on payments (note); -- drop table tokens;",
        "update payments set note = 'seen' where note = '';",
        "-- Contracts: tokens, which 0.2 was the last to read.\ndrop table tokens;",
    ] {
        assert_eq!(taken_away(sql), Vec::<String>::new(), "{sql}");
    }
}
