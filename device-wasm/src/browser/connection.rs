//! The connection's driver: does what the [`Session`] says, feeds it what happens, and takes frames their ways.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};

use js_sys::{Date, Function, Int16Array, Math};
use serde::Serialize;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::spawn_local;
use wire::{FrameResult, HEADER_BYTES, Hello, Timings};

use super::canvas::close;
use super::convert::{message, set, to_js};
use super::device::Core;
use super::shaper::{Received, Shaper, Through};
use super::socket::{Socket, Up};
use super::timer::{Timer, pause};
use crate::attention::Attention;
use crate::clock::now_ms;
use crate::encode::StepTimings;
use crate::error::DeviceError;
use crate::link::LinkSettings;
use crate::offload::{Decision, Goal, LOOK_MS, Observation, Offload};
use crate::session::{Action, FrameCounts, Frames, Session};
use crate::steps::{Steps, network_ms};
use crate::way::Way;
use crate::whole::Between;

/// A decision that has not changed is told again after so many milliseconds.
const TELL_MS: f64 = 1_000.0;
/// What the real link to a server on the same machine takes, in milliseconds.
const ANSWER_HERE_MS: f64 = 2.0;
/// Classes in an answer of this device, where none were asked for: as the server's.
const TOP_K: u8 = 5;

/// Whom to tell.
#[derive(Default, Clone)]
pub(super) struct Callbacks {
    pub(super) on_result: Option<Function>,
    pub(super) on_state: Option<Function>,
    pub(super) on_error: Option<Function>,
    pub(super) on_sent: Option<Function>,
    pub(super) on_decision: Option<Function>,
}

/// A frame that waits for its turn.
pub(super) struct Waiting {
    pub(super) source: JsValue,
    pub(super) capture_time_us: u64,
    pub(super) way: Option<Way>,
    pub(super) want_latent: bool,
    /// Whether the source stays open.
    pub(super) keep: bool,
}

impl Waiting {
    fn done_with(&self) {
        if !self.keep {
            close(&self.source);
        }
    }
}

/// A frame that is ready to be sent.
pub(super) struct Ready {
    pub(super) message: Vec<u8>,
    pub(super) sequence: u32,
    pub(super) split: Option<aecnn::Split>,
    pub(super) latent: Option<Latent>,
    pub(super) timings: StepTimings,
}

/// The latent of a frame.
#[derive(Clone)]
pub(super) struct Latent {
    pub(super) shape: [usize; 3],
    pub(super) symbols: Vec<i16>,
}

/// What is remembered of a frame until its answer comes; the page gets it with both.
#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Sent {
    sequence: u32,
    capture_time_us: u64,
    bytes: usize,
    way: Way,
    timings: StepTimings,
    #[serde(skip)]
    split: Option<aecnn::Split>,
    #[serde(skip)]
    latent: Option<Latent>,
    #[serde(skip)]
    at_ms: f64,
}

/// The connection of a device; it may be closed.
pub(super) struct Connection {
    core: Rc<Core>,
    url: RefCell<String>,
    /// For a server that asks for one.
    token: RefCell<Option<String>>,
    callbacks: RefCell<Callbacks>,
    frames_in_flight: Cell<usize>,
    top_k: Cell<Option<u8>>,
    session: RefCell<Option<Session>>,
    frames: RefCell<Frames<Waiting, Sent>>,
    socket: RefCell<Option<Socket>>,
    timer: RefCell<Option<Timer>>,
    shaper: RefCell<Option<Shaper>>,
    offload: RefCell<Offload>,
    /// The last decision that was told, and when.
    told: RefCell<Option<(Way, f64)>>,
    look: RefCell<Option<Timer>>,
    attention: Cell<Attention>,
    /// When the text that is being read was there, and for how long before that it may have been there.
    arrival: Cell<[f64; 2]>,
    me: Weak<Self>,
}

