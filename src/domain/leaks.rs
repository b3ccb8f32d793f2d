//! Deliberate leaks of personal data, for `make residency-proof`: a search that finds nothing
//! proves something only if it finds what is there. Compiled with the feature `leaks` alone,
//! which no gateway has.

/// Whether the leak of this name is wanted (`CONSENTRY_LEAK`).
#[must_use]
pub fn wanted(name: &str) -> bool {
    std::env::var("CONSENTRY_LEAK").is_ok_and(|leak| leak == name)
}
