//! Codebases: what goes in and comes out of them.

use std::io::Read;
use std::sync::PoisonError;

use enclos_cas::Entry as Stored;
use enclos_vfs::{Edit, Md5, TreePath, VfsError};

use super::quota::Counted;
use super::table::page_size;
use super::{Codebase as Owned, Inner, by, clock, fault, may_see};
use crate::api::{AgentError, Caller, Codebase, Download, NewCodebase, Page, PageRequest, Result, TreeEntry, Uploaded, Version};

/// Permission bits of a file that names none.
const FILE_MODE: u32 = 0o644;

fn shown(codebase: enclos_vfs::Codebase) -> Codebase {
    Codebase {
        id: codebase.id,
        name: codebase.name,
        owner_id: codebase.owner,
        size: codebase.head.bytes,
        file_count: codebase.head.files,
        version: codebase.head.number,
        created_at: codebase.created,
        updated_at: codebase.head.created,
    }
}

pub(super) fn version_shown(version: enclos_vfs::Version) -> Version {
    Version {
        number: version.number,
        parent: version.parent,
        tree: version.tree.to_string(),
        author: version.author,
        created_at: version.created,
        size: version.bytes,
        file_count: version.files,
    }
}

/// A path as a field.
pub(super) fn tree_path(field: &str, path: &str) -> Result<TreePath> {
    TreePath::parse(path).map_err(|bad| AgentError::invalid(field, bad.to_string()))
}

impl Inner {
    /// Makes an empty codebase.
    pub fn make_codebase(&self, caller: &Caller, new: &NewCodebase) -> Result<Codebase> {
        let share = self.quotas.take(&caller.name, Counted::Codebases, self.settings.quota_codebases)?;
        let made = self.vfs.create_codebase(&new.name, &new.owner_id, clock::now()).map_err(fault::of_store)?;
        self.state.put_codebase(&made.id, &caller.name)?;
        let owned = Owned { owner: caller.name.clone(), _share: share };
        self.codebases.write().unwrap_or_else(PoisonError::into_inner).insert(made.id.clone(), owned);
        Ok(shown(made))
    }

    /// Reads a codebase.
    pub fn read_codebase(&self, caller: &Caller, id: &str) -> Result<Codebase> {
        self.check_codebase(caller, id)?;
        self.publish_shared(id)?;
        self.vfs.codebase(id).map(shown).map_err(fault::of_store)
    }

    /// Lists codebases that the caller may see.
    pub fn list_codebases(&self, caller: &Caller, owner_id: Option<&str>, page: &PageRequest) -> Result<Page<Codebase>> {
        let wanted = page_size(page);
        let mut items = Vec::new();
        let mut token = page.token.clone();
        loop {
            let next = PageRequest { size: wanted - items.len(), token };
            let found = self.vfs.codebases(owner_id, &next).map_err(fault::of_store)?;
            let known = self.codebases.read().unwrap_or_else(PoisonError::into_inner);
            let visible = |id: &str| known.get(id).map_or(caller.operator && id != self.nowhere, |owned| may_see(caller, &owned.owner));
            items.extend(found.items.into_iter().filter(|codebase| visible(&codebase.id)).map(shown));
            match found.next {
                Some(next) if items.len() < wanted => token = next,
                next => return Ok(Page { items, next }),
            }
        }
    }

    /// Removes a codebase.
    pub fn remove_codebase(&self, caller: &Caller, id: &str) -> Result<()> {
        self.check_codebase(caller, id)?;
        self.vfs.delete_codebase(id).map_err(fault::of_store)?;
        self.codebases.write().unwrap_or_else(PoisonError::into_inner).remove(id);
        self.state.remove_codebase(id)
    }

    /// Stores one file.
    pub fn upload_file(
        &self,
        caller: &Caller,
        codebase: &str,
        path: &str,
        mode: Option<u32>,
        expected: Option<u64>,
        from: &mut dyn Read,
    ) -> Result<Uploaded> {
        self.check_codebase(caller, codebase)?;
        let path = tree_path("file_path", path)?;
        let mode = mode.unwrap_or(FILE_MODE);
        let mut read = Md5::of(from);
        let done = self.vfs.upload(codebase, &path, &mut read, mode, expected, by(&caller.name)).map_err(fault::of_store)?;
        self.push_shared(codebase, &path, &Stored::File { digest: done.digest, size: done.size, mode });
        Ok(Uploaded {
            version: done.version.number,
            path: as_shown(&path),
            size: done.size,
            sha256: done.digest.to_string(),
            md5: read.finish(),
        })
    }

