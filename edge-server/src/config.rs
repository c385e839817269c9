//! What a user can set: flags that are also environment variables.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use axum::http::Uri;
use clap::{Parser, Subcommand, ValueEnum};
use ipnet::IpNet;

use crate::engine::Rules;
use crate::guests::GuestLimits;
use crate::token::Token;

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "edge-server", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The settings, where no command is given.
    #[command(flatten)]
    pub config: Config,
}

/// What the program does instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Checks settings, certificates and models, runs every model once, and ends: 0 when a server
    /// with the same flags and variables would start. Takes the server's flags.
    Check(Box<Config>),
}

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

    /// Serve https with this chain of certificates, a PEM file. It is read again when it changes.
    #[arg(
        long,
        env = "EDGE_SERVER_TLS_CERT",
        requires = "tls_key",
        value_name = "FILE"
    )]
    pub tls_cert: Option<PathBuf>,

    /// The private key of --tls-cert, a PEM file.
    #[arg(
        long,
        env = "EDGE_SERVER_TLS_KEY",
        requires = "tls_cert",
        value_name = "FILE"
    )]
    pub tls_key: Option<PathBuf>,

    /// Serve https with a certificate that is made at the start and that no browser knows: for
    /// trying a phone's camera on your own network. Prints the address as a QR code. Use it
    /// with `--listen 0.0.0.0:8443`.
    #[arg(long, env = "EDGE_SERVER_SELF_SIGNED", conflicts_with = "tls_cert")]
    pub self_signed: bool,

    /// Serve Prometheus' metrics here, at /metrics; no metrics are served when absent. Keep
    /// this address from strangers.
    #[arg(long, env = "EDGE_SERVER_METRICS_LISTEN", value_name = "ADDRESS:PORT")]
    pub metrics_listen: Option<SocketAddr>,

    /// The folder of the models: one folder for each, with a manifest.json. All of them are
    /// loaded, checked against their digests, and served to devices. SIGHUP has the server read
    /// them anew: new sessions then use the new ones, if they are right.
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

    /// A token that opens /v1/stream, /v1/classify and infer: letters, digits, `.`, `_`, `~` and
    /// `-`, at least 16 of them. Repeat the flag or separate by commas for several; without any,
    /// everybody may have frames computed. Better given by the variable, which other users of
    /// the machine do not see.
    #[arg(long, env = "EDGE_SERVER_TOKEN", hide_env_values = true, value_delimiter = ',', value_name = "TOKEN", value_parser = Token::parse)]
    pub token: Vec<Token>,

    /// A proxy in front of the server, as an address or a network such as 10.0.0.0/8: limits by
    /// address then count whom it names last in `X-Forwarded-For`. Repeat the flag or separate
    /// by commas for several.
    #[arg(long, env = "EDGE_SERVER_PROXY", value_delimiter = ',', value_name = "NETWORK", value_parser = parse_network)]
    pub proxy: Vec<IpNet>,

    /// How many connections of all kinds may be open at once. What comes on top is closed unread.
    #[arg(long, env = "EDGE_SERVER_MAX_CONNECTIONS", default_value_t = 1024, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// How many of them may come from one address (of IPv6, from one network of 64 bits).
    #[arg(long, env = "EDGE_SERVER_MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 256, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections_per_address: u32,

    /// How many frames and pictures a second may come from one address, on average over a few
    /// seconds.
    #[arg(long, env = "EDGE_SERVER_MAX_RATE_PER_ADDRESS", default_value_t = 240, value_name = "FRAMES", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_rate_per_address: u32,

    /// How many bytes of frames and pictures a second may come from one address, on average over
    /// a few seconds.
    #[arg(long, env = "EDGE_SERVER_MAX_BYTES_PER_ADDRESS", default_value_t = 16 << 20, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1024..=1_000_000_000))]
    pub max_bytes_per_address: u32,

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

    /// The largest body of an infer request of the Open Inference Protocol, in bytes: a raw
    /// feature of stage 1 has 802,816.
    #[arg(long, env = "EDGE_SERVER_MAX_INFER", default_value_t = 16 << 20, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(1024..=268_435_456))]
    pub max_infer: u32,

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

    /// Export spans of sessions and frames to the OpenTelemetry collector at this address, such as
    /// http://127.0.0.1:4318, as OTLP over HTTP; none are exported when absent. The variables of
    /// OpenTelemetry say the rest: OTEL_TRACES_SAMPLER how many, OTEL_SERVICE_NAME of whom.
    #[arg(long, env = "EDGE_SERVER_OTLP_ENDPOINT", value_name = "URL", value_parser = parse_endpoint)]
    pub otlp_endpoint: Option<Uri>,

    /// How log lines are written: for people, or one JSON object a line.
    #[arg(
        long,
        env = "EDGE_SERVER_LOG_FORMAT",
        default_value = "text",
        value_enum
    )]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Settings that do not go together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// One limit can never be reached because of another.
    #[error("--{inner} {inner_value} needs --{outer} {inner_value} or more; it is {outer_value}")]
    Limit {
        /// The flag that asks for more.
        inner: &'static str,
        /// Its value.
        inner_value: u32,
        /// The flag that allows less.
        outer: &'static str,
        /// Its value.
        outer_value: u32,
    },
    /// The log filter does not parse.
    #[error(
        "--log {0} is no filter; right would be a level such as info, or info,edge_server=debug"
    )]
    Log(String),
}

