//! Whole versions as tar archives.

use std::io::{PipeReader, Read};
use std::sync::{Arc, Mutex, PoisonError};

use enclos_cas::Import;
use enclos_vfs::Unpacked;

use super::codebases::version_shown;
use super::{Inner, by, fault};
use crate::api::{Caller, Result, Version};

/// A version on its way out. The store is read by a thread of its own, which ends when nobody reads any more.
#[derive(Debug)]
struct Outgoing {
    pipe: PipeReader,
    failed: Arc<Mutex<Option<std::io::Error>>>,
}

impl Read for Outgoing {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.pipe.read(buffer)?;
        if count == 0
            && !buffer.is_empty()
            && let Some(error) = self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            return Err(error);
        }
        Ok(count)
    }
}

impl Inner {
    /// Stores an archive as a version.
    pub fn upload_tar(&self, caller: &Caller, codebase: &str, replace: bool, from: &mut dyn Read) -> Result<Version> {
        self.check_codebase(caller, codebase)?;
        let unpacked = if replace { Unpacked::Instead } else { Unpacked::Over };
        let bounds = Import { bytes: self.settings.codebase_bytes, entries: self.settings.codebase_files, ..Import::default() };
        let (version, _) = self.vfs.import_archive(codebase, from, unpacked, &bounds, by(&caller.name)).map_err(fault::of_store)?;
        Ok(version_shown(version))
    }

    /// A version as an archive.
    pub fn open_tar(self: &Arc<Self>, caller: &Caller, codebase: &str, version: Option<u64>) -> Result<Box<dyn Read + Send>> {
        self.check_codebase(caller, codebase)?;
        if version.is_none() {
            self.publish_shared(codebase)?;
        }
        let version = self.vfs.version(codebase, version).map_err(fault::of_store)?;
        let (pipe, mut into) = std::io::pipe().map_err(|error| fault::internal("a pipe", &error))?;
        let failed = Arc::new(Mutex::new(None));
        let (inner, told) = (Arc::clone(self), Arc::clone(&failed));
        let send = move || {
            let done =
                inner.vfs.export_archive(&version).map_err(std::io::Error::other).and_then(|mut from| std::io::copy(&mut from, &mut into));
            match done {
                Ok(_) => {}
                // Whoever read has had enough.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                // Before the pipe is closed: whoever finds its end looks here.
                Err(error) => *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(error),
            }
            drop(into);
        };
        std::thread::Builder::new().name("agent-archive".to_owned()).spawn(send).map_err(|error| fault::internal("a thread", &error))?;
        Ok(Box::new(Outgoing { pipe, failed }))
    }
}
