//! `consentry statistics`: what has to be published every quarter, and what compliance asks for.
//!
//! Of each institution and service (RTS (EU) 2018/389 art. 32(4); EBA/GL/2018/07): by day uptime
//! and downtime, the average time of an answer and the rate of errors, as the gateway saw them. Of
//! consents and accesses: how many. Nothing about a person.

use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;

use anyhow::Context;
use domain::{Date, Region, Timestamp};
use serde_json::{Value, json};
use store::Stores;
use store::statistics::BankDay;

use crate::cli::StatisticsArgs;
use crate::stores;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// A quarter of a year, by UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarter {
    first: Date,
    last: Date,
}

impl FromStr for Quarter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no quarter, as 2026-Q4 is");
        let (year, quarter) = text.split_once("-Q").ok_or_else(wrong)?;
        let year: i16 = year.parse().map_err(|_| wrong())?;
        let month = match quarter {
            "1" => 1,
            "2" => 4,
            "3" => 7,
            "4" => 10,
            _ => return Err(wrong()),
        };
        let first = Date::new(year, month, 1).map_err(|_| wrong())?;
        let next = first.checked_add(jiff::Span::new().months(3)).map_err(|_| wrong())?;
        Ok(Self { first, last: next.yesterday().map_err(|_| wrong())? })
    }
}

impl Quarter {
    fn bounds(self) -> anyhow::Result<(Timestamp, Timestamp)> {
        let at = |day: Date| Ok::<_, anyhow::Error>(day.to_zoned(jiff::tz::TimeZone::UTC)?.timestamp());
        Ok((at(self.first)?, at(self.last.tomorrow()?)?))
    }
}

/// Runs the command.
pub(crate) async fn run(args: StatisticsArgs) -> anyhow::Result<ExitCode> {
    let stores = stores::open_for(&args.at).await?;
    let gathered = gather(&stores, args.quarter).await;
    stores.close().await;
    let statistics = gathered?;
    match &args.out {
        None => println!("{statistics:#}"),
        Some(folder) => write(&statistics, folder)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn gather(stores: &Stores, quarter: Quarter) -> anyhow::Result<Value> {
    let (from, until) = quarter.bounds()?;
    let (mut banks, mut consents, mut accesses) = (Vec::new(), Vec::new(), Vec::new());
    for region in stores.regions() {
        let name = region.region();
        for day in region.bank_days(quarter.first, quarter.last).await? {
            banks.push(of_day(name, &day));
        }
        for figures in region.consent_figures(from, until).await? {
            consents.push(json!({
                "region": name.as_str(), "institution_id": figures.institution, "status": figures.status,
                "lodged": figures.lodged,
            }));
        }
        for figures in region.access_figures(quarter.first, quarter.last).await? {
            accesses.push(json!({
                "region": name.as_str(), "institution_id": figures.institution, "kind": figures.kind,
                "with_psu": figures.attended, "without_psu": figures.unattended, "consents": figures.consents,
            }));
        }
    }
    Ok(json!({
        "from": quarter.first.to_string(),
        "to": quarter.last.to_string(),
        "banks": banks,
        "consents": consents,
        "accesses": accesses,
    }))
}

fn of_day(region: Region, day: &BankDay) -> Value {
    let answered = day.calls.saturating_sub(day.unanswered);
    let down = day.down_ms.clamp(0, DAY_MS);
    json!({
        "region": region.as_str(),
        "institution_id": day.institution,
        "service": day.service,
        "day": day.day,
        "calls": day.calls,
        "errors": day.failed,
        "unanswered": day.unanswered,
        "error_rate_percent": percent(day.failed, day.calls),
        "average_ms": day.took_ms.checked_div(answered),
        "slowest_ms": day.slowest_ms,
        "uptime_percent": percent(DAY_MS - down, DAY_MS),
        "downtime_percent": percent(down, DAY_MS),
    })
}

/// A share in hundredths, with three places; none of nothing.
fn percent(part: i64, whole: i64) -> Option<String> {
    let thousandths = part.checked_mul(100_000)?.checked_div(whole)?;
    Some(format!("{}.{:03}", thousandths / 1000, thousandths % 1000))
}

fn write(statistics: &Value, folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
    let put = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
    };
    put("statistics.json", &format!("{statistics:#}\n"))?;
    let tables: [(&str, &[&str]); 3] = [
        (
            "banks",
            &[
                "region",
                "institution_id",
                "service",
                "day",
                "calls",
                "errors",
                "unanswered",
                "error_rate_percent",
                "average_ms",
                "slowest_ms",
                "uptime_percent",
                "downtime_percent",
            ],
        ),
        ("consents", &["region", "institution_id", "status", "lodged"]),
        ("accesses", &["region", "institution_id", "kind", "with_psu", "without_psu", "consents"]),
    ];
    for (name, columns) in tables {
        let mut text = columns.join(",") + "\r\n";
        for row in statistics.get(name).and_then(Value::as_array).into_iter().flatten() {
            let cells = columns.iter().map(|column| match row.get(*column) {
                // Names of ours and codes: nothing here needs quotes (RFC 4180 §2).
                Some(Value::String(cell)) => cell.clone(),
                Some(Value::Null) | None => String::new(),
                Some(other) => other.to_string(),
            });
            text.push_str(&cells.collect::<Vec<_>>().join(","));
            text.push_str("\r\n");
        }
        put(&format!("{name}.csv"), &text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_begins_and_ends_with_its_months() {
        let quarter: Quarter = "2028-Q1".parse().unwrap();
        assert_eq!(
            (quarter.first.to_string(), quarter.last.to_string()),
            ("2028-01-01".into(), "2028-03-31".into())
        );
        let quarter: Quarter = "2026-Q4".parse().unwrap();
        assert_eq!(quarter.last.to_string(), "2026-12-31");
        for wrong in ["2026", "2026-Q5", "Q1-2026", "2026-q1", ""] {
            assert!(wrong.parse::<Quarter>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn shares_are_of_something() {
        assert_eq!(percent(1, 3).as_deref(), Some("33.333"));
        assert_eq!(percent(DAY_MS, DAY_MS).as_deref(), Some("100.000"));
        assert_eq!(percent(0, 0), None);
    }
}
