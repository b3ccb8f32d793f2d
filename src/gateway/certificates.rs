//! The certificates that a deployment depends on, and when they end.

use std::path::{Path, PathBuf};

use cells::CellFile;
use crypto::Certificate;
use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::{Config, SYSTEM_AUTHORITIES};

/// Whose certificates they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// Shown by us, with its chain: nothing of it may end.
    Ours,
    /// Believed by us, any of them: what has ended is not missed while there are others.
    Believed,
}

/// Files of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// What they are for.
    pub(crate) name: String,
    pub(crate) whose: Whose,
    pub(crate) files: Vec<PathBuf>,
}

/// All that a configuration names. The system's own authorities are its distribution's matter.
pub(crate) fn held(config: &Config) -> Vec<Held> {
    let ours = |name: &str, file: Option<&PathBuf>| Held {
        name: name.to_owned(),
        whose: Whose::Ours,
        files: file.cloned().into_iter().collect(),
    };
    let believed = |name: &str, files: Vec<PathBuf>| Held {
        name: name.to_owned(),
        whose: Whose::Believed,
        files: files.into_iter().filter(|file| file != Path::new(SYSTEM_AUTHORITIES)).collect(),
    };
    let tls = &config.tls;
    let issuers = [&tls.client_authorities, &tls.qwac_issuers, &tls.open_banking_issuers];
    let mut all = vec![
        ours("server", tls.certificate.as_ref()),
        ours("bank", config.bank.certificate.as_ref()),
        ours("bank_seal", config.bank.seal_certificate.as_ref()),
        ours("operators", config.admin.certificate.as_ref()),
        believed("client_authorities", issuers.into_iter().flatten().cloned().collect()),
        believed("bank_authorities", config.bank.authorities.clone()),
        believed("operator_authorities", config.admin.authorities.clone()),
        believed("webhook_authorities", config.webhooks.authorities.clone()),
    ];
    let path = config.regions.cell_file.as_deref().unwrap_or(Path::new(""));
    // One that cannot be read is said elsewhere.
    if let Some(cell) = crate::read(path).ok().and_then(|text| CellFile::parse(&text).ok()) {
        let place = |file: &PathBuf| path.parent().unwrap_or(Path::new("")).join(file);
        all.push(ours("cell", Some(&place(&cell.certificate))));
        all.push(believed("cell_authorities", vec![place(&cell.trust)]));
        for neighbour in &cell.neighbours {
            let files = neighbour.certificates.iter().map(place).collect();
            all.push(believed(&format!("neighbour {}", neighbour.name), files));
        }
    }
    all.retain(|held| !held.files.is_empty());
    all
}

