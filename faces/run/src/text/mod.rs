//! Text for people: colours, columns, units, line breaks.

pub mod grid;
pub mod look;
pub mod units;
pub mod wrap;

pub use grid::Grid;
pub use look::Look;
