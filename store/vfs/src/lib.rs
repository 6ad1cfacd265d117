//! What files a sandbox sees.
//!
//! - [`Rules`]: four levels for paths, `none`, `view`, `read`, `write`, and the reason for each answer.

#![forbid(unsafe_code)]

mod path;
pub mod rules;

pub use path::{PathError, TreePath};
pub use rules::{Explanation, Kind, Level, Preset, Rule, RuleError, Rules};
