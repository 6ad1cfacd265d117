//! Directories as values: one encoding for each, so that equal directories have equal digests.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use crate::Digest;

/// Permission bits that are kept. Set-user-id, set-group-id and sticky bits are not: a stored tree gives nobody rights.
pub const MODE_BITS: u32 = 0o777;
/// First bytes of every tree. A file may begin with them too: what is a tree is told by who points to it.
const MAGIC: &[u8] = b"enclos tree 1\n";
/// Longest name (`NAME_MAX`) and longest target of a link (`PATH_MAX`), in bytes.
const NAME_MAX: usize = 255;
const TARGET_MAX: usize = 4095;

/// What stands behind a name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Entry {
    /// A regular file.
    File {
        /// Of its bytes.
        digest: Digest,
        /// Bytes.
        size: u64,
        /// Permission bits, [`MODE_BITS`] at most.
        mode: u32,
    },
    /// A directory.
    Directory {
        /// Of its [`Tree`].
        digest: Digest,
        /// Bytes of all files below.
        size: u64,
        /// Files and links below, those in its directories included.
        files: u64,
        /// Permission bits, [`MODE_BITS`] at most.
        mode: u32,
    },
    /// A symbolic link, never followed.
    Link {
        /// Where it says.
        target: OsString,
    },
}

impl Entry {
    /// Bytes of the file or of all files below; 0 for a link.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Entry::File { size, .. } | Entry::Directory { size, .. } => *size,
            Entry::Link { .. } => 0,
        }
    }
}

/// One directory: names, sorted as bytes, and what stands behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree(BTreeMap<OsString, Entry>);

/// Why bytes are not a tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a tree: {0}")]
pub struct TreeError(pub &'static str);

/// A name that no entry can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("name {name:?}: {why}")]
pub struct NameError {
    /// The name, shortened.
    pub name: String,
    /// What is wrong.
    pub why: &'static str,
}

/// Whether an entry can have this name: 1 to 255 bytes without `/` and zero bytes, and neither `.` nor `..`.
///
/// # Errors
/// What is wrong with it.
pub fn check_name(name: &OsStr) -> Result<(), NameError> {
    let bytes = name.as_bytes();
    let why = match bytes {
        b"" => "a name is not empty",
        b"." | b".." => "this is not the name of an entry",
        _ if bytes.len() > NAME_MAX => "255 bytes are the most",
        _ if bytes.contains(&b'/') => "a name holds no slash",
        _ if bytes.contains(&0) => "a name holds no zero byte",
        _ => return Ok(()),
    };
    Err(NameError { name: name.to_string_lossy().chars().take(80).collect(), why })
}

impl Tree {
    /// Puts an entry, in place of one with the same name.
    ///
    /// # Errors
    /// The name, a mode beyond [`MODE_BITS`], or a target that no link can have.
    pub fn insert(&mut self, name: impl Into<OsString>, entry: Entry) -> Result<(), NameError> {
        let name = name.into();
        check_name(&name)?;
        let error = |why| NameError { name: name.to_string_lossy().chars().take(80).collect(), why };
        match &entry {
            Entry::File { mode, .. } | Entry::Directory { mode, .. } if mode & !MODE_BITS != 0 => {
                return Err(error("only mode bits 0777 are kept"));
            }
            Entry::Link { target } if target.is_empty() || target.len() > TARGET_MAX || target.as_bytes().contains(&0) => {
                return Err(error("a link's target has 1 to 4095 bytes and no zero byte"));
            }
            _ => {}
        }
        self.0.insert(name, entry);
        Ok(())
    }

    /// Takes an entry out.
    pub fn remove(&mut self, name: &OsStr) -> Option<Entry> {
        self.0.remove(name)
    }

    /// The entry of this name.
    #[must_use]
    pub fn get(&self, name: &OsStr) -> Option<&Entry> {
        self.0.get(name)
    }

    /// All entries, sorted by name as bytes.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&OsStr, &Entry)> {
        self.0.iter().map(|(name, entry)| (name.as_os_str(), entry))
    }

    /// How many entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all files below.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.values().fold(0, |sum, entry| sum.saturating_add(entry.size()))
    }

    /// Files and links below, those in its directories included.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.0.values().fold(0, |sum, entry| sum.saturating_add(if let Entry::Directory { files, .. } = entry { *files } else { 1 }))
    }

    /// As an entry of the directory above it, with this mode.
    #[must_use]
    pub fn as_entry(&self, digest: Digest, mode: u32) -> Entry {
        Entry::Directory { digest, size: self.size(), files: self.files(), mode }
    }

    /// The one encoding: for each entry its name, a letter, and mode (2 bytes), size (8), digest (32) and for a directory its files (8), or for a
    /// link its target; numbers are big-endian, texts follow their length (2).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        let text = |out: &mut Vec<u8>, bytes: &OsStr| {
            out.extend((bytes.len() as u16).to_be_bytes());
            out.extend(bytes.as_bytes());
        };
        for (name, entry) in &self.0 {
            text(&mut out, name);
            match entry {
                Entry::File { digest, size, mode } | Entry::Directory { digest, size, mode, .. } => {
                    out.push(if matches!(entry, Entry::File { .. }) { b'f' } else { b'd' });
                    out.extend((*mode as u16).to_be_bytes());
                    out.extend(size.to_be_bytes());
                    out.extend(digest.as_bytes());
                    if let Entry::Directory { files, .. } = entry {
                        out.extend(files.to_be_bytes());
                    }
                }
                Entry::Link { target } => {
                    out.push(b'l');
                    text(&mut out, target);
                }
            }
        }
        out
    }

    /// Of its encoding.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.encode())
    }

    /// Reads what [`Tree::encode`] wrote, and nothing else.
    ///
    /// # Errors
    /// Any byte that `encode` would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Tree, TreeError> {
        let mut rest = Rest(bytes.strip_prefix(MAGIC).ok_or(TreeError("it does not begin as one"))?);
        let mut tree = Tree::default();
        while !rest.0.is_empty() {
            let name = rest.text()?;
            if tree.0.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(TreeError("its names are not sorted"));
            }
            let kind = rest.take(1)?[0];
            let entry = match kind {
                b'f' | b'd' => {
                    let mode = u32::from(u16::from_be_bytes(rest.array()?));
                    let size = u64::from_be_bytes(rest.array()?);
                    let digest = Digest::from_bytes(rest.array()?);
                    if kind == b'f' {
                        Entry::File { digest, size, mode }
                    } else {
                        Entry::Directory { digest, size, mode, files: u64::from_be_bytes(rest.array()?) }
                    }
                }
                b'l' => Entry::Link { target: rest.text()? },
                _ => return Err(TreeError("an entry is of no known kind")),
            };
            tree.insert(name, entry).map_err(|_| TreeError("an entry cannot be"))?;
        }
        Ok(tree)
    }
}

