//! TLS from files that may change while it is in use: certificates that are
//! renewed, authorities that come and go, revocation lists.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crypto::{InvalidCertificate, Scheme, SigningKey, TrustProfile};
use telemetry::{FIGURES, Reloaded};

use crate::OcspCache;

use super::{ClientTrust, InvalidTls, Revocation, ServerIdentity, ServerTls};

/// Where the key of the server certificate is.
#[derive(Clone, Debug)]
pub enum ServerKey {
    /// A file: PEM, unencrypted.
    File(PathBuf),
    /// In memory, or on a token.
    Held(Arc<SigningKey>),
}

/// Where a listener's TLS comes from.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server certificate with its chain, PEM.
    pub certificate: PathBuf,
    /// Its key.
    pub key: ServerKey,
    /// What the authority says of the certificate: an OCSP response, DER.
    pub staple: Option<PathBuf>,
    /// Whom we trust, if client certificates are asked for.
    pub clients: Option<ClientFiles>,
}

/// Where client certificates are judged from. Of a folder every file counts
/// whose name does not begin with a dot.
#[derive(Clone, Debug)]
pub struct ClientFiles {
    /// Authorities: files and folders, PEM or DER.
    pub anchors: Vec<PathBuf>,
    /// Revocation lists: files and folders, PEM or DER. An empty folder is fine.
    pub lists: Vec<PathBuf>,
    /// What is asked of revocation.
    pub revocation: Revocation,
    /// Who asks responders of what the lists say nothing fresh about.
    pub responders: Option<Arc<OcspCache>>,
    /// By whose rules certificates have to be, with the files (PEM) of those who issue them;
    /// none, if any will do that chains to an authority.
    pub profiles: Vec<(Scheme, PathBuf)>,
}

/// Looks at the files again and again. Blocks while it reads.
#[derive(Debug)]
pub struct TlsWatch {
    files: TlsFiles,
    tls: ServerTls,
    /// The files as they were when they were last read, good or not.
    seen: BTreeSet<Stamp>,
}

/// Changes whenever a file is replaced or written.
type Stamp = (PathBuf, Option<(u64, i64, i64, u64)>);

impl TlsWatch {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// [`InvalidTls::File`] names the file that cannot be used.
    pub fn open(files: TlsFiles) -> Result<Self, InvalidTls> {
        // Reading twice between two changes is harmless, missing one is not.
        let seen = files.stamps();
        let tls = ServerTls::new(files.identity()?, files.trust()?)?;
        Ok(Self { files, tls, seen })
    }

    /// What is kept as the files say.
    #[must_use]
    pub fn tls(&self) -> ServerTls {
        self.tls.clone()
    }

    /// Takes up what changed. What cannot be used is named in the log once, and
    /// everything stays as it was until a file changes again.
    pub fn look(&mut self) {
        let stamps = self.files.stamps();
        if stamps != self.seen {
            self.seen = stamps;
            self.take_up();
        }
    }

    /// Takes up the files as they are, changed or not.
    pub fn reload(&mut self) {
        self.seen = self.files.stamps();
        self.take_up();
    }

    fn take_up(&self) {
        let read = || self.tls.replace(self.files.identity()?, self.files.trust()?);
        match read() {
            Ok(()) => {
                let file = self.files.certificate.display();
                tracing::info!(tls.certificate = %file, "The TLS files were taken up");
            }
            Err(error) => {
                FIGURES.reload_failed(Reloaded::Tls);
                let why = whole(&error);
                tracing::error!(error = why, "TLS stays as it was: {why}");
            }
        }
    }
}

impl TlsFiles {
    fn identity(&self) -> Result<ServerIdentity, InvalidTls> {
        let certificate = text(&self.certificate)?;
        let identity = match &self.key {
            ServerKey::File(file) => {
                let key = text(file)?;
                let identity = ServerIdentity::from_pem(&certificate, &key);
                // A pair that is none is told of the key.
                let blamed = if super::chain(&certificate).is_ok() { file } else { &self.certificate };
                of(blamed, identity)?
            }
            ServerKey::Held(key) => {
                of(&self.certificate, ServerIdentity::with_key(&certificate, Arc::clone(key)))?
            }
        };
        match &self.staple {
            Some(file) => Ok(identity.stapling(of(file, fs::read(file).map_err(InvalidTls::from))?)),
            None => Ok(identity),
        }
    }

    fn trust(&self) -> Result<Option<ClientTrust>, InvalidTls> {
        let Some(clients) = &self.clients else { return Ok(None) };
        let mut trust = ClientTrust::new(clients.revocation);
        for file in each(&clients.anchors)? {
            of(&file, fs::read(&file).map_err(InvalidTls::from).and_then(|bytes| trust.add_anchors(&bytes)))?;
        }
        for file in each(&clients.lists)? {
            of(&file, fs::read(&file).map_err(InvalidTls::from).and_then(|bytes| trust.add_lists(&bytes)))?;
        }
        for (scheme, file) in &clients.profiles {
            let unusable = |_: InvalidCertificate| InvalidTls::Unusable("authority");
            trust.add_profile(of(file, TrustProfile::new(*scheme, &text(file)?).map_err(unusable))?);
        }
        Ok(Some(match &clients.responders {
            Some(responders) => trust.asking(Arc::clone(responders)),
            None => trust,
        }))
    }

    fn stamps(&self) -> BTreeSet<Stamp> {
        let mut paths = vec![self.certificate.clone()];
        if let ServerKey::File(key) = &self.key {
            paths.push(key.clone());
        }
        paths.extend(self.staple.clone());
        if let Some(clients) = &self.clients {
            for paths_of in [&clients.anchors, &clients.lists] {
                // A folder that is gone is a change, too, and told when it is read.
                paths.extend(each(paths_of).unwrap_or_default());
                paths.extend(paths_of.iter().cloned());
            }
            paths.extend(clients.profiles.iter().map(|(_, file)| file.clone()));
        }
        paths.into_iter().map(|path| (path.clone(), stamp(&path))).collect()
    }
}

/// The files that are meant: themselves, or those in a folder, in the order of
/// their names.
fn each(paths: &[PathBuf]) -> Result<Vec<PathBuf>, InvalidTls> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(path.clone());
            continue;
        }
        let within = || -> Result<Vec<PathBuf>, std::io::Error> {
            fs::read_dir(path)?.map(|entry| entry.map(|entry| entry.path())).collect()
        };
        let mut within = of(path, within().map_err(InvalidTls::from))?;
        let hidden =
            |file: &Path| file.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        within.retain(|file| !hidden(file) && !file.is_dir());
        within.sort();
        found.extend(within);
    }
    Ok(found)
}

fn stamp(path: &Path) -> Option<(u64, i64, i64, u64)> {
    let file = fs::metadata(path).ok()?;
    Some((file.ino(), file.mtime(), file.mtime_nsec(), file.len()))
}

fn text(file: &Path) -> Result<String, InvalidTls> {
    of(file, fs::read_to_string(file).map_err(InvalidTls::from))
}

/// An error with what is behind it.
fn whole(error: &InvalidTls) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Names the file in an error.
fn of<T>(file: &Path, read: Result<T, InvalidTls>) -> Result<T, InvalidTls> {
    read.map_err(|why| InvalidTls::File { file: file.to_owned(), why: Box::new(why) })
}
