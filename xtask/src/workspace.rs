//! What `cargo metadata` says about this repository, and the files in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The part of `cargo metadata --format-version 1` that the checks use.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    packages: Vec<RawPackage>,
    workspace_members: BTreeSet<String>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
    resolve: RawResolve,
}

#[derive(Debug, Deserialize)]
struct RawPackage {
    id: String,
    name: String,
    manifest_path: PathBuf,
    dependencies: Vec<RawDependency>,
    targets: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct RawDependency {
    name: String,
    kind: Option<String>,
    path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
struct RawResolve {
    nodes: Vec<RawNode>,
}

#[derive(Debug, Deserialize)]
struct RawNode {
    id: String,
    deps: Vec<RawEdge>,
}

#[derive(Debug, Deserialize)]
struct RawEdge {
    pkg: String,
    dep_kinds: Vec<RawKind>,
}

#[derive(Debug, Deserialize)]
struct RawKind {
    kind: Option<String>,
}

/// One compilation root of a crate.
#[derive(Clone, Debug, Deserialize)]
pub struct Target {
    /// `lib`, `bin`, `test`, `custom-build`, …
    pub kind: Vec<String>,
    /// Its root file.
    pub src_path: PathBuf,
}

/// How a crate asks for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// In what it ships.
    Normal,
    /// In its own tests only.
    Dev,
    /// In its build script.
    Build,
}

/// One crate of the workspace.
#[derive(Clone, Debug)]
pub struct Crate {
    /// Package name.
    pub name: String,
    /// Folder below the workspace root, with `/`, e.g. `engine/sys`.
    pub folder: String,
    /// Folders of the workspace crates it asks for itself.
    pub inside: Vec<(String, Kind)>,
    /// Names of the registry crates it asks for itself.
    pub outside: Vec<(String, Kind)>,
    /// Names of every registry crate it ships, those of its dependencies included; none that only tests or builds use.
    pub shipped: BTreeSet<String>,
    /// Compilation roots.
    pub targets: Vec<Target>,
}

/// The repository.
#[derive(Debug)]
pub struct Workspace {
    /// Absolute path of its root.
    pub root: PathBuf,
    /// Where cargo builds.
    pub target_dir: PathBuf,
    /// Its crates, by folder.
    pub crates: Vec<Crate>,
}

impl Workspace {
    /// Asks cargo.
    ///
    /// # Errors
    /// When `cargo metadata` fails: a broken manifest, or a `Cargo.lock` that does not match.
    pub fn load() -> Result<Self> {
        let output =
            Command::new(cargo()).args(["metadata", "--format-version", "1", "--locked"]).output().context("running cargo metadata")?;
        if !output.status.success() {
            bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Self::from_json(&output.stdout)
    }

    /// Reads `cargo metadata`'s answer.
    fn from_json(json: &[u8]) -> Result<Self> {
        let metadata: Metadata = serde_json::from_slice(json).context("reading cargo metadata")?;
        let names: BTreeMap<&str, &str> = metadata.packages.iter().map(|p| (p.id.as_str(), p.name.as_str())).collect();
        let edges: BTreeMap<&str, Vec<&str>> = metadata
            .resolve
            .nodes
            .iter()
            .map(|n| (n.id.as_str(), n.deps.iter().filter(|d| d.ships()).map(|d| d.pkg.as_str()).collect()))
            .collect();
        let root = &metadata.workspace_root;
        let mut crates = Vec::new();
        for package in metadata.packages.iter().filter(|p| metadata.workspace_members.contains(&p.id)) {
            let mut found = Crate {
                name: package.name.clone(),
                folder: folder(root, package.manifest_path.parent().context("a manifest without a folder")?),
                inside: Vec::new(),
                outside: Vec::new(),
                shipped: BTreeSet::new(),
                targets: package.targets.clone(),
            };
            for dependency in &package.dependencies {
                let kind = match dependency.kind.as_deref() {
                    Some("dev") => Kind::Dev,
                    Some("build") => Kind::Build,
                    _ => Kind::Normal,
                };
                match &dependency.path {
                    Some(path) => found.inside.push((folder(root, path), kind)),
                    None => found.outside.push((dependency.name.clone(), kind)),
                }
            }
            found.shipped = closure(&package.id, &edges)
                .into_iter()
                .filter(|id| !metadata.workspace_members.contains(*id))
                .filter_map(|id| names.get(id).map(|name| (*name).to_owned()))
                .collect();
            crates.push(found);
        }
        crates.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(Workspace { root: metadata.workspace_root, target_dir: metadata.target_directory, crates })
    }

    /// Every file of the repository, relative to its root and sorted; build output, hidden folders and `node_modules` left out.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(at) = folders.pop() {
            for entry in std::fs::read_dir(&at).with_context(|| format!("reading {}", at.display()))? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_string_lossy();
                if entry.file_type()?.is_dir() {
                    let output = entry.path() == self.target_dir || name == "target" || name == "node_modules";
                    if !output && (!name.starts_with('.') || name == ".ci") {
                        folders.push(entry.path());
                    }
                } else {
                    found.push(entry.path().strip_prefix(&self.root)?.to_owned());
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Every Rust file, relative to the root, with its text.
    ///
    /// # Errors
    /// When a file cannot be read or is not UTF-8.
    pub fn rust_files(&self) -> Result<Vec<(PathBuf, String)>> {
        let rust = self.files()?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "rs"));
        rust.map(|path| {
            let text = std::fs::read_to_string(self.root.join(&path)).with_context(|| format!("reading {}", path.display()))?;
            Ok((path, text))
        })
        .collect()
    }
}

impl RawEdge {
    /// Whether what is shipped contains this dependency.
    fn ships(&self) -> bool {
        self.dep_kinds.iter().any(|k| k.kind.is_none())
    }
}

/// Path of the cargo that runs us, or the one on PATH.
#[must_use]
pub fn cargo() -> std::ffi::OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// `path` below `root`, with `/`; the whole path when it lies elsewhere, which no rule knows, so that it fails by name.
fn folder(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

/// Everything reachable from `start`, itself left out.
fn closure<'a>(start: &'a str, edges: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    let mut open = vec![start];
    while let Some(id) = open.pop() {
        for next in edges.get(id).into_iter().flatten() {
            if seen.insert(*next) {
                open.push(next);
            }
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_becomes_a_graph() {
        let json = r#"{
            "workspace_root": "/w", "target_directory": "/w/target", "workspace_members": ["spec#1", "judge#1"],
            "packages": [
                {"id": "spec#1", "name": "enclos-spec", "manifest_path": "/w/engine/spec/Cargo.toml", "targets": [],
                 "dependencies": [{"name": "serde", "kind": null}, {"name": "proptest", "kind": "dev"}]},
                {"id": "judge#1", "name": "enclos-judge", "manifest_path": "/w/faces/judge/Cargo.toml", "targets": [],
                 "dependencies": [{"name": "enclos-spec", "kind": null, "path": "/w/engine/spec"}]},
                {"id": "serde#1", "name": "serde", "manifest_path": "/r/serde/Cargo.toml", "targets": [], "dependencies": []},
                {"id": "proptest#1", "name": "proptest", "manifest_path": "/r/proptest/Cargo.toml", "targets": [], "dependencies": []}
            ],
            "resolve": {"nodes": [
                {"id": "spec#1", "deps": [{"pkg": "serde#1", "dep_kinds": [{"kind": null}]}, {"pkg": "proptest#1", "dep_kinds": [{"kind": "dev"}]}]},
                {"id": "judge#1", "deps": [{"pkg": "spec#1", "dep_kinds": [{"kind": null}]}]},
                {"id": "serde#1", "deps": []}, {"id": "proptest#1", "deps": []}
            ]}
        }"#;
        let workspace = Workspace::from_json(json.as_bytes()).unwrap();
        let folders: Vec<_> = workspace.crates.iter().map(|c| c.folder.as_str()).collect();
        assert_eq!(folders, ["engine/spec", "faces/judge"]);
        let [spec, judge] = &workspace.crates[..] else { unreachable!() };
        assert_eq!(spec.outside, [("serde".to_owned(), Kind::Normal), ("proptest".to_owned(), Kind::Dev)]);
        assert_eq!(judge.inside, [("engine/spec".to_owned(), Kind::Normal)]);
        assert!(judge.shipped.contains("serde"), "a dependency's dependency is shipped");
        assert!(!judge.shipped.contains("proptest"), "what only tests use is not");
    }
}
