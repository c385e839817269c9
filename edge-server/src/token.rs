//! Bearer tokens: who may have frames and pictures computed.

use std::fmt;

use aecnn::digest::sha256_hex;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use subtle::{Choice, ConstantTimeEq};

/// Fewest characters of a token.
pub const SHORTEST: usize = 16;

/// A page cannot set headers of a WebSocket, but it can offer subprotocols: one that begins so
/// carries a token.
pub const SUBPROTOCOL_PREFIX: &str = "bearer.";

/// A token's digest. The token itself is not kept, so that no log and no error can show it.
#[derive(Clone)]
pub struct Token {
    sha256: String,
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

impl Token {
    /// A token of at least [`SHORTEST`] characters, all of which may stand in a header and in a
    /// subprotocol's name: letters, digits, `.`, `_`, `~` and `-`.
    ///
    /// # Errors
    ///
    /// When it is another text; the message does not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < SHORTEST {
            return Err(format!(
                "a token has at least {SHORTEST} characters; `openssl rand -hex 24` makes one"
            ));
        }
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte))
        {
            return Err("a token is made of letters, digits, `.`, `_`, `~` and `-`".to_owned());
        }
        Ok(Self {
            sha256: sha256_hex(text.as_bytes()),
        })
    }
}

/// Whether a request shows one of the tokens, or none is asked for. Takes as long for a wrong
/// token as for a right one: digests are compared, each with each, to the end.
#[must_use]
pub fn is_known(headers: &HeaderMap, tokens: &[Token]) -> bool {
    if tokens.is_empty() {
        return true;
    }
    let Some(shown) = shown(headers) else {
        return false;
    };
    let shown = sha256_hex(shown.as_bytes());
    let known = tokens.iter().fold(Choice::from(0), |known, token| {
        known | token.sha256.as_bytes().ct_eq(shown.as_bytes())
    });
    known.into()
}

/// The token of a request, as a header or as a subprotocol.
fn shown(headers: &HeaderMap) -> Option<&str> {
    let header = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    header.or_else(|| {
        headers
            .get_all(SEC_WEBSOCKET_PROTOCOL)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .find_map(|protocol| protocol.trim().strip_prefix(SUBPROTOCOL_PREFIX))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const RIGHT: &str = "0123456789abcdef-right";

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        headers
    }

    #[test]
    fn tokens_are_asked_for_only_where_there_are_some() {
        let tokens = [
            Token::parse("another-token-of-some-length").unwrap(),
            Token::parse(RIGHT).unwrap(),
        ];
        assert!(is_known(&HeaderMap::new(), &[]));
        assert!(!is_known(&HeaderMap::new(), &tokens));
        for (name, value) in [
            ("authorization", format!("Bearer {RIGHT}")),
            ("authorization", format!("bearer {RIGHT}")),
            (
                "sec-websocket-protocol",
                format!("aecnn.v1, bearer.{RIGHT}"),
            ),
        ] {
            assert!(is_known(&headers(name, &value), &tokens), "{value}");
        }
        for (name, value) in [
            ("authorization", format!("Basic {RIGHT}")),
            ("authorization", format!("Bearer {RIGHT}x")),
            ("authorization", "Bearer ".to_owned()),
            ("sec-websocket-protocol", format!("aecnn.v1, {RIGHT}")),
        ] {
            assert!(!is_known(&headers(name, &value), &tokens), "{value}");
        }
    }

    #[test]
    fn weak_tokens_are_refused_and_none_is_shown() {
        for weak in ["short", "0123456789 abcdef", "0123456789/abcdef=="] {
            let error = Token::parse(weak).unwrap_err();
            assert!(!error.contains(weak), "{error}");
        }
        assert!(!format!("{:?}", Token::parse(RIGHT).unwrap()).contains("0123"));
    }
}
