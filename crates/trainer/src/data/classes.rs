//! The class of a picture: from the name of its folder, or from a CSV file.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// WordNet ids of ImageNet's classes in the order of their numbers.
const WORDNET_IDS: &str = include_str!("wordnet_ids.txt");

/// Class numbers by what may stand for a class in a folder's name.
pub(super) struct ClassNames(HashMap<String, usize>);

impl ClassNames {
    /// Names are WordNet ids (`n01440764`), class names (`tench`, `great_white_shark`) and
    /// numbers.
    pub(super) fn new(labels: &[String]) -> Self {
        let mut names: HashMap<String, usize> = (0..labels.len())
            .map(|class| (class.to_string(), class))
            .collect();
        // The ids are those of ImageNet's classes; other networks have classes of their own.
        if labels.len() == WORDNET_IDS.lines().count() {
            let ids = WORDNET_IDS.lines().enumerate();
            names.extend(ids.map(|(class, id)| (id.to_owned(), class)));
        }
        for (class, label) in labels.iter().enumerate() {
            // Two classes are called "crane" and "maillot": such a name stands for neither.
            let name = normalise(label);
            if labels
                .iter()
                .filter(|other| normalise(other) == name)
                .count()
                == 1
            {
                names.insert(name, class);
            }
        }
        Self(names)
    }

    pub(super) fn of_folder(&self, folder: &str) -> Option<usize> {
        self.0
            .get(folder)
            .or_else(|| self.0.get(&normalise(folder)))
            .copied()
    }
}

fn normalise(name: &str) -> String {
    name.to_lowercase().replace(['_', '-'], " ")
}

/// The classes in a CSV file with a header, in the file's order: file name without ending, class.
pub(super) fn read_csv(
    path: &Path,
    file_column: &str,
    class_column: &str,
    offset: i64,
    classes: usize,
) -> Result<Vec<(String, usize)>> {
    let mut reader = csv::Reader::from_path(path)
        .with_context(|| format!("reading labels from {}", path.display()))?;
    let headers = reader.headers()?.clone();
    let column = |name: &str| {
        headers.iter().position(|h| h == name).with_context(|| {
            format!(
                "{} has no column `{name}`; it has {}",
                path.display(),
                headers.iter().collect::<Vec<_>>().join(", ")
            )
        })
    };
    let (file, class) = (column(file_column)?, column(class_column)?);
    reader
        .records()
        .enumerate()
        .map(|(row, record)| {
            let record = record?;
            let number: i64 = record[class]
                .trim()
                .parse()
                .with_context(|| format!("row {}: `{}` is no number", row + 1, &record[class]))?;
            let Some(number) = usize::try_from(number + offset).ok().filter(|n| *n < classes)
            else {
                bail!(
                    "row {}: class {number} with offset {offset} is outside 0 to {}; set --class-offset",
                    row + 1,
                    classes - 1
                );
            };
            Ok((record[file].to_owned(), number))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_ids_names_or_numbers() {
        let mut labels: Vec<String> = (0..1000).map(|i| format!("class {i}")).collect();
        labels[2] = "great white shark".to_owned();
        labels[134] = "crane".to_owned();
        labels[517] = "crane".to_owned();
        let names = ClassNames::new(&labels);
        assert_eq!(names.of_folder("n01440764"), Some(0));
        assert_eq!(names.of_folder("great_white_shark"), Some(2));
        assert_eq!(names.of_folder("Great White Shark"), Some(2));
        assert_eq!(names.of_folder("7"), Some(7));
        assert_eq!(names.of_folder("crane"), None);
        assert_eq!(WORDNET_IDS.lines().count(), 1000);
    }

    #[test]
    fn csv_rows_keep_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        std::fs::write(&path, "ImageId,TrueLabel\nb,1\na,1000\n").unwrap();
        let rows = read_csv(&path, "ImageId", "TrueLabel", -1, 1000).unwrap();
        assert_eq!(rows, [("b".to_owned(), 0), ("a".to_owned(), 999)]);
        assert!(read_csv(&path, "ImageId", "TrueLabel", 0, 1000).is_err());
        assert!(read_csv(&path, "ImageId", "Class", 0, 1000).is_err());
    }
}
