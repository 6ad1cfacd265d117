//! What may not be removed, and the collection that goes on beside writers.
//!
//! ```text
//! nothing ── collect ──▶ marking: roots, pins, then whatever is adopted meanwhile (`late`)
//!                           │ nothing late is left, seen under the lock
//!                           ▼
//!                        sweeping: what is neither live nor pinned goes, each under the lock
//! ```
//!
//! A writer pins a digest before it looks whether the object is there, and the sweep removes an object only while it holds the lock and sees no
//! pin: one of both comes first. A tree may be adopted while sweeping only if it is live, and then all below it is live as well. A pin given
//! back during a collection counts until its end: the root it stood for may have been recorded after the roots were asked for.

use std::collections::{HashMap, HashSet};

use crate::Digest;

/// The state behind the store's lock.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    counts: HashMap<Digest, Pin>,
    phase: Phase,
    /// Given back while a collection was under way.
    returned: Vec<Digest>,
    /// Bytes and objects in place or staged.
    pub bytes: u64,
    pub objects: u64,
}

#[derive(Debug, Default)]
struct Pin {
    count: usize,
    tree: bool,
}

#[derive(Debug, Default)]
enum Phase {
    #[default]
    Idle,
    Marking {
        late: Vec<Digest>,
    },
    Sweeping {
        live: HashSet<Digest>,
    },
}

impl Pins {
    /// Keeps this one object; `tree`: it is one, written by whoever pins it.
    pub fn pin(&mut self, digest: Digest, tree: bool) {
        let pin = self.counts.entry(digest).or_default();
        pin.count += 1;
        pin.tree |= tree;
    }

    /// Keeps this object and, if it is a tree, all below it; `false`: it is being removed.
    pub fn adopt(&mut self, digest: Digest, tree: bool) -> bool {
        match &mut self.phase {
            Phase::Marking { late } if tree => late.push(digest),
            Phase::Sweeping { live } if !live.contains(&digest) && !self.counts.contains_key(&digest) => return false,
            _ => {}
        }
        self.pin(digest, tree);
        true
    }

    /// Gives one pin back.
    pub fn unpin(&mut self, digest: &Digest) {
        if !matches!(self.phase, Phase::Idle) {
            self.returned.push(*digest);
        } else if let Some(pin) = self.counts.get_mut(digest) {
            pin.count -= 1;
            if pin.count == 0 {
                self.counts.remove(digest);
            }
        }
    }

    /// Begins a collection; which trees are pinned now. `None`: one is under way.
    pub fn begin(&mut self) -> Option<Vec<Digest>> {
        if !matches!(self.phase, Phase::Idle) {
            return None;
        }
        self.phase = Phase::Marking { late: Vec::new() };
        Some(self.counts.iter().filter(|(_, pin)| pin.tree).map(|(digest, _)| *digest).collect())
    }

    /// What was adopted since the last call; when nothing was, the sweep begins with `live`.
    pub fn late(&mut self, live: &mut HashSet<Digest>) -> Vec<Digest> {
        let Phase::Marking { late } = &mut self.phase else { return Vec::new() };
        let late = std::mem::take(late);
        if late.is_empty() {
            self.phase = Phase::Sweeping { live: std::mem::take(live) };
        }
        late
    }

    /// Whether the sweep may remove this object now.
    pub fn dead(&self, digest: &Digest) -> bool {
        let live = matches!(&self.phase, Phase::Sweeping { live } if !live.contains(digest));
        live && !self.counts.contains_key(digest)
    }

    /// The collection has ended.
    pub fn end(&mut self) {
        self.phase = Phase::Idle;
        for digest in std::mem::take(&mut self.returned) {
            self.unpin(&digest);
        }
    }
}
