//! Many whole lives: how many a second, and what they leave behind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use enclos_sandbox::Template;
use enclos_sandbox::spec::Policy;
use enclos_testkit::HostState;

use crate::bubblewrap::{BUBBLEWRAP, Bubblewrap};
use crate::leftovers::cleared;
use crate::race::{Contender, Pace, race};
use crate::setup::{Setup, ends_well, quiet};
use crate::table::{Bound, Figure, Row, Unit};
use crate::warm::succeeds;

/// How many live at once.
const CONCURRENCY: usize = 8;
/// Lives that P6 counts.
const LIVES: usize = 10_000;

/// P4: lives a second, made from a template with filter, limits and meters on, until the last is destroyed.
///
/// # Errors
/// When a contender fails.
pub fn sustained(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    const OURS: &str = "template";
    const FLOOR: &str = "posix_spawn";
    const EACH: usize = 40;
    let launcher = setup.launcher()?;
    let template = launcher.template(&limited(setup)?)?;
    let ours = Contender::told(OURS, || per_job(EACH, || lives(setup, &template, EACH)));
    let mut bubblewraps = (0..CONCURRENCY).map(|_| Bubblewrap::debian(setup)).collect::<Result<Vec<_>>>()?;
    let few = EACH / 4;
    let theirs = Contender::told(BUBBLEWRAP, || {
        per_job(few, || at_once(bubblewraps.iter_mut().map(|bubblewrap| move || (0..few).try_for_each(|_| bubblewrap.run()))))
    });
    let floor = Contender::told(FLOOR, || {
        let spawn = || {
            let mut command = quiet(&setup.noop);
            (0..EACH).try_for_each(|_| ends_well(&mut command))
        };
        per_job(EACH, || at_once((0..CONCURRENCY).map(|_| spawn)))
    });
    let pace = Pace { warm_up: 2, rounds: rounds.div_ceil(15), rest: Duration::from_millis(20) };
    let race = race(&mut [ours, theirs, floor], pace)?;
    let what = "whole lives at concurrency 8, filter, limits, meters";
    Ok(vec![
        Row::rates("P4", what, &race, [OURS, BUBBLEWRAP], Some(Bound::AtLeast(5.0)))?,
        Row::rates("P4", what, &race, [OURS, FLOOR], None)?,
    ])
}

/// Limits of every kind, none of which the no-op reaches.
fn limited(setup: &Setup) -> Result<Policy> {
    let text = "memory = \"256M\"\nprocesses = 64\nwall = \"10s\"\ncpu = \"10s\"\n";
    Ok(Policy { current_directory: setup.policy().current_directory, ..Policy::from_toml(text)? })
}

/// `each` lives in every one of the threads, until all is cleared away.
fn lives(setup: &Setup, template: &Template, each: usize) -> Result<()> {
    let life = || (0..each).try_for_each(|_| succeeds(template.command(&setup.noop)));
    at_once((0..CONCURRENCY).map(|_| life))?;
    cleared(0)
}

/// Runs each in a thread of its own.
fn at_once(jobs: impl Iterator<Item = impl FnOnce() -> Result<()> + Send>) -> Result<()> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = jobs.map(|job| scope.spawn(job)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}

/// Nanoseconds per job, of `each` jobs in every thread.
fn per_job(each: usize, run: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    run()?;
    Ok(started.elapsed().as_nanos() as f64 / (each * CONCURRENCY) as f64)
}

/// P6: ten thousand lives, and the host as it was. Counts are the whole host's: nothing else should start or end meanwhile.
///
/// # Errors
/// When a life fails.
pub fn leave_nothing(setup: &Setup, _rounds: usize) -> Result<Vec<Row>> {
    // What the process itself makes once (threads' stacks, cached descriptors) is no leftover.
    let once = |each| -> Result<()> {
        let launcher = setup.launcher()?;
        let template = launcher.template(&limited(setup)?)?;
        lives(setup, &template, each)
    };
    once(1)?;
    let before = Host::take(setup);
    once(LIVES / CONCURRENCY).context("ten thousand lives")?;
    let started = Instant::now();
    let more = loop {
        let more = Host::take(setup).since(&before);
        if more.is_empty() || started.elapsed() > Duration::from_secs(15) {
            break more;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    let what = "10 000 lives: what is left (processes, groups, mounts, files, …)";
    let row = Row::alone("P6", what, Figure::exactly("left", Unit::Count, more.len() as f64), Some(Bound::AtMost(0.0)));
    Ok(vec![if more.is_empty() { row } else { row.noting(more.join(", ")) }])
}

/// The host at a moment: how many there are of each kind of thing, and by name what carries a mark of ours.
struct Host {
    counts: BTreeMap<&'static str, usize>,
    named: HostState,
}

impl Host {
    fn take(setup: &Setup) -> Host {
        let mark = setup.directory().to_string_lossy();
        let mut counts = HostState::counts();
        // Anybody may write there; what is ours is told by name.
        counts.remove("files");
        Host { counts, named: HostState::take(&mark) }
    }

    fn since(&self, before: &Host) -> Vec<String> {
        let more = |kind: &&'static str| self.counts[*kind].checked_sub(*before.counts.get(*kind).unwrap_or(&0)).filter(|more| *more > 0);
        let counted = self.counts.keys().filter_map(|kind| Some(format!("{} {kind}", more(kind)?)));
        counted.chain(self.named.since(&before.named)).collect()
    }
}
