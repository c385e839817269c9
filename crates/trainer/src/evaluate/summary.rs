//! Counting answers and saying how sure the counts are.

use aecnn::Split;
use serde::Serialize;

use crate::measure::Top5;

/// What was measured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) rate: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) split: Option<Split>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) channels: Option<usize>,
    /// The feature as 32-bit floats, with every pixel of the architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) whole_feature_bytes: Option<usize>,
    /// The same without the pixels that the tail does not read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sent_feature_bytes: Option<usize>,
}

impl Method {
    pub(crate) fn uncompressed() -> Self {
        Self {
            name: "uncompressed".to_owned(),
            rate: String::new(),
            split: None,
            channels: None,
            whole_feature_bytes: None,
            sent_feature_bytes: None,
        }
    }
}

/// One method's answers.
pub(crate) struct Counts {
    method: Method,
    bytes: Vec<usize>,
    top1: usize,
    top5: usize,
    agreeing: usize,
    /// Pictures that only the uncompressed network gets right.
    lost: usize,
    /// Pictures that only this method gets right.
    won: usize,
}

impl Counts {
    pub(crate) fn new(method: Method) -> Self {
        Self {
            method,
            bytes: Vec::new(),
            top1: 0,
            top5: 0,
            agreeing: 0,
            lost: 0,
            won: 0,
        }
    }

    pub(crate) fn add(&mut self, bytes: usize, top: &Top5, reference: &Top5, class: usize) {
        self.bytes.push(bytes);
        let (right, reference_right) = (top[0] == class, reference[0] == class);
        self.top1 += usize::from(right);
        self.top5 += usize::from(top.contains(&class));
        self.agreeing += usize::from(top[0] == reference[0]);
        self.lost += usize::from(reference_right && !right);
        self.won += usize::from(right && !reference_right);
    }

    pub(crate) fn summary(&self) -> Summary {
        let n = self.bytes.len();
        let count = n.max(1) as f64;
        let mut sorted = self.bytes.clone();
        sorted.sort_unstable();
        let percentile = |p: usize| sorted.get(n * p / 100).copied().unwrap_or(0);
        let mean = self.bytes.iter().sum::<usize>() as f64 / count;
        let ratio = |bytes: Option<usize>| bytes.map(|bytes| bytes as f64 / mean);
        let (lost, won) = (self.lost as f64, self.won as f64);
        let drop = (lost - won) / count;
        // The variance of a difference of paired proportions.
        let error = ((lost + won) / count - drop * drop).max(0.0) / count;
        Summary {
            method: self.method.clone(),
            n,
            mean_bytes: mean,
            p50_bytes: percentile(50),
            p95_bytes: percentile(95),
            ratio_to_whole_feature: ratio(self.method.whole_feature_bytes),
            ratio_to_sent_feature: ratio(self.method.sent_feature_bytes),
            top1: self.top1 as f64 / count,
            top1_interval: wilson(self.top1, n),
            top5: self.top5 as f64 / count,
            agreement: self.agreeing as f64 / count,
            drop,
            drop_error: 1.96 * error.sqrt(),
        }
    }
}

/// What is reported of a method.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    method: Method,
    n: usize,
    /// Bytes a picture on the wire, header included.
    mean_bytes: f64,
    p50_bytes: usize,
    p95_bytes: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_whole_feature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio_to_sent_feature: Option<f64>,
    /// Shares of the pictures, 0 to 1.
    top1: f64,
    /// Wilson's 95 % interval.
    top1_interval: [f64; 2],
    top5: f64,
    /// Share whose top-1 class is the uncompressed network's.
    agreement: f64,
    /// Top-1 lost against the uncompressed network on the same pictures.
    drop: f64,
    /// Half the 95 % interval of the drop.
    drop_error: f64,
}

/// Wilson's 95 % interval of `hits` in `n`.
pub(crate) fn wilson(hits: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let (n, z) = (n as f64, 1.96f64);
    let p = hits as f64 / n;
    let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
    let half = z / (1.0 + z * z / n) * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    [(middle - half).max(0.0), (middle + half).min(1.0)]
}

/// The table for the terminal.
pub(crate) fn print(uncompressed: &Summary, methods: &[&Summary]) {
    let [low, high] = uncompressed.top1_interval;
    crate::say!(
        "uncompressed: top-1 {:.1} % (95 % interval {:.1} to {:.1}), top-5 {:.1} %, n = {}",
        100.0 * uncompressed.top1,
        100.0 * low,
        100.0 * high,
        100.0 * uncompressed.top5,
        uncompressed.n
    );
    if methods.is_empty() {
        return;
    }
    crate::say!(
        "{:<14} {:>7} {:>9} {:>7} {:>7} {:>8} {:>8} {:>7} {:>7} {:>7} {:>13}",
        "method",
        "rate",
        "mean B",
        "p50 B",
        "p95 B",
        "x whole",
        "x sent",
        "top-1",
        "top-5",
        "agree",
        "drop"
    );
    for row in methods {
        let ratio =
            |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |r| format!("{r:.0}"));
        crate::say!(
            "{:<14} {:>7} {:>9.1} {:>7} {:>7} {:>8} {:>8} {:>6.1}% {:>6.1}% {:>6.1}% {:>6.1} ± {:.1}",
            row.method.name,
            row.method.rate,
            row.mean_bytes,
            row.p50_bytes,
            row.p95_bytes,
            ratio(row.ratio_to_whole_feature),
            ratio(row.ratio_to_sent_feature),
            100.0 * row.top1,
            100.0 * row.top5,
            100.0 * row.agreement,
            100.0 * row.drop,
            100.0 * row.drop_error
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_wilsons() {
        // Newcombe 1998, table I: 81 of 263 gives 0.2553 to 0.3662.
        let [low, high] = wilson(81, 263);
        assert!((low - 0.2553).abs() < 1e-4 && (high - 0.3662).abs() < 1e-4);
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

    #[test]
    fn drops_are_paired() {
        let mut counts = Counts::new(Method::uncompressed());
        let right = [3, 0, 1, 2, 4];
        let wrong = [9, 3, 1, 2, 4];
        counts.add(100, &wrong, &right, 3);
        counts.add(200, &right, &right, 3);
        counts.add(300, &right, &wrong, 3);
        counts.add(400, &wrong, &right, 3);
        let summary = counts.summary();
        assert_eq!(summary.mean_bytes, 250.0);
        assert_eq!(summary.top1, 0.5);
        assert_eq!(summary.top5, 1.0);
        assert_eq!(summary.drop, 0.25);
        assert_eq!(summary.agreement, 0.25);
    }
}
