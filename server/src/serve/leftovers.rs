//! Control groups that nobody removes any more, and what still runs in them.

use std::time::Duration;

use enclos_cgroup::{Host, Maker, reap_orphans};

/// How often our own are looked for, and how long after each other.
const MOST_LOOKS: u32 = 50;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Those of servers that were killed before they could.
pub fn of_the_dead() {
    reap("removed what a killed server left", &|maker: Maker| maker.is_alive());
}

/// Our own, when nothing is to run in them any more: sandboxes that were parked ahead, or that are just being taken down.
pub fn our_own() {
    let own = Maker::current().ok();
    // A thread that was just making one has made it a moment later.
    let mut quiet = 0;
    for _ in 0..MOST_LOOKS {
        quiet = if reap("removed what was ready for more work", &|maker: Maker| Some(maker) != own) { 0 } else { quiet + 1 };
        if quiet > 1 {
            return;
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
}

/// Kills and removes the groups of makers that are not `alive`. Whether there were any.
fn reap(done: &str, alive: &dyn Fn(Maker) -> bool) -> bool {
    let host = match Host::probe() {
        Ok(host) => host,
        Err(error) => {
            tracing::warn!(%error, "left control groups could not be looked for");
            return false;
        }
    };
    let reaped = reap_orphans(&host, alive);
    if !reaped.removed.is_empty() {
        tracing::info!(groups = reaped.removed.len(), "{done}");
    }
    let any = !reaped.removed.is_empty() || !reaped.failed.is_empty();
    for error in reaped.failed {
        tracing::warn!(%error, "a left control group could not be removed");
    }
    any
}
