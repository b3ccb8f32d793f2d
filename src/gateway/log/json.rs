//! Lines as JSON objects, in the names of the Elastic Common Schema where it has one.

use std::collections::BTreeMap;
use std::fmt;

use domain::{Clock, SystemClock};
use serde_json::{Map, Value, json};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use super::is_known;

/// Fields as one JSON object.
pub(super) struct JsonFields;

/// Events as one line each.
pub(super) struct JsonLines;

/// What is handed over, as far as its names are known.
#[derive(Default)]
struct Handed(BTreeMap<&'static str, Value>);

impl Handed {
    fn take(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let value = if name == "message" || is_known(name) { value } else { "***".into() };
        self.0.insert(name, value);
    }
}

impl Visit for Handed {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.take(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, value.into());
    }
}

impl<'w> FormatFields<'w> for JsonFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut handed = Handed::default();
        fields.record(&mut handed);
        let object: Map<String, Value> =
            handed.0.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        write!(writer, "{}", Value::Object(object))
    }
}

impl<S> FormatEvent<S, JsonFields> for JsonLines
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Map::new();
        // What the spans say first, so that the event has the last word.
        for span in context.event_scope().into_iter().flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            let extensions = span.extensions();
            let said = extensions.get::<FormattedFields<JsonFields>>().map(|fields| fields.fields.as_str());
            if let Some(Ok(Value::Object(said))) = said.map(serde_json::from_str) {
                line.extend(said);
            }
        }
        let mut handed = Handed::default();
        event.record(&mut handed);
        line.extend(handed.0.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let metadata = event.metadata();
        line.insert("@timestamp".to_owned(), json!(SystemClock.now().to_string()));
        line.insert("log.level".to_owned(), json!(metadata.level().as_str().to_ascii_lowercase()));
        line.insert("log.logger".to_owned(), json!(metadata.target()));
        writeln!(writer, "{}", Value::Object(line))
    }
}
