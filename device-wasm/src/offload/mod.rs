//! Automatic offloading: which way a frame goes, so that the user's goal is reached.
//!
//! Without a browser and without a clock of its own. Every frame that comes back is [observed](Offload::observe);
//! [`choose`](Offload::choose) weighs the [`Candidate`]s by what the link ([`LinkEstimate`]), this device and the
//! server ([`Costs`]) were seen to do. A choice stays until another is clearly better. What nothing is known of
//! is tried for a frame where it may turn out to be better, and less and less often where it did not.

mod candidates;
mod costs;
mod estimate;
mod probe;
#[cfg(test)]
mod simulation;

pub use candidates::{Candidate, of_codec, of_device, of_pictures};
pub use costs::{Cost, Costs, Observation};
pub use estimate::LinkEstimate;

use std::collections::HashMap;

use probe::{Pending, Probes};
use serde::{Deserialize, Serialize};

use crate::error::DeviceError;
use crate::way::Way;

/// How often [`Offload::wait`] is to be called while something is on its way, in milliseconds.
pub const LOOK_MS: f64 = 100.0;
/// Another way must be better by this factor.
const CLEARLY: f64 = 0.95;
/// Ways within this factor of the best are as good: then the one with the higher agreement is taken.
const AS_GOOD: f64 = 1.015;
/// What is tried must promise to be better by this factor.
const PROMISING: f64 = 0.97;
/// So many standard deviations better than it looks may the link be.
const LUCK: f64 = 2.0;
/// The share of the time that may be spent on trials; what may be spent at first, and at most at once, in milliseconds.
const TRIAL_SHARE: f64 = 0.03;
const TRIAL_START: f64 = 400.0;
/// And what at least when the link has changed.
const TRIAL_CHANGED: f64 = 200.0;
const TRIAL_MOST: f64 = 2_000.0;
/// Milliseconds between two trials of anything, and before the second trial of one way; that doubles.
const TRIAL_MS: f64 = 500.0;
const AGAIN_MS: f64 = 10_000.0;
/// Of ways within this factor of the fastest, a look at the link takes the one with the highest agreement.
const LOOK_WIDTH: f64 = 1.3;
/// A message of so many bytes is stuck for long on a link that has just become slow, and nothing else is learnt meanwhile: it
/// is never sent for a look, and tried only where it is expected to take at most so many times as long as the present way, or
/// as the deadline allows, and nothing says that the link has changed.
const LARGE_BYTES: f64 = 20_000.0;
const LARGE_WIDTH: f64 = 1.3;
/// For the accuracy goal, a way that is newly taken must be this far within the deadline.
const MARGIN: f64 = 0.95;

/// What the user wants. Written as the `Goal` of the types.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "kind",
    rename_all = "lowercase",
    rename_all_fields = "camelCase"
)]
pub enum Goal {
    /// The lowest time to label.
    Latency {
        /// Of ways that agree with the uncompressed network at least so often, 0 to 1.
        floor: f64,
    },
    /// The highest agreement.
    Accuracy {
        /// Of ways whose time to label is at most this, in milliseconds.
        deadline_ms: f64,
    },
}

impl Goal {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// When the floor is no share, or the deadline is not positive.
    pub fn checked(self) -> Result<Self, DeviceError> {
        let right = match self {
            Self::Latency { floor } => (0.0..=1.0).contains(&floor),
            Self::Accuracy { deadline_ms } => deadline_ms > 0.0 && deadline_ms.is_finite(),
        };
        if right {
            return Ok(self);
        }
        Err(DeviceError::InvalidArgument(
            "a goal's floor is a share of 0 to 1, its deadline is in milliseconds above 0"
                .to_owned(),
        ))
    }
}

/// What a way is expected to cost now. Written as the `Estimate` of the types.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// The way.
    pub way: Way,
    /// Time to label in milliseconds.
    pub ms: f64,
    /// Share of pictures whose top-1 is the uncompressed network's.
    pub agreement: f64,
    /// Bytes up.
    pub bytes: f64,
    /// What people call the way.
    #[serde(skip)]
    name: String,
    /// Time to label if all that is not known turns out well.
    #[serde(skip)]
    hoped_ms: f64,
}

