//! What those who run a gateway, and those who use it, see of it: figures, times, traces, what became of a
//! request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use consentry::demo::{self, Tpp};
use domain::SystemClock;
use serde_json::Value;

use crate::support::served::Place;
use crate::support::webhooks::until;
use crate::support::{EU, TestGateway};

/// Milliseconds of a member of `Server-Timing`.
fn timing(header: &str, name: &str) -> f64 {
    let member = header.split(", ").find_map(|member| member.strip_prefix(&format!("{name};dur=")));
    member.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} in {header}"))
}

/// Whose time it was stands on every answer, and what became of a request can be asked for by the client
/// that made it, and by nobody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_sees_what_became_of_its_request_and_whose_time_it_was() {
    let gw = TestGateway::start().await;
    let tpp = gw.tpp().await;
    let token = gw.granted(&tpp, &[EU]).await.token;
    let read = tpp.get(&token, "/v1/accounts").await.unwrap().expect(200).unwrap();
    let times = read.header("server-timing").unwrap().to_owned();
    assert!(timing(&times, "bank") > 0.0, "{times}");
    let id = read.header("x-request-id").unwrap().to_owned();

    let shown = tpp.get(&token, &format!("/v1/requests/{id}")).await.unwrap().expect(200).unwrap();
    assert_eq!(timing(shown.header("server-timing").unwrap(), "bank"), 0.0, "no bank was asked");
    let shown = shown.json();
    assert_eq!((&shown["id"], &shown["method"]), (&Value::from(id.clone()), &"GET".into()));
    assert_eq!((&shown["route"], &shown["status"]), (&"/v1/accounts".into(), &200.into()));
    let call = &shown["bank_calls"][0];
    assert_eq!(
        (&call["institution_id"], &call["outcome"], &call["status"]),
        (&EU.into(), &"ok".into(), &200.into())
    );
    assert!(call["request_id"].as_str().is_some_and(|id| id.len() == 36), "{call}");
    assert!(shown["duration_us"].as_u64() >= shown["bank_duration_us"].as_u64(), "{shown}");

    // A refusal has its code, once the token was looked at.
    let refused = tpp.get(&token, "/v1/accounts/acc_eu_00000000000000000000000000000000").await.unwrap();
    let refused_id = refused.header("x-request-id").unwrap().to_owned();
    let of_refused = tpp.get(&token, &format!("/v1/requests/{refused_id}")).await.unwrap().json();
    assert_eq!(of_refused["code"], refused.json()["code"], "{of_refused}");
    assert_eq!(of_refused["region"], "eu");

    let other = gw.tpp().await;
    let own = other.own_token("accounts").await.unwrap();
    let denied = other.get(&own, &format!("/v1/requests/{id}")).await.unwrap();
    assert_eq!((denied.status.as_u16(), &denied.json()["code"]), (404, &"resource.not_found".into()));
    // It is kept beyond the memory of the process.
    gw.sandbox.gateway().keep_requests().await.unwrap();
    let again = tpp.get(&token, &format!("/v1/requests/{id}")).await.unwrap().expect(200).unwrap();
    assert_eq!(again.json()["bank_calls"], shown["bank_calls"]);
}

/// Media type and body of what arrived.
type Arrived = (String, Vec<u8>);

#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Arrived>>>);

async fn collect(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> &'static str {
    let media = headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    collector.0.lock().unwrap().push((media.to_owned(), body.to_vec()));
    ""
}

impl Collector {
    async fn listening(&self) -> String {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", socket.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(collect)).with_state(self.clone());
        tokio::spawn(async move { axum::serve(socket, router).await });
        address
    }

    /// All that has arrived, as text as far as it is one.
    fn text(&self) -> String {
        let arrived = self.0.lock().unwrap();
        assert!(arrived.iter().all(|(media, _)| media == "application/x-protobuf"));
        arrived.iter().map(|(_, body)| String::from_utf8_lossy(body).into_owned()).collect()
    }
}

/// A trace that a client keeps is kept here, too, with a span of each call to a bank below it; and nothing
/// in it says anything of a person. The figures of the same requests are on the page of figures, and each
/// is one that dashboards and alerts know.
#[tokio::test(flavor = "multi_thread")]
async fn traces_and_figures_tell_of_requests_and_not_of_people() {
    let collector = Collector::default();
    let place = Place::ready().await;
    let at = collector.listening().await;
    place.configure(
        &place.configuration(&format!("[telemetry]\notlp_endpoint = '{at}'\nsample_per_mille = 1000\n")),
    );
    let served = place.serve().await;
    let report = demo::play(&place.access(), false).await;
    assert!(report.ok(), "{}", report.json());
    let tpp = Tpp::discover(&place.access(), Arc::new(SystemClock)).await.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let given = format!("00-{trace}-00f067aa0ba902b7-01");
    let asked = tpp.http.get(&format!("{}/healthz", tpp.api), &[("traceparent", &given)]).await.unwrap();
    assert_eq!(asked.status.as_u16(), 200);

    let page = served.asked("/metrics").unwrap().1;
    for told in [
        "consentry_http_requests_total{route=\"/v1/payments\",method=\"POST\",status=\"201\",client_class=\"client\"",
        "consentry_http_request_duration_seconds_bucket{",
        "# {trace_id=\"",
        "consentry_gateway_duration_seconds_count{",
        "consentry_bank_requests_total{bank=\"de-rheinbank\",operation=\"accounts\",outcome=\"ok\",region=\"eu\"}",
        "consentry_bank_request_duration_seconds_sum{",
        "consentry_webhook_deliveries_total{outcome=\"delivered\"",
        "consentry_store_up{store=\"keys_uk\"} 1",
        "consentry_certificate_expiry_seconds{name=\"bank_seal\"}",
        "consentry_connections_open ",
        "consentry_config_info{hash=\"",
    ] {
        assert!(page.contains(told), "{told}\n{page}");
    }
    served.signal("TERM");
    assert!(served.ended().await, "{}", served.logged());
    let arrived =
        until("the spans arrive", async || Some(collector.text()).filter(|text| !text.is_empty())).await;
    for told in
        ["POST /v1/payments", "de-rheinbank accounts", "consentry.bank.outcome", "consentry.request.id"]
    {
        assert!(arrived.contains(told), "{told}");
    }
    let bytes: Vec<u8> = collector.0.lock().unwrap().iter().flat_map(|(_, body)| body.clone()).collect();
    let of_client = hex::decode(trace).unwrap();
    assert!(bytes.windows(16).any(|some| some == of_client), "the client's trace goes on");
    for personal in
        ["Anna", "DE17999100001000000017", "GB85ALBN99001110000017", "Corner Bookshop", "con_eu_", "acc_"]
    {
        assert!(!arrived.contains(personal) && !page.contains(personal), "{personal}");
    }
}

