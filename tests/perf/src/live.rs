//! P5: what sandboxes cost that wait.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use enclos_sandbox::{Launcher, Template};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::leftovers::cleared;
use crate::race::Quartiles;
use crate::setup::Setup;
use crate::table::{Bound, Figure, Row, Unit};
use crate::warm::succeeds;

/// How many live at once, by promise.
const MANY: usize = 2_000;
/// How many when the memory of one is weighed: shared pages are divided by few, which is to our disadvantage.
const FEW: usize = 8;
/// Descriptors of this process beside those of parked sandboxes, with room to spare.
const OTHER_DESCRIPTORS: u64 = 128;
/// Processes of one: slot, init, parked command.
const PROCESSES_EACH: usize = 3;
/// Memory of one in the kernel and outside it, with room to spare, in KiB.
const MEMORY_EACH_KIB: usize = 2_048;

/// Memory of a parked sandbox, and two thousand of them at once.
///
/// # Errors
/// When a sandbox fails.
pub fn parked(setup: &Setup, _rounds: usize) -> Result<Vec<Row>> {
    let launcher = setup.launcher()?;
    let template = launcher.template(&setup.policy())?;
    // The first slot is there already.
    let open = open_descriptors()?;
    template.park(FEW)?;
    let each = (open_descriptors()?.saturating_sub(open)).div_ceil(FEW as u64 - 1);
    let few = Weight::of(&launcher)?;
    ensure!(few.sandbox.len() == FEW, "{} sandboxes found, {FEW} are parked", few.sandbox.len());
    let mut rows = vec![
        memory("parked sandbox: init and command, 8 alive", &few.sandbox, Some(Bound::AtMost(300.0))),
        memory("its slot, 8 alive", &few.slot, None),
    ];
    use_up(setup, &template)?;
    drop((template, launcher));
    rows.extend(many(setup, each)?);
    Ok(rows)
}

fn memory(what: &str, values: &[f64], promise: Option<Bound>) -> Row {
    Row::alone("P5", what, Figure { name: "PSS".to_owned(), unit: Unit::Kibibytes, value: Quartiles::of(values) }, promise)
}

/// `descriptors`: how many a parked sandbox keeps open in this process.
fn many(setup: &Setup, descriptors: u64) -> Result<Vec<Row>> {
    let what = "parked sandboxes that live at once and then run a command";
    if let Err(lack) = room(descriptors) {
        return Ok(vec![Row::skipped("P5", what, &format!("{lack:#}"))]);
    }
    let launcher = setup.launcher()?;
    let template = launcher.template(&setup.policy())?;
    template.park(MANY)?;
    let all = Weight::of(&launcher)?;
    let alive = all.sandbox.len();
    let ran = use_up(setup, &template)?;
    let count = Figure::exactly("alive and answering", Unit::Count, alive.min(ran) as f64);
    Ok(vec![
        Row::alone("P5", what, count, Some(Bound::AtLeast(MANY as f64))),
        memory("parked sandbox: init and command, 2000 alive", &all.sandbox, None),
        memory("its slot, 2000 alive", &all.slot, None),
    ])
}

/// Runs a command in everything that is parked; gives how many there were.
fn use_up(setup: &Setup, template: &Template) -> Result<usize> {
    let mut ran = 0;
    while template.parked() > 0 {
        succeeds(template.command(&setup.noop))?;
        ran += 1;
    }
    cleared(0)?;
    Ok(ran)
}

fn open_descriptors() -> Result<u64> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count() as u64)
}

/// Whether this machine has room for so many.
fn room(descriptors: u64) -> Result<()> {
    let wanted = MANY as u64 * descriptors + OTHER_DESCRIPTORS;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        // The launcher inherits it.
        let raised = Rlimit { current: Some(wanted), maximum: limit.maximum.map(|maximum| maximum.max(wanted)) };
        setrlimit(Resource::Nofile, raised)
            .with_context(|| format!("{wanted} open files are needed, {descriptors} for each sandbox (ulimit -Hn)"))?;
    }
    let number = |path: &str| -> Result<usize> { std::fs::read_to_string(path)?.trim().parse().context(path.to_owned()) };
    let processes = MANY * PROCESSES_EACH;
    ensure!(number("/proc/sys/kernel/pid_max")? > processes * 2, "{processes} processes are needed (sysctl kernel.pid_max)");
    for kind in ["user", "net", "mnt", "pid"] {
        let path = format!("/proc/sys/user/max_{kind}_namespaces");
        ensure!(number(&path)? > MANY * 3, "{} namespaces are needed (sysctl user.max_{kind}_namespaces)", MANY * 3);
    }
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let available = field(&text, "MemAvailable:").context("/proc/meminfo has no MemAvailable")?;
    ensure!(available > (MANY * MEMORY_EACH_KIB) as f64, "{} MiB of memory are needed", MANY * MEMORY_EACH_KIB / 1024);
    Ok(())
}

/// Proportional set sizes in KiB.
struct Weight {
    sandbox: Vec<f64>,
    slot: Vec<f64>,
}

impl Weight {
    /// Of every sandbox below a launcher: launcher → slots → init → parked command.
    fn of(launcher: &Launcher) -> Result<Weight> {
        let mut weight = Weight { sandbox: Vec::new(), slot: Vec::new() };
        for slot in children(launcher.id())? {
            weight.slot.push(pss(slot)?);
            for init in children(slot)? {
                // The parked command is made with CLONE_VM: its memory is init's, and counting both would count it twice.
                ensure!(!children(init)?.is_empty(), "no command is parked below process {init}");
                weight.sandbox.push(pss(init)?);
            }
        }
        Ok(weight)
    }
}

fn children(pid: u32) -> Result<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    text.split_whitespace().map(|word| word.parse().with_context(|| path.clone())).collect()
}

fn pss(pid: u32) -> Result<f64> {
    let path = Path::new("/proc").join(pid.to_string()).join("smaps_rollup");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    field(&text, "Pss:").with_context(|| format!("{}: no Pss", path.display()))
}

/// The number after a name, as in `/proc/meminfo`.
fn field(text: &str, name: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "Pss_Dirty:  3 kB\nPss:        12 kB\n";
        assert_eq!((field(text, "Pss:"), field(text, "Rss:")), (Some(12.0), None));
    }
}