/// The link as it was measured.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Measured {
    /// Kilobits a second.
    pub kbps: f64,
    /// Milliseconds there and back.
    pub rtt_ms: f64,
}

/// A choice and its reasons. Written as the `Decision` of the types, which has the time as well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Decision {
    /// The way that was chosen.
    pub way: Way,
    /// Of every candidate, in their order.
    pub estimates: Vec<Estimate>,
    /// In a sentence.
    pub because: String,
    /// What the estimates are made with.
    pub link: Measured,
}

/// When a way is tried again.
#[derive(Debug, Clone, Copy)]
struct Trial {
    not_before: f64,
    wait: f64,
}

/// Milliseconds that trials may cost more than the chosen way. It fills with time.
#[derive(Debug, Clone, Copy)]
struct Budget {
    ms: f64,
    at: Option<f64>,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            ms: TRIAL_START,
            at: None,
        }
    }
}

impl Budget {
    fn fill(&mut self, now: f64) {
        let passed = now - self.at.replace(now).unwrap_or(now);
        self.ms = (self.ms + TRIAL_SHARE * passed).min(TRIAL_MOST);
    }
}

/// The decision maker.
#[derive(Debug, Clone, Default)]
pub struct Offload {
    goal: Option<Goal>,
    link: LinkEstimate,
    costs: Costs,
    candidates: Vec<Candidate>,
    current: Option<Way>,
    trials: HashMap<Way, Trial>,
    last_trial: Option<f64>,
    budget: Budget,
    changes: u32,
    /// The frame that is on its way.
    pending: Option<Pending>,
    probes: Probes,
}

impl Offload {
    /// Aims at a goal from now on; `None` ends it. What was learnt stays.
    pub fn set_goal(&mut self, goal: Option<Goal>) {
        self.goal = goal;
        self.current = None;
    }

    /// What can be chosen from now on.
    pub fn set_candidates(&mut self, candidates: Vec<Candidate>) {
        self.candidates = candidates;
    }

    /// What was learnt of the link.
    #[must_use]
    pub fn link(&self) -> &LinkEstimate {
        &self.link
    }

    /// A frame was sent.
    pub fn sent(&mut self, now: f64, way: &Way, bytes: f64) {
        let server_ms = self
            .candidate(way)
            .map_or(0.0, |candidate| self.costs.of(candidate).server_ms);
        self.pending = Some(Pending::new(now, bytes, server_ms));
    }

    /// Whether the server of now answers pings.
    pub fn set_pings(&mut self, answered: bool) {
        self.probes.possible = answered;
    }

    /// The text of a ping, if one is to be sent now: while frames are classified here, and only by it, the link is heard of.
    pub fn ping(&mut self, now: f64) -> Option<String> {
        let here = self.goal.is_some() && self.current == Some(Way::Device);
        let elsewhere = || self.candidates.iter().any(|other| other.way != Way::Device);
        if !here || self.pending.is_some() || !elsewhere() {
            return None;
        }
        self.probes.send(now, &self.link)
    }

