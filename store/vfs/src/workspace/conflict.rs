//! Whether changes made from one version still fit another.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use enclos_cas::{Digest, Entry, Store, Tree};

use super::diff::{Change, What};
use crate::edit::{DIRECTORY_MODE, Edit};
use crate::{TreePath, VfsError};

/// A path that both sides changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Where.
    pub path: TreePath,
    /// What the workspace was made from.
    pub base: Option<What>,
    /// What the newest version has.
    pub theirs: Option<What>,
    /// What the workspace has.
    pub ours: Option<What>,
}

/// Trees read once.
struct Trees<'a> {
    store: &'a Store,
    read: RefCell<HashMap<Digest, Rc<Tree>>>,
}

impl Trees<'_> {
    fn tree(&self, digest: &Digest) -> Result<Rc<Tree>, VfsError> {
        if let Some(tree) = self.read.borrow().get(digest) {
            return Ok(tree.clone());
        }
        let tree = Rc::new(self.store.tree(digest)?);
        self.read.borrow_mut().insert(*digest, tree.clone());
        Ok(tree)
    }

    fn find(&self, top: &Digest, path: &TreePath) -> Result<Option<Entry>, VfsError> {
        let mut at = Entry::Directory { digest: *top, size: 0, files: 0, mode: DIRECTORY_MODE };
        for name in path.names() {
            let Entry::Directory { digest, .. } = &at else { return Ok(None) };
            match self.tree(digest)?.get(name) {
                Some(entry) => at = entry.clone(),
                None => return Ok(None),
            }
        }
        Ok(Some(at))
    }
}

/// Edits for all changes that are not held back.
pub(crate) fn edits(changes: &[Change]) -> BTreeMap<TreePath, Edit> {
    let edit = |change: &Change| match &change.after {
        None => Some(Edit::Remove),
        Some(What::File { digest, size, mode }) => Some(Edit::Put(Entry::File { digest: *digest, size: *size, mode: *mode })),
        Some(What::Link { target }) => Some(Edit::Put(Entry::Link { target: target.clone() })),
        Some(What::Directory { mode }) => Some(Edit::Directory { mode: *mode }),
        Some(What::Special(_)) => None,
    };
    changes.iter().filter(|c| c.denied.is_none()).filter_map(|c| Some((c.path.clone(), edit(c)?))).collect()
}

/// Edits as they are to be made to `head`, and the changes that cannot be made without losing what somebody else did since `base`. What `head`
/// has already is neither.
pub(crate) fn merge(
    store: &Store,
    base: &Digest,
    head: &Digest,
    changes: &[Change],
) -> Result<(BTreeMap<TreePath, Edit>, Vec<Conflict>), VfsError> {
    let all = edits(changes);
    if base == head {
        return Ok((all, Vec::new()));
    }
    let trees = Trees { store, read: RefCell::default() };
    let ours: HashMap<&TreePath, &Change> = changes.iter().map(|change| (&change.path, change)).collect();
    let (mut fitting, mut found) = (BTreeMap::new(), Vec::new());
    for (path, edit) in &all {
        let (old, new) = (trees.find(base, path)?, trees.find(head, path)?);
        match (edit, &new) {
            (Edit::Remove, None) => continue,
            (Edit::Put(entry), Some(there)) if entry == there => continue,
            _ => {}
        }
        if fits(edit, old.as_ref(), new.as_ref()) && way_is_open(&trees, base, head, path, &all)? {
            fitting.insert(path.clone(), edit.clone());
            continue;
        }
        let ours = ours.get(path).and_then(|change| change.after.clone());
        found.push(Conflict { path: path.clone(), base: old.as_ref().map(What::from), theirs: new.as_ref().map(What::from), ours });
    }
    Ok((fitting, found))
}

fn fits(edit: &Edit, old: Option<&Entry>, new: Option<&Entry>) -> bool {
    match (edit, old, new) {
        (Edit::Directory { mode }, Some(Entry::Directory { mode: old, .. }), Some(Entry::Directory { mode: new, .. })) => {
            old == new || mode == new
        }
        (Edit::Directory { .. }, None, Some(Entry::Directory { .. })) => true,
        _ => old == new,
    }
}

/// Whether the directories above are there still, or become so.
fn way_is_open(
    trees: &Trees<'_>,
    base: &Digest,
    head: &Digest,
    path: &TreePath,
    edits: &BTreeMap<TreePath, Edit>,
) -> Result<bool, VfsError> {
    for above in path.ancestors().skip(1) {
        match trees.find(head, &above)? {
            Some(Entry::Directory { .. }) => return Ok(true),
            _ if matches!(edits.get(&above), Some(Edit::Directory { .. })) => {}
            Some(_) => return Ok(false),
            None if trees.find(base, &above)?.is_some() => return Ok(false),
            None => {}
        }
    }
    Ok(true)
}
