//! What was changed, the question, and the answer carried out.

use std::io::{BufRead, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use enclos_host::table::printable;

use super::super::keep::{self, Keeper, Memo, Outcome, Side, Versions};
use super::super::{say, state};
use crate::LocalAgent;
use crate::api::{Agent, Caller, Change, Commit, Committed};

/// Changes that are listed one by one.
const LISTED: usize = 200;
/// Bytes of a difference that are shown.
const SHOWN: usize = 256 << 10;

/// What becomes of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// All are brought back.
    All,
    /// None is.
    None,
    /// Nobody can be asked, and nobody said: none is, which is told.
    Unasked,
    /// Whoever sits there is asked.
    Ask,
    /// Whoever sat there is gone: they are kept beside.
    Aside,
}

/// What the sandbox made.
pub struct Made<'a> {
    pub agent: &'a LocalAgent,
    pub caller: &'a Caller,
    pub codebase: &'a str,
    pub sandbox: &'a str,
    /// The version that was copied.
    pub version: u64,
}

/// A change that can be brought back.
struct Item {
    change: Change,
    /// Why it is not taken with all others.
    hazard: Option<String>,
}

impl Made<'_> {
    /// Brings back what is wanted. `false`: something could not be.
    ///
    /// # Errors
    /// One line.
    pub fn settle(&self, directory: &OwnedFd, home: &Path, decision: Decision) -> Result<bool, String> {
        let told = |error: crate::api::AgentError| error.to_string();
        let (denied, changes): (Vec<Change>, Vec<Change>) =
            self.agent.diff(self.caller, self.sandbox).map_err(told)?.into_iter().partition(|change| change.denied.is_some());
        for change in denied.iter().take(LISTED) {
            say(&format!("{} stays in the sandbox: {}", change.path, change.denied.as_deref().unwrap_or_default()));
        }
        if changes.is_empty() {
            return Ok(true);
        }
        if decision == Decision::None {
            return Ok(true);
        }
        if decision == Decision::Unasked {
            say(&format!("{} changes are not kept: there is no terminal to ask on (--accept all keeps them)", changes.len()));
            return Ok(true);
        }
        let commit = Commit { drop_denied: true, author: String::new() };
        let now = match self.agent.commit(self.caller, self.sandbox, &commit).map_err(told)? {
            Committed::Made { version, .. } => version,
            Committed::Nothing => return Ok(true),
            other => return Err(format!("the changes cannot be read: {other:?}")),
        };
        let versions = Memo::new(self.agent, self.caller, self.codebase, [self.version, now]);
        let mut items = Vec::new();
        for change in changes {
            let hazard = keep::hazard(&change.path, versions.state(Side::Now, &change.path)?.as_ref());
            items.push(Item { change, hazard });
        }
        let aside = home.join("kept").join(state::unique(""));
        let keeper = Keeper::new(directory, &versions, &aside)?;
        let chosen: Vec<bool> = match decision {
            Decision::Ask => {
                list(&items);
                match ask(&items, &versions)? {
                    Some(chosen) => chosen,
                    None => {
                        put_aside(&keeper, &items, &aside)?;
                        return Ok(true);
                    }
                }
            }
            Decision::Aside => {
                put_aside(&keeper, &items, &aside)?;
                return Ok(true);
            }
            _ => items.iter().map(|item| item.hazard.is_none()).collect(),
        };
        let all = decision == Decision::All || chosen.iter().any(|chosen| *chosen);
        carry_out(&keeper, &items, &chosen, all)
    }
}

fn carry_out(keeper: &Keeper<'_, Memo<'_>>, items: &[Item], chosen: &[bool], tell_held: bool) -> Result<bool, String> {
    let (mut kept, mut whole) = (0_usize, true);
    let aside_of = |path: &str, aside: Option<PathBuf>| aside.map_or(String::new(), |at| format!("; {path} lies in {}", at.display()));
    for (item, chosen) in items.iter().zip(chosen) {
        let path = &item.change.path;
        if !chosen {
            if let (Some(why), true) = (&item.hazard, tell_held) {
                let aside = keeper.set_aside(path)?;
                say(&format!("{path} is held back: {why}{}", aside_of("it", aside)));
            }
            continue;
        }
        match keeper.keep(path) {
            Ok(outcomes) => {
                for (path, outcome) in outcomes {
                    match outcome {
                        Outcome::Kept => kept += 1,
                        Outcome::Conflict { why, aside } => {
                            say(&format!("{path} is not changed: {why}{}", aside_of("the sandbox's", aside)));
                        }
                    }
                }
            }
            Err(line) => {
                whole = false;
                let aside = keeper.set_aside(path)?;
                say(&format!("{path} could not be changed: {line}{}", aside_of("the sandbox's", aside)));
            }
        }
    }
    if kept > 0 {
        say(&format!("{kept} changes kept"));
    }
    Ok(whole)
}

