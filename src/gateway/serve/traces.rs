//! Traces of requests, sent to a collector (OTLP over HTTP): a span of the request, and below it one of each
//! call to a bank. What a span says is on the list here; nothing of a person is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, ensure};
use bytes::Bytes;
use edge::Answered;
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};
use telemetry::{BankCall, BankOutcome, TraceContext};
use tokio::runtime::Handle;

use crate::service::Tracer;

/// Longest time that a collector may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of its answer that are read.
const ANSWER: usize = 64 * 1024;

/// Sends traces.
pub(super) struct Traces {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
}

impl Traces {
    /// Sends to the collector at `endpoint`, such as `http://collector:4318`. Spans that wait are bounded:
    /// a collector that is away costs traces, and nothing else.
    ///
    /// # Errors
    ///
    /// If `endpoint` is no address of a collector.
    pub(super) fn to(endpoint: &str) -> anyhow::Result<Arc<Self>> {
        ensure!(
            endpoint.starts_with("http://"),
            "telemetry.otlp_endpoint is no address such as http://collector:4318: TLS is the mesh's matter"
        );
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Wire::here())
            .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()
            .context("telemetry.otlp_endpoint cannot be used")?;
        let mut processor = BatchSpanProcessor::builder(exporter).build();
        let attributes = [
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.namespace", "consentry"),
        ];
        let resource =
            Resource::builder_empty().with_service_name("consentry").with_attributes(attributes).build();
        processor.set_resource(&resource);
        Ok(Arc::new(Self { processor, scope: InstrumentationScope::builder("consentry").build() }))
    }

    /// Sends what waits. Blocks.
    pub(super) fn close(&self) {
        if let Err(error) = self.processor.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(error = %error, "The last traces were not sent");
        }
    }

    fn span(&self, made: Made) -> SpanData {
        let Made { context, parent, remote, kind, name, start, took, attributes, failed } = made;
        SpanData {
            span_context: SpanContext::new(
                TraceId::from(context.trace),
                SpanId::from(context.span),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from(parent.unwrap_or(0)),
            parent_span_is_remote: remote,
            span_kind: kind,
            name: name.into(),
            start_time: start,
            end_time: start.checked_add(took).unwrap_or(start),
            attributes,
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: if failed { Status::error("") } else { Status::Unset },
            instrumentation_scope: self.scope.clone(),
        }
    }
}

/// A span that is made.
struct Made {
    context: TraceContext,
    parent: Option<u64>,
    remote: bool,
    kind: SpanKind,
    name: String,
    start: SystemTime,
    took: Duration,
    attributes: Vec<KeyValue>,
    failed: bool,
}

impl Tracer for Traces {
    fn trace(&self, context: TraceContext, answered: &Answered<'_>) {
        let start = SystemTime::from(answered.at);
        let mut attributes = vec![
            KeyValue::new("http.request.method", answered.method.to_string()),
            KeyValue::new("http.route", answered.route),
            KeyValue::new("http.response.status_code", i64::from(answered.status)),
            KeyValue::new("consentry.request.id", answered.id.to_string()),
            KeyValue::new("consentry.client.class", answered.class),
        ];
        let said = [
            ("consentry.client.id", answered.client.map(str::to_owned)),
            ("consentry.region", answered.region.map(|region| region.to_string())),
            ("consentry.problem.code", answered.reason.map(str::to_owned)),
        ];
        attributes.extend(said.into_iter().filter_map(|(name, value)| Some(KeyValue::new(name, value?))));
        self.processor.on_end(self.span(Made {
            context,
            parent: context.parent,
            remote: context.parent.is_some(),
            kind: SpanKind::Server,
            name: format!("{} {}", answered.method, answered.route),
            start,
            took: answered.trail.took(),
            attributes,
            failed: answered.status >= 500,
        }));
        for (number, call) in (1_u64..).zip(answered.trail.calls()) {
            self.processor.on_end(self.span(of_call(context, number, start, call)));
        }
    }
}

fn of_call(context: TraceContext, number: u64, start: SystemTime, call: BankCall) -> Made {
    let mut attributes = vec![
        KeyValue::new("http.request.method", call.method.clone()),
        KeyValue::new("consentry.bank.id", call.bank.clone()),
        KeyValue::new("consentry.bank.operation", call.operation),
        KeyValue::new("consentry.bank.outcome", call.outcome.as_str()),
    ];
    attributes
        .extend(call.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
    // What the bank finds in its own log.
    attributes.extend(call.request_id.map(|id| KeyValue::new("consentry.bank.request_id", id)));
    let failed = !matches!(call.outcome, BankOutcome::Ok | BankOutcome::Refused);
    Made {
        // Each of its own, and different from that of the request.
        context: TraceContext { span: context.span.wrapping_add(number).max(1), ..context },
        parent: Some(context.span),
        remote: false,
        kind: SpanKind::Client,
        name: format!("{} {}", call.bank, call.operation),
        start: start.checked_add(call.after).unwrap_or(start),
        took: call.took,
        attributes,
        failed,
    }
}

/// Sends on the threads of the gateway what the thread of traces wants sent.
struct Wire {
    client: Client<HttpConnector, Full<Bytes>>,
    runtime: Handle,
}

impl Wire {
    fn here() -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, runtime: Handle::current() }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

#[async_trait::async_trait]
impl HttpClient for Wire {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let answer = tokio::time::timeout(PATIENCE, client.request(request.map(Full::new))).await??;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok::<_, HttpError>(Response::from_parts(head, body))
        });
        sent.await?
    }
}
