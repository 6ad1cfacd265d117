//! `enclos judge languages`.

use serde_json::json;

use super::{Outcome, json, not_installed};
use crate::LocalJudge;
use crate::api::{Judge, LanguageStatus};
use enclos_host::table::Table;

/// What is defined, found and missing.
pub fn run(judge: &LocalJudge, as_json: bool) -> Outcome {
    let languages = judge.languages();
    if as_json {
        return Ok((json(&json!({ "languages": languages.iter().map(document).collect::<Vec<_>>() })), true));
    }
    let mut table = Table::new(&["language", "ending", "state", "programs"]);
    for language in &languages {
        let programs = language.programs.iter().map(|program| match (&program.version, program.found) {
            (_, false) => format!("{} (missing)", program.command),
            (Some(version), true) => format!("{} {version}", program.command),
            (None, true) => program.command.clone(),
        });
        let state = if language.available { "ready".to_owned() } else { not_installed(language) };
        table.row([language.name.clone(), language.extension.clone(), state, programs.collect::<Vec<_>>().join(", ")]);
    }
    let mut text = table.text();
    for language in languages.iter().filter(|language| !language.available) {
        if let Some(note) = &language.note {
            text.push_str(&format!("\n{}: {note}", language.name));
        }
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok((text, true))
}

fn document(language: &LanguageStatus) -> serde_json::Value {
    let programs: Vec<_> = language
        .programs
        .iter()
        .map(
            |program| json!({ "command": program.command, "found": program.found, "version": program.version, "options": program.options }),
        )
        .collect();
    json!({
        "key": language.key,
        "name": language.name,
        "aliases": language.aliases,
        "extension": language.extension,
        "compiled": language.compiled,
        "available": language.available,
        "programs": programs,
        "packages": language.packages,
        "note": language.note,
    })
}
