//! Who may do what with a path: rules, their order, and the reason for each answer.
//!
//! A rule has a pattern, a kind, a [`Level`] and a priority. Of all rules that match a path, the first in this order decides:
//!
//! 1. the higher priority;
//! 2. the kind: file before directory before glob;
//! 3. the more specific pattern: 100 if it begins with `/`, 50 if it does not begin with `**`, the place of its first `**`, and 200 if it has no
//!    `*`, added up (AgentFense's sum, so that its rule lists keep their meaning);
//! 4. the pattern with more characters that stand for themselves;
//! 5. the lower level: of equals, the one that forbids.
//!
//! So the answer does not depend on the order of the list, but for one case: a rule with the same pattern, kind and priority as one before it
//! replaces it. Where no rule matches, the level is `none`.
//!
//! A rule of level `none` that matches a directory also matches all below it: what is in a hidden directory is hidden, unless a rule that comes
//! first in the order shows it. Directories above something visible can be passed through; of what they hold, only that is listed.

mod glob;
mod preset;

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use enclos_cas::{Digest, Hasher};
use serde::{Deserialize, Serialize};

use crate::TreePath;
use glob::Glob;

pub use preset::Preset;

/// What may be done with a path. Each level allows what the one before it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: it is not there.
    #[default]
    None,
    /// Its name, kind and size are shown.
    View,
    /// It can be read.
    Read,
    /// It can be changed, removed and made.
    Write,
}

/// How a rule's pattern is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A pattern (the module `glob` has its words).
    #[default]
    Glob,
    /// A directory, by its path: itself and everything below it.
    Directory,
    /// Exactly this path.
    File,
}

macro_rules! words {
    ($type:ident, $field:literal, $($variant:ident = $word:literal),+) => {
        impl $type {
            /// The word for it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $($type::$variant => $word),+ }
            }
        }
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $type {
            type Err = RuleError;
            fn from_str(text: &str) -> Result<Self, RuleError> {
                match text {
                    $($word => Ok($type::$variant),)+
                    _ => Err(RuleError { pattern: text.chars().take(80).collect(), why: concat!($field, " is one of ", $("`", $word, "` "),+) }),
                }
            }
        }
    };
}

words!(Level, "a level", None = "none", View = "view", Read = "read", Write = "write");
words!(Kind, "a kind", Glob = "glob", Directory = "directory", File = "file");

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which paths.
    pub pattern: String,
    /// How the pattern is meant.
    #[serde(default)]
    pub kind: Kind,
    /// What may be done.
    pub level: Level,
    /// Higher ones decide first.
    #[serde(default)]
    pub priority: i32,
}

impl Rule {
    /// A glob of priority 0.
    #[must_use]
    pub fn glob(pattern: &str, level: Level) -> Rule {
        Rule { pattern: pattern.to_owned(), kind: Kind::Glob, level, priority: 0 }
    }

    /// The same with this kind.
    #[must_use]
    pub fn kind(self, kind: Kind) -> Rule {
        Rule { kind, ..self }
    }

    /// The same with this priority.
    #[must_use]
    pub fn priority(self, priority: i32) -> Rule {
        Rule { priority, ..self }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {} (priority {})", self.kind, self.pattern, self.level, self.priority)
    }
}

/// A rule that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rule {pattern:?}: {why}")]
pub struct RuleError {
    /// Its pattern, or the word in question.
    pub pattern: String,
    /// What is wrong.
    pub why: &'static str,
}

/// Most rules of one list.
const MOST: usize = 10_000;

/// A list of rules, in the order in which they decide.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    ordered: Vec<Ready>,
    digest: Option<Digest>,
}

#[derive(Clone, Debug)]
struct Ready {
    rule: Rule,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Exactly(TreePath),
    Within(TreePath),
    Glob(Glob),
}

/// Why a path has its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The path asked for.
    pub path: TreePath,
    /// Its level.
    pub level: Level,
    /// The rule that decides; `None`: none matches.
    pub rule: Option<Rule>,
    /// What the rule matches: the path, or a directory above it that is hidden.
    pub on: TreePath,
    /// Rules that match too and come later, first the one that would decide next.
    pub others: Vec<Rule>,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, ", self.path, self.level)?;
        let Some(rule) = &self.rule else { return f.write_str("because no rule matches it") };
        write!(f, "by {rule}")?;
        if self.on != self.path {
            write!(f, ", which hides the directory {}", self.on)?;
        }
        self.others.first().map_or(Ok(()), |next| write!(f, "; it comes before {next}"))
    }
}

