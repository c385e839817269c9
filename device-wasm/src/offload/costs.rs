//! What each way costs on this device and on this server, learnt from frames.

use std::collections::HashMap;

use aecnn::Split;

use super::Candidate;
use crate::way::{Format, Way};

/// Billions of multiplications up to the end of stem, stages 1 to 4, at 224x224; the classifier adds next to none.
const GMAC: [f64; 5] = [0.12, 0.79, 1.8, 3.3, WHOLE];
/// All of them.
const WHOLE: f64 = 4.1;
/// Milliseconds a billion multiplications take where nothing was measured yet: here, and on the server.
const FIRST_PACE: [f64; 2] = [60.0, 20.0];
/// Milliseconds for compressing and for decoding a picture, where nothing was measured yet.
const FIRST_PICTURE: f64 = 4.0;
/// Bytes of an answer, where none was measured yet.
const FIRST_ANSWER: f64 = 600.0;
/// The weight of a new value once there are a few.
const WEIGHT: f64 = 0.3;
/// What was measured less often than this may be better than it looks: the first frames of a way pay for what is done
/// once. By what factor, and where nothing was measured at all.
const ENOUGH: u32 = 3;
const HOPE: f64 = 0.6;
const HIGH_HOPE: f64 = 0.2;

/// A mean that forgets.
#[derive(Debug, Clone, Copy, Default)]
struct Mean {
    value: f64,
    samples: u32,
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.samples = self.samples.saturating_add(1);
        let weight = WEIGHT.max(1.0 / f64::from(self.samples));
        self.value += weight * (value - self.value);
    }
}

/// What a frame's time here depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Here {
    Codec(String),
    Format(Format),
    Whole,
}

/// What a frame cost.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The way it went.
    pub way: Way,
    /// Where the way cuts the network, if it does.
    pub split: Option<Split>,
    /// Milliseconds here: capture to message.
    pub here_ms: f64,
    /// Of these, the network's.
    pub network_here_ms: f64,
    /// Milliseconds on the server; 0 when nothing was sent.
    pub server_ms: f64,
    /// Of these, the network's.
    pub tail_ms: f64,
    /// Bytes of the message.
    pub up_bytes: f64,
    /// Bytes of the answer.
    pub down_bytes: f64,
}

/// What a way is expected to cost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cost {
    /// Milliseconds here.
    pub here_ms: f64,
    /// Milliseconds on the server.
    pub server_ms: f64,
    /// Bytes of the message; 0 when none is sent.
    pub up_bytes: f64,
    /// Bytes of the answer.
    pub down_bytes: f64,
    /// By what the milliseconds may be too many, as a factor of them: 1 when they were measured.
    pub hope: f64,
}

/// The costs of the ways.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    here: HashMap<Here, Mean>,
    server: HashMap<Option<Split>, Mean>,
    /// Milliseconds a billion multiplications: here, on the server.
    pace: [Mean; 2],
    /// What comes before the network here.
    before: Mean,
    bytes: HashMap<Way, Mean>,
    /// Measured bytes over expected bytes, by what the way is encoded with.
    excess: HashMap<Here, Mean>,
    answer: Mean,
}

impl Costs {
    /// Learns from a frame; `expected` are the bytes that its way was said to take.
    pub fn observe(&mut self, seen: &Observation, expected: Option<f64>) {
        let key = key(&seen.way);
        self.here.entry(key.clone()).or_default().add(seen.here_ms);
        let front = front_gmac(&seen.way, seen.split);
        if front > 0.0 && seen.network_here_ms > 0.0 {
            self.pace[0].add(seen.network_here_ms / front);
        }
        self.before
            .add((seen.here_ms - seen.network_here_ms).max(0.0));
        if seen.way == Way::Device {
            return;
        }
        self.server
            .entry(seen.split)
            .or_default()
            .add(seen.server_ms);
        let tail = WHOLE - front;
        if tail > 0.0 && seen.tail_ms > 0.0 {
            self.pace[1].add(seen.tail_ms / tail);
        }
        self.bytes
            .entry(seen.way.clone())
            .or_default()
            .add(seen.up_bytes);
        if let Some(expected) = expected.filter(|bytes| *bytes > 0.0) {
            self.excess
                .entry(key)
                .or_default()
                .add(seen.up_bytes / expected);
        }
        self.answer.add(seen.down_bytes);
    }

