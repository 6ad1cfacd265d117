//! `enclos run`.

use std::ffi::OsString;

pub mod directory;
pub mod environment;
mod execute;
pub mod paths;
pub mod request;

use crate::flags::help;
use crate::flags::parse::{self, Parsed};
use crate::flags::table::RUN;
use crate::text::Look;
use environment::Variables;
use paths::Anchor;
use request::Request;

/// Runs the command line behind `enclos run`.
pub fn main(args: impl Iterator<Item = OsString>) -> u8 {
    let mut request = Request::new(Anchor::current());
    let filled = match parse::parse(&RUN, args) {
        Ok(Parsed::Help(length)) => return crate::print(&help::render(&RUN, length, Look::of(&std::io::stdout()))),
        Ok(Parsed::Given { flags, operands }) => request.fill(&flags, operands, &Variables::current()),
        Err(wrong) => Err(wrong),
    };
    match filled {
        Ok(()) => execute::execute(&request),
        Err(wrong) => crate::fail("run", &wrong),
    }
}
