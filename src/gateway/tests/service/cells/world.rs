//! Two cells on one global store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use consentry::demo::{Answer, RETURN, Tpp, Visit, free_ports, verifier};
use consentry::sandbox::{LimitsFrom, Sandbox, SandboxOptions};
use crypto::pki::{Authority, Issued};
use domain::{Clock, ShiftedClock, SystemClock};
use secrecy::SecretString;
use serde_json::json;
use store::ScratchDatabase;
use tempfile::TempDir;

use crate::support::template::seed;
use crate::support::{EU, UK, parameter};

/// How one of the cells is.
pub(super) struct Site {
    pub(super) name: &'static str,
    pub(super) region: &'static str,
    /// Where others reach it.
    pub(super) listens: u16,
    /// What becomes of requests about its region at the other cell.
    pub(super) across: &'static str,
    /// Another region that the other cell takes it to hold.
    pub(super) taken_for: Option<&'static str>,
    pub(super) certificate: Issued,
}

/// What is not as usual.
#[derive(Default)]
pub(super) struct Unusual<'a> {
    /// A folder of rules of access.
    pub(super) rules: Option<&'a Path>,
    /// When the certificates of cells were made.
    pub(super) issued_days_ago: i64,
    /// How the second cell's clock is.
    pub(super) eu_clock: Option<Arc<ShiftedClock>>,
}

/// Two cells on one global store.
pub(super) struct Cells {
    pub(super) uk: Sandbox,
    pub(super) eu: Option<Sandbox>,
    pub(super) sites: [Site; 2],
    pub(super) folder: TempDir,
    pub(super) database: Option<ScratchDatabase>,
    pub(super) tpp: Tpp,
    /// What issues certificates of cells.
    pub(super) ca: Authority,
}

/// The file of a cell, written with what it names.
pub(super) fn file(folder: &Path, us: &Site, other: &Site, ca: &str, pages: &str) -> PathBuf {
    let put =
        |name: &str, text: &str| std::fs::write(folder.join(format!("{}-{name}", us.name)), text).unwrap();
    put("cell.pem", &us.certificate.certificate_pem);
    put("cell.key", &us.certificate.key_pem);
    put("other.pem", &other.certificate.certificate_pem);
    put("trust.pem", ca);
    let mut theirs = vec![other.region];
    theirs.extend(other.taken_for);
    let text = format!(
        "name = \"{name}\"\nregions = [\"{region}\"]\nlisten = \"127.0.0.1:{listens}\"\n\
         certificate = \"{name}-cell.pem\"\nkey = \"{name}-cell.key\"\ntrust = \"{name}-trust.pem\"\n\
         [[neighbour]]\nname = \"{}\"\nregions = {:?}\naddress = \"https://localhost:{}\"\n\
         certificates = [\"{name}-other.pem\"]\napi = \"https://api.other.example\"\npages = \"{pages}\"\n\
         across = \"{}\"\n",
        other.name,
        theirs,
        other.listens,
        other.across,
        name = us.name,
        region = us.region,
        listens = us.listens,
    );
    let path = folder.join(format!("{}.toml", us.name));
    std::fs::write(&path, text).unwrap();
    path
}

impl Cells {
    pub(super) async fn start() -> Self {
        Self::with("forward", |_| {}).await
    }

    pub(super) async fn with(across: &'static str, spoil: impl FnOnce(&mut [Site; 2])) -> Self {
        Self::made(across, Unusual::default(), spoil).await
    }

