//! Those who send what no client of good will would send.

use consentry::demo::{RETURN, verifier};
use http::Method;
use serde_json::{Value, json};

use crate::ciba::{asked, polled, polling};
use crate::fintech::{
    INTROSPECT, JWT_BEARER, PAR, REVOKE, TOKEN, assert_error, push, registered, signed, tpp_as,
};
use crate::prover::{Prover, right};
use crate::support::consents::PATIENCE;
use crate::support::{DECOUPLED, EU, POLISH, STET, TestGateway, UK, parameter};

/// RFC 9700 §2.1, §4.1, FAPI 2.0 SP §5.3.2.2-6 (AS6, AS21, MS5): an address that a parser
/// may take for the registered one is not it, pushed plainly or signed; nobody is sent
/// there.
/// [module: ensure-registered-redirect-uri]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_only_looks_like_the_registered_one_is_refused() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let (host, path) = ("fintech.consentry.example", "/return");
    let now = gw.clock.now().as_second();
    for uri in [
        format!("https://{host}.{path}"),
        format!("https://{host}{}", path.to_uppercase()),
        format!("https://{}{path}", host.to_uppercase()),
        format!("https://evil@{host}{path}"),
        format!("https://{host}@evil.example{path}"),
        format!("https://{host}:443{path}"),
        format!("https://{host}:8443{path}"),
        format!("https://{host}%2Freturn"),
        format!("https://{host}/%72eturn"),
        format!("https://{host}/./return"),
        format!("https://{host}/x/..{path}"),
        format!("https://{host}/{path}"),
        format!("https://{host}\\return"),
        format!("https://{host}{path}?"),
        format!("https://{host}{path}?code=x"),
        format!("https://{host}{path}#"),
        format!("https://{host}{path};a=b"),
        format!("{RETURN} "),
        format!(" {RETURN}"),
        format!("{RETURN}\u{0}"),
        format!("{RETURN}\r\nset-cookie: a=b"),
        format!("https://sub.{host}{path}"),
        format!("https://{host}.evil.example{path}"),
        format!("https://fintech.consentry.examp\u{4cf}e{path}"),
        format!("http://{host}{path}"),
        format!("//{host}{path}"),
        "javascript:alert(1)//https://fintech.consentry.example/return".to_owned(),
        "data:text/html,x".to_owned(),
    ] {
        let answer = push(&tpp, &verifier(), &[("redirect_uri", Some(&uri))]).await;
        assert_eq!(answer.status, 400, "{uri:?}");
        assert_error(&answer, 400, "invalid_request");
        let request = json!({
            "iss": tpp.client_id, "aud": tpp.server["issuer"], "nbf": now, "exp": now + 60,
            "response_type": "code", "scope": "accounts", "redirect_uri": uri,
            "code_challenge": "x".repeat(43), "code_challenge_method": "S256",
        });
        let request = signed(&tpp.key, &request);
        let form = [("request", request.as_str()), ("redirect_uri", RETURN)];
        assert_error(&tpp.authenticated(PAR, &form).await.unwrap(), 400, "invalid_request");
    }
    gw.sandbox.stop().await;
}

/// RFC 6749 §3.2, RFC 9700 §4.2 (AS21, AS26): what is in the address of a back-channel
/// request does not count, what is there twice is refused, and a form is a form.
/// [module: par-attempt-invalid-http-method]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_come_once_and_in_the_body() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = [("grant_type", "client_credentials"), ("scope", "accounts")];
    for endpoint in [TOKEN, PAR, REVOKE, INTROSPECT] {
        let url = tpp.endpoint(endpoint).unwrap();
        // Everything in the address, nothing in the body.
        let assertion = tpp.assertion(|_| {}).unwrap();
        let mut address = url::Url::parse(url).unwrap();
        address.query_pairs_mut().extend_pairs(own).extend_pairs([
            ("token", "x"),
            ("client_id", tpp.client_id.as_str()),
            ("client_assertion_type", JWT_BEARER),
            ("client_assertion", &assertion),
        ]);
        let answer = tpp.http.post_form(address.as_str(), &[]).await.unwrap();
        assert_error(&answer, 401, "invalid_client");
        for name in ["client_id", "grant_type", "token", "scope", "unheard_of"] {
            let form = [(name, tpp.client_id.as_str()), (name, &tpp.client_id)];
            assert_error(&tpp.authenticated(endpoint, &form).await.unwrap(), 400, "invalid_request");
        }
        for (kind, body) in [
            ("application/json", json!({ "grant_type": "client_credentials" }).to_string()),
            ("multipart/form-data; boundary=x", "--x--".to_owned()),
            ("text/plain", "grant_type=client_credentials".to_owned()),
            ("", "grant_type=client_credentials".to_owned()),
        ] {
            let headers = [("content-type", kind)];
            let answer = tpp.http.send(Method::POST, url, &headers, body).await.unwrap();
            assert_error(&answer, 400, "invalid_request");
        }
        let large = "x".repeat(70_000);
        let answer = tpp.authenticated(endpoint, &[("state", &large)]).await.unwrap();
        assert_error(&answer, 400, "invalid_request");
        for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH] {
            assert_eq!(tpp.http.send(method, url, &[], "").await.unwrap().status, 405);
        }
    }
    // The body says accounts; the address may say what it likes.
    let assertion = tpp.assertion(|_| {}).unwrap();
    let form = [own[0], own[1], ("client_assertion_type", JWT_BEARER), ("client_assertion", &assertion)];
    let url = format!("{}?scope=payments&grant_type=password", tpp.endpoint(TOKEN).unwrap());
    let answer = tpp.http.post_form(&url, &form).await.unwrap().expect(200).unwrap();
    assert_eq!(answer.text("/scope"), "accounts");
    // RFC 6749 §2.3: nor is there a second way to authenticate, in a header.
    let basic = [("authorization", "Basic ZGVtby1maW50ZWNoOnNlY3JldA==")];
    let answer = tpp.http.post_form_with(tpp.endpoint(TOKEN).unwrap(), &basic, &own).await.unwrap();
    assert_error(&answer, 401, "invalid_client");
    gw.sandbox.stop().await;
}

