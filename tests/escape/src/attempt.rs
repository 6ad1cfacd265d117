//! What an attempt is, and the stage it is tried on.

use std::path::Path;

use enclos_spec::Verdict;
use enclos_testkit::{HostState, Outcome, Run, Wall, Who, World};

/// One way out.
#[derive(Clone, Copy, Debug)]
pub struct Attempt {
    /// Name of the test.
    pub name: &'static str,
    /// Where the threat comes from.
    pub threat: &'static str,
    /// What should be seen, for the table.
    pub expected: &'static str,
    /// How the attempt is shown to notice an escape.
    pub control: Control,
    /// The try.
    pub attempt: fn(&Stage) -> Seen,
}

/// The wall of the control run, in which the attempt must succeed.
#[derive(Clone, Copy, Debug)]
pub enum Control {
    /// New namespaces with full rights in them.
    Weak,
    /// No wall, as root; only for attempts that do no harm.
    Open,
    /// No wall, as an ordinary user.
    OpenAsUser,
    /// None: why there is none.
    Without(&'static str),
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The wall held; how.
    Held(String),
    /// It did not; what got through.
    Escaped(String),
    /// This host cannot show it; why.
    Cannot(String),
}

/// A world, a wall, and the host as it was.
#[derive(Debug)]
pub struct Stage {
    /// The world.
    pub world: World,
    /// What stands between the probe and the host.
    pub wall: Wall,
    before: HostState,
}

impl Stage {
    /// A stage for one try.
    ///
    /// # Errors
    /// Why the probe cannot be had.
    pub fn new(who: Who, wall: Wall) -> Result<Stage, String> {
        let world = World::new(who);
        world.install_probe()?;
        let before = HostState::take(&world.mark);
        Ok(Stage { world, wall, before })
    }

    /// A run behind this stage's wall.
    #[must_use]
    pub fn run<'s>(&'s self, flags: &[&str]) -> Run<'s> {
        Run::new(&self.world).wall(self.wall).flags(flags.iter().copied())
    }

    /// The probe behind this stage's wall; its processes carry the world's mark.
    #[must_use]
    pub fn probe(&self, flags: &[&str], arguments: &[&str]) -> Outcome {
        let mark = format!("mark={}", self.world.mark);
        let mut arguments = arguments.to_vec();
        arguments.push(&mark);
        self.run(flags).probe(&arguments).output()
    }

    /// Whether the real wall is tried.
    #[must_use]
    pub fn is_real(&self) -> bool {
        self.wall == Wall::Enclos
    }

    /// Tries system calls; held if each is answered with `EPERM` or `ENOSYS`.
    #[must_use]
    pub fn calls(&self, flags: &[&str], names: &[&str]) -> Seen {
        self.calls_answered(flags, names, &["EPERM", "ENOSYS"])
    }

    /// Tries system calls; held if each is answered with one of `errors`.
    #[must_use]
    pub fn calls_answered(&self, flags: &[&str], names: &[&str], errors: &[&str]) -> Seen {
        let mut arguments = vec!["call"];
        arguments.extend(names);
        let outcome = self.probe(flags, &arguments);
        if !self.is_real() && outcome.tries().iter().all(|(_, result)| result == "ENOSYS" || result == "EAFNOSUPPORT") {
            return Seen::Cannot("this kernel has none of these calls".to_owned());
        }
        tries_among(&outcome, names.len(), errors)
    }

    /// What `outcome` means for a limit that only a cgroup controller can enforce: refused by name where there is none.
    /// `None`: the run took place and must be judged.
    #[must_use]
    pub fn refused_limit(&self, outcome: &Outcome, controller: &str) -> Option<Seen> {
        if !self.is_real() || outcome.code != Some(125) {
            return None;
        }
        let message = outcome.err();
        let can = self.world.who == Who::Root && has_controller(controller);
        Some(if can {
            Seen::Escaped(format!("refused, though this host can: {}", message.trim()))
        } else if message.lines().count() == 1 && message.contains(controller) && outcome.stdout.is_empty() {
            Seen::Held(format!("refused by name: {}", message.trim()))
        } else {
            Seen::Escaped(format!("neither enforced nor refused in one line that names {controller}: {}", message.trim()))
        })
    }

    /// What the host still holds of this stage that it did not hold before.
    ///
    /// # Errors
    /// Each thing left, as a line.
    pub fn settled(&self) -> Result<(), Vec<String>> {
        self.before.settled(&self.world.mark)
    }
}

/// Whether some hierarchy of this host has the cgroup controller.
#[must_use]
pub fn has_controller(name: &str) -> bool {
    let v2 = ["/sys/fs/cgroup/cgroup.controllers", "/sys/fs/cgroup/unified/cgroup.controllers"];
    let listed = |path: &&'static str| std::fs::read_to_string(path).is_ok_and(|text| text.split_whitespace().any(|word| word == name));
    Path::new("/sys/fs/cgroup").join(name).is_dir() || v2.iter().any(listed)
}

/// Held if all `count` tries are there and each ended in one of `results`.
#[must_use]
pub fn tries_among(outcome: &Outcome, count: usize, results: &[&str]) -> Seen {
    let tries = outcome.tries();
    if tries.len() < count {
        return Seen::Escaped(format!("{} of {count} tries were told: {}", tries.len(), outcome.describe()));
    }
    let through: Vec<String> = tries.iter().filter(|(_, r)| !results.contains(&r.as_str())).map(|(w, r)| format!("{w} = {r}")).collect();
    if through.is_empty() {
        let mut seen: Vec<&str> = tries.iter().map(|(_, result)| result.as_str()).collect();
        seen.sort_unstable();
        seen.dedup();
        Seen::Held(seen.join(", "))
    } else {
        Seen::Escaped(through.join(", "))
    }
}

/// Held if all `count` tries are there and none succeeded, whatever the errno.
#[must_use]
pub fn none_succeeded(outcome: &Outcome, count: usize) -> Seen {
    let tries = outcome.tries();
    let through: Vec<String> = tries.iter().filter(|(_, r)| r.starts_with("ok")).map(|(w, r)| format!("{w} = {r}")).collect();
    if tries.len() < count {
        return Seen::Escaped(format!("{} of {count} tries were told: {}", tries.len(), outcome.describe()));
    }
    held_if(through.is_empty(), if through.is_empty() { format!("all {count} refused") } else { through.join(", ") })
}

/// Held if the verdict is one of these and the run was not stuck.
#[must_use]
pub fn verdict_among(outcome: &Outcome, verdicts: &[Verdict]) -> Seen {
    if outcome.stuck || !verdicts.contains(&outcome.verdict()) {
        return Seen::Escaped(outcome.describe());
    }
    let evidence = outcome.report.as_ref().and_then(|report| report.evidence.clone());
    Seen::Held(evidence.map_or_else(|| outcome.verdict().to_string(), |text| format!("{}: {text}", outcome.verdict())))
}

/// Held if `condition`; `seen` is told either way.
#[must_use]
pub fn held_if(condition: bool, seen: impl Into<String>) -> Seen {
    if condition { Seen::Held(seen.into()) } else { Seen::Escaped(seen.into()) }
}

impl Seen {
    /// This, unless it held: then the next decides.
    #[must_use]
    pub fn and(self, next: impl FnOnce() -> Seen) -> Seen {
        match self {
            Seen::Held(first) => match next() {
                Seen::Held(second) => Seen::Held(if first.is_empty() { second } else { format!("{first}; {second}") }),
                other => other,
            },
            other => other,
        }
    }
}
