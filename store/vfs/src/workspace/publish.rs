//! From an upper to a version.
//!
//! ```text
//! B   the version that the workspace stands on; its checkout lies below the upper
//! P   the tree that workspace and codebase agreed on last; B's own until something is published
//! W   B with all changes of the upper that the rules allow
//! H   the newest version
//!
//! changes = P → W      conflicts = what differs in P → H too      new version = H + changes      then P := P + changes
//! ```
//!
//! Neither B nor the upper changes, so nothing that is mounted does, and a workspace can publish while it lives. What was published and is changed
//! again, back to what B has or removed, is a change from P, and so goes on to the codebase.
//!
//! What is held back, or left out because of a conflict, stays out of P: it is a change the next time still. A path that the rules do not let the
//! workspace change now stays as it is in P, whatever the upper says, so that other rules undo nothing that was published under earlier ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek};

use enclos_cas::{CasError, Digest, Entry, Hasher, Quantity, Session};

use super::diff::{Change, Denied, What, protected};
use super::records::update;
use super::{Committed, Conflicts, HeldBack, View, Workspace, busy, conflict, files, open};
use crate::edit::{DIRECTORY_MODE, Draft, Edit, Trees, apply_in};
use crate::error::During;
use crate::layers::{Ownership, look};
use crate::{Bounds, By, Level, TreePath, Version, Vfs, VfsError, edit};

/// What a workspace has that its codebase has not been given.
pub(super) struct Pending {
    /// From P, allowed.
    pub changes: Vec<Change>,
    /// From B, held back.
    pub held_back: Vec<Change>,
}

/// What becomes of the workspace when its changes are in a version.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    /// It stays as it is, and goes on.
    Stay,
    /// It steps onto the version, with an empty upper.
    Step,
}

impl Vfs {
    /// What was changed and is in no version yet, in the order of paths; held back or not. Nothing may run in the workspace meanwhile.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], [`VfsError::Quota`] beyond the bounds, marks of an overlay that was mounted otherwise than told, or the kernel's.
    pub fn diff(&self, id: &str, view: &View<'_>) -> Result<Vec<Change>, VfsError> {
        let Pending { mut changes, held_back } = self.unpublished(&self.workspace(id)?, view)?;
        changes.extend(held_back);
        changes.sort_by(|a, b| a.path.names().cmp(b.path.names()));
        Ok(changes)
    }

    /// Makes a version of what was changed, all of it or nothing, and steps onto it with an empty upper: mount it anew. Nothing may run in the
    /// workspace.
    ///
    /// # Errors
    /// As [`Vfs::diff`], [`VfsError::Quota`], and [`VfsError::InUse`] when somebody else commits or rolls back this workspace at the same time.
    pub fn commit(&self, id: &str, view: &View<'_>, held_back: HeldBack, by: By<'_>) -> Result<Committed, VfsError> {
        self.give(&self.workspace(id)?, view, held_back, Conflicts::Refuse, Then::Step, by)
    }

    /// Makes a version of what was changed since the workspace published last. The workspace stays as it is: what is mounted may stay mounted, if
    /// only nothing in it runs meanwhile.
    ///
    /// # Errors
    /// As [`Vfs::commit`].
    pub fn publish(&self, id: &str, view: &View<'_>, held_back: HeldBack, conflicts: Conflicts, by: By<'_>) -> Result<Committed, VfsError> {
        self.give(&self.workspace(id)?, view, held_back, conflicts, Then::Stay, by)
    }

    /// Moves a workspace in which nothing runs and nothing is unpublished onto the newest version, with an empty upper; `None`: something is
    /// unpublished or held back, and all stays as it is.
    ///
    /// # Errors
    /// As [`Vfs::commit`].
    pub fn settle(&self, id: &str, view: &View<'_>) -> Result<Option<Workspace>, VfsError> {
        let was = self.workspace(id)?;
        let Pending { changes, held_back } = self.unpublished(&was, view)?;
        if !changes.is_empty() || !held_back.is_empty() {
            return Ok(None);
        }
        let head = self.version(&was.codebase, None)?;
        let now = Workspace { version: head.number, generation: was.generation + 1, published: None, ..was.clone() };
        if !update(&*self.records().durable()?, &was, &now)? {
            return Err(busy(&was));
        }
        files::remove(&self.generation(&was))?;
        Ok(Some(now))
    }

    /// Says that these files of the codebase were written into the workspace from outside, so that they are no changes of its own.
    ///
    /// # Errors
    /// [`VfsError::Unknown`], [`VfsError::InUse`] when it publishes at the same time, or the store's.
    pub fn pushed(&self, id: &str, files: &BTreeMap<TreePath, Entry>) -> Result<(), VfsError> {
        let was = self.workspace(id)?;
        let base = self.version(&was.codebase, Some(was.version))?;
        let mut session = self.store().session();
        let edits = files.iter().map(|(path, entry)| (path.clone(), Edit::Put(entry.clone()))).collect();
        let published = edit::apply(&mut session, self.store(), was.published.unwrap_or(base.tree), &edits)?;
        session.settle()?;
        let now = Workspace { published: Some(published), ..was.clone() };
        if update(&self.records().lock(), &was, &now)? { Ok(()) } else { Err(busy(&was)) }
    }