/// Name, type and labels of each figure on the list for dashboards and alerts.
fn listed() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let list = include_str!("../../../../charts/consentry/metrics.txt");
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let figures = lines.map(|line| {
        let words: Vec<_> = line.splitn(4, ' ').collect();
        let labels = words[2].split(',').filter(|label| *label != "-").map(str::to_owned).collect();
        (words[0].to_owned(), (words[1].to_owned(), labels))
    });
    figures.collect()
}

/// What a running gateway shows is what dashboards and alerts may speak of: each figure, its type and
/// its labels, and no others.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_figures_is_that_of_a_running_gateway() {
    let place = Place::ready().await;
    let served = place.serve().await;
    assert!(demo::play(&place.access(), false).await.ok());
    let counted = async || {
        served.asked("/metrics").filter(|(_, page)| page.contains("consentry_audit_unsigned_seconds{"))
    };
    let page = until("what there is is counted", counted).await.1;
    let listed = listed();
    let mut kinds = BTreeMap::new();
    for line in page.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let name = if kind == "counter" { format!("{name}_total") } else { name.to_owned() };
        assert_eq!(
            listed.get(&name).map(|(kind, _)| kind.as_str()),
            Some(kind),
            "{name} is on no list, or as another kind"
        );
        kinds.insert(name, kind.to_owned());
    }
    // What has not happened is not shown.
    let unseen = ["consentry_background_failures_total", "consentry_redis_up"];
    for name in listed.keys() {
        assert!(kinds.contains_key(name) || unseen.contains(&name.as_str()), "nobody shows {name}");
    }
    let label = regex::Regex::new("([a-z_]+)=\"").unwrap();
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let sample = line.split(" # ").next().unwrap();
        let name = sample.split(['{', ' ']).next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        let (_, labels) = listed.get(family).or(listed.get(name)).unwrap_or_else(|| panic!("{name}"));
        let shown: BTreeSet<_> = label
            .captures_iter(sample)
            .map(|found| found[1].to_owned())
            .filter(|label| label != "le")
            .collect();
        assert_eq!(&shown, labels, "{name}");
    }
}

/// What cannot be taken up stays as it was, and the figure that an alert looks at says what it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_up_is_counted() {
    let place = Place::ready().await;
    let limits = place.path("limits.toml");
    std::fs::write(&limits, include_str!("../../../../policies/limits/limits.toml")).unwrap();
    place.configure(&place.configuration(&format!("[policies]\nlimits = '{}'\n", limits.display())));
    let served = place.serve().await;
    let counted = |what: &str| {
        let page = served.asked("/metrics").unwrap().1;
        let number =
            page.split_once(&format!("consentry_reload_failures_total{{what=\"{what}\"}} ")).unwrap().1;
        // From nought, or whoever looks would not see it grow.
        !number.starts_with("0\n")
    };
    let spoilt = [
        ("limits", limits),
        ("banks", place.path("profiles/de-rheinbank.toml")),
        ("tls", place.path("banks/pki/server.pem")),
        ("keys", place.path("data/keys/signing.toml")),
        ("region_keys", place.path("data/keys/region-eu.json")),
    ];
    assert!(spoilt.iter().all(|(what, _)| !counted(what)));
    for (_, file) in &spoilt {
        std::fs::write(file, "no such thing").unwrap();
    }
    for (what, _) in &spoilt {
        until(&format!("{what} is counted"), async || counted(what).then_some(())).await;
    }
    place.configure("[nonsense]\n");
    served.signal("HUP");
    until("the configuration is counted", async || counted("configuration").then_some(())).await;
    assert_eq!(served.asked("/readyz").unwrap().0, 200);
}

/// A collector that is away costs traces and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_everything_goes_on() {
    let place = Place::ready().await;
    place.configure(
        &place.configuration("[telemetry]\notlp_endpoint = 'http://127.0.0.1:9'\nsample_per_mille = 1000\n"),
    );
    let served = place.serve().await;
    let report = demo::play(&place.access(), false).await;
    assert!(report.ok(), "{}\n{}", report.json(), served.logged());
    served.signal("TERM");
    assert!(served.ended().await, "{}", served.logged());
}
