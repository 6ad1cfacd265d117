//! Where things lie.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The server's state directory, as the server finds it.
///
/// # Errors
/// One line.
pub fn server(given: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(given) = given {
        return std::path::absolute(given).map_err(|error| format!("--state: {error}"));
    }
    enclos_host::state::directory(&|name| std::env::var_os(name).map(PathBuf::from))
        .ok_or_else(|| "there is no state directory: set HOME, or write --state DIR".to_owned())
}

/// A directory of ours for as long as this lives. What one that was killed left is removed by the next.
#[derive(Debug)]
pub struct Private {
    path: PathBuf,
    _lock: File,
}

impl Private {
    /// Makes one in `base`.
    ///
    /// # Errors
    /// One line.
    pub fn make(base: &Path) -> Result<Private, String> {
        let fail = |path: &Path| {
            let path = path.display().to_string();
            move |error: std::io::Error| format!("{path}: {error}")
        };
        let make = |path: &Path, recursive| std::fs::DirBuilder::new().recursive(recursive).mode(0o700).create(path);
        make(base, true).map_err(fail(base))?;
        sweep(base);
        let path = base.join(unique("run-"));
        make(&path, false).map_err(fail(&path))?;
        let lock = File::open(&path).map_err(fail(&path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|errno| fail(&path)(errno.into()))?;
        Ok(Private { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        let _ = crate::image::remove_all(&self.path);
    }
}

fn sweep(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().as_encoded_bytes().starts_with(b"run-")) {
        let (path, own) = (entry.path(), rustix::process::geteuid().as_raw());
        let ours = entry.metadata().is_ok_and(|stat| stat.is_dir() && stat.uid() == own);
        if ours && File::open(&path).is_ok_and(|directory| flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok()) {
            // What cannot be removed now stays for the next.
            let _ = crate::image::remove_all(&path);
        }
    }
}

/// A name nobody else has.
pub fn unique(prefix: &str) -> OsString {
    let mut bytes = [0_u8; 8];
    // Fails only before the kernel has any randomness at all; then the name is taken, and making it fails.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    format!("{prefix}{:016x}", u64::from_ne_bytes(bytes)).into()
}
