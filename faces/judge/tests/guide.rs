//! The languages of the guide (`docs/guide/judge-language.md`) are understood.

#![forbid(unsafe_code)]

use enclos_judge::language::{Definition, Registry};

const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/judge-language.md"));

/// The TOML blocks, in order: a language, the server's configuration, two stages.
fn blocks() -> Vec<&'static str> {
    GUIDE.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_language_of_the_guide_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tcl.toml"), blocks()[0]).unwrap();
    let registry = Registry::load(Some(directory.path())).unwrap();
    let tcl = registry.find("TCLSH").expect("by its alias");
    assert_eq!((tcl.key().as_str(), tcl.program_name().as_str()), ("tcl", "compiled.tcl"));
}

#[test]
fn the_two_stages_of_the_guide_are_understood() {
    let start =
        "name = \"X\"\nextension = \".x\"\nreference = \"\"\n[[program]]\ncommand = \"translator\"\n[[program]]\ncommand = \"gcc\"\n";
    let definition = Definition::parse("x.toml", &format!("{start}{}", blocks()[2])).unwrap();
    assert_eq!(definition.compile.len(), 2);
    assert_eq!(definition.program_name(), "compiled");
}
