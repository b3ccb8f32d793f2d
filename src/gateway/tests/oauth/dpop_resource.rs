//! DPoP at the resource server (RFC 9449 §7): the battery of proofs.

use consentry::demo::Tpp;
use crypto::SigningKey;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::fintech::{base64url, ec_key, raw_jws};
use crate::prover::{Prover, right, shown};
use crate::support::{TestGateway, assert_problem};

const PATH: &str = "/v1/accounts";

/// A gateway, a fintech without a certificate, its prover and a token.
async fn ready() -> (TestGateway, Tpp, Prover, SecretString, String) {
    let gw = TestGateway::start().await;
    let mut tpp = crate::fintech::tpp_as(&gw, &json!({ "dpop_bound_access_tokens": true })).await;
    tpp.http = gw.anybody();
    let prover = Prover::new(&gw);
    let token = prover.own_token(&tpp, "accounts").await;
    let url = format!("{}{PATH}", tpp.api);
    (gw, tpp, prover, token, url)
}

/// A request with this proof is refused, and told how to prove (RFC 9449 §7.1).
async fn refused(tpp: &Tpp, token: &SecretString, url: &str, proofs: &[&str], case: &str) {
    refused_as(tpp, token, url, proofs, ("invalid_dpop_proof", case)).await;
}

/// The same, with the error of the challenge.
async fn refused_as(
    tpp: &Tpp,
    token: &SecretString,
    url: &str,
    proofs: &[&str],
    (error, case): (&str, &str),
) {
    let answer = shown(tpp, "DPoP", token, url, proofs).await;
    assert_eq!(answer.status, 401, "{case}: {}", answer.json());
    assert_problem(&answer, 401, "auth.dpop_proof");
    let challenge = answer.header("www-authenticate").unwrap();
    let algorithms = "algs=\"PS256 ES256 EdDSA Ed25519\"";
    assert_eq!(challenge, format!("DPoP error=\"{error}\", {algorithms}"), "{case}");
}

type Change = Box<dyn Fn(&mut Value, &mut Value)>;

fn claim(name: &'static str, value: Value) -> Change {
    Box::new(move |_, claims| claims[name] = value.clone())
}

fn without(name: &'static str) -> Change {
    Box::new(move |_, claims| drop(claims.as_object_mut().unwrap().remove(name)))
}

fn header(name: &'static str, value: Value) -> Change {
    Box::new(move |header, _| header[name] = value.clone())
}

