//! The command that measures the same again.

use std::fmt::Display;
use std::path::Path;

use super::EvaluateArgs;

/// What to type to repeat an evaluation. Folders of pictures are `DIR`, as they differ from machine
/// to machine; title, description and output are left out.
pub(super) fn of(args: &EvaluateArgs) -> String {
    let mut words = vec!["cargo run --release -p trainer -- evaluate".to_owned()];
    let mut option = |name: &str, value: &dyn Display| words.push(format!("--{name} {value}"));
    option("model", &quoted(&relative(&args.model)));
    for codec in &args.codec {
        option("codec", &quoted(&relative(codec)));
    }
    if !args.rate.is_empty() {
        option("rate", &quoted(&args.rate.join(",")));
    }
    if !args.baseline.is_empty() {
        let names: Vec<&str> = args.baseline.iter().map(|codec| codec.name()).collect();
        option("baseline", &names.join(","));
        let qualities: Vec<String> = args.quality.iter().map(u8::to_string).collect();
        option("quality", &qualities.join(","));
    }
    let pictures = &args.pictures;
    for _ in &pictures.images {
        option("images", &"DIR");
    }
    if let (Some(path), Some(part)) = (&pictures.partition, pictures.part) {
        option("partition", &quoted(&file_name(path)));
        option("part", &part.name());
    }
    if pictures.labels != "folders" {
        option("labels", &quoted(&file_name(Path::new(&pictures.labels))));
        for (name, value, default) in [
            ("file-column", &pictures.file_column, "ImageId"),
            ("class-column", &pictures.class_column, "TrueLabel"),
        ] {
            if value != default {
                option(name, &quoted(value));
            }
        }
        if pictures.class_offset != -1 {
            option("class-offset", &pictures.class_offset);
        }
    }
    if let Some(text) = &pictures.matching {
        option("matching", &quoted(text));
    }
    for text in &pictures.not_matching {
        option("not-matching", &quoted(text));
    }
    if let Some(limit) = pictures.limit {
        option("limit", &limit);
    }
    if args.coarse {
        words.push("--coarse".to_owned());
    }
    words.join(" ")
}

/// The path as given, if it is relative; else its last two parts, which name a model's file.
fn relative(path: &Path) -> String {
    if path.is_relative() {
        return path.display().to_string();
    }
    let parts: Vec<_> = path
        .iter()
        .rev()
        .take(2)
        .map(|part| part.to_string_lossy())
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join("/")
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// In quotes, where a shell would take it apart.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./,=+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        args: EvaluateArgs,
    }

    fn command(line: &[&str]) -> String {
        of(&Program::parse_from(line).args)
    }

    #[test]
    fn it_repeats_the_choice_and_names_no_folder() {
        let words = "evaluate --baseline jpeg,webp --quality 5,10 --images /home/me/pictures \
                     --labels /home/me/images.csv --limit 500 --json x.json --title T";
        let words: Vec<&str> = words.split_whitespace().filter(|w| *w != "\\").collect();
        assert_eq!(
            command(&words),
            "cargo run --release -p trainer -- evaluate --model models/resnet50-imagenet \
             --baseline jpeg,webp --quality 5,10 --images DIR --labels images.csv --limit 500"
        );
    }

    #[test]
    fn codecs_keep_their_names_and_odd_words_their_quotes() {
        let words = [
            "evaluate",
            "--model",
            "/home/me/models/mine",
            "--codec",
            "models/mine/a.safetensors",
            "--images",
            "p",
            "--matching",
            "it's here",
        ];
        assert_eq!(
            command(&words),
            "cargo run --release -p trainer -- evaluate --model models/mine \
             --codec models/mine/a.safetensors --images DIR --matching 'it'\\''s here'"
        );
    }
}
