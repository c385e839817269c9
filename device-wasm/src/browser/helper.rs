//! Sharing the front with other workers, on both sides.

use std::ops::Range;

use aecnn::Split;
use js_sys::{Float32Array, Object, Promise, Uint8Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

use super::backend;
use super::convert::named_bytes;
use super::device::Parts;
use crate::error::DeviceError;
use crate::strips::{self, Helpers, Purpose, Rows};

#[wasm_bindgen]
extern "C" {
    /// See the types.
    #[wasm_bindgen(typescript_type = "Helpers")]
    pub type JsHelpers;

    #[wasm_bindgen(method)]
    fn count(this: &JsHelpers, split: &str, purpose: &str) -> u32;

    #[wasm_bindgen(method)]
    fn ask(
        this: &JsHelpers,
        split: &str,
        purpose: &str,
        seen: Uint8Array,
        first: u32,
        end: u32,
    ) -> Promise;
}

impl Helpers for JsHelpers {
    fn count(&self, split: Split, purpose: Purpose) -> usize {
        self.count(split.name(), purpose.name()) as usize
    }

    fn ask(&self, split: Split, purpose: Purpose, seen: &[u8], rows: Range<usize>) -> Rows<'_> {
        let seen = Uint8Array::from(seen);
        let (first, end) = (rows.start as u32, rows.end as u32);
        let asked = self.ask(split.name(), purpose.name(), seen, first, end);
        // Listens from now on: the browser complains of failures that nobody listens to.
        let asked = JsFuture::from(asked);
        Box::pin(async move {
            let failed = |error: JsValue| DeviceError::Readback(format!("{error:?}"));
            let rows = asked.await.map_err(failed)?;
            let rows: Float32Array = rows.dyn_into().map_err(failed)?;
            Ok(rows.to_vec())
        })
    }
}

/// A helper of a device: in a worker of its own it computes some rows of the feature, on the CPU.
#[wasm_bindgen]
#[derive(Default)]
pub struct Helper(strips::Helper);

#[wasm_bindgen]
impl Helper {
    /// A helper that has nothing loaded.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Loads the front of `split` for `purpose`, `codec` or `whole`; the other arguments are those of the device's `load`. Throws
    /// `InvalidModel` or `InvalidArgument`.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "wasm-bindgen passes objects by value"
    )]
    pub fn load(
        &mut self,
        manifest: &str,
        split: &str,
        purpose: &str,
        parts: Parts,
    ) -> Result<(), JsValue> {
        let split = split.parse().map_err(DeviceError::from)?;
        let purpose = Purpose::parse(purpose)?;
        let object: Object = JsValue::from(parts).into();
        let parts = named_bytes(&object)?;
        let device = backend::cpu()?.device;
        let manifest = manifest.as_bytes();
        Ok(self.0.load(manifest, split, purpose, &parts, &device)?)
    }

    /// Rows `first` to `end` (without it) of the feature of `split`, as loaded for `purpose`, `[channels, rows, width]`, of the 224 rows of 224
    /// pixels (red, green, blue) that the network sees.
    pub async fn rows(
        &self,
        split: &str,
        purpose: &str,
        seen: &[u8],
        first: u32,
        end: u32,
    ) -> Result<Float32Array, JsValue> {
        let split = split.parse().map_err(DeviceError::from)?;
        let purpose = Purpose::parse(purpose)?;
        let rows = first as usize..end as usize;
        let device = backend::cpu()?.device;
        let values = self.0.rows(split, purpose, seen, rows, &device).await?;
        Ok(Float32Array::from(&values[..]))
    }
}