/// RFC 9449 §4.3 (RS4, RS5, AS15): a proof that is wrong in one thing opens nothing.
/// [module: dpop-negative-tests] [module: ensure-holder-of-key-required]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_is_wrong_in_one_thing_opens_nothing() {
    let (gw, tpp, prover, token, url) = ready().await;
    let now = gw.clock.now().as_second();
    let other = Prover::new(&gw);
    let (jwk, others) = (prover.key.public_key().jwk(), other.key.public_key().jwk());
    let mut private = jwk.clone();
    private["d"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    let mut off_curve = jwk.clone();
    off_curve["y"] = jwk["x"].clone();
    let cases: Vec<(&str, Change)> = vec![
        ("(4) typ is missing", Box::new(|header, _| drop(header.as_object_mut().unwrap().remove("typ")))),
        ("(4) typ of another JWT", header("typ", json!("JWT"))),
        ("(5) alg none", header("alg", json!("none"))),
        ("(5) alg RS256", header("alg", json!("RS256"))),
        ("(5) alg HS256", header("alg", json!("HS256"))),
        ("(5) alg of another key type", header("alg", json!("PS256"))),
        ("(6) jwk missing", Box::new(|header, _| drop(header.as_object_mut().unwrap().remove("jwk")))),
        ("(6) jwk is another key", header("jwk", others)),
        ("(6) jwk is no point of the curve", header("jwk", off_curve)),
        ("(6) jwk is a symmetric key", header("jwk", json!({ "kty": "oct", "k": "AAAA" }))),
        ("(6) jwk is text", header("jwk", json!(jwk.to_string()))),
        ("(7) jwk holds a private key", header("jwk", private)),
        ("crit names what nobody knows", header("crit", json!(["exp"]))),
        ("(8) htm of another method", claim("htm", json!("POST"))),
        ("(8) htm in lower case", claim("htm", json!("get"))),
        ("(3) htm missing", without("htm")),
        ("(9) htu of another path", claim("htu", json!(format!("{url}/x")))),
        ("(9) htu of another host", claim("htu", json!(url.replace("localhost", "localhost.example")))),
        ("(9) htu of another scheme", claim("htu", json!(url.replace("https", "http")))),
        ("(9) htu of another port", claim("htu", json!(format!("https://localhost{PATH}")))),
        ("(9) htu is a path", claim("htu", json!(PATH))),
        ("(9) htu in another case of the path", claim("htu", json!(url.replace("/v1/a", "/V1/a")))),
        ("(9) htu with user information", claim("htu", json!(url.replace("https://", "https://a@")))),
        ("(3) htu missing", without("htu")),
        ("(11) iat an hour ago", claim("iat", json!(now - 3_600))),
        ("(11) iat in an hour", claim("iat", json!(now + 3_600))),
        ("(11) iat beyond all time", claim("iat", json!(1e300))),
        ("(11) iat is text", claim("iat", json!(now.to_string()))),
        ("(3) iat missing", without("iat")),
        ("(12) ath missing", without("ath")),
        ("(12) ath of another token", claim("ath", json!(crypto::digest::sha256_b64url(b"another")))),
        ("(12) ath is the token", claim("ath", json!(token.expose_secret()))),
        ("(3) jti missing", without("jti")),
        ("(3) jti empty", claim("jti", json!(""))),
        ("(3) jti is a number", claim("jti", json!(7))),
        ("(3) jti beyond bounds", claim("jti", json!("j".repeat(513)))),
        ("(10) nonce is no text", claim("nonce", json!(7))),
    ];
    for (case, change) in cases {
        let proof = prover.proof("GET", &url, Some(token.expose_secret()), change);
        refused(&tpp, &token, &url, &[&proof], case).await;
    }
    // What was wrong was the change alone.
    assert_eq!(prover.get(&tpp, &token, PATH, right).await.status, 200);
    // By another key, whole.
    let proof = other.proof("GET", &url, Some(token.expose_secret()), right);
    refused_as(&tpp, &token, &url, &[&proof], ("invalid_token", "by another key")).await;
    gw.sandbox.stop().await;
}

/// RFC 9449 §4.3 (1), (2), (6) (RS5): one header, one well-formed JWT, signed.
/// [module: dpop-negative-tests]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_that_is_no_signed_jwt_or_not_alone_opens_nothing() {
    let (gw, tpp, prover, token, url) = ready().await;
    let secret = token.expose_secret();
    let good = || prover.proof("GET", &url, Some(secret), right);
    refused(&tpp, &token, &url, &[], "no proof").await;
    refused(&tpp, &token, &url, &[&good(), &good()], "two proofs").await;
    let proof = good();
    let (signed, signature) = proof.rsplit_once('.').unwrap();
    let (head, payload) = signed.split_once('.').unwrap();
    let mut flipped = signature.to_owned();
    flipped.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    let (rs_header, claims) = prover.parts("GET", &url, Some(secret), right);
    let twice = claims.to_string().replacen('{', "{\"htm\":\"GET\",", 1);
    let rsa = SigningKey::from_pem(&crypto::pki::generate_rsa().unwrap(), "r").unwrap();
    let weak = json!({ "typ": "dpop+jwt", "alg": "RS256", "jwk": rsa.public_key().jwk() });
    let weak = format!("{}.{}", base64url(weak.to_string()), base64url(claims.to_string()));
    let weak = format!("{weak}.{}", base64url(rsa.sign_rsa_sha256(weak.as_bytes()).unwrap()));
    for (case, proof) in [
        ("empty", String::new()),
        ("no JWT", "proof".to_owned()),
        ("two parts", signed.to_owned()),
        ("five parts", format!("{proof}.x.y")),
        ("no signature", format!("{signed}.")),
        ("signature changed", format!("{signed}.{flipped}")),
        ("signature padded", format!("{proof}==")),
        ("payload of another", format!("{head}.{}.{signature}", base64url("{}"))),
        ("claims are an array", raw_jws(&prover.key, &rs_header, b"[]")),
        ("claims are no JSON", raw_jws(&prover.key, &rs_header, b"htm=GET")),
        ("a claim twice", raw_jws(&prover.key, &rs_header, twice.as_bytes())),
        ("RS256 by the key in jwk", weak),
        ("header is no JSON", format!("{}.{payload}.{signature}", base64url("dpop"))),
        (
            "too large",
            raw_jws(&prover.key, &rs_header, format!("{{\"x\":\"{}\"}}", "x".repeat(20_000)).as_bytes()),
        ),
    ] {
        refused(&tpp, &token, &url, &[&proof], case).await;
    }
    assert_eq!(shown(&tpp, "DPoP", &token, &url, &[&proof]).await.status, 200);
    gw.sandbox.stop().await;
}

