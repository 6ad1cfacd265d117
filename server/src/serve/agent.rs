//! The agent face beside the judge.
//!
//! It has a launcher of its own, which outlives this process as long as a sandbox does that the keeper holds; that of the judge is killed at the end.
//! A host that cannot hold a sandbox with a workspace is told of in one line of the log, and the rest is served.

use std::sync::Arc;

use enclos_agent::api::Agent;
use enclos_agent::settings::Settings;
use enclos_agent::{LocalAgent, native, sandbox_v1};
use enclos_host::axum::Router;
use enclos_host::body::Bodies;
use enclos_host::keys::Keys;
use enclos_host::stop::Stop;
use enclos_host::threads::Threads;
use enclos_host::tracing;
use enclos_sandbox::Launcher;

use super::plan::AgentPlan;

/// What it is reached by.
pub struct Faces {
    /// Its own interface, for the server's listeners.
    pub native: Router,
    /// `sandbox.v1` over HTTP/2.
    pub grpc: Router,
    /// The same as JSON.
    pub rest: Router,
}

/// Puts its interfaces together.
///
/// # Errors
/// One line.
pub fn faces(agent: &LocalAgent, plan: &AgentPlan, keys: &Arc<Keys>, bodies: &Bodies, stop: &Stop) -> Result<Faces, String> {
    let agent: Arc<dyn Agent> = Arc::new(agent.clone());
    let own = native::Parts { agent: Arc::clone(&agent), keys: Arc::clone(keys), bodies: bodies.clone(), options: plan.native };
    let parts = sandbox_v1::Parts {
        agent,
        keys: Arc::clone(keys),
        bodies: bodies.clone(),
        threads: Arc::new(Threads::new("sandbox.v1 call", plan.sandbox_v1.calls)),
        patience: plan.patience,
        stop: stop.clone(),
        options: plan.sandbox_v1,
    };
    Ok(Faces { native: native::router(native::Native::new(own)), grpc: sandbox_v1::grpc(&parts)?, rest: sandbox_v1::rest(&parts) })
}

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