    /// Whether something is on its way whose delay would tell of the link.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.goal.is_some() && (self.pending.is_some() || self.is_pinging())
    }

    /// Whether a ping is on its way.
    #[must_use]
    pub fn is_pinging(&self) -> bool {
        self.probes.is_out()
    }

    /// A ping's answer came, of so many bytes. It may have been there for up to `unseen_ms`, in which nobody looked.
    pub fn ponged(&mut self, now: f64, id: u32, bytes: f64, unseen_ms: f64) {
        self.probes
            .answered(now, id, bytes, unseen_ms, &mut self.link);
    }

    /// The server does not answer this ping.
    pub fn ping_refused(&mut self, id: u32) {
        self.probes.refused(id);
    }

    /// Time passes. What should have been answered by now tells that the link is slower than it was, unless the answer is there
    /// and for `unseen_ms` nobody has looked.
    pub fn wait(&mut self, now: f64, unseen_ms: f64) {
        if let Some(pending) = &mut self.pending {
            pending.wait(now, unseen_ms, &mut self.link);
        }
        self.probes.wait(now, unseen_ms, &mut self.link);
    }

    /// A frame came back; `network_ms` is the time that it spent in the network, where it was sent.
    pub fn observe(&mut self, now: f64, seen: &Observation, network_ms: Option<f64>) {
        let expected = self.candidate(&seen.way).map(|candidate| candidate.bytes);
        self.costs.observe(seen, expected);
        if let Some(ms) = network_ms {
            self.pending = None;
            self.link
                .observe(now, seen.up_bytes + seen.down_bytes, ms, 0.0);
        } else {
            self.probes.used(now);
        }
    }

    /// The frame that was on its way will not come back.
    pub fn lost(&mut self) {
        self.pending = None;
    }

    /// Nothing that was on its way will be answered.
    pub fn broke(&mut self) {
        self.lost();
        self.probes.lost();
    }

    /// Decides: the choice and its reasons. `None` without a goal or without candidates.
    pub fn decide(&mut self) -> Option<Decision> {
        let goal = self.goal?;
        let estimates: Vec<Estimate> = self.candidates.iter().map(|c| self.estimate(c)).collect();
        // One that is well within a deadline, before one that just is.
        let best = best(&estimates, goal, MARGIN)
            .filter(|best| allowed(best, goal, MARGIN))
            .or_else(|| best(&estimates, goal, 1.0))?;
        let kept = self
            .current
            .as_ref()
            .and_then(|way| estimates.iter().find(|estimate| estimate.way == *way))
            .filter(|current| stays(current, best, goal, &estimates));
        let chosen = kept.unwrap_or(best);
        let decision = Decision {
            way: chosen.way.clone(),
            because: because(chosen, &estimates, goal, &self.link),
            link: Measured {
                kbps: self.link.kbps(),
                rtt_ms: self.link.rtt_ms(),
            },
            estimates: estimates.clone(),
        };
        self.current = Some(decision.way.clone());
        Some(decision)
    }

    /// The way of the next frame: the decision's, or now and then one of which too little is known.
    pub fn next_way(&mut self, now: f64, decision: &Decision) -> Way {
        self.budget.fill(now);
        let Some((way, costs)) = self.trial(now, decision) else {
            return decision.way.clone();
        };
        self.last_trial = Some(now);
        self.budget.ms -= costs.max(0.0);
        let wait = self.trials.get(&way).map_or(AGAIN_MS, |t| 2.0 * t.wait);
        let not_before = now + wait;
        self.trials.insert(way.clone(), Trial { not_before, wait });
        way
    }

    /// A way to try, and what that costs more.
    fn trial(&mut self, now: f64, decision: &Decision) -> Option<(Way, f64)> {
        let goal = self.goal?;
        if self.changes != self.link.changes() {
            // What was tried under another link says little.
            self.changes = self.link.changes();
            self.trials.clear();
            self.budget.ms = self.budget.ms.max(TRIAL_CHANGED);
        }
        // One thing is learnt at a time.
        if self.last_trial.is_some_and(|last| now - last < TRIAL_MS) {
            return None;
        }
        let current = decision
            .estimates
            .iter()
            .find(|estimate| estimate.way == decision.way)?;
        if current.way == Way::Device && self.link.is_stale(now) && !self.probes.possible {
            return self.look_at_link(current, &decision.estimates);
        }
        let enough = match goal {
            Goal::Latency { .. } => current.ms,
            Goal::Accuracy { deadline_ms } => deadline_ms.max(current.ms),
        };
        decision
            .estimates
            .iter()
            .filter(|other| promises(other, current, goal))
            .filter(|other| other.ms - current.ms <= self.budget.ms)
            .filter(|other| {
                let near = other.ms <= LARGE_WIDTH * enough;
                other.bytes <= LARGE_BYTES || (near && !self.link.is_doubtful())
            })
            .filter(|other| {
                (self.trials.get(&other.way)).is_none_or(|trial| now >= trial.not_before)
            })
            .min_by(|a, b| a.hoped_ms.total_cmp(&b.hoped_ms))
            .map(|other| (other.way.clone(), other.ms - current.ms))
    }

    /// While everything runs here and the server answers no pings, only a frame that is sent tells how the link is: now and then
    /// one goes, be its agreement below the goal's.
    fn look_at_link(&self, current: &Estimate, all: &[Estimate]) -> Option<(Way, f64)> {
        let sent = || all.iter().filter(|other| other.way != Way::Device);
        let least = sent().map(|e| e.ms).fold(f64::INFINITY, f64::min);
        sent()
            .filter(|other| other.ms <= LOOK_WIDTH * least && other.bytes <= LARGE_BYTES)
            .filter(|other| other.ms - current.ms <= self.budget.ms)
            .max_by(|a, b| a.agreement.total_cmp(&b.agreement))
            .map(|other| (other.way.clone(), other.ms - current.ms))
    }

    fn candidate(&self, way: &Way) -> Option<&Candidate> {
        self.candidates
            .iter()
            .find(|candidate| candidate.way == *way)
    }

    fn estimate(&self, candidate: &Candidate) -> Estimate {
        let cost = self.costs.of(candidate);
        let computing = cost.here_ms + cost.server_ms;
        let (network, hoped) = if candidate.way == Way::Device {
            (0.0, 0.0)
        } else {
            let bytes = cost.up_bytes + cost.down_bytes;
            let ms = self.link.ms(bytes);
            let unsure = self.link.uncertainty(bytes);
            (ms, (ms - LUCK * unsure).max(0.0))
        };
        Estimate {
            way: candidate.way.clone(),
            ms: computing + network,
            agreement: candidate.agreement,
            bytes: cost.up_bytes,
            name: candidate.name(),
            hoped_ms: computing * cost.hope + hoped,
        }
    }
}

