//! `[notifications]` of a profile.

use std::time::Duration;

use super::table::Table;
use super::{api, secure};
use crate::{NoticeContent, Notifications};

/// Reads how a bank notifies, which two standards know.
pub(super) fn notifications(table: &mut Table<'_>, dialect: &str) -> Option<Notifications> {
    let mut inner = table.table("notifications")?;
    let mut read = Notifications {
        push: inner.boolean("push").unwrap_or(false),
        poll: inner.number("poll_seconds").map(|seconds| Duration::from_secs(u64::from(seconds))),
        content: inner.words("content", "SCA, PROCESS or LAST", NoticeContent::from_word),
        organisation: inner.text("organisation"),
        ..Notifications::default()
    };
    let mut empty = Vec::new();
    read.events_api = api(&mut inner, "events_api", false, &mut empty);
    if !empty.is_empty() {
        inner.problem("events_api", "is an address, and no slot");
    }
    read.issuer = inner.text("issuer");
    if read.issuer.as_deref().is_some_and(|issuer| secure(issuer).is_none()) {
        inner.problem("issuer", "is an https address");
    }
    let berlin = dialect == "berlin-group";
    let events = [("poll_seconds", read.poll.is_some()), ("events_api", read.events_api.is_some())];
    let tokens = events.into_iter().chain([("issuer", read.issuer.is_some())]);
    for (key, _) in tokens.filter(|(_, given)| berlin && *given) {
        inner.problem(key, "is for the dialect uk-open-banking");
    }
    if !berlin && !read.content.is_empty() {
        inner.problem("content", "is for the dialect berlin-group");
    }
    if read.poll.is_some() && read.events_api.is_none() {
        inner.problem("poll_seconds", "needs events_api");
    }
    inner.finish();
    if !["uk-open-banking", "berlin-group"].contains(&dialect) {
        table.problem("notifications", "is for the dialects uk-open-banking and berlin-group");
    }
    Some(read)
}

#[cfg(test)]
mod tests {
    use crate::lint;

    fn problems(dialect: &str, notifications: &str) -> Vec<String> {
        let brand = format!(
            "group = \"G\"\n[[brand]]\nid = \"xx-b\"\nname = \"B\"\ndialect = \"{dialect}\"\nregion = \"eu\"\n\
             environment = \"live\"\nclient_auth = \"certificate\"\nnotifications = {{ {notifications} }}\n"
        );
        let found = lint("x.toml", &brand).into_iter();
        found.map(|problem| problem.key).filter(|key| key.contains("notifications")).collect()
    }

    #[test]
    fn each_standard_has_keys_of_its_own() {
        let events = "poll_seconds = 5, events_api = { use = \"4.0\", \"4.0\" = \"https://b.example/4\" }";
        assert!(problems("uk-open-banking", events).is_empty());
        assert!(problems("berlin-group", "push = true, content = [\"SCA\"]").is_empty());
        for (dialect, stated, key) in [
            ("uk-open-banking", "poll_seconds = 5", "poll_seconds"),
            ("uk-open-banking", "content = [\"LAST\"]", "content"),
            ("uk-open-banking", "issuer = \"http://b.example\"", "issuer"),
            ("uk-open-banking", "events_api = { use = \"4.0\", \"4.0\" = \"deployment\" }", "events_api"),
            ("berlin-group", "issuer = \"https://b.example\"", "issuer"),
            ("berlin-group", "content = [\"ALL\"]", "content[0]"),
        ] {
            assert_eq!(problems(dialect, stated), [format!("brand[0].notifications.{key}")], "{stated}");
        }
        assert_eq!(problems("berlin-group", events).len(), 2);
        assert_eq!(problems("stet", "push = true"), ["brand[0].notifications"]);
    }
}
