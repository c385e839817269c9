//! Makes Cargo rebuild the server when the page that it embeds changes.

use std::path::Path;

/// What stands in `web/` but is not served.
const NOT_SERVED: [&str; 6] = [
    "node_modules",
    "tests",
    "bench",
    "test-results",
    "package.json",
    "package-lock.json",
];

fn main() {
    let web = Path::new("../web");
    // Made by another step, perhaps later. While it is missing, Cargo runs this script every time.
    emit(&web.join("pkg"));
    if let Ok(entries) = web.read_dir() {
        for entry in entries.flatten() {
            if !NOT_SERVED.iter().any(|name| entry.file_name() == *name) {
                emit(&entry.path());
            }
        }
    }
}

// Cargo reads a build script's standard output; that is what it is for.
#[allow(clippy::print_stdout)]
fn emit(path: &Path) {
    println!("cargo::rerun-if-changed={}", path.display());
}
