//! A tar archive put over a root file system: a layer of an image (OCI image specification, "Image Layer Filesystem Changeset").
//!
//! Headers are read raw: the crate would read a long name into memory whatever its length, so names and extended headers are read here, bounded.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;

use tar::{Archive, EntryType, PaxExtensions};

use super::rootfs::{Inside, Look, Rootfs};
use super::{ImageError, Result};

/// Most bytes of an extended header.
const MOST_EXTENDED: u64 = 1 << 20;

/// What extended headers say about the entry that follows.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    time: Option<i64>,
}

/// Puts a layer over what is there.
pub fn apply(from: impl Read, rootfs: &mut Rootfs) -> Result<()> {
    let bad = |error: std::io::Error| ImageError::Refused(format!("the archive cannot be read: {error}"));
    let mut archive = Archive::new(from);
    let mut made: HashSet<Inside> = HashSet::new();
    let mut extended = Extended::default();
    for entry in archive.entries().map_err(bad)?.raw(true) {
        let mut entry = entry.map_err(bad)?;
        let header = entry.header().clone();
        let size = header.entry_size().map_err(bad)?;
        let kind = header.entry_type();
        match kind {
            EntryType::GNULongName => extended.path = Some(long(&mut entry, size)?),
            EntryType::GNULongLink => extended.link = Some(long(&mut entry, size)?),
            EntryType::XHeader => extended.read(&bounded(&mut entry, size)?, header_size_of)?,
            // Comments and defaults of the whole archive, which say nothing of a file's place or contents.
            EntryType::XGlobalHeader => {}
            _ => {
                let words = std::mem::take(&mut extended);
                let path = words.path.unwrap_or_else(|| header.path_bytes().into_owned());
                let link = words.link.or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned)).unwrap_or_default();
                let time = words.time.or_else(|| header.mtime().ok().and_then(|time| i64::try_from(time).ok())).unwrap_or(0);
                let look = Look { mode: header.mode().map_err(bad)?, time };
                one(rootfs, &mut made, kind, &path, &link, look, size, &mut entry)?;
            }
        }
    }
    Ok(())
}

/// Only what says another size than the header could mislead the reader about where the next entry begins.
fn header_size_of(key: &[u8]) -> bool {
    key == b"size" || key.starts_with(b"GNU.sparse.")
}

#[expect(clippy::too_many_arguments, reason = "an entry is all of these")]
fn one(
    rootfs: &mut Rootfs,
    made: &mut HashSet<Inside>,
    kind: EntryType,
    path: &[u8],
    link: &[u8],
    look: Look,
    size: u64,
    from: &mut dyn Read,
) -> Result<()> {
    let Some(path) = Inside::read(path, rootfs.bounds())? else {
        return Ok(());
    };
    let name = path.name().as_bytes();
    if name == b".wh..wh..opq" {
        return rootfs.opaque(path.parent().as_ref(), &|below| made.contains(below));
    }
    if let Some(name) = name.strip_prefix(b".wh.") {
        // `.wh..wh.` begins names that other layering file systems keep for themselves.
        if name.starts_with(b".wh.") {
            return Ok(());
        }
        if name.is_empty() || matches!(name, b"." | b"..") {
            return Err(ImageError::Refused(format!("the archive holds a mark of removal that names nothing: {:?}", path.path())));
        }
        return rootfs.whiteout(&path.sibling(name));
    }
    match kind {
        // A path that ends in a slash was a directory before there was a kind for it.
        EntryType::Directory => rootfs.directory(&path, look)?,
        EntryType::Regular | EntryType::Continuous => rootfs.file(&path, look, size, from)?,
        EntryType::Symlink => rootfs.link(&path, link, look.time)?,
        EntryType::Link => {
            let target = Inside::read(link, rootfs.bounds())?;
            let target = target.ok_or_else(|| ImageError::Refused(format!("the archive links {:?} to nothing", path.path())))?;
            rootfs.hard_link(&path, &target)?;
        }
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            rootfs.special();
            return Ok(());
        }
        other => {
            let why = format!("the archive holds {:?}, of a kind that is not unpacked ({:?})", path.path(), char::from(other.as_byte()));
            return Err(ImageError::Refused(why));
        }
    }
    // Directories above it belong to the layer too, or what marks one as opaque would take this away.
    let mut above = Some(path);
    while let Some(path) = above {
        above = path.parent();
        if !made.insert(path) {
            break;
        }
    }
    Ok(())
}

fn bounded(from: &mut dyn Read, size: u64) -> Result<Vec<u8>> {
    if size > MOST_EXTENDED {
        return Err(ImageError::Refused(format!("the archive holds an extended header of {size} bytes: {MOST_EXTENDED} are the most")));
    }
    let mut bytes = Vec::new();
    from.take(size).read_to_end(&mut bytes).map_err(|error| ImageError::Refused(format!("the archive cannot be read: {error}")))?;
    Ok(bytes)
}

/// A name in an entry of its own ends with a zero byte.
fn long(from: &mut dyn Read, size: u64) -> Result<Vec<u8>> {
    let mut bytes = bounded(from, size)?;
    if bytes.last() == Some(&0) {
        bytes.pop();
    }
    Ok(bytes)
}

impl Extended {
    fn read(&mut self, bytes: &[u8], refused: fn(&[u8]) -> bool) -> Result<()> {
        for word in PaxExtensions::new(bytes) {
            let word = word.map_err(|error| ImageError::Refused(format!("the archive holds an extended header that is none: {error}")))?;
            let (key, value) = (word.key_bytes(), word.value_bytes());
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"mtime" => {
                    let seconds = value.split(|&byte| byte == b'.').next().unwrap_or_default();
                    self.time = std::str::from_utf8(seconds).ok().and_then(|text| text.parse().ok());
                }
                key if refused(key) => {
                    let key = OsStr::from_bytes(key);
                    return Err(ImageError::Refused(format!(
                        "the archive holds a file with {key:?} (larger than 8 GiB, or sparse), which is not read"
                    )));
                }
                // Owners, attributes, comments.
                _ => {}
            }
        }
        Ok(())
    }
}
