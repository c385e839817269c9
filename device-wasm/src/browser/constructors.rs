//! What crates have run before anything else, such as the registration of a shader compiler's operations.

#![expect(
    unsafe_code,
    reason = "the linker's function cannot be called otherwise"
)]

unsafe extern "C" {
    /// Made by the linker: calls all of them.
    fn __wasm_call_ctors();
}

/// Runs them. In a module that does not, the linker has them run at the head of every function that JavaScript calls:
/// some hundred times a picture.
pub(super) fn run() {
    // SAFETY: a function of this name, without parameters or result, is in every module that a linker of WebAssembly makes. Its
    // one caller is the module's start, before which nothing uses what is registered.
    unsafe { __wasm_call_ctors() };
}
