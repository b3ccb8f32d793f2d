//! A request through what looks at heads, the model and the signatures.

#![no_main]

use fuzz::Written;
use libfuzzer_sys::fuzz_target;
use percent_encoding::percent_decode_str;
use url::Url;
use waf::Verdict;

/// Largest body that is taken, in bytes.
const MAX_BODY: usize = 256 << 10;

fuzz_target!(|data: &[u8]| {
    let Some(written) = Written::read(data) else { return };
    let mut builder = http::Request::builder().method(written.method).uri(written.target);
    for (name, value) in &written.headers {
        builder = builder.header(name, *value);
    }
    let Ok(request) = builder.body(()) else { return };
    let (parts, ()) = request.into_parts();
    if edge::fault(&parts, MAX_BODY).is_some() {
        return;
    }
    one_spelling(parts.uri.path());
    // As the gateway's handler sees it: without a fragment.
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let written = Written { target, ..written };
    let judged = written.judged();
    assert_eq!(judged, written.judged(), "the model says the same twice");
    assert!(judged.deviations.len() <= 8);
    let verdict = written.inspected(&judged.typed);
    assert_eq!(verdict, written.inspected(&judged.typed), "the rules say the same twice");
    if let Ok(verdict) = verdict {
        sound(&verdict);
    }
    if judged.operation.is_some() && judged.deviations.is_empty() && !judged.answers_itself {
        a_name_more(&written);
    }
});

/// A path that passed means the same to whoever decodes it, once.
fn one_spelling(path: &str) {
    let decoded = percent_decode_str(path).collect::<Vec<u8>>();
    let segments = |bytes: &[u8]| bytes.split(|byte| *byte == b'/').count();
    assert!(!decoded.contains(&0) && !decoded.contains(&b'\\'), "{path}");
    assert_eq!(segments(&decoded), segments(path.as_bytes()), "{path}");
    assert!(decoded.split(|byte| *byte == b'/').all(|segment| segment != b"." && segment != b".."), "{path}");
    let Ok(url) = Url::parse(&format!("https://gateway.example{path}")) else { return };
    assert_eq!(percent_decode_str(url.path()).collect::<Vec<u8>>(), decoded, "a browser's reading of {path}");
}

fn sound(verdict: &Verdict) {
    for found in &verdict.matches {
        assert!(found.digest.len() == 16 && found.masked.chars().count() <= 40);
        assert!(found.masked.chars().all(|it| it == 'x'
            || it == '9'
            || it == '·'
            || it.is_ascii_graphic()
            || it == ' '));
    }
    assert!(!verdict.blocked || verdict.refused_by.is_some());
}

/// What is as described is not so any more with a name that nobody knows.
fn a_name_more(written: &Written<'_>) {
    let separator = if written.target.contains('?') { '&' } else { '?' };
    let target = format!("{}{separator}nobody-knows=1", written.target);
    let more = Written { target: &target, headers: written.headers.clone(), ..*written };
    assert!(!more.judged().deviations.is_empty(), "{target}");
}
