//! RFC 7591 metadata as it comes; what we do not know is kept and ignored.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Metadata {
    pub(super) client_name: Option<String>,
    #[serde(default)]
    pub(super) redirect_uris: Vec<String>,
    pub(super) token_endpoint_auth_method: Option<String>,
    pub(super) token_endpoint_auth_signing_alg: Option<String>,
    pub(super) grant_types: Option<Vec<String>>,
    pub(super) response_types: Option<Vec<String>>,
    pub(super) scope: Option<String>,
    pub(super) jwks: Option<Value>,
    pub(super) jwks_uri: Option<String>,
    pub(super) tls_client_auth_subject_dn: Option<String>,
    pub(super) tls_client_auth_san_dns: Option<String>,
    pub(super) tls_client_auth_san_uri: Option<String>,
    pub(super) tls_client_auth_san_ip: Option<String>,
    pub(super) tls_client_auth_san_email: Option<String>,
    pub(super) tls_client_certificate_bound_access_tokens: Option<bool>,
    pub(super) dpop_bound_access_tokens: Option<bool>,
    pub(super) require_signed_request_object: Option<bool>,
    pub(super) request_object_signing_alg: Option<String>,
    pub(super) id_token_signed_response_alg: Option<String>,
    pub(super) authorization_signed_response_alg: Option<String>,
    pub(super) introspection_signed_response_alg: Option<String>,
    pub(super) authorization_details_types: Option<Vec<String>>,
    pub(super) backchannel_token_delivery_mode: Option<String>,
    pub(super) backchannel_client_notification_endpoint: Option<String>,
    pub(super) backchannel_authentication_request_signing_alg: Option<String>,
    pub(super) backchannel_user_code_parameter: Option<bool>,
    pub(super) organization_identifier: Option<String>,
    pub(super) psd2_roles: Option<Vec<String>>,
}