/// RFC 9700 §4.7 (CL8): of fifty that come back from the bank with one answer,
/// one counts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_banks_answer_that_comes_fifty_times_counts_once() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    for bank in [UK, EU, STET, POLISH] {
        let consents = tpp.lodge(&own, &[bank]).await.unwrap();
        let pushed = tpp.push(&consents, &verifier()).await.unwrap();
        let mut person = gw.person();
        let callback = format!("{}/callback/", gw.sandbox.access().issuer);
        let returned = person.walk(&tpp.start_of(&pushed).unwrap(), &callback).await.unwrap().url;
        let mut tries = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let (mut tab, returned) = (person.clone(), returned.clone());
            tries.spawn(async move { tab.request(Method::GET, &returned, None).await.unwrap() });
        }
        let answers = tries.join_all().await;
        let taken: Vec<_> = answers.iter().filter(|answer| answer.status == 303).collect();
        assert_eq!(taken.len(), 1, "{bank}");
        assert!(answers.iter().filter(|answer| answer.status != 303).all(|answer| answer.status == 400));
        let next = returned.join(taken[0].header("location").unwrap()).unwrap();
        let visit = person.walk(next.as_str(), RETURN).await.unwrap();
        assert_eq!(parameter(&visit, "code").len(), 43);
    }
    gw.sandbox.stop().await;
}

/// RFC 9449 §11.1, CIBA Core §11 (AS15, B3): of fifty with one proof, and of fifty with one
/// auth_req_id, one gets a token.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proof_and_an_auth_req_id_that_come_fifty_times_give_one_token() {
    let gw = TestGateway::start().await;
    let tpp = tpp_as(&gw, &polling()).await;
    let prover = Prover::new(&gw);
    let proof = prover.proof("POST", tpp.endpoint(TOKEN).unwrap(), None, right);
    let own = tpp.own_token("accounts").await.unwrap();
    let consents = tpp.lodge(&own, &[DECOUPLED]).await.unwrap();
    let id = asked(&tpp, &consents, &Value::Null).await.expect(200).unwrap().text("/auth_req_id");
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (tpp, proof) = (tpp.clone(), proof.clone());
        tries.spawn(async move {
            let form = [("grant_type", "client_credentials"), ("scope", "accounts")];
            tpp.authenticated_with(TOKEN, &[("dpop", &proof)], &form).await.unwrap()
        });
    }
    let answers = tries.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let refused = answers.iter().filter(|answer| answer.status != 200);
    refused.for_each(|answer| assert_error(answer, 400, "invalid_dpop_proof"));

    // The sandbox approves by itself; this is seen without fetching the token.
    let digest = crypto::digest::sha256_hex(id.as_bytes());
    let approved = async {
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            beat.tick().await;
            let row = gw.sandbox.gateway().stores().global().backchannel(&digest).await.unwrap();
            if row.unwrap().status == "approved" {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, approved).await.expect("the request is approved");
    let other = tpp_as(&gw, &polling()).await;
    assert_error(&polled(&other, &id).await, 400, "invalid_grant");
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (tpp, id) = (tpp.clone(), id.clone());
        tries.spawn(async move { polled(&tpp, &id).await });
    }
    let answers = tries.join_all().await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    let refused = answers.iter().filter(|answer| answer.status != 200);
    refused.for_each(|answer| assert_error(answer, 400, "invalid_grant"));
    gw.sandbox.stop().await;
}

