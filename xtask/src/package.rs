//! `cargo xtask package`: the device as an npm package, for pages of one's own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::steps::{kilobytes, say, step};
use crate::wasm::{self, Package, WasmOptions};
use crate::{process, workspace};

/// What stands in the template where the version belongs.
const NO_VERSION: &str = "\"version\": \"0.0.0\"";
/// Where the types' own types are in the repository; in the package they are beside them.
const TYPES_HERE: &str = "../src/types.d.ts";

/// The command.
pub(crate) fn run(options: &WasmOptions) -> Result<ExitCode> {
    wasm::build(options)?;
    let packed = step("packing the npm package", pack)?;
    say(&format!(
        "\n{} ({}). Install it with: npm install {0}",
        packed.display(),
        kilobytes(packed.metadata()?.len())
    ));
    Ok(ExitCode::SUCCESS)
}

/// Lays the package out below `target/npm` and packs it; returns the archive.
pub(crate) fn pack() -> Result<PathBuf> {
    let target = workspace::target().join("npm");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    let package = target.join("package");
    let source = workspace::root().join("device-wasm");
    copy_folder(&source.join("npm"), &package, |_| true)?;
    copy_folder(
        &workspace::web().join("worker"),
        &package.join("worker"),
        |_| true,
    )?;
    fs::copy(source.join("src/types.d.ts"), package.join("types.d.ts"))?;
    replace(&package.join("index.d.ts"), TYPES_HERE, "./types.d.ts")?;
    replace(
        &package.join("package.json"),
        NO_VERSION,
        &format!("\"version\": \"{}\"", env!("CARGO_PKG_VERSION")),
    )?;
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        fs::copy(workspace::root().join(licence), package.join(licence))?;
    }
    for build in Package::ALL {
        let built = workspace::web().join("pkg").join(build.name());
        // A package with some of the builds is of use for a test, and `--build` asks for it.
        if built.is_dir() {
            copy_folder(&built, &package.join("pkg").join(build.name()), |name| {
                !name.starts_with('.') && !has_ending(name, "br")
            })?;
        }
    }
    let printed = process::output(
        npm_in(&package)
            .args(["pack", "--silent", "--pack-destination"])
            .arg(&target),
    )?;
    let archive = target.join(printed.trim().lines().last().unwrap_or_default());
    if !archive.is_file() {
        bail!("npm pack wrote no archive; it printed: {printed}");
    }
    Ok(archive)
}

fn npm_in(folder: &Path) -> Command {
    let mut npm = process::npm();
    npm.current_dir(folder);
    npm
}

/// Replaces what must be there.
fn replace(file: &Path, from: &str, to: &str) -> Result<()> {
    let text =
        fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    if !text.contains(from) {
        bail!("{} has no {from} to replace", file.display());
    }
    fs::write(file, text.replace(from, to))?;
    Ok(())
}

fn copy_folder(from: &Path, to: &Path, wanted: impl Fn(&str) -> bool) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in from
        .read_dir()
        .with_context(|| format!("{} cannot be read", from.display()))?
    {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type()?.is_file() && wanted(&name.to_string_lossy()) {
            fs::copy(entry.path(), to.join(&name))?;
        }
    }
    Ok(())
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_wanted_files_are_copied() {
        let root = std::env::temp_dir().join(format!("xtask-package-{}", std::process::id()));
        let from = root.join("from");
        fs::create_dir_all(from.join("folder")).unwrap();
        for name in ["a.js", "a.js.br", ".stamp"] {
            fs::write(from.join(name), name).unwrap();
        }
        copy_folder(&from, &root.join("to"), |name| !name.starts_with('.')).unwrap();
        let mut copied: Vec<_> = root
            .join("to")
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        copied.sort();
        fs::remove_dir_all(&root).unwrap();
        assert_eq!(copied, ["a.js", "a.js.br"]);
        assert!(has_ending("a.js.br", "br") && !has_ending("a.js", "br"));
    }

    #[test]
    fn what_is_to_be_replaced_is_there() {
        let npm = workspace::root().join("device-wasm/npm");
        for (file, text) in [("package.json", NO_VERSION), ("index.d.ts", TYPES_HERE)] {
            let found = fs::read_to_string(npm.join(file)).unwrap();
            assert!(found.contains(text), "{file}");
        }
        let missing = replace(&npm.join("package.json"), "nothing like this", "");
        assert!(
            missing
                .unwrap_err()
                .to_string()
                .contains("nothing like this")
        );
    }
}
