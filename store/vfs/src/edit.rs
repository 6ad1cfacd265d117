//! New trees from old ones: only the directories on the way to a change are written anew.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;

use enclos_cas::{Digest, Entry, Session, Store, Tree};

use crate::{TreePath, VfsError};

/// Permission bits of a directory that nobody asked for by itself.
pub(crate) const DIRECTORY_MODE: u32 = 0o755;

/// What happens at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A file or link, in place of whatever is there.
    Put(Entry),
    /// A directory with these bits: one that is there keeps what it holds, anything else is replaced.
    Directory {
        /// Permission bits.
        mode: u32,
    },
    /// Nothing, nor anything below.
    Remove,
}

/// What stands at a path; the top is a directory.
///
/// # Errors
/// The store's.
pub fn find(store: &Store, top: &Digest, path: &TreePath) -> Result<Option<Entry>, VfsError> {
    let tree = store.tree(top)?;
    let mut at = tree.as_entry(*top, DIRECTORY_MODE);
    for name in path.names() {
        let Entry::Directory { digest, .. } = &at else { return Ok(None) };
        match store.tree(digest)?.get(name) {
            Some(entry) => at = entry.clone(),
            None => return Ok(None),
        }
    }
    Ok(Some(at))
}

/// Makes a tree: `top` with every edit done. Directories on the way are made where they are missing. Nothing of it is settled.
///
/// # Errors
/// [`VfsError::WrongKind`] for an edit below a file or link; the store's.
pub fn apply(session: &mut Session<'_>, store: &Store, top: Digest, edits: &BTreeMap<TreePath, Edit>) -> Result<Digest, VfsError> {
    session.adopt(top)?;
    apply_in(&mut Written { session, store }, top, edits)
}

/// Where trees are read and put.
pub(crate) trait Trees {
    fn tree(&self, digest: &Digest) -> Result<Tree, VfsError>;
    fn put(&mut self, tree: &Tree) -> Result<Digest, VfsError>;
}

struct Written<'a, 's> {
    session: &'a mut Session<'s>,
    store: &'a Store,
}

impl Trees for Written<'_, '_> {
    fn tree(&self, digest: &Digest) -> Result<Tree, VfsError> {
        Ok(self.store.tree(digest)?)
    }
    fn put(&mut self, tree: &Tree) -> Result<Digest, VfsError> {
        Ok(self.session.put_tree(tree)?)
    }
}

/// Trees that are only looked at: new ones stay in memory, and the files they name need not be stored.
pub(crate) struct Draft<'a> {
    store: &'a Store,
    made: HashMap<Digest, Tree>,
}

impl<'a> Draft<'a> {
    pub fn new(store: &'a Store) -> Draft<'a> {
        Draft { store, made: HashMap::new() }
    }
}

impl Trees for Draft<'_> {
    fn tree(&self, digest: &Digest) -> Result<Tree, VfsError> {
        self.made.get(digest).map_or_else(|| Ok(self.store.tree(digest)?), |tree| Ok(tree.clone()))
    }
    fn put(&mut self, tree: &Tree) -> Result<Digest, VfsError> {
        let digest = tree.digest();
        self.made.insert(digest, tree.clone());
        Ok(digest)
    }
}

/// As [`apply`], with the trees in either place.
pub(crate) fn apply_in(trees: &mut impl Trees, top: Digest, edits: &BTreeMap<TreePath, Edit>) -> Result<Digest, VfsError> {
    let mut plan = Node::default();
    for (path, edit) in edits {
        let mut node = &mut plan;
        for name in path.names() {
            node = node.below.entry(name.to_owned()).or_default();
        }
        node.edit = Some(edit);
    }
    if matches!(plan.edit, Some(Edit::Put(_) | Edit::Remove)) {
        return Err(VfsError::WrongKind { path: TreePath::top(), why: "the top is a directory and stays one" });
    }
    let before = trees.tree(&top)?.as_entry(top, DIRECTORY_MODE);
    match plan.carry_out(trees, &TreePath::top(), Some(&before))? {
        Some(Entry::Directory { digest, .. }) => Ok(digest),
        _ => Err(VfsError::WrongKind { path: TreePath::top(), why: "the top is a directory and stays one" }),
    }
}

/// Edits below one directory.
#[derive(Default)]
struct Node<'a> {
    edit: Option<&'a Edit>,
    below: BTreeMap<OsString, Node<'a>>,
}

impl Node<'_> {
    fn carry_out(&self, trees: &mut impl Trees, path: &TreePath, before: Option<&Entry>) -> Result<Option<Entry>, VfsError> {
        match self.edit {
            Some(Edit::Put(entry)) if self.below.is_empty() => return Ok(Some(entry.clone())),
            Some(Edit::Remove) if self.below.is_empty() => return Ok(None),
            Some(Edit::Put(_) | Edit::Remove) => {
                return Err(VfsError::WrongKind { path: path.clone(), why: "something is to be put below it, so it must be a directory" });
            }
            _ => {}
        }
        let (mut tree, old_mode) = match before {
            Some(Entry::Directory { digest, mode, .. }) => (trees.tree(digest)?, *mode),
            None => (Tree::default(), DIRECTORY_MODE),
            Some(_) if self.edit.is_some() => (Tree::default(), DIRECTORY_MODE),
            Some(_) => {
                return Err(VfsError::WrongKind { path: path.clone(), why: "it is not a directory, and something is to be put below it" });
            }
        };
        let mode = if let Some(Edit::Directory { mode }) = self.edit { *mode } else { old_mode };
        for (name, node) in &self.below {
            let after = node.carry_out(trees, &path.join(name), tree.get(name))?;
            match after {
                Some(entry) => {
                    tree.insert(name, entry).map_err(|_| VfsError::WrongKind { path: path.join(name), why: "no entry can be so" })?
                }
                None => drop(tree.remove(name)),
            }
        }
        if before.is_none() && self.edit.is_none() && tree.is_empty() {
            // Something was to be removed where nothing is.
            return Ok(None);
        }
        let digest = trees.put(&tree)?;
        Ok(Some(tree.as_entry(digest, mode)))
    }
}