impl Held {
    /// Every certificate of the files. What is of a kind that we do not read, as some authorities are, is left out.
    pub(crate) fn read(&self) -> Vec<Certificate> {
        let texts = self.files.iter().filter_map(|file| crate::read(file).ok());
        texts
            .flat_map(|text| {
                let all = CertificateDer::pem_slice_iter(text.as_bytes()).flatten();
                all.filter_map(|der| Certificate::parse(&der).ok()).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// When the first of them ends that is missed then; nothing, if there are none.
pub(crate) fn first_end(whose: Whose, all: &[Certificate], now: Timestamp) -> Option<Timestamp> {
    let ends = || all.iter().map(|certificate| certificate.not_after);
    match whose {
        Whose::Ours => ends().min(),
        Whose::Believed => ends().filter(|end| *end > now).min().or_else(|| ends().max()),
    }
}

/// When they begin to be of use: all that is ours, any that is believed.
pub(crate) fn last_begin(whose: Whose, all: &[Certificate]) -> Option<Timestamp> {
    let begins = all.iter().map(|certificate| certificate.not_before);
    match whose {
        Whose::Ours => begins.max(),
        Whose::Believed => begins.min(),
    }
}

/// Where a chain breaks off: each but the last is to be issued by the next one (RFC 8446 §4.4.2).
pub(crate) fn broken(chain: &[Certificate]) -> Option<String> {
    let mut pairs = chain.iter().zip(chain.iter().skip(1));
    let (one, next) = pairs.find(|(one, next)| one.issuer_dn != next.subject_dn || !next.is_ca)?;
    Some(format!("'{}' is not issued by what follows it, '{}'", one.subject_dn, next.subject_dn))
}

#[cfg(test)]
mod tests {
    use crypto::pki::Authority;

    use super::*;

    const DAY: i64 = 86_400;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn certificates(pems: &[&str]) -> Vec<Certificate> {
        pems.iter().map(|pem| Certificate::from_pem(pem).unwrap()).collect()
    }

    #[test]
    fn what_is_believed_may_end_where_there_are_others() {
        let begin = 1_800_000_000;
        let authority = Authority::new("Root", at(begin)).unwrap();
        let like = Certificate::from_pem(authority.certificate_pem()).unwrap();
        let all = [40, 5, 90].map(|day| {
            let mut ending = like.clone();
            ending.not_after = at(begin + day * DAY);
            ending
        });
        let days = |whose, day: i64| {
            let end = first_end(whose, &all, at(begin + day * DAY)).unwrap();
            (end.as_second() - begin).div_euclid(DAY)
        };
        assert_eq!((days(Whose::Ours, 0), days(Whose::Believed, 0)), (5, 5));
        assert_eq!((days(Whose::Ours, 6), days(Whose::Believed, 6)), (5, 40));
        assert_eq!(days(Whose::Believed, 100), 90, "nothing is left");
        assert_eq!(first_end(Whose::Believed, &[], at(begin)), None);
    }

    #[test]
    fn neighbours_come_and_go_with_the_file_of_the_cell() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cell.toml");
        let write = |neighbours: &str| {
            let cell = "name = 'cell-uk'\nregions = ['uk']\nlisten = '127.0.0.1:1'\ncertificate = 'cell.pem'\n\
                        key = 'cell.key'\ntrust = 'trust.pem'\n";
            std::fs::write(&file, format!("{cell}{neighbours}")).unwrap();
        };
        let mut config = Config::default();
        config.regions.cell_file = Some(file.clone());
        let names = || held(&config).into_iter().map(|held| held.name).collect::<Vec<_>>();
        write("");
        let before = names();
        write(
            "[[neighbour]]\nname = 'cell-eu'\nregions = ['eu']\naddress = 'https://localhost:2'\n\
             certificates = ['eu.pem']\napi = 'https://localhost:3'\npages = 'https://localhost:4'\n",
        );
        let there = names();
        assert_eq!(there.len(), before.len() + 1, "{there:?}");
        assert_eq!(there.last().map(String::as_str), Some("neighbour cell-eu"));
        let lately = crate::service::Lately::default();
        let ends = |names: &[String]| names.iter().map(|name| (name.clone(), at(1))).collect::<Vec<_>>();
        lately.end(&there, ends(&there));
        assert!(lately.certificates().contains_key("neighbour cell-eu"));
        lately.end(&before, []);
        assert!(
            !lately.certificates().contains_key("neighbour cell-eu") && !lately.certificates().is_empty()
        );
    }

    #[test]
    fn a_chain_has_each_issued_by_the_next() {
        let root = Authority::new("Root", at(1_800_000_000)).unwrap();
        let between = root.subordinate("Between").unwrap();
        let leaf = between.issue_server(&["localhost"], &[]).unwrap();
        let (leaf, between, root) =
            (&leaf.certificate_pem, between.certificate_pem(), root.certificate_pem());
        assert_eq!(broken(&certificates(&[leaf, between, root])), None);
        assert_eq!(broken(&certificates(&[leaf, between])), None);
        assert_eq!(broken(&certificates(&[leaf])), None);
        let without = broken(&certificates(&[leaf, root])).unwrap();
        assert!(without.contains("localhost") && without.contains("Root"), "{without}");
        assert!(broken(&certificates(&[leaf, root, between])).is_some());
        assert!(broken(&certificates(&[leaf, leaf])).is_some());
    }
}
