//! The class that JavaScript sees.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Function, Int16Array, Object, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wire::PictureHeader;

use super::backend::{self, Backend};
use super::canvas::{Canvas, close};
use super::compress::{Compressor, compress};
use super::connection::{Connection, Latent, Ready, Waiting};
use super::convert::{from_js, get, named_bytes, set, to_js};
use super::helper::JsHelpers;
use crate::clock::{Stopwatch, now_ms};
use crate::encode::{
    EncodedFrame, FrameSettings, Picture, StepTimings, encode_picture, picture_message, see,
};
use crate::error::DeviceError;
use crate::link::LinkSettings;
use crate::model::{LoadedModel, ModelFiles};
use crate::models::Models;
use crate::offload::Goal;
use crate::strips::Helpers;
use crate::way::{Format, Way};
use crate::whole::{Between, Classified};

#[wasm_bindgen]
extern "C" {
    /// See the types.
    #[wasm_bindgen(typescript_type = "Backend")]
    pub type BackendName;
    /// See the types.
    #[wasm_bindgen(typescript_type = "Record<string, Uint8Array>")]
    pub type Parts;
    /// See the types.
    #[wasm_bindgen(typescript_type = "FrameSource")]
    pub type FrameSource;
    /// See the types.
    #[wasm_bindgen(typescript_type = "Encoded")]
    pub type Encoded;
    /// See the types.
    #[wasm_bindgen(typescript_type = "SubmitOptions")]
    pub type SubmitOptions;
    /// See the types.
    #[wasm_bindgen(typescript_type = "Link")]
    pub type Link;
    /// See the types.
    #[wasm_bindgen(typescript_type = "Goal")]
    pub type GoalObject;
    /// See the types.
    #[wasm_bindgen(typescript_type = "(reason: string) => void")]
    pub type OnLost;
    /// See the types.
    #[wasm_bindgen(typescript_type = "FrameCounts")]
    pub type FrameCounts;
    /// See the types.
    #[wasm_bindgen(typescript_type = "ConnectCallbacks & ConnectOptions")]
    pub type ConnectArguments;
    /// See the types.
    #[wasm_bindgen(typescript_type = "Uint8Array | Uint8ClampedArray")]
    pub type Bytes;
}

/// What the device has and how it is set; shared with the connection.
pub(super) struct Core {
    pub(super) backend: Backend,
    pub(super) models: RefCell<Models>,
    /// The codec and the rate of frames that name no way.
    chosen: RefCell<Option<(Rc<LoadedModel>, u8)>>,
    profiling: Cell<bool>,
    sequence: Cell<u32>,
    canvas: RefCell<Canvas>,
    compressor: RefCell<Compressor>,
    helpers: RefCell<Option<Rc<JsHelpers>>>,
}

impl Core {
    pub(super) fn chosen(&self) -> Result<(Rc<LoadedModel>, u8), DeviceError> {
        self.chosen.borrow().clone().ok_or(DeviceError::NotLoaded)
    }

    pub(super) fn chosen_way(&self) -> Result<Way, DeviceError> {
        let (model, rate) = self.chosen()?;
        Ok(Way::Features {
            codec: model.codec_name().to_owned(),
            rate,
            channels: None,
        })
    }

    /// A frame as a feature.
    pub(super) async fn feature(
        &self,
        frame: &Waiting,
        model: &LoadedModel,
        codec_id: u8,
        rate: u8,
        channels: Option<usize>,
    ) -> Result<Ready, DeviceError> {
        let settings = self.settings(codec_id, rate, channels, frame.capture_time_us);
        let encoded = self.encode_source(&frame.source, model, settings).await?;
        Ok(Ready {
            message: encoded.message,
            sequence: encoded.header.sequence,
            split: Some(model.split()),
            latent: Some(Latent {
                shape: encoded.shape,
                symbols: encoded.symbols,
            }),
            timings: encoded.timings,
        })
    }

