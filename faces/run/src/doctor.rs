//! `enclos doctor`.

use std::ffi::OsString;

use enclos_sandbox::probe::doctor::{State, doctor, doctor_for};

use crate::flags::help;
use crate::flags::parse::{self, Parsed};
use crate::flags::table::{DOCTOR, DoctorRequest};
use crate::show;
use crate::text::Look;

/// Runs the command line behind `enclos doctor`.
pub fn main(args: impl Iterator<Item = OsString>) -> u8 {
    let look = Look::of(&std::io::stdout());
    let flags = match parse::parse(&DOCTOR, args) {
        Ok(Parsed::Help(length)) => return crate::print(&help::render(&DOCTOR, length, look)),
        Ok(Parsed::Given { operands, .. }) if !operands.is_empty() => {
            return crate::fail("doctor", &format!("{:?} is too much: write enclos doctor [--json]", operands[0]));
        }
        Ok(Parsed::Given { flags, .. }) => flags,
        Err(wrong) => return crate::fail("doctor", &wrong),
    };
    let mut request = DoctorRequest::default();
    if let Err(wrong) = parse::apply(&mut request, &flags) {
        return crate::fail("doctor", &wrong);
    }
    // Some remedies name this program (a profile that allows it user namespaces).
    let findings = std::env::current_exe().map_or_else(|_| doctor(), |own| doctor_for(&own));
    let text = if request.json { show::json(&findings) } else { show::doctor::render(&findings, look) };
    let printed = crate::print(&text);
    if printed == enclos_spec::exit::SUCCESS && findings.iter().any(|finding| finding.state == State::Missing) {
        return 1;
    }
    printed
}
