//! Files of a running sandbox.

/// What of a file to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileRange {
    /// First byte.
    pub offset: u64,
    /// Most bytes; `None`: the server's bound, which also bounds this.
    pub length: Option<u64>,
}

/// What of a file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePart {
    /// Fewer than were asked for only at the end of the file, or at the server's bound; `size` tells which.
    pub bytes: Vec<u8>,
    /// Bytes of the whole file, as it was then.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO, socket or device.
    Other,
}

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name; bytes that are no UTF-8 are replaced.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// Milliseconds since 1970.
    pub modified_at: i64,
    /// Where a link leads.
    pub link: Option<String>,
}

/// Something changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchEvent {
    /// Inside the workspace, without a leading slash.
    pub path: String,
    /// `added`, `modified`, `deleted`.
    pub kind: &'static str,
}
