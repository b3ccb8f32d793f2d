//! The edge: accepts connections, ends TLS, learns who the peer is and turns
//! away what nobody should have to look at.
//!
//! It knows HTTP and certificates, nothing of banking. What a refusal looks
//! like to the caller is decided above (`web`), through [`Refuse`].

mod block;
mod body;
mod conduct;
mod connection;
mod count;
mod counters;
mod evidence;
mod filter;
mod hygiene;
mod load;
mod lobby;
mod ocsp;
mod pace;
mod peer;
mod places;
pub mod proxy_protocol;
mod serve;
mod socket;
mod tls;
mod wire;
mod witness;

pub use block::{BlockList, Blocked};
pub use counters::{Closed, EdgeCounters};
pub use evidence::{Evidence, Reason};
pub use filter::{Filter, Judgement, Objection, ObjectionKind, whole};
pub use hygiene::{Asked, EdgeConfig, Refusal, Refuse, fault, head_is_too_large, protect, without_identity};
pub use load::Overload;
pub use lobby::Lobby;
pub use ocsp::{Fetched, HttpOcsp, OcspCache, OcspFailed, OcspSource};
pub use peer::{PeerCertificate, PeerIdentity, Trust};
pub use serve::{Listener, ListenerConfig};
pub use tls::{
    ClientFiles, ClientTrust, InvalidTls, Revocation, ServerIdentity, ServerKey, ServerTls, TlsFiles,
    TlsWatch,
};
pub use witness::{Answered, Side, Witness};
