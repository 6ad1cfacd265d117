//! What the life of a workspace costs its store: made, shown, removed; medians in microseconds, and how long others wait for an answer meanwhile.
//!
//! `cargo run --release -p enclos-vfs --example lives [DIRECTORY]`

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use enclos_cas::Quota;
use enclos_vfs::{By, Limits, Ownership, Preset, Rules, TreePath, Vfs, VfsError};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, Into::into).join(format!("enclos-lives-{}", std::process::id()));
    let measured = measure(&root);
    std::fs::remove_dir_all(&root)?;
    Ok(measured?)
}

fn measure(root: &std::path::Path) -> Result<(), VfsError> {
    let vfs = Vfs::open(root, Quota::default(), Limits::default())?;
    let codebase = vfs.create_codebase("lives", "measure", 0)?.id;
    for n in 0..20 {
        let by = By { author: "measure", now: 0 };
        vfs.upload(&codebase, &TreePath::parse(format!("d{n}/f"))?, &b"content"[..], 0o644, None, by)?;
    }
    let rules = Rules::new(&Preset::AgentSafe.rules())?;
    let ownership = if rustix::process::geteuid().is_root() { Ownership::USUAL } else { Ownership::One };
    let life = || -> Result<[f64; 4], VfsError> {
        let begun = Instant::now();
        let id = vfs.create_workspace(&codebase, None, 0)?.id;
        let made = begun.elapsed();
        vfs.layers(&id, &rules, ownership)?;
        let shown = begun.elapsed();
        let left = vfs.delete_workspace(&id)?;
        let gone = begun.elapsed();
        left.remove()?;
        Ok([made, shown - made, gone - shown, begun.elapsed() - gone].map(|time| time.as_secs_f64() * 1e6))
    };
    life()?;
    let lives = (0..1000).map(|_| life()).collect::<Result<Vec<_>, _>>()?;
    let median = |which: usize| sorted(lives.iter().map(|life| life[which]).collect())[lives.len() / 2];
    let whole = sorted(lives.iter().map(|life| life[..3].iter().sum()).collect())[lives.len() / 2];
    println!(
        "create {:.0} us, layers {:.0} us, delete {:.0} us: {whole:.0} us; the rest {:.0} us",
        median(0),
        median(1),
        median(2),
        median(3)
    );
    let stop = AtomicBool::new(false);
    let mut waits = Vec::new();
    std::thread::scope(|scope| -> Result<(), VfsError> {
        let churn: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| -> Result<(), VfsError> {
                    while !stop.load(Ordering::Relaxed) {
                        life()?;
                    }
                    Ok(())
                })
            })
            .collect();
        let known = vfs.create_workspace(&codebase, None, 0)?.id;
        for _ in 0..2000 {
            let begun = Instant::now();
            vfs.workspace(&known)?;
            waits.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        stop.store(true, Ordering::Relaxed);
        churn.into_iter().try_for_each(|thread| thread.join().unwrap_or(Ok(())))
    })?;
    let waits = sorted(waits);
    println!(
        "an answer beside 8 threads of lives: median {:.0} us, 99th of 100 {:.0} us, worst {:.0} us",
        waits[1000], waits[1980], waits[1999]
    );
    Ok(())
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}
