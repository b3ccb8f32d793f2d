//! The other cells, as the files of a cell say now.

use std::sync::Arc;

use arc_swap::ArcSwap;
use crypto::certificate::Thumbprint;
use crypto::{Certificate, SigningKey};

use crate::{Forwarder, Neighbour, Shadow};

/// Who the others are, and how we say who we are. Replaced as a whole when a file changes.
pub struct Peers {
    /// The other cells, and the ways to them.
    pub neighbours: Vec<(Neighbour, Forwarder)>,
    /// Where a share of reads is asked a second time, and the way there.
    pub shadow: Option<(Shadow, Forwarder)>,
    /// Names of those whose reads are asked here a second time. Their certificates are among those below.
    pub originals: Vec<String>,
    /// Their certificates, each with the name of its cell.
    pub certificates: Vec<(Certificate, String)>,
    /// What signs contexts.
    pub key: Arc<SigningKey>,
}

/// The others as they are now.
pub type Known = Arc<ArcSwap<Peers>>;

impl Peers {
    /// The cell that shows a certificate, and what that says.
    pub(crate) fn with(&self, shown: &Thumbprint) -> Option<(&Certificate, &str)> {
        let known = self.certificates.iter().find(|(certificate, _)| certificate.thumbprint == *shown)?;
        Some((&known.0, &known.1))
    }
}

impl std::fmt::Debug for Peers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.neighbours.iter().map(|(cell, _)| &cell.name).collect();
        f.debug_struct("Peers").field("neighbours", &names).finish_non_exhaustive()
    }
}
