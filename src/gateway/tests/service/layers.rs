//! Which crate may know which: dependencies point one way, and SQL stays in
//! one crate. A change here is a change of the architecture.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Each crate with the crates of ours that it may use.
const LAYERS: &[(&str, &[&str])] = &[
    // Judges us, and therefore shares nothing with us.
    ("conformance", &[]),
    ("domain", &[]),
    ("crypto", &["domain"]),
    ("audit", &["crypto", "domain"]),
    ("limits", &[]),
    ("telemetry", &["domain"]),
    ("edge", &["crypto", "domain", "limits", "telemetry"]),
    ("waf", &["crypto", "domain"]),
    ("policy", &["domain"]),
    ("store", &["audit", "crypto", "domain", "limits"]),
    ("connect", &["crypto", "domain", "limits", "telemetry"]),
    ("dialects", &["connect", "crypto", "domain"]),
    ("plugins", &["connect", "crypto", "domain", "telemetry"]),
    ("modelbank", &["crypto", "domain"]),
    ("flows", &["audit", "connect", "crypto", "domain", "limits", "policy", "store", "telemetry"]),
    ("web", &["connect", "crypto", "domain", "edge", "flows", "limits", "store", "telemetry"]),
    ("oauth", &["connect", "crypto", "domain", "edge", "flows", "limits", "store", "web"]),
    ("cells", &["crypto", "domain", "edge", "policy", "telemetry", "web"]),
    ("api", &["connect", "crypto", "domain", "edge", "flows", "limits", "store", "web"]),
];

/// Crates of others that belong to some layers only.
const OTHERS: &[(&str, &[&str])] = &[
    ("sqlx", &["store"]),
    ("redis", &["store"]),
    ("wasmtime", &["plugins"]),
    ("cedar-policy", &["policy"]),
    ("prometheus-client", &["telemetry"]),
    ("opentelemetry_sdk", &["consentry"]),
    ("axum", &["edge", "web", "cells", "oauth", "api", "modelbank", "consentry"]),
    ("tokio-rustls", &["edge", "connect", "flows", "cells", "modelbank", "consentry", "conformance"]),
    ("ring", &["conformance"]),
];

/// Every crate of the workspace with all its dependencies, of every kind.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let short = |name: &str| name.strip_prefix("consentry-").unwrap_or(name).to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let name = short(package["name"].as_str().unwrap());
            let uses = package["dependencies"].as_array().unwrap().iter();
            let uses = uses.map(|used| short(used["name"].as_str().unwrap()));
            // crypto's tests switch a feature of their own crate on.
            (name.clone(), uses.filter(|used| *used != name).collect())
        })
        .collect()
}

#[test]
fn every_crate_uses_only_the_layers_below_it() {
    let crates = dependencies();
    let ours: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).chain(["consentry"]).collect();
    let found: BTreeSet<&str> = crates.keys().map(String::as_str).collect();
    assert_eq!(found, ours, "a crate without a layer, or a layer without a crate");
    for (name, allowed) in LAYERS {
        let upwards: Vec<_> = crates[*name]
            .iter()
            .filter(|used| ours.contains(used.as_str()) && !allowed.contains(&used.as_str()))
            .collect();
        assert!(upwards.is_empty(), "{name} may not use {upwards:?}");
    }
}

#[test]
fn sql_stays_in_store_and_http_servers_stay_above_the_flows() {
    for (used, users) in OTHERS {
        for (name, uses) in dependencies() {
            let may = users.contains(&name.as_str());
            assert!(may || !uses.contains(*used), "{name} may not use {used}");
        }
    }
}
