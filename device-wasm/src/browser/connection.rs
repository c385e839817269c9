//! The socket and the timer: does what the [`Session`] says, and feeds it what happens.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

use js_sys::{Function, Math, Reflect};
use serde::Serialize;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::spawn_local;
use web_sys::{CloseEvent, MessageEvent, WebSocket};
use wire::{FrameResult, HEADER_BYTES, Hello, SUBPROTOCOL};

use super::canvas::close;
use super::convert::{message, set, to_js};
use super::device::Core;
use crate::clock::now_ms;
use crate::encode::{EncodedFrame, StepTimings};
use crate::error::DeviceError;
use crate::session::{ABNORMAL, Action, FrameCounts, Frames, Session};

/// Whom to tell.
#[derive(Default, Clone)]
pub(super) struct Callbacks {
    pub(super) on_result: Option<Function>,
    pub(super) on_state: Option<Function>,
    pub(super) on_error: Option<Function>,
    pub(super) on_sent: Option<Function>,
}

/// A frame that waits for its encoding.
struct Waiting {
    source: JsValue,
    capture_time_us: u64,
}

/// What is remembered of a frame until its answer comes; the page gets it with both.
#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Sent {
    sequence: u32,
    capture_time_us: u64,
    bytes: usize,
    split: &'static str,
    codec: String,
    rate: String,
    channels: u16,
    timings: StepTimings,
    #[serde(skip)]
    at_ms: f64,
}

/// The connection of a device; it may be closed.
pub(super) struct Connection {
    core: Rc<Core>,
    url: RefCell<String>,
    callbacks: RefCell<Callbacks>,
    frames_in_flight: Cell<usize>,
    top_k: Cell<Option<u8>>,
    session: RefCell<Option<Session>>,
    frames: RefCell<Frames<Waiting, Sent>>,
    socket: RefCell<Option<Socket>>,
    timer: RefCell<Option<Timer>>,
    me: Weak<Self>,
}

