//! Expected texts of tests, kept in files. `ENCLOS_BLESS=1 cargo test -p enclos` writes them anew.

use std::path::{Path, PathBuf};

/// Fails unless the file (relative to this crate) holds `actual`.
pub fn file(file: &str, actual: &str) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("ENCLOS_BLESS").is_some() {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).unwrap();
        }
        return std::fs::write(&path, actual).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    if expected == actual {
        return;
    }
    let differs = expected.lines().zip(actual.lines()).position(|(e, a)| e != a);
    let line = differs.unwrap_or_else(|| expected.lines().count().min(actual.lines().count()));
    panic!(
        "{file} differs from line {} on\nexpected: {:?}\nseen:     {:?}\n(ENCLOS_BLESS=1 writes it anew)",
        line + 1,
        expected.lines().nth(line),
        actual.lines().nth(line)
    );
}

/// Fails unless each part of the file between `<!-- NAME -->` and `<!-- end -->` is what `part(NAME)` gives.
pub fn parts(file_name: &str, part: impl Fn(&str) -> Option<String>) {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(file_name);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut whole = String::new();
    let mut rest = text.as_str();
    let mut seen = 0;
    while let Some((before, after)) = rest.split_once("<!-- ") {
        let (name, body) = after.split_once(" -->\n").expect("a comment ends");
        let (_, after_body) = body.split_once("<!-- end -->").expect("a part ends");
        let part = part(name).unwrap_or_else(|| panic!("{file_name}: no part is called {name:?}"));
        whole += &format!("{before}<!-- {name} -->\n{part}<!-- end -->");
        rest = after_body;
        seen += 1;
    }
    assert!(seen > 0, "{file_name} has no parts");
    file(file_name, &(whole + rest));
}
