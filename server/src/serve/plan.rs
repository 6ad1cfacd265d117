//! From a configuration to everything the server is made of, checked before anything is started.

use std::path::PathBuf;
use std::time::Duration;

use enclos_agent::sandbox_v1;
use enclos_host::connections::Bounds;
use enclos_host::hosts::Hosts;
use enclos_host::keys::Keys;
use enclos_host::listen::Address;
use enclos_host::outbound::Outbound;
use enclos_host::settings::Settings;
use enclos_judge::language::Registry;
use enclos_judge::{camisole, native};
use enclos_pool::Retention;

/// A server that could be.
#[derive(Debug)]
pub struct Plan {
    /// The configuration it comes from.
    pub settings: Settings,
    /// Where everything is served.
    pub listen: Vec<Address>,
    /// Where health and metrics alone are served.
    pub admin: Vec<Address>,
    /// Who may call.
    pub keys: Keys,
    /// Under which names; asked where there are no keys.
    pub hosts: Hosts,
    /// Bounds on connections.
    pub bounds: Bounds,
    /// For a body to come.
    pub body_patience: Duration,
    /// Bytes of all bodies.
    pub body_memory: usize,
    /// Bounds of the queue.
    pub queue: enclos_pool::Settings,
    /// The judge.
    pub judge: enclos_judge::Settings,
    /// Its camisole interface.
    pub camisole: camisole::Options,
    /// Its own interface.
    pub native: native::Options,
    /// The file of asynchronous runs; `None`: this user has no place for one.
    pub store: Option<PathBuf>,
    /// How long ended asynchronous runs are kept.
    pub retention: Retention,
    /// Makes callbacks; `None`: the configuration allows none.
    pub outbound: Option<Outbound>,
    /// The agent face; `None`: it is off, or this user has no place for its state.
    pub agent: Option<enclos_agent::settings::Settings>,
    /// Its interfaces.
    pub agent_faces: AgentPlan,
}

/// The interfaces of the agent face.
#[derive(Clone, Debug)]
pub struct AgentPlan {
    /// Where `sandbox.v1` is served over HTTP/2.
    pub grpc: Vec<Address>,
    /// Where the same is served as JSON.
    pub rest: Vec<Address>,
    /// Bounds of both.
    pub sandbox_v1: sandbox_v1::Options,
    /// Bounds of its own interface.
    pub native: enclos_agent::native::Options,
    /// For a client to send or take the next piece.
    pub patience: Duration,
}

impl Plan {
    /// Makes a plan. `environment` gives the variables that say where state lies.
    ///
    /// # Errors
    /// Everything that is wrong, one line each.
    pub fn of(settings: Settings, environment: &dyn Fn(&str) -> Option<PathBuf>) -> Result<Plan, Vec<String>> {
        let mut faults = Vec::new();
        let listen = addresses(&settings, "server.listen", &mut faults);
        let admin = addresses(&settings, "server.admin", &mut faults);
        if listen.is_empty() && faults.is_empty() {
            faults.push("server.listen: nothing to listen on: write e.g. [\"127.0.0.1:42920\"]".to_owned());
        }
        let (grpc, rest) = (addresses(&settings, "agent.grpc", &mut faults), addresses(&settings, "agent.rest", &mut faults));
        let keys = Keys::from_settings(&settings).unwrap_or_else(|bad| {
            faults.push(bad.to_string());
            Keys::open()
        });
        if keys.is_open() && !settings.flag("server.anonymous") {
            for (key, addresses) in [("server.listen", &listen), ("agent.grpc", &grpc), ("agent.rest", &rest)] {
                faults.extend(addresses.iter().filter(|address| !address.is_local()).map(|address| unguarded(key, address)));
            }
        }
        let hosts = Hosts::of(&listen, settings.texts("server.hosts")).unwrap_or_else(|bad| {
            faults.push(format!("server.hosts: {bad}"));
            Hosts::default()
        });
        let judge = enclos_judge::settings::of(&settings);
        faults.extend(enclos_judge::settings::faults(&judge.limits));
        if let Err(error) = Registry::load(judge.languages.as_deref()) {
            faults.push(format!("judge.languages: {error}"));
        }
        let outbound = Outbound::of(&settings).unwrap_or_else(|bad| {
            faults.push(bad.to_string());
            None
        });
        let state = settings.text("server.state").map(PathBuf::from).or_else(|| enclos_host::state::directory(environment));
        let place = settings.text("agent.state").map(PathBuf::from).or_else(|| Some(state.as_ref()?.join("agent")));
        let agent = place.filter(|_| settings.flag("agent.enabled")).map(|place| enclos_agent::settings::of(&settings, place));
        faults.extend(agent.iter().flat_map(enclos_agent::settings::faults));
        if !faults.is_empty() {
            return Err(faults);
        }
        let span = |key| settings.span(key).unwrap_or(Duration::MAX);
        let own = enclos_pool::Settings::of_this_host();
        let count = |key, otherwise: usize| settings.count(key).and_then(|count| usize::try_from(count).ok()).unwrap_or(otherwise);
        Ok(Plan {
            bounds: Bounds {
                connections: count("server.connections", 1),
                head: span("server.head-timeout"),
                write: span("server.write-timeout"),
                drain: span("server.drain-timeout"),
            },
            body_patience: span("server.body-timeout"),
            body_memory: settings.size("server.body-memory").and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX),
            queue: enclos_pool::Settings {
                cores: count("queue.cores", own.cores),
                capacity: count("queue.capacity", own.capacity),
                per_key: count("queue.per-key", own.per_key),
                bytes: settings.size("queue.memory").and_then(|size| usize::try_from(size).ok()).unwrap_or(own.bytes),
            },
            judge,
            agent_faces: AgentPlan {
                grpc,
                rest,
                sandbox_v1: sandbox_v1::Options::of(&settings),
                native: enclos_agent::native::Options::of(&settings),
                patience: span("server.body-timeout"),
            },
            camisole: camisole::Options::of(&settings),
            native: native::Options::of(&settings),
            store: settings.text("judge.native.store").map(PathBuf::from).or_else(|| state.map(|state| state.join("judge.sqlite"))),
            retention: native::settings::retention(&settings),
            outbound,
            agent,
            listen,
            admin,
            keys,
            hosts,
            settings,
        })
    }
}

