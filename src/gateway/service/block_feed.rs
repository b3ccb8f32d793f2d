//! Tells whoever stands in front of the gateway which addresses are blocked: by a file that a
//! proxy reads, and by a webhook.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use edge::{BlockList, Blocked};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::demo::Client;
use crate::private_file;

/// Who is told.
#[derive(Clone, Debug, Default)]
pub struct BlockFeed {
    /// A file of one network a line, replaced in one step.
    pub file: Option<PathBuf>,
    /// An address that takes the whole list (https, JSON).
    pub url: Option<String>,
}

/// Longest time until the end of a block is told, and until somebody who could not be told
/// is told again.
const LOOK: Duration = Duration::from_secs(1);

impl BlockFeed {
    /// Tells of every change until `stop`.
    pub(crate) async fn tell(self, list: Arc<BlockList>, client: Client, stop: CancellationToken) {
        let mut told = None;
        while !stop.is_cancelled() {
            let now = list.all();
            if told.as_ref() != Some(&now) && self.push(&client, &now).await {
                told = Some(now);
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = list.news() => {}
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }

    /// True if everybody has been told.
    async fn push(&self, client: &Client, blocked: &[Blocked]) -> bool {
        let mut all = true;
        if let Some(file) = &self.file {
            let lines: String =
                blocked.iter().map(|blocked| format!("{}\n", network(blocked.address))).collect();
            if let Err(error) = private_file::replace(file, &lines) {
                tracing::error!(
                    error = format!("{error:#}"),
                    "The list of blocked addresses cannot be written"
                );
                all = false;
            }
        }
        if let Some(url) = &self.url {
            let answer = client.post_json(url, &[], &view(blocked)).await;
            if !answer.is_ok_and(|answer| answer.status.is_success()) {
                tracing::error!("The list of blocked addresses was not taken where it is sent");
                all = false;
            }
        }
        all
    }
}

fn view(blocked: &[Blocked]) -> Value {
    let item = |blocked: &Blocked| {
        json!({
            "network": network(blocked.address),
            "until": blocked.until.to_string(),
            "reason": blocked.reason,
        })
    };
    json!({ "blocked": blocked.iter().map(item).collect::<Vec<_>>() })
}

/// What is meant by an address of the list.
fn network(address: IpAddr) -> String {
    if address.is_ipv4() { format!("{address}/32") } else { format!("{address}/64") }
}
