//! A run's folder: `config.json`, `checkpoint.safetensors`, `log.jsonl`.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use serde_json::Value;

use super::checkpoint::Checkpoint;

/// A run's folder.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder {
    path: PathBuf,
}

impl RunFolder {
    /// Opens or makes the folder of the run with this configuration.
    ///
    /// An error where it belongs to a run with another one: going on would mix the two.
    pub(crate) fn open(path: &Path, config: &impl Serialize) -> Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("making {}", path.display()))?;
        let file = path.join("config.json");
        let config = serde_json::to_value(config)?;
        match fs::read(&file) {
            Ok(json) => {
                let before: Value = serde_json::from_slice(&json)
                    .with_context(|| format!("reading {}", file.display()))?;
                let changes = changes("", &before, &config);
                if !changes.is_empty() {
                    bail!(
                        "{} holds a run with another configuration: {}. Go on with that one, or choose another \
                         --out",
                        path.display(),
                        changes.join(", ")
                    );
                }
            }
            Err(_) => {
                let json = format!("{}\n", serde_json::to_string_pretty(&config)?);
                fs::write(&file, json).with_context(|| format!("writing {}", file.display()))?;
            }
        }
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Writes a JSON file into the folder.
    pub(crate) fn write(&self, name: &str, content: &impl Serialize) -> Result<()> {
        let path = self.path.join(name);
        let json = format!("{}\n", serde_json::to_string_pretty(content)?);
        fs::write(&path, json).with_context(|| format!("writing {}", path.display()))
    }

    pub(super) fn checkpoint(&self) -> Result<Option<Checkpoint>> {
        Checkpoint::read(&self.checkpoint_path())
    }

    pub(super) fn checkpoint_path(&self) -> PathBuf {
        self.path.join("checkpoint.safetensors")
    }

    /// Drops the log's lines of steps after `step`, which a checkpoint at `step` does not know.
    pub(super) fn cut_log(&self, step: u64) -> Result<()> {
        let path = self.log_path();
        let Ok(text) = fs::read_to_string(&path) else {
            return Ok(());
        };
        let kept: String = text
            .lines()
            .filter(|line| {
                serde_json::from_str::<Value>(line)
                    .ok()
                    .and_then(|line| line["step"].as_u64())
                    .is_some_and(|at| at <= step)
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        fs::write(&path, kept).with_context(|| format!("writing {}", path.display()))
    }

    pub(super) fn log(&self, line: &Value) -> Result<()> {
        let path = self.log_path();
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .and_then(|mut file| writeln!(file, "{line}"))
            .with_context(|| format!("writing {}", path.display()))
    }

    fn log_path(&self) -> PathBuf {
        self.path.join("log.jsonl")
    }
}

/// What differs between two configurations, in words.
fn changes(name: &str, before: &Value, now: &Value) -> Vec<String> {
    let (Value::Object(a), Value::Object(b)) = (before, now) else {
        return if before == now {
            Vec::new()
        } else {
            vec![format!("`{name}` was {before} and is now {now}")]
        };
    };
    let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .flat_map(|key| {
            let name = if name.is_empty() {
                key.clone()
            } else {
                format!("{name}.{key}")
            };
            let of =
                |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
            changes(&name, &of(a), &of(b))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn another_configuration_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let config = json!({"seed": 1, "rates": {"codec": 0.1}});
        RunFolder::open(folder.path(), &config).unwrap();
        RunFolder::open(folder.path(), &config).unwrap();
        let other = json!({"seed": 1, "rates": {"codec": 0.2}});
        let error = RunFolder::open(folder.path(), &other)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`rates.codec` was 0.1 and is now 0.2"),
            "{error}"
        );
    }
}
