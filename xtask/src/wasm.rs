//! The browser packages: the device compiled to WebAssembly, with its JavaScript and types.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use wasm_bindgen_cli_support::Bindgen;

use crate::steps::{kilobytes, say, step};
use crate::{process, tools, workspace};

/// The Rust target of browsers.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The packages. The page loads the one that fits the browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Package {
    /// WebGPU.
    Webgpu,
    /// The CPU with relaxed SIMD.
    Relaxed,
    /// The CPU with SIMD.
    #[value(alias = "cpu")]
    Simd,
    /// The CPU of browsers without SIMD.
    Scalar,
}

impl Package {
    pub(crate) const ALL: [Self; 4] = [Self::Webgpu, Self::Relaxed, Self::Simd, Self::Scalar];

    /// The package's folder below `web/pkg`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Webgpu => "webgpu",
            Self::Relaxed => "relaxed",
            Self::Simd => "simd",
            Self::Scalar => "scalar",
        }
    }

    /// The features of `device-wasm` that it is built with.
    pub(crate) const fn features(self) -> &'static str {
        match self {
            Self::Webgpu => "webgpu",
            Self::Simd => "simd",
            // What burn does by SIMD does not compile with relaxed SIMD. The networks do not need it.
            Self::Relaxed | Self::Scalar => "cpu",
        }
    }

    /// The Cargo profile that it is built with.
    pub(crate) const fn profile(self) -> &'static str {
        match self {
            Self::Webgpu => "wasm",
            Self::Relaxed | Self::Simd | Self::Scalar => "wasm-cpu",
        }
    }

    /// The compiler flags that it is built with.
    pub(crate) const fn rustflags(self) -> &'static str {
        match self {
            // Every browser that has WebGPU has SIMD.
            Self::Webgpu | Self::Simd => "-C target-feature=+simd128",
            Self::Relaxed => "-C target-feature=+simd128,+relaxed-simd",
            Self::Scalar => "",
        }
    }
}

/// Which packages to build, and how.
#[derive(Debug, Clone, Args)]
pub(crate) struct WasmOptions {
    /// Build only this package; repeat for several. Default: all.
    #[arg(long = "build", value_enum, value_name = "PACKAGE")]
    pub(crate) builds: Vec<Package>,

    /// How hard to compress, 0 to 11.
    #[arg(long, default_value_t = 9, value_name = "QUALITY", value_parser = clap::value_parser!(u8).range(0..=11))]
    pub(crate) brotli: u8,

    /// Keep the names of functions, for profiles and stack traces that people can read.
    #[arg(long)]
    pub(crate) debug: bool,
}

impl Default for WasmOptions {
    fn default() -> Self {
        Self {
            builds: Vec::new(),
            brotli: 9,
            debug: false,
        }
    }
}

/// The command.
pub(crate) fn run(options: &WasmOptions) -> Result<ExitCode> {
    build(options)?;
    Ok(ExitCode::SUCCESS)
}

/// Builds what is not up to date.
pub(crate) fn build(options: &WasmOptions) -> Result<()> {
    tools::rust_target(TARGET)?;
    tools::node()?;
    let packages = match options.builds.as_slice() {
        [] => &Package::ALL,
        some => some,
    };
    for package in packages {
        let name = package.name();
        let module = step(&format!("compiling the {name} package"), || {
            compile(*package)
        })?;
        let folder = workspace::web().join("pkg").join(name);
        let wanted = stamp(&module, options)?;
        let stamp_file = folder.join(".stamp");
        if fs::read_to_string(&stamp_file).is_ok_and(|found| found == wanted) {
            say(&format!("    web/pkg/{name} is up to date"));
            continue;
        }
        step(&format!("packing web/pkg/{name}"), || {
            // Without the stamp, what an interrupted run leaves is built again.
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            bind(&module, &folder, options.debug)?;
            compress(&folder, options.brotli)?;
            fs::write(&stamp_file, &wanted)?;
            Ok(())
        })?;
    }
    Ok(())
}

/// Compiles the module; returns its path.
fn compile(package: Package) -> Result<PathBuf> {
    process::run(
        process::cargo()
            .args([
                "build",
                "--package",
                "device-wasm",
                "--profile",
                package.profile(),
            ])
            .args(["--target", TARGET, "--features", package.features()])
            .env("CARGO_TARGET_DIR", workspace::wasm_target())
            .env("RUSTFLAGS", package.rustflags()),
    )?;
    Ok(workspace::wasm_target()
        .join(TARGET)
        .join(package.profile())
        .join("device_wasm.wasm"))
}

/// What decides the content of a package's folder.
fn stamp(module: &Path, options: &WasmOptions) -> Result<String> {
    let bytes = fs::read(module).with_context(|| format!("{} is missing", module.display()))?;
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    Ok(format!(
        "{:016x} {} {} {}\n",
        hasher.finish(),
        bytes.len(),
        options.brotli,
        options.debug
    ))
}

/// Writes the module, its JavaScript and its types.
fn bind(module: &Path, folder: &Path, debug: bool) -> Result<()> {
    Bindgen::new()
        .input_path(module)
        .out_name("device")
        .web(true)?
        .typescript(true)
        .remove_name_section(!debug)
        .remove_producers_section(true)
        .generate(folder)
}

/// Writes a `.br` beside each file that browsers download.
fn compress(folder: &Path, quality: u8) -> Result<()> {
    // Node.js brings brotli along; a crate for it would be compiled by everybody.
    const SCRIPT: &str = "
        const { readFileSync, writeFileSync } = require('fs');
        const { brotliCompressSync, constants } = require('zlib');
        const [quality, ...files] = process.argv.slice(1);
        for (const file of files) {
            const bytes = readFileSync(file);
            writeFileSync(file + '.br', brotliCompressSync(bytes, { params: {
                [constants.BROTLI_PARAM_QUALITY]: Number(quality),
                [constants.BROTLI_PARAM_LGWIN]: 24,
                [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
            } }));
        }";
    let files: Vec<PathBuf> = ["device_bg.wasm", "device.js"]
        .iter()
        .map(|name| folder.join(name))
        .collect();
    process::run(
        Command::new("node")
            .args(["--eval", SCRIPT, "--", &quality.to_string()])
            .args(&files),
    )?;
    for file in files {
        let compressed = PathBuf::from(format!("{}.br", file.display()));
        say(&format!(
            "    {}: {}, compressed {}",
            file.file_name().unwrap_or_default().to_string_lossy(),
            kilobytes(file.metadata()?.len()),
            kilobytes(compressed.metadata()?.len())
        ));
    }
    Ok(())
}
