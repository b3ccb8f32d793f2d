//! A folder of plugins: who may sign, and what becomes of changes.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect::Dialect;
use consentry_plugins::{Host, Limits, PluginFolder, sign};
use crypto::SigningKey;
use crypto::pki;
use support::{Guest, at};
use tempfile::TempDir;

/// A folder in which `one` and `two` may sign.
struct Folder {
    home: TempDir,
    one: SigningKey,
    two: SigningKey,
}

impl Folder {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("allowed-keys")).unwrap();
        let (one, two) = (pki::generate_ed25519().unwrap(), pki::generate_p256().unwrap());
        let folder = Self {
            home,
            one: SigningKey::from_pem(&one, "one").unwrap(),
            two: SigningKey::from_pem(&two, "two").unwrap(),
        };
        folder.write("allowed-keys/one.pem", pki::public_half(&one).unwrap());
        folder.write("allowed-keys/two.pem", pki::public_half(&two).unwrap());
        folder
    }

    fn path(&self) -> &Path {
        self.home.path()
    }

    /// In one step, as an operator's tool would, and never with the stamp of before.
    fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let partial = self.path().join("partial");
        fs::write(&partial, content).unwrap();
        fs::rename(partial, self.path().join(file)).unwrap();
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.path().join(file)).unwrap();
    }

    fn put(&self, name: &str, component: &[u8], key: &SigningKey) {
        self.write(&format!("{name}.wasm.sig"), sign(key, component).unwrap());
        self.write(&format!("{name}.wasm"), component);
    }

    fn open(&self) -> Result<PluginFolder, String> {
        let opened = PluginFolder::open(Host::new(Limits::default()).unwrap(), self.path());
        opened.map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    }
}

/// A plugin that calls its standard so.
fn component(standard: &str) -> Vec<u8> {
    let mut guest = Guest::default();
    let text = guest.image.text(standard);
    let description = guest.image.record(&[text[0], text[1], 0, 0, 0, 0, 0]);
    Guest { describe: at(description), ..guest }.component()
}

/// Name and standard of each.
fn told(plugins: &[Arc<dyn Dialect>]) -> Vec<String> {
    let profile = support::bank();
    plugins.iter().map(|plugin| format!("{} {}", plugin.name(), plugin.standard(&profile))).collect()
}

/// Only what an allowed key has signed is loaded, and the error names file and key.
#[test]
fn only_what_an_allowed_key_has_signed_is_loaded() {
    let folder = Folder::new();
    folder.put("first", &component("One"), &folder.one);
    folder.put("second", &component("Two"), &folder.two);
    let opened = folder.open().unwrap();
    assert_eq!(told(&opened.plugins()), ["plugin:first One", "plugin:second Two"]);

    let stranger = SigningKey::from_pem(&pki::generate_ed25519().unwrap(), "").unwrap();
    folder.put("second", &component("Two"), &stranger);
    let refused = folder.open().err().unwrap();
    assert!(refused.contains("second.wasm: ") && refused.contains("one.pem, two.pem"), "{refused}");

    folder.write("second.wasm.sig", "no signature");
    assert!(folder.open().err().unwrap().contains("second.wasm.sig holds no signature"));
    folder.remove("second.wasm.sig");
    assert!(folder.open().err().unwrap().contains("there is no second.wasm.sig beside it"));
    // A signature is of these bytes, not of a name.
    folder.put("second", &component("Two"), &folder.two);
    folder.write("second.wasm", component("Three"));
    assert!(folder.open().err().unwrap().contains("second.wasm: is refused"));
}

