//! The sandbox's own directory: it signs the gateway's software statement, and the
//! UK model bank believes it.

use std::fs;
use std::path::Path;

use anyhow::Context;
use crypto::{Jwks, SigningKey, jws};
use domain::Timestamp;
use modelbank::{Directory, RegistrationDesk};
use serde_json::{Map, json};

use super::pki::GATEWAY_ORGANISATION;
use crate::private_file;
use crate::service::BankSeal;

/// `iss` of its statements.
const ISSUER: &str = "https://directory.consentry.example";

/// The UK model bank's identifier in it.
pub(super) const BANK: &str = "001580000albion";

/// The directory.
pub(super) struct SoftwareDirectory(SigningKey);

impl SoftwareDirectory {
    /// Reads its key below `home`, or makes one.
    pub(super) fn open(home: &Path) -> anyhow::Result<Self> {
        let file = home.join("directory.key");
        if !file.exists() {
            private_file::replace(&file, &crypto::pki::generate_p256()?)?;
        }
        let pem = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        Ok(Self(SigningKey::from_pem(&pem, "directory")?))
    }

    /// How a bank registers the software that it vouches for.
    pub(super) fn desk(&self) -> RegistrationDesk {
        RegistrationDesk {
            directories: vec![Directory { issuer: ISSUER.to_owned(), keys: Jwks::of([&self.0]) }],
            financial_id: BANK.to_owned(),
            ways: Vec::new(),
        }
    }

    /// Writes what it says of the gateway to `home/software-statement.jwt`.
    pub(super) fn vouch(
        &self,
        home: &Path,
        seal: &BankSeal,
        redirect_uris: &[String],
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let claims = json!({
            "iss": ISSUER,
            "iat": now.as_second(),
            "software_id": "consentrysandbox",
            "software_client_name": "Consentry Sandbox",
            "software_roles": ["AISP", "PISP", "CBPII"],
            "software_redirect_uris": redirect_uris,
            "org_id": GATEWAY_ORGANISATION,
            "jwks": Jwks::of([&*seal.key]).to_value(),
        });
        let statement = jws::sign_compact(&self.0, &Map::new(), claims.to_string().as_bytes())?;
        private_file::replace(&home.join("software-statement.jwt"), &statement)
    }
}
