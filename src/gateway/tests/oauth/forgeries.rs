//! JWTs that look like one by this key and must not pass for it.

use crypto::{Algorithm, SigningKey};
use serde_json::{Value, json};

use crate::fintech::{base64url, ec_key, raw_jws};

/// Forgeries of these claims, each with what is wrong with it (RFC 7515, RFC 8725).
pub fn forgeries(key: &SigningKey, claims: &Value) -> Vec<(&'static str, String)> {
    let claims = claims.to_string();
    let mut all = unsigned(key, &claims);
    all.extend(of_another_key(key, &claims));
    all.extend(ambiguous(key, &claims));
    all
}

/// The header that the key's owner would write.
fn header(key: &SigningKey) -> Value {
    json!({ "alg": key.algorithm().as_str(), "kid": key.kid() })
}

/// Signed by the key, with whatever text as header.
fn by_owner(key: &SigningKey, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", base64url(header), base64url(claims));
    format!("{signed}.{}", base64url(key.sign(signed.as_bytes()).unwrap()))
}

/// No signature, a weak one, or one over other bytes (RFC 8725 §2.1, §3.1).
fn unsigned(key: &SigningKey, claims: &str) -> Vec<(&'static str, String)> {
    let under = |algorithm: &str| {
        let header = json!({ "alg": algorithm, "kid": key.kid() });
        format!("{}.{}", base64url(header.to_string()), base64url(claims))
    };
    let hmac = |secret: &str| {
        let signed = under("HS256");
        format!("{signed}.{}", base64url(crypto::digest::hmac_sha256(secret.as_bytes(), signed.as_bytes())))
    };
    let whole = by_owner(key, &header(key).to_string(), claims);
    let (signed, signature) = whole.rsplit_once('.').unwrap();
    let more = claims.replacen('{', "{\"more\":1,", 1);
    let mut all = vec![
        ("alg none without signature", format!("{}.", under("none"))),
        ("alg none with a signature", format!("{}.{signature}", under("none"))),
        ("alg nOnE", format!("{}.", under("nOnE"))),
        ("HS256 with the public key", hmac(&key.public_jwk().to_string())),
        ("HS256 with the key's name", hmac(key.kid())),
        ("no signature", format!("{signed}.")),
        ("a cut signature", format!("{signed}.{}", &signature[..signature.len() - 4])),
        ("other claims", format!("{}.{}.{signature}", signed.split('.').next().unwrap(), base64url(more))),
        ("an unknown algorithm", raw_jws(key, &json!({ "alg": "ES512" }), claims.as_bytes())),
        ("an algorithm that is no text", raw_jws(key, &json!({ "alg": ["none"] }), claims.as_bytes())),
        ("no algorithm", raw_jws(key, &json!({ "kid": key.kid() }), claims.as_bytes())),
    ];
    if key.algorithm() == Algorithm::Ps256 {
        let signed = under("RS256");
        let signature = key.sign_rsa_sha256(signed.as_bytes()).unwrap();
        all.push(("RS256 by the right key", format!("{signed}.{}", base64url(&signature))));
        let signed = under("PS256");
        let signature = key.sign_rsa_sha256(signed.as_bytes()).unwrap();
        all.push(("an RS256 signature called PS256", format!("{signed}.{}", base64url(signature))));
    }
    all
}

/// By a stranger, who says where to find the key (RFC 8725 §3.10, RFC 7515 §10.10).
fn of_another_key(key: &SigningKey, claims: &str) -> Vec<(&'static str, String)> {
    let stranger = ec_key(key.kid());
    let brought = |name: &str, value: Value| {
        let mut header = json!({ "alg": "ES256" });
        header[name] = value;
        raw_jws(&stranger, &header, claims.as_bytes())
    };
    vec![
        ("another key under the right name", brought("kid", json!(key.kid()))),
        ("another key without a name", raw_jws(&stranger, &json!({ "alg": "ES256" }), claims.as_bytes())),
        ("a key in the header", brought("jwk", stranger.public_jwk())),
        ("an address of keys", brought("jku", json!("https://evil.example/jwks"))),
        ("an address of certificates", brought("x5u", json!("https://evil.example/x5u"))),
        ("a certificate in the header", brought("x5c", json!(["MIIB"]))),
        ("a name that is a path", brought("kid", json!("../../../dev/null"))),
        ("a name that is SQL", brought("kid", json!("x' union select 'k' --"))),
        ("a name that is an object", brought("kid", json!({ "a": 1 }))),
    ]
}

/// By the right key, but of two meanings or beyond bounds (RFC 7515 §4, RFC 7519 §4,
/// RFC 4648 §3.5).
fn ambiguous(key: &SigningKey, claims: &str) -> Vec<(&'static str, String)> {
    let header = header(key).to_string();
    let whole = by_owner(key, &header, claims);
    let (head, rest) = whole.split_once('.').unwrap();
    let (payload, _) = rest.split_once('.').unwrap();
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let with = |text: &str, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let critical = |value: Value| {
        let mut header: Value = serde_json::from_str(&header).unwrap();
        header["crit"] = value;
        header["b64"] = json!(false);
        by_owner(key, &header.to_string(), claims)
    };
    vec![
        ("a claim twice", by_owner(key, &header, &with(claims, "\"iss\":\"x\""))),
        ("a claim twice in two spellings", by_owner(key, &header, &with(claims, "\"\\u0069ss\":\"x\""))),
        ("a name twice in the header", by_owner(key, &with(&header, "\"alg\":\"none\""), claims)),
        ("deep claims", by_owner(key, &header, &with(claims, &format!("\"x\":{}", nested(60))))),
        ("a deep header", by_owner(key, &with(&header, &format!("\"x\":{}", nested(60))), claims)),
        (
            "a large header",
            by_owner(key, &with(&header, &format!("\"x\":\"{}\"", "x".repeat(20_000))), claims),
        ),
        ("two objects", by_owner(key, &header, &format!("{claims}{{}}"))),
        ("claims that are text", by_owner(key, &header, "\"claims\"")),
        ("claims that are a list", by_owner(key, &header, &format!("[{claims}]"))),
        ("a critical extension", critical(json!(["b64"]))),
        ("no list of critical extensions", critical(json!("b64"))),
        ("an empty list of critical extensions", critical(json!([]))),
        ("padding", format!("{whole}=")),
        ("white space", format!("{head}. {rest}")),
        ("a line break", format!("{head}\n.{rest}")),
        ("a payload with padding", whole.replacen(payload, &format!("{payload}=="), 1)),
        ("trailing bits", trailing_bits(&whole)),
        ("four parts", format!("{whole}.x")),
        ("two parts", whole.rsplit_once('.').unwrap().0.to_owned()),
        ("no JWT", "token".to_owned()),
    ]
}

/// The same bytes in other base64url: the unused bits of the last character are set.
fn trailing_bits(token: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (kept, last) = token.split_at(token.len() - 1);
    let value = ALPHABET.iter().position(|b| *b == last.as_bytes()[0]).unwrap();
    format!("{kept}{}", char::from(ALPHABET[value | 1]))
}
