use std::io::Read;
use std::time::{Duration, Instant};

use enclos_sandbox::spec::{Policy, Verdict};
use enclos_sandbox::{Launcher, Pool, Stdio};

/// The launcher of these tests: an example of this crate, built beside them.
pub fn launcher() -> Launcher {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/launch");
    assert!(program.is_file(), "{} is missing: cargo build -p enclos-sandbox --examples", program.display());
    Launcher::start(program).unwrap()
}

#[test]
fn a_template_serves_one_fresh_sandbox_after_another() {
    let launcher = launcher();
    let template = launcher.template(&Policy::default()).unwrap();
    for round in 0..5 {
        let script = format!("ls /tmp; echo {round} > /tmp/x; id -u; hostname; exit {round}");
        let output = template.command("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "1000\nenclos\n");
        assert_eq!(output.status.code(), Some(round));
    }
}

#[test]
fn a_warm_sandbox_has_every_layer_of_a_cold_one() {
    let launcher = launcher();
    let template = launcher.template(&Policy::default()).unwrap();
    let show = "grep -E 'Cap|NoNewPrivs|Seccomp:' /proc/self/status; ls /..; cat /proc/self/cgroup; ls /proc/1 /.enclos 2>&1; unshare -U true 2>&1; echo x > /usr/x";
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let warm = text(&template.command("sh").args(["-c", show]).output().unwrap().stdout);
    let cold = text(&enclos_sandbox::Command::new("sh").args(["-c", show]).output().unwrap().stdout);
    assert!(warm.contains("Seccomp:\t2") && warm.contains("CapBnd:\t0000000000000000"), "{warm}");
    let strip = |s: &str| s.lines().filter(|l| !l.contains(".enclos")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(strip(&warm), strip(&cold));
}

#[test]
fn limits_hold_in_warm_sandboxes() {
    let launcher = launcher();
    let policy = Policy::from_toml("wall = '300ms'\noutput = '100B'\ndisk = '1M'").unwrap();
    let template = launcher.template(&policy).unwrap();
    assert_eq!(template.command("sleep").arg("9").output().unwrap().report.verdict, Verdict::Idleness);
    assert_eq!(template.command("yes").output().unwrap().report.verdict, Verdict::OutputLimit);
    let fill = ["if=/dev/zero", "of=/tmp/x", "status=none"];
    assert_eq!(template.command("dd").args(fill).output().unwrap().report.verdict, Verdict::DiskLimit);
}

#[test]
fn parked_sandboxes_answer_in_any_number() {
    let launcher = launcher();
    let pool = Pool::new(launcher.template(&Policy::default()).unwrap(), 3).unwrap();
    assert_eq!(pool.parked(), 3);
    for round in 0..6 {
        assert_eq!(pool.command("echo").arg(round.to_string()).output().unwrap().stdout, format!("{round}\n").into_bytes());
    }
    pool.refill().unwrap();
    assert_eq!(pool.parked(), 3);
    assert_eq!(pool.command("no-such-command").output().unwrap_err().exit_code(), 127);
}

#[test]
fn several_at_once_never_mix() {
    let launcher = launcher();
    let template = launcher.template(&Policy::default()).unwrap();
    let threads: Vec<_> = (0..6)
        .map(|worker| {
            let template = template.clone();
            std::thread::spawn(move || {
                for round in 0..5 {
                    let word = format!("{worker}-{round}");
                    assert_eq!(template.command("echo").arg(&word).output().unwrap().stdout, format!("{word}\n").into_bytes());
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn what_a_template_cannot_hold_is_refused_by_name() {
    let launcher = launcher();
    let policy = Policy::from_toml("overlay = ['/usr/share']").unwrap();
    assert!(launcher.template(&policy).unwrap_err().to_string().contains("/usr/share"));
    let policy = Policy::from_toml("ro = ['/no/such']").unwrap();
    assert!(launcher.template(&policy).unwrap_err().to_string().contains("/no/such"));
}

#[test]
fn files_for_streams_are_refused_where_many_commands_run() {
    for field in ["stdin", "stdout", "stderr"] {
        let policy = Policy::from_toml(&format!("{field} = \"/dev/null\"")).unwrap();
        let told = launcher().template(&policy).unwrap_err().to_string();
        assert!(told.contains(field) && told.contains("Stdio"), "{told}");
        assert!(enclos_sandbox::Sandbox::create(&policy).is_err());
    }
}

/// The caller's own copy of the lease is gone with it; what lives on must keep the ids.
#[test]
fn the_ids_of_a_warm_sandbox_are_held_by_the_sandbox() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIP: the_ids_of_a_warm_sandbox_are_held_by_the_sandbox: only root's sandboxes have leased ids");
        return;
    }
    let launcher = launcher();
    let template = launcher.template(&Policy::default()).unwrap();
    let mut child = template.command("sh").args(["-c", "echo up; sleep 20"]).stdout(Stdio::Piped).spawn().unwrap();
    let mut up = [0; 3];
    child.stdout.as_mut().unwrap().read_exact(&mut up).unwrap();
    // Init closes what is not its own while the command starts.
    std::thread::sleep(Duration::from_millis(300));
    let init = child.id();
    let holds = |pid: u32| {
        let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        entries.flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok()).any(|to| to.ends_with("enclos/ids"))
    };
    assert!(holds(init), "init holds no lease");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn everything_dies_with_the_launcher() {
    let launcher = launcher();
    let template = launcher.template(&Policy::default()).unwrap();
    let mut child = template.command("sleep").arg("60").spawn().unwrap();
    let pid = child.id();
    std::thread::sleep(Duration::from_millis(50));
    assert!(std::path::Path::new(&format!("/proc/{pid}")).exists());
    let killed = std::process::Command::new("kill").args(["-9", &launcher.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().is_err());
    let start = Instant::now();
    while std::path::Path::new(&format!("/proc/{pid}")).exists() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn nothing_stays_of_slots_that_have_ended_though_nobody_asks_for_another() {
    let launcher = launcher();
    let template = launcher.template(&Policy::default()).unwrap();
    template.park(3).unwrap();
    let children = || {
        let task = format!("/proc/{0}/task/{0}/children", launcher.id());
        std::fs::read_to_string(task).map(|text| text.split_ascii_whitespace().count())
    };
    match children() {
        Err(error) => return println!("SKIP: nothing_stays_of_slots_that_have_ended_though_nobody_asks_for_another: {error}"),
        Ok(count) => assert!(count >= 3, "{count}"),
    }
    drop(template);
    let start = Instant::now();
    while children().unwrap() > 0 {
        assert!(start.elapsed() < Duration::from_secs(20), "{} left", children().unwrap());
        std::thread::sleep(Duration::from_millis(20));
    }
}