/// RFC 9207 §2.4, RFC 9700 §4.4 (CL2, CL8): what comes back from a bank in the name of
/// another issuer, without one, or with a parameter twice, authorises nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_of_another_issuer_authorises_nothing() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let own = tpp.own_token("accounts").await.unwrap();
    for spoil in ["https://other.example", "", "twice"] {
        let consents = tpp.lodge(&own, &[UK]).await.unwrap();
        let pushed = tpp.push(&consents, &verifier()).await.unwrap();
        let mut person = gw.person();
        let callback = format!("{}/callback/", gw.sandbox.access().issuer);
        let mut returned = person.walk(&tpp.start_of(&pushed).unwrap(), &callback).await.unwrap().url;
        let pairs: Vec<_> = returned.query_pairs().into_owned().collect();
        assert!(pairs.iter().any(|(name, _)| name == "iss"), "the bank names itself");
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &pairs {
            match (name.as_str(), spoil) {
                ("iss", "") => {}
                ("iss", "twice") => {
                    query.append_pair(name, value).append_pair("code", "another");
                }
                ("iss", other) => {
                    query.append_pair(name, other);
                }
                (name, _) => {
                    query.append_pair(name, value);
                }
            }
        }
        returned.set_query(Some(&query.finish()));
        let visit = person.walk(returned.as_str(), RETURN).await.unwrap();
        assert_eq!(parameter(&visit, "code"), "", "{spoil}");
        assert_ne!(gw.shown(&tpp, &consents[0]).await["status"], "AUTHORIZED", "{spoil}");
    }
    gw.sandbox.stop().await;
}

/// FAPI 2.0 SP §5.3.4, RTS art. 36(5) (RS10): the PSU is present if the client says so in
/// the header for it; addresses that proxies add say nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_psu_is_present_by_the_header_for_it_only() {
    let (gw, clock) = TestGateway::with_shifted_clock().await;
    // Not so near midnight that the day ends under the test.
    if gw.clock.now().as_second() % 86_400 > 86_000 {
        clock.advance(1_000);
    }
    let tpp = gw.tpp().await;
    let granted = gw.granted(&tpp, &[UK]).await;
    let bearer = consentry::demo::bearer(&granted.token);
    let url = format!("{}/v1/accounts", tpp.api);
    let read = async |name: &str, value: &str| {
        tpp.http.get(&url, &[("authorization", bearer.as_str()), (name, value)]).await.unwrap()
    };
    let counted =
        async || gw.shown(&tpp, &granted.consents[0]).await["usage"]["unattended_calls_today"].clone();
    let proxies = [
        ("x-forwarded-for", "192.0.2.10"),
        ("forwarded", "for=192.0.2.10"),
        ("x-real-ip", "192.0.2.10"),
        ("psu-user-agent", "Browser/1.0"),
    ];
    for (n, (name, value)) in (1..).zip(proxies) {
        read(name, value).await.expect(200).unwrap();
        assert_eq!(counted().await, n, "{name}");
    }
    for name in ["psu-ip-address", "PSU-IP-Address", "x-fapi-customer-ip-address"] {
        read(name, "192.0.2.10").await.expect(200).unwrap();
        assert_eq!(counted().await, 4, "{name}");
        crate::support::assert_problem(&read(name, "somewhere").await, 400, "request.header");
    }
    gw.sandbox.stop().await;
}

/// RFC 6749 §5.2, §10.12 (AS26): errors are of the registry, in one line of ASCII, not to
/// be cached, and say nothing back of what came.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_says_nothing_back_of_what_came() {
    let gw = TestGateway::that_reports().await;
    let tpp = gw.tpp().await;
    let marker = "m\u{e4}rker\r\nx<script>";
    for (endpoint, form) in [
        (TOKEN, vec![("grant_type", marker)]),
        (
            TOKEN,
            vec![
                ("grant_type", "authorization_code"),
                ("code", marker),
                ("redirect_uri", marker),
                ("code_verifier", marker),
            ],
        ),
        (TOKEN, vec![("grant_type", "client_credentials"), ("scope", marker)]),
        (PAR, vec![("response_type", marker)]),
        (PAR, vec![("response_type", "code"), ("redirect_uri", marker)]),
        (PAR, vec![("request", marker)]),
    ] {
        let answer = tpp.authenticated(endpoint, &form).await.unwrap();
        assert_error(&answer, 400, &answer.text("/error"));
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!body.contains("rker") && !body.contains("<script"), "{body}");
    }
    let id = registered(&tpp.http, &tpp, &crate::fintech::metadata(&json!({}))).await;
    for client in [marker, "", "tpp-unknown", &id.to_uppercase(), &format!("{id} "), "' or '1'='1"] {
        let answer = crate::fintech::own_token_of(&tpp.http, &tpp, client, "accounts").await;
        assert_error(&answer, 401, "invalid_client");
    }
    gw.sandbox.stop().await;
}