/// RFC 9449 §4.3 (9), (11) (RS5): what may differ is let through: exp and nbf, a
/// clock ten seconds off, spelling, query and fragment of the address, key types.
/// [module: check-dpop-proof-nbf-exp]
/// [module: ensure-dpopproof-with-iat-10seconds-before-succeeds]
/// [module: ensure-dpopproof-with-iat-10seconds-after-succeeds]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_may_differ_where_the_standard_lets_it() {
    let (gw, tpp, prover, token, url) = ready().await;
    let now = gw.clock.now().as_second();
    let spelled = url.replace("https://localhost", "HTTPS://LOCALHOST");
    let cases: Vec<(&str, Change)> = vec![
        ("iat ten seconds ago", claim("iat", json!(now - 10))),
        ("iat in ten seconds", claim("iat", json!(now + 10))),
        ("iat with a fraction", claim("iat", json!(f64::from(i32::try_from(now).unwrap()) + 0.5))),
        (
            "exp and nbf",
            Box::new(move |_, claims| {
                claims["nbf"] = json!(now - 10);
                claims["exp"] = json!(now + 50);
            }),
        ),
        ("a query", claim("htu", json!(format!("{url}?limit=1")))),
        ("a fragment", claim("htu", json!(format!("{url}#top")))),
        ("scheme and host in capitals", claim("htu", json!(spelled))),
        ("a dot segment", claim("htu", json!(url.replace("/v1/", "/v1/./")))),
        ("typ in another case", header("typ", json!("DPoP+JWT"))),
        ("a key with a name", header("kid", json!("mine"))),
        ("claims of one's own", claim("purpose", json!({ "a": [1] }))),
    ];
    for (case, change) in cases {
        let answer = prover.get(&tpp, &token, PATH, change).await;
        assert_eq!(answer.status, 200, "{case}: {}", answer.json());
    }
    // The address of the request may have a query; the proof is about the rest.
    let listed = url.replace(PATH, "/v1/transactions");
    let proof = prover.proof("GET", &listed, Some(token.expose_secret()), right);
    assert_eq!(shown(&tpp, "DPoP", &token, &format!("{listed}?limit=1"), &[&proof]).await.status, 200);
    for pem in [crypto::pki::generate_rsa().unwrap(), crypto::pki::generate_ed25519().unwrap()] {
        let prover = Prover::of(SigningKey::from_pem(&pem, "k").unwrap(), &gw);
        let token = prover.own_token(&tpp, "accounts").await;
        assert_eq!(
            prover.get(&tpp, &token, PATH, right).await.status,
            200,
            "{}",
            prover.key.algorithm().as_str()
        );
    }
    gw.sandbox.stop().await;
}

/// RFC 9449 §11.1 (RS5): a proof is used once, also by fifty at the same time,
/// and a request that was refused for another reason uses nothing up.
/// [module: dpop-negative-tests]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_opens_one_request() {
    let (gw, tpp, prover, token, url) = ready().await;
    let proof = prover.proof("GET", &url, Some(token.expose_secret()), right);
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (tpp, token, url, proof) = (tpp.clone(), token.clone(), url.clone(), proof.clone());
        tries.spawn(async move { shown(&tpp, "DPoP", &token, &url, &[&proof]).await.status });
    }
    let opened = tries.join_all().await.into_iter().filter(|status| *status == 200).count();
    assert_eq!(opened, 1);
    refused(&tpp, &token, &url, &[&proof], "again").await;
    // Another client's use of the same jti is its own.
    let other = Prover::new(&gw);
    let theirs = other.own_token(&tpp, "accounts").await;
    let jti = |_: &mut Value, claims: &mut Value| claims["jti"] = json!("one");
    assert_eq!(prover.get(&tpp, &token, PATH, jti).await.status, 200);
    assert_eq!(other.get(&tpp, &theirs, PATH, jti).await.status, 200);
    gw.sandbox.stop().await;
}

