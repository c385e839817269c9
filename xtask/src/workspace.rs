//! Where things are.

use std::env;
use std::path::{Path, PathBuf};

/// What native builds and tests select. It is the same everywhere, for Cargo compiles a dependency
/// again when another selection of packages asks it for other features. xtask itself is left out
/// for the same reason: it was compiled alone; and gpu-kernels, whose tests need a graphics device, which nothing native does.
pub(crate) const NATIVE: [&str; 5] = [
    "--workspace",
    "--exclude",
    "xtask",
    "--exclude",
    "gpu-kernels",
];

/// The workspace's root folder.
pub(crate) fn root() -> &'static Path {
    // xtask is a direct member of the workspace.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// The folder of the page.
pub(crate) fn web() -> PathBuf {
    root().join("web")
}

/// Cargo's folder for native builds.
pub(crate) fn target() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => root().join(folder),
        None => root().join("target"),
    }
}

/// Cargo's folder for builds to WebAssembly. It is another one, so that neither waits for the
/// other's lock.
pub(crate) fn wasm_target() -> PathBuf {
    target().join("wasm")
}
