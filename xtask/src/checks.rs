//! `cargo xtask layers`, `invariants` and `check`: what the tree promises about itself.

use anyhow::{Result, bail};

use crate::tally::Tally;
use crate::workspace::Workspace;
use crate::{child_check, docs_check, layers, purity, tree_check, unsafe_check};

/// One promise.
struct Check {
    name: &'static str,
    run: fn(&Workspace) -> Result<Vec<String>>,
}

const LAYERS: Check = Check { name: "layers", run: |workspace| Ok(layers::check(workspace)) };

const INVARIANTS: [Check; 8] = [
    Check { name: "unsafe", run: unsafe_check::check },
    Check { name: "child", run: child_check::check },
    Check { name: "purity", run: purity::check },
    Check { name: "sizes", run: sizes },
    Check { name: "names", run: tree_check::names },
    Check { name: "forgotten", run: tree_check::forgotten },
    Check { name: "specification", run: docs_check::specification },
    Check { name: "security", run: docs_check::security },
];

/// Every check; prints each finding.
///
/// # Errors
/// When a file cannot be read.
pub fn run(workspace: &Workspace) -> Result<Tally> {
    run_some(workspace, std::iter::once(&LAYERS).chain(&INVARIANTS))
}

/// `cargo xtask layers|invariants|check [NAME…]`. Whether all held.
///
/// # Errors
/// On an unknown name, or when a file cannot be read.
pub fn command(which: &str, names: &[String]) -> Result<bool> {
    let workspace = Workspace::load()?;
    let checks: Vec<&Check> = match which {
        "layers" => vec![&LAYERS],
        "invariants" => INVARIANTS.iter().collect(),
        _ => std::iter::once(&LAYERS).chain(&INVARIANTS).collect(),
    };
    if let Some(unknown) = names.iter().find(|name| checks.iter().all(|check| check.name != name.as_str())) {
        bail!("unknown check {unknown}; known are {}", checks.iter().map(|c| c.name).collect::<Vec<_>>().join(", "));
    }
    let chosen = checks.into_iter().filter(|check| names.is_empty() || names.iter().any(|name| name == check.name));
    let tally = run_some(&workspace, chosen)?;
    println!("{tally}");
    Ok(tally.is_success())
}

fn run_some<'a>(workspace: &Workspace, checks: impl Iterator<Item = &'a Check>) -> Result<Tally> {
    let mut total = Tally::default();
    for check in checks {
        let findings = (check.run)(workspace)?;
        println!("  {} {}", if findings.is_empty() { "held  " } else { "BROKEN" }, check.name);
        findings.iter().for_each(|finding| println!("    {finding}"));
        total += Tally::one(findings.is_empty());
    }
    Ok(total)
}

fn sizes(workspace: &Workspace) -> Result<Vec<String>> {
    let sizes = tree_check::sizes(workspace)?;
    sizes.warnings.iter().for_each(|warning| println!("    note: {warning}"));
    Ok(sizes.failures)
}
