//! What the engine gave, as the answer that a client gets. The same for frames and pictures.

use std::time::{Duration, Instant};

use aecnn::classes::{softmax, top_k};
use wire::{Prediction, Timings};

use crate::catalogue::Model;
use crate::engine::Finished;
use crate::error::Refusal;

/// Classes in an answer when the client names no number.
pub const DEFAULT_TOP_K: u8 = 5;

/// When things happened to one request.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// When the request was there.
    pub arrived: Instant,
    /// Time for making symbols of bytes, or pixels of a picture.
    pub decode: Duration,
    /// Time for preparing a picture; nothing for a frame.
    pub preprocess: Duration,
}

/// The answer's common part.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The most probable classes.
    pub top: Vec<Prediction>,
    /// Where the time went.
    pub timings: Timings,
    /// How many inputs were computed together.
    pub batch: u16,
}

/// Logits to labels, durations to timings.
///
/// # Errors
///
/// When the logits are not all numbers.
pub fn answer(
    model: &Model,
    finished: &Finished,
    most: u8,
    clock: &Clock,
) -> Result<Answer, Refusal> {
    let probabilities = softmax(&finished.logits).ok_or(Refusal::Extreme)?;
    let top = top_k(&probabilities, usize::from(most))
        .into_iter()
        .map(|class| Prediction {
            class: u16::try_from(class.index).unwrap_or(u16::MAX),
            label: model.labels.get(class.index).cloned().unwrap_or_default(),
            probability: class.probability,
        })
        .collect();
    Ok(Answer {
        top,
        timings: Timings {
            queue_us: micros(finished.queue),
            decode_us: micros(clock.decode),
            restore_us: micros(clock.preprocess + finished.restore),
            tail_us: micros(finished.tail),
            total_us: micros(clock.arrived.elapsed()),
        },
        batch: u16::try_from(finished.batch).unwrap_or(u16::MAX),
    })
}

fn micros(duration: Duration) -> u32 {
    u32::try_from(duration.as_micros()).unwrap_or(u32::MAX)
}
