//! Starts everything, and ends it in the reverse order.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use enclos_agent::LocalAgent;
use enclos_host::axum::{Router, middleware};
use enclos_host::body::Bodies;
use enclos_host::connections::{Bounds, Http2, serve, serve_http2};
use enclos_host::health::{self, Ready};
use enclos_host::hosts;
use enclos_host::keys::Keys;
use enclos_host::listen::{Address, Listener};
use enclos_host::log;
use enclos_host::metrics::{self, Metrics};
use enclos_host::stop::Stop;
use enclos_host::tls::Tls;
use enclos_host::tokio;
use enclos_host::tokio::runtime;
use enclos_host::tokio::sync::oneshot;
use enclos_judge::camisole::{self, Camisole};
use enclos_judge::work::{Jobs, handler};
use enclos_judge::{LocalJudge, native};
use enclos_pool::{Local, Store};
use enclos_sandbox::Launcher;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, getrlimit, pidfd_open, pidfd_send_signal, setrlimit};

use super::agent;
use super::announce;
use super::figures::{Counted, Figures};
use super::leftovers;
use super::plan::Plan;
use super::trial;

/// After the queue has ended, for the last answers to be read.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Serves until a signal ends it.
///
/// # Errors
/// One line: what could not be started.
pub fn run(plan: Plan) -> Result<(), String> {
    log::begin(&plan.settings);
    for line in &plan.warnings {
        tracing::warn!("{line}");
    }
    more_descriptors();
    leftovers::of_the_dead();
    let launcher = Launcher::start(crate::OWN).map_err(|error| format!("the launcher could not be started: {error}"))?;
    let alive = Pid::from_raw(i32::try_from(launcher.id()).unwrap_or(0)).ok_or("the launcher has no process id")?;
    let alive = pidfd_open(alive, PidfdFlags::empty()).map_err(|error| format!("the launcher cannot be watched: {error}"))?;
    let judge = LocalJudge::new(launcher, plan.judge.clone()).map_err(|error| trial::cannot(&error))?;
    trial::run(&judge)?;
    let agent = agent::start(plan.agent.clone());
    // Answers are short work for the runtime's threads: jobs run on those of the queue.
    let runtime = runtime::Builder::new_multi_thread().worker_threads(plan.queue.cores.clamp(2, 8)).enable_all().build();
    let runtime = runtime.map_err(|error| format!("the runtime could not be started: {error}"))?;
    let gone = when_gone(&alive).map_err(|error| format!("the launcher cannot be watched: {error}"))?;
    // Ours to the end: with the last one the launcher would end, and that would look as if it had died.
    let judge = Arc::new(judge);
    let ended = runtime.block_on(async { Server::new(plan, Arc::clone(&judge), agent.as_ref())?.serve(gone).await });
    runtime.shutdown_background();
    if let Some(agent) = &agent {
        agent.leave();
    }
    // Threads may still make sandboxes ahead, for work that no longer comes. Without the launcher they cannot, and every sandbox there is dies.
    // An error means that it is gone already.
    let _ = pidfd_send_signal(&alive, Signal::KILL);
    drop(judge);
    leftovers::our_own();
    ended
}

/// As many descriptors as this process may have: a sandbox that lives needs about ten, a session five.
fn more_descriptors() {
    let bound = getrlimit(Resource::Nofile);
    // An error leaves it as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: bound.maximum, ..bound });
}

/// Told when a process is gone. A thread waits for it: the runtime's own way to wait for a descriptor asks for promises that only `unsafe` can give.
fn when_gone(process: &OwnedFd) -> std::io::Result<oneshot::Receiver<()>> {
    let (sender, receiver) = oneshot::channel();
    let process = process.try_clone()?;
    let wait = move || {
        while poll(&mut [PollFd::new(&process, PollFlags::IN)], None) == Err(Errno::INTR) {}
        // Nobody waits any more when the server ended first.
        let _ = sender.send(());
    };
    std::thread::Builder::new().name("launcher-watch".to_owned()).spawn(wait)?;
    Ok(receiver)
}

struct Server {
    listen: Vec<Address>,
    admin: Vec<Address>,
    tls: Option<Tls>,
    bounds: Bounds,
    queue: Arc<Jobs>,
    stop: Stop,
    app: Router,
    admin_app: Router,
    /// Where `sandbox.v1` is served, over HTTP/2 and as JSON, and by what.
    sandbox_v1: [(Vec<Address>, Router); 2],
}