/// Without a key, or with one that is none, nothing is loaded.
#[test]
fn nothing_is_loaded_where_no_key_is_allowed() {
    let folder = Folder::new();
    folder.put("first", &component("One"), &folder.one);
    let rsa = pki::public_half(&pki::generate_rsa().unwrap()).unwrap();
    folder.write("allowed-keys/three.pem", rsa);
    let refused = folder.open().err().unwrap();
    assert!(refused.contains("three.pem: is neither an Ed25519 nor a P-256 key"), "{refused}");
    folder.write("allowed-keys/three.pem", "no key");
    assert!(folder.open().err().unwrap().contains("three.pem: the text holds no such PEM key"));
    for file in ["one.pem", "two.pem", "three.pem"] {
        folder.remove(&format!("allowed-keys/{file}"));
    }
    assert!(folder.open().err().unwrap().contains("no key may sign plugins"));
    fs::remove_dir(folder.path().join("allowed-keys")).unwrap();
    assert!(folder.open().err().unwrap().contains("no key may sign plugins"));

    let rsa = SigningKey::from_pem(&pki::generate_rsa().unwrap(), "").unwrap();
    let refused = sign(&rsa, b"bytes").unwrap_err().to_string();
    assert!(refused.contains("Ed25519 or P-256"), "{refused}");
}

/// A change that is good is taken up; one that is not leaves the plugin of before.
#[test]
fn a_plugin_is_replaced_by_a_good_one_and_stays_beside_a_bad_one() {
    let folder = Folder::new();
    folder.put("first", &component("One"), &folder.one);
    let mut plugins = folder.open().unwrap();
    assert!(plugins.look().is_none(), "nothing has changed");

    folder.put("second", &component("Two"), &folder.two);
    assert_eq!(told(&plugins.look().unwrap()), ["plugin:first One", "plugin:second Two"]);
    let held = plugins.plugins();
    folder.put("first", &component("Another"), &folder.one);
    assert_eq!(told(&plugins.look().unwrap()), ["plugin:first Another", "plugin:second Two"]);
    assert_eq!(told(&held)[0], "plugin:first One", "who holds it goes on with it");

    folder.put("first", b"no component", &folder.one);
    assert_eq!(told(&plugins.look().unwrap()), ["plugin:first Another", "plugin:second Two"]);
    folder.write("first.wasm", component("Unsigned"));
    assert_eq!(told(&plugins.look().unwrap()), ["plugin:first Another", "plugin:second Two"]);
    folder.write("Odd Name.wasm", component("Odd"));
    assert_eq!(plugins.look().unwrap().len(), 2);

    folder.remove("second.wasm");
    assert_eq!(told(&plugins.look().unwrap()), ["plugin:first Another"]);
}

/// Whose key is taken away has nothing running any more, not even what ran before.
#[test]
fn a_key_that_is_taken_away_takes_its_plugins_along() {
    let folder = Folder::new();
    folder.put("first", &component("One"), &folder.one);
    folder.put("second", &component("Two"), &folder.two);
    let mut plugins = folder.open().unwrap();
    folder.remove("allowed-keys/two.pem");
    assert_eq!(told(&plugins.look().unwrap()), ["plugin:first One"]);
    folder.write("allowed-keys/three.pem", b"no key");
    assert_eq!(
        told(&plugins.look().unwrap()),
        ["plugin:first One"],
        "a file that is no key takes nothing along"
    );
    folder.write("first.wasm", b"broken");
    assert_eq!(told(&plugins.look().unwrap()), ["plugin:first One"]);
    folder.remove("allowed-keys/one.pem");
    assert_eq!(told(&plugins.look().unwrap()), [""; 0]);
}

/// The signature is nothing of our own: what OpenSSL signs, with a key of its
/// making, counts.
#[test]
fn a_signature_made_by_openssl_counts() {
    let folder = Folder::new();
    let openssl = |arguments: &[&str]| {
        let output = Command::new("openssl").args(arguments).current_dir(folder.path()).output().ok()?;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    };
    if openssl(&["version"]).is_none_or(|version| !version.starts_with(b"OpenSSL 3")) {
        eprintln!("SKIPPED: OpenSSL 3 is not there");
        return;
    }
    folder.write("first.wasm", component("One"));
    openssl(&["genpkey", "-algorithm", "ed25519", "-out", "theirs"]);
    openssl(&["pkey", "-in", "theirs", "-pubout", "-out", "allowed-keys/theirs.pem"]);
    let signature =
        openssl(&["pkeyutl", "-sign", "-rawin", "-inkey", "theirs", "-in", "first.wasm"]).unwrap();
    folder.write("first.wasm.sig", STANDARD.encode(signature));
    assert_eq!(told(&folder.open().unwrap().plugins()), ["plugin:first One"]);
}