impl Config {
    /// Whether the settings go together, beyond what each says by itself.
    ///
    /// # Errors
    ///
    /// When one contradicts another.
    pub fn check(&self) -> Result<(), ConfigError> {
        let pairs = [
            (
                ("max-clients", self.max_clients),
                ("max-connections", self.max_connections),
            ),
            (
                ("max-batch", self.max_batch.unwrap_or(1).into()),
                ("queue", self.queue),
            ),
        ];
        for ((inner, inner_value), (outer, outer_value)) in pairs {
            if inner_value > outer_value {
                return Err(ConfigError::Limit {
                    inner,
                    inner_value,
                    outer,
                    outer_value,
                });
            }
        }
        if tracing_subscriber::EnvFilter::try_new(&self.log).is_err() {
            return Err(ConfigError::Log(self.log.clone()));
        }
        Ok(())
    }

    /// Whether an address is that of a known proxy.
    #[must_use]
    pub fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.proxy.iter().any(|network| network.contains(&address))
    }

    /// What addresses may ask of the server.
    #[must_use]
    pub fn guest_limits(&self) -> GuestLimits {
        GuestLimits {
            connections: self.max_connections,
            connections_per_address: self.max_connections_per_address,
            frames_per_address: self.max_rate_per_address,
            bytes_per_address: self.max_bytes_per_address,
        }
    }

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
    /// An NVIDIA GPU through CUDA; the network in half precision.
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

/// A network, or one address.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse::<IpNet>()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "give an address such as 10.0.0.7, or a network such as 10.0.0.0/8".to_owned())
}

/// An address without TLS, and without a query.
fn parse_endpoint(text: &str) -> Result<Uri, String> {
    let uri: Uri = text
        .trim()
        .parse()
        .map_err(|_| "this is no URL".to_owned())?;
    if uri.scheme_str() != Some("http") || uri.host().is_none() || uri.query().is_some() {
        return Err(
            "give an address such as http://127.0.0.1:4318; TLS and keys are the business of a \
             collector nearby"
                .to_owned(),
        );
    }
    Ok(uri)
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
    fn what_is_deployed_sets_only_what_can_be_set() {
        let command = Config::command();
        let known: Vec<_> = command
            .get_arguments()
            .filter_map(|argument| argument.get_env()?.to_str())
            .collect();
        for text in [
            include_str!("../../deploy/Containerfile"),
            include_str!("../../deploy/kubernetes/edge-server.yaml"),
            include_str!("../../deploy/kserve/inference-service.yaml"),
        ] {
            let words = text.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
            for word in words.filter(|word| word.starts_with("EDGE_SERVER_")) {
                assert!(known.contains(&word), "there is no setting {word}");
            }
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
    fn settings_that_contradict_each_other_are_refused_with_what_would_be_right() {
        let check = |arguments: &[&str]| {
            Config::parse_from([&["edge-server"][..], arguments].concat()).check()
        };
        assert_eq!(check(&[]), Ok(()));
        let error = check(&["--max-clients", "5000"]).unwrap_err().to_string();
        assert!(error.contains("--max-connections 5000"), "{error}");
        assert!(check(&["--max-batch", "8", "--queue", "4"]).is_err());
        assert!(check(&["--log", "a=b=c"]).is_err());
    }

    #[test]
    fn check_is_a_command_with_the_servers_flags() {
        let cli = Cli::parse_from(["edge-server", "check", "--models", "elsewhere"]);
        let Some(Command::Check(config)) = cli.command else {
            panic!("{cli:?}")
        };
        assert_eq!(config.models, PathBuf::from("elsewhere"));
        let cli = Cli::parse_from(["edge-server", "--models", "elsewhere"]);
        assert!(cli.command.is_none());
        assert_eq!(cli.config.models, PathBuf::from("elsewhere"));
    }

    #[test]
    fn proxies_are_addresses_and_networks() {
        let config = Config::parse_from(["edge-server", "--proxy", "10.1.0.0/16,192.0.2.1"]);
        for (address, known) in [
            ("10.1.2.3", true),
            ("::ffff:10.1.2.3", true),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
            ("::1", false),
        ] {
            assert_eq!(
                config.is_proxy(address.parse().unwrap()),
                known,
                "{address}"
            );
        }
        assert!(Config::try_parse_from(["edge-server", "--proxy", "everybody"]).is_err());
    }

    #[test]
    fn a_token_is_not_shown() {
        let error = Config::try_parse_from(["edge-server", "--token", "short"]);
        assert!(error.is_err());
        let config = Config::parse_from(["edge-server", "--token", "a-secret-of-some-length"]);
        assert!(!format!("{config:?}").contains("secret"));
    }

    #[test]
    fn collectors_are_spoken_to_over_http() {
        let parse = |url| Config::try_parse_from(["edge-server", "--otlp-endpoint", url]);
        assert!(parse("http://127.0.0.1:4318").is_ok());
        assert!(parse("http://collector/path").is_ok());
        for url in [
            "https://example.org",
            "127.0.0.1:4318",
            "http://",
            "http://a/?b",
        ] {
            assert!(parse(url).is_err(), "{url} was taken");
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
