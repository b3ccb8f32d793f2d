//! x
fn main() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/crs"));
    let sources = waf::Sources::engine().and(waf::Sources::folder(root).unwrap());
    let mut settings = waf::Settings::new(jiff::civil::date(2026, 1, 1)).at_level(4);
    for (name, value) in waf::regression::EXPECTED_VARIABLES { settings = settings.with(name, value); }
    settings.mode = Some(waf::seclang::EngineMode::DetectionOnly);
    settings.budget = waf::Budget { bytes: 1 << 24, values: 10_000, work: 1 << 30 };
    let (rules, _) = waf::RuleSet::load(&sources, &settings).map_err(|e| e.to_string()).unwrap();
    let start = std::time::Instant::now();
    let report = waf::regression::run(root, &rules).map_err(|e| e.to_string()).unwrap();
    for f in &report.failures { println!("{} PL{} {}", f.test, f.level, f.why); }
    println!("{report} {:?}", start.elapsed());
}
