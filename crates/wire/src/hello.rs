//! The two messages that open a session.

use serde::{Deserialize, Serialize};

use crate::{Limits, MAX_TOP_K, MessageError, SPLITS, check};

/// The first message of a device: who it is and what it will send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Name and version of the client, for the server's log; at most 128 bytes.
    pub client: String,
    /// The digest of the model whose front the device runs (its manifest's `digest`).
    pub model: String,
    /// The digest of the codec file the device encodes with.
    pub codec: String,
    /// Where the device cuts the network: the codec's split, `0..`[`SPLITS`].
    pub split: u8,
    /// The rate's index in the codec file that the device starts with; each frame names its own again.
    pub rate: u8,
    /// Predictions wanted in an answer, `1..=`[`MAX_TOP_K`]; the server's default (5) when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u8>,
    /// What the device computes on ("webgpu: ...", "cpu (simd)"), for the server's log; at most 128 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
}

impl Hello {
    pub(crate) fn check(&self) -> Result<(), MessageError> {
        check::that(self.client.len() <= 128, "client", "at most 128 bytes")?;
        check::digest("model", &self.model)?;
        check::digest("codec", &self.codec)?;
        check::that(self.split < SPLITS, "split", "0 (stem) to 4 (stage 4)")?;
        let top_k = self.top_k.unwrap_or(1);
        check::that(
            (1..=MAX_TOP_K).contains(&top_k),
            "top_k",
            "1 to 100, or absent",
        )?;
        let backend = self.backend.as_ref().map_or(0, String::len);
        check::that(backend <= 128, "backend", "at most 128 bytes, or absent")
    }
}

/// The server's answer to a hello that it accepts. Frames may follow now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The session's number in the server's log; below 2^53, so that every JSON reader keeps it exactly.
    pub session: u64,
    /// Name and version of the server.
    pub server: String,
    /// The digest of the model that the session uses.
    pub model: String,
    /// Every codec that frames of this session may use, the hello's among them.
    pub codecs: Vec<CodecInfo>,
    /// What the server allows.
    #[serde(default)]
    pub limits: Limits,
    /// Whether the server answers a [`Ping`](crate::Ping). One whose welcome does not say so takes it for a bad message.
    #[serde(default)]
    pub pings: bool,
}

impl Welcome {
    /// The codec whose file has the digest `digest`.
    #[must_use]
    pub fn codec(&self, digest: &str) -> Option<&CodecInfo> {
        self.codecs.iter().find(|codec| codec.digest == digest)
    }

    pub(crate) fn check(&self) -> Result<(), MessageError> {
        check::that(self.session < 1 << 53, "session", "below 2^53")?;
        check::digest("model", &self.model)?;
        self.codecs.iter().try_for_each(CodecInfo::check)
    }
}

/// One codec that the server can decode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodecInfo {
    /// The number that stands for it in the frames of this session.
    pub id: u8,
    /// SHA-256 of the codec file.
    pub digest: String,
    /// Its name in the model's manifest.
    pub name: String,
    /// The split it is made for, `0..`[`SPLITS`].
    pub split: u8,
    /// How many rates it has; a frame's `rate` is below this.
    pub rates: u8,
}

impl CodecInfo {
    fn check(&self) -> Result<(), MessageError> {
        check::digest("codecs[].digest", &self.digest)?;
        check::that(
            self.split < SPLITS,
            "codecs[].split",
            "0 (stem) to 4 (stage 4)",
        )
    }
}
