//! Who may depend on whom. The folder of a crate tells its tier; a forbidden edge fails by name (ARCHITECTURE.md).
//!
//! ```text
//! faces → serve → store → engine/sandbox → engine/{seccomp,cgroup} → engine/sys → engine/spec
//! ```
//!
//! No face depends on another. `faces/run` and `faces/python` use the engine only. `engine/testkit` serves tests alone.
//! `tests/*` and `xtask` may use everything, and nothing uses them.

use crate::workspace::{Crate, Kind, Workspace};

/// Asynchronous runtimes and the servers built on them; their only home is `serve/*` and `server`.
const RUNTIMES: [&str; 8] = ["tokio", "axum", "tonic", "hyper", "actix-web", "async-std", "smol", "async-executor"];

/// What a folder says about a crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier<'a> {
    Spec,
    Sys,
    Part,
    Sandbox,
    Testkit,
    Store,
    Serve,
    Face(&'a str),
    Server,
    Tests,
    Xtask,
}

/// Faces that are engine-only, so that they start fast (`run`) or load into a foreign process (`python`).
const ENGINE_FACES: [&str; 2] = ["run", "python"];

impl<'a> Tier<'a> {
    /// The tier of a folder; `None`: no tier is known by it.
    fn of(folder: &'a str) -> Option<Self> {
        match folder.split('/').collect::<Vec<_>>()[..] {
            ["engine", "spec"] => Some(Tier::Spec),
            ["engine", "sys"] => Some(Tier::Sys),
            ["engine", "seccomp" | "cgroup"] => Some(Tier::Part),
            ["engine", "sandbox"] => Some(Tier::Sandbox),
            ["engine", "testkit"] => Some(Tier::Testkit),
            ["store", "cas" | "vfs"] => Some(Tier::Store),
            ["serve", "host" | "pool" | "proto"] => Some(Tier::Serve),
            ["faces", name @ ("run" | "judge" | "agent" | "build" | "bench" | "python")] => Some(Tier::Face(name)),
            ["server"] => Some(Tier::Server),
            ["tests", _] => Some(Tier::Tests),
            ["xtask"] => Some(Tier::Xtask),
            _ => None,
        }
    }

    /// Height in the engine; `None` outside it.
    fn engine_height(self) -> Option<u8> {
        match self {
            Tier::Spec => Some(0),
            Tier::Sys => Some(1),
            Tier::Part => Some(2),
            Tier::Sandbox => Some(3),
            _ => None,
        }
    }

    /// Whether a crate of this tier may ask for one of tier `to`.
    fn may_use(self, to: Tier<'_>, kind: Kind) -> bool {
        match (self, to) {
            (_, Tier::Tests | Tier::Xtask) => false,
            (Tier::Tests | Tier::Xtask, _) => true,
            (_, Tier::Server) => false,
            (_, Tier::Testkit) => kind == Kind::Dev,
            (Tier::Testkit, _) => to.engine_height().is_some(),
            (Tier::Face(name), _) if ENGINE_FACES.contains(&name) => to.engine_height().is_some(),
            (Tier::Server, _) => true,
            (Tier::Face(_), Tier::Face(_)) => false,
            (Tier::Face(_) | Tier::Serve, Tier::Serve | Tier::Store) | (Tier::Store, Tier::Store) => true,
            (Tier::Face(_) | Tier::Serve | Tier::Store, _) => to.engine_height().is_some(),
            (from, to) => matches!((from.engine_height(), to.engine_height()), (Some(from), Some(to)) if to < from),
        }
    }

    /// Whether a crate of this tier may ask for an asynchronous runtime itself.
    fn may_name_runtime(self) -> bool {
        matches!(self, Tier::Serve | Tier::Server | Tier::Tests | Tier::Xtask)
    }

    /// Whether a crate of this tier may ship one through its dependencies.
    fn may_ship_runtime(self) -> bool {
        match self {
            Tier::Face(name) => !ENGINE_FACES.contains(&name),
            _ => self.may_name_runtime(),
        }
    }
}

/// Every edge that the tiers forbid, one line each.
#[must_use]
pub fn check(workspace: &Workspace) -> Vec<String> {
    check_crates(&workspace.crates)
}

