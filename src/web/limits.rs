//! `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers):
//! calls without the PSU, one item per consent, which is the partition key.

use std::convert::Infallible;

use axum::response::{IntoResponseParts, ResponseParts};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flows::{Reading, Unattended};
use http::{HeaderMap, HeaderName, HeaderValue};
use limits::Standing;

/// What is left of the day's calls without the PSU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    unattended: Vec<Unattended>,
    used_up: Option<Standing>,
}

impl RateLimits {
    /// Of every consent that a read was about.
    #[must_use]
    pub fn of(reading: &Reading) -> Self {
        let unattended = reading.sources.iter().filter_map(|source| source.unattended).collect();
        Self { unattended, used_up: None }
    }

    /// Of one consent.
    #[must_use]
    pub fn one(unattended: Unattended) -> Self {
        Self { unattended: vec![unattended], used_up: None }
    }

    /// Of a policy that is used up.
    #[must_use]
    pub fn used_up(policy: Standing) -> Self {
        Self { unattended: Vec::new(), used_up: Some(policy) }
    }

    /// Writes the headers; none where there is nothing to say.
    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        let policy = self.list(Standing::policy_item, |left| format!("q={};w=86400", left.limit));
        let rest = self.list(Standing::item, |left| format!("r={};t={}", left.remaining(), left.resets_in()));
        for (name, text) in [("ratelimit-policy", policy), ("ratelimit", rest)] {
            if let (false, Ok(value)) = (text.is_empty(), HeaderValue::try_from(text)) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }

    fn list(
        &self,
        used_up: impl Fn(&Standing) -> String,
        parameters: impl Fn(&Unattended) -> String,
    ) -> String {
        let item = |left: &Unattended| {
            let key = STANDARD.encode(left.consent.to_string());
            format!("\"unattended\";{};pk=:{key}:", parameters(left))
        };
        let items = self.used_up.iter().map(used_up).chain(self.unattended.iter().map(item));
        items.collect::<Vec<_>>().join(", ")
    }
}

impl IntoResponseParts for RateLimits {
    type Error = Infallible;

    fn into_response_parts(self, mut parts: ResponseParts) -> Result<ResponseParts, Infallible> {
        self.write(parts.headers_mut());
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is left is never below zero, and the reset never in the past.
    #[test]
    fn what_is_left_is_told_per_consent_and_never_negative() {
        let at = |text: &str| text.parse::<domain::Timestamp>().unwrap();
        let consent = "con_uk_0197f0c2a7c07d3e8a3b5d1f20c4e6a8".parse().unwrap();
        let left = |used: u8, as_of: &str| Unattended {
            consent,
            limit: 4,
            used,
            resets_at: at("2026-11-26T00:00:00Z"),
            as_of: at(as_of),
        };
        let key = STANDARD.encode("con_uk_0197f0c2a7c07d3e8a3b5d1f20c4e6a8");
        for (used, as_of, expected) in [
            (1, "2026-11-25T23:59:50Z", "r=3;t=10"),
            (4, "2026-11-26T00:00:00Z", "r=0;t=1"),
            (9, "2026-11-26T00:00:09Z", "r=0;t=1"),
        ] {
            let mut headers = HeaderMap::new();
            RateLimits::one(left(used, as_of)).write(&mut headers);
            assert_eq!(headers["ratelimit-policy"], format!("\"unattended\";q=4;w=86400;pk=:{key}:"));
            assert_eq!(headers["ratelimit"], format!("\"unattended\";{expected};pk=:{key}:"));
        }
        let mut none = HeaderMap::new();
        RateLimits::default().write(&mut none);
        assert!(none.is_empty());
    }
}
