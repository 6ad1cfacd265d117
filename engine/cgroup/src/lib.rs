//! Limits and meters by control groups (`cgroups(7)`), on all four kinds of host: pure v2, v1 only, hybrid, and none.
//!
//! # Theory of operation
//!
//! [`Host::probe`] reads two small files and parses them; which kind of host it is follows from that. Everything else is looked up when
//! it is first needed: in which directory groups can be made for a given set of controllers, and whether we may. That is decided per
//! controller, because on a hybrid host each can be elsewhere; what is missing is named with its reason ([`Missing`]), and a limit whose
//! controller is missing makes [`Host::create`] fail. It is never dropped.
//!
//! A [`Group`] is one sandbox's directory in each hierarchy it needs, mostly one: the v2 tree. A hybrid host adds v1 memory and v1 pids.
//! A process is born into the v2 part (`CLONE_INTO_CGROUP`, [`Group::v2_dir`]) and enters the v1 parts itself, by writing `0` to inherited
//! descriptors ([`Group::v1_tasks`]) before it runs anything.
//!
//! ```text
//! v1   <mount>/<our own group>/enclos-PID-START-PIDNS-N            what limits us limits it
//! v2   <mount>/<our own group>/enclos-PID-START-PIDNS-N            no controller needed
//!      <mount>/<a group above>/enclos.UID/enclos-PID-START-PIDNS-N controllers needed; the node passes them on, and goes with its last group
//! ```
//!
//! The name tells the maker beyond the reuse of its process id, so that [`reap_orphans`] knows a leftover from a living group.
//!
//! # Example
//!
//! ```no_run
//! use enclos_cgroup::{Host, Limits, Meters, Name};
//!
//! let host = Host::probe()?;
//! let limits = Limits { memory: Some(64 << 20), pids: Some(20), meters: Meters::ALL, ..Limits::default() };
//! let mut group = host.create(&Name::fresh()?, &limits)?;
//! let child = std::process::Command::new("make").spawn()?;
//! group.add(child.id())?;
//! println!("{} µs of CPU so far", group.cpu_usec()?);
//! group.kill()?;
//! println!("{:?}", group.usage()?);
//! group.remove()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod controller;
mod error;
mod file;
mod findings;
mod group;
mod host;
mod keep;
mod kill;
mod limits;
mod name;
mod oom;
mod orphans;
mod parent;
mod pool;
mod pressure;
mod procfs;
mod remove;
mod renew;
mod settle;
mod usage;
mod v1;
mod v2;
mod wait;

pub use controller::{Controller, ControllerSet};
pub use error::{CgroupError, Missing};
pub use findings::{Finding, State};
pub use group::Group;
pub use host::{Host, Kind, Place, ProcView, Restrict, Version};
pub use keep::KeptNode;
pub use limits::{Limits, Meters};
pub use name::{Maker, Name};
pub use oom::OomWatch;
pub use orphans::{Reaped, reap_orphans};
pub use pool::Pool;
pub use pressure::{Pressure, Stall};
pub use settle::Settled;
pub use usage::{Reading, Usage};
