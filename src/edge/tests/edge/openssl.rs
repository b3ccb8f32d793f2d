//! OpenSSL as an authority, as an outside judge of what we read.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crypto::pki::{Authority, Issued};

/// A list in both forms.
pub struct RevocationList {
    pub pem: Vec<u8>,
    pub der: Vec<u8>,
}

/// The files of an authority as OpenSSL keeps them.
pub fn home(ca: &Authority) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ca.pem"), ca.certificate_pem()).unwrap();
    fs::write(folder.path().join("ca.key"), ca.key_pem()).unwrap();
    fs::write(folder.path().join("index.txt"), "").unwrap();
    fs::write(folder.path().join("crlnumber"), "01\n").unwrap();
    let conf = "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncertificate=ca.pem\nprivate_key=ca.key\n\
                crlnumber=crlnumber\ndefault_md=sha256\ndefault_crl_days=7\n";
    fs::write(folder.path().join("ca.cnf"), conf).unwrap();
    folder
}

/// Runs it; `None`, and a word about it, where it is absent.
pub fn run(home: &Path, arguments: &[&str]) -> Option<Vec<u8>> {
    let mut command = Command::new("openssl");
    let Ok(done) = command.args(arguments).current_dir(home).stdin(Stdio::null()).output() else {
        eprintln!("SKIPPED: openssl is not here");
        return None;
    };
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    Some(done.stdout)
}

/// Revokes a certificate in the authority's index.
pub fn revoke(home: &Path, issued: &Issued) -> Option<()> {
    fs::write(home.join("leaf.pem"), &issued.certificate_pem).unwrap();
    run(home, &["ca", "-config", "ca.cnf", "-revoke", "leaf.pem"]).map(|_| ())
}

pub fn revocation_list(ca: &Authority, revoked: &Issued) -> Option<RevocationList> {
    let home = home(ca);
    revoke(home.path(), revoked)?;
    run(home.path(), &["ca", "-config", "ca.cnf", "-gencrl", "-out", "list.pem"])?;
    run(home.path(), &["crl", "-in", "list.pem", "-outform", "DER", "-out", "list.der"])?;
    let read = |name| fs::read(home.path().join(name)).unwrap();
    Some(RevocationList { pem: read("list.pem"), der: read("list.der") })
}
