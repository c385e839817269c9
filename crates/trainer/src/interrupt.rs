//! Stopping cleanly on ctrl-C.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, anyhow};

static ASKED: AtomicBool = AtomicBool::new(false);
static LISTENING: OnceLock<Result<(), String>> = OnceLock::new();

/// Listens for ctrl-C from now on; the answer says whether it was pressed. A second one ends the
/// program at once.
pub(crate) fn on_ctrl_c() -> Result<impl Fn() -> bool> {
    LISTENING
        .get_or_init(|| ctrlc::set_handler(pressed).map_err(|error| error.to_string()))
        .clone()
        .map_err(|error| anyhow!("listening for ctrl-C: {error}"))?;
    Ok(|| ASKED.load(Ordering::SeqCst))
}

fn pressed() {
    if ASKED.swap(true, Ordering::SeqCst) {
        std::process::exit(130);
    }
    eprintln!("stopping after this step; press ctrl-C again to end at once");
}