    /// A frame as a picture.
    pub(super) async fn picture(
        &self,
        frame: &Waiting,
        format: Format,
        quality: u8,
    ) -> Result<Ready, DeviceError> {
        let (model, _) = self.chosen()?;
        let mut timings = StepTimings::default();
        let mut watch = Stopwatch::start();
        let pixels = self.canvas.borrow_mut().read(&frame.source)?;
        timings.capture = watch.lap();
        let seen = see(pixels.picture(), model.preprocessing())?;
        timings.preprocess = watch.lap();
        let bytes = if format == Format::Raw {
            seen
        } else {
            let canvas = self.compressor.borrow_mut().draw(&seen)?;
            compress(&canvas, format, quality).await?
        };
        timings.encode = watch.lap();
        let header = PictureHeader {
            format: format.on_the_wire(),
            sequence: self.next_sequence(),
            capture_time_us: frame.capture_time_us,
        };
        let message = picture_message(header, &bytes);
        timings.code = watch.lap();
        timings.total = timings.capture + timings.preprocess + timings.encode + timings.code;
        Ok(Ready {
            message,
            sequence: header.sequence,
            split: None,
            latent: None,
            timings,
        })
    }

    /// A frame by the whole network here: its number and what it is.
    pub(super) async fn classify(
        &self,
        frame: &Waiting,
        most: usize,
        between: Option<Between<'_>>,
    ) -> Result<(u32, Classified), DeviceError> {
        let whole = self.models.borrow().whole()?;
        let mut watch = Stopwatch::start();
        let pixels = self.canvas.borrow_mut().read(&frame.source)?;
        let capture = watch.lap();
        let helpers = self.helpers.borrow().clone();
        let helpers = helpers.as_deref().map(|helpers| helpers as &dyn Helpers);
        let mut classified = (whole.classify(pixels.picture(), most, between, helpers)).await?;
        classified.timings.capture = capture;
        classified.timings.total += capture;
        Ok((self.next_sequence(), classified))
    }

    /// Captures and encodes `source`.
    async fn encode_source(
        &self,
        source: &JsValue,
        model: &LoadedModel,
        settings: FrameSettings,
    ) -> Result<EncodedFrame, DeviceError> {
        let mut watch = Stopwatch::start();
        let pixels = self.canvas.borrow_mut().read(source)?;
        let capture = watch.lap();
        let mut frame = self
            .encode_picture(model, pixels.picture(), settings)
            .await?;
        frame.timings.capture = capture;
        frame.timings.total += capture;
        Ok(frame)
    }

    /// Encodes a picture, with the helpers' help.
    async fn encode_picture(
        &self,
        model: &LoadedModel,
        picture: Picture<'_>,
        settings: FrameSettings,
    ) -> Result<EncodedFrame, DeviceError> {
        let helpers = self.helpers.borrow().clone();
        let helpers = helpers.as_deref().map(|helpers| helpers as &dyn Helpers);
        encode_picture(model, picture, settings, helpers).await
    }

    fn settings(
        &self,
        codec_id: u8,
        rate: u8,
        channels: Option<usize>,
        capture_time_us: u64,
    ) -> FrameSettings {
        FrameSettings {
            codec_id,
            rate,
            channels,
            sequence: self.next_sequence(),
            capture_time_us,
            profiling: self.profiling.get(),
        }
    }

    fn next_sequence(&self) -> u32 {
        let sequence = self.sequence.get();
        self.sequence.set(sequence.wrapping_add(1));
        sequence
    }
}

/// The device: the front of the network and the encoder on one backend, and a connection to an
/// edge server. Make it in a worker: on the CPU a frame blocks its thread.
#[wasm_bindgen]
pub struct Device {
    core: Rc<Core>,
    connection: Rc<Connection>,
}

#[wasm_bindgen]
impl Device {
    /// Opens a backend. Throws `BackendUnavailable` when this package or this browser lacks it;
    /// what to try then is the caller's choice. `onLost` is called with the reason when the graphics device is lost;
    /// the device is of no use from then on.
    pub async fn create(
        backend: BackendName,
        #[wasm_bindgen(js_name = onLost)] on_lost: Option<OnLost>,
    ) -> Result<Device, JsValue> {
        let name = JsValue::from(backend).as_string().unwrap_or_default();
        let on_lost = on_lost.and_then(|on_lost| JsValue::from(on_lost).dyn_into().ok());
        let backend = backend::open(&name, on_lost).await?;
        let core = Rc::new(Core {
            backend,
            models: RefCell::default(),
            chosen: RefCell::new(None),
            profiling: Cell::new(false),
            sequence: Cell::new(0),
            canvas: RefCell::default(),
            compressor: RefCell::default(),
            helpers: RefCell::default(),
        });
        Ok(Self {
            connection: Connection::new(Rc::clone(&core)),
            core,
        })
    }

