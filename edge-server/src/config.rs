//! What a user can set: flags that are also environment variables.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use crate::engine::Rules;

/// Restores features that browsers and other devices send, finishes the network, and answers
/// with labels. Serves the demo page, too.
///
/// Every flag is also an environment variable, named behind it. A flag wins over its variable.
#[derive(Debug, Clone, Parser)]
#[command(name = "edge-server", version)]
pub struct Config {
    /// The address and port to listen on. The default is reachable from this machine only; use
    /// 0.0.0.0:8080 to be reachable from others, and put a proxy with TLS in front: browsers give
    /// pages the camera only over https or on localhost.
    #[arg(
        long,
        env = "EDGE_SERVER_LISTEN",
        default_value = "127.0.0.1:8080",
        value_name = "ADDRESS:PORT"
    )]
    pub listen: SocketAddr,

    /// The folder of the models: one folder for each, with a manifest.json. All of them are
    /// loaded, checked against their digests, and served to devices.
    #[arg(
        long,
        env = "EDGE_SERVER_MODELS",
        default_value = "models",
        value_name = "DIR"
    )]
    pub models: PathBuf,

    /// What runs the network. Only the backends that this program was built with are listed;
    /// build with `--features wgpu`, `vulkan` or `cuda` for more.
    #[arg(long, env = "EDGE_SERVER_BACKEND", default_value = "flex", value_enum)]
    pub backend: Backend,

    /// A web origin (such as https://example.org) whose pages may use this server, besides the
    /// server's own. Repeat the flag or separate by commas for several; `*` allows every page on
    /// the web. Programs that are not browsers send no origin and are always let in.
    #[arg(long, env = "EDGE_SERVER_ALLOW_ORIGIN", value_delimiter = ',', value_name = "ORIGIN", value_parser = parse_origin)]
    pub allow_origin: Vec<String>,

    /// How many frames and pictures may be in the server at once, those in computation included.
    /// What comes on top is refused at once, so that nobody waits for stale answers.
    #[arg(long, env = "EDGE_SERVER_QUEUE", default_value_t = 64, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub queue: u32,

    /// The largest batch: frames and pictures that wait at the same time are computed together
    /// from where each enters the network. The server never waits for a batch to fill. By default
    /// 4 on the CPU, where more gains nothing and makes everybody in the batch wait, and 16 on a GPU.
    #[arg(
        long,
        env = "EDGE_SERVER_MAX_BATCH",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=256),
    )]
    pub max_batch: Option<u16>,

    /// How long a frame or picture may be in the server before its turn comes, in milliseconds.
    /// What is older is refused instead of computed: its answer would be of no use any more.
    #[arg(long, env = "EDGE_SERVER_MAX_AGE", default_value_t = 2000, value_name = "MILLISECONDS", value_parser = clap::value_parser!(u32).range(10..=600_000))]
    pub max_age: u32,

    /// How many devices may be connected at once.
    #[arg(long, env = "EDGE_SERVER_MAX_CLIENTS", default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub max_clients: u32,

    /// How many frames one device may have unanswered at once. Two hide the way there and back;
    /// many more only age in the queue.
    #[arg(long, env = "EDGE_SERVER_IN_FLIGHT", default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub in_flight: u8,

    /// How many frames a second one device may send, on average over a few seconds.
    #[arg(long, env = "EDGE_SERVER_MAX_RATE", default_value_t = 60, value_name = "FRAMES", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub max_rate: u16,

    /// The largest payload of a frame, in bytes. A frame is a few kilobytes; crafted ones that
    /// are larger are refused before anything is decoded.
    #[arg(long, env = "EDGE_SERVER_MAX_PAYLOAD", default_value_t = 65_536, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(256..=16_777_216))]
    pub max_payload: u32,

    /// The largest picture that /v1/classify takes, in bytes. A frame that is a picture may have so
    /// many as well, but never more than 1 MiB.
    #[arg(long, env = "EDGE_SERVER_MAX_PICTURE", default_value_t = 8 << 20, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1024..=268_435_456))]
    pub max_picture: u32,

    /// After how many seconds of silence a connection is closed. The server asks for a sign of
    /// life before that, which browsers give by themselves: an idle page stays connected.
    #[arg(long, env = "EDGE_SERVER_IDLE_TIMEOUT", default_value = "60", value_name = "SECONDS", value_parser = parse_seconds)]
    pub idle_timeout: Duration,

    /// Serve the page from this folder instead of from the program itself, so that an edit is
    /// there after a reload.
    #[arg(long, env = "EDGE_SERVER_WEB_DIR", value_name = "DIR")]
    pub web_dir: Option<PathBuf>,

    /// What to log: a level (error, warn, info, debug, trace), or a filter such as
    /// `info,edge_server=debug`.
    #[arg(
        long,
        env = "EDGE_SERVER_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log: String,
}

