//! How the banks are described to a gateway of ours: one profile each.

use super::bank::Place;
use super::data::AISP;
use super::mode::Mode;

/// Where the banks will listen.
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// The first of five ports.
    pub port: u16,
}

/// File names and texts of the profiles.
#[must_use]
pub fn profiles(places: Places, client_id: &str) -> Vec<(String, String)> {
    let issuer = |mode: Mode| {
        format!("https://localhost:{}/{}", places.port.saturating_add(mode.place().offset()), mode.name())
    };
    Mode::ALL
        .iter()
        .map(|mode| (format!("{}.toml", mode.institution()), profile(*mode, &issuer(*mode), client_id)))
        .collect()
}

fn profile(mode: Mode, issuer: &str, client_id: &str) -> String {
    let response_type = if mode.hybrid() { "code id_token" } else { "code" };
    // The answer of the hybrid type comes in the query, where a server sees it.
    let quirks = if mode.hybrid() {
        "quirks = [{ name = \"hybrid-answer-in-query\", at = [\"auth.aisp\"] }]\n"
    } else {
        ""
    };
    let says = mode.says();
    format!(
        "# {says}\ngroup = \"Hostile banks\"\n\n[[brand]]\nid = \"{id}\"\nname = \"Hostile bank {name}\"\n\
         dialect = \"uk-open-banking\"\nregion = \"uk\"\ncountries = [\"GB\"]\nenvironment = \"sandbox\"\n\
         sca = [\"oauth\"]\ncapabilities = [\"accounts\", \"balances\"]\n\
         signing = {{ method = \"detached-jws\", trust_anchor = \"conformance.example\" }}\n\
         client_id = \"{client_id}\"\nclient_auth = \"signed-assertion\"\n\
         accounts_api = {{ use = \"4.0\", \"4.0\" = \"{issuer}{AISP}\" }}\n\
         authorization_server = {{ issuer = \"{issuer}\", response_type = \"{response_type}\", \
         pushed_requests = true, signed_request_object = true }}\n{quirks}",
        id = mode.institution(),
        name = mode.name(),
    )
}

impl Places {
    /// The port of a listener.
    #[must_use]
    pub fn port_of(self, place: Place) -> u16 {
        self.port.saturating_add(place.offset())
    }
}