    /// The backend in words, such as `cpu (simd)`.
    #[wasm_bindgen(getter)]
    pub fn backend(&self) -> String {
        self.core.backend.label.clone()
    }

    /// Loads a codec and, unless it is there already, the front of `split`; every file is checked against the digests
    /// of the manifest. `parts` maps the names of the parts to the bytes of their files, and may be empty where the
    /// front is loaded; `rate` is an index into the codec's rates. Frames that name no way go this one from now on.
    /// What was loaded before stays, unless the manifest is of another network: a connected device then connects anew.
    /// Throws `InvalidModel` or `InvalidArgument`, and keeps what was loaded.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "wasm-bindgen passes strings and objects by value"
    )]
    pub fn load(
        &self,
        manifest: &str,
        split: &str,
        parts: Parts,
        codec: &[u8],
        rate: u8,
    ) -> Result<(), JsValue> {
        let split = split.parse().map_err(DeviceError::from)?;
        let object: Object = JsValue::from(parts).into();
        let files = ModelFiles {
            manifest: manifest.as_bytes(),
            parts: &named_bytes(&object)?,
            codec,
        };
        let device = &self.core.backend.device;
        let model = self.core.models.borrow_mut().load(split, &files, device)?;
        model.rate(rate)?;
        let digest = model.model_digest().to_owned();
        let before = self.core.chosen.replace(Some((model, rate)));
        let another = before.is_some_and(|(before, _)| before.model_digest() != digest);
        self.connection.models_changed(another);
        Ok(())
    }

    /// Loads another codec of a split that is loaded; frames may name it in their way. Throws `WayNotLoaded` when
    /// the split is not.
    #[wasm_bindgen(js_name = addCodec)]
    pub fn add_codec(&self, split: &str, codec: &[u8]) -> Result<(), JsValue> {
        let split = split.parse().map_err(DeviceError::from)?;
        let device = &self.core.backend.device;
        self.core
            .models
            .borrow_mut()
            .add_codec(split, codec, device)?;
        self.connection.models_changed(false);
        Ok(())
    }

    /// Loads the whole network, so that frames can be answered here; and with it the fronts of all splits. `parts` has
    /// every part of the manifest, `labels` is its file of labels.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "wasm-bindgen passes objects by value"
    )]
    #[wasm_bindgen(js_name = loadWhole)]
    pub fn load_whole(&self, parts: Parts, labels: &[u8]) -> Result<(), JsValue> {
        let object: Object = JsValue::from(parts).into();
        let device = &self.core.backend.device;
        self.core
            .models
            .borrow_mut()
            .load_whole(&named_bytes(&object)?, labels, device)?;
        self.connection.models_changed(false);
        Ok(())
    }

    /// Takes a grey picture as far as this device goes, so that shaders are compiled and memory is there before the
    /// first frame: through the front and the chosen codec's encoder, or through the `whole` network. Returns the
    /// milliseconds that it took: the cold time.
    #[wasm_bindgen(js_name = warmUp)]
    pub async fn warm_up(&self, whole: Option<bool>) -> Result<f64, JsValue> {
        const SIDE: u32 = 256;
        let grey = vec![127; (SIDE * SIDE * 4) as usize];
        let picture = Picture {
            rgba: &grey,
            width: SIDE,
            height: SIDE,
        };
        let start = now_ms();
        if whole == Some(true) {
            let whole = self.core.models.borrow().whole()?;
            whole.classify(picture, 1, None, None).await?;
        } else {
            let (model, rate) = self.core.chosen()?;
            let sequence = self.core.sequence.get();
            let settings = self.core.settings(0, rate, None, 0);
            self.core.sequence.set(sequence);
            self.core.encode_picture(&model, picture, settings).await?;
        }
        Ok(now_ms() - start)
    }

    /// Chooses a loaded codec and a rate, by its index, for the frames from now on that name no way. Throws
    /// `WayNotLoaded` or `InvalidArgument`.
    pub fn choose(&self, codec: &str, rate: u8) -> Result<(), JsValue> {
        let model = self.core.models.borrow().codec(codec)?;
        model.rate(rate)?;
        self.core.chosen.replace(Some((model, rate)));
        Ok(())
    }

    /// Whether the front of `split` is loaded, so that its codecs need no network.
    #[wasm_bindgen(js_name = hasSplit)]
    pub fn has_split(&self, split: &str) -> Result<bool, JsValue> {
        let split = split.parse().map_err(DeviceError::from)?;
        Ok(self.core.models.borrow().has_front(split))
    }

    /// Shares the front with these helpers from now on; `null` ends it. What they do not deliver is computed here.
    #[wasm_bindgen(js_name = setHelpers)]
    pub fn set_helpers(&self, helpers: Option<JsHelpers>) {
        self.core.helpers.replace(helpers.map(Rc::new));
    }

    /// Emulates a link for what is sent and received from now on; `null` ends it. Throws `InvalidArgument`.
    #[wasm_bindgen(js_name = setLink)]
    pub fn set_link(&self, link: Option<Link>) -> Result<(), JsValue> {
        let settings = match link {
            Some(link) => Some(from_js::<LinkSettings>(&link)?.checked()?),
            None => None,
        };
        self.connection.set_link(settings);
        Ok(())
    }

    /// Chooses the way of frames that name none by this goal from now on; `null` ends it. Throws `InvalidArgument`.
    #[wasm_bindgen(js_name = setAutomatic)]
    pub fn set_automatic(&self, goal: Option<GoalObject>) -> Result<(), JsValue> {
        let goal = match goal {
            Some(goal) => Some(from_js::<Goal>(&goal)?.checked()?),
            None => None,
        };
        self.connection.set_goal(goal);
        Ok(())
    }

    /// Waits for the backend after the front, so that `timings.front` and `timings.encode` can be
    /// told apart on WebGPU. It costs time; the CPU's times are apart anyway.
    #[wasm_bindgen(js_name = setProfiling)]
    pub fn set_profiling(&self, on: bool) {
        self.core.profiling.set(on);
    }

    /// Encodes `height` rows of `width` RGBA pixels without sending. `captureTimeUs` comes back in
    /// the frame's header.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "wasm-bindgen passes objects by value"
    )]
    pub async fn encode(
        &self,
        rgba: Bytes,
        width: u32,
        height: u32,
        #[wasm_bindgen(js_name = captureTimeUs)] capture_time_us: f64,
    ) -> Result<Encoded, JsValue> {
        let pixels = Uint8Array::new(&get(&rgba, "buffer")).subarray(
            offset(&rgba, "byteOffset"),
            offset(&rgba, "byteOffset") + offset(&rgba, "byteLength"),
        );
        let rgba = pixels.to_vec();
        let picture = Picture {
            rgba: &rgba,
            width,
            height,
        };
        let (model, settings) = self.frame_settings(capture_time_us)?;
        Ok(encoded(
            &self.core.encode_picture(&model, picture, settings).await?,
        ))
    }

    /// Encodes a frame of any kind without sending. The source stays open.
    #[wasm_bindgen(js_name = encodeFrame)]
    pub async fn encode_frame(
        &self,
        source: FrameSource,
        #[wasm_bindgen(js_name = captureTimeUs)] capture_time_us: f64,
    ) -> Result<Encoded, JsValue> {
        let (model, settings) = self.frame_settings(capture_time_us)?;
        let frame = self.core.encode_source(&source, &model, settings).await?;
        Ok(encoded(&frame))
    }

    /// Connects to a server's `/v1/stream` (`ws:`, `wss:`, `http:` or `https:`), and again after
    /// each break, with growing waits, until `disconnect`.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "wasm-bindgen passes objects by value"
    )]
    pub fn connect(&self, url: &str, callbacks: ConnectArguments) -> Result<(), JsValue> {
        self.core.chosen()?;
        let callback = |name| get(&callbacks, name).dyn_into::<Function>().ok();
        self.connection.connect(
            url,
            super::connection::Callbacks {
                on_result: callback("onResult"),
                on_state: callback("onState"),
                on_error: callback("onError"),
                on_sent: callback("onSent"),
                on_decision: callback("onDecision"),
            },
            // A cast from float saturates; the session and the wire check the range.
            get(&callbacks, "framesInFlight")
                .as_f64()
                .map(|n| n as usize),
            get(&callbacks, "topK").as_f64().map(|n| n as u8),
            get(&callbacks, "token").as_string(),
        );
        Ok(())
    }

    /// Ends the connection for good.
    pub fn disconnect(&self) {
        self.connection.disconnect();
    }

    /// Gives the connection a frame. The newest wins: one that still waits for its turn is
    /// replaced. The device closes bitmaps and video frames when it is done with them. While the
    /// link is broken the newest frame waits, unless the whole network here answers it. Throws `WayNotLoaded` when the
    /// frame's way is not loaded, and `InvalidArgument` when it does not exist.
    pub fn submit(
        &self,
        source: &FrameSource,
        #[wasm_bindgen(js_name = captureTimeUs)] capture_time_us: f64,
        options: Option<SubmitOptions>,
    ) -> Result<(), JsValue> {
        match self.waiting(source, capture_time_us, options) {
            Ok(frame) => {
                self.connection.submit(frame);
                Ok(())
            }
            // Also one that was to be kept: the frame is of no use to anybody.
            Err(error) => {
                close(source);
                Err(error.into())
            }
        }
    }

    /// Frames since `connect`.
    #[wasm_bindgen(getter)]
    pub fn counts(&self) -> FrameCounts {
        to_js(&self.connection.counts()).into()
    }

    /// The chosen codec, and the settings of a frame that is not sent.
    fn frame_settings(
        &self,
        capture_time_us: f64,
    ) -> Result<(Rc<LoadedModel>, FrameSettings), DeviceError> {
        let (model, rate) = self.core.chosen()?;
        let codec_id = self.connection.codec_id(model.codec_digest()).unwrap_or(0);
        let time = microseconds(capture_time_us);
        let settings = self.core.settings(codec_id, rate, None, time);
        Ok((model, settings))
    }

    fn waiting(
        &self,
        source: &FrameSource,
        capture_time_us: f64,
        options: Option<SubmitOptions>,
    ) -> Result<Waiting, DeviceError> {
        self.core.chosen()?;
        let options = options.map(JsValue::from).unwrap_or_default();
        let way = Some(get(&options, "way"))
            .filter(JsValue::is_object)
            .map(|way| from_js::<Way>(&way))
            .transpose()?;
        if let Some(way) = &way {
            self.core.models.borrow().check(way)?;
        }
        Ok(Waiting {
            source: JsValue::from(source),
            capture_time_us: microseconds(capture_time_us),
            way,
            want_latent: get(&options, "wantLatent").is_truthy(),
            keep: get(&options, "keep").is_truthy(),
        })
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.connection.disconnect();
    }
}

fn offset(bytes: &JsValue, key: &str) -> u32 {
    // Sizes are whole numbers; a cast from float saturates.
    get(bytes, key).as_f64().unwrap_or(0.0) as u32
}

/// The wire carries whole microseconds below 2^53, as JSON's numbers do.
fn microseconds(time: f64) -> u64 {
    // A cast from float saturates, and turns NaN into 0.
    time.clamp(0.0, 9_007_199_254_740_991.0) as u64
}

fn encoded(frame: &EncodedFrame) -> Encoded {
    let object = Object::new();
    set(
        &object,
        "payload",
        &Uint8Array::from(frame.message.as_slice()),
    );
    set(
        &object,
        "symbols",
        &Int16Array::from(frame.symbols.as_slice()),
    );
    set(&object, "sequence", &frame.header.sequence.into());
    set(
        &object,
        "captureTimeUs",
        &(frame.header.capture_time_us as f64).into(),
    );
    set(&object, "channels", &frame.header.channels.into());
    set(&object, "timings", &to_js(&frame.timings));
    JsValue::from(object).into()
}