/// Whether the goal allows a way; `slack` widens its deadline.
fn allowed(estimate: &Estimate, goal: Goal, slack: f64) -> bool {
    match goal {
        Goal::Latency { floor } => estimate.agreement >= floor,
        Goal::Accuracy { deadline_ms } => estimate.ms <= slack * deadline_ms,
    }
}

/// The best way towards the goal. Where none reaches it, the one that comes nearest.
fn best(estimates: &[Estimate], goal: Goal, slack: f64) -> Option<&Estimate> {
    let fastest = |among: &[&'_ Estimate]| -> Option<usize> {
        let least = among.iter().map(|e| e.ms).fold(f64::INFINITY, f64::min);
        (0..among.len())
            .filter(|&i| among[i].ms <= AS_GOOD * least)
            .max_by(|&a, &b| among[a].agreement.total_cmp(&among[b].agreement))
    };
    let within: Vec<&Estimate> = estimates
        .iter()
        .filter(|estimate| allowed(estimate, goal, slack))
        .collect();
    let among: Vec<&Estimate> = match goal {
        Goal::Latency { .. } if within.is_empty() => highest(&estimates.iter().collect::<Vec<_>>()),
        Goal::Latency { .. } => within,
        Goal::Accuracy { .. } if within.is_empty() => estimates.iter().collect(),
        Goal::Accuracy { .. } => highest(&within),
    };
    fastest(&among).and_then(|index| among.get(index).copied())
}

/// Those with the highest agreement.
fn highest<'a>(among: &[&'a Estimate]) -> Vec<&'a Estimate> {
    let most = among.iter().map(|e| e.agreement).fold(0.0, f64::max);
    among
        .iter()
        .copied()
        .filter(|estimate| estimate.agreement >= most - 1e-9)
        .collect()
}

