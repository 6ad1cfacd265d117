//! Answers as tables.

use enclos_host::table::{Table, mib, printable};
use serde_json::Value;

/// A field as text, made harmless: names of files come from sandboxes.
pub fn text(value: &Value) -> String {
    let plain = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(pairs) if pairs.is_empty() => "-".to_owned(),
        Value::Object(pairs) => pairs.iter().map(|(name, value)| format!("{name}={}", text(value))).collect::<Vec<_>>().join(" "),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    printable(plain.as_bytes(), 1024).replace(['\n', '\t'], "\u{fffd}")
}

/// A list as a table: headings, and the field under each.
pub fn table(items: &[Value], columns: &[(&str, &str)]) -> String {
    let mut table = Table::new(&columns.iter().map(|(heading, _)| *heading).collect::<Vec<_>>());
    for item in items {
        table.row(columns.iter().map(|(heading, field)| match (*heading, item[*field].as_u64()) {
            ("size", Some(bytes)) if bytes >= 1 << 20 => mib(Some(bytes)),
            _ => text(&item[*field]),
        }));
    }
    table.text()
}

/// The list in a document.
pub fn items<'a>(document: &'a Value, name: &str) -> &'a [Value] {
    document[name].as_array().map_or(&[], Vec::as_slice)
}

/// One thing: a field in each line.
pub fn one(document: &Value) -> String {
    let mut table = Table::new(&["field", "value"]);
    for (name, value) in document.as_object().into_iter().flatten().filter(|(name, _)| *name != "rules") {
        table.row([name.clone(), text(value)]);
    }
    let rules = items(document, "rules");
    if rules.is_empty() { table.text() } else { format!("{}\n{}", table.text(), self::rules(rules)) }
}

/// Rules.
pub fn rules(rules: &[Value]) -> String {
    table(rules, &[("pattern", "pattern"), ("level", "level"), ("kind", "kind"), ("priority", "priority")])
}

/// Sandboxes.
pub fn sandboxes(list: &[Value]) -> String {
    let columns = [
        ("sandbox", "id"),
        ("status", "status"),
        ("codebase", "codebase_id"),
        ("version", "version"),
        ("labels", "labels"),
        ("expires", "expires_at"),
    ];
    table(list, &columns)
}

/// Changes.
pub fn changes(list: &[Value]) -> String {
    table(list, &[("change", "kind"), ("path", "path"), ("what", "what"), ("size", "size"), ("denied", "denied")])
}
