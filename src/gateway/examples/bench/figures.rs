//! Figures, and how they are told.

use serde_json::Value;

/// One measurement of one server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    pub per_second: f64,
    /// User and system time of the server by request, in microseconds.
    pub cpu: f64,
    /// Microseconds.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Sample {
    /// From what the load says, and the processor time that the server has taken (microseconds).
    pub fn of(told: &Value, cpu: f64) -> Self {
        let figure = |name: &str| told.get(name).and_then(Value::as_f64).unwrap_or_default();
        Self {
            per_second: figure("per_second"),
            cpu: cpu / figure("requests").max(1.0),
            p50: figure("p50_us"),
            p99: figure("p99_us"),
            p999: figure("p999_us"),
        }
    }
}

/// A figure of a sample.
pub type Of = fn(&Sample) -> f64;

fn quantile(mut values: Vec<f64>, quarters: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = (values.len().saturating_sub(1)) * quarters / 4;
    values.get(at).copied().unwrap_or_default()
}

/// The middle one.
pub fn median(samples: &[Sample], of: Of) -> f64 {
    quantile(samples.iter().map(of).collect(), 2)
}

/// The middle one of the ratios within each round, with its quartiles.
pub fn spread(ours: &[Sample], peer: &[Sample], of: Of) -> String {
    let all = ratios(ours, peer, of);
    let at = |quarters| quantile(all.clone(), quarters);
    format!("{:.2}× [{:.2}–{:.2}]", at(2), at(1), at(3))
}

fn ratios(ours: &[Sample], peer: &[Sample], of: Of) -> Vec<f64> {
    ours.iter().zip(peer).map(|(ours, peer)| of(ours) / of(peer).max(f64::MIN_POSITIVE)).collect()
}

/// Microseconds as milliseconds.
pub fn ms(micros: f64) -> String {
    format!("{:.2}", micros / 1_000.0)
}
