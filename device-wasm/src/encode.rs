//! A frame's way on the device, from pixels to the message, one function for each step.

use aecnn::codec;
use aecnn::preprocess::{INPUT, Preprocessing, centre_crop, normalise};
use burn::tensor::{Device, Tensor, TensorData};
use feature_codec::Symbol;
use wire::{Frame, FrameHeader, PictureFrame, PictureHeader};

use crate::clock::Stopwatch;
use crate::error::DeviceError;
use crate::model::LoadedModel;
use crate::strips::{self, Helpers};

/// A picture's pixels.
#[derive(Debug, Clone, Copy)]
pub struct Picture<'a> {
    /// `height` rows of `width` pixels of red, green, blue and alpha; alpha is ignored.
    pub rgba: &'a [u8],
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// How a frame is to be encoded and labelled.
#[derive(Debug, Clone, Copy)]
pub struct FrameSettings {
    /// The codec's number in the session.
    pub codec_id: u8,
    /// Index of the rate.
    pub rate: u8,
    /// Send only so many of the rate's channels, the most important first.
    pub channels: Option<usize>,
    /// The frame's number.
    pub sequence: u32,
    /// When it was captured, in microseconds of the device's clock.
    pub capture_time_us: u64,
    /// Wait for the backend after the front, so that its time is told apart from the encoder's.
    pub profiling: bool,
}

/// Milliseconds of each step.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize)]
pub struct StepTimings {
    /// Reading the source's pixels.
    pub capture: f64,
    /// Crop, resample, normalise.
    pub preprocess: f64,
    /// The front of the network. 0 where a graphics device runs it in one piece with the encoder: that is told apart when profiling.
    pub front: f64,
    /// The feature encoder, and reading the latent back.
    pub encode: f64,
    /// Latent to symbols.
    pub quantise: f64,
    /// Entropy coding and framing.
    pub code: f64,
    /// All of them.
    pub total: f64,
}

/// A frame that is ready to be sent.
#[derive(Debug, Clone)]
pub struct EncodedFrame {
    /// The binary message: header and payload.
    pub message: Vec<u8>,
    /// What the header says.
    pub header: FrameHeader,
    /// The quantised latent, channel-major.
    pub symbols: Vec<Symbol>,
    /// Its channels, rows and columns.
    pub shape: [usize; 3],
    /// How long each step took.
    pub timings: StepTimings,
}

/// Takes a picture all the way to the message. With `helpers` the front is shared with them.
///
/// # Errors
///
/// When the picture does not fit its size, the rate does not exist, or the backend fails.
pub async fn encode_picture(
    model: &LoadedModel,
    picture: Picture<'_>,
    settings: FrameSettings,
    helpers: Option<&dyn Helpers>,
) -> Result<EncodedFrame, DeviceError> {
    let rate = model.rate(settings.rate)?;
    let mut timings = StepTimings::default();
    let mut watch = Stopwatch::start();

    let seen = see(picture, &model.preprocessing)?;
    let input = network_input(&seen, &model.preprocessing, &model.device);
    timings.preprocess = watch.lap();

    let channels = (settings.channels).map_or(rate.channels(), |n| n.clamp(1, rate.channels()));
    let helpers = helpers.filter(|helpers| helpers.count(model.split(), model.purpose()) > 0);
    let latent = if helpers.is_none() && !settings.profiling && aecnn::records(&model.device) {
        read_back(model.latent(input, channels)).await?
    } else {
        let feature = match helpers {
            Some(helpers) => strips::front(model.shared(), &seen, input, helpers).await?,
            None => front(model, input),
        };
        if settings.profiling {
            wait_for(feature.clone()).await?;
        }
        timings.front = watch.lap();
        encode(model, feature, channels).await?
    };
    timings.encode = watch.lap();

    let symbols = codec::quantise(&latent, rate, model.codec.positions());
    timings.quantise = watch.lap();

    let payload = entropy_code(model, &symbols, rate)?;
    let header = header(model, symbols.len(), settings)?;
    let message = frame(header, &payload);
    timings.code = watch.lap();

    timings.total =
        timings.preprocess + timings.front + timings.encode + timings.quantise + timings.code;
    let [_, rows, columns] = model.codec.latent_shape();
    Ok(EncodedFrame {
        message,
        header,
        shape: [usize::from(header.channels), rows, columns],
        symbols,
        timings,
    })
}

/// Crops and resamples a picture to what the network sees: 224 rows of 224 pixels, red, green, blue.
///
/// # Errors
///
/// When the picture does not fit its size.
pub fn see(picture: Picture<'_>, preprocessing: &Preprocessing) -> Result<Vec<u8>, DeviceError> {
    let Picture {
        rgba,
        width,
        height,
    } = picture;
    Ok(centre_crop(rgba, 4, width, height, preprocessing)?)
}

/// What the network sees to its input `[1, 3, 224, 224]`, on the CPU, and from there to the backend.
pub(crate) fn network_input(
    seen: &[u8],
    preprocessing: &Preprocessing,
    device: &Device,
) -> Tensor<4> {
    let input = normalise(seen, preprocessing);
    let data = TensorData::new(input, [1, 3, INPUT, INPUT]);
    Tensor::from_data(data, device)
}

/// A picture as a message.
#[must_use]
pub fn picture_message(header: PictureHeader, picture: &[u8]) -> Vec<u8> {
    PictureFrame {
        header,
        payload: picture,
    }
    .encode()
}

/// Input to feature, on the backend. On WebGPU this only queues the work.
fn front(model: &LoadedModel, input: Tensor<4>) -> Tensor<4> {
    model.front.forward(input)
}

/// Feature to the latent's first `channels`, on the backend, and back to the CPU.
async fn encode(
    model: &LoadedModel,
    feature: Tensor<4>,
    channels: usize,
) -> Result<Vec<f32>, DeviceError> {
    read_back(model.encoder.first(feature, channels)).await
}

/// Symbols to the payload.
fn entropy_code(
    model: &LoadedModel,
    symbols: &[Symbol],
    rate: &codec::Rate,
) -> Result<Vec<u8>, DeviceError> {
    let channels = symbols.len() / model.codec.positions();
    Ok(rate
        .tables
        .encode(symbols, model.codec.geometry(channels))?)
}

/// What stands before the payload.
fn header(
    model: &LoadedModel,
    symbols: usize,
    settings: FrameSettings,
) -> Result<FrameHeader, DeviceError> {
    let channels = symbols / model.codec.positions();
    Ok(FrameHeader {
        split: model.split().as_u8(),
        codec: settings.codec_id,
        rate: settings.rate,
        sequence: settings.sequence,
        capture_time_us: settings.capture_time_us,
        channels: u16::try_from(channels).map_err(|_| {
            DeviceError::Mismatch(format!("a frame cannot carry {channels} channels"))
        })?,
    })
}

/// Header and payload to the message.
fn frame(header: FrameHeader, payload: &[u8]) -> Vec<u8> {
    Frame { header, payload }.encode()
}

/// Waits until the backend has computed `tensor`, by reading one of its values.
async fn wait_for(tensor: Tensor<4>) -> Result<(), DeviceError> {
    let one = tensor.slice([0..1, 0..1, 0..1, 0..1]);
    read_back(one).await.map(|_| ())
}

/// A tensor's values, back on the CPU.
pub(crate) async fn read_back<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>, DeviceError> {
    tensor
        .into_data_async()
        .await
        .map_err(|error| DeviceError::Readback(error.to_string()))?
        .try_into_vec::<f32>()
        .map_err(|error| DeviceError::Readback(format!("{error:?}")))
}
