//! The document.

use super::aims::Aims;
use super::caltech::Caltech;
use super::charts::Drawn;
use super::curve::{Curve, Reached, curves, split_name};
use super::markdown::{bytes_cell, dash, factor, percent, plus_minus, table, whole};
use super::merge::Evaluation;
use super::published::Published;
use super::read::Row;

/// Points lost at which methods are compared.
const LOSSES: [f64; 5] = [0.01, 0.02, 0.025, 0.04, 0.05];

/// Everything that goes into the document.
pub(super) struct Document<'a> {
    /// The command that writes it.
    pub(super) command: String,
    /// Evaluations with the charts of each.
    pub(super) evaluations: &'a [(Evaluation, Vec<Drawn>)],
    /// What was measured on Caltech-101, and the charts of it.
    pub(super) caltech: (&'a Caltech, &'a [Drawn]),
    pub(super) published: Option<&'a Published>,
    pub(super) aims: Option<&'a Aims>,
}

impl Document<'_> {
    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "# Results\n\n\
             Written by a command; changes by hand will be lost:\n\n```sh\n{}\n```\n\n{READING}",
            self.command
        );
        text += &self.aims();
        for (evaluation, charts) in self.evaluations {
            text += &section(evaluation, charts);
        }
        text += &self.caltech();
        if let Some(published) = self.published {
            text += &published_section(published);
        }
        text + LIMITS + &self.reproduce()
    }

    fn aims(&self) -> String {
        let Some(aims) = self.aims else {
            return String::new();
        };
        let caltech = self.caltech.0.methods();
        let evaluations = self.evaluations.iter();
        let mut measured: Vec<(&str, Vec<Curve<'_>>)> = evaluations
            .map(|(evaluation, _)| (evaluation.title.as_str(), curves(&evaluation.methods)))
            .collect();
        measured.push((CALTECH, curves(&caltech)));
        aims.text(&measured)
    }

    fn caltech(&self) -> String {
        let (caltech, charts) = self.caltech;
        let methods = caltech.methods();
        if methods.is_empty() {
            return String::new();
        }
        let mut text = format!("\n## {CALTECH}\n\n{ON_CALTECH}\n\n");
        for about in &caltech.about {
            text += &format!("{about}\n\n");
        }
        text += &pictured(charts);
        let curves = curves(&methods);
        let features: Vec<&Curve<'_>> = curves.iter().collect();
        text + &format!(
            "### {BESIDE}\n\n{}\n### {AT_A_LOSS}\n\n{}\n### Every method and rate\n\n{}",
            caltech.beside(),
            at_losses(&features, &[]),
            caltech.table()
        )
    }

    fn reproduce(&self) -> String {
        let mut text = "\n## To measure it again\n\n\
            `DIR` is where the pictures are. Behind each command belong `--json FILE`, \
            `--title` and `--about`, which name the pictures here.\n"
            .to_owned();
        let evaluations = self.evaluations.iter();
        let evaluations = evaluations.map(|(e, _)| (e.title.as_str(), &e.commands));
        for (title, commands) in evaluations.chain([(CALTECH, &self.caltech.0.commands)]) {
            if !commands.is_empty() {
                text += &format!("\n{title}:\n\n```sh\n{}\n```\n", commands.join("\n"));
            }
        }
        text + &format!(
            "\nThen this document and its plots:\n\n```sh\n{}\n```\n",
            self.command
        )
    }
}

const READING: &str = "\
## How to read it

