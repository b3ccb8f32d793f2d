//! The edge: accepts connections, ends TLS, learns who the peer is and turns
//! away what nobody should have to look at.
//!
//! It knows HTTP and certificates, nothing of banking. What a refusal looks
//! like to the caller is decided above (`web`), through [`Refuse`].

mod filter;
mod hygiene;
mod limits;
mod peer;
mod serve;
mod tls;

pub use filter::{Filter, Judgement, Objection, ObjectionKind};
pub use hygiene::{EdgeConfig, Refusal, Refuse, linger, protect};
pub use limits::PeerLimiter;
pub use peer::{PeerCertificate, PeerIdentity, Trust};
pub use serve::{Listener, ListenerConfig};
pub use tls::{InvalidTls, ServerTls};
