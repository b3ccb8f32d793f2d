//! The data folder: private, whole or refused.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use crypto::SigningKey;
use domain::Entropy;

/// The folder with all state of a sandbox, held by this process alone.
pub(super) struct DataDir {
    path: PathBuf,
    /// Locked for as long as the sandbox runs.
    _lock: fs::File,
}

/// Written last: a folder with contents but without it is half-written.
const MARK: &str = "state.json";
/// Locked by the process that uses the folder.
const LOCK: &str = "lock";
const VERSION: &str = "{\"version\":1}\n";

impl DataDir {
    /// Opens or makes the folder.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let unwritable = || {
            format!(
                "{} cannot be written: choose another folder with --data-dir, or change its permissions",
                path.display()
            )
        };
        fs::create_dir_all(path).with_context(unwritable)?;
        let lock = path.join(LOCK);
        let lock = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock)
            .with_context(unwritable)?;
        if lock.try_lock().is_err() {
            bail!(
                "{} is in use by another sandbox: stop it, or choose another folder with --data-dir",
                path.display()
            );
        }
        let mark = path.join(MARK);
        let others =
            |entry: std::io::Result<fs::DirEntry>| entry.is_ok_and(|entry| entry.file_name() != LOCK);
        match fs::read_to_string(&mark) {
            Ok(text) if text == VERSION => {}
            Ok(_) => bail!(
                "{} was written by another version: remove the folder, or choose another with --data-dir",
                path.display()
            ),
            Err(_) if fs::read_dir(path).with_context(unwritable)?.any(others) => bail!(
                "{} is half-written or not a sandbox folder: remove it, or choose another with --data-dir",
                path.display()
            ),
            Err(_) => {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700)).with_context(unwritable)?;
            }
        }
        Ok(Self { path: path.to_owned(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Marks the folder as whole.
    pub(super) fn finished(&self) -> anyhow::Result<()> {
        let mark = self.path.join(MARK);
        if !mark.exists() {
            write_private(&mark, VERSION)?;
        }
        Ok(())
    }
}

/// Keys of the gateway that are no certificates.
pub(super) struct Keys {
    pub(super) id_key: [u8; 32],
    pub(super) webhook: SigningKey,
    pub(super) signing: SigningKey,
}

impl Keys {
    /// Reads the keys, or makes them.
    pub(super) async fn open(folder: &Path, entropy: &dyn Entropy) -> anyhow::Result<Self> {
        let keys = folder.join("keys");
        if !keys.exists() {
            let partial = folder.join("keys.partial");
            fs::create_dir_all(&partial)?;
            let mut id_key = [0; 32];
            entropy.fill(&mut id_key);
            write_private(&partial.join("ids.hex"), &hex::encode(id_key))?;
            write_private(&partial.join("webhook.pem"), &crypto::pki::generate_ed25519()?)?;
            // RSA takes long enough to find that the runtime should not wait for it.
            let rsa = tokio::task::spawn_blocking(crypto::pki::generate_rsa).await??;
            write_private(&partial.join("signing.pem"), &rsa)?;
            fs::rename(&partial, &keys)?;
        }
        let read = |name: &str| {
            let file = keys.join(name);
            fs::read_to_string(&file).with_context(|| {
                format!("{} is missing: remove the data folder and start again", file.display())
            })
        };
        let mut id_key = [0; 32];
        hex::decode_to_slice(read("ids.hex")?.trim(), &mut id_key)
            .context("keys/ids.hex is damaged: remove the data folder and start again")?;
        let key = |name: &str| -> anyhow::Result<SigningKey> {
            let pem = read(name)?;
            let kid = crypto::digest::sha256_b64url(pem.as_bytes());
            let kid = kid.get(..16).unwrap_or_default();
            SigningKey::from_pem(&pem, kid)
                .with_context(|| format!("keys/{name} is damaged: remove the data folder and start again"))
        };
        Ok(Self { id_key, webhook: key("webhook.pem")?, signing: key("signing.pem")? })
    }
}

/// Writes a file that only its owner can read.
pub(super) fn write_private(path: &Path, text: &str) -> anyhow::Result<()> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    Ok(())
}
