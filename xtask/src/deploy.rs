//! What stands in `deploy/`, held against the checkers of those for whom it is made.

use std::process::Command;

use anyhow::Result;

use crate::process::{self, find};
use crate::steps::say;
use crate::tools::{self, Venv};
use crate::workspace;

/// Schemas of Kubernetes, KServe's types, a parser of PromQL.
const CHECKERS: Venv = Venv {
    name: "deploy-venv",
    packages: &[
        "kubernetes-validate==1.37.0",
        "promql-parser==0.11.0",
        "six==1.17.0",
        "urllib3==2.7.0",
    ],
    // A model server with all that one needs; only its types are read.
    alone: &["kserve==0.21.0"],
};

/// Each check's outcome. What cannot be had is left out, and said.
pub(crate) fn check() -> Vec<Result<()>> {
    let folder = workspace::root().join("deploy");
    let mut outcomes = Vec::new();
    match tools::python(&CHECKERS) {
        Ok(python) => {
            for what in ["kubernetes", "kserve", "queries"] {
                outcomes.push(process::run(
                    Command::new(&python)
                        .arg(folder.join("tests/check.py"))
                        .arg(what),
                ));
            }
        }
        Err(error) => left_out("manifests and queries", &format!("{error:#}")),
    }
    match find(&["haproxy"]) {
        Some(haproxy) => outcomes.push(process::run(
            // A warning is an error as well.
            Command::new(haproxy)
                .args(["-dW", "-c", "-f"])
                .arg(folder.join("haproxy/haproxy.cfg"))
                .env("EDGE_BIND", "127.0.0.1:8080")
                .env("EDGE_ONE", "127.0.0.1:8081")
                .env("EDGE_TWO", "127.0.0.1:8082")
                .env("EDGE_THREE", "127.0.0.1:8083"),
        )),
        None => left_out("haproxy.cfg", "there is no haproxy"),
    }
    match find(&["promtool"]) {
        Some(promtool) => outcomes.push(process::run(
            Command::new(promtool)
                .args(["check", "rules", "--lint-fatal"])
                .arg(folder.join("prometheus-alerts.yaml")),
        )),
        None => left_out("the alerts as a whole", "there is no promtool"),
    }
    outcomes
}

fn left_out(what: &str, why: &str) {
    say(&format!("    left out: {what}, for {why}"));
}
