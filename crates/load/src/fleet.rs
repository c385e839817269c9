//! Many clients at once.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use edge_server::picture::{self, Source};
use image::RgbaImage;
use tokio::task::JoinSet;
use tokio::time::Instant;
use wire::CodecInfo;

use crate::account::Account;
use crate::client::{Progress, Reel, Schedule, run};
use crate::device::NativeDevice;
use crate::link::Address;

/// How many clients, how fast, how long.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Clients.
    pub clients: usize,
    /// Frames that fall due a second, over all clients.
    pub per_second: f64,
    /// Before frames are counted.
    pub warm_up: Duration,
    /// While frames are counted.
    pub duration: Duration,
    /// How long answers are waited for at the end.
    pub drain: Duration,
}

/// Drives the load and adds up what became of every frame. Client `n` sends reel `n` modulo their
/// number. Clients begin spread evenly over one interval, so that they do not all send at once.
///
/// # Errors
///
/// When a client cannot be run at all.
pub async fn drive(
    address: &Address,
    reels: &[Arc<Reel>],
    load: Load,
    progress: &Arc<Progress>,
) -> Result<Account> {
    ensure!(!reels.is_empty(), "no frames to send");
    ensure!(
        load.per_second > 0.0 && load.clients > 0,
        "a load has at least one client, and a rate above 0"
    );
    let every = Duration::from_secs_f64(load.clients as f64 / load.per_second);
    // Time to connect, before anything falls due.
    let start = Instant::now() + Duration::from_millis(200 + 5 * load.clients as u64);
    let count_from = start + load.warm_up;
    let mut clients = JoinSet::new();
    for n in 0..load.clients {
        let schedule = Schedule {
            first: start + every.mul_f64(n as f64 / load.clients as f64),
            every,
            end: count_from + load.duration,
            drain: load.drain,
            count_from,
        };
        let reel = Arc::clone(&reels[n % reels.len()]);
        clients.spawn(run(address.clone(), reel, schedule, Arc::clone(progress)));
    }
    let mut total = Account::new()?;
    while let Some(account) = clients.join_next().await {
        total.add(&account.context("a client failed")??);
    }
    Ok(total)
}

/// Reads up to `most` pictures (JPEG, PNG, WebP) of a folder, with and in the order of their names.
///
/// # Errors
///
/// When the folder or a picture cannot be read, or there is none.
pub fn pictures(folder: &Path, most: usize) -> Result<Vec<(String, RgbaImage)>> {
    let mut files: Vec<_> = folder
        .read_dir()
        .with_context(|| format!("{} cannot be read", folder.display()))?
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .map(|entry| entry.path())
        .filter(|path| {
            let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
            ["jpg", "jpeg", "png", "webp"].contains(&extension.to_ascii_lowercase().as_str())
        })
        .collect();
    files.sort();
    files.truncate(most);
    ensure!(
        !files.is_empty(),
        "{} has no picture (.jpg, .png, .webp)",
        folder.display()
    );
    files
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let picture =
                read_picture(path).with_context(|| format!("{} is no picture", path.display()))?;
            Ok((name.into_owned(), picture))
        })
        .collect()
}

fn read_picture(path: &Path) -> Result<RgbaImage> {
    let bytes = std::fs::read(path)?;
    Ok(picture::decode(&bytes, Source::Photograph)?.to_rgba8())
}

/// Encodes pictures with a device, once.
///
/// # Errors
///
/// When a picture cannot be encoded.
pub async fn encode(device: &NativeDevice, pictures: &[(String, RgbaImage)]) -> Result<Reel> {
    let hello = device.hello(concat!("aecnn-load/", env!("CARGO_PKG_VERSION")));
    // The number is written anew when the session is open.
    let codec = CodecInfo {
        id: 0,
        digest: hello.codec.clone(),
        name: device.codec().to_owned(),
        split: hello.split,
        rates: u8::MAX,
    };
    let mut frames = Vec::with_capacity(pictures.len());
    for (_, picture) in pictures {
        frames.push(device.encode(picture, &codec, 0, 0).await?);
    }
    Ok(Reel { hello, frames })
}
