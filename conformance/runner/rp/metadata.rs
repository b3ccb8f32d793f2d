//! What a bank says about itself, and its keys.

use serde_json::{Value, json};

use super::mode::Mode;
use super::world::World;

/// The metadata (RFC 8414 §2; OpenID Connect Discovery §3).
pub(super) fn document(world: &World, mode: Mode) -> Value {
    let issuer = world.issuer(mode);
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
        "require_pushed_authorization_requests": true,
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": [if mode.hybrid() { "code id_token" } else { "code" }],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
        "scopes_supported": ["openid", "accounts"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["PS256", "ES256"],
        "request_object_signing_alg_values_supported": ["PS256", "ES256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "tls_client_auth"],
        "token_endpoint_auth_signing_alg_values_supported": ["PS256", "ES256"],
        "code_challenge_methods_supported": ["S256"],
        "claims_parameter_supported": true,
        "claims_supported": ["acr", "auth_time", "openbanking_intent_id"],
        "acr_values_supported": ["urn:openbanking:psd2:sca", "urn:openbanking:psd2:ca"],
        "tls_client_certificate_bound_access_tokens": true,
        "authorization_response_iss_parameter_supported": true,
    });
    let Some(members) = document.as_object_mut() else { return document };
    let mut set = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
    match mode.name() {
        "issuer-mismatch" => set("issuer", json!("https://attacker.example")),
        "issuer-slash" => set("issuer", json!(format!("{issuer}/"))),
        "metadata-http-token" => set("token_endpoint", json!(format!("{}/token", world.plain(mode)))),
        "metadata-http-keys" => set("jwks_uri", json!(format!("{}/jwks", world.plain(mode)))),
        "metadata-foreign-token" => set("token_endpoint", json!(format!("{}/token", world.foreign(mode)))),
        "metadata-foreign-alias" => {
            let foreign = format!("{}/token", world.foreign(mode));
            set("mtls_endpoint_aliases", json!({"token_endpoint": foreign}));
        }
        "metadata-alias" => {
            set("token_endpoint", json!(format!("{issuer}/elsewhere/token")));
            set("mtls_endpoint_aliases", json!({"token_endpoint": format!("{issuer}/alias/token")}));
        }
        "metadata-unknown" => {
            set("attestation_signing_alg_values_supported", json!({"not": ["what", {"anybody": "knows"}]}));
            set("x_bank_of", json!([1, null, {"deep": [[[]]]}]));
            set("token_endpoint_quality", json!(7));
            set("mtls_endpoint_aliases", json!({"x_endpoint": format!("{issuer}/elsewhere/x")}));
        }
        _ => {}
    }
    if mode == Mode::IssuerMissing {
        members.remove("issuer");
    }
    document
}

/// The key set (RFC 7517 §5).
pub(super) fn keys(world: &World, mode: Mode) -> Value {
    let keys = &world.keys;
    let named = |mut public: Value, kid: &str, with: Value| {
        if let (Some(public), Some(with)) = (public.as_object_mut(), with.as_object()) {
            public.insert("kid".to_owned(), json!(kid));
            public.extend(with.clone());
        }
        public
    };
    let sig = || json!({"use": "sig"});
    let mut set =
        vec![named(keys.main.public(), "bank", sig()), named(keys.second.public(), "bank-2", sig())];
    match mode.name() {
        "id-token-enc-key" => set.push(named(keys.other.public(), "bank-enc", json!({"use": "enc"}))),
        "id-token-published-key" => {
            let private = json!({"use": "sig", "d": keys.published_half});
            set.push(named(keys.published.public(), "bank-published", private));
        }
        "keys-shared-kid" => set.insert(0, named(keys.other.public(), "bank", sig())),
        "keys-decoys" => {
            let decoys = [
                json!({"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-65", "pub": "AAAA"}),
                json!({"kty": "EC", "crv": "P-521", "kid": "long", "x": "AAAA", "y": "AAAA"}),
                json!({"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"}),
                json!({"kty": "RSA", "use": "enc", "alg": "RSA-OAEP-256", "kid": "enc", "n": "AQAB", "e": "AQAB"}),
                json!({"kty": "oct", "kid": "shared", "alg": "HS256", "key_ops": ["verify"]}),
                json!({"kid": "kindless"}),
            ];
            set.splice(0..0, decoys);
        }
        _ => {}
    }
    json!({"keys": set})
}
