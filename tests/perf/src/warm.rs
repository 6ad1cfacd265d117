//! From a template: made for the request, or parked ahead of it.

use anyhow::{Result, ensure};
use enclos_sandbox::{Command, Pool, Stdio};

use crate::bubblewrap::{BUBBLEWRAP, Bubblewrap};
use crate::leftovers::cleared;
use crate::race::{Contender, race};
use crate::setup::{FLOOR, Setup, brisk};
use crate::table::{Bound, Row};

/// P2: one sandbox made from a warm template, its command run and reaped, its report read.
///
/// # Errors
/// When a contender fails.
pub fn template(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    const OURS: &str = "template";
    let launcher = setup.launcher()?;
    let template = launcher.template(&setup.policy())?;
    let noop = setup.noop.clone();
    // The one before is destroyed off the request's path; its slot must be free again, or a new slot would be measured.
    let ours = Contender::timed(OURS, || succeeds(template.command(&noop))).after(|| cleared(0));
    let mut contenders = [ours, setup.floor(), Bubblewrap::debian(setup)?.contender(BUBBLEWRAP)];
    let race = race(&mut contenders, brisk(rounds))?;
    let what = "no-op, fresh sandbox of a warm template";
    Ok(vec![
        Row::times("P2", what, &race, [OURS, FLOOR], Some(Bound::AtMost(2.5)))?,
        Row::times("P2", what, &race, [OURS, BUBBLEWRAP], Some(Bound::AtMost(0.12)))?,
    ])
}

/// P3: from a request to a parked sandbox to the command's exit status.
///
/// # Errors
/// When a contender fails.
pub fn parked(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    const OURS: &str = "parked";
    let launcher = setup.launcher()?;
    let template = launcher.template(&setup.policy())?;
    let pool = Pool::new(template, 1)?;
    let noop = setup.noop.clone();
    let refill = || {
        // Only what is parked may be left.
        cleared(pool.parked())?;
        pool.refill()?;
        ensure!(pool.parked() == 1, "nothing is parked");
        Ok(())
    };
    let ours = Contender::timed(OURS, || succeeds(pool.command(&noop))).after(refill);
    let mut contenders = [ours, setup.floor()];
    let race = race(&mut contenders, brisk(rounds))?;
    Ok(vec![Row::times("P3", "no-op, parked sandbox, request → status", &race, [OURS, FLOOR], Some(Bound::AtMost(1.35)))?])
}

/// Runs a command without streams.
///
/// # Errors
/// When it does not end with 0.
pub fn succeeds(mut command: Command) -> Result<()> {
    let outcome = command.stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null).status()?;
    ensure!(outcome.status.success(), "ended with {}: {:?}", outcome.status, outcome.report.verdict);
    Ok(())
}
