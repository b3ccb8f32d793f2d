//! The log of a process: of the fields that code hands over only those are written whose names
//! are known, so that what a library adds says nothing of a person.

mod files;
mod json;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use files::Files;
use json::{JsonFields, JsonLines};
use tracing::field::Field;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::util::SubscriberInitExt;

/// The names. Their values are ids, codes, counts, times, places of our own and errors, whose
/// texts say what failed and never with what.
const FIELDS: &[&str] = &[
    "api",
    "bank",
    "bank.code",
    "bank.id",
    "banks",
    "cell",
    "certificate",
    "checkpoint",
    "class",
    "client.id",
    "config",
    "consent.id",
    "dialect",
    "elapsed_ms",
    "error",
    "event.id",
    "expires",
    "failure",
    "folder",
    "from",
    "grant.id",
    "institution",
    "key.id",
    "lag_ms",
    "mandate.id",
    "members",
    "method",
    "more",
    "ocsp.responder",
    "open",
    "operations",
    "owner",
    "pages",
    "payment.id",
    "places",
    "plugin",
    "plugins",
    "processes",
    "published",
    "reason",
    "request.id",
    "service",
    "session.id",
    "setting",
    "source",
    "state",
    "status",
    "subject.id",
    "tls.certificate",
    "to",
    "took_ms",
    "waf.exclusion",
    "waf.length",
    "waf.message",
    "waf.rule",
    "waf.rules",
    "waf.score",
    "waf.sha256",
    "waf.target",
    "webhook.id",
    "when",
    "why",
];

/// How the log is written.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// What is written, as `warn` or `info,consentry_flows=debug`.
    pub level: String,
    /// Each line is a JSON object.
    pub json: bool,
    /// Files of this folder, one for each region, instead of the standard error.
    pub folder: Option<PathBuf>,
}

impl LogSettings {
    /// As `CONSENTRY_LOG` (`warn` without it) and `CONSENTRY_LOG_FOLDER` say.
    #[must_use]
    pub fn of_environment() -> Self {
        let said = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        let level = said("CONSENTRY_LOG").and_then(|level| level.into_string().ok());
        let level = level.filter(|level| filter(level).is_ok());
        let level = level.unwrap_or_else(|| "warn".to_owned());
        Self { level, json: false, folder: said("CONSENTRY_LOG_FOLDER").map(PathBuf::from) }
    }
}

/// What is written, which can be changed.
#[derive(Clone)]
pub struct Level(Arc<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>);

impl Level {
    /// Writes this from now on.
    pub(crate) fn change(&self, level: &str) -> anyhow::Result<()> {
        (self.0)(filter(level)?)
    }
}

/// Writes the log of this process from now on.
///
/// # Errors
///
/// If the folder cannot be written to, or the level is none.
pub fn init(settings: &LogSettings) -> anyhow::Result<Level> {
    let filter = filter(&settings.level).context("the level of the log is none")?;
    let Some(folder) = &settings.folder else { return begin(std::io::stderr, filter, settings.json) };
    let unwritable = || format!("{} of the log cannot be written to", folder.display());
    begin(Arc::new(Files::below(folder).with_context(unwritable)?), filter, settings.json)
}

/// What is written at a level.
///
/// The TLS library warns of whatever its other side does, so that a stranger could fill the disk with it: it says
/// something only to those who ask for it (`warn,rustls=warn`). What fails in a handshake is counted by us.
fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("rustls=off,{level}"))
}

fn begin<W>(writer: W, filter: EnvFilter, json: bool) -> anyhow::Result<Level>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    Ok(if json {
        let builder = builder.fmt_fields(JsonFields).event_format(JsonLines).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.finish().init();
        Level(Arc::new(move |filter| Ok(handle.reload(filter)?)))
    } else {
        let builder = builder.fmt_fields(debug_fn(write).delimited(" ")).with_filter_reloading();
        let handle = builder.reload_handle();
        builder.finish().init();
        Level(Arc::new(move |filter| Ok(handle.reload(filter)?)))
    })
}

#[cfg(test)]
fn to<W>(writer: W, filter: EnvFilter) -> impl SubscriberInitExt
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let fields = debug_fn(write).delimited(" ");
    tracing_subscriber::fmt().with_env_filter(filter).fmt_fields(fields).with_writer(writer).finish()
}

/// Whether a field's value may be written.
fn is_known(name: &str) -> bool {
    FIELDS.binary_search(&name).is_ok()
}

