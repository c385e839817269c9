//! The WebSocket.

use std::rc::Weak;

use js_sys::Array;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CloseEvent, MessageEvent, WebSocket};
use wire::SUBPROTOCOL;

use super::connection::Connection;
use super::convert::message;
use crate::error::DeviceError;
use crate::session::{ABNORMAL, Session};

/// A message to the server.
pub(super) enum Up {
    Text(String),
    Binary(Vec<u8>),
}

impl Up {
    /// Its bytes, the WebSocket's framing not counted.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }
}

/// A socket with its listeners; when it is dropped, nothing more is heard of it.
pub(super) struct Socket {
    inner: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Socket {
    /// Opens it; a token goes along as a subprotocol, for a page cannot set headers of a WebSocket.
    pub(super) fn open(
        url: &str,
        token: Option<&str>,
        connection: &Weak<Connection>,
    ) -> Result<Self, JsValue> {
        let protocols = Array::of1(&SUBPROTOCOL.into());
        if let Some(token) = token {
            protocols.push(&format!("bearer.{token}").into());
        }
        let inner = WebSocket::new_with_str_sequence(url, &protocols)?;
        let to = connection.clone();
        let on_open = Closure::<dyn FnMut()>::new(move || {
            if let Some(connection) = to.upgrade() {
                connection.with_session(Session::opened);
            }
        });
        let to = connection.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            // The protocol's server sends text only.
            if let (Some(connection), Some(text)) = (to.upgrade(), event.data().as_string()) {
                connection.received(text);
            }
        });
        let to = connection.clone();
        let on_close = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
            if let Some(connection) = to.upgrade() {
                // Browsers say 1005 when the close message had no code.
                let code = if event.code() == 1005 {
                    ABNORMAL
                } else {
                    event.code()
                };
                connection.socket_closed(code, &event.reason());
            }
        });
        inner.set_onopen(Some(on_open.as_ref().unchecked_ref()));
        inner.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        inner.set_onclose(Some(on_close.as_ref().unchecked_ref()));
        Ok(Self {
            inner,
            _on_open: on_open,
            _on_message: on_message,
            _on_close: on_close,
        })
    }

    pub(super) fn send(&self, up: &Up) -> Result<(), DeviceError> {
        match up {
            Up::Text(text) => self.inner.send_with_str(text),
            Up::Binary(bytes) => self.inner.send_with_u8_array(bytes),
        }
        .map_err(|error| DeviceError::Connection(message(&error)))
    }

    pub(super) fn close(self, code: u16, reason: &str) {
        // Fails only for codes and reasons that a page may not use; the socket is dropped anyway.
        let _ = self
            .inner
            .close_with_code_and_reason(code, wire::close::reason(reason));
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.inner.set_onopen(None);
        self.inner.set_onmessage(None);
        self.inner.set_onclose(None);
    }
}
