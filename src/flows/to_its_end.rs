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

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread has 2 MiB by default, and what a bank's answer sets off alone is 80 KiB of state.
    #[test]
    fn what_is_large_does_not_fill_the_stack() {
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_stack_size(512 * 1024).build().unwrap();
        let done = runtime.block_on(to_its_end(async {
            let state = [1_u8; 64 * 1024];
            tokio::task::yield_now().await;
            Ok(state.iter().map(|byte| usize::from(*byte)).sum::<usize>())
        }));
        assert_eq!(done.unwrap(), 64 * 1024);
    }
}
