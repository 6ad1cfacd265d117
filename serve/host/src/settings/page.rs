//! The page of the guide that lists every key.

use std::fmt::Write;

use super::{Kind, Setting};

/// Every key, section by section, as Markdown: what it is for, what it takes, what holds without it.
#[must_use]
pub fn page(records: &[&'static [Setting]]) -> String {
    let mut text = String::new();
    let mut section = None;
    for record in records.iter().flat_map(|group| group.iter()) {
        if let Kind::Tables(inner) = record.kind {
            section = None;
            let _ = write!(text, "## `[[{}]]`\n\n{}\n\n", record.key, record.help);
            head(&mut text);
            for record in inner {
                row(&mut text, record.key, record);
            }
            text.push('\n');
            continue;
        }
        let (of, name) = record.key.rsplit_once('.').unwrap_or(("", record.key));
        if section != Some(of) {
            if section.is_some() {
                text.push('\n');
            }
            let _ = write!(text, "## `[{of}]`\n\n");
            head(&mut text);
            section = Some(of);
        }
        row(&mut text, name, record);
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn head(text: &mut String) {
    text.push_str("| key | takes | without it | |\n|---|---|---|---|\n");
}

fn row(text: &mut String, name: &str, record: &Setting) {
    let default = if record.default.is_empty() { "–".to_owned() } else { format!("`{}`", record.default) };
    let _ = writeln!(text, "| `{name}` | {} | {default} | {} |", record.kind.wanted(), record.help);
}