- **Bytes** are those of real frames on the wire, header included; mean, median (p50) and 95th percentile over the \
pictures. Answers come from the decoded bytes.
- **x whole feature** is the feature as 32-bit floats, with every pixel of the architecture, over the mean bytes; \
**x feature needed** the same for the pixels that the rest of the network reads (ResNet-50 v1 reads every fourth after \
stages 1 to 3).
- **Top-1** and **top-5** in percent; in brackets Wilson's 95 % interval. **Points lost** are percentage points of top-1 \
against the uncompressed network on the same pictures, ± half the 95 % interval of the paired difference; negative \
where more were right than without compression. **Same answer** is the share of pictures whose first \
answer is the uncompressed network's: it needs no labels, and says more than points lost, where right and wrong \
answers that change cancel out.
- **JPEG** (baseline, 4:2:0) and **WebP** are what a client would upload instead: the 224 x 224 picture, in a frame \
of the same header.
- **AECNN** is this project's codec, trained for rate; **paper's AECNN** sends the network's own channels that attention ranks \
highest, coded by the same tables, after the little training that [TRAINING.md](TRAINING.md) states. It tells the two apart; it is \
not the best that its method can do.
";

/// The data set's name.
pub(super) const CALTECH: &str = "Caltech-101";

const ON_CALTECH: &str = "\
The published way, where the network is trained for the data set and the codec trained step by step: the **paper's AECNN**, and \
**BottleNet++** beside it, by the same code on the same pictures, both entropy-coded. Their setting ends with the epochs of training: on the \
feature, on the answers, and end to end. Where these are few, the figures say what so little training gives, not what the method can do. \
**AECNN** is the rate-optimised one, made for the same network from the pictures for training alone, without their classes.";

const BESIDE: &str = "Beside BottleNet++

At each of its settings, the AECNN at its rate of the most bytes that are no more than those. A dash: no rate has so few.";

const LIMITS: &str = "
## Limits

- Which pictures were used, how they were chosen, and what that means for their figures, stands above each section's \
tables.
- Where few hundred pictures are measured, differences of a point or two between methods are within the intervals.
- Bytes at a given loss, and factors between methods at equal loss, come from lines between measured rates and carry \
the uncertainty of the points they lie between.
";

