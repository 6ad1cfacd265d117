//! What no single run shows: the same again and again while somebody interferes. Ours alone: what the incumbent does is a matter of luck.

use enclos_testkit::Who;

use crate::judge::run;
use crate::place::Place;
use crate::programs;

/// Runs a script that prints what went wrong.
fn silent(name: &str, who: Who, script: &str) -> Result<(), String> {
    let Some(ours) = programs::ours() else { return Ok(()) };
    if !Who::all_here().contains(&who) {
        return Ok(());
    }
    let place = Place::new(&format!("race-{name}-{}", who.word()), who, &ours).map_err(|e| e.to_string())?;
    let (seen, _) = run(&place, script)?;
    if seen.out.is_empty() && seen.status == Some(0) { Ok(()) } else { Err(format!("{seen:?}")) }
}

/// A directory on the way to a destination becomes a link to the host, and a directory again, all the time (CVE-2026-87766, and every fix of it that looks first
/// and acts later).
///
/// # Errors
/// What was made outside, or how the script ended.
pub fn destination(who: Who) -> Result<(), String> {
    silent("destination", who, include_str!("../tests/scripts/destination.sh"))
}

/// The parent ends at any moment from the first system call of ours on; nothing of the sandbox outlives it.
///
/// # Errors
/// What lives on.
pub fn parent(who: Who) -> Result<(), String> {
    silent("parent", who, include_str!("../tests/scripts/parent.sh"))
}