    pub(super) async fn made(
        across: &'static str,
        unusual: Unusual<'_>,
        spoil: impl FnOnce(&mut [Site; 2]),
    ) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let folder = tempfile::tempdir().unwrap();
        let age = jiff::SignedDuration::from_hours(24 * unusual.issued_days_ago);
        let ca = Authority::new("cells", clock.now() - age).unwrap();
        let issuer_port = free_ports().unwrap();
        let site = |name, region, across, at| Site {
            name,
            region,
            listens: issuer_port + at,
            across,
            taken_for: unusual.rules.and(Some("pl")),
            certificate: ca.issue_peer(&["localhost"]).unwrap(),
        };
        let mut sites = [site("cell-uk", "uk", "forward", 17), site("cell-eu", "eu", across, 18)];
        let database = match crate::support::postgres() {
            Some(url) => Some(crate::support::fresh_database(&url).await),
            None => None,
        };
        // The pages of the home are known once it runs, so it is the first to.
        let pages = "https://pages.other.example".to_owned();
        let trust = ca.certificate_pem().to_owned();
        let eu_file = file(folder.path(), &sites[1], &sites[0], &trust, &pages);
        spoil(&mut sites);
        let issuer = format!("https://localhost:{issuer_port}");
        let rules = unusual.rules;
        let place = Place { folder: &folder, database: &database, clock: &clock, rules };
        let other: Arc<dyn Clock> = match unusual.eu_clock {
            Some(shifted) => shifted,
            None => Arc::clone(&clock),
        };
        let elsewhere = Place { clock: &other, ..place };
        let eu = elsewhere.cell("eu", eu_file, Some(issuer.clone()), 0).await;
        let pages = eu.gateway().config().pages_origin.clone();
        let uk_file = file(folder.path(), &sites[0], &sites[1], &trust, &pages);
        let uk = place.cell("uk", uk_file, None, issuer_port).await;
        assert_eq!(uk.access().issuer, issuer);
        let mut tpp = Tpp::discover(&uk.access(), Arc::clone(&clock)).await.unwrap();
        let grants = json!({ "grant_types": ["authorization_code", "client_credentials", "refresh_token"] });
        tpp.register_as(&grants).await.unwrap();
        Self { uk, eu: Some(eu), sites, folder, database, tpp, ca }
    }

    /// A grant with a consent at a bank, into an earlier one if it is named.
    pub(super) async fn grant(&self, consent: &str, into: Option<&str>) -> Answer {
        let verifier = verifier();
        let pushed = self.push(&[consent], &verifier, into).await.expect(201).unwrap();
        let visit = self.walk(&self.tpp.start_of(&pushed).unwrap()).await;
        let code = parameter(&visit, "code");
        self.tpp.redeem(&code, &verifier).await.unwrap().expect(200).unwrap()
    }

    pub(super) async fn push(
        &self,
        consents: &[&str],
        verifier: &SecretString,
        into: Option<&str>,
    ) -> Answer {
        let consents: Vec<_> = consents.iter().map(|id| (*id).to_owned()).collect();
        let mut more = vec![("grant_management_action", if into.is_some() { "merge" } else { "create" })];
        more.extend(into.map(|id| ("grant_id", id)));
        self.tpp.push_with(&consents, verifier, &more).await.unwrap()
    }

    pub(super) async fn walk(&self, start: &str) -> Visit {
        let anybody = consentry::demo::Client::new(&self.uk.access().pki.root, None).unwrap();
        let mut person = consentry::demo::Browser::new(anybody, "anna", "sandbox");
        person.walk(start, RETURN).await.unwrap()
    }

    pub(super) async fn lodge(&self, bank: &str) -> String {
        let own = self.tpp.own_token("accounts").await.unwrap();
        self.tpp.lodge(&own, &[bank]).await.unwrap().remove(0)
    }

    /// A token of one grant with a consent in each region.
    pub(super) async fn everywhere(&self) -> (Vec<String>, SecretString) {
        let consents = vec![self.lodge(UK).await, self.lodge(EU).await];
        let first = self.grant(&consents[0], None).await;
        let both = self.grant(&consents[1], Some(&first.text("/grant_id"))).await;
        (consents, both.text("/access_token").into())
    }

    pub(super) async fn stop(self) {
        if let Some(eu) = self.eu {
            eu.stop().await;
        }
        self.uk.stop().await;
        drop((self.folder, self.database));
    }
}

/// Where cells run.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) folder: &'a TempDir,
    pub(super) database: &'a Option<ScratchDatabase>,
    pub(super) clock: &'a Arc<dyn Clock>,
    /// A folder of rules of access.
    pub(super) rules: Option<&'a Path>,
}

impl Place<'_> {
    pub(super) async fn cell(
        &self,
        name: &str,
        file: PathBuf,
        issuer: Option<String>,
        port_base: u16,
    ) -> Sandbox {
        let data = self.folder.path().join(name);
        seed(&data, &**self.clock).await;
        let global = self.folder.path().join("global.sqlite");
        let link = data.join("global.sqlite");
        if !link.exists() {
            std::os::unix::fs::symlink(&global, &link).unwrap();
        }
        for other in ["uk", "eu"].iter().filter(|other| **other != name) {
            std::fs::remove_file(data.join(format!("keys/region-{other}.json"))).unwrap();
        }
        Sandbox::start(SandboxOptions {
            auto_approve: true,
            issuer,
            port_base,
            cells: Some(file),
            policies: self.rules.map(Path::to_owned),
            database_url: self.database.as_deref().map(str::to_owned),
            limits: LimitsFrom::Nowhere,
            read_deadline: Duration::from_secs(2),
            clock: Arc::clone(self.clock),
            ..SandboxOptions::at(data)
        })
        .await
        .unwrap()
    }
}

/// A shadow of the first cell: with its clients and tokens, and a store of its own.
pub(super) async fn beside(cells: &Cells, file: PathBuf) -> Sandbox {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let data = cells.folder.path().join("copy");
    seed(&data, &*clock).await;
    let link = data.join("global.sqlite");
    if !link.exists() {
        std::os::unix::fs::symlink(cells.folder.path().join("global.sqlite"), &link).unwrap();
    }
    std::fs::remove_file(data.join("keys/region-eu.json")).unwrap();
    let issuer = Some(cells.uk.access().issuer);
    Sandbox::start(SandboxOptions {
        issuer,
        cells: Some(file),
        limits: LimitsFrom::Nowhere,
        ..SandboxOptions::at(data)
    })
    .await
    .unwrap()
}
