//! The sandbox's own PKI: a root, server certificates, a fintech's QWAC, and
//! for the gateway a QWAC and a QSealC (ETSI TS 119 495).

use std::fs;
use std::path::Path;

use anyhow::Context;
use crypto::pki::{Authority, Issued, Psd2Subject};
use crypto::{Certificate, Psd2Role};
use domain::Timestamp;

use crate::private_file;
use crate::service::BankSeal;

/// `organizationIdentifier` of the gateway's certificates.
pub(super) const GATEWAY_ORGANISATION: &str = "PSDGB-FCA-900100";

/// Certificates and keys of the sandbox.
#[derive(Debug)]
pub struct Pki {
    /// The root, PEM.
    pub root: String,
    /// Server certificate for localhost.
    pub server: Issued,
    /// The demo fintech's QWAC: PSP_PI, PSP_AI and PSP_IC.
    pub fintech: Issued,
    /// The gateway's QWAC, shown to banks.
    pub gateway_qwac: Issued,
    pub(super) gateway_qseal: Issued,
}

const LEAVES: [&str; 4] = ["server", "fintech", "gateway-qwac", "gateway-qseal"];

impl Pki {
    /// Reads the PKI below `folder`, or makes it, with a server certificate of localhost and `host`.
    pub(super) async fn open(folder: &Path, now: Timestamp, host: &str) -> anyhow::Result<Self> {
        let home = folder.join("pki");
        if !home.exists() {
            let partial = folder.join("pki.partial");
            let made = partial.clone();
            let host = host.to_owned();
            tokio::task::spawn_blocking(move || make(&made, now, &host)).await??;
            // Renamed when it is whole: a stop half-way leaves no half PKI.
            fs::rename(&partial, &home)?;
        }
        let read = |name: &str| {
            let file = home.join(name);
            fs::read_to_string(&file).with_context(|| {
                format!("{} is missing: remove the data folder and start again", file.display())
            })
        };
        let leaf = |name: &str| -> anyhow::Result<Issued> {
            let issued = Issued {
                certificate_pem: read(&format!("{name}.pem"))?,
                key_pem: read(&format!("{name}.key"))?,
            };
            let certificate = Certificate::from_pem(&issued.certificate_pem).with_context(|| {
                format!("pki/{name}.pem is damaged: remove the data folder and start again")
            })?;
            if !certificate.is_valid_at(now) {
                anyhow::bail!("pki/{name}.pem is out of date: remove the data folder and start again");
            }
            Ok(issued)
        };
        Ok(Self {
            root: read("root.pem")?,
            server: leaf("server")?,
            fintech: leaf("fintech")?,
            gateway_qwac: leaf("gateway-qwac")?,
            gateway_qseal: leaf("gateway-qseal")?,
        })
    }

    /// The gateway's seal, parsed.
    pub(super) fn seal(&self) -> anyhow::Result<BankSeal> {
        BankSeal::of(&self.gateway_qseal.certificate_pem, &self.gateway_qseal.key_pem)
    }
}

fn make(home: &Path, now: Timestamp, host: &str) -> anyhow::Result<()> {
    fs::create_dir_all(home)?;
    let root = Authority::new("Consentry sandbox root", now)?;
    let gateway = Psd2Subject {
        common_name: "gateway.consentry.example".to_owned(),
        organization: "Consentry Sandbox".to_owned(),
        country: "GB".to_owned(),
        organization_identifier: GATEWAY_ORGANISATION.to_owned(),
        roles: vec![Psd2Role::PaymentInitiation, Psd2Role::AccountInformation, Psd2Role::CardIssuing],
        nca_name: "Financial Conduct Authority".to_owned(),
        nca_id: "GB-FCA".to_owned(),
        san_dns: vec!["gateway.consentry.example".to_owned()],
        san_uri: Vec::new(),
    };
    let fintech = Psd2Subject {
        common_name: "fintech.consentry.example".to_owned(),
        organization: "Demo Fintech".to_owned(),
        country: "DE".to_owned(),
        organization_identifier: "PSDDE-BAFIN-900200".to_owned(),
        nca_name: "Federal Financial Supervisory Authority".to_owned(),
        nca_id: "DE-BAFIN".to_owned(),
        san_dns: vec!["fintech.consentry.example".to_owned()],
        ..gateway.clone()
    };
    let loopback = [std::net::Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()];
    let mut names = vec!["localhost"];
    names.extend((host != "localhost").then_some(host));
    let issued = [
        root.issue_server(&names, &loopback)?,
        root.issue_qwac(&fintech)?,
        root.issue_qwac(&gateway)?,
        root.issue_qseal(&gateway, true)?,
    ];
    for (name, leaf) in LEAVES.iter().zip(&issued) {
        private_file::write(&home.join(format!("{name}.pem")), &leaf.certificate_pem)?;
        private_file::write(&home.join(format!("{name}.key")), &leaf.key_pem)?;
    }
    private_file::write(&home.join("root.pem"), root.certificate_pem())?;
    private_file::write(&home.join("root.key"), &root.key_pem())?;
    Ok(())
}
