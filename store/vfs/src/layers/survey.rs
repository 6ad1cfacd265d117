//! A tree seen through rules: the level of every path, and what follows for the directories above.

use std::ffi::OsString;

use enclos_cas::{Entry, Store};

use super::look::Shape;
use crate::edit::DIRECTORY_MODE;
use crate::{Level, Rules, TreePath, VfsError};

/// One path of a tree, or a directory that rules promise.
#[derive(Debug)]
pub(crate) struct Node {
    pub name: OsString,
    /// `None`: it is in no tree; rules promise it.
    pub entry: Option<Entry>,
    pub level: Level,
    /// It, or something below it, is visible.
    pub shown: bool,
    /// What it allows, if it is a directory.
    pub shape: Shape,
    pub below: Vec<Node>,
}

impl Node {
    /// Whether all of it may be changed, and removed.
    pub fn whole(&self) -> bool {
        match self.entry {
            Some(Entry::File { .. } | Entry::Link { .. }) => self.level == Level::Write,
            _ => self.shape == Shape::Whole,
        }
    }

    /// Permission bits the tree gives it.
    pub fn mode(&self) -> u32 {
        match &self.entry {
            Some(Entry::File { mode, .. } | Entry::Directory { mode, .. }) => *mode,
            _ => DIRECTORY_MODE,
        }
    }
}

/// Goes through a whole tree. `entry`: the directory at `path`.
pub(crate) fn survey(store: &Store, rules: &Rules, path: &TreePath, entry: Option<Entry>, promised: &[TreePath]) -> Result<Node, VfsError> {
    let level = rules.level(path);
    let mut node = Node {
        name: path.name().map(OsString::from).unwrap_or_default(),
        shown: level >= Level::View || path.is_top() || entry.is_none(),
        entry,
        level,
        shape: Shape::Closed,
        below: Vec::new(),
    };
    match &node.entry {
        Some(Entry::Directory { digest, .. }) => {
            for (name, entry) in store.tree(digest)?.iter() {
                node.below.push(survey(store, rules, &path.join(name), Some(entry.clone()), promised)?);
            }
        }
        Some(_) => return Ok(node),
        None => {}
    }
    for missing in promised.iter().filter(|p| p.is_within(path) && *p != path) {
        let Some(next) = missing.ancestors().find(|above| above.parent().as_ref() == Some(path)) else { continue };
        if node.below.iter().all(|child| Some(child.name.as_os_str()) != next.name()) {
            node.below.push(survey(store, rules, &next, None, promised)?);
        }
    }
    node.shown |= node.below.iter().any(|child| child.shown);
    if rules.may_create_in(path) {
        let whole = (level == Level::Write || path.is_top()) && node.below.iter().all(Node::whole);
        node.shape = if whole { Shape::Whole } else { Shape::Open };
    }
    Ok(node)
}