/// Whether the present choice is kept, though `best` is the best.
fn stays(current: &Estimate, best: &Estimate, goal: Goal, all: &[Estimate]) -> bool {
    if current.way == best.way {
        return true;
    }
    match goal {
        Goal::Latency { .. } => {
            let clearly = best.ms < CLEARLY * current.ms;
            let more = best.agreement > current.agreement && best.ms <= current.ms;
            // Where nothing reaches the floor, agreement comes first.
            let eligible = allowed(current, goal, 1.0)
                || (!all.iter().any(|other| allowed(other, goal, 1.0))
                    && current.agreement >= best.agreement);
            eligible && !clearly && !more
        }
        Goal::Accuracy { deadline_ms } => {
            // Over the deadline it is left; a better one must be well within.
            let within = current.ms <= deadline_ms;
            let better = best.agreement > current.agreement && best.ms <= MARGIN * deadline_ms;
            let as_good_and_faster =
                best.agreement >= current.agreement && best.ms < CLEARLY * current.ms;
            within && !better && !as_good_and_faster
        }
    }
}

/// Whether a way may turn out to be better than the present one.
fn promises(other: &Estimate, current: &Estimate, goal: Goal) -> bool {
    if other.way == current.way {
        return false;
    }
    match goal {
        Goal::Latency { floor } => {
            other.agreement >= floor.min(current.agreement)
                && other.hoped_ms < PROMISING * current.ms
                && other.ms >= CLEARLY * current.ms
        }
        Goal::Accuracy { deadline_ms } => {
            // Where nothing is known to be in time, whatever may be.
            (other.agreement > current.agreement || current.ms > deadline_ms)
                && other.hoped_ms < PROMISING * deadline_ms
                && other.ms > MARGIN * deadline_ms
        }
    }
}

fn because(chosen: &Estimate, all: &[Estimate], goal: Goal, link: &LinkEstimate) -> String {
    let at = format!(
        "At {} and {:.0} ms there and back",
        rate(link.kbps()),
        link.rtt_ms()
    );
    let way = &chosen.name;
    let ms = chosen.ms;
    match goal {
        Goal::Latency { floor } if !allowed(chosen, goal, 1.0) => format!(
            "No way that is loaded agrees with the whole network on {:.1} % of pictures; {way} comes nearest with {:.1} %.",
            100.0 * floor,
            100.0 * chosen.agreement
        ),
        Goal::Latency { .. } => {
            let next = all
                .iter()
                .filter(|other| allowed(other, goal, 1.0) && !same_kind(&other.way, &chosen.way))
                .min_by(|a, b| a.ms.total_cmp(&b.ms));
            match next {
                Some(next) => format!(
                    "{at}, {way} is expected to take {ms:.0} ms; {} would take {:.0} ms.",
                    next.name, next.ms
                ),
                None => format!("{at}, {way} is expected to take {ms:.0} ms, the least."),
            }
        }
        Goal::Accuracy { deadline_ms } if !allowed(chosen, goal, 1.0 / MARGIN) => format!(
            "{at}, no way takes less than {deadline_ms:.0} ms; {way} comes nearest with {ms:.0} ms."
        ),
        Goal::Accuracy { deadline_ms } => format!(
            "{at}, {way} is expected to take {ms:.0} of {deadline_ms:.0} ms, and agrees with the whole network on {:.1} % of pictures.",
            100.0 * chosen.agreement
        ),
    }
}

fn rate(kbps: f64) -> String {
    if kbps < 1_000.0 {
        format!("{kbps:.0} kbit/s")
    } else {
        format!("{:.1} Mbit/s", kbps / 1e3)
    }
}