fn put_aside(keeper: &Keeper<'_, Memo<'_>>, items: &[Item], aside: &Path) -> Result<(), String> {
    let mut any = false;
    for item in items {
        any |= keeper.set_aside(&item.change.path)?.is_some();
    }
    if any {
        say(&format!("nobody answers: changed files lie in {}", aside.display()));
    }
    Ok(())
}

/// A change in one line.
fn line(item: &Item) -> String {
    let change = &item.change;
    let size = match (change.kind, change.what, change.size) {
        ("deleted", _, _) | (_, "directory", _) | (_, _, None) => String::new(),
        (_, _, Some(size)) => format!("  {size} bytes"),
    };
    let what = if change.what == "file" { "" } else { change.what };
    let hazard = item.hazard.as_ref().map(|why| format!("  (!) {why}")).unwrap_or_default();
    let path = printable(change.path.as_bytes(), 4096).replace('\n', "\u{fffd}");
    format!("{:<9} {path}{}{what}{size}{hazard}", change.kind, if what.is_empty() { "" } else { "  " })
}

fn out(text: &str) {
    // Whoever sees nothing is asked all the same, and may say no.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

fn list(items: &[Item]) {
    let mut text = String::new();
    for item in items.iter().take(LISTED) {
        text += &format!("{}\n", line(item));
    }
    if items.len() > LISTED {
        text += &format!("… and {} more\n", items.len() - LISTED);
    }
    out(&text);
}

/// The first letter of an answer; `None`: nobody answers.
fn answer(question: &str) -> Option<char> {
    out(question);
    let mut line = String::new();
    match std::io::stdin().lock().read_line(&mut line) {
        Ok(count) if count > 0 => Some(line.trim_start().chars().next().map_or('\n', |c| c.to_ascii_lowercase())),
        _ => None,
    }
}

/// Which are wanted; `None`: nobody answers.
fn ask(items: &[Item], versions: &Memo<'_>) -> Result<Option<Vec<bool>>, String> {
    loop {
        match answer("keep these changes? [y]es/[n]o/[d]iff/[s]elect ") {
            None => return Ok(None),
            Some('y') => return Ok(Some(items.iter().map(|item| item.hazard.is_none()).collect())),
            Some('n') => return Ok(Some(vec![false; items.len()])),
            Some('d') => {
                for item in items {
                    difference(item, versions)?;
                }
            }
            Some('s') => return select(items, versions),
            Some(_) => {}
        }
    }
}

fn difference(item: &Item, versions: &Memo<'_>) -> Result<(), String> {
    let text = keep::unified(versions, &item.change.path)?;
    out(&printable(text.as_bytes(), SHOWN));
    out("\n");
    Ok(())
}

fn select(items: &[Item], versions: &Memo<'_>) -> Result<Option<Vec<bool>>, String> {
    let mut chosen = vec![false; items.len()];
    let mut at = 0;
    while at < items.len() {
        match answer(&format!("{}\n  [y]es/[n]o/[d]iff/[a]ll that follow/[q]uit: none that follow ", line(&items[at]))) {
            None => return Ok(None),
            Some('y') => (chosen[at], at) = (true, at + 1),
            Some('n') => at += 1,
            Some('d') => difference(&items[at], versions)?,
            Some('a') => {
                for (chosen, item) in chosen.iter_mut().zip(items).skip(at) {
                    *chosen = item.hazard.is_none();
                }
                break;
            }
            Some('q') => break,
            Some(_) => {}
        }
    }
    Ok(Some(chosen))
}
