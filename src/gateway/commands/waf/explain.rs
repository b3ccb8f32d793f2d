//! `consentry policy waf explain`: what each layer says of one request.

use std::fmt::{self, Display, Formatter};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;

use super::sent::Sent;
use crate::filter::GatewayFilter;
use crate::filter::explain::{Answer, Explanation, OfExclusion, OfMatch, OfPlace, OfSignatures};
use crate::read_or_piped;

/// Explains a request of a file, or one that is piped in.
pub(super) async fn run(file: &Path, filter: &GatewayFilter, as_json: bool) -> anyhow::Result<ExitCode> {
    let sent: Sent = serde_json::from_str(&read_or_piped(file)?)
        .with_context(|| format!("{} is no request", file.display()))?;
    let (mut parts, body) = sent.received().context("no listener takes such a request")?;
    edge::without_identity(&mut parts.headers);
    let explanation = filter.explain(&parts, &body).await?;
    let mut out = std::io::stdout();
    if as_json {
        writeln!(out, "{}", serde_json::to_string(&explanation)?)?;
    } else {
        write!(out, "{}", Told(&explanation))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An explanation for a person.
struct Told<'e>(&'e Explanation);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Explanation { hygiene, operation, mode, model, signatures, exclusions, answer } = self.0;
        writeln!(f, "hygiene     {}", hygiene.as_deref().unwrap_or("nothing against it"))?;
        let operation = operation.as_deref().unwrap_or("not described");
        writeln!(f, "operation   {operation}, filter: {}", format!("{mode:?}").to_lowercase())?;
        for OfPlace { part, place, word } in &model.deviations {
            writeln!(f, "model       deviates: {word} {part}:{place}")?;
        }
        for OfPlace { part, place, word } in &model.values {
            writeln!(f, "model       {part}:{place} is {word}")?;
        }
        told_of_signatures(signatures, f)?;
        for exclusion in exclusions {
            told_of_exclusion(exclusion, f)?;
        }
        let Answer { status, code, report } = answer;
        match (status, report) {
            (Some(status), _) => writeln!(f, "answer      {status} {}", code.as_deref().unwrap_or_default()),
            (None, Some(report)) => writeln!(f, "answer      the handler's, which tells of: {report}"),
            (None, None) => writeln!(f, "answer      the handler's"),
        }
    }
}

fn told_of_signatures(signatures: &OfSignatures, f: &mut Formatter<'_>) -> fmt::Result {
    let OfSignatures { matches, score, refused_by, over_budget } = signatures;
    if let Some(why) = over_budget {
        return writeln!(f, "signatures  {why}");
    }
    for OfMatch { rule, message, target, level, score, length, sha256, snippet } in matches {
        writeln!(
            f,
            "signatures  {rule} {message}: {target}, level {level}, score {score}, {length} bytes, \
             sha256 {sha256}, {snippet}"
        )?;
    }
    match refused_by {
        Some(rule) => writeln!(f, "signatures  score {score}, refused by {rule}"),
        None => writeln!(f, "signatures  score {score}, nothing to refuse"),
    }
}

fn told_of_exclusion(exclusion: &OfExclusion, f: &mut Formatter<'_>) -> fmt::Result {
    let OfExclusion { rules, target, owner, reason, expires, silences } = exclusion;
    let target = target.as_deref().unwrap_or("whole");
    write!(f, "exclusion   {rules} {target}, {owner}, until {expires}: {reason}; ")?;
    match silences.as_slice() {
        [] => writeln!(f, "changes nothing here"),
        some => writeln!(f, "silences {some:?}"),
    }
}
