//! The keeper.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, socket_with, sockopt};

use super::wire::{Message, Word, receive, send};

/// Until a server says otherwise: for the one that has started us to come.
const FIRST: Duration = Duration::from_secs(30);

/// What is held, by name.
type Held = BTreeMap<String, Vec<OwnedFd>>;

/// Keeps until there is nothing to keep, or no server for too long. `path`: where to listen; there is no other keeper there.
///
/// # Errors
/// When it cannot listen there.
pub fn serve(path: &Path) -> std::io::Result<()> {
    raise_bound();
    let listener = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    bind(&listener, &SocketAddrUnix::new(path)?)?;
    listen(&listener, 8)?;
    let mut held = Held::new();
    let mut client: Option<OwnedFd> = None;
    let mut span = FIRST;
    let mut alone_since = Instant::now();
    loop {
        let left = span.saturating_sub(alone_since.elapsed());
        if client.is_none() && left.is_zero() {
            break;
        }
        let time = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX), tv_nsec: i64::from(left.subsec_nanos()) };
        let mut fds = vec![PollFd::new(&listener, PollFlags::IN)];
        fds.extend(client.iter().map(|client| PollFd::new(client, PollFlags::IN)));
        match poll(&mut fds, client.is_none().then_some(&time)) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let happened: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        if happened.get(1) == Some(&true)
            && let Some(talking) = &client
        {
            match receive(talking) {
                Ok(Some(message)) => obey(talking, message, &mut held, &mut span),
                Err(Errno::AGAIN) => {}
                Ok(None) | Err(_) => {
                    client = None;
                    alone_since = Instant::now();
                    if held.is_empty() {
                        break;
                    }
                }
            }
        }
        if happened[0]
            && let Ok(new) = accept_with(&listener, SocketFlags::CLOEXEC)
            && sockopt::socket_peercred(&new).is_ok_and(|peer| peer.uid == rustix::process::geteuid())
        {
            // A server that comes while another is there is the one after it.
            client = Some(new);
        }
    }
    let _ = std::fs::remove_file(path);
    Ok(())
}

fn obey(client: &OwnedFd, message: Message, held: &mut Held, span: &mut Duration) {
    match message.word {
        Word::Put => drop(held.insert(message.name, message.descriptors)),
        Word::Drop => drop(held.remove(&message.name)),
        Word::Span => *span = message.name.parse().map_or(*span, Duration::from_secs),
        Word::All => {
            for (name, descriptors) in held.iter() {
                let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
                // A server that is gone again is noticed by the loop.
                let _ = send(client, Word::Item, name, &borrowed);
            }
            let _ = send(client, Word::End, "", &[]);
        }
        Word::End => drop(send(client, Word::End, "", &[])),
        Word::Item => {}
    }
}

/// As many descriptors as this process may have.
fn raise_bound() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let bound = getrlimit(Resource::Nofile);
    // An error leaves it as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: bound.maximum, maximum: bound.maximum });
}
