//! Reading a frame's pixels through a 2D canvas.
//!
//! Copying a video frame into a WebGPU texture would spare the way over the CPU, but not every
//! adapter can, and the preprocessing is the same code on all backends this way.

use js_sys::Object;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{ImageData, OffscreenCanvas};

use super::convert::{get, message, set};
use crate::capture::region;
use crate::encode::Picture;
use crate::error::DeviceError;

// Declared here, for `drawImage` takes many kinds of sources, some of them not in `web-sys`' stable part.
#[wasm_bindgen]
extern "C" {
    pub(super) type Context;

    #[wasm_bindgen(method, catch, js_name = drawImage)]
    #[allow(clippy::too_many_arguments, reason = "JavaScript's own signature")]
    fn draw_image(
        this: &Context,
        source: &JsValue,
        sx: f64,
        sy: f64,
        sw: f64,
        sh: f64,
        dx: f64,
        dy: f64,
        dw: f64,
        dh: f64,
    ) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = getImageData)]
    fn get_image_data(
        this: &Context,
        x: i32,
        y: i32,
        width: i32,
        height: i32,
    ) -> Result<ImageData, JsValue>;

    #[wasm_bindgen(method, catch, js_name = putImageData)]
    pub(super) fn put_image_data(
        this: &Context,
        data: &ImageData,
        x: i32,
        y: i32,
    ) -> Result<(), JsValue>;

    #[wasm_bindgen(method, setter, js_name = imageSmoothingQuality)]
    fn set_quality(this: &Context, quality: &str);
}

/// Pixels that were read from a source.
pub(super) struct Pixels {
    rgba: Vec<u8>,
    width: u32,
    height: u32,
}

impl Pixels {
    pub(super) fn picture(&self) -> Picture<'_> {
        Picture {
            rgba: &self.rgba,
            width: self.width,
            height: self.height,
        }
    }
}

/// A canvas that is kept from frame to frame.
#[derive(Default)]
pub(super) struct Canvas {
    inner: Option<(OffscreenCanvas, Context)>,
}

impl Canvas {
    /// Reads the part of `source` that the network looks at.
    pub(super) fn read(&mut self, source: &JsValue) -> Result<Pixels, DeviceError> {
        if let Some(data) = source.dyn_ref::<ImageData>() {
            return Ok(Pixels {
                rgba: data.data().0,
                width: data.width(),
                height: data.height(),
            });
        }
        let (width, height) = size(source)?;
        let region = region(width, height)
            .ok_or_else(|| DeviceError::Capture("the source has no pixels yet".to_owned()))?;
        let (columns, rows) = (region.target_width, region.target_height);
        let context = self.context(columns, rows)?;
        let failed = |error: JsValue| DeviceError::Capture(message(&error));
        context
            .draw_image(
                source,
                region.x.into(),
                region.y.into(),
                region.width.into(),
                region.height.into(),
                0.0,
                0.0,
                columns.into(),
                rows.into(),
            )
            .map_err(failed)?;
        // Both are at most MAX_SHORTER_SIDE and a pixel.
        let data = context
            .get_image_data(0, 0, columns as i32, rows as i32)
            .map_err(failed)?;
        Ok(Pixels {
            rgba: data.data().0,
            width: columns,
            height: rows,
        })
    }

    fn context(&mut self, width: u32, height: u32) -> Result<&Context, DeviceError> {
        let fits = self
            .inner
            .as_ref()
            .is_some_and(|(canvas, _)| canvas.width() == width && canvas.height() == height);
        if !fits {
            self.inner = Some(new_canvas(width, height)?);
        }
        self.inner
            .as_ref()
            .map(|(_, context)| context)
            .ok_or_else(|| DeviceError::Capture("no canvas".to_owned()))
    }
}

pub(super) fn new_canvas(
    width: u32,
    height: u32,
) -> Result<(OffscreenCanvas, Context), DeviceError> {
    let failed = |error: JsValue| DeviceError::Capture(message(&error));
    let canvas = OffscreenCanvas::new(width, height).map_err(failed)?;
    let options = Object::new();
    // Pixels are read back every frame: keep them where the CPU reaches them.
    set(&options, "willReadFrequently", &JsValue::TRUE);
    // A picture's transparent parts become black, not what was there a frame ago.
    set(&options, "alpha", &JsValue::FALSE);
    let context = canvas
        .get_context_with_context_options("2d", &options)
        .map_err(failed)?
        .ok_or_else(|| {
            DeviceError::Capture("this browser has no 2D canvas in workers".to_owned())
        })?;
    let context: Context = JsValue::from(context).unchecked_into();
    context.set_quality("high");
    Ok((canvas, context))
}

/// The source's size in pixels, under the name that its kind has for it.
fn size(source: &JsValue) -> Result<(u32, u32), DeviceError> {
    let names = [
        ("displayWidth", "displayHeight"),
        ("videoWidth", "videoHeight"),
        ("naturalWidth", "naturalHeight"),
        ("width", "height"),
    ];
    if !source.is_object() {
        return Err(DeviceError::Capture("the source is no object".to_owned()));
    }
    names
        .into_iter()
        .find_map(|(width, height)| {
            let width = get(source, width).as_f64()?;
            let height = get(source, height).as_f64()?;
            // Sizes are whole numbers; a cast from float saturates.
            Some((width as u32, height as u32))
        })
        .ok_or_else(|| DeviceError::Capture("the source has no size".to_owned()))
}

/// Gives back the memory of a bitmap or video frame; a camera stalls while its frames are held.
pub(super) fn close(source: &JsValue) {
    if let Ok(close) = get(source, "close").dyn_into::<js_sys::Function>() {
        // Closing twice is allowed, and nothing else can fail.
        let _ = close.call0(source);
    }
}