    /// What is in no version yet; nothing is stored.
    fn unpublished(&self, workspace: &Workspace, view: &View<'_>) -> Result<Pending, VfsError> {
        let base = self.version(&workspace.codebase, Some(workspace.version))?;
        self.pending(workspace, &base, view, &mut |mut file, most| hash(&mut file, most, &view.bounds))
    }

    fn pending(
        &self,
        workspace: &Workspace,
        base: &Version,
        view: &View<'_>,
        take: &mut dyn FnMut(File, u64) -> Result<(Digest, u64), VfsError>,
    ) -> Result<Pending, VfsError> {
        let walked = self.walk_upper(workspace, base, view, take)?;
        let (held_back, changes): (Vec<_>, Vec<_>) = walked.into_iter().partition(|change| change.denied.is_some());
        let Some(published) = workspace.published.filter(|published| *published != base.tree) else {
            return Ok(Pending { changes, held_back });
        };
        let mut draft = Draft::new(self.store());
        let now = apply_in(&mut draft, base.tree, &conflict::edits(&changes))?;
        let mut held = Vec::new();
        for change in held_back {
            if !self.was_pushed(&published, &change)? {
                held.push(change);
            }
        }
        let mut held_back = held;
        let held: BTreeMap<&TreePath, bool> = held_back.iter().map(|change| (&change.path, change.stays_a_directory())).collect();
        let mut comparison = Comparison { vfs: self, draft: &draft, view, held, changes: Vec::new() };
        let directory = |digest| Entry::Directory { digest, size: 0, files: 0, mode: DIRECTORY_MODE };
        comparison.compare(&TreePath::top(), Some(&directory(published)), Some(&directory(now)))?;
        let (denied, changes): (Vec<_>, Vec<_>) = comparison.changes.into_iter().partition(|change| change.denied.is_some());
        held_back.extend(denied);
        held_back.sort_by(|a, b| a.path.names().cmp(b.path.names()));
        Ok(Pending { changes, held_back })
    }

    fn sync_upper(&self, workspace: &Workspace) -> Result<(), VfsError> {
        match open(&self.generation(workspace).join("upper")) {
            Err(VfsError::System { errno: rustix::io::Errno::NOENT, .. }) => Ok(()),
            upper => rustix::fs::syncfs(&upper?).during("syncing", "the workspace"),
        }
    }

    /// Whether this came from the codebase, where the workspace may not write.
    fn was_pushed(&self, published: &Digest, change: &Change) -> Result<bool, VfsError> {
        Ok(match (&change.before, &change.after, edit::find(self.store(), published, &change.path)?) {
            (before, Some(What::File { digest, .. }), Some(Entry::File { digest: own, .. })) => *digest == own && *before != change.after,
            (None, Some(What::Directory { .. }), Some(Entry::Directory { .. })) => true,
            (before, Some(What::Link { target }), Some(Entry::Link { target: own })) => *target == own && *before != change.after,
            _ => false,
        })
    }

    fn give(
        &self,
        workspace: &Workspace,
        view: &View<'_>,
        held_back: HeldBack,
        conflicts: Conflicts,
        then: Then,
        by: By<'_>,
    ) -> Result<Committed, VfsError> {
        let base = self.version(&workspace.codebase, Some(workspace.version))?;
        let published = workspace.published.unwrap_or(base.tree);
        let mut session = self.store().session();
        session.adopt(base.tree)?;
        session.adopt(published)?;
        let Pending { changes, held_back: held } =
            self.pending(workspace, &base, view, &mut |file, most| store(&mut session, file, most, &view.bounds))?;
        if !held.is_empty() && held_back == HeldBack::Refuse {
            return Ok(Committed::Denied(held));
        }
        loop {
            let head = self.version(&workspace.codebase, None)?;
            let (mut edits, mut found) = conflict::merge(self.store(), &published, &head.tree, &changes)?;
            if !found.is_empty() && conflicts == Conflicts::Refuse {
                return Ok(Committed::Conflicts(found));
            }
            let conflicting: BTreeSet<_> = found.iter().map(|conflict| conflict.path.clone()).collect();
            let left_out = |path: &TreePath| path.ancestors().any(|above| conflicting.contains(&above));
            edits.retain(|path, _| !left_out(path));
            let given: Vec<_> = changes.iter().filter(|change| !left_out(&change.path)).cloned().collect();
            found.sort_by(|a, b| a.path.names().cmp(b.path.names()));
            if given.is_empty() {
                return Ok(Committed::Nothing { held_back: held, conflicts: found });
            }
            let tree = edit::apply(&mut session, self.store(), head.tree, &edits)?;
            let agreed = match head.tree == published {
                true => tree,
                false => edit::apply(&mut session, self.store(), published, &conflict::edits(&given))?,
            };
            session.settle()?;
            if then == Then::Stay {
                // Files that the machine lost after this would seem to be removed by the workspace.
                self.sync_upper(workspace)?;
            }
            let version = if tree == head.tree { head.clone() } else { self.next_version(&head, tree, by)? };
            let next = match then {
                Then::Stay => Workspace { published: Some(agreed), ..workspace.clone() },
                Then::Step => {
                    Workspace { version: version.number, generation: workspace.generation + 1, published: None, ..workspace.clone() }
                }
            };
            let step = |connection: &rusqlite::Connection| match update(connection, workspace, &next)? {
                true => Ok(()),
                false => Err(busy(workspace)),
            };
            let recorded = match version == head {
                true => step(&*self.records().durable()?).map(|()| true)?,
                false => self.record(&workspace.codebase, &head, &version, step)?,
            };
            if recorded {
                if then == Then::Step {
                    files::remove(&self.generation(workspace))?;
                }
                return Ok(Committed::Made { version, changes: given, held_back: held, conflicts: found });
            }
        }
    }
}

