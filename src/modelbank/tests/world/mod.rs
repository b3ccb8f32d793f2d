//! A certificate authority, banks on real sockets and a TPP with its own
//! HTTP client, built on hyper alone.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

pub mod published;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use consentry_modelbank::{BankConfig, BankKind, ModelBank, OauthClient, RunningBank};
use crypto::message_signature::{self, Parameters};
use crypto::pki::{Authority, Issued, Psd2Subject};
use crypto::{Certificate, Jwks, Psd2Role, SigningKey, http_signature, jws};
use domain::{Clock, Entropy, ManualClock, SystemClock, SystemEntropy};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

pub const REDIRECT: &str = "https://tpp.example/callback";

/// Headers about to be sent.
pub type Headers = Vec<(String, String)>;

/// Of a request to a Berlin Group bank that sends the browser back.
pub const REDIRECTED: [(&str, &str); 2] = [("psu-ip-address", "192.0.2.1"), ("tpp-redirect-uri", REDIRECT)];

/// A consent to everything, as the Berlin Group has it.
pub fn consent_body() -> String {
    json!({
        "access": {"allPsd2": "allAccounts"},
        "recurringIndicator": true,
        "validUntil": "9999-12-31",
        "frequencyPerDay": 4,
        "combinedServiceIndicator": false,
    })
    .to_string()
}

pub struct World {
    pub authority: Authority,
    server: Issued,
    pub clock: Arc<ManualClock>,
    pub state: tempfile::TempDir,
    signing: String,
}

impl World {
    pub fn new() -> Self {
        let authority = Authority::new("Sandbox Root", SystemClock.now()).unwrap();
        let server = authority.issue_server(&["localhost"], &["127.0.0.1".parse().unwrap()]).unwrap();
        Self {
            authority,
            server,
            clock: Arc::new(ManualClock::at(SystemClock.now())),
            state: tempfile::tempdir().unwrap(),
            signing: crypto::pki::generate_rsa().unwrap(),
        }
    }

    pub fn tpp(&self, number: u32, roles: &[Psd2Role]) -> Tpp {
        let subject = Psd2Subject {
            common_name: "tpp.example".into(),
            organization: "Fintech A GmbH".into(),
            country: "DE".into(),
            organization_identifier: format!("PSDDE-BAFIN-{number}"),
            roles: roles.to_vec(),
            nca_name: "Federal Financial Supervisory Authority".into(),
            nca_id: "DE-BAFIN".into(),
            san_dns: vec!["tpp.example".into()],
            san_uri: vec![],
        };
        let qwac = self.authority.issue_qwac(&subject).unwrap();
        let seal = self.authority.issue_qseal(&subject, true).unwrap();
        Tpp {
            organisation: subject.organization_identifier,
            client_id: format!("client-{number}"),
            key: SigningKey::from_pem(&seal.key_pem, "seal").unwrap(),
            seal: Certificate::from_pem(&seal.certificate_pem).unwrap(),
            seal_pem: seal.certificate_pem,
            qwac: Certificate::from_pem(&qwac.certificate_pem).unwrap(),
            http: Http::new(&self.authority, Some(&qwac)),
        }
    }

    pub fn both(&self) -> Tpp {
        self.tpp(100_001, &[Psd2Role::PaymentInitiation, Psd2Role::AccountInformation])
    }

    pub async fn bank(&self, kind: BankKind, auto_approve: bool, tpps: &[&Tpp]) -> Bank {
        self.named_bank("bank", kind, auto_approve, tpps).await
    }

    pub async fn named_bank(&self, id: &str, kind: BankKind, auto_approve: bool, tpps: &[&Tpp]) -> Bank {
        let (config, shutdown) = self.config(id, kind, auto_approve, tpps);
        Bank { running: ModelBank::start(config).await.unwrap(), shutdown, kind, clock: self.clock.clone() }
    }

