//! The compilers and interpreters the judge's languages name: installed before the judge's tests run.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::install::apt;
use crate::workspace::Workspace;

/// Where the definitions lie.
const FOLDER: &str = "faces/judge/languages";

/// What is read of a definition here; the judge reads the rest.
#[derive(Deserialize)]
struct Definition {
    #[serde(default)]
    packages: Vec<String>,
}

/// Installs the packages of every language that this Debian has. One it does not have is named: its language stays untested.
///
/// # Errors
/// When a definition cannot be read, or a package is there and cannot be installed.
pub fn install(workspace: &Workspace) -> Result<()> {
    let missing: Vec<String> = packages(&workspace.root.join(FOLDER))?.into_iter().filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!("only root can install packages; as root: apt-get install --no-install-recommends {}", missing.join(" "));
    }
    // A list that cannot be fetched is no failure yet: what is wanted may stand in the others.
    if let Err(error) = apt(&["update"]) {
        println!("  note: {error:#}");
    }
    let (known, unknown): (Vec<_>, Vec<_>) = missing.into_iter().partition(|package| is_known(package));
    for package in &unknown {
        println!("  note: apt knows no {package}; the language that names it stays untested");
    }
    if known.is_empty() {
        return Ok(());
    }
    println!("  installing the judge's languages: {}", known.join(" "));
    let arguments: Vec<&str> =
        ["install", "--yes", "--no-install-recommends"].into_iter().chain(known.iter().map(String::as_str)).collect();
    apt(&arguments)
}

/// Names of all packages that the definitions of a folder ask for.
fn packages(folder: &Path) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = std::fs::read_to_string(&path)?;
            let definition: Definition = toml::from_str(&text).with_context(|| format!("reading {}", path.display()))?;
            names.extend(definition.packages);
        }
    }
    Ok(names)
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    query.args(["--show", "--showformat=${db:Status-Status}", package]).stdin(Stdio::null()).stderr(Stdio::null());
    query.output().is_ok_and(|output| output.stdout == b"installed")
}

fn is_known(package: &str) -> bool {
    let mut show = Command::new("apt-cache");
    show.args(["show", "--no-all-versions", package]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    show.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_all_definitions_are_gathered_once() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a.toml", "name = \"A\"\npackages = [\"gcc\", \"libc6-dev\"]\n[run]\nprogram = \"a\"\n");
        write("b.toml", "packages = [\"gcc\"]\n");
        write("c.toml", "name = \"C\"\n");
        write("notes.txt", "packages = 3\n");
        assert_eq!(packages(folder.path()).unwrap().into_iter().collect::<Vec<_>>(), ["gcc", "libc6-dev"]);
        write("d.toml", "packages = 3\n");
        assert!(packages(folder.path()).is_err());
    }

    #[test]
    fn what_is_installed_is_told_from_what_is_not() {
        if Path::new("/usr/bin/dpkg-query").exists() {
            assert!(is_installed("dpkg"));
        }
        assert!(!is_installed("enclos-no-such-package"));
    }
}
