//! The tools that the chores need: found, installed where that is possible, or named.

use std::path::PathBuf;
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
