//! What was compiled before, bounded in bytes.
//!
//! The key is a digest of everything that decides the result: the language's file, its programs as they are on disk, the options, the limits
//! and the sources. So a hit is the same program, whoever asks; and after an update of a compiler nothing old is found.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use enclos_sandbox::Files;
use sha2::{Digest as _, Sha256};

use crate::api::StepReport;

/// A digest of everything that decides what a compiler makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

/// Makes a [`Key`] of parts; each is counted, so that no two lists of parts run together.
#[derive(Clone, Debug, Default)]
pub struct KeyMaker(Sha256);

impl KeyMaker {
    /// Adds a part.
    pub fn part(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The key.
    #[must_use]
    pub fn key(self) -> Key {
        Key(self.0.finalize().into())
    }
}

/// What a compiler made, or said.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// What is run; `None`: it was not compiled.
    pub files: Option<Files>,
    /// Bytes of those files.
    pub bytes: u64,
    /// The compiler's run.
    pub report: StepReport,
}

impl Compiled {
    /// What keeping it costs, about.
    fn weight(&self) -> u64 {
        const OVERHEAD: u64 = 1024;
        self.bytes + (self.report.stdout.len() + self.report.stderr.len()) as u64 + OVERHEAD
    }
}

#[derive(Debug)]
struct Entry {
    compiled: Arc<Compiled>,
    used: u64,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<Key, Entry>,
    bytes: u64,
    clock: u64,
    hits: u64,
    misses: u64,
}

/// Least recently used goes first.
#[derive(Debug)]
pub struct Cache {
    most: u64,
    state: Mutex<State>,
}

/// Figures of a cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheFigures {
    /// Results kept.
    pub entries: u64,
    /// What they cost, bytes.
    pub bytes: u64,
    /// How often one was found.
    pub hits: u64,
    /// How often none was.
    pub misses: u64,
}

impl Cache {
    /// At most `most` bytes; 0 keeps nothing.
    #[must_use]
    pub fn new(most: u64) -> Cache {
        Cache { most, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is kept under a key.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Arc<Compiled>> {
        let mut state = self.lock();
        state.clock += 1;
        let clock = state.clock;
        let found = state.entries.get_mut(key).map(|entry| {
            entry.used = clock;
            Arc::clone(&entry.compiled)
        });
        match found {
            Some(_) => state.hits += 1,
            None => state.misses += 1,
        }
        found
    }

    /// Keeps it, if it fits at all.
    pub fn put(&self, key: Key, compiled: Arc<Compiled>) {
        let weight = compiled.weight();
        // One result must not push everything else out.
        if weight > self.most / 4 {
            return;
        }
        let mut state = self.lock();
        state.clock += 1;
        let used = state.clock;
        if let Some(old) = state.entries.insert(key, Entry { compiled, used }) {
            state.bytes -= old.compiled.weight();
        }
        state.bytes += weight;
        while state.bytes > self.most {
            let Some(oldest) = state.entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| *key) else { break };
            if let Some(gone) = state.entries.remove(&oldest) {
                state.bytes -= gone.compiled.weight();
            }
        }
    }

    /// Figures.
    #[must_use]
    pub fn figures(&self) -> CacheFigures {
        let state = self.lock();
        CacheFigures { entries: state.entries.len() as u64, bytes: state.bytes, hits: state.hits, misses: state.misses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::empty_report;

    fn key(text: &str) -> Key {
        let mut maker = KeyMaker::default();
        maker.part(text);
        maker.key()
    }

    fn compiled(bytes: u64) -> Arc<Compiled> {
        Arc::new(Compiled { files: None, bytes, report: empty_report(crate::api::Verdict::Ok) })
    }

    #[test]
    fn parts_do_not_run_together() {
        let of = |parts: &[&str]| {
            let mut maker = KeyMaker::default();
            for part in parts {
                maker.part(part);
            }
            maker.key()
        };
        assert_ne!(of(&["ab", "c"]), of(&["a", "bc"]));
        assert_ne!(of(&["a"]), of(&["a", ""]));
    }

    #[test]
    fn the_bytes_are_bounded_and_the_least_used_goes() {
        let cache = Cache::new(100_000);
        for name in ["a", "b", "c", "d"] {
            cache.put(key(name), compiled(20_000));
        }
        assert!(cache.get(&key("a")).is_some());
        cache.put(key("e"), compiled(20_000));
        assert!(cache.get(&key("a")).is_some() && cache.get(&key("b")).is_none());
        assert!(cache.figures().bytes <= 100_000);
        cache.put(key("huge"), compiled(50_000));
        assert!(cache.get(&key("huge")).is_none() && cache.get(&key("e")).is_some());
    }

    #[test]
    fn the_same_key_is_kept_once() {
        let cache = Cache::new(100_000);
        cache.put(key("a"), compiled(10_000));
        cache.put(key("a"), compiled(5_000));
        assert_eq!((cache.figures().entries, cache.figures().bytes), (1, 6024));
    }
}
