//! The engine on given values, run whenever it is told to: what a benchmark times beside another
//! runtime.

use std::fs;
use std::io::{BufRead, Write, stdin, stdout};
use std::path::PathBuf;
use std::time::Instant;

use aecnn::Split;
use aecnn::preprocess::INPUT;
use anyhow::{Context, Result, ensure};
use clap::Args;
use edge_server::catalogue::Catalogue;
use edge_server::config::Backend;
use edge_server::engine::{Engine, Input, Networks};

/// What is computed.
#[derive(Debug, Args)]
pub(crate) struct LayersOptions {
    /// The folder of models; the first is used.
    #[arg(
        long,
        env = "AECNN_LOAD_MODELS",
        default_value = "models",
        value_name = "DIR"
    )]
    models: PathBuf,

    /// The layers behind this split (stem, stage1 to stage4); the whole network when absent.
    #[arg(long, env = "AECNN_LOAD_SPLIT", value_name = "SPLIT")]
    split: Option<Split>,

    /// The batch: 32-bit floats, little-endian, one `[channels, height, width]` behind the other.
    #[arg(long, env = "AECNN_LOAD_INPUT", value_name = "FILE")]
    input: PathBuf,

    /// Where the logits go, in the same form.
    #[arg(long, env = "AECNN_LOAD_OUTPUT", value_name = "FILE")]
    output: PathBuf,

    /// What runs the network, as the server's flag of this name.
    #[arg(long, env = "AECNN_LOAD_BACKEND", default_value = "flex", value_enum)]
    backend: Backend,
}

/// Writes the logits, says so with an empty line, and then answers each line of standard input
/// with the milliseconds that one more run took.
///
/// # Errors
///
/// When the input does not fit the layers, or the network does not run.
pub(crate) fn run(options: &LayersOptions) -> Result<()> {
    let catalogue = Catalogue::read(&options.models)?;
    let model = catalogue.model(0).context("no model in the folder")?;
    let size = match options.split {
        Some(split) => {
            let shape = model.manifest.variant.feature_shape(split);
            shape.channels * shape.height * shape.width
        }
        None => 3 * INPUT * INPUT,
    };
    let named = || options.input.display();
    let bytes = fs::read(&options.input).with_context(|| format!("{} cannot be read", named()))?;
    let values: Vec<f32> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect();
    ensure!(
        bytes.len().is_multiple_of(4 * size) && !values.is_empty(),
        "{} has {} bytes; each entry of the batch takes {}",
        named(),
        bytes.len(),
        4 * size
    );
    let inputs: Vec<Input> = values
        .chunks_exact(size)
        .map(|values| match options.split {
            Some(split) => Input::Feature {
                model: 0,
                split,
                values: values.to_vec(),
            },
            None => Input::Picture {
                model: 0,
                planes: values.to_vec(),
            },
        })
        .collect();
    let inputs: Vec<&Input> = inputs.iter().collect();

    let mut networks = Networks::load(&catalogue, options.backend)?;
    let logits = networks.run(&inputs)?.logits.concat();
    let bytes: Vec<u8> = logits.into_iter().flat_map(f32::to_le_bytes).collect();
    fs::write(&options.output, bytes)
        .with_context(|| format!("{} cannot be written", options.output.display()))?;
    println!();
    for line in stdin().lock().lines() {
        line?;
        let started = Instant::now();
        networks.run(&inputs)?;
        println!("{}", started.elapsed().as_secs_f64() * 1e3);
        stdout().flush()?;
    }
    Ok(())
}
