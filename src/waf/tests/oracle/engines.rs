//! Both engines with the same rules, detecting only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use modsecurity::{ModSecurity, Rules};
use waf::seclang::EngineMode;
use waf::{Budget, Request, RuleSet, Settings, Sources, Typed, regression};

/// Ours and theirs.
pub struct Both {
    ours: RuleSet,
    engine: ModSecurity,
    theirs: Rules,
}

/// Rules that told something, each with the place that it told of first.
pub type Told = BTreeMap<u64, String>;

/// What both say of a request.
pub enum Judged {
    Both(Told, Told),
    /// It cannot be shown to both.
    Unshown,
}

impl Both {
    /// With our rules, or those that read bodies and a release of the Core Rule Set at level 4.
    pub fn with(sources: &Sources, core_rule_set: Option<&Path>) -> Self {
        let mut settings = Settings::new(jiff::civil::date(2026, 1, 1));
        if core_rule_set.is_some() {
            settings = settings.at_level(4);
            for (name, value) in regression::EXPECTED_VARIABLES {
                settings = settings.with(name, value);
            }
        }
        settings.mode = Some(EngineMode::DetectionOnly);
        settings.budget = Budget { bytes: 1 << 20, values: 2_000, work: 1 << 28 };
        let (ours, _) = RuleSet::load(sources, &settings).unwrap();
        let engine = ModSecurity::builder().with_log_callbacks().build();
        Self { ours, engine, theirs: theirs(&settings, core_rule_set) }
    }

    /// Shows a request to both.
    pub fn judge(&self, request: &Request<'_>) -> Judged {
        let ours = self.ours.inspect(request, &Typed::default()).unwrap();
        let mut told = Told::new();
        for found in ours.matches {
            told.entry(found.rule).or_insert_with(|| format!("{} {}", found.target, found.masked));
        }
        self.judged(request).map_or(Judged::Unshown, |theirs| Judged::Both(told, theirs))
    }

    /// The rules that libmodsecurity logs; none if its interface does not take the request.
    fn judged(&self, request: &Request<'_>) -> Option<Told> {
        let version = request.protocol.strip_prefix("HTTP/")?;
        let told = Arc::new(Mutex::new(Told::new()));
        let noted = Arc::clone(&told);
        let log = move |line: Option<&str>| {
            if let Some((rule, place)) = line.and_then(read) {
                noted.lock().unwrap().entry(rule).or_insert(place);
            }
        };
        let builder = self.engine.transaction_builder().with_rules(&self.theirs).with_logging(log);
        let mut transaction = builder.build().unwrap();
        transaction.process_connection(&request.peer.to_string(), 50_000, "127.0.0.1", 443).ok()?;
        transaction.process_uri(request.target, request.method, version).ok()?;
        for (name, value) in request.headers {
            transaction.add_request_header(name, std::str::from_utf8(value).ok()?).ok()?;
        }
        transaction.process_request_headers().ok()?;
        transaction.append_request_body(request.body).ok()?;
        transaction.process_request_body().ok()?;
        drop(transaction);
        let told = told.lock().unwrap().clone();
        Some(told)
    }
}

/// Rule and place of a line such as ``… against variable `ARGS:a' (Value: `1' ) … [id "942100"] …``.
fn read(line: &str) -> Option<(u64, String)> {
    let (_, rest) = line.rsplit_once("[id \"")?;
    let place = line.split_once("against variable ").and_then(|(_, rest)| rest.split_once("[file"));
    Some((rest.split_once('"')?.0.parse().ok()?, place.map_or("", |(place, _)| place).trim().to_owned()))
}

fn theirs(settings: &Settings, core_rule_set: Option<&Path>) -> Rules {
    let mut rules = Rules::new();
    rules
        .add_plain(
            "SecRuleEngine DetectionOnly\nSecRequestBodyAccess On\nSecRequestBodyLimit 1048576\n\
             SecRequestBodyNoFilesLimit 1048576\nSecPcreMatchLimit 1000000\n\
             SecPcreMatchLimitRecursion 1000000\nSecCookieFormat 0\n",
        )
        .unwrap();
    let own = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../policies/waf"));
    let Some(folder) = core_rule_set else {
        add(&mut rules, &["engine.conf", "cards.conf", "json.conf"].map(|name| own.join(name)));
        return rules;
    };
    add(&mut rules, &[folder.join("crs-setup.conf.example")]);
    let variables: String =
        settings.variables.iter().map(|(name, value)| format!(",setvar:'tx.{name}={value}'")).collect();
    rules.add_plain(&format!("SecAction \"id:9100999,phase:1,pass,nolog{variables}\"\n")).unwrap();
    add(&mut rules, &[own.join("engine.conf")]);
    let files = std::fs::read_dir(folder.join("rules")).unwrap();
    let mut files: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    add(&mut rules, &files);
    rules
}

fn add(rules: &mut Rules, files: &[PathBuf]) {
    for file in files {
        rules.add_file(file).unwrap_or_else(|error| panic!("{}: {error:?}", file.display()));
    }
}
