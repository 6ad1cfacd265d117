//! From nothing: the command line tools, each started, run and waited for.

use anyhow::Result;

use crate::bubblewrap::{BUBBLEWRAP, Bubblewrap};
use crate::race::{Contender, race};
use crate::setup::{FLOOR, Setup, brisk, ends_well, quiet, works};
use crate::table::{Bound, Row};

/// P1: `enclos run` against bubblewrap with the same namespaces and mounts.
///
/// # Errors
/// When a contender fails.
pub fn run(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    const OURS: &str = "enclos run";
    let mut command = quiet(&setup.enclos);
    command.args(["run", "--report=/dev/null", "--"]).arg(&setup.noop);
    works(&mut command)?;
    let ours = Contender::timed(OURS, move || ends_well(&mut command));
    let mut contenders = [ours, Bubblewrap::debian(setup)?.contender(BUBBLEWRAP), setup.floor()];
    let race = race(&mut contenders, brisk(rounds))?;
    let what = "no-op, cold, all defaults, report";
    Ok(vec![
        Row::times("P1", what, &race, [OURS, BUBBLEWRAP], Some(Bound::AtMost(0.5)))?,
        Row::times("P1", what, &race, [OURS, FLOOR], None)?,
    ])
}

/// B1: the same bubblewrap command line under Debian's program and under ours, called by that name.
///
/// # Errors
/// When a contender fails.
pub fn front(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    const OURS: &str = "enclos as bwrap";
    let what = "no-op, cold, one bubblewrap command line";
    let link = setup.directory().join("bwrap");
    if !link.is_symlink() {
        std::os::unix::fs::symlink(&setup.enclos, &link)?;
    }
    let ours = match Bubblewrap::new(&link, setup) {
        Ok(ours) => ours.contender(OURS),
        Err(error) => return Ok(vec![Row::skipped("B1", what, &format!("{error:#}"))]),
    };
    let mut contenders = [ours, Bubblewrap::debian(setup)?.contender(BUBBLEWRAP), setup.floor()];
    let race = race(&mut contenders, brisk(rounds))?;
    Ok(vec![
        Row::times("B1", what, &race, [OURS, BUBBLEWRAP], Some(Bound::AtMost(0.5)))?,
        Row::times("B1", what, &race, [OURS, FLOOR], None)?,
    ])
}
