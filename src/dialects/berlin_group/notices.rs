//! Resource status notification: a bank posts to an address that came with a consent or
//! payment, once its status changes.

use connect::{ApiBase, BankError, BankErrorKind, BankRequest, CallContext, ResourceNotices};
use serde_json::Value;
use url::Url;

use super::BerlinGroup;

impl ResourceNotices for BerlinGroup {
    fn notify(
        &self,
        cx: &CallContext<'_>,
        request: BankRequest,
        address: &Url,
    ) -> Result<BankRequest, BankError> {
        let content = cx.profile.notifications.iter().flat_map(|stated| &stated.content);
        let content: Vec<_> = content.map(|content| content.as_str()).collect();
        let content = if content.is_empty() { "PROCESS".to_owned() } else { content.join(", ") };
        request
            .header("tpp-notification-uri", address.as_str())
            .and_then(|request| {
                request.header("tpp-notification-content-preferred", &format!("status={content}"))
            })
            .map_err(|name| cx.error(BankErrorKind::Internal).at(name))
    }

    fn about(&self, body: &[u8]) -> Option<Option<String>> {
        let Ok(Value::Object(notice)) = serde_json::from_slice(body) else { return None };
        let named = ["consentId", "paymentId"].iter().find_map(|member| notice.get(*member));
        match named {
            None => Some(None),
            Some(id) => id.as_str().filter(|id| ApiBase::is_segment(id)).map(|id| Some(id.to_owned())),
        }
    }
}
