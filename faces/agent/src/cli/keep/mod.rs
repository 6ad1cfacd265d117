//! Bringing changes back into the directory they were made from.
//!
//! A sandbox worked on a copy. What of its changes is wanted is written to the directory here, path by path, so that
//!
//! - nothing outside of the directory is touched: every path is looked up from one descriptor, through no link and no mount (`openat2(2)`);
//! - nothing is lost that somebody else wrote meanwhile: a path is changed only if it still is what was copied, byte for byte; else the change
//!   is a conflict, named, and kept aside;
//! - each file is there whole or not at all: written beside its place, then exchanged with what is there, looked at once more, and put back if it
//!   was not what it was a moment before;
//! - nothing comes in that a program outside would act upon by itself, unless it was asked for by name ([`hazard`]).

mod diff;
mod hazard;
mod place;
#[cfg(test)]
mod tests;
mod versions;

use std::path::{Path, PathBuf};

use rustix::fs::FileType;

use place::{Found, Place};

pub use diff::unified;
pub use hazard::hazard;
pub use versions::{Memo, Side, State, Versions};

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The directory has it now.
    Kept,
    /// Somebody changed the same: in words, and where our side of it lies, if it has one.
    Conflict {
        /// What is there now, against what was copied.
        why: String,
        /// Where the file that was to be written lies instead.
        aside: Option<PathBuf>,
    },
}

/// Writes changes to a directory.
#[derive(Debug)]
pub struct Keeper<'a, V: Versions> {
    place: Place,
    versions: &'a V,
    /// Where conflicts are kept; made when there is one.
    aside: PathBuf,
}

/// Why the walk stopped at a path: not a fault, but a conflict.
type Checked<T> = Result<Result<T, String>, String>;