/// Ways that a reader would call the same: rates of one codec, qualities of one format.
fn same_kind(a: &Way, b: &Way) -> bool {
    match (a, b) {
        (Way::Features { codec: a, .. }, Way::Features { codec: b, .. }) => a == b,
        (Way::Picture { format: a, .. }, Way::Picture { format: b, .. }) => a == b,
        (a, b) => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(name: &str) -> Way {
        Way::Features {
            codec: name.to_owned(),
            rate: 0,
            channels: None,
        }
    }

    fn estimate(name: &str, ms: f64, agreement: f64) -> Estimate {
        Estimate {
            way: way(name),
            ms,
            agreement,
            bytes: 1.0,
            name: format!("{name} at 1,072 B"),
            hoped_ms: ms,
        }
    }

    const FAST: Goal = Goal::Latency { floor: 0.9 };
    const GOOD: Goal = Goal::Accuracy { deadline_ms: 100.0 };

    fn chosen(estimates: &[Estimate], goal: Goal) -> Way {
        best(estimates, goal, 1.0).unwrap().way.clone()
    }

    #[test]
    fn the_fastest_above_the_floor_is_best() {
        let all = [
            estimate("poor", 10.0, 0.8),
            estimate("slow", 60.0, 1.0),
            estimate("right", 50.0, 0.91),
        ];
        assert_eq!(chosen(&all, FAST), way("right"));
        let nothing_reaches = Goal::Latency { floor: 1.1 };
        assert_eq!(chosen(&all, nothing_reaches), way("slow"));
    }

    #[test]
    fn of_ways_as_fast_the_better_one_is_taken() {
        let all = [estimate("a", 50.0, 0.91), estimate("b", 50.5, 0.95)];
        assert_eq!(chosen(&all, FAST), way("b"));
    }

    #[test]
    fn the_most_accurate_within_the_deadline_is_best() {
        let all = [
            estimate("late", 101.0, 1.0),
            estimate("right", 99.0, 0.95),
            estimate("poor", 10.0, 0.9),
        ];
        assert_eq!(chosen(&all, GOOD), way("right"));
        let too_soon = Goal::Accuracy { deadline_ms: 5.0 };
        assert_eq!(chosen(&all, too_soon), way("poor"));
    }

    #[test]
    fn a_choice_is_kept_until_another_is_clearly_better() {
        let kept = |current: &Estimate, other: &Estimate, goal| {
            let all = [current.clone(), other.clone()];
            let best = best(&all, goal, 1.0).unwrap();
            stays(current, best, goal, &all)
        };
        let current = estimate("current", 50.0, 0.95);
        assert!(kept(&current, &estimate("other", 48.0, 0.95), FAST));
        assert!(!kept(&current, &estimate("other", 47.0, 0.95), FAST));
        assert!(!kept(
            &estimate("current", 10.0, 0.8),
            &estimate("other", 47.0, 0.95),
            FAST
        ));
        assert!(kept(&current, &estimate("other", 98.0, 0.99), GOOD));
        assert!(!kept(&current, &estimate("other", 94.0, 0.99), GOOD));
        assert!(!kept(
            &estimate("current", 101.0, 0.99),
            &estimate("other", 50.0, 0.95),
            GOOD
        ));
    }

    #[test]
    fn reasons_are_sentences_with_the_figures() {
        let all = [estimate("a", 50.0, 0.91), estimate("b", 70.4, 0.95)];
        let text = because(&all[0], &all, FAST, &LinkEstimate::default());
        assert_eq!(
            text,
            "At 5.0 Mbit/s and 30 ms there and back, a at 1,072 B is expected to take 50 ms; b at 1,072 B would take 70 ms."
        );
        let text = because(&all[1], &all, GOOD, &LinkEstimate::default());
        assert!(
            text.ends_with(
                "70 of 100 ms, and agrees with the whole network on 95.0 % of pictures."
            ),
            "{text}"
        );
    }

    #[test]
    fn goals_are_written_as_the_types_promise() {
        let goal: Goal =
            serde_json::from_str(r#"{ "kind": "accuracy", "deadlineMs": 200 }"#).unwrap();
        assert_eq!(goal, Goal::Accuracy { deadline_ms: 200.0 });
        assert!(goal.checked().is_ok());
        assert!(Goal::Latency { floor: 1.5 }.checked().is_err());
        assert!(Goal::Accuracy { deadline_ms: 0.0 }.checked().is_err());
    }

    #[test]
    fn without_a_goal_nothing_is_decided() {
        let mut offload = Offload::default();
        offload.set_candidates(vec![of_device()]);
        assert_eq!(offload.decide(), None);
        offload.set_goal(Some(FAST));
        assert_eq!(offload.decide().unwrap().way, Way::Device);
    }
}