impl Connection {
    pub(super) fn new(core: Rc<Core>) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            core,
            url: RefCell::default(),
            callbacks: RefCell::default(),
            frames_in_flight: Cell::new(1),
            top_k: Cell::new(None),
            session: RefCell::new(None),
            frames: RefCell::new(Frames::new(1)),
            socket: RefCell::new(None),
            timer: RefCell::new(None),
            me: me.clone(),
        })
    }

    pub(super) fn connect(
        &self,
        url: &str,
        callbacks: Callbacks,
        frames_in_flight: Option<usize>,
        top_k: Option<u8>,
    ) {
        self.url.replace(url.to_owned());
        self.callbacks.replace(callbacks);
        self.frames_in_flight.set(frames_in_flight.unwrap_or(1));
        self.top_k.set(top_k);
        if let Some(unused) = self.frames.replace(Frames::new(1)).clear_waiting() {
            close(&unused.source);
        }
        self.start();
    }

    /// Another model or codec was loaded: the server must hear of it.
    pub(super) fn model_changed(&self) {
        if self.session.borrow().is_some() {
            self.start();
        }
    }

    pub(super) fn disconnect(&self) {
        // Taken first: a callback may connect again.
        let Some(mut session) = self.session.take() else {
            return;
        };
        let unused = {
            let mut frames = self.frames.borrow_mut();
            frames.link_broke();
            frames.clear_waiting()
        };
        if let Some(unused) = unused {
            close(&unused.source);
        }
        self.perform(session.disconnect());
    }

    pub(super) fn submit(&self, source: JsValue, capture_time_us: u64) {
        let replaced = self.frames.borrow_mut().submit(Waiting {
            source,
            capture_time_us,
        });
        if let Some(replaced) = replaced {
            close(&replaced.source);
        }
        self.pump();
    }

    pub(super) fn counts(&self) -> FrameCounts {
        self.frames.borrow().counts()
    }

    pub(super) fn codec_id(&self) -> Option<u8> {
        self.session.borrow().as_ref().and_then(Session::codec_id)
    }

    fn start(&self) {
        let Ok(model) = self.core.model() else {
            return;
        };
        let hello = Hello {
            client: concat!("aecnn-device/", env!("CARGO_PKG_VERSION")).to_owned(),
            model: model.model_digest().to_owned(),
            codec: model.codec_digest().to_owned(),
            split: model.split().as_u8(),
            rate: self.core.rate.get(),
            top_k: self.top_k.get(),
            // The wire allows 128 bytes.
            backend: Some(self.core.backend.label.chars().take(32).collect()),
        };
        self.frames.borrow_mut().link_broke();
        let actions = self
            .session
            .borrow_mut()
            .get_or_insert_with(|| Session::new(hello.clone()))
            .connect(hello);
        self.perform(actions);
    }

    /// Encodes and sends waiting frames as far as the limit allows.
    fn pump(&self) {
        if self.codec_id().is_none() {
            return;
        }
        let Some(next) = self.frames.borrow_mut().start() else {
            return;
        };
        let Some(me) = self.me.upgrade() else {
            return;
        };
        spawn_local(async move {
            me.encode_and_send(next).await;
            me.pump();
        });
    }

    async fn encode_and_send(&self, next: Waiting) {
        let codec_id = self.codec_id().unwrap_or(0);
        let model = self.core.model();
        let encoded = self
            .core
            .encode_source(&next.source, codec_id, next.capture_time_us)
            .await;
        close(&next.source);
        let sent = encoded.and_then(|frame| {
            // The link or the model may have changed while the backend worked.
            let same_model = matches!(
                (&model, &self.core.model()),
                (Ok(before), Ok(now)) if Rc::ptr_eq(before, now)
            );
            if self.codec_id() != Some(codec_id) || !same_model {
                return Err(DeviceError::Connection(
                    "it broke while the frame was encoded".to_owned(),
                ));
            }
            self.send(&frame)?;
            self.describe(&frame)
        });
        match sent {
            Ok(sent) => {
                self.tell(|to| to.on_sent.clone(), &to_js(&sent));
                self.frames.borrow_mut().sent(sent.sequence, sent);
                self.traffic();
            }
            Err(error) => {
                self.frames.borrow_mut().failed();
                self.tell(|to| to.on_error.clone(), &error.into());
            }
        }
    }

    fn send(&self, frame: &EncodedFrame) -> Result<(), DeviceError> {
        let limit = self
            .session
            .borrow()
            .as_ref()
            .map_or(u32::MAX, |session| session.limits().max_payload);
        let payload = frame.message.len() - HEADER_BYTES;
        if payload > limit as usize {
            return Err(DeviceError::InvalidArgument(format!(
                "the payload has {payload} bytes, and the server takes {limit}; choose a lower rate"
            )));
        }
        match self.socket.borrow().as_ref() {
            Some(socket) => socket
                .inner
                .send_with_u8_array(&frame.message)
                .map_err(|error| DeviceError::Connection(message(&error))),
            None => Err(DeviceError::Connection("there is none".to_owned())),
        }
    }

    fn describe(&self, frame: &EncodedFrame) -> Result<Sent, DeviceError> {
        let model = self.core.model()?;
        Ok(Sent {
            sequence: frame.header.sequence,
            capture_time_us: frame.header.capture_time_us,
            bytes: frame.message.len(),
            split: model.split().name(),
            codec: model.codec_name().to_owned(),
            rate: model.rate(frame.header.rate)?.name.clone(),
            channels: frame.header.channels,
            timings: frame.timings,
            at_ms: now_ms(),
        })
    }

    /// Does what the session says.
    fn perform(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Open => self.open(),
                Action::SendText(text) => self.send_text(&text),
                Action::Close { code, reason } => {
                    if let Some(socket) = self.socket.take() {
                        socket.close(code, &reason);
                    }
                }
                Action::StartTimer(ms) => {
                    self.timer.replace(self.start_timer(ms));
                }
                Action::StopTimer => {
                    self.timer.replace(None);
                }
                Action::State(state) => {
                    self.apply_limits();
                    self.tell(|to| to.on_state.clone(), &to_js(&state));
                    self.pump();
                }
                Action::Answer(result) => self.answered(&result),
                Action::Fail(error) => self.failed(error),
            }
        }
    }

    fn apply_limits(&self) {
        let session = self.session.borrow();
        let server = session
            .as_ref()
            .map_or(1, |session| session.limits().max_frames_in_flight);
        let limit = self.frames_in_flight.get().min(usize::from(server));
        self.frames.borrow_mut().set_limit(limit);
    }

    fn answered(&self, result: &FrameResult) {
        let sent = self.frames.borrow_mut().answered(result.sequence);
        // An answer to a frame of before the link broke is of no use.
        let Some(sent) = sent else {
            return;
        };
        let answer = to_js(result);
        set(&answer, "roundTripMs", &(now_ms() - sent.at_ms).into());
        set(&answer, "frame", &to_js(&sent));
        self.traffic();
        self.tell(|to| to.on_result.clone(), &answer);
        self.pump();
    }

    fn failed(&self, error: DeviceError) {
        if let DeviceError::Server {
            sequence: Some(sequence),
            ..
        } = &error
        {
            self.frames.borrow_mut().refused(*sequence);
            self.traffic();
        }
        self.tell(|to| to.on_error.clone(), &error.into());
        self.pump();
    }

    fn traffic(&self) {
        let on_their_way = self.frames.borrow().on_their_way();
        self.with_session(|session| session.traffic(on_their_way));
    }

    fn open(&self) {
        match Socket::open(&self.url.borrow(), &self.me) {
            Ok(socket) => {
                self.socket.replace(Some(socket));
            }
            // A malformed address throws at once; no attempt would end otherwise.
            Err(error) => {
                let error = DeviceError::Connection(message(&error));
                self.tell(|to| to.on_error.clone(), &error.into());
                let actions = match self.session.borrow_mut().as_mut() {
                    Some(session) => session.disconnect(),
                    None => Vec::new(),
                };
                self.perform(actions);
            }
        }
    }

    fn send_text(&self, text: &str) {
        let sent = match self.socket.borrow().as_ref() {
            Some(socket) => socket.inner.send_with_str(text),
            None => Ok(()),
        };
        if let Err(error) = sent {
            let error = DeviceError::Connection(message(&error));
            self.tell(|to| to.on_error.clone(), &error.into());
        }
    }

    fn socket_closed(&self, code: u16, reason: &str) {
        self.socket.replace(None);
        let lost = self.frames.borrow_mut().link_broke();
        self.with_session(|session| session.closed(code, reason, Math::random(), lost));
    }

    fn timer_ran_out(&self) {
        let lost = self.frames.borrow_mut().link_broke();
        self.with_session(|session| session.timer(Math::random(), lost));
    }

    fn with_session(&self, happened: impl FnOnce(&mut Session) -> Vec<Action>) {
        // The borrow ends before the actions: a callback may call the device again.
        let actions = match self.session.borrow_mut().as_mut() {
            Some(session) => happened(session),
            None => return,
        };
        self.perform(actions);
    }

    fn tell(&self, whom: impl FnOnce(&Callbacks) -> Option<Function>, what: &JsValue) {
        let callback = whom(&self.callbacks.borrow());
        if let Some(callback) = callback
            && let Err(error) = callback.call1(&JsValue::UNDEFINED, what)
        {
            // The page's own mistake: show it where it would have been shown.
            web_sys::console::error_1(&error);
        }
    }

    fn start_timer(&self, ms: f64) -> Option<Timer> {
        let me = self.me.clone();
        Timer::start(ms, move || {
            if let Some(connection) = me.upgrade() {
                connection.timer_ran_out();
            }
        })
    }
}

