//! The server's side.

use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use enclos_host::tracing;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use super::wire::{Word, receive, send};
use crate::core::later::Later;

/// For a keeper to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something that was kept.
#[derive(Debug)]
pub struct Item {
    /// Its name: the id of a sandbox or a session.
    pub name: String,
    /// What was written down about it.
    pub record: Vec<u8>,
    /// What it lives by.
    pub descriptors: Vec<OwnedFd>,
}

/// A connection to the keeper. What is said is said by a thread of its own, in order: no call waits for it.
#[derive(Debug)]
pub struct Keeper {
    socket: Arc<Mutex<OwnedFd>>,
    saying: Later,
}

impl Keeper {
    /// Connects to the keeper that listens at `path`, or starts one: `program keep PATH`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn connect(path: &Path, program: &Path, span: Duration) -> std::io::Result<Keeper> {
        let socket = match reach(path) {
            Ok(socket) => socket,
            Err(_) => {
                // Its end is nobody's business but the kernel's: it ends long after us, or when it has nothing to do.
                Command::new(program)
                    .arg("keep")
                    .arg(path)
                    .env_clear()
                    .current_dir("/")
                    .stdin(Stdio::null())
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .process_group(0)
                    .spawn()?;
                let until = Instant::now() + PATIENCE;
                loop {
                    match reach(path) {
                        Ok(socket) => break socket,
                        Err(errno) if Instant::now() > until => return Err(errno.into()),
                        Err(_) => std::thread::sleep(Duration::from_millis(2)),
                    }
                }
            }
        };
        send(&socket, Word::Span, &span.as_secs().max(1).to_string(), &[])?;
        Ok(Keeper { socket: Arc::new(Mutex::new(socket)), saying: Later::start()? })
    }

    /// Has a keeper that listens at `path` let everything go.
    pub fn dismiss(path: &Path) {
        let Ok(socket) = reach(path) else { return };
        let names = || -> Result<Vec<String>, Errno> {
            send(&socket, Word::All, "", &[])?;
            let mut names = Vec::new();
            while let Some(message) = receive(&socket)?.filter(|message| message.word == Word::Item) {
                names.push(message.name);
            }
            Ok(names)
        };
        // With nothing left, and us gone, it ends.
        for name in names().unwrap_or_default() {
            let _ = send(&socket, Word::Drop, &name, &[]);
        }
    }

    /// Everything that is kept.
    ///
    /// # Errors
    /// The kernel's.
    pub fn all(&self) -> std::io::Result<Vec<Item>> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        send(&*socket, Word::All, "", &[])?;
        let mut items = Vec::new();
        while let Some(message) = receive(&*socket)? {
            if message.word == Word::End {
                return Ok(items);
            }
            let mut descriptors = message.descriptors.into_iter();
            let Some(record) = descriptors.next() else { continue };
            let mut file = std::fs::File::from(record);
            let mut record = Vec::new();
            file.seek(SeekFrom::Start(0))?;
            file.read_to_end(&mut record)?;
            items.push(Item { name: message.name, record, descriptors: descriptors.collect() });
        }
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }

    /// Has something kept. `make`: gives what is written down about it and what it lives by; it is called by the thread that says it.
    pub fn put(&self, name: &str, make: impl FnOnce() -> Option<(Vec<u8>, Vec<OwnedFd>)> + Send + 'static) {
        let (socket, name) = (Arc::clone(&self.socket), name.to_owned());
        self.saying.push(move || {
            // It has ended meanwhile.
            let Some((record, descriptors)) = make() else { return };
            if let Err(error) = put(&socket, &name, &record, &descriptors) {
                tracing::error!(%error, name, "the keeper does not hold it: it ends with this server");
            }
        });
    }

    /// Has something let go.
    pub fn drop(&self, name: &str) {
        let (socket, name) = (Arc::clone(&self.socket), name.to_owned());
        self.saying.push(move || {
            // Without a keeper nothing is kept.
            let _ = send(&*socket.lock().unwrap_or_else(PoisonError::into_inner), Word::Drop, &name, &[]);
        });
    }

    /// Waits until the keeper has heard everything, and takes leave of it.
    pub fn settle(&self) {
        self.saying.end();
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        if send(&*socket, Word::End, "", &[]).is_ok() {
            let _ = receive(&*socket);
        }
        // From now on the keeper waits for the next server.
        let _ = rustix::net::shutdown(&*socket, rustix::net::Shutdown::Both);
    }
}

fn reach(path: &Path) -> Result<OwnedFd, Errno> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

fn put(socket: &Mutex<OwnedFd>, name: &str, record: &[u8], descriptors: &[OwnedFd]) -> std::io::Result<()> {
    let mut file = std::fs::File::from(memfd_create(c"enclos-kept", MemfdFlags::CLOEXEC)?);
    file.write_all(record)?;
    let mut all = vec![file.as_fd()];
    all.extend(descriptors.iter().map(AsFd::as_fd));
    send(&*socket.lock().unwrap_or_else(PoisonError::into_inner), Word::Put, name, &all)?;
    Ok(())
}
