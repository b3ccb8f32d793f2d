//! The file of a statement: the one answer of the standard that is not JSON.

use connect::{
    BankError, BankRequest, BankResponse, CallContext, Effect, Profile, StatementFile, StatementFiles,
    StatementFormat,
};
use http::Method;

use super::error::failure;
use super::{UkOpenBanking, request};

/// How a profile's `absent_paths` names the path.
const PATH: &str = "/accounts/{id}/statements/{id}/file";

impl StatementFiles for UkOpenBanking {
    fn offered(&self, profile: &Profile) -> bool {
        profile.serves(PATH) && profile.serves("/accounts/{id}/statements")
    }

    fn file(
        &self,
        cx: &CallContext<'_>,
        resource_id: &str,
        statement_id: &str,
    ) -> Result<BankRequest, BankError> {
        let place = ["accounts", resource_id, "statements", statement_id, "file"];
        let url = cx.profile.accounts_api()?.join(&place);
        let known = StatementFormat::ALL.map(StatementFormat::media_type).join(", ");
        request(cx, Method::GET, url, Effect::Read, None)?
            .header("accept", &known)
            .map_err(|name| cx.error(connect::BankErrorKind::Internal).at(name))
    }

    fn file_read(&self, cx: &CallContext<'_>, response: &BankResponse) -> Result<StatementFile, BankError> {
        if !response.status.is_success() {
            return Err(failure(&cx.profile.id, response, Effect::Read));
        }
        let format = response.header_text("content-type").and_then(StatementFormat::of);
        let format = format.ok_or_else(|| BankError::malformed(&cx.profile.id, "content-type"))?;
        Ok(StatementFile { format, bytes: response.body.clone() })
    }
}
