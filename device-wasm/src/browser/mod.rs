//! What touches the browser: the JavaScript surface, the canvas, the socket. Nothing here decides
//! anything that could be tested without a browser.

mod backend;
mod canvas;
mod compress;
mod connection;
mod constructors;
mod convert;
mod device;
mod helper;
mod shaper;
mod socket;
mod timer;

use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = include_str!("../types.d.ts");

/// Runs when the module is instantiated: a panic becomes a readable message in the console
/// instead of `unreachable`.
#[wasm_bindgen(start)]
pub(super) fn start() {
    constructors::run();
    console_error_panic_hook::set_once();
}
