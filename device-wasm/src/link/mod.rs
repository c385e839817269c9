//! A link that the user dials in. Without sockets, timers or a browser: the caller has the clock.
//!
//! The rate is kept by a token bucket that holds no more than the message at its head needs: an idle link saves up
//! nothing, so a small message after a pause takes its time as well. What counts is the bytes that are handed to
//! the socket; the framing of WebSocket, TLS and IP below is not emulated.

mod lane;
mod random;

pub use lane::Lane;
pub use random::Random;

use serde::{Deserialize, Serialize};

use crate::error::DeviceError;

/// What a loss costs at least, in milliseconds: TCP waits so long before it sends again.
pub const RESEND_MS: f64 = 200.0;

/// The dials. Written as the `Link` of the types.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkSettings {
    /// Kilobits (1000 bits) a second each way, 50 to 100,000.
    pub kbps: f64,
    /// Milliseconds there and back without the time that bytes take, 0 to 2,000; half of it each way.
    pub rtt_ms: f64,
    /// Up to so many milliseconds more for each message, 0 to 1,000.
    pub jitter_ms: f64,
    /// Share of messages that are lost once and arrive later by a round trip, but at least by
    /// [`RESEND_MS`]; 0 to 0.5.
    pub loss: f64,
}

impl LinkSettings {
    /// Checks the ranges.
    ///
    /// # Errors
    ///
    /// When a dial is out of its range.
    pub fn checked(self) -> Result<Self, DeviceError> {
        let dials = [
            ("kbps", self.kbps, 50.0, 100_000.0),
            ("rttMs", self.rtt_ms, 0.0, 2_000.0),
            ("jitterMs", self.jitter_ms, 0.0, 1_000.0),
            ("loss", self.loss, 0.0, 0.5),
        ];
        for (name, value, least, most) in dials {
            if !(least..=most).contains(&value) {
                return Err(DeviceError::InvalidArgument(format!(
                    "the link's {name} is {value}; right would be {least} to {most}"
                )));
            }
        }
        Ok(self)
    }

    /// Milliseconds that so many bytes take.
    #[must_use]
    pub fn ms_for(&self, bytes: f64) -> f64 {
        bytes * 8.0 / self.kbps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_out_of_range_are_refused() {
        let good = LinkSettings {
            kbps: 50.0,
            rtt_ms: 0.0,
            jitter_ms: 0.0,
            loss: 0.5,
        };
        assert!(good.checked().is_ok());
        for bad in [
            LinkSettings { kbps: 49.0, ..good },
            LinkSettings {
                kbps: f64::NAN,
                ..good
            },
            LinkSettings {
                rtt_ms: -1.0,
                ..good
            },
            LinkSettings { loss: 1.0, ..good },
        ] {
            assert!(bad.checked().is_err(), "{bad:?}");
        }
    }
}
