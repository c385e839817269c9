//! The checks that several messages share.

use crate::MessageError;

/// Characters of a digest: SHA-256 in lower-case hexadecimal.
pub const DIGEST_LEN: usize = 64;

/// Whether `text` is a SHA-256 digest as this protocol writes it: 64 lower-case hexadecimal digits.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    text.len() == DIGEST_LEN && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
}

pub(crate) fn digest(field: &'static str, text: &str) -> Result<(), MessageError> {
    if is_digest(text) {
        return Ok(());
    }
    Err(MessageError::Field {
        field,
        right: "64 lower-case hexadecimal digits (SHA-256)",
    })
}

/// `right` says what the range is, in words.
pub(crate) fn that(
    holds: bool,
    field: &'static str,
    right: &'static str,
) -> Result<(), MessageError> {
    if holds {
        Ok(())
    } else {
        Err(MessageError::Field { field, right })
    }
}
