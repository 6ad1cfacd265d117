//! Makes a living sandbox with a workspace, runs `true` in it and destroys it, many times; says what each part took (medians, µs), beside a bare `true`.
//!
//! `living LAUNCHER ROUNDS [PARKED]`; a policy in `POLICY`.
#![forbid(unsafe_code)]
use std::path::Path;
use std::time::{Duration, Instant};

use enclos_sandbox::{Launcher, Stdio, Workspace, spec::Policy};

fn median(times: &mut [u128]) -> u128 {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() -> Result<(), enclos_sandbox::Error> {
    let mut args = std::env::args().skip(1);
    let launcher = args.next().expect("launcher");
    let mut number = || args.next().and_then(|n| n.parse::<usize>().ok());
    let (rounds, parked) = (number().unwrap_or(200), number().unwrap_or(0));
    let pause = std::env::var("PAUSE").ok().and_then(|ms| ms.parse().ok()).map(Duration::from_millis);
    let policy = std::env::var("POLICY").map_or_else(|_| Ok(Policy::default()), |text| Policy::from_toml(&text))?;
    let directory = std::env::temp_dir().join(format!("enclos-living-{}", std::process::id()));
    for name in ["mask", "tree", "w/upper", "w/work"] {
        std::fs::create_dir_all(directory.join(name)).expect("directories");
    }
    let launcher = Launcher::start(launcher)?;
    let workspace =
        Workspace::new(vec![directory.join("mask"), directory.join("tree")], directory.join("w/upper"), directory.join("w/work"));
    let template = launcher.living_template(&policy, Some(Path::new(Workspace::AT)))?;
    if parked > 0 {
        template.park_ahead(parked)?;
    }
    let (mut floor, mut made, mut ran, mut gone, mut all) = (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        std::process::Command::new("/bin/true").env_clear().status().expect("floor");
        floor.push(start.elapsed().as_micros());
        let start = Instant::now();
        let sandbox = template.sandbox(Some(&workspace))?;
        let made_at = start.elapsed();
        let mut command = sandbox.command("/bin/true");
        command.stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null);
        assert!(command.status()?.status.success());
        drop(command);
        let ran_at = start.elapsed();
        sandbox.destroy()?;
        let gone_at = start.elapsed();
        made.push(made_at.as_micros());
        ran.push((ran_at - made_at).as_micros());
        gone.push((gone_at - ran_at).as_micros());
        all.push(gone_at.as_micros());
        if let Some(pause) = pause {
            std::thread::sleep(pause);
        }
    }
    println!(
        "made {} ran {} destroyed {} all {}; a bare `true` {}",
        median(&mut made),
        median(&mut ran),
        median(&mut gone),
        median(&mut all),
        median(&mut floor)
    );
    drop(template);
    let _ = std::fs::remove_dir_all(directory);
    Ok(())
}
