//! A small evaluation for tests.

use serde_json::{Value, json};

fn row(name: &str, rate: &str, split: Option<&str>, bytes: f64, lost: f64) -> Value {
    let mut row = json!({
        "name": name, "rate": rate, "n": 500,
        "mean_bytes": bytes, "p50_bytes": bytes.floor(), "p95_bytes": (1.5 * bytes).floor(),
        "top1": 0.91 - lost, "top1_interval": [0.88 - lost, 0.93 - lost], "top5": 0.97 - lost,
        "agreement": 1.0 - lost, "drop": lost, "drop_error": 0.02,
    });
    if let Some(split) = split {
        row["split"] = split.into();
        row["whole_feature_bytes"] = 1_605_632.into();
        row["sent_feature_bytes"] = 401_408.into();
        row["ratio_to_whole_feature"] = (1_605_632.0 / bytes).into();
        row["ratio_to_sent_feature"] = (401_408.0 / bytes).into();
    }
    row
}

/// KLT at stage 2 with 4 points lost at 1,000 bytes and 1 at 4,000; JPEG with 16 lost at 4,000 and 2
/// at 16,000; WebP with 30 lost at 2,000 and 4 at 8,000. 500 pictures, 91 % without compression.
pub(super) fn evaluation() -> Value {
    let mut uncompressed = row("uncompressed", "", None, 0.0, 0.0);
    uncompressed["agreement"] = 1.0.into();
    json!({
        "title": "Fixture pictures",
        "about": "Made for a test.",
        "command": "trainer evaluate --images DIR",
        "model": "resnet50-test", "variant": "v1", "crop": 1.0,
        "pictures": 500, "skipped": 0, "header_bytes": 16,
        "uncompressed": uncompressed,
        "methods": [
            row("klt-stage2", "b", Some("stage2"), 4000.0, 0.01),
            row("klt-stage2", "a", Some("stage2"), 1000.0, 0.04),
            row("jpeg", "q10", None, 4000.0, 0.16),
            row("jpeg", "q90", None, 16000.0, 0.02),
            row("webp", "q1", None, 2000.0, 0.30),
            row("webp", "q50", None, 8000.0, 0.04),
        ],
    })
}
