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
use enclos_host::tls::Tls;
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
    /// What addresses that speak TLS are served with.
    pub tls: Option<Tls>,
    /// Who may call.
    pub keys: Keys,
    /// What is allowed and yet not wise, one line each.
    pub warnings: Vec<String>,
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
        let has_tls = settings.text("tls.certificate").is_some();
        let tls = Tls::of(&settings).unwrap_or_else(|bad| {
            faults.push(bad.to_string());
            None
        });
        let mut addresses = |key| addresses(&settings, key, has_tls, &mut faults);
        let (listen, admin) = (addresses("server.listen"), addresses("server.admin"));
        let (grpc, rest) = (addresses("agent.grpc"), addresses("agent.rest"));
        if listen.is_empty() && faults.is_empty() {
            faults.push("server.listen: nothing to listen on: write e.g. [\"127.0.0.1:42920\"]".to_owned());
        }
        let keys = Keys::from_settings(&settings).unwrap_or_else(|bad| {
            faults.push(bad.to_string());
            Keys::open()
        });
        let reached = [("server.listen", &listen[..]), ("agent.grpc", &grpc), ("agent.rest", &rest)];
        let warnings = guarded(&settings, &keys, &reached, &mut faults);
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
            tls,
            keys,
            warnings,
            hosts,
            settings,
        })
    }
}

/// The addresses of a setting; `tls`: there is a certificate.
fn addresses(settings: &Settings, key: &str, tls: bool, faults: &mut Vec<String>) -> Vec<Address> {
    let mut addresses = Vec::new();
    for text in settings.texts(key) {
        match Address::read(text, tls) {
            Ok(Address::Tls(address)) if !tls => {
                faults.push(format!("{key}: https://{address} needs a certificate: write certificate and key into [tls]"));
            }
            Ok(address) => addresses.push(address),
            Err(bad) => faults.push(format!("{key}: {bad}")),
        }
    }
    addresses
}

/// Whether whoever can reach an address has to be known; gives what is allowed and yet not wise.
fn guarded(settings: &Settings, keys: &Keys, reached: &[(&str, &[Address])], faults: &mut Vec<String>) -> Vec<String> {
    let asks_clients = settings.text("tls.client-ca").is_some();
    if asks_clients && settings.tables("keys").is_empty() {
        faults.push("tls.client-ca: nobody is known by a certificate: add [[keys]] with certificates, or leave it out".to_owned());
    }
    if keys.have_certificates() && !asks_clients {
        faults.push("keys: certificates: nobody is asked for one: write client-ca into [tls], or leave them out".to_owned());
    }
    let of_others = || {
        let each = reached.iter().flat_map(|(key, addresses)| addresses.iter().map(move |address| (*key, address)));
        each.filter(|(_, address)| !address.is_local())
    };
    if keys.is_open() && !settings.flag("server.anonymous") {
        faults.extend(of_others().map(|(key, address)| unguarded(key, address)));
    }
    let in_the_clear = of_others().filter(|(_, address)| keys.have_secrets() && matches!(address, Address::Tcp(_)));
    in_the_clear.map(|(key, address)| overheard(key, address)).collect()
}

fn overheard(key: &str, address: &Address) -> String {
    format!(
        "{key}: keys cross the network in the clear to {address}, for everybody on the way to read: write [tls], or put a proxy before it"
    )
}

fn unguarded(key: &str, address: &Address) -> String {
    format!(
        "{key}: {address} can be reached from other hosts, and whoever reaches it may run programs: add [[keys]] (keys, or \
         certificates with [tls] client-ca), or listen on 127.0.0.1, or write anonymous = true into [server] if that is what you want"
    )
}

#[cfg(test)]
mod tests {
    use enclos_testkit::certificates::Authorities;

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

    const KEY: &str = "[[keys]]\nname = \"a\"\nsha256 = \"2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b\"";

    #[test]
    fn keys_in_the_clear_are_warned_of_by_name() {
        let listen = "[server]\nlisten = [\"0.0.0.0:1\", \"127.0.0.1:2\"]\n[agent]\nrest = [\"[::]:3\"]\n";
        let told = plan(&format!("{listen}{KEY}")).unwrap().warnings;
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("server.listen: keys cross the network in the clear to http://0.0.0.0:1,"), "{told:?}");
        assert!(told[1].starts_with("agent.rest: keys cross the network in the clear to http://[::]:3,"), "{told:?}");
        assert!(plan(&format!("[server]\nlisten = [\"127.0.0.1:2\"]\n{KEY}")).unwrap().warnings.is_empty());
    }

    /// A certificate, and what `[tls]` is to say of it.
    fn certified(directory: &tempfile::TempDir) -> String {
        let _ = Authorities::new(directory.path());
        Authorities::config(directory.path(), false)
    }

    #[test]
    fn with_a_certificate_every_address_speaks_tls_but_those_that_say_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let tls = certified(&directory);
        let listen = "[server]\nlisten = [\"0.0.0.0:1\", \"http://127.0.0.1:2\", \"unix:/x\"]\nadmin = [\"127.0.0.1:3\"]\n";
        let plan = plan(&format!("{tls}{listen}{KEY}")).unwrap();
        let shown = |addresses: &[Address]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(shown(&plan.listen), ["https://0.0.0.0:1", "http://127.0.0.1:2", "unix:/x"]);
        assert_eq!(shown(&plan.admin), ["https://127.0.0.1:3"]);
        assert_eq!(shown(&plan.agent_faces.grpc), ["https://127.0.0.1:9000"]);
        assert_eq!(shown(&plan.agent_faces.rest), ["https://127.0.0.1:8080"]);
        assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    }

    #[test]
    fn certificates_of_clients_need_somebody_who_asks_for_them_and_somebody_whose_they_are() {
        let directory = tempfile::tempdir().unwrap();
        let tls = certified(&directory);
        let authority = format!("client-ca = {:?}\n", directory.path().join("clients.pem"));
        let known = "[[keys]]\nname = \"a\"\ncertificates = [\"cn:a\"]\n";
        let public = "[server]\nlisten = [\"0.0.0.0:1\"]\n";
        // Whoever is asked for a certificate is somebody: that guards an address which others reach, and without it nothing does.
        let fine = plan(&format!("{tls}{authority}{public}{known}")).unwrap();
        assert!(fine.tls.is_some_and(|tls| tls.asks_clients()) && fine.warnings.is_empty());
        for (file, starts) in [
            (format!("{tls}{public}"), vec!["server.listen: https://0.0.0.0:1 can be reached from other hosts"]),
            (format!("{tls}{authority}"), vec!["tls.client-ca: nobody is known by a certificate: add [[keys]]"]),
            (format!("{tls}{authority}[server]\nanonymous = true"), vec!["tls.client-ca: nobody is known by a certificate"]),
            (format!("{tls}{known}"), vec!["keys: certificates: nobody is asked for one: write client-ca into [tls]"]),
            (
                "[server]\nlisten = [\"https://0.0.0.0:1\"]\nanonymous = true".to_owned(),
                vec!["server.listen: https://0.0.0.0:1 needs a certificate"],
            ),
            (format!("[tls]\n{authority}{known}"), vec!["tls.certificate: missing, though tls.client-ca is there"]),
        ] {
            let told = plan(&file).unwrap_err();
            assert!(told.len() == starts.len() && told.iter().zip(&starts).all(|(told, start)| told.starts_with(start)), "{told:?}");
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