impl Server {
    fn new(plan: Plan, judge: Arc<LocalJudge>, agent: Option<&LocalAgent>) -> Result<Server, String> {
        let (stop, metrics, keys) = (Stop::default(), Metrics::default(), Arc::new(plan.keys));
        if let Some(agent) = agent {
            agent.figures().register(&metrics);
        }
        let counted = Arc::new(Counted::new(Arc::clone(&judge), &metrics));
        let queue = Local::start(plan.queue, handler(Arc::clone(&counted) as _));
        let queue: Arc<Jobs> = Arc::new(queue.map_err(|error| format!("the queue could not be started: {error}"))?);
        metrics.register(|registry| registry.register_collector(Box::new(Figures::new(Arc::clone(&queue), judge))));
        let bodies = Bodies::new(plan.body_memory, plan.body_patience);
        let camisole = camisole::router(Camisole {
            judge: Arc::clone(&counted) as _,
            queue: Arc::clone(&queue),
            keys: Arc::clone(&keys),
            bodies: bodies.clone(),
            options: plan.camisole,
        });
        let parts = native::Parts {
            judge: counted,
            queue: Arc::clone(&queue),
            keys: Arc::clone(&keys),
            bodies: bodies.clone(),
            options: plan.native,
            store: open_store(plan.store.as_deref(), plan.retention)?,
            outbound: plan.outbound,
        };
        let native = native::Native::start(parts).map_err(|error| format!("asynchronous runs cannot be taken up again: {error}"))?;
        let mut native = native::router(native);
        let mut sandbox_v1 = [(Vec::new(), Router::new()), (Vec::new(), Router::new())];
        if let Some(agent) = agent {
            let faces = agent::faces(agent, &plan.agent_faces, &keys, &bodies, &stop)?;
            native = native.merge(faces.native);
            sandbox_v1 = [(plan.agent_faces.grpc, faces.grpc), (plan.agent_faces.rest, faces.rest)];
        }
        let health = |keys: Option<Arc<Keys>>| health::routes(stop.clone(), ready(&queue), metrics.clone(), keys);
        let admin_app = health(None);
        let guarded = (!keys.is_open()).then_some(keys);
        let open = guarded.is_none();
        let mut app = camisole.merge(native).merge(health(guarded)).fallback(camisole::not_found);
        if open {
            let hosts = Arc::new(plan.hosts);
            app = app.layer(middleware::from_fn_with_state(Arc::clone(&hosts), hosts::check));
            let rest = &mut sandbox_v1[1].1;
            *rest = std::mem::take(rest).layer(middleware::from_fn_with_state(hosts, hosts::check));
        }
        let app = app.layer(middleware::from_fn_with_state(metrics.clone(), metrics::count));
        let (listen, admin, tls, bounds) = (plan.listen, plan.admin, plan.tls, plan.bounds);
        Ok(Server { listen, admin, tls, bounds, queue, stop: stop.clone(), app, admin_app, sandbox_v1 })
    }

    /// Serves until a signal ends it, or its launcher is gone: without one no program can be run, and whoever started us can start us again.
    async fn serve(self, launcher_gone: oneshot::Receiver<()>) -> Result<(), String> {
        let tls = self.tls.as_ref();
        let (listeners, admin) = (bind("server.listen", &self.listen, tls).await?, bind("server.admin", &self.admin, tls).await?);
        let [(grpc, grpc_app), (rest, rest_app)] = self.sandbox_v1;
        let (grpc, rest) = (bind("agent.grpc", &grpc, tls).await?, bind("agent.rest", &rest, tls).await?);
        let insisted = self.stop.on_signals().map_err(|error| format!("signals cannot be caught: {error}"))?;
        for address in listeners.iter().filter_map(Listener::address) {
            announce(&format!("listening on {address}"));
        }
        for (what, listeners) in [("gRPC", &grpc), ("JSON", &rest)] {
            for address in listeners.iter().filter_map(Listener::address) {
                announce(&format!("sandbox.v1 as {what} on {address}"));
            }
        }
        tracing::info!("serving");
        let draining = {
            let (stop, queue, patience) = (self.stop.clone(), self.queue, self.bounds.drain);
            tokio::spawn(async move {
                stop.asked().await;
                tracing::info!("ending: no more work is taken");
                tokio::task::spawn_blocking(move || queue.drain(patience)).await
            })
        };
        let bounds = Bounds { drain: self.bounds.drain + LAST_WORDS, ..self.bounds };
        let serving = async {
            let admin = serve(admin, self.admin_app, bounds, self.stop.clone());
            let grpc = serve_http2(grpc, grpc_app, bounds, Http2::default(), self.stop.clone());
            let rest = serve(rest, rest_app, bounds, self.stop.clone());
            let (dropped, _, grpc, rest) = tokio::join!(serve(listeners, self.app, bounds, self.stop.clone()), admin, grpc, rest);
            let dropped = dropped + grpc + rest;
            let drained = draining.await.ok().and_then(Result::ok).unwrap_or_default();
            tracing::info!(dropped, finished = drained.finished, cancelled = drained.cancelled + drained.dropped, "ended");
        };
        tokio::select! {
            () = serving => {}
            () = insisted => tracing::warn!("ended at once, as asked twice"),
            _ = launcher_gone => return Err("the launcher is gone, and no program can be run without it".to_owned()),
        }
        Ok(())
    }
}

/// Work is taken as long as there is room for it.
fn ready(queue: &Arc<Jobs>) -> Ready {
    let queue = Arc::clone(queue);
    Arc::new(move || {
        let figures = queue.metrics();
        if figures.waiting < figures.capacity.max(1) { Ok(()) } else { Err(format!("the queue is full: {} jobs wait", figures.waiting)) }
    })
}

fn open_store(file: Option<&std::path::Path>, retention: enclos_pool::Retention) -> Result<Option<Arc<Store>>, String> {
    let Some(file) = file else { return Ok(None) };
    let failed =
        |error: &dyn std::fmt::Display| format!("asynchronous runs cannot be kept in {}: {error}: see judge.native.store", file.display());
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory).map_err(|error| failed(&error))?;
    }
    Store::open(file, retention).map(|store| Some(Arc::new(store))).map_err(|error| failed(&error))
}

async fn bind(key: &str, addresses: &[Address], tls: Option<&Tls>) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for address in addresses {
        listeners.push(address.bind_with(tls).await.map_err(|error| format!("{key}: {address}: cannot listen there: {error}"))?);
    }
    Ok(listeners)
}