fn section(evaluation: &Evaluation, charts: &[Drawn]) -> String {
    let row = &evaluation.uncompressed;
    let mut text = format!("\n## {}\n\n", evaluation.title);
    if !evaluation.about.is_empty() {
        text += &format!("**The pictures.** {}\n\n", evaluation.about.join(" "));
    }
    text += &format!(
        "Network `{}`, {} pictures{}. Without compression: top-1 {} % (95 % interval {} to {}), top-5 {} %. \
         A frame's header takes {} bytes.\n\n",
        evaluation.model,
        whole(evaluation.pictures as f64),
        match evaluation.skipped {
            0 => String::new(),
            skipped => format!(" ({skipped} more could not be read)"),
        },
        percent(row.top1),
        percent(row.top1_interval[0]),
        percent(row.top1_interval[1]),
        percent(row.top5),
        evaluation.header_bytes
    );
    text += &pictured(charts);
    let curves = curves(&evaluation.methods);
    let (features, pictures): (Vec<&Curve<'_>>, Vec<&Curve<'_>>) =
        curves.iter().partition(|curve| curve.split.is_some());
    if !features.is_empty() {
        let fewer = if pictures.is_empty() { "" } else { TIMES_FEWER };
        text += &format!(
            "### {AT_A_LOSS}{fewer}\n\n{}\n",
            at_losses(&features, &pictures)
        );
        text += &format!("### Features, every rate\n\n{}\n", feature_rates(&features));
    }
    if !pictures.is_empty() {
        text += &format!(
            "### Pictures, every quality\n\n{}\n",
            picture_rates(&pictures)
        );
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}

/// Charts, those of single splits behind the others.
fn pictured(charts: &[Drawn]) -> String {
    let mut text = String::new();
    for (at, chart) in charts.iter().enumerate() {
        if at == 2 {
            text += "One split at a time:\n\n";
        }
        text += &format!("![{}](plots/{})\n\n", chart.caption, chart.file);
    }
    text
}

const AT_A_LOSS: &str = "Bytes at a given loss

The fewest bytes from which on no measured rate loses more, linear in the logarithm of the bytes between measured \
rates. `≤`: already the smallest rate measured loses no more. A dash: not reached at any rate measured.";

const TIMES_FEWER: &str = " **x fewer \
than** JPEG or WebP divides their bytes at the same loss by the method's (`≥`, `≤`: at least, at most, where one of the \
two is not between measured rates).";

fn at_losses(features: &[&Curve<'_>], pictures: &[&Curve<'_>]) -> String {
    let mut rows = Vec::new();
    for curve in features {
        for lost in LOSSES {
            let reached = curve.bytes_at(lost);
            let feature = |bytes: fn(&Row) -> Option<f64>| {
                let bytes = curve.rows.first().and_then(|row| bytes(row));
                match (bytes, reached) {
                    (Some(feature), Reached::At(bytes)) => whole(feature / bytes),
                    (Some(feature), Reached::Below(bytes)) => {
                        format!("≥ {}", whole(feature / bytes))
                    }
                    _ => dash(),
                }
            };
            let mut cells = vec![
                curve.method.clone(),
                curve.split.map_or_else(dash, split_name),
                format!("{}", 100.0 * lost),
                bytes_cell(reached),
                feature(|row| row.whole_feature_bytes),
                feature(|row| row.sent_feature_bytes),
            ];
            cells.extend(
                pictures
                    .iter()
                    .map(|picture| times(picture.bytes_at(lost), reached)),
            );
            rows.push(cells);
        }
    }
    for curve in pictures {
        for lost in LOSSES {
            let mut cells = vec![
                curve.method.clone(),
                "picture".to_owned(),
                format!("{}", 100.0 * lost),
                bytes_cell(curve.bytes_at(lost)),
            ];
            cells.extend(std::iter::repeat_n(dash(), 2 + pictures.len()));
            rows.push(cells);
        }
    }
    let mut head = vec![
        "method",
        "split",
        "points lost, at most",
        "bytes",
        "x whole feature",
        "x feature needed",
    ];
    let names: Vec<String> = pictures
        .iter()
        .map(|curve| format!("x fewer than {}", curve.method))
        .collect();
    head.extend(names.iter().map(String::as_str));
    table(&head, &rows)
}

/// How many times the bytes of `ours` are those of `theirs`.
fn times(theirs: Reached, ours: Reached) -> String {
    match (theirs, ours) {
        (Reached::At(theirs), Reached::At(ours)) => factor(theirs / ours),
        (Reached::At(theirs), Reached::Below(ours)) => format!("≥ {}", factor(theirs / ours)),
        (Reached::Below(theirs), Reached::At(ours)) => format!("≤ {}", factor(theirs / ours)),
        _ => dash(),
    }
}

fn feature_rates(curves: &[&Curve<'_>]) -> String {
    let rows: Vec<Vec<String>> = curves
        .iter()
        .flat_map(|curve| {
            curve.rows.iter().map(|row| {
                let ratio = |feature: Option<f64>| {
                    feature.map_or_else(dash, |bytes| whole(bytes / row.mean_bytes))
                };
                let mut cells = vec![
                    curve.method.clone(),
                    curve.split.map_or_else(dash, split_name),
                ];
                cells.extend(bytes_cells(row));
                cells.push(ratio(row.whole_feature_bytes));
                cells.push(ratio(row.sent_feature_bytes));
                cells.extend(accuracy_cells(row));
                cells
            })
        })
        .collect();
    table(
        &[
            "method",
            "split",
            "rate",
            "mean bytes",
            "p50",
            "p95",
            "x whole feature",
            "x feature needed",
            "top-1 %",
            "points lost",
            "top-5 %",
            "same answer %",
        ],
        &rows,
    )
}

fn picture_rates(curves: &[&Curve<'_>]) -> String {
    let rows: Vec<Vec<String>> = curves
        .iter()
        .flat_map(|curve| {
            curve.rows.iter().map(|row| {
                let mut cells = vec![curve.method.clone()];
                cells.extend(bytes_cells(row));
                cells.extend(accuracy_cells(row));
                cells
            })
        })
        .collect();
    table(
        &[
            "method",
            "quality",
            "mean bytes",
            "p50",
            "p95",
            "top-1 %",
            "points lost",
            "top-5 %",
            "same answer %",
        ],
        &rows,
    )
}

fn bytes_cells(row: &Row) -> [String; 4] {
    [
        row.rate.replace('|', "/"),
        whole(row.mean_bytes),
        whole(row.p50_bytes),
        whole(row.p95_bytes),
    ]
}

fn accuracy_cells(row: &Row) -> [String; 4] {
    [
        format!(
            "{} ({} to {})",
            percent(row.top1),
            percent(row.top1_interval[0]),
            percent(row.top1_interval[1])
        ),
        plus_minus(row.drop, row.drop_error),
        percent(row.top5),
        percent(row.agreement),
    ]
}

fn published_section(published: &Published) -> String {
    let rows: Vec<Vec<String>> = published
        .series
        .iter()
        .map(|series| {
            let points: Vec<String> = published
                .drops(series)
                .map(|(bytes, drop)| format!("{}: {}", whole(bytes), percent(drop)))
                .collect();
            vec![
                series.method.clone(),
                series
                    .place
                    .clone()
                    .or_else(|| series.split.map(split_name))
                    .unwrap_or_else(dash),
                points.join("; "),
                series.source.clone(),
            ]
        })
        .collect();
    format!(
        "\n## Published points\n\n{}. Hollow in the plots, as points lost against their own uncompressed network \
         (top-1 {} %): other weights, more pictures and harder ones, so they show where the state of the art lies, not \
         who is ahead by a point.\n\n{}",
        published.about,
        percent(published.uncompressed_top1),
        table(&["method", "where", "bytes: points lost", "source"], &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;
    use crate::report::merge::merge;

    fn document() -> String {
        let file = serde_json::from_value(fixture::evaluation()).unwrap();
        let evaluation = merge(vec![("a.json".into(), file)]).unwrap().remove(0);
        let evaluations = [(evaluation, Vec::new())];
        Document {
            command: "trainer report".to_owned(),
            evaluations: &evaluations,
            caltech: (&Caltech::default(), &[]),
            published: None,
            aims: None,
        }
        .text()
    }

    fn assert_line(line: &str) {
        let text = document();
        assert!(text.lines().any(|l| l == line), "no {line} in\n{text}");
    }

    #[test]
    fn every_rate_has_its_figures() {
        assert_line(
            "| KLT | stage 2 | a | 1,000 | 1,000 | 1,500 | 1,606 | 401 | 87.0 (84.0 to 89.0) | 4.0 ± 2.0 | 93.0 | 96.0 |",
        );
        assert_line(
            "| JPEG | q90 | 16,000 | 16,000 | 24,000 | 89.0 (86.0 to 91.0) | 2.0 ± 2.0 | 95.0 | 98.0 |",
        );
        assert!(document().contains("top-1 91.0 % (95 % interval 88.0 to 93.0), top-5 97.0 %"));
    }

    #[test]
    fn methods_are_compared_at_equal_loss() {
        // 2 lost: 1000 * 4^(2/3) = 2520 bytes; JPEG 16,000; WebP never.
        assert_line("| KLT | stage 2 | 2 | 2,520 | 637 | 159 | 6.3 | – |");
        // 4 lost: already the smallest rate; JPEG 4000 * 4^(12/14) = 13,125, WebP 8000.
        assert_line("| KLT | stage 2 | 4 | ≤ 1,000 | ≥ 1,606 | ≥ 401 | ≥ 13 | ≥ 8.0 |");
        assert_line("| JPEG | picture | 1 | – | – | – | – | – |");
    }

    #[test]
    fn limits_and_commands_travel_along_and_empty_sections_do_not() {
        let text = document();
        assert!(text.contains("**The pictures.** Made for a test."));
        assert!(text.contains("trainer evaluate --images DIR"));
        assert!(!text.contains("Caltech") && !text.contains("## Published"));
    }
}
