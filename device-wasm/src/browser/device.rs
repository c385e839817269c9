//! The class that JavaScript sees.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Function, Int16Array, Object, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};

use super::backend::{self, Backend};
use super::canvas::{Canvas, close};
use super::connection::Connection;
use super::convert::{get, named_bytes, set, to_js};
use crate::clock::{Stopwatch, now_ms};
use crate::encode::{EncodedFrame, FrameSettings, Picture, encode_picture};
use crate::error::DeviceError;
use crate::model::{LoadedModel, ModelFiles};

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
    pub(super) model: RefCell<Option<Rc<LoadedModel>>>,
    pub(super) rate: Cell<u8>,
    channels: Cell<Option<usize>>,
    profiling: Cell<bool>,
    sequence: Cell<u32>,
    canvas: RefCell<Canvas>,
}

impl Core {
    pub(super) fn model(&self) -> Result<Rc<LoadedModel>, DeviceError> {
        self.model.borrow().clone().ok_or(DeviceError::NotLoaded)
    }

    /// Captures and encodes `source`.
    pub(super) async fn encode_source(
        &self,
        source: &JsValue,
        codec_id: u8,
        capture_time_us: u64,
    ) -> Result<EncodedFrame, DeviceError> {
        let mut watch = Stopwatch::start();
        let pixels = self.canvas.borrow_mut().read(source)?;
        let capture = watch.lap();
        let mut frame = self
            .encode_pixels(pixels.picture(), codec_id, capture_time_us)
            .await?;
        frame.timings.capture = capture;
        frame.timings.total += capture;
        Ok(frame)
    }

    async fn encode_pixels(
        &self,
        picture: Picture<'_>,
        codec_id: u8,
        capture_time_us: u64,
    ) -> Result<EncodedFrame, DeviceError> {
        let model = self.model()?;
        let sequence = self.sequence.get();
        self.sequence.set(sequence.wrapping_add(1));
        let settings = FrameSettings {
            codec_id,
            rate: self.rate.get(),
            channels: self.channels.get(),
            sequence,
            capture_time_us,
            profiling: self.profiling.get(),
        };
        encode_picture(&model, picture, settings).await
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
    /// what to try then is the caller's choice.
    pub async fn create(backend: BackendName) -> Result<Device, JsValue> {
        let name = JsValue::from(backend).as_string().unwrap_or_default();
        let backend = backend::open(&name).await?;
        let core = Rc::new(Core {
            backend,
            model: RefCell::new(None),
            rate: Cell::new(0),
            channels: Cell::new(None),
            profiling: Cell::new(false),
            sequence: Cell::new(0),
            canvas: RefCell::new(Canvas::default()),
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

    /// Loads the front of `split` and a codec for it; every file is checked against the digests
    /// of the manifest. `parts` maps the names of the parts to the bytes of their files; `rate`
    /// is an index into the codec's rates. A connected device connects anew, for the server must
    /// know the codec. Throws `InvalidModel` or `InvalidArgument`, and keeps what was loaded.
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
        let model = LoadedModel::new(split, &files, &self.core.backend.device)?;
        model.rate(rate)?;
        self.core.model.replace(Some(Rc::new(model)));
        self.core.rate.set(rate);
        self.core.channels.set(None);
        self.connection.model_changed();
        Ok(())
    }

    /// Encodes a grey picture, so that shaders are compiled and memory is there before the first
    /// frame. Returns the milliseconds that it took: the cold time.
    #[wasm_bindgen(js_name = warmUp)]
    pub async fn warm_up(&self) -> Result<f64, JsValue> {
        const SIDE: u32 = 256;
        let grey = vec![127; (SIDE * SIDE * 4) as usize];
        let picture = Picture {
            rgba: &grey,
            width: SIDE,
            height: SIDE,
        };
        let start = now_ms();
        let sequence = self.core.sequence.get();
        self.core.encode_pixels(picture, 0, 0).await?;
        self.core.sequence.set(sequence);
        Ok(now_ms() - start)
    }

    /// Chooses the rate, by its index in the codec, for the frames from now on. Sends all of its
    /// channels. Throws `InvalidArgument`.
    #[wasm_bindgen(js_name = setRate)]
    pub fn set_rate(&self, rate: u8) -> Result<(), JsValue> {
        self.core.model()?.rate(rate)?;
        self.core.rate.set(rate);
        self.core.channels.set(None);
        Ok(())
    }

    /// Sends only the first `channels` of the rate's channels (the most important ones), at least 1.
    #[wasm_bindgen(js_name = setChannels)]
    pub fn set_channels(&self, channels: usize) -> Result<(), JsValue> {
        let model = self.core.model()?;
        let most = model.rate(self.core.rate.get())?.channels();
        if !(1..=most).contains(&channels) {
            return Err(DeviceError::InvalidArgument(format!(
                "{channels} channels; this rate has 1 to {most}"
            ))
            .into());
        }
        self.core.channels.set(Some(channels));
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
        let frame = self
            .core
            .encode_pixels(picture, self.codec_id(), microseconds(capture_time_us))
            .await?;
        Ok(encoded(&frame))
    }

    /// Encodes a frame of any kind without sending. The source stays open.
    #[wasm_bindgen(js_name = encodeFrame)]
    pub async fn encode_frame(
        &self,
        source: FrameSource,
        #[wasm_bindgen(js_name = captureTimeUs)] capture_time_us: f64,
    ) -> Result<Encoded, JsValue> {
        let frame = self
            .core
            .encode_source(&source, self.codec_id(), microseconds(capture_time_us))
            .await?;
        Ok(encoded(&frame))
    }

    /// Connects to a server's `/v1/stream` (`ws:`, `wss:`, `http:` or `https:`), and again after
    /// each break, with growing waits, until `disconnect`.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "wasm-bindgen passes objects by value"
    )]
    pub fn connect(&self, url: &str, callbacks: ConnectArguments) -> Result<(), JsValue> {
        self.core.model()?;
        let callback = |name| get(&callbacks, name).dyn_into::<Function>().ok();
        self.connection.connect(
            url,
            super::connection::Callbacks {
                on_result: callback("onResult"),
                on_state: callback("onState"),
                on_error: callback("onError"),
                on_sent: callback("onSent"),
            },
            // A cast from float saturates; the session and the wire check the range.
            get(&callbacks, "framesInFlight")
                .as_f64()
                .map(|n| n as usize),
            get(&callbacks, "topK").as_f64().map(|n| n as u8),
        );
        Ok(())
    }

    /// Ends the connection for good.
    pub fn disconnect(&self) {
        self.connection.disconnect();
    }

    /// Gives the connection a frame. The newest wins: one that still waits for its encoding is
    /// replaced. The device closes bitmaps and video frames when it is done with them. While the
    /// link is broken the newest frame waits.
    pub fn submit(
        &self,
        source: FrameSource,
        #[wasm_bindgen(js_name = captureTimeUs)] capture_time_us: f64,
    ) -> Result<(), JsValue> {
        if let Err(error) = self.core.model() {
            close(&source);
            return Err(error.into());
        }
        self.connection
            .submit(source.into(), microseconds(capture_time_us));
        Ok(())
    }

    /// Frames since `connect`.
    #[wasm_bindgen(getter)]
    pub fn counts(&self) -> FrameCounts {
        to_js(&self.connection.counts()).into()
    }

    fn codec_id(&self) -> u8 {
        self.connection.codec_id().unwrap_or(0)
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
