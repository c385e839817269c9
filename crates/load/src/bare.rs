//! What the network alone could do: the server's engine in a loop, without queue and sockets.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use edge_server::catalogue::Catalogue;
use edge_server::config::Backend;
use edge_server::engine::{CodecId, Engine, Input, Networks};
use wire::{Frame, HEADER_BYTES};

use crate::client::Reel;

/// The engine, and the frames that it computes again and again.
pub struct Bare {
    networks: Networks,
    inputs: Vec<Input>,
}

impl Bare {
    /// Loads the models and decodes the frames, those of several reels in turn.
    ///
    /// # Errors
    ///
    /// When the frames are not of a model of the catalogue.
    pub fn new(catalogue: &Catalogue, reels: &[&Reel], backend: Backend) -> Result<Self> {
        let most = reels.iter().map(|reel| reel.frames.len()).max();
        let mut inputs = Vec::new();
        for n in 0..most.unwrap_or_default() {
            for reel in reels {
                let frame = &reel.frames[n % reel.frames.len()];
                inputs.push(decode(catalogue, reel, frame)?);
            }
        }
        ensure!(!inputs.is_empty(), "no frames to compute");
        let mut networks = Networks::load(catalogue, backend)?;
        networks.warm_up()?;
        Ok(Self { networks, inputs })
    }

    /// Frames a second when always `batch` of them are computed together.
    ///
    /// # Errors
    ///
    /// When the network does not run.
    pub fn measure(&mut self, batch: usize, duration: Duration) -> Result<f64> {
        let mut turn = self.inputs.iter().cycle();
        let (mut frames, started) = (0usize, Instant::now());
        loop {
            let inputs: Vec<&Input> = turn.by_ref().take(batch).collect();
            self.networks.run(&inputs)?;
            frames += batch;
            let passed = started.elapsed();
            if passed >= duration {
                return Ok(frames as f64 / passed.as_secs_f64());
            }
        }
    }
}

fn decode(catalogue: &Catalogue, reel: &Reel, message: &[u8]) -> Result<Input> {
    let model = catalogue
        .by_digest(&reel.hello.model)
        .context("the model is not among those of the folder")?;
    let found = catalogue.model(model).context("no such model")?;
    let codec = found
        .codec_by_digest(&reel.hello.codec)
        .context("the model has no such codec")?;
    let file = &found.codecs[codec];
    let most = u32::try_from(message.len().saturating_sub(HEADER_BYTES))?;
    let frame = Frame::parse(message, most)?;
    let rate = usize::from(frame.header.rate);
    let channels = usize::from(frame.header.channels);
    let tables = &file.rates.get(rate).context("no such rate")?.tables;
    Ok(Input::Latent {
        codec: CodecId { model, codec },
        split: file.split,
        rate,
        symbols: tables.decode(frame.payload, file.geometry(channels))?,
    })
}
