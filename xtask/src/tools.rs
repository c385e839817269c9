//! The tools that the chores need: found, installed where that is possible, or named.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow, bail};

use crate::process::{self, find};
use crate::steps::{say, step};
use crate::workspace;

/// The first Node.js whose features are relied upon.
const NODE: u32 = 20;

/// Makes sure that the compiler can build for `target`.
pub(crate) fn rust_target(target: &str) -> Result<()> {
    let library = process::output(Command::new("rustc").current_dir(workspace::root()).args([
        "--print",
        "target-libdir",
        "--target",
        target,
    ]));
    if library.is_ok_and(|folder| PathBuf::from(folder.trim()).is_dir()) {
        return Ok(());
    }
    if find(&["rustup"]).is_none() {
        bail!(
            "missing: the Rust target {target}. Install rustup from https://rustup.rs, or the target by your system's packages"
        );
    }
    step(&format!("installing the Rust target {target}"), || {
        process::run(
            Command::new("rustup")
                .current_dir(workspace::root())
                .args(["target", "add", target]),
        )
    })
}

/// Makes sure that Node.js is there and new enough.
pub(crate) fn node() -> Result<()> {
    let missing = || {
        anyhow!(
            "missing: Node.js {NODE} or newer with npm. Get it from https://nodejs.org or your system's packages (Debian: apt-get install nodejs npm)"
        )
    };
    if find(&["node"]).is_none() || find(&["npm", "npm.cmd"]).is_none() {
        return Err(missing());
    }
    let version = process::output(Command::new("node").arg("--version"))?;
    match major(&version) {
        Some(major) if major >= NODE => Ok(()),
        _ => Err(missing().context(format!("Node.js {} is too old", version.trim()))),
    }
}

/// Installs the page's development packages when they are not those of the lock file.
pub(crate) fn node_packages() -> Result<()> {
    node()?;
    let web = workspace::web();
    let lock = web.join("package-lock.json");
    if !lock.exists() {
        bail!(
            "missing: {}. Restore it from the repository",
            lock.display()
        );
    }
    // npm writes this file when it has installed what the lock file asks for.
    let installed = web.join("node_modules/.package-lock.json");
    let changed = |path: &PathBuf| path.metadata().and_then(|data| data.modified());
    if matches!((changed(&lock), changed(&installed)), (Ok(lock), Ok(installed)) if lock <= installed)
    {
        return Ok(());
    }
    step(
        "installing the page's development packages (npm ci)",
        || process::run(process::npm().args(["ci", "--no-audit", "--no-fund"])),
    )
}

/// Packages from Python's index, each with its version, in an environment of their own.
pub(crate) struct Venv {
    /// The environment's folder, in the build's.
    pub(crate) name: &'static str,
    /// Packages, with all that they need.
    pub(crate) packages: &'static [&'static str],
    /// Packages without what they need.
    pub(crate) alone: &'static [&'static str],
}

/// The Python of an environment, which is made where it is missing or has other packages.
pub(crate) fn python(venv: &Venv) -> Result<PathBuf> {
    let Some(system) = find(&["python3", "python"]) else {
        bail!("there is no Python");
    };
    let folder = workspace::target().join(venv.name);
    let python = folder.join(if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    });
    // Written when all of them are there.
    let list = folder.join("packages.txt");
    let wanted = [venv.packages, venv.alone].concat().join("\n");
    if std::fs::read_to_string(&list).is_ok_and(|there| there == wanted) {
        return Ok(python);
    }
    step(
        &format!("installing Python's packages into {}", venv.name),
        || {
            process::run(Command::new(system).args(["-m", "venv"]).arg(&folder))?;
            let install = |flags: &[&str], packages: &[&str]| {
                if packages.is_empty() {
                    return Ok(());
                }
                let mut pip = Command::new(&python);
                pip.args(["-m", "pip", "install", "--quiet"]);
                process::run(pip.args(flags).args(packages))
            };
            install(&[], venv.packages)?;
            install(&["--no-deps"], venv.alone)?;
            Ok(std::fs::write(list, wanted)?)
        },
    )?;
    Ok(python)
}

/// A Chromium or Chrome for the browser tests.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        let named = PathBuf::from(named);
        if named.is_file() {
            return Ok(named);
        }
        bail!("CHROMIUM names {}, which is no file", named.display());
    }
    let known = [
        "chromium",
        "chromium-browser",
        "google-chrome-stable",
        "google-chrome",
        "chrome",
    ];
    if let Some(found) = find(&known).or_else(mac_chrome) {
        return Ok(found);
    }
    if is_root_on_debian() {
        say("    Chromium is missing; installing Debian's");
        process::run(Command::new("apt-get").args(["update", "--quiet"]))?;
        process::run(
            Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args([
                    "install",
                    "--yes",
                    "--quiet",
                    "--no-install-recommends",
                    "chromium",
                ]),
        )?;
        if let Some(found) = find(&known) {
            return Ok(found);
        }
    }
    bail!(
        "missing: Chromium or Chrome. Install it (Debian: apt-get install chromium), or name it by the variable CHROMIUM"
    )
}

/// What lets a program find the Vulkan driver in software that comes with Chromium; nothing where there is none, so that the
/// machine's own is found.
pub(crate) fn software_vulkan(chromium: &Path) -> Vec<(&'static str, OsString)> {
    // What is started is often a script elsewhere.
    let beside = chromium.canonicalize().unwrap_or_default();
    let known = [
        "/usr/lib/chromium",
        "/usr/lib/chromium-browser",
        "/opt/google/chrome",
    ];
    let folder = beside
        .parent()
        .into_iter()
        .chain(known.iter().map(Path::new))
        .find(|folder| folder.join(DRIVER).is_file() && folder.join("libvulkan.so.1").is_file());
    folder.map_or_else(Vec::new, |folder| {
        vec![
            ("VK_DRIVER_FILES", folder.join(DRIVER).into_os_string()),
            ("LD_LIBRARY_PATH", folder.into()),
        ]
    })
}

/// The file that tells a Vulkan loader of it.
const DRIVER: &str = "vk_swiftshader_icd.json";

fn mac_chrome() -> Option<PathBuf> {
    let chrome = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    chrome.is_file().then_some(chrome)
}

fn is_root_on_debian() -> bool {
    let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    root && find(&["apt-get"]).is_some()
}

/// The major version in a text such as `v20.19.2`.
fn major(version: &str) -> Option<u32> {
    version
        .trim()
        .trim_start_matches('v')
        .split('.')
        .next()?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major("v20.19.2\n"), Some(20));
        assert_eq!(major("24.0"), Some(24));
        assert_eq!(major("unknown"), None);
    }
}
