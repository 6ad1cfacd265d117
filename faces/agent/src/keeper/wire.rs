//! Datagrams with descriptors.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Most descriptors of one message.
pub const MOST: usize = 32;
/// Longest text of one message.
const TEXT: usize = 256;

/// What is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// Hold this.
    Put,
    /// Let go of this.
    Drop,
    /// Give copies of everything.
    All,
    /// One of them.
    Item,
    /// That was all; or: it is done.
    End,
    /// How many seconds to do without a server.
    Span,
}

const WORDS: [(Word, &str); 6] =
    [(Word::Put, "put"), (Word::Drop, "drop"), (Word::All, "all"), (Word::Item, "item"), (Word::End, "end"), (Word::Span, "span")];

/// One message.
#[derive(Debug)]
pub struct Message {
    /// What is said.
    pub word: Word,
    /// Of what.
    pub name: String,
    /// What goes with it.
    pub descriptors: Vec<OwnedFd>,
}

/// Sends a message.
pub fn send(socket: impl AsFd, word: Word, name: &str, descriptors: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let text = WORDS.iter().find(|(known, _)| *known == word).map_or("", |(_, text)| *text);
    let line = format!("{text} {name}");
    if descriptors.len() > MOST || line.len() > TEXT {
        return Err(Errno::TOOBIG);
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    loop {
        match sendmsg(&socket, &[IoSlice::new(line.as_bytes())], &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => return other.map(drop),
        }
    }
}

/// Takes a message; `None`: the other end is closed, or said something that is none.
pub fn receive(socket: impl AsFd) -> Result<Option<Message>, Errno> {
    let mut text = [0u8; TEXT];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let mut buffers = [std::io::IoSliceMut::new(&mut text)];
        match recvmsg(&socket, &mut buffers, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other?,
        }
    };
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok(decode(&text[..received.bytes]).map(|(word, name)| Message { word, name, descriptors }))
}

fn decode(text: &[u8]) -> Option<(Word, String)> {
    let (word, name) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    let (word, _) = WORDS.iter().find(|(_, known)| *known == word)?;
    Some((*word, name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    #[test]
    fn what_is_sent_is_received_with_its_descriptors() {
        let (one, two) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let (reader, mut writer) = std::io::pipe().unwrap();
        send(&one, Word::Put, "sb_1", &[reader.as_fd()]).unwrap();
        send(&one, Word::End, "", &[]).unwrap();
        let message = receive(&two).unwrap().unwrap();
        assert_eq!((message.word, message.name.as_str(), message.descriptors.len()), (Word::Put, "sb_1", 1));
        std::io::Write::write_all(&mut writer, b"x").unwrap();
        let mut byte = [0];
        rustix::io::read(&message.descriptors[0], &mut byte).unwrap();
        assert_eq!(&byte, b"x");
        assert_eq!(receive(&two).unwrap().unwrap().word, Word::End);
        rustix::net::send(&one, b"nonsense", SendFlags::empty()).unwrap();
        assert!(receive(&two).unwrap().is_none());
        drop(one);
        assert!(receive(&two).unwrap().is_none());
    }
}
