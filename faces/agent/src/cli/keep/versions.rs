//! What was copied, and what became of it: both sides of every change.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::sync::Mutex;

use crate::api::{Agent, Caller, PageRequest};

/// Which side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// What was copied.
    Base,
    /// What the sandbox made of it.
    Now,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// A file.
    File {
        /// Permission bits.
        mode: u32,
        /// Bytes.
        size: u64,
    },
    /// A directory.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link.
    Link {
        /// Where it leads.
        target: OsString,
    },
}

/// Both sides.
pub trait Versions {
    /// What is at a path; `None`: nothing.
    fn state(&self, side: Side, path: &str) -> Result<Option<State>, String>;
    /// Names in a directory.
    fn names(&self, side: Side, path: &str) -> Result<Vec<String>, String>;
    /// Opens a file.
    fn open(&self, side: Side, path: &str) -> Result<Box<dyn Read + Send>, String>;
}

type Listing = BTreeMap<String, State>;

/// Two versions of a codebase, whose directories are listed once.
pub struct Memo<'a> {
    agent: &'a dyn Agent,
    caller: &'a Caller,
    codebase: &'a str,
    versions: [u64; 2],
    listings: Mutex<BTreeMap<(Side, String), Listing>>,
}

impl<'a> Memo<'a> {
    /// `versions`: what was copied, and what became of it.
    pub fn new(agent: &'a dyn Agent, caller: &'a Caller, codebase: &'a str, versions: [u64; 2]) -> Memo<'a> {
        Memo { agent, caller, codebase, versions, listings: Mutex::default() }
    }

    fn version(&self, side: Side) -> Option<u64> {
        Some(self.versions[usize::from(side == Side::Now)])
    }

    fn listing<R>(&self, side: Side, path: &str, of: impl FnOnce(&Listing) -> R) -> Result<R, String> {
        let mut listings = self.listings.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = (side, path.to_owned());
        if !listings.contains_key(&key) {
            let mut listing = Listing::new();
            let mut request = PageRequest { size: 1000, token: String::new() };
            loop {
                let page = match self.agent.files(self.caller, self.codebase, self.version(side), path, false, &request) {
                    Ok(page) => page,
                    // No such directory.
                    Err(crate::api::AgentError::NotFound { kind: "file", .. } | crate::api::AgentError::Invalid { .. }) => break,
                    Err(error) => return Err(error.to_string()),
                };
                for entry in page.items {
                    let state = match entry.link {
                        Some(target) => State::Link { target: target.into() },
                        None if entry.is_dir => State::Directory { mode: entry.mode },
                        None => State::File { mode: entry.mode, size: entry.size },
                    };
                    listing.insert(entry.name, state);
                }
                match page.next {
                    Some(token) => request.token = token,
                    None => break,
                }
            }
            listings.insert(key.clone(), listing);
        }
        Ok(of(&listings[&key]))
    }
}

impl Versions for Memo<'_> {
    fn state(&self, side: Side, path: &str) -> Result<Option<State>, String> {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.listing(side, above, |listing| listing.get(name).cloned())
    }

    fn names(&self, side: Side, path: &str) -> Result<Vec<String>, String> {
        self.listing(side, path, |listing| listing.keys().cloned().collect())
    }

    fn open(&self, side: Side, path: &str) -> Result<Box<dyn Read + Send>, String> {
        let download = self.agent.download(self.caller, self.codebase, self.version(side), path);
        download.map(|download| download.from).map_err(|error| format!("{path}: {error}"))
    }
}
