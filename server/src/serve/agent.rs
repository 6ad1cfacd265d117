//! The agent face beside the judge.
//!
//! It has a launcher of its own, which outlives this process as long as a sandbox does that the keeper holds; that of the judge is killed at the end.
//! A host that cannot hold a sandbox with a workspace is told of in one line of the log, and the rest is served.

use enclos_agent::LocalAgent;
use enclos_agent::settings::Settings;
use enclos_host::tracing;
use enclos_sandbox::Launcher;

/// Starts it; `None`: it is off, and the log says why unless the configuration does.
pub fn start(settings: Option<Settings>) -> Option<LocalAgent> {
    let settings = settings?;
    let started = Launcher::start(crate::OWN)
        .map_err(|error| format!("its launcher could not be started: {error}"))
        .and_then(|launcher| LocalAgent::open(settings, launcher, Some(crate::OWN.as_ref())).map_err(|error| error.to_string()));
    match started {
        Ok(agent) => match agent.trial() {
            Ok(()) => Some(agent),
            Err(error) => {
                agent.leave();
                off(&error.to_string())
            }
        },
        Err(error) => off(&error),
    }
}

fn off(why: &str) -> Option<LocalAgent> {
    tracing::warn!(why, "the agent face is off: this host cannot hold its sandboxes (enclos doctor tells more)");
    None
}
