//! The trace that a request belongs to goes on with it (W3C Trace Context §3.2).

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use consentry_edge::{Answered, Witness};
use domain::SystemEntropy;
use http::HeaderMap;
use telemetry::TraceContext;

use crate::support::{Plan, ask};

const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Keeps every trace that is given.
struct Keeps;

impl Witness for Keeps {
    fn context(&self, given: Option<TraceContext>) -> Option<TraceContext> {
        given.map(|given| given.child(&SystemEntropy))
    }

    fn answered(&self, _: &Answered<'_>) {}
}

/// What whoever a request is passed on to is told of its trace.
async fn told(witness: Option<Arc<dyn Witness>>, given: &str) -> String {
    let said = async |headers: HeaderMap| {
        let all: Vec<_> =
            headers.get_all("traceparent").iter().map(|value| value.to_str().unwrap().to_owned()).collect();
        format!("[{}]", all.join(" "))
    };
    let router = Router::new().route("/", get(said));
    let gate = Plan { witness, router, ..Plan::new() }.start().await;
    let mut stream = gate.client().connect(gate.address).await.unwrap();
    let request =
        format!("GET / HTTP/1.1\r\nhost: localhost\r\ntraceparent: {given}\r\nconnection: close\r\n\r\n");
    let answer = ask(&mut stream, request.as_bytes()).await;
    gate.stop().await;
    let (_, rest) = answer.split_once('[').unwrap_or_else(|| panic!("{answer}"));
    rest.split(']').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_request_goes_on_in_its_trace_as_a_span_of_ours() {
    let given: TraceContext = GIVEN.parse().unwrap();
    let on: TraceContext = told(Some(Arc::new(Keeps)), GIVEN).await.parse().unwrap();
    assert_eq!((on.trace, on.sampled), (given.trace, true));
    assert_ne!(on.span, given.span, "what comes below is below us");
    assert_eq!(told(Some(Arc::new(Keeps)), "00-nonsense").await, "", "what is no context goes no further");
    assert_eq!(told(None, GIVEN).await, "", "nobody keeps it");
}
