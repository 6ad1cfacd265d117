//! The vocabulary every part of Enclos shares: what a caller may ask for ([`Policy`]), what will be done ([`plan::Plan`]),
//! how it ended ([`Verdict`]) and what was measured ([`Report`]).
//!
//! Plain data only. Nothing here opens a file, reads the environment, or knows what the host can do: the planner in
//! `enclos-sandbox` joins a policy with the host's facts, the launcher carries the plan out.

#![forbid(unsafe_code)]

pub mod exit;
pub mod plan;
pub mod policy;
pub mod quantity;
pub mod report;
pub mod signal;
pub mod verdict;

pub use policy::{CpuList, Ids, Net, Policy, PolicyError, Seccomp, Switch};
pub use quantity::{Bound, CpuQuota, QuantityError, Size, Span};
pub use report::{Figure, Layer, LayerState, LimitReport, Report};
pub use verdict::Verdict;