fn write(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(writer, "{value:?}"),
        name if is_known(name) => write!(writer, "{name}={value:?}"),
        name => write!(writer, "{name}=***"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;
    use std::sync::Mutex;

    use tracing::Dispatch;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_field_that_nobody_knows_is_not_written() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log: Dispatch = to(move || writer.clone(), EnvFilter::new("trace")).into();
        tracing::dispatcher::with_default(&log, || {
            let _span = tracing::info_span!("read", holder = "Anna", consent.id = "con_eu_1").entered();
            tracing::info!(iban = "DE17999100001000000017", status = 200, "A read is answered");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        for told in ["holder=***", "con_eu_1", "iban=***", "200", "A read is answered"] {
            assert!(text.contains(told), "{told}: {text}");
        }
        assert!(!text.contains("Anna") && !text.contains("DE17"), "{text}");
    }

    /// The same as JSON: one object a line, with what the spans say.
    #[test]
    fn a_line_of_json_says_no_more() {
        let kept = Kept::default();
        let writer = kept.clone();
        let log: Dispatch = tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new("trace"))
            .fmt_fields(JsonFields)
            .event_format(JsonLines)
            .with_writer(move || writer.clone())
            .finish()
            .into();
        tracing::dispatcher::with_default(&log, || {
            let _span = tracing::info_span!("read", holder = "Anna", consent.id = "con_eu_1").entered();
            tracing::warn!(iban = "DE17999100001000000017", status = 200, "A \"read\" is\nanswered");
        });
        let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(line["message"], "A \"read\" is\nanswered");
        assert_eq!((&line["log.level"], &line["status"]), (&"warn".into(), &200.into()));
        assert_eq!(
            (&line["consent.id"], &line["holder"], &line["iban"]),
            (&"con_eu_1".into(), &"***".into(), &"***".into())
        );
    }

    /// A stranger who asks for another handshake, again and again, writes nothing into the log.
    #[test]
    fn what_strangers_make_the_tls_library_say_is_written_to_who_asks_for_it() {
        for (level, written) in [("warn", 0), ("trace", 0), ("warn,rustls=warn", 1)] {
            let kept = Kept::default();
            let writer = kept.clone();
            let log: Dispatch = to(move || writer.clone(), filter(level).unwrap()).into();
            tracing::dispatcher::with_default(&log, || {
                tracing::warn!(target: "rustls::common_state", "Sending warning alert NoRenegotiation");
                tracing::warn!("What we say ourselves");
            });
            let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
            assert_eq!(text.lines().count(), written + 1, "{level}: {text}");
        }
        assert!(filter("consentry=loud").is_err());
    }

    /// The fields of every call of a macro of `tracing` in a text.
    fn fields(source: &str) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (at, _) in source.match_indices("tracing::") {
            let call = &source[at..];
            let Some((name, arguments)) = call.split_once("!(") else { continue };
            if name.len() > 24 || name.contains(char::is_whitespace) {
                continue;
            }
            let (mut depth, mut quoted, mut one) = (0, false, String::new());
            let mut before = ' ';
            for letter in arguments.chars() {
                match letter {
                    // The message: what it is made of comes behind it.
                    '"' if depth == 0 && !quoted && one.trim().is_empty() => break,
                    '"' if before != '\\' => quoted = !quoted,
                    _ if quoted => {}
                    '(' | '[' | '{' => depth += 1,
                    ')' | ']' | '}' if depth > 0 => depth -= 1,
                    ',' | ')' if depth == 0 => {
                        found.extend(field(one.trim()));
                        one.clear();
                        if letter == ')' {
                            break;
                        }
                    }
                    _ if depth == 0 => one.push(letter),
                    _ => {}
                }
                before = letter;
            }
        }
        found
    }

    fn field(argument: &str) -> Option<String> {
        let name = argument.split_once('=').map_or(argument, |(name, _)| name).trim();
        let name = name.trim_start_matches(['%', '?']);
        let plain = |letter: char| letter.is_ascii_lowercase() || matches!(letter, '_' | '.');
        (!name.is_empty() && name.chars().all(|it| plain(it) || it.is_ascii_digit())).then(|| name.to_owned())
    }

    fn sources(folder: &Path, all: &mut BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() {
                if !["tests", "examples", "benches"].contains(&name) {
                    sources(&path, all);
                }
            } else if name.ends_with(".rs") && !["tests.rs", "log.rs"].contains(&name) {
                all.extend(fields(&std::fs::read_to_string(&path).unwrap()));
            }
        }
    }

    /// What our code hands over is written, and nothing is on the list that it does not hand over.
    #[test]
    fn the_names_are_those_of_our_code() {
        let mut all = BTreeSet::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."), &mut all);
        let known: BTreeSet<String> = FIELDS.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(all, known);
        assert!(FIELDS.is_sorted());
    }
}
