//! Between Rust's values and JavaScript's.

use js_sys::{Array, JSON, Object, Reflect, Uint8Array};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};

use crate::error::DeviceError;

/// A JavaScript `Error` with the fields of `DeviceError` in the types.
impl From<DeviceError> for JsValue {
    fn from(error: DeviceError) -> Self {
        let js = js_sys::Error::new(&error.to_string());
        js.set_name(error.name());
        set(&js, "hint", &error.hint().into());
        if let DeviceError::Server { code, sequence, .. } = &error {
            set(&js, "code", &code.as_str().into());
            if let Some(sequence) = sequence {
                set(&js, "sequence", &(*sequence).into());
            }
        }
        js.into()
    }
}

/// A plain object with the value's fields.
pub(super) fn to_js(value: &impl Serialize) -> JsValue {
    serde_json::to_string(value)
        .ok()
        .and_then(|json| JSON::parse(&json).ok())
        .unwrap_or(JsValue::UNDEFINED)
}

/// What a plain object says, where it says it rightly.
pub(super) fn from_js<T: DeserializeOwned>(value: &JsValue) -> Result<T, DeviceError> {
    let text = JSON::stringify(value).map(String::from).unwrap_or_default();
    serde_json::from_str(&text).map_err(|error| DeviceError::InvalidArgument(error.to_string()))
}

/// Sets a field of an object that we made.
pub(super) fn set(object: &JsValue, key: &str, value: &JsValue) {
    // This only fails for objects that are frozen or have setters that throw; ours do not.
    let _ = Reflect::set(object, &key.into(), value);
}

/// A field of an object that somebody else made; `undefined` when it has none.
pub(super) fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &key.into()).unwrap_or(JsValue::UNDEFINED)
}

/// The named byte arrays of an object such as `{ stem: Uint8Array }`.
pub(super) fn named_bytes(object: &Object) -> Result<Vec<(String, Vec<u8>)>, DeviceError> {
    Object::entries(object)
        .iter()
        .map(|entry| {
            let entry: Array = entry.unchecked_into();
            let name = entry.get(0).as_string().unwrap_or_default();
            let bytes = entry.get(1).dyn_into::<Uint8Array>().map_err(|_| {
                DeviceError::InvalidArgument(format!("the part `{name}` is no Uint8Array"))
            })?;
            Ok((name, bytes.to_vec()))
        })
        .collect()
}

/// What a JavaScript exception says.
pub(super) fn message(error: &JsValue) -> String {
    error
        .dyn_ref::<js_sys::Error>()
        .map_or_else(|| format!("{error:?}"), |error| error.message().into())
}
