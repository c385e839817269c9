//! `cargo xtask demo`: from a fresh clone to a page that classifies.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;

use crate::steps::{say, seconds, step};
use crate::wasm::{self, WasmOptions};
use crate::{process, workspace};

/// How long the server may take to load its models.
const START: Duration = Duration::from_secs(120);

/// Where and how to show it.
#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    /// The port on this machine.
    #[arg(long, default_value_t = 8080)]
    port: u16,

    /// Do not open the page in a browser.
    #[arg(long)]
    no_open: bool,

    /// Serve the page from the folder `web` instead of from the program, so that an edit is there
    /// after a reload.
    #[arg(long)]
    live: bool,

    /// Build and pack, but do not start the server.
    #[arg(long)]
    build_only: bool,

    #[command(flatten)]
    wasm: WasmOptions,

    /// Flags for the server, after `--`: see `cargo run --release -p edge-server -- --help`.
    #[arg(last = true)]
    server: Vec<String>,
}

/// The command.
pub(crate) fn run(options: &DemoOptions) -> Result<ExitCode> {
    let start = Instant::now();
    wasm::build(&options.wasm)?;
    step("building the edge server", || {
        process::run(
            process::cargo()
                .args(["build", "--release"])
                .args(workspace::NATIVE),
        )
    })?;
    if options.build_only {
        say(&format!("built in {}", seconds(start.elapsed())));
        return Ok(ExitCode::SUCCESS);
    }

    let address = SocketAddr::from(([127, 0, 0, 1], options.port));
    if TcpStream::connect_timeout(&address, Duration::from_millis(500)).is_ok() {
        bail!(
            "port {0} is taken. Choose another: cargo xtask demo --port {1}",
            options.port,
            options.port.wrapping_add(1)
        );
    }
    let mut server = step("starting the edge server", || {
        let mut server = start_server(options, address)?;
        if let Err(error) = wait_until_healthy(&mut server, address) {
            // It is of no use any more; that it may have ended by itself is fine.
            let _ = server.kill();
            return Err(error);
        }
        Ok(server)
    })?;
    let page = format!("http://localhost:{}/", options.port);
    say(&format!(
        "\nReady after {}. The demo is at {page} (ctrl-C ends it)\n",
        seconds(start.elapsed())
    ));
    if !options.no_open {
        open(&page);
    }
    // ctrl-C reaches the server as well as us: it closes its sockets and ends.
    let status = server.wait()?;
    Ok(if status.success() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn start_server(options: &DemoOptions, address: SocketAddr) -> Result<Child> {
    let program = workspace::target()
        .join("release")
        .join(format!("edge-server{}", std::env::consts::EXE_SUFFIX));
    let mut command = Command::new(program);
    command
        .current_dir(workspace::root())
        .args(["--listen", &address.to_string()])
        .arg("--models")
        .arg(workspace::root().join("models"));
    if options.live {
        command.arg("--web-dir").arg(workspace::web());
    }
    Ok(command.args(&options.server).spawn()?)
}

fn wait_until_healthy(server: &mut Child, address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < START {
        if let Some(status) = server.try_wait()? {
            bail!("the edge server ended with {status}; its own message stands above");
        }
        if is_healthy(address).unwrap_or(false) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(100));
    }
    bail!("the edge server did not answer within {}", seconds(START))
}

fn is_healthy(address: SocketAddr) -> Result<bool> {
    let timeout = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

/// Opens the page where there is a desktop. Failing is fine: the address stands in the terminal.
fn open(page: &str) {
    let graphical =
        std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    let mut command = if cfg!(target_os = "macos") {
        Command::new("open")
    } else if cfg!(windows) {
        Command::new("explorer")
    } else if graphical {
        Command::new("xdg-open")
    } else {
        return;
    };
    if command.arg(page).spawn().is_err() {
        say("    no browser could be opened; follow the address above");
    }
}
