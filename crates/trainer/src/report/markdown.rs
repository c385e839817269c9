//! Tables and numbers of a Markdown document.

use super::curve::Reached;

/// A table; cells must not hold `|`.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text
}

/// Whole, with a comma between thousands.
pub(super) fn whole(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number <= -0.5 {
        text.insert(0, '-');
    }
    text
}

/// A share as `91.0`, in percent.
pub(super) fn percent(share: f64) -> String {
    let text = format!("{:.1}", 100.0 * share);
    // Nothing lost is not less than nothing.
    if text == "-0.0" {
        "0.0".to_owned()
    } else {
        text
    }
}

/// A share and half its interval as `1.4 ± 1.2`, in percent.
pub(super) fn plus_minus(share: f64, error: f64) -> String {
    format!("{} ± {}", percent(share), percent(error))
}

/// A factor: whole from 10 on, else with a decimal.
pub(super) fn factor(number: f64) -> String {
    if number < 9.95 {
        format!("{number:.1}")
    } else {
        whole(number)
    }
}

/// The bytes that are needed, as a cell.
pub(super) fn bytes_cell(reached: Reached) -> String {
    match reached {
        Reached::At(bytes) => whole(bytes),
        Reached::Below(bytes) => format!("≤ {}", whole(bytes)),
        Reached::Never => dash(),
    }
}

/// What stands where there is nothing.
pub(super) fn dash() -> String {
    "–".to_owned()
}

/// A text's name in file names and links.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(whole(1_605_632.4), "1,605,632");
        assert_eq!(whole(999.6), "1,000");
        assert_eq!(whole(12.0), "12");
        assert_eq!(percent(-0.0001), "0.0");
        assert_eq!(percent(0.9104), "91.0");
        assert_eq!((factor(9.94), factor(9.96)), ("9.9".into(), "10".into()));
    }

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("NIPS 2017, first 500!"), "nips-2017-first-500");
    }

    #[test]
    fn tables_have_a_line_a_row() {
        let text = table(&["a", "b"], &[vec!["1".into(), "2".into()]]);
        assert_eq!(text, "| a | b |\n|---|---|\n| 1 | 2 |\n");
    }
}
