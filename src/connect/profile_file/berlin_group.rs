//! `[berlin_group]` of a profile.

use http::{HeaderName, HeaderValue};

use super::secure;
use super::table::Table;
use crate::BerlinGroupOptions;
use crate::berlin_group_options::{
    AccountReference, BookingFilter, ConsentKind, PaymentField, StartAuthorisation,
};

/// Reads the options, which are those of one dialect.
pub(super) fn berlin_group(table: &mut Table<'_>, dialect: &str) -> BerlinGroupOptions {
    let mut options = BerlinGroupOptions::default();
    let Some(mut inner) = table.table("berlin_group") else { return options };
    options.consents = inner.words("consents", &one_of(ConsentKind::WORDS), ConsentKind::from_word);
    options.recurring_only = inner.boolean("recurring_only").unwrap_or(false);
    options.max_frequency_per_day = inner.number("max_frequency_per_day").and_then(|number| {
        let times = u8::try_from(number).ok().filter(|times| *times <= 4);
        if times.is_none() {
            inner.problem("max_frequency_per_day", "is 1 to 4");
        }
        times
    });
    options.booking_statuses =
        inner.words("booking_statuses", &one_of(BookingFilter::WORDS), BookingFilter::from_word);
    options.transactions_need_balances = inner.boolean("transactions_need_balances").unwrap_or(false);
    options.transaction_formats = inner.words("transaction_formats", MEDIA_TYPE, media_type);
    options.payment_status_formats = inner.words("payment_status_formats", MEDIA_TYPE, media_type);
    options.account_references =
        inner.words("account_references", &one_of(AccountReference::WORDS), AccountReference::from_word);
    options.card_accounts = inner.boolean("card_accounts").unwrap_or(false);
    options.transaction_details = inner.boolean("transaction_details").unwrap_or(false);
    options.funds_consents = inner.text("funds_consents").and_then(|text| {
        let address = secure(&text);
        if address.is_none() {
            inner.problem("funds_consents", "is an https address");
        }
        address
    });
    options.payment_products = inner.words("payment_products", "a product of the standard", product);
    options.required_payment_fields =
        inner.words("required_payment_fields", &one_of(PaymentField::WORDS), PaymentField::from_word);
    options.start_authorisation = inner
        .word_or_none("start_authorisation", StartAuthorisation::WORDS)
        .and_then(|word| StartAuthorisation::from_word(&word))
        .unwrap_or_default();
    for (name, value) in inner.texts("headers", HEADER, |name, value| header(name, value).is_some()) {
        options.headers.extend(header(&name, &value));
    }
    options.psu_headers_together = inner.words("psu_headers_together", &one_of(PSU_HEADERS), |word| {
        PSU_HEADERS.contains(&word).then(|| word.to_owned())
    });
    options.psu_id_type = inner.text("psu_id_type");
    options.psu_id_unwanted = inner.boolean("psu_id_unwanted").unwrap_or(false);
    options.token_header = inner.text("token_header").and_then(|name| {
        let own = header(&name, "token").map(|(name, _)| name);
        if own.is_none() {
            inner.problem("token_header", HEADER);
        }
        own
    });
    options.pain_day_of_at_once = inner.text("pain_day_of_at_once").and_then(|text| {
        let day = text.parse().ok();
        if day.is_none() {
            inner.problem("pain_day_of_at_once", "is a day: YYYY-MM-DD");
        }
        day
    });
    inner.finish();
    if dialect != "berlin-group" {
        table.problem("berlin_group", "is for the dialect berlin-group");
    }
    options
}

/// Headers about the PSU that are sent if she is present.
pub(super) const PSU_HEADERS: &[&str] = &["psu-ip-address", "psu-user-agent", "psu-accept-language"];

/// Headers that carry what is ours to say: a profile cannot speak for us.
const OURS: &[&str] = &[
    "authorization",
    "consent-id",
    "content-length",
    "content-type",
    "digest",
    "host",
    "signature",
    "tpp-nok-redirect-uri",
    "tpp-redirect-uri",
    "tpp-signature-certificate",
    "x-request-id",
    "psu-id",
    "psu-ip-address",
];

const HEADER: &str = "a header and its value, and none that is ours to set";

const MEDIA_TYPE: &str = "a media type such as application/json";

fn media_type(word: &str) -> Option<String> {
    let (kind, sub) = word.split_once('/')?;
    let plain = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"+.-".contains(&b))
    };
    (plain(kind) && plain(sub)).then(|| word.to_owned())
}

/// `sepa-credit-transfers`, or `pain.001-sepa-credit-transfers`.
fn product(word: &str) -> Option<String> {
    let plain = word.strip_prefix("pain.001-").unwrap_or(word);
    plain.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-').then(|| word.to_owned())
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name: HeaderName = name.parse().ok()?;
    let value = HeaderValue::from_str(value).ok()?;
    (!OURS.contains(&name.as_str())).then_some((name, value))
}

fn one_of(words: &[&str]) -> String {
    format!("one of: {}", words.join(", "))
}
