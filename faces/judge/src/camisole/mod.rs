//! camisole's HTTP interface, byte for byte: its five routes, its JSON and MessagePack, its words for what is wrong.
//!
//! ```text
//!  /            a line of text          /languages   what is installed        /system   the host
//!  /run         compile and run         /test        every reference program
//! ```
//!
//! A request goes: key → body ([`enclos_host::body`]) → value ([`format`]) → checked ([`check`], [`request`]) → a
//! [`Job`](crate::api::Job) in the queue ([`crate::work`]) → answer ([`report`]) → bytes in the format that the client accepts ([`answer`]).
//! A client that goes away drops the future, and with it the job.
//!
//! What camisole did wrong is not kept: a program reads the end of its input when there is none, limits always hold, `quota` is one, `null`
//! is as good as absent, an error is one line and tells nothing of the host.

mod answer;
mod check;
pub mod format;
mod report;
mod request;
mod routes;
mod settings;
mod status;
pub mod value;

pub use routes::{Camisole, not_found, router};
pub use settings::{Options, SETTINGS};
