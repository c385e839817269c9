//! `setTimeout`, that ends with its owner.

use js_sys::{Function, Promise, Reflect};
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// A pending `setTimeout`; dropping it cancels it.
pub(super) struct Timer {
    id: JsValue,
    _callback: Closure<dyn FnMut()>,
}

impl Timer {
    pub(super) fn start(ms: f64, callback: impl FnMut() + 'static) -> Option<Self> {
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

/// Lets all have its turn that comes within so many milliseconds.
pub(super) async fn pause(ms: f64) {
    let promise = Promise::new(&mut |resolve, _| {
        let started = global_function("setTimeout")
            .and_then(|start| start.call2(&JsValue::UNDEFINED, &resolve, &ms.into()).ok());
        if started.is_none() {
            // Nothing else can fail, and nobody shall wait for ever.
            let _ = resolve.call0(&JsValue::UNDEFINED);
        }
    });
    let _ = JsFuture::from(promise).await;
}

/// A function of the page's or the worker's global scope.
fn global_function(name: &str) -> Option<Function> {
    Reflect::get(&js_sys::global(), &name.into())
        .ok()?
        .dyn_into()
        .ok()
}
