//! Stopping cleanly on ctrl-C.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};

/// Asks whether ctrl-C was pressed since this call. A second one ends the program at once.
pub(crate) fn on_ctrl_c() -> Result<impl Fn() -> bool> {
    let asked = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&asked);
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
        eprintln!("stopping after this step; press ctrl-C again to end at once");
    })
    .context("listening for ctrl-C")?;
    Ok(move || asked.load(Ordering::SeqCst))
}