    /// Removes paths.
    pub fn remove_paths(&self, caller: &Caller, codebase: &str, paths: &[String]) -> Result<Version> {
        self.check_codebase(caller, codebase)?;
        self.publish_shared(codebase)?;
        let head = self.vfs.version(codebase, None).map_err(fault::of_store)?;
        let mut edits = std::collections::BTreeMap::new();
        for (at, path) in paths.iter().enumerate() {
            let parsed = tree_path(&format!("paths[{at}]"), path)?;
            if parsed.is_top() {
                return Err(AgentError::invalid(format!("paths[{at}]"), "the top stays"));
            }
            if enclos_vfs::edit::find(self.vfs.store(), &head.tree, &parsed).map_err(fault::of_store)?.is_none() {
                return Err(AgentError::not_found("file", as_shown(&parsed)));
            }
            edits.insert(parsed, Edit::Remove);
        }
        if edits.is_empty() {
            return Err(AgentError::invalid("paths", "it is empty: name what is to be removed"));
        }
        // What lies below something that is removed goes with it.
        let tops: Vec<TreePath> = edits.keys().cloned().collect();
        edits.retain(|path, _| !tops.iter().any(|top| top != path && path.is_within(top)));
        let mut session = self.vfs.store().session();
        let made = self.vfs.change(&mut session, codebase, &edits, by(&caller.name)).map_err(fault::of_store)?;
        Ok(version_shown(made))
    }

    /// Opens a file of a version.
    pub fn open_file(&self, caller: &Caller, codebase: &str, version: Option<u64>, path: &str) -> Result<Download> {
        self.check_codebase(caller, codebase)?;
        let path = tree_path("file_path", path)?;
        if version.is_none() {
            self.publish_shared(codebase)?;
        }
        let version = self.vfs.version(codebase, version).map_err(fault::of_store)?;
        let (blob, mode) = self.vfs.download(&version, &path).map_err(|error| match error {
            // As for a path that is not there: there is no file of that name.
            VfsError::NotThere(path) => AgentError::not_found("file", as_shown(&path)),
            other => fault::of_store(other),
        })?;
        Ok(Download { size: blob.size(), mode, from: Box::new(blob) })
    }

    /// Lists files of a version.
    pub fn list_tree(
        &self,
        caller: &Caller,
        codebase: &str,
        version: Option<u64>,
        path: &str,
        recursive: bool,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        self.check_codebase(caller, codebase)?;
        let path = tree_path("path", path)?;
        if version.is_none() && page.token.is_empty() {
            self.publish_shared(codebase)?;
        }
        let version = self.vfs.version(codebase, version).map_err(fault::of_store)?;
        let found = self.vfs.files(&version, &path, recursive, page).map_err(fault::of_store)?;
        let entry = |listed: enclos_vfs::Listed| {
            let (size, mode, link, is_dir) = match &listed.entry {
                Stored::File { size, mode, .. } => (*size, *mode, None, false),
                Stored::Directory { size, mode, .. } => (*size, *mode, None, true),
                Stored::Link { target } => (target.len() as u64, 0o777, Some(target.to_string_lossy().into_owned()), false),
            };
            TreeEntry {
                name: listed.path.name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
                path: as_shown(&listed.path),
                is_dir,
                link,
                size,
                mode,
                modified_at: version.created,
            }
        };
        Ok(Page { items: found.items.into_iter().map(entry).collect(), next: found.next })
    }

    /// Lists versions.
    pub fn list_versions(&self, caller: &Caller, codebase: &str, page: &PageRequest) -> Result<Page<Version>> {
        self.check_codebase(caller, codebase)?;
        let found = self.vfs.versions(codebase, page).map_err(fault::of_store)?;
        Ok(Page { items: found.items.into_iter().map(version_shown).collect(), next: found.next })
    }
}

/// Without a leading slash.
pub(super) fn as_shown(path: &TreePath) -> String {
    path.to_string().trim_start_matches('/').to_owned()
}