    pub fn config(
        &self,
        id: &str,
        kind: BankKind,
        auto_approve: bool,
        tpps: &[&Tpp],
    ) -> (BankConfig, CancellationToken) {
        let shutdown = CancellationToken::new();
        let free = "127.0.0.1:0".parse().unwrap();
        let client = |tpp: &&Tpp| OauthClient {
            client_id: tpp.client_id.clone(),
            organization_identifier: tpp.organisation.clone(),
            redirect_uris: vec![REDIRECT.into()],
            jwks: Jwks::of([&tpp.key]).to_value(),
            seal_pem: Some(tpp.seal_pem.clone()),
        };
        let config = BankConfig {
            kind,
            id: id.into(),
            name: "Test Bank".into(),
            api_addr: free,
            pages_addr: free,
            host: "localhost".into(),
            server_certificate_pem: self.server.certificate_pem.clone(),
            server_key_pem: self.server.key_pem.clone(),
            client_ca_pem: self.authority.certificate_pem().into(),
            signing_key_pem: Some(self.signing.clone()),
            clients: tpps.iter().map(client).collect(),
            registration: None,
            auto_approve,
            state_dir: Some(PathBuf::from(self.state.path())),
            clock: self.clock.clone(),
            entropy: Arc::new(SystemEntropy),
            shutdown: shutdown.clone(),
        };
        (config, shutdown)
    }

    /// The key that banks sign their answers with.
    pub fn signing_key(&self) -> SigningKey {
        let kid = SigningKey::from_pem(&self.signing, "").unwrap().public_key().thumbprint();
        SigningKey::from_pem(&self.signing, kid).unwrap()
    }

    pub fn browser(&self) -> Http {
        Http::new(&self.authority, None)
    }
}

pub struct Bank {
    pub running: RunningBank,
    pub kind: BankKind,
    clock: Arc<ManualClock>,
    shutdown: CancellationToken,
}

impl Bank {
    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.running.stopped()).await.unwrap();
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    /// One that no bank gave.
    pub fn json_of(status: u16, text: String) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        Self { status: StatusCode::from_u16(status).unwrap(), headers, text }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    pub fn at(&self, pointer: &str) -> String {
        let json = self.json();
        let found = json.pointer(pointer);
        let found = found.unwrap_or_else(|| panic!("{pointer} in {} {}", self.status, self.text));
        found.as_str().map_or_else(|| found.to_string(), str::to_owned)
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self
    }
}

#[derive(Clone)]
pub struct Http(TlsConnector);

impl Http {
    pub fn new(authority: &Authority, client: Option<&Issued>) -> Self {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            None => builder.with_no_client_auth(),
            Some(issued) => builder
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        Self(TlsConnector::from(Arc::new(config)))
    }

