//! The programs for this machine.

use std::path::PathBuf;

use anyhow::Result;

use crate::{process, workspace};

/// Builds them. To be called when the packages are there, for the server carries them and the page.
pub(crate) fn build() -> Result<()> {
    // With tests, for their dependencies choose features: without them everything would be compiled
    // once more.
    process::run(
        process::cargo()
            .args(["build", "--release", "--bins", "--tests"])
            .args(workspace::NATIVE),
    )
}

/// Where a program lies when it is built.
pub(crate) fn program(name: &str) -> PathBuf {
    workspace::target()
        .join("release")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
}
