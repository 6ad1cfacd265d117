//! The guide's commands, executed, and its tables, compared.

use std::process::Command;

use super::world::World;

const GUIDE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/agent-api.md"));

#[test]
fn the_commands_of_the_guide_work() {
    let world = World::new();
    let place = std::env::temp_dir().join(format!("enclos-agent-guide-{}", std::process::id()));
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("website.tar"), [0; 1024]).unwrap();
    let (mut codebase, mut sandbox) = (String::new(), String::new());
    let mut done = 0;
    for line in GUIDE.lines().filter_map(|line| line.strip_prefix("$ ")) {
        let mut command = Command::new("sh");
        command.args(["-c", &line.replacen("curl ", "curl --fail-with-body ", 1)]).current_dir(&place);
        command.env("AGENT", format!("http://{}/v1/agent", world.address)).env("CODEBASE", &codebase).env("SANDBOX", &sandbox);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{line}: {text}");
        let id = serde_json::from_str::<serde_json::Value>(&text).ok().and_then(|made| Some(made["id"].as_str()?.to_owned()));
        match id {
            Some(id) if id.starts_with("cb_") => codebase = id,
            Some(id) if id.starts_with("sb_") => sandbox = id,
            _ => {}
        }
        done += 1;
    }
    std::fs::remove_dir_all(&place).unwrap();
    assert!(done >= 13, "{done}");
}

#[test]
fn the_codes_of_the_guide_are_those_there_are() {
    let source = [include_str!("../../src/native/problem.rs"), include_str!("../../src/native/routes.rs")];
    let more =
        [include_str!("../../src/native/socket.rs"), include_str!("../../src/native/files.rs"), include_str!("../../src/native/once.rs")];
    let mut found = 0;
    for code in source.iter().chain(&more).flat_map(|text| text.split("StatusCode::").skip(1)) {
        // `StatusCode::NAME, "code"`.
        let Some(code) = code.split_once(", \"").filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_')) else {
            continue;
        };
        let code = code.1.split('"').next().unwrap();
        assert!(GUIDE.contains(&format!("`{code}`")), "{code}");
        found += 1;
    }
    assert!(found >= 20, "{found}");
}
