//! JSON over HTTP, read strictly: what native interfaces share.
//!
//! - [`json`], [`expect_json`]: a body, or the field that is wrong with the nearest right name.
//! - [`object`], [`word`], [`written`]: what serde derives, less what no OpenAPI document says.
//! - [`Data`], [`Output`]: exact bytes. - [`Signal`]: by number or by name.
//! - [`wants_events`], [`same_origin`]: what headers ask for, and where a page comes from.

mod data;
mod decode;
mod headers;
mod signal;
mod strict;

pub use data::{Data, Encoding, Output};
pub use decode::{Fault, expect_json, json, shown};
pub use headers::{same_origin, wants_events};
pub use signal::Signal;
pub use strict::{object, word, written};
