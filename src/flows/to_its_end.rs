//! Work that goes on although its caller goes away.

use store::occasion::carried;

use crate::FlowError;

/// Does work to its end, as a part of the same request: a bank's answer is heeded even if the browser or
/// the client that it was asked for hangs up.
pub(crate) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, FlowError>> + Send + 'static,
) -> Result<T, FlowError> {
    // On the heap: what is handed from one layer to the next is its place, not all of it.
    let work = Box::pin(work);
    tokio::spawn(telemetry::carried(carried(work))).await.unwrap_or(Err(FlowError::Busy))
}
