//! What became of every frame.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use hdrhistogram::errors::CreationError;
use serde::Serialize;

/// The longest time that is told apart from longer ones.
const LONGEST: Duration = Duration::from_secs(120);

/// Frames by what became of them, and how long their answers took. Every frame that fell due
/// counts exactly once among `answered`, `refused`, `cut_off`, `no_link` and `unanswered`.
#[derive(Debug)]
pub struct Account {
    /// Frames that fell due.
    pub due: u64,
    /// Answered with labels.
    pub answered: u64,
    /// Refused by name: the error's code, and how often.
    pub refused: BTreeMap<String, u64>,
    /// On their way when the connection ended: the client knows, and may send a newer one.
    pub cut_off: u64,
    /// Not sent, because there was no connection.
    pub no_link: u64,
    /// Neither answered nor refused when the run ended, on a connection that stood: lost.
    pub unanswered: u64,
    /// Times that a connection was opened again.
    pub reconnects: u64,
    /// Why connections ended, and how often.
    pub closes: BTreeMap<String, u64>,
    /// The longest time that a client had to wait from the loss of its connection to an answer.
    pub longest_recovery: Duration,
    /// Bytes of answered frames, headers included.
    pub bytes: u64,
    /// Sum of the batch sizes of the answers.
    pub batches: u64,
    /// From when a frame fell due to its answer, in microseconds: what a slow answer delays
    /// counts as well.
    latency: Histogram<u64>,
}

impl Account {
    /// Nothing yet.
    ///
    /// # Errors
    ///
    /// Never with the bounds that stand here; the histogram's constructor asks for it.
    pub fn new() -> Result<Self, CreationError> {
        let longest = u64::try_from(LONGEST.as_micros()).unwrap_or(u64::MAX);
        Ok(Self {
            due: 0,
            answered: 0,
            refused: BTreeMap::new(),
            cut_off: 0,
            no_link: 0,
            unanswered: 0,
            reconnects: 0,
            closes: BTreeMap::new(),
            longest_recovery: Duration::ZERO,
            bytes: 0,
            batches: 0,
            latency: Histogram::new_with_bounds(1, longest, 3)?,
        })
    }

    /// An answer that came so long after its frame fell due.
    pub fn answer(&mut self, latency: Duration, bytes: u64, batch: u16) {
        self.answered += 1;
        self.bytes += bytes;
        self.batches += u64::from(batch);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency.saturating_record(micros.max(1));
    }

    /// A refusal with this code.
    pub fn refuse(&mut self, code: &str) {
        *self.refused.entry(code.to_owned()).or_default() += 1;
    }

    /// A connection that ended for this reason.
    pub fn close(&mut self, why: &str) {
        *self.closes.entry(why.to_owned()).or_default() += 1;
    }