/// Bytes not read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TreeError> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(TreeError("it ends in the middle of an entry"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TreeError> {
        self.take(N)?.try_into().map_err(|_| TreeError("it ends in the middle of an entry"))
    }

    fn text(&mut self) -> Result<OsString, TreeError> {
        let length = u16::from_be_bytes(self.array()?);
        Ok(OsString::from_vec(self.take(usize::from(length))?.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entries() -> impl Strategy<Value = Tree> {
        let digest = any::<[u8; 32]>().prop_map(Digest::from_bytes);
        let entry = prop_oneof![
            (digest.clone(), any::<u64>(), 0u32..=0o777).prop_map(|(digest, size, mode)| Entry::File { digest, size, mode }),
            (digest, any::<u64>(), any::<u64>(), 0u32..=0o777).prop_map(|(digest, size, files, mode)| Entry::Directory {
                digest,
                size,
                files,
                mode
            }),
            "[a-z./]{1,20}".prop_map(|target| Entry::Link { target: target.into() }),
        ];
        proptest::collection::btree_map("[^/\0]{1,8}".prop_filter("not an entry's", |n| n != "." && n != ".."), entry, 0..8).prop_map(
            |map| {
                let mut tree = Tree::default();
                map.into_iter().for_each(|(name, entry)| tree.insert(name, entry).unwrap());
                tree
            },
        )
    }

    proptest! {
        #[test]
        fn encoding_is_undone_by_decoding(tree in entries()) {
            prop_assert_eq!(Tree::decode(&tree.encode()), Ok(tree));
        }

        #[test]
        fn there_is_one_encoding(tree in entries(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut bytes = tree.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            if let Ok(other) = Tree::decode(&bytes) {
                prop_assert_eq!(other.encode(), bytes);
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut whole = MAGIC.to_vec();
            whole.extend(bytes);
            if let Ok(tree) = Tree::decode(&whole) {
                prop_assert_eq!(tree.encode(), whole);
            }
        }
    }

    #[test]
    fn names_that_cannot_be_are_refused() {
        let entry = Entry::Link { target: "x".into() };
        for name in ["", ".", "..", "a/b", "a\0b", &"x".repeat(256)] {
            assert!(Tree::default().insert(name, entry.clone()).is_err(), "{name:?}");
        }
        for name in ["...", "..x", "-", "\n", &"x".repeat(255)] {
            Tree::default().insert(name, entry.clone()).unwrap();
        }
        let file = Entry::File { digest: Digest::of(b""), size: 0, mode: 0o4755 };
        assert!(Tree::default().insert("set-id", file).is_err());
    }
}
