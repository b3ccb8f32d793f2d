//! How accesses without the PSU count.

use super::table::Table;
use crate::UnattendedCounting;

/// Words of `counting`.
pub(super) const WORDS: &[&str] = &["together", "apart", "slots", "unlimited"];

/// Reads `unattended`.
pub(super) fn unattended(table: &mut Table<'_>) -> UnattendedCounting {
    let Some(mut table) = table.table("unattended") else { return UnattendedCounting::default() };
    let counting = table.word("counting", WORDS);
    let minutes = table.number("slot_minutes").filter(|minutes| *minutes > 0);
    let is_slots = counting.as_deref() == Some("slots");
    if is_slots != minutes.is_some() {
        table.problem("slot_minutes", "is stated, at least 1, with counting = \"slots\" and only then");
    }
    table.finish();
    match (counting.as_deref(), minutes) {
        (Some("apart"), _) => UnattendedCounting::Apart,
        (Some("unlimited"), _) => UnattendedCounting::Unlimited,
        (Some("slots"), Some(minutes)) => UnattendedCounting::Slots(minutes),
        _ => UnattendedCounting::Together,
    }
}

#[cfg(test)]
mod tests {
    use crate::{UnattendedCounting, read_profiles};

    fn counting(key: &str) -> Result<UnattendedCounting, String> {
        let text = format!(
            "group = \"x\"\n[[brand]]\nid = \"de-x\"\nname = \"X\"\ndialect = \"berlin-group\"\nregion = \"eu\"\n\
             environment = \"live\"\nclient_auth = \"certificate\"\n\
             accounts_api = {{ use = \"1.3\", \"1.3\" = \"https://b.example\" }}\n{key}\n"
        );
        let (profiles, problems) = read_profiles("x.toml", &text);
        match problems.first() {
            Some(problem) => Err(problem.to_string()),
            None => Ok(profiles[0].unattended),
        }
    }

    #[test]
    fn a_bank_counts_in_one_of_four_ways() {
        assert_eq!(counting(""), Ok(UnattendedCounting::Together));
        assert_eq!(counting("unattended = { counting = \"apart\" }"), Ok(UnattendedCounting::Apart));
        assert_eq!(counting("unattended = { counting = \"unlimited\" }"), Ok(UnattendedCounting::Unlimited));
        let slots = "unattended = { counting = \"slots\", slot_minutes = 360 }";
        assert_eq!(counting(slots), Ok(UnattendedCounting::Slots(360)));
        for wrong in ["{ counting = \"slots\" }", "{ counting = \"apart\", slot_minutes = 5 }"] {
            assert!(counting(&format!("unattended = {wrong}")).unwrap_err().contains("slot_minutes"));
        }
        assert!(counting("unattended = { counting = \"never\" }").unwrap_err().contains("counting"));
    }
}