fn too_large(bounds: &Bounds) -> VfsError {
    VfsError::Quota { what: "bytes in the workspace", limit: bounds.bytes }
}

/// Names the bytes of a file.
pub(super) fn hash(file: &mut File, most: u64, bounds: &Bounds) -> Result<(Digest, u64), VfsError> {
    let (mut hasher, mut size) = (Hasher::default(), 0);
    let mut reader = file.take(most.saturating_add(1));
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer).during("reading", "the workspace")? {
            0 if size > most => return Err(too_large(bounds)),
            0 => return Ok((hasher.finish(), size)),
            count => {
                hasher.update(&buffer[..count]);
                size += count as u64;
            }
        }
    }
}

/// Names the bytes of a file and stores them. They are read first: most files of a workspace that publishes often are stored already.
fn store(session: &mut Session<'_>, mut file: File, most: u64, bounds: &Bounds) -> Result<(Digest, u64), VfsError> {
    let (digest, size) = hash(&mut file, most, bounds)?;
    if session.adopt_blob(digest)? {
        return Ok((digest, size));
    }
    file.rewind().during("reading", "the workspace")?;
    session.put(file, most).map_err(|error| match error {
        CasError::Quota { quantity: Quantity::Bytes, .. } => too_large(bounds),
        other => other.into(),
    })
}

/// Finds what differs between two trees; where their digests are equal it does not look.
struct Comparison<'a> {
    vfs: &'a Vfs,
    draft: &'a Draft<'a>,
    view: &'a View<'a>,
    /// What is held back already; `true`: only the bits of a directory.
    held: BTreeMap<&'a TreePath, bool>,
    changes: Vec<Change>,
}

impl Comparison<'_> {
    fn compare(&mut self, path: &TreePath, old: Option<&Entry>, new: Option<&Entry>) -> Result<(), VfsError> {
        if old == new || self.held.get(path) == Some(&false) {
            return Ok(());
        }
        let (before, after) = (old.map(What::from), new.map(What::from));
        let stays = matches!((&before, &after), (Some(What::Directory { .. }), Some(What::Directory { .. })));
        if before != after && !self.held.contains_key(path) && !path.is_top() {
            let change = Change { path: path.clone(), before, after, denied: None };
            if !self.judge(change, old, new)? && !stays {
                return Ok(());
            }
        }
        let Some(Entry::Directory { digest, .. }) = new else { return Ok(()) };
        let new = self.draft.tree(digest)?;
        let old = match old {
            Some(Entry::Directory { digest, .. }) => self.draft.tree(digest)?,
            _ => enclos_cas::Tree::default(),
        };
        let mut names: Vec<_> = old.iter().chain(new.iter()).map(|(name, _)| name).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            self.compare(&path.join(name), old.get(name), new.get(name))?;
        }
        Ok(())
    }

    /// Takes a change in if the rules let the workspace make it; `false`: they do not.
    fn judge(&mut self, mut change: Change, old: Option<&Entry>, new: Option<&Entry>) -> Result<bool, VfsError> {
        let rules = self.view.rules;
        if rules.level(&change.path) != Level::Write {
            return Ok(false);
        }
        if let (Some(Entry::File { digest: a, mode, .. }), Some(Entry::File { digest: b, mode: now, .. })) = (old, new)
            && a == b
            && *now == look::file_mode(Level::Write, *mode, self.view.ownership)
        {
            // The bits as they are shown: nobody changed them.
            return Ok(true);
        }
        if let (Some(Entry::Directory { mode, .. }), Some(Entry::Directory { mode: now, .. })) = (old, new)
            && self.view.ownership == Ownership::One
            && (*mode, *now) == (DIRECTORY_MODE, 0o555)
        {
            // Made by a push, where nothing else may be made.
            return Ok(true);
        }
        if let (Some(entry @ Entry::Directory { .. }), false) = (old, matches!(new, Some(Entry::Directory { .. }))) {
            change.denied = protected(self.vfs.store(), rules, &change.path, entry)?.map(Denied::Protects);
        }
        let allowed = change.denied.is_none();
        self.changes.push(change);
        Ok(allowed)
    }
}
