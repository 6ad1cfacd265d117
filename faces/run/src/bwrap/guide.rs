//! The tables of the guide, made from the flags' records.

use std::fmt::Write;

use super::table::SECTIONS;

/// The table of a section in Markdown.
#[must_use]
pub fn table(title: &str) -> Option<String> {
    let section = SECTIONS.iter().find(|section| section.title == title)?;
    let mut text = String::from("| option | what it does | since |\n|---|---|---|\n");
    for flag in section.flags {
        let since = if flag.since == "enclos" { "ours" } else { flag.since };
        let more = if flag.more.is_empty() { String::new() } else { format!(". {}", flag.more) };
        let _ = writeln!(text, "| `{}` | {}{} | {since} |", flag.usage(), cell(flag.help), cell(&more));
    }
    Some(text)
}

/// A bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_guide_says_what_the_records_say() {
        crate::expect::parts("../../docs/guide/bwrap.md", super::table);
    }

    #[test]
    fn the_guide_has_every_section() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/bwrap.md");
        let text = std::fs::read_to_string(path).unwrap();
        for section in crate::bwrap::table::SECTIONS {
            assert!(text.contains(&format!("<!-- {} -->", section.title)), "{}", section.title);
        }
    }
}
