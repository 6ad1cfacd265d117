//! Languages: one TOML file each.
//!
//! The built-in files lie in `faces/judge/languages` and are part of the program. A directory of the user's adds to them, and a file there that
//! defines a language of the same key takes the place of the built-in one. Nothing else of the judge knows any language.

mod definition;
mod registry;
mod words;

pub use definition::{Definition, DefinitionError, Program, Run, Stage};
pub use registry::Registry;
pub use words::{Filled, Words};