fn addresses(settings: &Settings, key: &str, faults: &mut Vec<String>) -> Vec<Address> {
    let mut addresses = Vec::new();
    for text in settings.texts(key) {
        match text.parse() {
            Ok(address) => addresses.push(address),
            Err(bad) => faults.push(format!("{key}: {bad}")),
        }
    }
    addresses
}

fn unguarded(key: &str, address: &Address) -> String {
    format!(
        "{key}: {address} can be reached from other hosts, and whoever reaches it may run programs: add [[keys]], or listen on 127.0.0.1, or \
         write anonymous = true into [server] if that is what you want"
    )
}

#[cfg(test)]
mod tests {
    use super::super::settings::records;
    use super::*;

    fn plan(file: &str) -> Result<Plan, Vec<String>> {
        let settings =
            Settings::read(&records(), file, &[]).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        Plan::of(settings, &|_| None)
    }

    #[test]
    fn the_defaults_are_a_server_on_loopback() {
        let plan = plan("").unwrap();
        assert_eq!(plan.listen, ["127.0.0.1:42920".parse().unwrap()]);
        assert!(plan.admin.is_empty() && plan.keys.is_open());
        assert_eq!((plan.bounds.connections, plan.body_memory), (4096, 512 << 20));
        assert_eq!(plan.queue.capacity, 1024);
    }

    #[test]
    fn an_address_that_others_reach_needs_keys() {
        for address in ["0.0.0.0:42920", "[::]:1", "192.168.1.2:80"] {
            let file = format!("[server]\nlisten = [\"{address}\"]");
            let told = plan(&file).unwrap_err();
            assert!(told.len() == 1 && told[0].contains(&format!("http://{address} can be reached from other hosts")), "{told:?}");
            assert!(plan(&format!("{file}\nanonymous = true")).is_ok());
            let key = "[[keys]]\nname = \"a\"\nsha256 = \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"";
            assert!(plan(&format!("{file}\n{key}")).is_ok());
        }
    }

    #[test]
    fn every_fault_is_told() {
        let told = plan(
            "[server]\nlisten = [\"nowhere\"]\nadmin = [\"x\"]\nhosts = [\"a:1\"]\n[[keys]]\nname = \"a\"\n[judge]\nlanguages = \"/does/not/exist\"\n\
             [judge.limits.run]\ncpu = \"10h\"",
        )
        .unwrap_err();
        let starts = [
            "server.listen: \"nowhere\"",
            "server.admin: \"x\"",
            "keys: a: ",
            "server.hosts: \"a:1\"",
            "judge.limits.run.cpu: ",
            "judge.languages: ",
        ];
        assert_eq!(told.len(), starts.len(), "{told:?}");
        assert!(told.iter().zip(starts).all(|(told, start)| told.starts_with(start) && !told.contains('\n')), "{told:?}");
        assert!(plan("[server]\nlisten = []").unwrap_err()[0].starts_with("server.listen: nothing to listen on"));
    }
}
