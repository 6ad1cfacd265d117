//! One binary for all of it; a file forgotten here is found by `every_file_is_a_module`.

#![forbid(unsafe_code)]

mod alone;
mod faults;
mod files;
mod identity;
mod limits;
mod network;
mod policy;
mod programs;
mod refusals;
mod signals;
mod status;
mod streams;
mod terminal;

#[test]
fn every_file_is_a_module() {
    let text = include_str!("main.rs");
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e");
    for entry in std::fs::read_dir(dir).expect("the sources are here").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(module) = name.strip_suffix(".rs").filter(|module| *module != "main") {
            assert!(text.contains(&format!("mod {module};")), "{name} is in no mod list");
        }
    }
}
