//! Opening a backend by its name.

use burn::tensor::Device;
use js_sys::Function;
#[cfg(feature = "webgpu")]
use wasm_bindgen::JsValue;

use crate::error::DeviceError;

/// A backend that is ready, and its name for people.
pub(super) struct Backend {
    pub(super) device: Device,
    pub(super) label: String,
}

/// Opens `webgpu` or `cpu`. There is no fallback here: whoever asks decides what comes instead,
/// and tells the user. `on_lost` is called with the reason when the graphics device is lost, after which the
/// backend is of no use.
pub(super) async fn open(name: &str, on_lost: Option<Function>) -> Result<Backend, DeviceError> {
    match name {
        "webgpu" => webgpu(on_lost).await,
        "cpu" => cpu(),
        other => Err(DeviceError::InvalidArgument(format!(
            "there is no backend `{other}`; there are `webgpu` and `cpu`"
        ))),
    }
}

#[cfg(feature = "webgpu")]
async fn webgpu(on_lost: Option<Function>) -> Result<Backend, DeviceError> {
    let (device, setup) = Device::wgpu_options()
        .init_with_setup_async()
        .await
        .map_err(|error| DeviceError::BackendUnavailable {
            backend: "webgpu".to_owned(),
            reason: error.to_string(),
        })?;
    if let Some(on_lost) = on_lost {
        setup.device.set_device_lost_callback(move |_, reason| {
            if let Err(error) = on_lost.call1(&JsValue::UNDEFINED, &reason.into()) {
                web_sys::console::error_1(&error);
            }
        });
    }
    let info = setup.adapter.get_info();
    // Browsers blur what they tell about the adapter; any of these may be empty.
    let words: Vec<String> = [info.name, info.driver, info.driver_info]
        .into_iter()
        .filter(|word| !word.trim().is_empty())
        .collect();
    let adapter = if words.is_empty() {
        "unnamed adapter".to_owned()
    } else {
        words.join(" ")
    };
    Ok(Backend {
        device,
        label: format!("webgpu: {adapter}"),
    })
}

#[cfg(not(feature = "webgpu"))]
async fn webgpu(_on_lost: Option<Function>) -> Result<Backend, DeviceError> {
    Err(not_in_this_package("webgpu"))
}

/// Opens `cpu`.
#[cfg(feature = "cpu")]
pub(super) fn cpu() -> Result<Backend, DeviceError> {
    let label = if cfg!(target_feature = "relaxed-simd") {
        "cpu (relaxed simd)"
    } else if cfg!(target_feature = "simd128") {
        "cpu (simd)"
    } else {
        "cpu"
    };
    Ok(Backend {
        device: Device::flex(),
        label: label.to_owned(),
    })
}

/// Opens `cpu`.
#[cfg(not(feature = "cpu"))]
pub(super) fn cpu() -> Result<Backend, DeviceError> {
    Err(not_in_this_package("cpu"))
}

#[cfg(not(all(feature = "cpu", feature = "webgpu")))]
fn not_in_this_package(backend: &str) -> DeviceError {
    DeviceError::BackendUnavailable {
        backend: backend.to_owned(),
        reason: "this package was built without it".to_owned(),
    }
}
