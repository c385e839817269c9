//! A frame's whole way in milliseconds.

use serde::Serialize;
use wire::Timings;

use crate::encode::StepTimings;

/// The steps, the same for every way. Written as the `Steps` of the types.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Steps {
    /// Reading the source's pixels.
    pub capture: f64,
    /// Crop, resample, normalise.
    pub preprocess: f64,
    /// The network's part that runs here.
    pub front: f64,
    /// Feature encoder and quantiser, or the picture's compression.
    pub encode: f64,
    /// Entropy coding and framing.
    pub code: f64,
    /// Up.
    pub send: f64,
    /// Waiting on the server: for the network, and between its steps.
    pub queue: f64,
    /// Bytes to feature, or to the network's input.
    pub decode: f64,
    /// The network's part that runs there.
    pub tail: f64,
    /// Down; of the whole network here, logits to labels.
    pub answer: f64,
}

impl Steps {
    /// Of a frame that was sent. Of its round trip, what is not the server's was spent in the network;
    /// `answer_ms` of that is the answer's.
    #[must_use]
    pub fn sent(here: &StepTimings, server: &Timings, round_trip_ms: f64, answer_ms: f64) -> Self {
        let ms = |us: u32| f64::from(us) / 1e3;
        let decode = ms(server.decode_us) + ms(server.restore_us);
        let tail = ms(server.tail_us);
        let answer = answer_ms.clamp(0.0, network_ms(server, round_trip_ms));
        Self {
            send: network_ms(server, round_trip_ms) - answer,
            queue: (ms(server.total_us) - decode - tail).max(ms(server.queue_us)),
            decode,
            tail,
            answer,
            ..Self::here(here)
        }
    }

    /// Of a frame that the whole network here answered.
    #[must_use]
    pub fn here_only(here: &StepTimings, answer_ms: f64) -> Self {
        Self {
            answer: answer_ms,
            ..Self::here(here)
        }
    }

    fn here(here: &StepTimings) -> Self {
        Self {
            capture: here.capture,
            preprocess: here.preprocess,
            front: here.front,
            encode: here.encode + here.quantise,
            code: here.code,
            ..Self::default()
        }
    }
}

/// Of a round trip, what was not spent on the server.
#[must_use]
pub fn network_ms(server: &Timings, round_trip_ms: f64) -> f64 {
    (round_trip_ms - f64::from(server.total_us) / 1e3).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_steps_add_up_to_the_time() {
        let here = StepTimings {
            capture: 1.0,
            preprocess: 2.0,
            front: 30.0,
            encode: 4.0,
            quantise: 0.5,
            code: 0.25,
            total: 37.75,
        };
        let server = Timings {
            queue_us: 1_000,
            decode_us: 500,
            restore_us: 1_500,
            tail_us: 40_000,
            total_us: 44_000,
        };
        let steps = Steps::sent(&here, &server, 100.0, 20.0);
        assert_eq!((steps.send, steps.answer), (36.0, 20.0));
        assert_eq!((steps.queue, steps.decode, steps.tail), (2.0, 2.0, 40.0));
        let sum = steps.capture
            + steps.preprocess
            + steps.front
            + steps.encode
            + steps.code
            + steps.send
            + steps.queue
            + steps.decode
            + steps.tail
            + steps.answer;
        assert!((sum - here.total - 100.0).abs() < 1e-9, "{sum}");
    }

    #[test]
    fn an_answer_takes_at_most_what_there_is() {
        let server = Timings {
            total_us: 90_000,
            ..Timings::default()
        };
        let steps = Steps::sent(&StepTimings::default(), &server, 100.0, 20.0);
        assert_eq!((steps.send, steps.answer), (0.0, 10.0));
        let steps = Steps::sent(&StepTimings::default(), &server, 80.0, 20.0);
        assert_eq!((steps.send, steps.answer), (0.0, 0.0));
    }
}
