//! `cargo xtask test`: every check and every test, and one line at the end that counts them.

use std::process::{Command, ExitCode};
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Args;

use crate::steps::{complain, say, seconds, step};
use crate::wasm::{self, Package, WasmOptions};
use crate::{deploy, package, page, process, servers, tools, workspace};

/// The target for tests that run as WebAssembly in Node.js. It has what the test harness needs
/// (arguments, standard output), and the same 32-bit arithmetic as the browser's.
const WASI: &str = "wasm32-wasip1";

/// What to leave out.
#[derive(Debug, Args)]
pub(crate) struct TestOptions {
    /// Run only the suites whose name contains this.
    #[arg(value_name = "SUITE")]
    only: Option<String>,

    /// Leave out what needs a browser.
    #[arg(long)]
    no_browser: bool,
}

/// What a suite counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    passed: u32,
    failed: u32,
}

impl Tally {
    /// A check that is one test by itself.
    fn check(result: Result<()>) -> Self {
        match result {
            Ok(()) => Self {
                passed: 1,
                failed: 0,
            },
            Err(error) => {
                complain(&format!("{error:#}"));
                Self {
                    passed: 0,
                    failed: 1,
                }
            }
        }
    }

    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

type Suite = (&'static str, fn() -> Result<Tally>);

/// In the order of how soon they can fail. What comes later uses what came before.
const SUITES: [Suite; 14] = [
    ("format", format),
    ("clippy", clippy),
    ("clippy-wasm", clippy_wasm),
    ("xtask", xtask),
    ("native", native_tests),
    ("codec-in-wasm", codec_in_wasm),
    ("kernels-in-wasm", kernels_in_wasm),
    ("protocol", protocol),
    ("deploy", deploy),
    ("clients", clients),
    ("packages", packages),
    ("types", types),
    ("gpu", gpu),
    ("browser", browser),
];

/// The command.
pub(crate) fn run(options: &TestOptions) -> Result<ExitCode> {
    let start = Instant::now();
    let mut total = Tally::default();
    let mut failed = Vec::new();
    for (name, suite) in SUITES {
        let wanted = options
            .only
            .as_ref()
            .is_none_or(|part| name.contains(part.as_str()));
        if !wanted || (options.no_browser && name == "browser") {
            continue;
        }
        let tally = step(&format!("suite {name}"), suite).unwrap_or_else(|error| {
            complain(&format!("{error:#}"));
            Tally {
                passed: 0,
                failed: 1,
            }
        });
        say(&format!(
            "    {name}: {} passed, {} failed",
            tally.passed, tally.failed
        ));
        if tally.failed > 0 {
            failed.push(name);
        }
        total.add(tally);
    }
    if total == Tally::default() {
        let names = SUITES.map(|(name, _)| name).join(", ");
        complain(&format!("no suite of that name; there are: {names}"));
        return Ok(ExitCode::FAILURE);
    }
    say(&format!("\nall suites took {}", seconds(start.elapsed())));
    if !failed.is_empty() {
        say(&format!("failed: {}", failed.join(", ")));
    }
    say(&format!("{} passed, {} failed", total.passed, total.failed));
    Ok(if total.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn format() -> Result<Tally> {
    Ok(Tally::check(process::run(
        process::cargo().args(["fmt", "--all", "--check"]),
    )))
}

fn clippy() -> Result<Tally> {
    // In release, as everything native: the dependencies are then compiled once for all suites.
    Ok(Tally::check(process::run(process::cargo().args([
        "clippy",
        "--workspace",
        "--exclude",
        "gpu-kernels",
        "--all-targets",
        "--release",
        "--quiet",
        "--",
        "--deny",
        "warnings",
    ]))))
}

fn clippy_wasm() -> Result<Tally> {
    tools::rust_target(wasm::TARGET)?;
    let mut tally = Tally::default();
    // What differs between packages is a few lines: one has gpu-kernels, the other all of cpu-kernels.
    for package in [Package::Webgpu, Package::Relaxed] {
        tally.add(clippy_package(package));
    }
    Ok(tally)
}

fn clippy_package(package: Package) -> Tally {
    Tally::check(process::run(
        process::cargo()
            .args([
                "clippy",
                "--package",
                "device-wasm",
                "--profile",
                package.profile(),
            ])
            .args(["--target", wasm::TARGET, "--features", package.features()])
            .args(["--quiet", "--", "--deny", "warnings"])
            .env("CARGO_TARGET_DIR", workspace::wasm_target())
            .env("RUSTFLAGS", package.rustflags()),
    ))
}

fn xtask() -> Result<Tally> {
    cargo_test(process::cargo().args(["test", "--release", "--package", "xtask", "--quiet"]))
}

fn native_tests() -> Result<Tally> {
    cargo_test(
        process::cargo()
            .args(["test", "--release", "--no-fail-fast", "--quiet"])
            .args(workspace::NATIVE),
    )
}

fn codec_in_wasm() -> Result<Tally> {
    // What is not listed needs a library that does not run there.
    in_wasm("feature-codec", &["--lib", "--test", "golden"], "")
}

/// The processor's kernels with the instructions of each of the browsers' packages.
fn kernels_in_wasm() -> Result<Tally> {
    let mut tally = Tally::default();
    for package in [Package::Relaxed, Package::Simd, Package::Scalar] {
        tally.add(in_wasm("cpu-kernels", &["--lib"], package.rustflags())?);
    }
    Ok(tally)
}

/// Tests of a member as WebAssembly, in Node.js.
fn in_wasm(member: &str, tests: &[&str], rustflags: &str) -> Result<Tally> {
    tools::rust_target(WASI)?;
    tools::node()?;
    let runner = workspace::root().join("xtask/src/wasi-runner.mjs");
    cargo_test(
        process::cargo()
            .args(["test", "--release", "--package", member])
            .args(["--target", WASI])
            .args(tests)
            .args(["--no-fail-fast", "--quiet"])
            .env("CARGO_TARGET_DIR", workspace::wasm_target())
            .env("RUSTFLAGS", rustflags)
            .env(
                "CARGO_TARGET_WASM32_WASIP1_RUNNER",
                format!("node --no-warnings {}", runner.display()),
            ),
    )
}

/// The code in the protocol's document against the codec's golden vectors.
fn protocol() -> Result<Tally> {
    tools::node()?;
    Ok(Tally::check(process::run(
        Command::new("node")
            .current_dir(workspace::root())
            .arg("crates/feature-codec/tests/protocol.mjs"),
    )))
}

/// Manifests, configurations and queries for those who run the server.
fn deploy() -> Result<Tally> {
    let mut tally = Tally::default();
    for outcome in deploy::check() {
        tally.add(Tally::check(outcome));
    }
    Ok(tally)
}

/// Clients that others wrote, in Python and Node.js.
fn clients() -> Result<Tally> {
    let mut tally = Tally::default();
    for outcome in servers::clients()? {
        tally.add(Tally::check(outcome));
    }
    Ok(tally)
}

fn packages() -> Result<Tally> {
    Ok(Tally::check(wasm::build(&WasmOptions::default())))
}

fn types() -> Result<Tally> {
    tools::node_packages()?;
    Ok(Tally::check(process::run(
        process::npm().args(["run", "--silent", "check"]),
    )))
}

/// The kernels for graphics devices, on the software adapter that Chromium brings along. Unoptimised: nothing is computed here, and a
/// compiler for shaders compiles in half the time.
fn gpu() -> Result<Tally> {
    cargo_test(
        process::cargo()
            .args(["test", "--package", "gpu-kernels", "--no-fail-fast"])
            .args(["--lib", "--quiet"])
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .envs(tools::software_vulkan(&tools::chromium()?)),
    )
}

fn browser() -> Result<Tally> {
    let environment = page::environment()?;
    let mut tally = Tally::default();
    let succeeded = process::watch(
        process::npm()
            .args(["run", "--silent", "test"])
            .envs(environment)
            .env("DEVICE_PACKAGE", package::pack()?),
        |line| count_node(line, &mut tally),
    )?;
    Ok(settle(tally, succeeded))
}

/// Runs `cargo test` and counts.
fn cargo_test(command: &mut Command) -> Result<Tally> {
    let mut tally = Tally::default();
    let succeeded = process::watch(command, |line| count_cargo(line, &mut tally))
        .context("the tests could not be run")?;
    Ok(settle(tally, succeeded))
}

/// A run that failed without a failed test, such as one that does not compile, counts as one.
/// So does one in which no test ran.
fn settle(mut tally: Tally, succeeded: bool) -> Tally {
    if tally.failed == 0 && (!succeeded || tally.passed == 0) {
        tally.failed = 1;
    }
    tally
}

/// Adds a line such as `test result: ok. 5 passed; 0 failed; 0 ignored; ...`.
fn count_cargo(line: &str, tally: &mut Tally) {
    let Some(rest) = line.trim().strip_prefix("test result:") else {
        return;
    };
    for part in rest.split(['.', ';']) {
        match part.trim().split_once(' ') {
            Some((number, "passed")) => tally.passed += number.parse().unwrap_or(0),
            Some((number, "failed")) => tally.failed += number.parse().unwrap_or(0),
            _ => {}
        }
    }
}

/// Adds a line of the Node.js test runner's summary, such as `# pass 5` or `ℹ fail 1`.
fn count_node(line: &str, tally: &mut Tally) {
    let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) else {
        return;
    };
    match rest.trim().split_once(' ') {
        Some(("pass", number)) => tally.passed += number.parse().unwrap_or(0),
        Some(("fail" | "cancelled", number)) => tally.failed += number.parse().unwrap_or(0),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(lines: &[&str], counter: fn(&str, &mut Tally)) -> Tally {
        let mut tally = Tally::default();
        for line in lines {
            counter(line, &mut tally);
        }
        tally
    }

    #[test]
    fn cargo_summaries_are_added_up() {
        let lines = [
            "running 3 tests",
            "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.01s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
        ];
        assert_eq!(
            count(&lines, count_cargo),
            Tally {
                passed: 7,
                failed: 2
            }
        );
    }

    #[test]
    fn node_summaries_are_read_in_both_forms() {
        let tap = ["# tests 6", "# pass 5", "# fail 1", "# cancelled 0"];
        assert_eq!(
            count(&tap, count_node),
            Tally {
                passed: 5,
                failed: 1
            }
        );
        let spec = ["ℹ tests 6", "ℹ pass 4", "ℹ fail 1", "ℹ cancelled 1"];
        assert_eq!(
            count(&spec, count_node),
            Tally {
                passed: 4,
                failed: 2
            }
        );
    }

    #[test]
    fn a_run_that_fails_without_counting_is_a_failure() {
        let none = Tally::default();
        assert_eq!(settle(none, false).failed, 1);
        assert_eq!(settle(none, true).failed, 1);
        let some = Tally {
            passed: 3,
            failed: 0,
        };
        assert_eq!(settle(some, true), some);
        assert_eq!(settle(some, false).failed, 1);
    }
}
