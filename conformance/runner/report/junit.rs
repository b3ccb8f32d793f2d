//! For what runs builds.

use super::{Report, Verdict};

/// A JUnit document: a suite for each profile.
pub(super) fn document(report: &Report) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    for profile in &report.profiles {
        let of: Vec<_> = report.outcomes.iter().filter(|outcome| outcome.profile == *profile).collect();
        let count =
            |verdicts: &[Verdict]| of.iter().filter(|outcome| verdicts.contains(&outcome.verdict)).count();
        text.push_str(&format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" timestamp=\"{}\">\n",
            escaped(profile),
            of.len(),
            count(&[Verdict::Failed]),
            count(&[Verdict::Blocked]),
            count(&[Verdict::NotApplicable, Verdict::Skipped, Verdict::LeftOut, Verdict::Waived]),
            report.started,
        ));
        for outcome in of {
            text.push_str(&format!(
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{}.{:03}\">",
                escaped(profile),
                escaped(&outcome.key()),
                outcome.ms / 1000,
                outcome.ms % 1000,
            ));
            let says = escaped(&format!("{} ({}): {}", outcome.title, outcome.clause, outcome.says));
            match outcome.verdict {
                Verdict::Passed => {}
                Verdict::Failed => text.push_str(&format!("<failure message=\"{says}\"/>")),
                Verdict::Blocked => text.push_str(&format!("<error message=\"{says}\"/>")),
                Verdict::Warned => text.push_str(&format!("<system-out>warned: {says}</system-out>")),
                Verdict::Waived | Verdict::NotApplicable | Verdict::Skipped | Verdict::LeftOut => {
                    text.push_str(&format!("<skipped message=\"{}: {says}\"/>", outcome.verdict.name()));
                }
            }
            text.push_str("</testcase>\n");
        }
        text.push_str("  </testsuite>\n");
    }
    text.push_str("</testsuites>\n");
    text
}

/// A text in XML or HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // XML 1.0 has no other control characters, not even escaped.
            '\t' | '\n' | '\r' => out.push(letter),
            control if control.is_control() => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}