fn check_crates(crates: &[Crate]) -> Vec<String> {
    let mut findings = Vec::new();
    for found in crates {
        let from = &found.folder;
        let Some(tier) = Tier::of(from) else {
            findings
                .push(format!("{from}: no tier is known by this folder; add the crate to an existing tier or the tier to xtask layers"));
            continue;
        };
        for (to, kind) in &found.inside {
            if !Tier::of(to).is_some_and(|to| tier.may_use(to, *kind)) {
                findings.push(format!("{from} → {to}: this dependency goes against the tiers (design section 1)"));
            }
        }
        for (name, _) in found.outside.iter().filter(|(name, _)| RUNTIMES.contains(&name.as_str()) && !tier.may_name_runtime()) {
            findings.push(format!("{from} → {name}: only serve/* and server may depend on an asynchronous runtime"));
        }
        for name in found.shipped.iter().filter(|name| RUNTIMES.contains(&name.as_str()) && !tier.may_ship_runtime()) {
            findings.push(format!(
                "{from} ships {name} through a dependency: the engine, the store, faces/run and faces/python are synchronous"
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn krate(folder: &str, inside: &[&str]) -> Crate {
        Crate {
            name: folder.replace('/', "-"),
            folder: folder.to_owned(),
            inside: inside.iter().map(|to| ((*to).to_owned(), Kind::Normal)).collect(),
            outside: Vec::new(),
            shipped: std::collections::BTreeSet::new(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn the_designed_edges_pass() {
        let crates = [
            krate("engine/sys", &["engine/spec"]),
            krate("engine/cgroup", &["engine/sys", "engine/spec"]),
            krate("engine/sandbox", &["engine/seccomp", "engine/cgroup", "engine/sys", "engine/spec"]),
            krate("engine/testkit", &["engine/sandbox"]),
            krate("store/vfs", &["store/cas", "engine/sandbox"]),
            krate("serve/pool", &["store/vfs", "engine/sandbox", "serve/proto"]),
            krate("faces/judge", &["serve/host", "store/cas", "engine/spec"]),
            krate("faces/run", &["engine/sandbox", "engine/spec"]),
            krate("server", &["faces/judge", "serve/host"]),
            krate("tests/e2e", &["engine/testkit", "faces/run"]),
            krate("xtask", &["engine/sandbox"]),
        ];
        assert_eq!(check_crates(&crates), Vec::<String>::new());
    }

    #[test]
    fn each_forbidden_edge_fails_by_name() {
        for (from, to) in [
            ("engine/spec", "engine/sys"),
            ("engine/sys", "engine/cgroup"),
            ("engine/cgroup", "engine/seccomp"),
            ("engine/cgroup", "engine/sandbox"),
            ("engine/sandbox", "store/cas"),
            ("engine/sandbox", "engine/testkit"),
            ("engine/testkit", "faces/run"),
            ("store/cas", "serve/host"),
            ("serve/pool", "faces/judge"),
            ("faces/judge", "faces/run"),
            ("faces/run", "store/cas"),
            ("faces/python", "serve/host"),
            ("faces/judge", "server"),
            ("faces/run", "xtask"),
            ("tests/e2e", "tests/compat"),
            ("engine/sandbox", "engine/new"),
        ] {
            let findings = check_crates(&[krate(from, &[to])]);
            assert!(findings.len() == 1 && findings[0].starts_with(&format!("{from} → {to}:")), "{from} → {to}: {findings:?}");
        }
    }

    #[test]
    fn testkit_serves_tests_of_any_tier() {
        let mut sandbox = krate("engine/sandbox", &[]);
        sandbox.inside.push(("engine/testkit".to_owned(), Kind::Dev));
        assert_eq!(check_crates(&[sandbox]), Vec::<String>::new());
    }

    #[test]
    fn an_unknown_folder_fails() {
        for folder in ["engine/new", "tools/x", "faces/other", "engine/sys/inner", "spec"] {
            assert!(check_crates(&[krate(folder, &[])])[0].starts_with(folder), "{folder}");
        }
    }

    #[test]
    fn a_runtime_lives_in_serve_alone() {
        let with = |folder: &str| {
            let mut found = krate(folder, &[]);
            found.outside.push(("tokio".to_owned(), Kind::Normal));
            check_crates(&[found])
        };
        assert_eq!(with("serve/host"), Vec::<String>::new());
        for folder in ["engine/sandbox", "store/cas", "faces/run", "faces/judge"] {
            assert!(with(folder)[0].starts_with(&format!("{folder} → tokio:")), "{folder}");
        }
    }

    #[test]
    fn a_runtime_hidden_in_a_dependency_is_found() {
        let with = |folder: &str| {
            let mut found = krate(folder, &[]);
            found.shipped.insert("tokio".to_owned());
            check_crates(&[found])
        };
        assert_eq!(with("faces/judge"), Vec::<String>::new());
        for folder in ["engine/spec", "store/vfs", "faces/run", "faces/python"] {
            assert!(with(folder)[0].starts_with(&format!("{folder} ships tokio")), "{folder}");
        }
    }
}
