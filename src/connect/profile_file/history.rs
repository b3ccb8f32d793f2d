//! How far back a bank tells.

use super::table::Table;
use crate::{FreshHistory, Profile};

/// Reads `max_history_days`, `fresh_history` and `max_days_per_query`.
pub(super) fn history(table: &mut Table<'_>, profile: &mut Profile) {
    profile.max_history_days = table.number("max_history_days").unwrap_or(90);
    profile.max_days_per_query = table.number("max_days_per_query");
    profile.fresh_history = table.table("fresh_history").and_then(fresh);
}

/// Both of its members, or nothing.
fn fresh(mut table: Table<'_>) -> Option<FreshHistory> {
    let (minutes, days) = (table.number("minutes"), table.number("days"));
    if minutes.is_none() || days.is_none() {
        table.problem("minutes", "and days are both stated");
    }
    table.finish();
    Some(FreshHistory { minutes: minutes?, days: days? })
}