impl<'a, V: Versions> Keeper<'a, V> {
    /// For a directory that was opened before it was copied.
    ///
    /// # Errors
    /// One line.
    pub fn new(directory: &std::os::fd::OwnedFd, versions: &'a V, aside: &Path) -> Result<Keeper<'a, V>, String> {
        Ok(Keeper { place: Place::new(directory)?, versions, aside: aside.to_owned() })
    }

    /// Brings one path to what it is in the sandbox. Parents come before what is in them.
    ///
    /// # Errors
    /// One line: what could not be done, with the path. Everything is as it was.
    pub fn keep(&self, path: &str) -> Result<Vec<(String, Outcome)>, String> {
        let (base, now) = (self.versions.state(Side::Base, path)?, self.versions.state(Side::Now, path)?);
        let mut outcomes = Vec::new();
        match (&base, &now) {
            (None, None) => return Err("its name is no text that can be carried back".to_owned()),
            (_, None) => self.remove(path, &mut outcomes)?,
            // One kind in the place of another: first the old one goes.
            (Some(State::Directory { .. }), Some(State::File { .. } | State::Link { .. }))
            | (Some(State::File { .. } | State::Link { .. }), Some(State::Directory { .. })) => {
                self.remove(path, &mut outcomes)?;
                if outcomes.iter().all(|(_, outcome)| *outcome == Outcome::Kept) {
                    outcomes = vec![self.put(path, None, &now)?];
                }
            }
            _ => outcomes.push(self.put(path, base.as_ref(), &now)?),
        }
        Ok(outcomes)
    }

    fn put(&self, path: &str, base: Option<&State>, now: &Option<State>) -> Result<(String, Outcome), String> {
        let Some(now) = now else { return Err(format!("{path}: there is nothing to write")) };
        let outcome = match self.write(path, base, now)? {
            Ok(()) => Outcome::Kept,
            Err(why) => Outcome::Conflict { why, aside: self.set_aside(path)? },
        };
        Ok((path.to_owned(), outcome))
    }

    /// What is there, if it is still what was copied. `Ok(None)`: nothing, as it was.
    fn unchanged(&self, parent: &place::Parent, path: &str, base: Option<&State>) -> Checked<Option<Found>> {
        let found = parent.found(path)?;
        Ok(match (base, found) {
            (None, None) => Ok(None),
            (None, Some(found)) => Err(format!("there is a {} now, which was not there", found.word())),
            (Some(_), None) => Err("it was removed meanwhile".to_owned()),
            (Some(State::Directory { .. }), Some(found)) if found.kind == FileType::Directory => Ok(Some(found)),
            (Some(State::Link { target }), Some(found)) if found.kind == FileType::Symlink => {
                if parent.target(path)? == *target {
                    Ok(Some(found))
                } else {
                    Err("its link was changed meanwhile".to_owned())
                }
            }
            (Some(State::File { mode, size }), Some(found)) if found.kind == FileType::RegularFile => {
                if found.mode & 0o777 != *mode {
                    Err(format!("its mode was changed meanwhile, from {mode:04o} to {:04o}", found.mode & 0o777))
                } else if found.size != *size || !parent.same(path, &found, self.versions.open(Side::Base, path)?)? {
                    Err("it was changed meanwhile".to_owned())
                } else {
                    Ok(Some(found))
                }
            }
            (Some(_), Some(found)) => Err(format!("it became a {} meanwhile", found.word())),
        })
    }

    /// Whether what is there is already what is wanted.
    fn arrived(&self, parent: &place::Parent, path: &str, now: &State) -> Result<bool, String> {
        let Some(found) = parent.found(path)? else { return Ok(false) };
        Ok(match now {
            State::File { mode, size } if found.kind == FileType::RegularFile && found.mode & 0o777 == *mode && found.size == *size => {
                parent.same(path, &found, self.versions.open(Side::Now, path)?)?
            }
            State::Link { target } => found.kind == FileType::Symlink && parent.target(path)? == *target,
            // A directory that both sides made is one directory.
            State::Directory { .. } => found.kind == FileType::Directory,
            State::File { .. } => false,
        })
    }

    fn write(&self, path: &str, base: Option<&State>, now: &State) -> Checked<()> {
        let parent = match self.parent(path)? {
            Ok(parent) => parent,
            Err(why) => return Ok(Err(why)),
        };
        let found = match self.unchanged(&parent, path, base)? {
            Ok(found) => found,
            Err(_) if self.arrived(&parent, path, now)? => return Ok(Ok(())),
            Err(why) => return Ok(Err(why)),
        };
        match now {
            State::Directory { mode } => parent.directory(path, *mode, found.is_some()),
            State::Link { target } => parent.link(path, target, found.as_ref()),
            State::File { mode, .. } => parent.file(path, *mode, self.versions.open(Side::Now, path)?, found.as_ref()),
        }
    }

    /// The directory that holds a path. One that is missing is made only where there was none when it was copied.
    fn parent(&self, path: &str) -> Checked<place::Parent> {
        let Some((above, _)) = path.rsplit_once('/') else { return Ok(self.place.open("")?.map_err(|way| way.words(""))) };
        match self.place.open(above)? {
            Ok(parent) => return Ok(Ok(parent)),
            Err(place::Way::Blocked(why)) => return Ok(Err(place::Way::Blocked(why).words(above))),
            Err(place::Way::Missing) => {}
        }
        let mode = match (self.versions.state(Side::Base, above)?, self.versions.state(Side::Now, above)?) {
            (None, Some(State::Directory { mode })) => mode,
            _ => return Ok(Err(place::Way::Missing.words(above))),
        };
        match self.write(above, None, &State::Directory { mode })? {
            Ok(()) => Ok(self.place.open(above)?.map_err(|way| way.words(above))),
            Err(why) => Ok(Err(why)),
        }
    }

    /// Removes a path as it was copied; of a directory everything that was copied, and then the directory if nothing else is in it.
    fn remove(&self, path: &str, outcomes: &mut Vec<(String, Outcome)>) -> Result<(), String> {
        let Some(base) = self.versions.state(Side::Base, path)? else { return Ok(()) };
        let mut told = |outcome| outcomes.push((path.to_owned(), outcome));
        let conflict = |why| Outcome::Conflict { why, aside: None };
        let above = path.rsplit_once('/').map_or("", |(above, _)| above);
        let parent = match self.place.open(above)? {
            Ok(parent) => parent,
            // Gone with all that was in it.
            Err(place::Way::Missing) => {
                told(Outcome::Kept);
                return Ok(());
            }
            Err(way) => {
                told(conflict(way.words(above)));
                return Ok(());
            }
        };
        if parent.found(path)?.is_none() {
            told(Outcome::Kept);
            return Ok(());
        }
        let found = match self.unchanged(&parent, path, Some(&base))? {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(why) => {
                told(conflict(why));
                return Ok(());
            }
        };
        if !matches!(base, State::Directory { .. }) {
            told(match parent.remove(path, &found)? {
                Ok(()) => Outcome::Kept,
                Err(why) => conflict(why),
            });
            return Ok(());
        }
        for name in self.versions.names(Side::Base, path)? {
            self.remove(&format!("{path}/{name}"), outcomes)?;
        }
        outcomes.retain(|(at, outcome)| *outcome != Outcome::Kept || !at.starts_with(&format!("{path}/")));
        let outcome = match parent.remove_directory(path)? {
            Ok(()) => Outcome::Kept,
            Err(why) => conflict(why),
        };
        outcomes.push((path.to_owned(), outcome));
        Ok(())
    }

    /// Keeps the sandbox's side of a path beside; `None`: there is nothing to keep.
    ///
    /// # Errors
    /// One line.
    pub fn set_aside(&self, path: &str) -> Result<Option<PathBuf>, String> {
        let Some(State::File { .. }) = self.versions.state(Side::Now, path)? else { return Ok(None) };
        let to = self.aside.join(path);
        let fail = |error: std::io::Error| format!("{}: {error}", to.display());
        std::fs::create_dir_all(to.parent().unwrap_or(&self.aside)).map_err(fail)?;
        let mut from = self.versions.open(Side::Now, path)?;
        // A directory of ours, which nobody else writes.
        let mut file = std::fs::File::create(&to).map_err(fail)?;
        std::io::copy(&mut from, &mut file).map_err(fail)?;
        Ok(Some(to))
    }
}
