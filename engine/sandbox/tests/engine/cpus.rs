//! CPUs that are chosen for one command of a template.

use enclos_sandbox::spec::Policy;
use enclos_sandbox::{Command, Template, can_choose_cpus};

use super::warm::launcher;

/// The CPUs this process may use, if there are two at least and one of them can be chosen; says so if not.
fn usable(test: &str) -> Option<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None).unwrap();
    let all: Vec<usize> = (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).collect();
    let lacks = can_choose_cpus().err().map(|error| error.to_string()).or_else(|| (all.len() < 2).then(|| "one CPU alone".to_owned()));
    match lacks {
        None => Some(all),
        Some(why) => {
            println!("SKIP: {test}: {why}");
            None
        }
    }
}

fn listed(cpus: &[usize]) -> String {
    cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
}

fn template_on(cpus: &[usize]) -> Template {
    launcher().template(&Policy::from_toml(&format!("cpus = '{}'", listed(cpus))).unwrap()).unwrap()
}

const WHERE: &str = "grep Cpus_allowed_list /proc/self/status; (setsid sh -c 'grep Cpus_allowed_list /proc/self/status' &) ; sleep 0.1";

#[test]
fn a_command_and_all_it_starts_are_where_it_was_put() {
    let Some(all) = usable("a_command_and_all_it_starts_are_where_it_was_put") else { return };
    let template = template_on(&all);
    template.park(1).unwrap();
    // The first is parked, the others are made when they are wanted.
    for cpu in [all[0], all[1], all[0]] {
        let output = template.command("sh").args(["-c", WHERE]).cpus(&[cpu]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let seen: Vec<&str> = text.lines().filter_map(|line| line.rsplit(':').next()).map(str::trim).collect();
        assert_eq!(seen, vec![cpu.to_string(); 2], "{text}");
    }
    let output = template.command("nproc").output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), all.len().to_string(), "without a choice it has all");
}

#[test]
fn nobody_inside_leaves_the_cpu_it_was_put_on() {
    let Some(all) = usable("nobody_inside_leaves_the_cpu_it_was_put_on") else { return };
    let template = template_on(&all);
    let tries = format!(
        "import os\nfor pid in (0, 1):\n try: os.sched_setaffinity(pid, {{{}}}); print('left')\n except PermissionError: print('kept')\nprint(len(os.sched_getaffinity(0)), len(os.sched_getaffinity(1)))",
        listed(&all)
    );
    let output = template.command("python3").args(["-c", &tries]).cpus(&all[1..2]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "kept\nkept\n1 1\n", "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_choice_that_would_not_hold_is_refused_by_name() {
    let Some(all) = usable("a_choice_that_would_not_hold_is_refused_by_name") else { return };
    let template = template_on(&all[..1]);
    let error = template.command("true").cpus(&all[1..2]).output().unwrap_err().to_string();
    assert!(error.contains("cpus") && error.contains(&all[1].to_string()), "{error}");
    let unfixed = launcher().template(&Policy::default()).unwrap();
    let error = unfixed.command("true").cpus(&all[..1]).output().unwrap_err().to_string();
    assert!(error.contains("cpus"), "{error}");
    let error = Command::new("true").cpus(&all[..1]).output().unwrap_err().to_string();
    assert!(error.contains("only a command of a template"), "{error}");
    assert_eq!(
        template.command("echo").arg("x").cpus(&all[..1]).output().unwrap().stdout,
        b"x\n",
        "nothing is held up by what was refused"
    );
}