impl Config {
    /// What the settings ask of the queue.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            depth: usize::try_from(self.queue).unwrap_or(usize::MAX),
            most: self.largest_batch(),
            max_age: Duration::from_millis(u64::from(self.max_age)),
        }
    }

    /// The largest batch: what the user set, or what suits the backend.
    #[must_use]
    pub fn largest_batch(&self) -> usize {
        usize::from(self.max_batch.unwrap_or(match self.backend {
            Backend::Flex => 4,
            #[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
            _ => 16,
        }))
    }
}

/// What runs the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Backend {
    /// The CPU: pure Rust with SIMD on all cores.
    Flex,
    /// A GPU through whatever graphics interface the system offers.
    #[cfg(feature = "wgpu")]
    Wgpu,
    /// A GPU through Vulkan.
    #[cfg(feature = "vulkan")]
    Vulkan,
    /// An NVIDIA GPU through CUDA.
    #[cfg(feature = "cuda")]
    Cuda,
}

impl Backend {
    /// The backend's name, as on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Flex => "flex",
            #[cfg(feature = "wgpu")]
            Self::Wgpu => "wgpu",
            #[cfg(feature = "vulkan")]
            Self::Vulkan => "vulkan",
            #[cfg(feature = "cuda")]
            Self::Cuda => "cuda",
        }
    }
}

/// An origin as browsers send it: scheme and host, no path, lower case.
fn parse_origin(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text == "*" {
        return Ok(text.to_owned());
    }
    let authority = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .ok_or_else(|| "an origin begins with https:// or http://".to_owned())?;
    if authority.is_empty() || authority.contains(['/', '?', '#', '@', ' ']) {
        return Err(
            "an origin is a scheme, a host and perhaps a port, such as https://example.org:8443"
                .to_owned(),
        );
    }
    Ok(text.to_ascii_lowercase())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("give 0.1 to 86400 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent_and_explained() {
        let command = Config::command();
        command.clone().debug_assert();
        for argument in command.get_arguments() {
            assert!(
                argument.get_help().is_some(),
                "--{} has no help",
                argument.get_id()
            );
            assert!(
                argument.get_env().is_some(),
                "--{} has no variable",
                argument.get_id()
            );
        }
    }

    #[test]
    fn origins_are_checked() {
        let config = Config::parse_from([
            "edge-server",
            "--allow-origin",
            "https://A.example,http://b:81",
        ]);
        assert_eq!(config.allow_origin, ["https://a.example", "http://b:81"]);
        for bad in ["example.org", "https://", "https://a/b", "ftp://a"] {
            assert!(
                Config::try_parse_from(["edge-server", "--allow-origin", bad]).is_err(),
                "{bad} was taken"
            );
        }
    }

    #[test]
    fn out_of_range_numbers_are_refused() {
        for arguments in [
            ["--queue", "0"],
            ["--max-payload", "1"],
            ["--idle-timeout", "0"],
        ] {
            assert!(Config::try_parse_from([&["edge-server"][..], &arguments].concat()).is_err());
        }
    }
}
