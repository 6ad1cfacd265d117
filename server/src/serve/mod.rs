//! `enclos-server serve`: reads the configuration, starts the engine's launcher, and then the servers.
//!
//! The order matters. The launcher is a process of its own, started while this one has a single thread and holds nothing; only then come
//! threads, the runtime and the sockets.

mod agent;
mod figures;
mod flags;
mod leftovers;
mod plan;
mod run;
mod settings;
mod trial;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use enclos_host::settings::Settings;
use flags::Flags;
use plan::Plan;

/// Serves until told to end.
pub fn main(args: impl Iterator<Item = OsString>) -> ExitCode {
    let flags = match Flags::parse(args) {
        Ok(flags) => flags,
        Err(line) => return crate::fail("serve", &line),
    };
    if flags.help {
        return crate::print(&flags::help());
    }
    let plan = match plan(&flags) {
        Ok(plan) => plan,
        Err(lines) => {
            let mut code = ExitCode::SUCCESS;
            for line in lines {
                code = crate::fail("serve", &line);
            }
            return code;
        }
    };
    if flags.check {
        return crate::print("the configuration is right\n");
    }
    match run::run(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(line) => crate::fail("serve", &line),
    }
}

/// The configuration, checked whole; or every fault, one line each.
fn plan(flags: &Flags) -> Result<Plan, Vec<String>> {
    let (file, name) = match &flags.config {
        None => (String::new(), String::new()),
        Some(path) => match std::fs::read_to_string(path) {
            Ok(text) => (text, format!("{}: ", path.display())),
            Err(error) => return Err(vec![format!("--config: {}: {error}", path.display())]),
        },
    };
    let settings = Settings::read(&settings::records(), &file, &flags.pairs)
        .map_err(|errors| errors.iter().map(|error| format!("{name}{error}")).collect::<Vec<_>>())?;
    Plan::of(settings, &|name| std::env::var_os(name).map(PathBuf::from))
}

/// One line on standard output, at once: whoever reads it waits for it.
fn announce(line: &str) {
    let mut stdout = std::io::stdout();
    // A reader that is gone reads nothing; the server serves all the same.
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}

/// The guide's page of every key.
#[cfg(test)]
mod page {
    use super::*;

    const HEAD: &str = "# Configuration of the server\n\n\
        `enclos serve --config FILE` reads TOML. Every key has a default, which holds where nothing is written; a key that is not known is refused, \
        and so is a value that makes no sense, each with what would be right. `--set KEY=VALUE` sets any key over the file, and \
        `--check-config` only checks.\n\n\
        Sizes are bytes, or text with a unit (`\"64M\"`, `\"1GiB\"`); spans are text with a unit (`\"500ms\"`, `\"2m\"`).\n\n\
        This page is made from the records that the program itself reads (`ENCLOS_BLESS=1 cargo test -p enclos-server` writes it anew).\n\n";

    #[test]
    fn the_guide_lists_every_key() {
        let page = format!("{HEAD}{}", enclos_host::settings::page(&settings::records()));
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/guide/server-config.md");
        if std::env::var_os("ENCLOS_BLESS").is_some() {
            std::fs::write(&path, &page).unwrap();
        }
        let seen = std::fs::read_to_string(&path).unwrap_or_default();
        let line = page.lines().zip(seen.lines()).position(|(wanted, seen)| wanted != seen);
        assert!(page == seen, "server-config.md differs near line {line:?} (ENCLOS_BLESS=1 writes it anew)");
    }
}