/// RFC 9449 §7.1, §7.2 (RS2, RS4): the scheme belongs to the token; its case does
/// not matter; a token is shown once.
/// [module: access-token-type-header-case-sensitivity] [module: dpop-negative-tests]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bound_token_is_shown_with_its_own_scheme_and_once() {
    let (gw, tpp, prover, token, url) = ready().await;
    let proof = |token: &SecretString| prover.proof("GET", &url, Some(token.expose_secret()), right);
    for scheme in ["DPoP", "dPOP", "dpop"] {
        let answer = shown(&tpp, scheme, &token, &url, &[&proof(&token)]).await;
        assert_eq!(answer.status, 200, "{scheme}");
    }
    // A downgrade to Bearer: neither without a certificate nor with one.
    let answer = shown(&tpp, "Bearer", &token, &url, &[&proof(&token)]).await;
    assert_problem(&answer, 401, "auth.certificate_missing");
    let certified = gw.tpp().await;
    let answer = shown(&certified, "Bearer", &token, &url, &[]).await;
    assert_problem(&answer, 401, "auth.dpop_proof");
    assert!(answer.header("www-authenticate").unwrap().starts_with("DPoP error=\"invalid_token\""));
    // A token of a certificate is no DPoP token, whoever proves.
    let bearer = certified.own_token("accounts").await.unwrap();
    let answer = shown(&certified, "DPoP", &bearer, &url, &[&proof(&bearer)]).await;
    assert_problem(&answer, 401, "auth.dpop_proof");
    let (dpop, fresh) = (format!("DPoP {}", token.expose_secret()), proof(&token));
    let bearer = format!("Bearer {}", bearer.expose_secret());
    for pair in [[&dpop, &dpop], [&bearer, &dpop]] {
        let headers = [("authorization", pair[0].as_str()), ("authorization", pair[1]), ("dpop", &fresh)];
        let answer = certified.http.get(&url, &headers).await.unwrap();
        assert_problem(&answer, 401, "auth.token_missing");
    }
    // An unknown token with a proof of its own.
    let unknown = SecretString::from("x".repeat(43));
    let answer = shown(&tpp, "DPoP", &unknown, &url, &[&proof(&unknown)]).await;
    assert_problem(&answer, 401, "auth.token_invalid");
    assert!(answer.header("www-authenticate").unwrap().starts_with("DPoP error=\"invalid_token\""));
    gw.sandbox.stop().await;
}

/// RFC 9449 §9 (RS5, AS15): where a nonce is wanted, it is told, good for a while,
/// and a proof with it opens.
/// [module: dpop-negative-tests]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_wants_its_nonce_and_tells_it() {
    use crate::support::Wanted;
    use domain::Clock;
    let clock = std::sync::Arc::new(domain::ManualClock::at(domain::SystemClock.now()));
    let gw =
        TestGateway::wanted(Wanted { require_dpop_nonce: true, clock: clock.clone(), ..Wanted::default() });
    let gw = gw.await;
    let tpp = gw.tpp().await;
    let prover = Prover::of(ec_key("n"), &gw);
    let form = [("grant_type", "client_credentials"), ("scope", "accounts")];
    let told = prover.post(&tpp, crate::fintech::TOKEN, &form, right).await;
    let nonce = told.header("dpop-nonce").unwrap().to_owned();
    let with = |nonce: &str| {
        let nonce = json!(nonce);
        move |_: &mut Value, claims: &mut Value| claims["nonce"] = nonce
    };
    let answer = prover.post(&tpp, crate::fintech::TOKEN, &form, with(&nonce)).await.expect(200).unwrap();
    let token = SecretString::from(answer.text("/access_token"));

    let challenged = prover.get(&tpp, &token, PATH, right).await;
    assert_problem(&challenged, 401, "auth.dpop_nonce");
    let challenge = challenged.header("www-authenticate").unwrap();
    assert!(challenge.starts_with("DPoP error=\"use_dpop_nonce\""), "{challenge}");
    let nonce = challenged.header("dpop-nonce").unwrap().to_owned();
    assert_eq!(prover.get(&tpp, &token, PATH, with(&nonce)).await.status, 200);
    assert_problem(&prover.get(&tpp, &token, PATH, with("made-up")).await, 401, "auth.dpop_nonce");
    clock.advance(60);
    assert_eq!(prover.get(&tpp, &token, PATH, with(&nonce)).await.status, 200);
    clock.advance(60);
    let stale = prover.get(&tpp, &token, PATH, with(&nonce)).await;
    assert_problem(&stale, 401, "auth.dpop_nonce");
    assert_ne!(stale.header("dpop-nonce").unwrap(), nonce);
    gw.sandbox.stop().await;
}