impl Rules {
    /// Reads a list.
    ///
    /// # Errors
    /// The first rule that cannot be used, by its pattern; more than 10 000 rules.
    pub fn new(rules: &[Rule]) -> Result<Rules, RuleError> {
        if rules.len() > MOST {
            return Err(RuleError { pattern: format!("… {} in all", rules.len()), why: "10000 rules are the most" });
        }
        let mut kept: Vec<&Rule> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        // The last of the same pattern, kind and priority is the one that counts.
        for rule in rules.iter().rev() {
            if seen.insert((&rule.pattern, rule.kind, rule.priority)) {
                kept.push(rule);
            }
        }
        let mut ordered = Vec::with_capacity(kept.len());
        for rule in kept {
            let matcher = matcher(rule).map_err(|why| RuleError { pattern: rule.pattern.chars().take(200).collect(), why })?;
            ordered.push(Ready { rule: rule.clone(), matcher });
        }
        ordered.sort_by(|a, b| a.rank().cmp(&b.rank()));
        let digest = Some(digest(&ordered));
        Ok(Rules { ordered, digest })
    }

    /// The rules, in the order in which they decide.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.ordered.iter().map(|ready| &ready.rule)
    }

    /// Of the rules in their order: lists that answer alike by their text alone have the same.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest.unwrap_or_else(|| digest(&[]))
    }

    /// What may be done with this path.
    #[must_use]
    pub fn level(&self, path: &TreePath) -> Level {
        let above: Vec<TreePath> = path.ancestors().collect();
        self.ordered.iter().find_map(|ready| ready.decides(&above).map(|_| ready.rule.level)).unwrap_or_default()
    }

    /// Which rule decides, and why.
    #[must_use]
    pub fn explain(&self, path: &TreePath) -> Explanation {
        let above: Vec<TreePath> = path.ancestors().collect();
        let mut matching = self.ordered.iter().filter_map(|ready| ready.decides(&above).map(|on| (on.clone(), ready.rule.clone())));
        let first = matching.next();
        let level = first.as_ref().map_or(Level::None, |(_, rule)| rule.level);
        let (on, rule) = first.map_or((path.clone(), None), |(on, rule)| (on, Some(rule)));
        Explanation { path: path.clone(), level, rule, on, others: matching.map(|(_, rule)| rule).collect() }
    }

    /// Whether a name that nobody thought of may be made in this directory.
    #[must_use]
    pub fn may_create_in(&self, directory: &TreePath) -> bool {
        // No rule can name it: it is not UTF-8. Wildcards match it.
        use std::os::unix::ffi::OsStrExt;
        self.level(&directory.join(std::ffi::OsStr::from_bytes(b"\xff\xfe\xff"))) == Level::Write
    }

    /// Directories that rules of level `write` name in full and give with all below: a workspace has them even if its tree does not.
    #[must_use]
    pub fn promised(&self) -> Vec<TreePath> {
        let named = |ready: &Ready| match &ready.matcher {
            Matcher::Within(path) => Some(path.clone()),
            Matcher::Glob(glob) => glob.whole_directory(),
            Matcher::Exactly(_) => None,
        };
        let mut out: Vec<TreePath> = self.ordered.iter().filter(|r| r.rule.level == Level::Write).filter_map(named).collect();
        out.retain(|path| !path.is_top() && self.level(path) == Level::Write && self.may_create_in(path));
        out.sort_unstable();
        out.dedup();
        out
    }
}

impl Ready {
    /// First in the order is least.
    fn rank(&self) -> impl Ord {
        let literals = match &self.matcher {
            Matcher::Glob(glob) => glob.literals(),
            Matcher::Exactly(path) | Matcher::Within(path) => path.as_bytes().len(),
        };
        let Rule { pattern, kind, level, priority } = &self.rule;
        (Reverse(*priority), Reverse(*kind), Reverse(specificity(pattern)), Reverse(literals), *level, pattern.clone())
    }

    /// Whether this rule speaks about the path, which is followed by the directories above it; on what.
    fn decides<'a>(&self, above: &'a [TreePath]) -> Option<&'a TreePath> {
        let reach = if self.rule.level == Level::None { above.len() } else { 1 };
        above[..reach].iter().find(|path| match &self.matcher {
            Matcher::Exactly(own) => own == *path,
            Matcher::Within(own) => path.is_within(own),
            Matcher::Glob(glob) => glob.matches(path),
        })
    }
}

fn matcher(rule: &Rule) -> Result<Matcher, &'static str> {
    match rule.kind {
        Kind::Glob => Glob::new(&rule.pattern).map(Matcher::Glob),
        Kind::Directory => TreePath::parse(&rule.pattern).map(Matcher::Within).map_err(|e| e.why),
        Kind::File => TreePath::parse(&rule.pattern).map(Matcher::Exactly).map_err(|e| e.why),
    }
}

/// AgentFense's sum (dossier, 1.6).
fn specificity(pattern: &str) -> usize {
    let stars = pattern.find("**");
    let start = if pattern.starts_with('/') { 100 } else { 0 };
    let open = if pattern.starts_with("**") { 0 } else { 50 };
    start + open + stars.unwrap_or(0) + if pattern.contains('*') { 0 } else { 200 }
}

fn digest(ordered: &[Ready]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(b"enclos rules 1\n");
    for Ready { rule, .. } in ordered {
        hasher.update(&(rule.pattern.len() as u64).to_be_bytes());
        hasher.update(rule.pattern.as_bytes());
        hasher.update(&[rule.kind as u8, rule.level as u8]);
        hasher.update(&rule.priority.to_be_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests;