    /// What a way costs, as far as it is known.
    #[must_use]
    pub fn of(&self, candidate: &Candidate) -> Cost {
        let key = key(&candidate.way);
        let front = front_gmac(&candidate.way, candidate.split);
        let here = self.here.get(&key).copied().unwrap_or_default();
        let here_ms = if here.samples > 0 {
            here.value
        } else {
            let compress = match candidate.way {
                Way::Picture { .. } => FIRST_PICTURE,
                _ => 0.0,
            };
            self.before.value + compress + front * self.pace(0)
        };
        if candidate.way == Way::Device {
            return Cost {
                here_ms,
                server_ms: 0.0,
                up_bytes: 0.0,
                down_bytes: 0.0,
                hope: hope(here),
            };
        }
        let server = self
            .server
            .get(&candidate.split)
            .copied()
            .unwrap_or_default();
        let server_ms = if server.samples > 0 {
            server.value
        } else {
            FIRST_PICTURE + (WHOLE - front) * self.pace(1)
        };
        let excess = self.excess.get(&key).map_or(1.0, |mean| mean.value);
        Cost {
            here_ms,
            server_ms,
            up_bytes: (self.bytes.get(&candidate.way))
                .map_or(candidate.bytes * excess, |mean| mean.value),
            down_bytes: if self.answer.samples > 0 {
                self.answer.value
            } else {
                FIRST_ANSWER
            },
            hope: hope(here).min(hope(server)),
        }
    }

    fn pace(&self, side: usize) -> f64 {
        let mean = self.pace[side];
        if mean.samples > 0 {
            mean.value
        } else {
            FIRST_PACE[side]
        }
    }
}

fn hope(mean: Mean) -> f64 {
    match mean.samples {
        0 => HIGH_HOPE,
        few if few < ENOUGH => HOPE,
        _ => 1.0,
    }
}

fn key(way: &Way) -> Here {
    match way {
        Way::Features { codec, .. } => Here::Codec(codec.clone()),
        Way::Picture { format, .. } => Here::Format(*format),
        Way::Device => Here::Whole,
    }
}

/// Billions of multiplications here.
fn front_gmac(way: &Way, split: Option<Split>) -> f64 {
    match way {
        Way::Device => WHOLE,
        Way::Picture { .. } => 0.0,
        Way::Features { .. } => split.map_or(0.0, |split| GMAC[split.stages()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(rate: u8) -> Candidate {
        Candidate {
            way: Way::Features {
                codec: "klt".to_owned(),
                rate,
                channels: None,
            },
            split: Some(Split::Stage2),
            bytes: 1000.0 * f64::from(rate + 1),
            agreement: 0.9,
        }
    }

    fn seen(candidate: &Candidate) -> Observation {
        Observation {
            way: candidate.way.clone(),
            split: candidate.split,
            here_ms: 100.0,
            network_here_ms: 90.0,
            server_ms: 50.0,
            tail_ms: 46.0,
            up_bytes: 1.2 * candidate.bytes,
            down_bytes: 500.0,
        }
    }

    #[test]
    fn one_rates_frames_tell_of_the_codecs_other_rates() {
        let mut costs = Costs::default();
        for _ in 0..3 {
            costs.observe(&seen(&features(0)), Some(1000.0));
        }
        let other = costs.of(&features(3));
        assert_eq!(
            (other.here_ms, other.server_ms, other.hope),
            (100.0, 50.0, 1.0)
        );
        assert!((other.up_bytes - 4_800.0).abs() < 1.0, "{}", other.up_bytes);
    }

    #[test]
    fn what_was_not_measured_follows_from_the_work() {
        let mut costs = Costs::default();
        costs.observe(&seen(&features(0)), Some(1000.0));
        let device = Candidate {
            way: Way::Device,
            split: None,
            bytes: 0.0,
            agreement: 1.0,
        };
        // 50 ms a billion here, of 4.1 billions, and what comes before.
        let cost = costs.of(&device);
        assert!((cost.here_ms - 215.0).abs() < 1.0, "{cost:?}");
        assert_eq!((cost.server_ms, cost.up_bytes), (0.0, 0.0));
        assert!(cost.hope < 1.0);
    }

    #[test]
    fn a_mean_forgets() {
        let mut mean = Mean::default();
        (0..20).for_each(|_| mean.add(10.0));
        (0..10).for_each(|_| mean.add(20.0));
        assert!(mean.value > 19.0, "{}", mean.value);
    }
}
