//! What the engine found out, as text: reports, plans, the findings of the doctor.

use serde::Serialize;

pub mod doctor;
pub mod plan;
pub mod planned;
pub mod report;

/// JSON, indented, with a line end.
pub fn json(value: &impl Serialize) -> String {
    // Our own types: strings for keys, and nothing that refuses to be written.
    serde_json::to_string_pretty(value).expect("plain data is written as JSON") + "\n"
}
