use std::path::PathBuf;

use super::overrides::Leaf;
use super::*;

fn with(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn refused(text: &str, variables: &Variables) -> String {
    format!("{:#}", Config::parse(text, variables).unwrap_err())
}

/// The kept file is the one that the types say, and it says nothing.
#[test]
fn the_annotated_file_is_the_defaults() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/consentry.toml");
    if std::env::var_os("UPDATE_CONFIG").is_some() {
        std::fs::write(&kept, annotated()).unwrap();
    }
    assert_eq!(std::fs::read_to_string(kept).unwrap(), annotated(), "UPDATE_CONFIG=1 writes it anew");
    assert_eq!(Config::parse(&annotated(), &Variables::new()).unwrap(), Config::default());
    // With what has a default uncommented it is the same.
    let lines = annotated();
    let said: String = lines
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(value) if !value.starts_with(' ') => format!("{value}\n"),
            Some(_) | None => format!("{line}\n"),
        })
        .collect();
    assert_eq!(Config::parse(&said, &Variables::new()).unwrap(), Config::default());
}

/// Every value can be said by the environment, whatever its type; names do not collide.
#[test]
fn the_environment_says_any_value_instead_of_the_file() {
    let names: std::collections::BTreeSet<_> = leaves().iter().map(Leaf::variable).collect();
    assert_eq!(names.len(), leaves().len());
    let variables = with(&[
        ("CONSENTRY_NODE_DATA_DIR", "/data"),
        ("CONSENTRY_LISTEN_PER_ADDRESS", "7"),
        ("CONSENTRY_LISTEN_API", "127.0.0.1:1"),
        ("CONSENTRY_WORK_HERE", "false"),
        ("CONSENTRY_REGIONS_HELD", "uk, pl"),
        ("CONSENTRY_BANKS_FOLDERS", "/a,/b"),
        ("CONSENTRY_DRAIN_LONGEST", "2m"),
        ("CONSENTRY_FILTER_MODE", "report"),
        ("CONSENTRY_DATABASE_URL", "postgres://a:secret@b/c"),
        ("CONSENTRY_TLS_KEY", ""),
        ("CONSENTRY_LOG", "debug"),
    ]);
    let config = Config::parse("[listen]\nper_address = 5\nper_client = 6\n", &variables).unwrap();
    assert_eq!(config.node.data_dir, PathBuf::from("/data"));
    assert_eq!((config.listen.per_address, config.listen.per_client), (7, 6));
    assert_eq!(config.listen.api.port(), 1);
    assert!(!config.work.here);
    assert_eq!(config.regions.held.len(), 2);
    assert_eq!(config.banks.folders, [PathBuf::from("/a"), PathBuf::from("/b")]);
    assert_eq!(config.drain.longest, Span::seconds(120));
    assert_eq!(config.tls.key, None);
    assert!(config.database.url.is_some());
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let none = Variables::new();
    for (text, told) in [
        ("[listen]\napi = \"nowhere\"", "line 2"),
        ("[listen]\nprot = 1", "unknown field `prot`"),
        ("[lisen]\n", "unknown field `lisen`"),
        ("[drain]\nlongest = \"soon\"", "such as \"30s\""),
        ("[drain]\nlongest = \"-3s\"", "not negative"),
        ("[filter]\nmode = \"loud\"", "unknown variant `loud`"),
        ("[regions]\nheld = [\"Europe\"]", "line 2"),
        ("[database]\nurl = \"postgres://a:b@c/d\"", "database.url has a password in it"),
        ("[redis]\nurl = \"redis://:b@c\"", "redis.url has a password in it"),
    ] {
        let said = refused(text, &none);
        assert!(said.contains(told), "{text}: {said}");
        assert!(!said.contains("a:b"), "{said}");
    }
    for (name, value, told) in [
        ("CONSENTRY_LISTEN_PORT", "1", "no variable of ours"),
        ("CONSENTRY_LISTEN_PER_CLIENT", "many", "a whole number is wanted"),
        ("CONSENTRY_WORK_HERE", "yes", "true or false is wanted"),
        ("CONSENTRY_DRAIN_BEFORE", "soon", "with what the environment says"),
    ] {
        let said = refused("", &with(&[(name, value)]));
        assert!(said.contains(told), "{name}: {said}");
    }
}

/// What a reload changes is told, and no secret with it.
#[test]
fn differences_name_what_changed_and_hide_addresses() {
    let none = Variables::new();
    let before = Config::parse("[log]\nlevel = \"warn\"\n", &none).unwrap();
    let url = with(&[("CONSENTRY_DATABASE_URL", "postgres://a:secret@b/c")]);
    let after = Config::parse("[log]\nlevel = \"debug\"\n[banks]\nplugins = \"/p\"\n", &url).unwrap();
    let told = before.differences(&after);
    let names: Vec<_> = told.iter().map(|it| (&*it.name, &*it.from, &*it.to)).collect();
    assert_eq!(
        names,
        [
            ("banks.plugins", "nothing", "\"/p\""),
            ("database.url", "nothing", "***"),
            ("log.level", "\"warn\"", "\"debug\""),
        ]
    );
    assert!(before.differences(&before).is_empty());
    assert_ne!(before.digest(), after.digest());
}

/// An editor that knows the schema knows the file.
#[test]
fn the_schema_takes_the_defaults_and_refuses_what_is_unknown() {
    let schema = schema();
    let mut compiler = boon::Compiler::new();
    let mut schemas = boon::Schemas::new();
    compiler.add_resource("mem:///config", schema).unwrap();
    let known = compiler.compile("mem:///config", &mut schemas).unwrap();
    let defaults = serde_json::to_value(Config::default()).unwrap();
    // TOML has no null: what is not said is not there.
    let said = |value: serde_json::Value| -> serde_json::Value {
        let mut value = value;
        for section in value.as_object_mut().unwrap().values_mut() {
            section.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        }
        value
    };
    schemas.validate(&said(defaults), known).unwrap();
    assert!(schemas.validate(&serde_json::json!({ "lisen": {} }), known).is_err());
    assert!(schemas.validate(&serde_json::json!({ "drain": { "longest": "soon" } }), known).is_err());
}

#[test]
fn an_address_is_said_once() {
    let url = "postgres://a@b/c".to_owned();
    assert!(address(Some(&url), Some(Path::new("/f"))).is_err());
    assert!(address(Some(&url), None).unwrap().is_some());
    assert!(address(None, None).unwrap().is_none());
    assert!(address(None, Some(Path::new("/not/there"))).is_err());
}
