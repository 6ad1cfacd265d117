//! Runs a command many times: cold, warm from a template, parked.
#![forbid(unsafe_code)]
use std::time::Instant;

use enclos_sandbox::{Command, Launcher, Pool, Sandbox, Stdio, spec::Policy};

fn median(mut times: Vec<u128>) -> u128 {
    times.sort_unstable();
    times[times.len() / 2]
}

fn main() -> Result<(), enclos_sandbox::Error> {
    let mut args = std::env::args().skip(1);
    let (launcher, program) = (args.next().expect("enclos binary"), args.next().expect("program"));
    let rounds: usize = args.next().and_then(|n| n.parse().ok()).unwrap_or(300);
    let launcher = Launcher::start(launcher)?;
    let directory = std::path::Path::new(&program).parent().expect("a path").to_owned();
    let policy = Policy { ro: vec![directory], ..Policy::default() };
    let template = launcher.template(&policy)?;
    let pool = Pool::new(template.clone(), 1)?;
    let sandbox = Sandbox::create(&policy)?;
    let quiet = |command: &mut Command| {
        command.stdin(Stdio::Null).stdout(Stdio::Null).stderr(Stdio::Null);
    };
    let (mut cold, mut warm, mut parked, mut living, mut floor) = (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..rounds {
        let start = Instant::now();
        std::process::Command::new(&program).env_clear().status().expect("floor");
        floor.push(start.elapsed().as_micros());
        let mut command = Command::new(&program);
        quiet(command.policy(&policy));
        let start = Instant::now();
        assert!(command.status()?.status.success());
        cold.push(start.elapsed().as_micros());
        let mut command = sandbox.command(&program);
        quiet(&mut command);
        let start = Instant::now();
        assert!(command.status()?.status.success());
        living.push(start.elapsed().as_micros());
        let mut command = pool.command(&program);
        quiet(&mut command);
        let start = Instant::now();
        assert!(command.status()?.status.success());
        parked.push(start.elapsed().as_micros());
        std::thread::sleep(std::time::Duration::from_millis(2));
        let mut command = template.command(&program);
        quiet(&mut command);
        let start = Instant::now();
        assert!(command.status()?.status.success());
        warm.push(start.elapsed().as_micros());
        std::thread::sleep(std::time::Duration::from_millis(2));
        pool.refill()?;
    }
    println!("floor {} cold {} warm {} parked {} living {}", median(floor), median(cold), median(warm), median(parked), median(living));
    Ok(())
}