/// A socket with its listeners; when it is dropped, nothing more is heard of it.
struct Socket {
    inner: WebSocket,
    _on_open: Closure<dyn FnMut()>,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_close: Closure<dyn FnMut(CloseEvent)>,
}

impl Socket {
    fn open(url: &str, connection: &Weak<Connection>) -> Result<Self, JsValue> {
        let inner = WebSocket::new_with_str(url, SUBPROTOCOL)?;
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
                connection.with_session(|session| session.text(&text));
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

    fn close(self, code: u16, reason: &str) {
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

/// A pending `setTimeout`; dropping it cancels it.
struct Timer {
    id: JsValue,
    _callback: Closure<dyn FnMut()>,
}

impl Timer {
    fn start(ms: f64, callback: impl FnMut() + 'static) -> Option<Self> {
        let callback = Closure::<dyn FnMut()>::new(callback);
        let id = global_function("setTimeout")?
            .call2(&JsValue::UNDEFINED, callback.as_ref(), &ms.into())
            .ok()?;
        Some(Self {
            id,
            _callback: callback,
        })
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(clear) = global_function("clearTimeout") {
            // Clearing a timer that has run is allowed, and nothing else can fail.
            let _ = clear.call1(&JsValue::UNDEFINED, &self.id);
        }
    }
}

/// A function of the page's or the worker's global scope.
fn global_function(name: &str) -> Option<Function> {
    Reflect::get(&js_sys::global(), &name.into())
        .ok()?
        .dyn_into()
        .ok()
}
