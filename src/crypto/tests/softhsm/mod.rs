//! SoftHSM 2 (Debian package softhsm2) for tests. Where it is absent they say so
//! and pass; where `CONSENTRY_TEST_PKCS11` names its module, it has to be there.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The PIN of the token.
pub const PIN: &str = "pin-of-the-test-4711";
/// The label of the token.
pub const TOKEN: &str = "test";

/// The module of SoftHSM.
pub fn module() -> Option<PathBuf> {
    let named = std::env::var_os("CONSENTRY_TEST_PKCS11").map(PathBuf::from);
    if let Some(named) = &named {
        assert!(named.exists(), "CONSENTRY_TEST_PKCS11 names {}", named.display());
    }
    let usual = ["/usr/lib/softhsm/libsofthsm2.so", "/opt/homebrew/lib/softhsm/libsofthsm2.so"];
    named.or_else(|| usual.into_iter().map(PathBuf::from).find(|path| path.exists()))
}

/// Runs a test of this file again as a process of its own with an empty token:
/// SoftHSM reads where its tokens are from the environment.
pub fn with_token(test: &str) {
    let Some(module) = module() else {
        eprintln!("SKIPPED: SoftHSM (Debian package softhsm2) is not here");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let conf = folder.path().join("softhsm2.conf");
    std::fs::create_dir(folder.path().join("tokens")).unwrap();
    let tokens = format!("directories.tokendir = {}\n", folder.path().join("tokens").display());
    std::fs::write(&conf, tokens).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", TOKEN, "--so-pin", "12345678", "--pin", PIN])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let run = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .env("CONSENTRY_TEST_PKCS11", module)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success() && said.contains("1 passed"), "{said}");
    assert!(!said.contains(PIN), "the PIN was printed: {said}");
}

/// Puts the key of a PEM file on the token, as an operator would. `id` is hexadecimal.
#[allow(dead_code, reason = "some tests make their keys on the token")]
pub fn import(file: &Path, label: &str, id: &str) {
    let put = Command::new("softhsm2-util")
        .arg("--import")
        .arg(file)
        .args(["--token", TOKEN, "--pin", PIN, "--label", label, "--id", id])
        .output()
        .unwrap();
    assert!(put.status.success(), "{put:?}");
}
