//! An image out of one tar archive: an OCI layout, what `docker save` writes, or a bare root file system.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use tar::{Archive, EntryType};

use super::inflate::{Compression, compression, inflate};
use super::manifest::{self, Config, Parts};
use super::rootfs::{Bounds, Rootfs};
use super::{During, ImageError, Result, layer};

/// Most entries of the outer archive that are told apart; the layers hold the files.
const MOST_PARTS: usize = 4096;

/// Unpacks an archive. `scratch`: a directory of ours for what has to be decompressed first.
pub fn add(path: &Path, scratch: &Path, rootfs: &mut Rootfs) -> Result<(&'static str, Config)> {
    let file = File::open(path).during("opening", path)?;
    let file = plain(file, path, scratch, rootfs.bounds())?;
    let outer = Outer::read(file)?;
    if let Some(found) = manifest::add(&outer, rootfs)? {
        return Ok(found);
    }
    if !["bin", "usr", "etc"].iter().any(|name| outer.tops.contains(*name)) {
        return Err(ImageError::Refused(format!(
            "{path:?} holds no index.json (OCI), no manifest.json (docker save) and no root file system (usr, bin or etc at its top)"
        )));
    }
    let mut file = outer.file;
    file.rewind().during("reading", path)?;
    layer::apply(BufReader::with_capacity(128 << 10, file), rootfs)?;
    Ok(("root file system archive", Config::default()))
}

/// The archive as it is, or decompressed into a file of ours: its parts are read out of order.
fn plain(file: File, path: &Path, scratch: &Path, bounds: &Bounds) -> Result<File> {
    let mut head = [0_u8; 4];
    let count = file.read_at(&mut head, 0).during("reading", path)?;
    if compression(&head[..count]) == Compression::None {
        return Ok(file);
    }
    let name = scratch.join("archive");
    let mut out = File::options().read(true).write(true).create_new(true).open(&name).during("making", &name)?;
    std::fs::remove_file(&name).during("removing", &name)?;
    let most = bounds.bytes;
    let from = inflate(BufReader::with_capacity(128 << 10, file)).during("reading", path)?;
    let copied = std::io::copy(&mut from.take(most + 1), &mut out).during("decompressing", path)?;
    if copied > most {
        return Err(ImageError::Refused(format!("{path:?} has more than {most} bytes when decompressed")));
    }
    out.rewind().during("reading", path)?;
    Ok(out)
}

/// Where the parts of an archive are.
pub struct Outer {
    file: File,
    parts: BTreeMap<String, (u64, u64)>,
    links: BTreeMap<String, String>,
    tops: std::collections::BTreeSet<String>,
}

impl Outer {
    fn read(file: File) -> Result<Outer> {
        let bad = |error: std::io::Error| ImageError::Refused(format!("the archive cannot be read: {error}"));
        let (mut parts, mut links, mut tops) = (BTreeMap::new(), BTreeMap::new(), std::collections::BTreeSet::new());
        // Raw: names of parts are short, and the crate would read a long one into memory whatever its length.
        let mut archive = Archive::new(&file);
        for entry in archive.entries_with_seek().map_err(bad)?.raw(true) {
            let entry = entry.map_err(bad)?;
            let header = entry.header();
            let Ok(name) = std::str::from_utf8(&header.path_bytes()).map(clean) else { continue };
            let Some(name) = name else { continue };
            if let Some(top) = name.split('/').next()
                && tops.len() < MOST_PARTS
            {
                tops.insert(top.to_owned());
            }
            if parts.len() + links.len() >= MOST_PARTS {
                // A root file system; the parts of an image come first or are few.
                break;
            }
            match header.entry_type() {
                EntryType::Regular => {
                    parts.insert(name, (entry.raw_file_position(), header.entry_size().map_err(bad)?));
                }
                EntryType::Symlink | EntryType::Link => {
                    let target = header.link_name_bytes().unwrap_or_default().into_owned();
                    if let Ok(target) = String::from_utf8(target) {
                        let base =
                            if header.entry_type() == EntryType::Link { "" } else { name.rsplit_once('/').map_or("", |(above, _)| above) };
                        if let Some(target) = resolve(base, &target) {
                            links.insert(name, target);
                        }
                    }
                }
                _ => {}
            }
        }
        Ok(Outer { file, parts, links, tops })
    }
}

impl Parts for Outer {
    fn open(&self, name: &str) -> Result<Option<Box<dyn Read + '_>>> {
        let Some(name) = clean(name) else { return Ok(None) };
        let name = self.links.get(&name).unwrap_or(&name);
        let Some(&(start, size)) = self.parts.get(name) else { return Ok(None) };
        let mut file = &self.file;
        file.seek(SeekFrom::Start(start)).during("reading", name)?;
        Ok(Some(Box::new(file.take(size))))
    }

    fn words(&self) -> (&'static str, &'static str) {
        ("oci archive", "docker archive")
    }
}

/// Without `./` and slashes at either end.
fn clean(name: &str) -> Option<String> {
    let parts: Vec<&str> = name.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    (!parts.is_empty() && !parts.contains(&"..")).then(|| parts.join("/"))
}

/// Where a link between parts leads (`docker save` links layers that are the same).
fn resolve(base: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = base.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}
