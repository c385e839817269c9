//! Pictures by the browser's own encoders.

use js_sys::{ArrayBuffer, Uint8Array};
use wasm_bindgen::{Clamped, JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, ImageData, ImageEncodeOptions, OffscreenCanvas};

use super::canvas::{Context, new_canvas};
use super::convert::message;
use crate::error::DeviceError;
use crate::way::Format;

/// Pixels of a side of what the network sees.
const SIDE: u32 = 224;

/// A canvas of what the network sees, kept from frame to frame.
#[derive(Default)]
pub(super) struct Compressor {
    inner: Option<(OffscreenCanvas, Context)>,
}

impl Compressor {
    /// Puts the 224x224 pixels (red, green, blue) that the network sees on a canvas.
    pub(super) fn draw(&mut self, seen: &[u8]) -> Result<OffscreenCanvas, DeviceError> {
        if self.inner.is_none() {
            self.inner = Some(new_canvas(SIDE, SIDE)?);
        }
        let (canvas, context) = self
            .inner
            .as_ref()
            .ok_or_else(|| DeviceError::Capture("no canvas".to_owned()))?;
        let rgba: Vec<u8> = seen
            .chunks_exact(3)
            .flat_map(|pixel| [pixel[0], pixel[1], pixel[2], u8::MAX])
            .collect();
        let data = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&rgba), SIDE, SIDE);
        data.and_then(|data| context.put_image_data(&data, 0, 0))
            .map_err(|error| DeviceError::Capture(message(&error)))?;
        Ok(canvas.clone())
    }
}

/// What is on a canvas, as a picture file.
pub(super) async fn compress(
    canvas: &OffscreenCanvas,
    format: Format,
    quality: u8,
) -> Result<Vec<u8>, DeviceError> {
    let failed = |error: JsValue| DeviceError::Compress(message(&error));
    let wanted = format.media_type().unwrap_or_default();
    let options = ImageEncodeOptions::new();
    options.set_type(wanted);
    options.set_quality(f64::from(quality) / 100.0);
    let promise = canvas
        .convert_to_blob_with_options(&options)
        .map_err(failed)?;
    let blob: Blob = JsFuture::from(promise)
        .await
        .map_err(failed)?
        .unchecked_into();
    // A browser without the encoder answers with a PNG and says so only here.
    if blob.type_() != wanted {
        return Err(DeviceError::Compress(format!(
            "this browser does not write {wanted}"
        )));
    }
    let buffer: ArrayBuffer = JsFuture::from(blob.array_buffer())
        .await
        .map_err(failed)?
        .unchecked_into();
    Ok(Uint8Array::new(&buffer).to_vec())
}