    /// Adds another client's account.
    pub fn add(&mut self, other: &Self) {
        self.due += other.due;
        self.answered += other.answered;
        self.cut_off += other.cut_off;
        self.no_link += other.no_link;
        self.unanswered += other.unanswered;
        self.reconnects += other.reconnects;
        self.bytes += other.bytes;
        self.batches += other.batches;
        self.longest_recovery = self.longest_recovery.max(other.longest_recovery);
        for (mine, theirs) in [
            (&mut self.refused, &other.refused),
            (&mut self.closes, &other.closes),
        ] {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
        // Both have the same bounds.
        let _ = self.latency.add(&other.latency);
    }

    /// The account in figures.
    #[must_use]
    pub fn report(&self, clients: usize, seconds: f64) -> Report {
        let ms = |quantile| self.latency.value_at_quantile(quantile) as f64 / 1000.0;
        Report {
            clients,
            seconds,
            due: self.due,
            answered: self.answered,
            refused: self.refused.clone(),
            cut_off: self.cut_off,
            no_link: self.no_link,
            unanswered: self.unanswered,
            reconnects: self.reconnects,
            closes: self.closes.clone(),
            longest_recovery_ms: self.longest_recovery.as_secs_f64() * 1000.0,
            offered_per_second: self.due as f64 / seconds,
            answered_per_second: self.answered as f64 / seconds,
            mean_bytes: ratio(self.bytes, self.answered),
            mean_batch: ratio(self.batches, self.answered),
            p50_ms: ms(0.5),
            p95_ms: ms(0.95),
            p99_ms: ms(0.99),
            max_ms: self.latency.max() as f64 / 1000.0,
        }
    }
}

fn ratio(sum: u64, count: u64) -> f64 {
    sum as f64 / count.max(1) as f64
}

/// A run in figures.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Clients.
    pub clients: usize,
    /// How long frames fell due.
    pub seconds: f64,
    /// See [`Account::due`].
    pub due: u64,
    /// See [`Account::answered`].
    pub answered: u64,
    /// See [`Account::refused`].
    pub refused: BTreeMap<String, u64>,
    /// See [`Account::cut_off`].
    pub cut_off: u64,
    /// See [`Account::no_link`].
    pub no_link: u64,
    /// See [`Account::unanswered`].
    pub unanswered: u64,
    /// See [`Account::reconnects`].
    pub reconnects: u64,
    /// See [`Account::closes`].
    pub closes: BTreeMap<String, u64>,
    /// See [`Account::longest_recovery`], in milliseconds.
    pub longest_recovery_ms: f64,
    /// Frames that fell due a second.
    pub offered_per_second: f64,
    /// Answers a second.
    pub answered_per_second: f64,
    /// Mean bytes of an answered frame, header included.
    pub mean_bytes: f64,
    /// Mean over the answers of the number of inputs that each was computed with.
    pub mean_batch: f64,
    /// Half of the answers came within this time of their frame's falling due, in milliseconds.
    pub p50_ms: f64,
    /// 95 %.
    pub p95_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// All.
    pub max_ms: f64,
}

impl Report {
    /// Whether every frame is accounted for: none is lost, and the counts add up.
    #[must_use]
    pub fn balances(&self) -> bool {
        let refused: u64 = self.refused.values().sum();
        self.unanswered == 0 && self.due == self.answered + refused + self.cut_off + self.no_link
    }

    /// The heading of [`Self::row`], as a Markdown table.
    pub const HEADING: &'static str = "| clients | offered /s | answered /s | batch | p50 ms | p95 ms | p99 ms | refused | lost |\n\
         |---|---|---|---|---|---|---|---|---|";

    /// The run as a row of a Markdown table.
    #[must_use]
    pub fn row(&self) -> String {
        let refused: Vec<_> = self
            .refused
            .iter()
            .map(|(code, count)| format!("{code} {count}"))
            .collect();
        let refused = if refused.is_empty() {
            "0".to_owned()
        } else {
            refused.join(", ")
        };
        format!(
            "| {} | {:.1} | {:.1} | {:.1} | {:.0} | {:.0} | {:.0} | {refused} | {} |",
            self.clients,
            self.offered_per_second,
            self.answered_per_second,
            self.mean_batch,
            self.p50_ms,
            self.p95_ms,
            self.p99_ms,
            self.unanswered,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_add_up_and_balance() {
        let mut one = Account::new().unwrap();
        one.due = 3;
        one.answer(Duration::from_millis(10), 100, 1);
        one.answer(Duration::from_millis(30), 100, 3);
        one.refuse("overloaded");
        let mut two = Account::new().unwrap();
        two.due = 2;
        two.refuse("overloaded");
        two.cut_off = 1;
        two.longest_recovery = Duration::from_millis(40);
        one.add(&two);
        let report = one.report(2, 2.0);
        assert!(report.balances(), "{report:?}");
        assert_eq!((report.due, report.refused["overloaded"]), (5, 2));
        assert_eq!((report.answered_per_second, report.mean_batch), (1.0, 2.0));
        assert!((report.p50_ms - 10.0).abs() < 0.1 && (report.p99_ms - 30.0).abs() < 0.1);
        one.unanswered = 1;
        assert!(!one.report(2, 2.0).balances());
    }
}