    pub async fn try_send(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, Box<dyn std::error::Error>> {
        let url = url::Url::parse(url)?;
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", url.port().unwrap())).await?;
        let tls = self.0.connect(ServerName::try_from("localhost")?, tcp).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls)).await?;
        let driver = tokio::spawn(connection);
        let path = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let mut request = Request::builder().method(Method::from_bytes(method.as_bytes())?).uri(path);
        request = request.header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::new(Bytes::from(body.to_owned())))?).await?;
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await?.to_bytes();
        driver.abort();
        let text = String::from_utf8(bytes.to_vec())?;
        Ok(Answer { status: parts.status, headers: parts.headers, text })
    }

    pub async fn send(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let answer = self.try_send(method, url, headers, body).await.unwrap();
        published::judge(method, url, &answer).unwrap_or_else(|wrong| panic!("{wrong}"));
        answer
    }

    /// One GET over HTTP/2.
    pub async fn get_over_http2(&self, url: &str, headers: &[(&str, &str)]) -> StatusCode {
        let port = url::Url::parse(url).unwrap().port().unwrap();
        let mut config = self.0.config().as_ref().clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let tls = TlsConnector::from(Arc::new(config));
        let tls = tls.connect(ServerName::try_from("localhost").unwrap(), tcp).await.unwrap();
        assert_eq!(tls.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
        let executor = hyper_util::rt::TokioExecutor::new();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(tls)).await.unwrap();
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().uri(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = sender.send_request(request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        driver.abort();
        response.status()
    }

    pub async fn form(&self, url: &str, fields: &[(&str, &str)]) -> Answer {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let kind = [("content-type", "application/x-www-form-urlencoded")];
        self.send("POST", url, &kind, &body.finish()).await
    }
}

pub struct Tpp {
    pub organisation: String,
    pub client_id: String,
    pub key: SigningKey,
    pub seal: Certificate,
    pub seal_pem: String,
    pub qwac: Certificate,
    pub http: Http,
}

impl Tpp {
    /// The subject of the QWAC, written by hand as RFC 4514 §2.4 wants an attribute
    /// without a name.
    pub fn subject_in_hex(&self) -> String {
        let id = &self.organisation;
        let length = u8::try_from(id.len()).unwrap();
        let hex: String = id.bytes().map(|byte| format!("{byte:02x}")).collect();
        let named = format!("organizationIdentifier={id}");
        self.qwac.subject_dn.replace(&named, &format!("2.5.4.97=#0c{length:02x}{hex}"))
    }

    /// One Berlin Group request; a POST or PUT is signed.
    pub async fn berlin(
        &self,
        bank: &Bank,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let id = SystemEntropy.uuid_v4().to_string();
        self.berlin_with(bank, method, path, &id, more, body, &self.key).await
    }

    #[expect(clippy::too_many_arguments, reason = "each test varies another one")]
    pub async fn berlin_with(
        &self,
        bank: &Bank,
        method: &str,
        path: &str,
        id: &str,
        more: &[(&str, &str)],
        body: &str,
        key: &SigningKey,
    ) -> Answer {
        let url = if path.starts_with("https") {
            path.to_owned()
        } else {
            format!("{}{path}", bank.running.api_url)
        };
        let der = STANDARD.encode(&self.seal.der);
        let key_id = self.seal.berlin_group_key_id();
        let mut headers = vec![("x-request-id", id)];
        headers.extend_from_slice(more);
        if !more.iter().any(|(name, _)| *name == "content-type") {
            headers.push(("content-type", "application/json"));
        }
        let mut covered = vec![("x-request-id", id)];
        covered.extend(more.iter().filter(|(name, _)| ["psu-id", "tpp-redirect-uri"].contains(name)));
        let own = |name: &'static str, value: String| (name, value);
        let signed = if bank.kind == BankKind::BerlinGroupEmbedded {
            let digest = message_signature::content_digest(body.as_bytes());
            covered.extend([("@method", method), ("@target-uri", &url), ("content-digest", &digest)]);
            let parameters = Parameters { created: bank.clock.now().as_second(), key_id, tag: None };
            let signed = message_signature::sign(key, &parameters, &covered).unwrap();
            let input = own("signature-input", signed.input);
            vec![own("content-digest", digest), input, own("signature", signed.signature)]
        } else {
            let digest = http_signature::digest(body.as_bytes());
            covered.push(("digest", &digest));
            let signature = http_signature::sign_cavage(key, &key_id, &covered).unwrap();
            vec![own("digest", digest), own("signature", signature)]
        };
        if ["POST", "PUT"].contains(&method) {
            headers.extend(signed.iter().map(|(name, value)| (*name, value.as_str())));
            headers.push(("tpp-signature-certificate", &der));
        }
        self.http.send(method, &url, &headers, body).await
    }

    /// One STET request, signed; `spoil` changes what is sent after that.
    pub async fn stet(
        &self,
        bank: &Bank,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        self.stet_with(bank, method, path, more, body, |_| {}).await
    }

    pub async fn stet_with(
        &self,
        bank: &Bank,
        method: &str,
        path: &str,
        more: &[(&str, &str)],
        body: &str,
        spoil: impl FnOnce(&mut Headers),
    ) -> Answer {
        let url = if path.starts_with("https") {
            path.to_owned()
        } else {
            format!("{}/stet/psd2/v1.4{path}", bank.running.api_url)
        };
        let parsed = url::Url::parse(&url).unwrap();
        let target = http_signature::request_target(
            method,
            &parsed[url::Position::BeforePath..url::Position::AfterQuery],
        );
        let own = |name: &str, value: String| (name.to_owned(), value);
        let mut headers = vec![
            own("digest", http_signature::digest(body.as_bytes())),
            own("x-request-id", SystemEntropy.uuid_v4().to_string()),
        ];
        if !more.iter().any(|(name, _)| *name == "date") {
            headers.push(own("date", http_date(bank.clock.now())));
        }
        headers.extend(more.iter().map(|(name, value)| own(name, (*value).to_owned())));
        if !body.is_empty() {
            headers.push(own("content-type", "application/json".into()));
            headers.push(own("content-length", body.len().to_string()));
        }
        let mut covered = vec![("(request-target)", target.as_str())];
        let signed = headers.iter().filter(|(name, _)| name != "authorization");
        covered.extend(signed.map(|(name, value)| (name.as_str(), value.as_str())));
        let fingerprint = crypto::digest::sha256_hex(&self.seal.der);
        let key_id = format!("https://tpp.example/qseal_{fingerprint}.pem");
        let signature = http_signature::sign_cavage(&self.key, &key_id, &covered).unwrap();
        headers.push(own("signature", signature));
        spoil(&mut headers);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        self.http.send(method, &url, &headers, body).await
    }

    /// One PolishAPI request, with its header inside and a seal over it.
    pub async fn polish(&self, bank: &Bank, operation: &str, token: Option<&str>, members: Value) -> Answer {
        self.polish_with(bank, operation, token, members, |_, _| {}).await
    }

    pub async fn polish_with(
        &self,
        bank: &Bank,
        operation: &str,
        token: Option<&str>,
        mut members: Value,
        spoil: impl FnOnce(&mut Headers, &mut String),
    ) -> Answer {
        let mut random = [0_u8; 8];
        SystemEntropy.fill(&mut random);
        let node = [1, random[0], random[1], random[2], random[3], random[4]];
        let ticks = u64::try_from(SystemClock.now().as_microsecond()).unwrap() * 10 + 0x01B2_1DD2_1381_4000;
        let id = uuid::Builder::from_gregorian_timestamp(ticks, 7, &node).into_uuid().to_string();
        let service = match operation {
            "authorize" | "token" => "auth",
            "domestic"
            | "EEA"
            | "nonEEA"
            | "bundle"
            | "recurring"
            | "getPayment"
            | "getBundle"
            | "getRecurringPayment"
            | "cancelPayments"
            | "cancelRecurringPayment" => "payments",
            "getConfirmationOfFunds" => "confirmation",
            _ => "accounts",
        };
        if operation != "deleteConsent" {
            let header = members.as_object_mut().unwrap().entry("requestHeader").or_insert(json!({}));
            let header = header.as_object_mut().unwrap();
            header.insert("requestId".into(), id.clone().into());
            header.insert("sendDate".into(), SystemClock.now().to_string().into());
            header.insert("tppId".into(), self.client_id.clone().into());
            if let Some(token) = token {
                header.insert("token".into(), token.into());
            }
        }
        let mut body = members.to_string();
        let signed = json!({ "x5t#S256": self.seal.thumbprint.to_string() });
        let signature = jws::sign_detached(&self.key, signed.as_object().unwrap(), body.as_bytes()).unwrap();
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut headers = vec![
            own("content-type", "application/json"),
            own("accept-encoding", "gzip"),
            own("accept-language", "pl"),
            own("accept-charset", "utf-8"),
            own("x-request-id", &id),
            own("x-jws-signature", &signature),
        ];
        headers.extend(token.map(|token| own("authorization", &format!("Bearer {token}"))));
        spoil(&mut headers, &mut body);
        let headers: Vec<(&str, &str)> =
            headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let url = format!("{}/v2_1_1.1/{service}/v2_1_1.1/{operation}", bank.running.api_url);
        self.http.send("POST", &url, &headers, &body).await
    }

    /// A client-credentials token.
    pub async fn client_token(&self, bank: &Bank, scope: &str) -> String {
        let url = format!("{}/token", bank.running.api_url);
        let fields =
            [("grant_type", "client_credentials"), ("scope", scope), ("client_id", self.client_id.as_str())];
        self.http.form(&url, &fields).await.expect(200).at("/access_token")
    }

    /// `x-jws-signature` over `body`.
    pub fn sealed(&self, at: i64, body: &str) -> String {
        let claims = ["iat", "iss", "tan"].map(|name| format!("http://openbanking.org.uk/{name}"));
        let header = json!({
            "typ": "JOSE",
            "cty": "application/json",
            claims[0].as_str(): at,
            claims[1].as_str(): self.organisation,
            claims[2].as_str(): "openbanking.example",
            "crit": claims,
        });
        jws::sign_detached(&self.key, header.as_object().unwrap(), body.as_bytes()).unwrap()
    }

    /// One UK request.
    pub async fn uk(
        &self,
        bank: &Bank,
        method: &str,
        path: &str,
        token: &str,
        more: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let url = if path.starts_with("https") {
            path.to_owned()
        } else {
            format!("{}/open-banking/v4.0{path}", bank.running.api_url)
        };
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        headers.extend_from_slice(more);
        if !more.iter().any(|(name, _)| *name == "content-type") {
            headers.push(("content-type", "application/json"));
        }
        self.http.send(method, &url, &headers, body).await
    }

    /// Pushes a request.
    pub async fn pushed(&self, bank: &Bank, consent: &str, scope: &str, verifier: &str) -> Answer {
        let claims = json!({"id_token": {
            "openbanking_intent_id": {"value": consent, "essential": true},
            "acr": {"essential": true, "values": ["urn:openbanking:psd2:sca"]},
        }});
        let (claims, challenge) = (claims.to_string(), crypto::digest::pkce_challenge(verifier));
        let fields = [
            ("client_id", self.client_id.as_str()),
            ("response_type", "code"),
            ("redirect_uri", REDIRECT),
            ("scope", scope),
            ("state", "the state"),
            ("nonce", "the nonce"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("claims", &claims),
        ];
        self.http.form(&format!("{}/par", bank.running.api_url), &fields).await
    }

    /// Pushes a request; answers the address for the browser.
    pub async fn push(&self, bank: &Bank, consent: &str, scope: &str, verifier: &str) -> String {
        let pushed = self.pushed(bank, consent, scope, verifier).await;
        let request_uri = pushed.expect(201).at("/request_uri");
        let mut url = url::Url::parse(&format!("{}/authorize", bank.running.pages_url)).unwrap();
        url.query_pairs_mut()
            .append_pair("client_id", &self.client_id)
            .append_pair("request_uri", &request_uri);
        url.into()
    }

    /// A JWT of the client's own claims for the bank, as an assertion or a
    /// request object.
    pub fn jwt(&self, bank: &Bank, at: i64, more: Value) -> String {
        let mut claims = json!({
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": bank.running.issuer,
            "iat": at,
            "exp": at + 60,
            "jti": SystemEntropy.uuid_v4().to_string(),
        });
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        jws::sign_compact(&self.key, &serde_json::Map::new(), claims.to_string().as_bytes()).unwrap()
    }

    pub async fn redeem(&self, bank: &Bank, code: &str, verifier: &str) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", self.client_id.as_str()),
            ("redirect_uri", REDIRECT),
            ("code", code),
            ("code_verifier", verifier),
        ];
        self.http.form(&format!("{}/token", bank.running.api_url), &fields).await
    }
}

/// A time as HTTP has it.
pub fn http_date(at: domain::Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// A parameter of the address a browser is sent to.
pub fn parameter(answer: &Answer, name: &str) -> Option<String> {
    let target = url::Url::parse(answer.header("location")).unwrap();
    target.query_pairs().find(|(named, _)| named == name).map(|(_, value)| value.into_owned())
}

/// The value of a hidden field.
pub fn hidden(page: &Answer, name: &str) -> String {
    let start = format!("name=\"{name}\" value=\"");
    let rest = page.text.split_once(&start).unwrap_or_else(|| panic!("{name} in {}", page.text)).1;
    rest.split_once('"').unwrap().0.to_owned()
}