impl Connection {
    pub(super) fn new(core: Rc<Core>) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            core,
            url: RefCell::default(),
            token: RefCell::default(),
            callbacks: RefCell::default(),
            frames_in_flight: Cell::new(1),
            top_k: Cell::new(None),
            session: RefCell::new(None),
            frames: RefCell::new(Frames::new(1)),
            socket: RefCell::new(None),
            timer: RefCell::new(None),
            shaper: RefCell::new(None),
            offload: RefCell::default(),
            told: RefCell::new(None),
            look: RefCell::new(None),
            attention: Cell::default(),
            arrival: Cell::default(),
            me: me.clone(),
        })
    }

    pub(super) fn connect(
        &self,
        url: &str,
        callbacks: Callbacks,
        frames_in_flight: Option<usize>,
        top_k: Option<u8>,
        token: Option<String>,
    ) {
        self.url.replace(url.to_owned());
        self.token.replace(token);
        self.callbacks.replace(callbacks);
        self.frames_in_flight.set(frames_in_flight.unwrap_or(1));
        self.top_k.set(top_k);
        if let Some(unused) = self.frames.replace(Frames::new(1)).clear_waiting() {
            unused.done_with();
        }
        self.start();
    }

    /// More was loaded, or another network: of that the server must hear.
    pub(super) fn models_changed(&self, another_network: bool) {
        if another_network && self.session.borrow().is_some() {
            self.start();
        }
        self.refresh();
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
            unused.done_with();
        }
        self.look.replace(None);
        self.perform(session.disconnect());
    }

    pub(super) fn submit(&self, frame: Waiting) {
        let replaced = self.frames.borrow_mut().submit(frame);
        if let Some(replaced) = replaced {
            replaced.done_with();
        }
        self.pump();
    }

    pub(super) fn counts(&self) -> FrameCounts {
        self.frames.borrow().counts()
    }

    /// The number of a codec in the frames of the session, if there is one.
    pub(super) fn codec_id(&self, digest: &str) -> Option<u8> {
        self.session.borrow().as_ref()?.codec_id(digest)
    }

    /// Emulates a link from now on, or ends it: what is on its way then goes at once.
    pub(super) fn set_link(&self, settings: Option<LinkSettings>) {
        let rest = {
            let mut shaper = self.shaper.borrow_mut();
            match (settings, shaper.as_mut()) {
                (Some(settings), Some(shaper)) => {
                    shaper.change(settings);
                    Through::default()
                }
                (Some(settings), None) => {
                    *shaper = Some(Shaper::new(settings));
                    Through::default()
                }
                (None, _) => shaper.take().map(|mut old| old.rest()).unwrap_or_default(),
            }
        };
        self.came_through(rest);
        self.arm_shaper();
    }

    pub(super) fn set_goal(&self, goal: Option<Goal>) {
        self.offload.borrow_mut().set_goal(goal);
        self.told.replace(None);
        self.look.replace(None);
        self.refresh();
    }

    fn start(&self) {
        let Ok((model, rate)) = self.core.chosen() else {
            return;
        };
        let hello = Hello {
            client: concat!("aecnn-device/", env!("CARGO_PKG_VERSION")).to_owned(),
            model: model.model_digest().to_owned(),
            codec: model.codec_digest().to_owned(),
            split: model.split().as_u8(),
            rate,
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

    fn session_number(&self) -> Option<u64> {
        self.session.borrow().as_ref().and_then(Session::number)
    }

    /// The candidates of the automatic choice as they are now.
    fn refresh(&self) {
        let pictures = self
            .session
            .borrow()
            .as_ref()
            .and_then(Session::limits)
            .map(|limits| limits.max_picture);
        let candidates = self.core.models.borrow().candidates(pictures);
        let pings = (self.session.borrow().as_ref()).is_some_and(Session::answers_pings);
        let mut offload = self.offload.borrow_mut();
        offload.set_candidates(candidates);
        offload.set_pings(pings);
    }

    /// Decides anew where the choice is automatic, and tells of it.
    fn decide(&self) -> Option<Decision> {
        let decision = self.offload.borrow_mut().decide()?;
        let now = now_ms();
        let known = self
            .told
            .borrow()
            .as_ref()
            .is_some_and(|(way, at)| *way == decision.way && now - at < TELL_MS);
        if !known {
            self.told.replace(Some((decision.way.clone(), now)));
            let told = to_js(&decision);
            set(&told, "at", &Date::now().into());
            self.tell(|to| to.on_decision.clone(), &told);
        }
        Some(decision)
    }

    /// The way of the frame that is next, if it can go now.
    fn next_way(&self) -> Option<Way> {
        let asked = self.frames.borrow().waiting()?.way.clone();
        let way = match asked {
            Some(way) => way,
            None => match self.decide() {
                Some(decision) => self.offload.borrow_mut().next_way(now_ms(), &decision),
                None => self.core.chosen_way().ok()?,
            },
        };
        (way == Way::Device || self.session_number().is_some()).then_some(way)
    }

    /// Takes waiting frames on their ways as far as the limit allows.
    fn pump(&self) {
        if !self.frames.borrow().is_free() {
            return;
        }
        let Some(way) = self.next_way() else {
            return;
        };
        // A callback may have taken the frame away.
        let Some(next) = self.frames.borrow_mut().start() else {
            return;
        };
        let Some(me) = self.me.upgrade() else {
            return;
        };
        spawn_local(async move {
            me.attend(Attention::work);
            let done = match way {
                Way::Device => me.answer_here(&next).await,
                way => me.encode_and_send(&next, way).await,
            };
            next.done_with();
            if let Err(error) = done {
                me.frames.borrow_mut().failed();
                me.tell(|to| to.on_error.clone(), &error.into());
            }
            me.attend(Attention::look);
            me.pump();
        });
    }

    fn attend(&self, change: impl FnOnce(&mut Attention, f64)) {
        let mut attention = self.attention.get();
        change(&mut attention, now_ms());
        self.attention.set(attention);
    }

    /// Between the stages of the network: takes up what has come. An emulated link hands the ping to the real one, whose answer is
    /// then waited for a moment, or it would wait for the next stage.
    async fn look_up(&self) {
        self.attend(Attention::look);
        let emulated = self.shaper.borrow().is_some();
        pause(if emulated { ANSWER_HERE_MS } else { 0.0 }).await;
        self.attend(Attention::work);
    }

    async fn encode_and_send(&self, next: &Waiting, way: Way) -> Result<(), DeviceError> {
        let session = self.session_number();
        let ready = match &way {
            Way::Features {
                codec,
                rate,
                channels,
            } => {
                let model = self.core.models.borrow().codec(codec)?;
                let id = self.codec_id(model.codec_digest()).ok_or_else(|| {
                    DeviceError::Protocol(format!("it does not have the codec `{codec}`"))
                })?;
                self.core
                    .feature(next, &model, id, *rate, channels.map(usize::from))
                    .await?
            }
            Way::Picture { format, quality } => self.core.picture(next, *format, *quality).await?,
            Way::Device => return Err(DeviceError::NotLoaded),
        };
        // The link may have changed while the backend worked.
        if self.session_number() != session {
            return Err(DeviceError::Connection(
                "it broke while the frame was encoded".to_owned(),
            ));
        }
        self.check_size(&ready, &way)?;
        let sent = Sent {
            sequence: ready.sequence,
            capture_time_us: next.capture_time_us,
            bytes: ready.message.len(),
            way,
            timings: ready.timings,
            split: ready.split,
            latent: ready.latent.filter(|_| next.want_latent),
            at_ms: now_ms(),
        };
        self.transmit(Up::Binary(ready.message))?;
        self.offload
            .borrow_mut()
            .sent(sent.at_ms, &sent.way, sent.bytes as f64);
        self.tell(|to| to.on_sent.clone(), &to_js(&sent));
        self.frames.borrow_mut().sent(sent.sequence, sent);
        self.traffic();
        self.look_later();
        Ok(())
    }

    async fn answer_here(&self, next: &Waiting) -> Result<(), DeviceError> {
        let most = self.top_k.get().unwrap_or(TOP_K);
        let between = || -> Pin<Box<dyn Future<Output = ()> + '_>> { Box::pin(self.look_up()) };
        let pinging = self.offload.borrow().is_pinging();
        let between = pinging.then_some(&between as Between<'_>);
        let (sequence, classified) = (self.core.classify(next, usize::from(most), between)).await?;
        let result = FrameResult {
            sequence,
            capture_time_us: next.capture_time_us,
            top: classified.top,
            timings: Timings::default(),
            batch: 1,
            payload_bytes: 0,
        };
        let sent = Sent {
            sequence,
            capture_time_us: next.capture_time_us,
            bytes: 0,
            way: Way::Device,
            timings: classified.timings,
            split: None,
            latent: None,
            at_ms: now_ms(),
        };
        let seen = Observation {
            way: Way::Device,
            split: None,
            here_ms: sent.timings.total + classified.answer_ms,
            network_here_ms: sent.timings.front,
            server_ms: 0.0,
            tail_ms: 0.0,
            up_bytes: 0.0,
            down_bytes: 0.0,
        };
        self.offload.borrow_mut().observe(now_ms(), &seen, None);
        // Until the next frame is there, the thread has time for the answer.
        self.ping();
        let steps = Steps::here_only(&sent.timings, classified.answer_ms);
        {
            let mut frames = self.frames.borrow_mut();
            frames.sent(sequence, sent.clone());
            frames.answered(sequence);
        }
        self.tell_result(&result, &sent, &steps, 0.0, 0);
        Ok(())
    }

    fn check_size(&self, ready: &Ready, way: &Way) -> Result<(), DeviceError> {
        let limits = self.session.borrow().as_ref().and_then(Session::limits);
        let Some(limits) = limits else {
            return Ok(());
        };
        let (limit, advice) = match way {
            Way::Picture { .. } if limits.max_picture == 0 => {
                return Err(DeviceError::InvalidArgument(
                    "the server takes no pictures over this connection".to_owned(),
                ));
            }
            Way::Picture { .. } => (limits.max_picture, "a lower quality"),
            _ => (limits.max_payload, "a lower rate"),
        };
        let payload = ready.message.len() - HEADER_BYTES;
        if u32::try_from(payload).is_ok_and(|payload| payload <= limit) {
            return Ok(());
        }
        Err(DeviceError::InvalidArgument(format!(
            "the payload has {payload} bytes, and the server takes {limit}; choose {advice}"
        )))
    }

    /// Does what the session says.
    fn perform(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Open => self.open(),
                Action::SendText(text) => {
                    if let Err(error) = self.transmit(Up::Text(text)) {
                        self.tell(|to| to.on_error.clone(), &error.into());
                    }
                }
                Action::Close { code, reason } => {
                    self.forget_travelling();
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
                    self.refresh();
                    self.tell(|to| to.on_state.clone(), &to_js(&state));
                    self.pump();
                }
                Action::Answer { result, bytes } => self.answered(&result, bytes),
                Action::Pong { id, bytes } => {
                    let [at, unseen_ms] = self.arrival.get();
                    (self.offload.borrow_mut()).ponged(at, id, bytes as f64, unseen_ms);
                }
                Action::PingRefused(id) => self.offload.borrow_mut().ping_refused(id),
                Action::Fail(error) => self.failed(error),
            }
        }
    }

    fn apply_limits(&self) {
        let limits = self.session.borrow().as_ref().and_then(Session::limits);
        let server = limits.map_or(1, |limits| limits.max_frames_in_flight);
        let limit = self.frames_in_flight.get().min(usize::from(server));
        self.frames.borrow_mut().set_limit(limit);
    }

    fn answered(&self, result: &FrameResult, bytes: usize) {
        let sent = self.frames.borrow_mut().answered(result.sequence);
        // An answer to a frame of before the link broke is of no use.
        let Some(sent) = sent else {
            return;
        };
        let now = now_ms();
        let round_trip_ms = now - sent.at_ms;
        let network_ms = network_ms(&result.timings, round_trip_ms);
        let seen = Observation {
            way: sent.way.clone(),
            split: sent.split,
            here_ms: sent.timings.total,
            // On WebGPU the front is waited for in the encoder.
            network_here_ms: match sent.way {
                Way::Features { .. } => sent.timings.front + sent.timings.encode,
                _ => 0.0,
            },
            server_ms: round_trip_ms - network_ms,
            tail_ms: f64::from(result.timings.tail_us) / 1e3,
            up_bytes: sent.bytes as f64,
            down_bytes: bytes as f64,
        };
        let answer_ms = {
            let mut offload = self.offload.borrow_mut();
            offload.observe(now, &seen, Some(network_ms));
            offload.link().answer_ms(bytes as f64, network_ms)
        };
        let steps = Steps::sent(&sent.timings, &result.timings, round_trip_ms, answer_ms);
        self.traffic();
        self.look_later();
        self.tell_result(result, &sent, &steps, round_trip_ms, bytes);
        self.pump();
    }

    fn tell_result(
        &self,
        result: &FrameResult,
        sent: &Sent,
        steps: &Steps,
        round_trip_ms: f64,
        down_bytes: usize,
    ) {
        let answer = to_js(result);
        set(&answer, "roundTripMs", &round_trip_ms.into());
        set(&answer, "way", &to_js(&sent.way));
        set(&answer, "upBytes", &(sent.bytes as f64).into());
        set(&answer, "downBytes", &(down_bytes as f64).into());
        set(&answer, "steps", &to_js(steps));
        set(&answer, "frame", &to_js(sent));
        if let (Some(latent), Way::Features { codec, rate, .. }) = (&sent.latent, &sent.way) {
            let told = js_sys::Object::new();
            set(&told, "codec", &codec.as_str().into());
            set(&told, "rate", &(*rate).into());
            set(&told, "shape", &to_js(&latent.shape));
            set(
                &told,
                "symbols",
                &Int16Array::from(latent.symbols.as_slice()),
            );
            set(&answer, "latent", &told);
        }
        self.tell(|to| to.on_result.clone(), &answer);
    }

    fn failed(&self, error: DeviceError) {
        if let DeviceError::Server {
            sequence: Some(sequence),
            ..
        } = &error
        {
            self.frames.borrow_mut().refused(*sequence);
            self.offload.borrow_mut().lost();
            self.traffic();
        }
        self.tell(|to| to.on_error.clone(), &error.into());
        self.pump();
    }

    fn traffic(&self) {
        let on_their_way = self.frames.borrow().on_their_way();
        self.with_session(|session| session.traffic(on_their_way));
    }

    /// Asks how the link is, if that is due.
    fn ping(&self) {
        let ping = self.offload.borrow_mut().ping(now_ms());
        let Some(ping) = ping else {
            return;
        };
        if self.transmit(Up::Text(ping)).is_err() {
            // That the socket is gone is told by others.
            self.offload.borrow_mut().broke();
        }
        self.look_later();
    }

    /// Looks at what is on its way before its answer comes, where the way is chosen automatically.
    fn look_later(&self) {
        if !self.offload.borrow().is_waiting() {
            self.look.replace(None);
            return;
        }
        let me = self.me.clone();
        let timer = Timer::start(LOOK_MS, move || {
            if let Some(connection) = me.upgrade() {
                let now = now_ms();
                let unseen_ms = connection.attention.get().unseen_ms(now);
                connection.offload.borrow_mut().wait(now, unseen_ms);
                connection.decide();
                connection.look_later();
            }
        });
        self.look.replace(timer);
    }

    fn open(&self) {
        let opened = Socket::open(&self.url.borrow(), self.token.borrow().as_deref(), &self.me);
        match opened {
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

    /// Hands a message to the socket, or to the emulated link before it.
    fn transmit(&self, up: Up) -> Result<(), DeviceError> {
        if self.socket.borrow().is_none() {
            return Err(DeviceError::Connection("there is none".to_owned()));
        }
        if let Some(shaper) = self.shaper.borrow_mut().as_mut() {
            shaper.send(up);
        } else {
            return self.hand_over(&up);
        }
        self.arm_shaper();
        Ok(())
    }

    fn hand_over(&self, up: &Up) -> Result<(), DeviceError> {
        match self.socket.borrow().as_ref() {
            Some(socket) => socket.send(up),
            None => Ok(()),
        }
    }

    /// A text came from the socket.
    pub(super) fn received(&self, text: String) {
        let at = now_ms();
        let received = Received {
            text,
            at,
            unseen_ms: self.attention.get().unseen_ms(at),
        };
        if let Some(shaper) = self.shaper.borrow_mut().as_mut() {
            shaper.receive(received);
        } else {
            return self.read(&received);
        }
        self.arm_shaper();
    }

    fn read(&self, received: &Received) {
        self.arrival.set([received.at, received.unseen_ms]);
        self.with_session(|session| session.text(&received.text));
    }

    fn came_through(&self, through: Through) {
        for up in through.up {
            if let Err(error) = self.hand_over(&up) {
                self.tell(|to| to.on_error.clone(), &error.into());
            }
        }
        for received in through.down {
            self.read(&received);
        }
    }

    fn arm_shaper(&self) {
        let me = self.me.clone();
        if let Some(shaper) = self.shaper.borrow_mut().as_mut() {
            shaper.arm(move || {
                if let Some(connection) = me.upgrade() {
                    let through = connection.shaper.borrow_mut().as_mut().map(Shaper::through);
                    connection.came_through(through.unwrap_or_default());
                    connection.arm_shaper();
                }
            });
        }
    }

    /// What is on the emulated link belongs to a socket that is no more.
    fn forget_travelling(&self) {
        if let Some(shaper) = self.shaper.borrow_mut().as_mut() {
            shaper.rest();
        }
        self.offload.borrow_mut().broke();
    }

    pub(super) fn socket_closed(&self, code: u16, reason: &str) {
        self.socket.replace(None);
        // The server's last words may still be on the emulated link.
        let rest = self.shaper.borrow_mut().as_mut().map(Shaper::rest);
        self.came_through(rest.unwrap_or_default());
        self.forget_travelling();
        let lost = self.frames.borrow_mut().link_broke();
        self.with_session(|session| session.closed(code, reason, Math::random(), lost));
    }

    fn timer_ran_out(&self) {
        let lost = self.frames.borrow_mut().link_broke();
        self.with_session(|session| session.timer(Math::random(), lost));
    }

    pub(super) fn with_session(&self, happened: impl FnOnce(&mut Session) -> Vec<Action>) {
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
