//! Who may bring code: detached signatures over the bytes of a plugin.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crypto::{Algorithm, PublicKey, SigningFailed, SigningKey};

use crate::PluginProblem;

/// The algorithms of signatures: both are 64 bytes.
const ALGORITHMS: [Algorithm; 2] = [Algorithm::EdDsa, Algorithm::Es256];

/// Largest file of a key or a signature, bytes.
const LARGEST: u64 = 16 * 1024;

/// Why bytes could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignFailed {
    /// An RSA key.
    #[error("plugins are signed with Ed25519 or P-256 keys, and this one is {0}")]
    Algorithm(Algorithm),
    /// The library or the token.
    #[error(transparent)]
    Signing(#[from] SigningFailed),
}

/// Why a plugin counts as unsigned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    /// There is no signature.
    #[error("is not signed: there is no {0} beside it")]
    Missing(String),
    /// The signature is none.
    #[error("is not signed: {0} holds no signature, which is 64 bytes in base64")]
    Malformed(String),
    /// Nobody may sign.
    #[error("is refused: no key may sign plugins, as {0} holds none (*.pem)")]
    NoKeys(String),
    /// None of those who may sign has signed these bytes.
    #[error("is refused: its signature is by none of the keys that may sign plugins ({0})")]
    OtherKey(String),
}

/// Signs a plugin: the text of its `.sig` file, the 64 bytes of the signature in
/// base64 (Ed25519; or ES256 as JWS has it, `r || s`).
///
/// # Errors
///
/// [`SignFailed`] for a key of another kind, or if it cannot sign.
pub fn sign(key: &SigningKey, plugin: &[u8]) -> Result<String, SignFailed> {
    if !ALGORITHMS.contains(&key.algorithm()) {
        return Err(SignFailed::Algorithm(key.algorithm()));
    }
    Ok(STANDARD.encode(key.sign(plugin)?) + "\n")
}

/// The keys that may sign plugins: the files `*.pem` of one folder, each with the
/// public key of one signer. Without a key, nothing is signed.
#[derive(Clone, Debug, Default)]
pub struct AllowedKeys {
    folder: String,
    keys: Vec<(String, PublicKey)>,
}

impl AllowedKeys {
    /// Reads them, and says what is wrong with those that do not count. A folder
    /// that is not there has none, nor has one that cannot be read.
    #[must_use]
    pub fn read(folder: &Path) -> (Self, Vec<PluginProblem>) {
        let (mut keys, mut problems) = (Vec::new(), Vec::new());
        let files = pem_files(folder).unwrap_or_else(|error| {
            problems.push(PluginProblem::unreadable(folder, &error));
            Vec::new()
        });
        for file in files {
            let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match public_key(&file) {
                Ok(key) => keys.push((name, key)),
                Err(why) => problems.push(PluginProblem::new(&file, why)),
            }
        }
        (Self { folder: folder.display().to_string(), keys }, problems)
    }

    /// Whether this key may sign.
    #[must_use]
    pub fn contains(&self, key: &PublicKey) -> bool {
        self.keys.iter().any(|(_, known)| known == key)
    }

    /// Holds a plugin to its signature, which is that in `file`, and says by which
    /// key it is.
    ///
    /// # Errors
    ///
    /// [`NotSigned`], with the names of file and keys.
    pub fn check(&self, plugin: &[u8], signature: &str, file: &str) -> Result<&PublicKey, NotSigned> {
        if self.keys.is_empty() {
            return Err(NotSigned::NoKeys(self.folder.clone()));
        }
        let signature = STANDARD.decode(signature.trim()).ok().filter(|bytes| bytes.len() == 64);
        let signature = signature.ok_or_else(|| NotSigned::Malformed(file.to_owned()))?;
        let signer = self.keys.iter().find(|(_, key)| key.verify(plugin, &signature));
        signer.map(|(_, key)| key).ok_or_else(|| {
            let names: Vec<_> = self.keys.iter().map(|(name, _)| name.as_str()).collect();
            NotSigned::OtherKey(names.join(", "))
        })
    }
}

/// The files of keys, in their order.
fn pem_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "pem") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn public_key(file: &Path) -> Result<PublicKey, String> {
    let key = PublicKey::from_pem(&read_small(file)?).map_err(|error| error.to_string())?;
    let usable = ALGORITHMS.contains(&key.algorithm());
    usable.then_some(key).ok_or_else(|| "is neither an Ed25519 nor a P-256 key".to_owned())
}

/// A file that has no reason to be large.
pub(crate) fn read_small(file: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    if fs::metadata(file).map_err(cannot)?.len() > LARGEST {
        return Err("is larger than 16 KiB".to_owned());
    }
    fs::read_to_string(file).map_err(cannot)
}
