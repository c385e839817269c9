//! What the server answers to a frame, and to a whole picture.

use serde::{Deserialize, Serialize};

/// The answer to one frame.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrameResult {
    /// The frame's sequence number.
    pub sequence: u32,
    /// The frame's capture time, as the device sent it: the device subtracts it from its own clock.
    pub capture_time_us: u64,
    /// The most probable classes, most probable first.
    pub top: Vec<Prediction>,
    /// Where the server's time went.
    pub timings: Timings,
    /// How many frames, of all sessions, went through the network together with this one; at least 1.
    pub batch: u16,
    /// Bytes of the frame's payload as received, header not counted.
    pub payload_bytes: u32,
}

/// The answer to `POST /v1/classify`: a whole picture, run through the whole network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifyResponse {
    /// The digest of the model that answered.
    pub model: String,
    /// The most probable classes, most probable first.
    pub top: Vec<Prediction>,
    /// Where the server's time went; `decode_us` is the picture's decoding, `restore_us` its preprocessing.
    pub timings: Timings,
    /// How many inputs went through the network together with this one; at least 1.
    pub batch: u16,
    /// Bytes of the body as received.
    pub payload_bytes: u32,
}

/// One class and how probable it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The class's index in the model's labels.
    pub class: u16,
    /// The class's label.
    pub label: String,
    /// Softmax probability, 0 to 1.
    pub probability: f32,
}

/// The server's time for one frame by step, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// From arrival to the start of the batch it ran in, entropy decoding not counted.
    pub queue_us: u32,
    /// Entropy decoding: bytes to symbols.
    pub decode_us: u32,
    /// The codec's decoder: symbols to feature.
    pub restore_us: u32,
    /// The rest of the network: feature to logits.
    pub tail_us: u32,
    /// From arrival to the answer's serialisation.
    pub total_us: u32,
}
