//! What the engine found out, as text for people: reports, plans, the findings of the doctor. Each is also plain JSON elsewhere; here is only layout.

pub mod doctor;
pub mod plan;
pub mod report;
