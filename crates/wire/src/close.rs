//! The WebSocket close codes that the server uses.
//!
//! The ones below 3000 are those of RFC 6455; the ones from 4000 are this protocol's. The reason of the close
//! frame repeats the message of the last [`ErrorMessage`](crate::ErrorMessage) in short form.

/// Done; nothing is wrong.
pub const NORMAL: u16 = 1000;
/// The server is shutting down: reconnect, with backoff.
pub const GOING_AWAY: u16 = 1001;
/// A policy of the server was broken: rate, frames in flight, idle time, a message out of turn.
pub const POLICY: u16 = 1008;
/// A message was longer than the limits allow.
pub const TOO_BIG: u16 = 1009;
/// The server failed; the client did nothing wrong.
pub const INTERNAL: u16 = 1011;
/// A text message was not one of this protocol's.
pub const BAD_MESSAGE: u16 = 4000;
/// The server does not serve the model, the codec or the rate that the hello names.
pub const NOT_SERVED: u16 = 4001;
/// A binary message was not a frame, or its payload did not decode.
pub const BAD_FRAME: u16 = 4002;

/// The longest reason that fits into a close frame, in bytes of UTF-8.
pub const MAX_REASON_BYTES: usize = 123;

/// `reason` cut to what fits into a close frame, at a character boundary.
#[must_use]
pub fn reason(reason: &str) -> &str {
    if reason.len() <= MAX_REASON_BYTES {
        return reason;
    }
    let end = (0..=MAX_REASON_BYTES)
        .rev()
        .find(|&at| reason.is_char_boundary(at))
        .unwrap_or(0);
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let long = format!("{}\u{fc}\u{fc}", "a".repeat(MAX_REASON_BYTES - 1));
        assert_eq!(reason(&long), "a".repeat(MAX_REASON_BYTES - 1));
        assert_eq!(reason("short"), "short");
    }
}
