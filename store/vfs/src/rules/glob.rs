//! Patterns for paths.
//!
//! ```text
//! *       any characters of one name        [a-z] [!a-z]   one character (not) of these
//! ?       one character                     {a,b}          either text, which may hold slashes and patterns
//! **/     any directories, or none          \c             the character c itself
//! /**     the directory itself and everything below it
//! ```
//!
//! A pattern is read from the top of the tree, with or without a leading slash: `*.md` is at the top, `**/*.md` anywhere. `**` that is not a whole
//! name is `*` (as in gitignore(5)). Characters are compared as they are; a byte that is not UTF-8 is one character that only patterns match.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::TreePath;

/// Most texts that braces of one pattern stand for.
const MOST: usize = 256;
/// Longest pattern, in bytes.
const LONGEST: usize = 1024;

/// A pattern, ready to match.
#[derive(Clone, Debug)]
pub struct Glob {
    alternatives: Vec<Vec<Segment>>,
    literals: usize,
}

#[derive(Clone, Debug)]
enum Segment {
    /// `**`.
    Directories,
    Name(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    One(u32),
    Any,
    Star,
    Class { negated: bool, ranges: Vec<(u32, u32)> },
}

/// Why a pattern cannot be used.
pub type Why = &'static str;

impl Glob {
    /// Reads a pattern.
    pub fn new(pattern: &str) -> Result<Glob, Why> {
        if pattern.is_empty() {
            return Err("a pattern is not empty");
        }
        if pattern.len() > LONGEST {
            return Err("1024 bytes are the most");
        }
        if pattern.contains('\0') {
            return Err("a pattern holds no zero byte");
        }
        if pattern.starts_with('!') {
            return Err("there is no negation with `!`: write a rule with a higher priority, or \\! for the character");
        }
        let mut alternatives = Vec::new();
        for text in braces(&pattern.chars().collect::<Vec<_>>())? {
            alternatives.push(segments(&text)?);
        }
        let count = |segments: &Vec<Segment>| {
            segments
                .iter()
                .map(|s| if let Segment::Name(tokens) = s { tokens.iter().filter(|t| matches!(t, Token::One(_))).count() } else { 0 })
                .sum()
        };
        let literals = alternatives.iter().map(count).min().unwrap_or(0);
        Ok(Glob { alternatives, literals })
    }

    /// Characters that stand for themselves alone: the more, the more is known about what matches.
    pub fn literals(&self) -> usize {
        self.literals
    }

    /// Whether the path matches.
    pub fn matches(&self, path: &TreePath) -> bool {
        let names: Vec<Vec<u32>> = path.names().map(characters).collect();
        self.alternatives.iter().any(|segments| reaches(segments, &names))
    }

    /// The directories at the start that no wildcard leaves open, if all below the last is meant: `output` for `/output/**`.
    pub fn whole_directory(&self) -> Option<TreePath> {
        let [segments] = &self.alternatives[..] else { return None };
        let (Segment::Directories, above) = segments.split_last()? else { return None };
        let mut path = TreePath::top();
        for segment in above {
            let Segment::Name(tokens) = segment else { return None };
            let name: Option<String> = tokens.iter().map(|t| if let Token::One(c) = t { char::from_u32(*c) } else { None }).collect();
            path = path.join(OsStr::new(&name?));
        }
        (!path.is_top()).then_some(path)
    }
}

/// Characters of a name; a byte that is not UTF-8 becomes a number that is no character's, so that no pattern can name it.
fn characters(name: &OsStr) -> Vec<u32> {
    let mut out = Vec::with_capacity(name.len());
    for chunk in name.as_bytes().utf8_chunks() {
        out.extend(chunk.valid().chars().map(u32::from));
        out.extend(chunk.invalid().iter().map(|byte| 0x11_0000 + u32::from(*byte)));
    }
    out
}

/// What the braces of a pattern stand for.
fn braces(text: &[char]) -> Result<Vec<Vec<char>>, Why> {
    let Some(open) = unescaped(text, 0, |c| c == '{') else {
        return if unescaped(text, 0, |c| c == '}').is_some() { Err("a `}` has no `{`") } else { Ok(vec![text.to_vec()]) };
    };
    if unescaped(&text[..open], 0, |c| c == '}').is_some() {
        return Err("a `}` has no `{`");
    }
    let (mut depth, mut at, mut start, mut parts) = (1, open + 1, open + 1, Vec::new());
    let close = loop {
        let found = unescaped(text, at, |c| matches!(c, '{' | '}' | ',')).ok_or("a `{` has no `}`")?;
        match text[found] {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && text[found] == ',') {
            parts.push(&text[start..found]);
            start = found + 1;
        }
        if depth == 0 {
            break found;
        }
        at = found + 1;
    };
    let mut out = Vec::new();
    for part in parts {
        let whole: Vec<char> = text[..open].iter().chain(part).chain(&text[close + 1..]).copied().collect();
        out.extend(braces(&whole)?);
        if out.len() > MOST {
            return Err("its braces stand for more than 256 texts");
        }
    }
    Ok(out)
}

/// The next character from `at` on that is wanted, and neither escaped nor in a class.
fn unescaped(text: &[char], mut at: usize, wanted: impl Fn(char) -> bool) -> Option<usize> {
    while at < text.len() {
        match text[at] {
            '\\' => at += 1,
            '[' => at = class_end(text, at).unwrap_or(at),
            c if wanted(c) => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Where the class that begins here ends.
fn class_end(text: &[char], open: usize) -> Option<usize> {
    let mut at = open + 1;
    at += usize::from(matches!(text.get(at), Some('!' | '^')));
    let first = at;
    while at < text.len() {
        match text[at] {
            '\\' => at += 1,
            ']' if at > first => return Some(at),
            '/' => return None,
            _ => {}
        }
        at += 1;
    }
    None
}

fn segments(text: &[char]) -> Result<Vec<Segment>, Why> {
    let mut out = Vec::new();
    let mut start = 0;
    loop {
        let end = unescaped(text, start, |c| c == '/').unwrap_or(text.len());
        let name = &text[start..end];
        match name {
            [] | ['.'] => {}
            ['.', '.'] => return Err("`..` is not taken"),
            ['*', '*'] => {
                if !matches!(out.last(), Some(Segment::Directories)) {
                    out.push(Segment::Directories);
                }
            }
            _ => out.push(Segment::Name(tokens(name)?)),
        }
        if end == text.len() {
            return Ok(out);
        }
        start = end + 1;
    }
}

fn tokens(name: &[char]) -> Result<Vec<Token>, Why> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < name.len() {
        match name[at] {
            '\\' => {
                at += 1;
                out.push(Token::One(u32::from(*name.get(at).ok_or("it ends in a backslash")?)));
            }
            '?' => out.push(Token::Any),
            '*' if out.last() == Some(&Token::Star) => {}
            '*' => out.push(Token::Star),
            '[' => {
                let end = class_end(name, at).ok_or("a `[` has no `]`")?;
                out.push(class(&name[at + 1..end])?);
                at = end;
            }
            c => out.push(Token::One(u32::from(c))),
        }
        at += 1;
    }
    Ok(out)
}

fn class(inside: &[char]) -> Result<Token, Why> {
    let (negated, mut rest) = match inside {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, inside),
    };
    let mut ranges = Vec::new();
    let one = |rest: &mut &[char]| -> Result<u32, Why> {
        let (c, after) = match **rest {
            ['\\', c, ref after @ ..] => (c, after),
            [c, ref after @ ..] if c != '\\' => (c, after),
            _ => return Err("a `[` has no `]`"),
        };
        *rest = after;
        Ok(u32::from(c))
    };
    while !rest.is_empty() {
        let low = one(&mut rest)?;
        let high = match rest {
            ['-', after @ ..] if !after.is_empty() => {
                rest = after;
                one(&mut rest)?
            }
            _ => low,
        };
        if low > high {
            return Err("a range in `[…]` runs backwards");
        }
        ranges.push((low, high));
    }
    if ranges.is_empty() { Err("`[]` matches nothing") } else { Ok(Token::Class { negated, ranges }) }
}

/// Whether the names match the segments: dynamic programming, so that no pattern costs more than names × segments.
fn reaches(segments: &[Segment], names: &[Vec<u32>]) -> bool {
    // `now[i]`: the first i names match the segments so far.
    let mut now = vec![false; names.len() + 1];
    now[0] = true;
    for segment in segments {
        let mut next = vec![false; names.len() + 1];
        match segment {
            Segment::Directories => {
                let mut any = false;
                for (to, from) in next.iter_mut().zip(&now) {
                    any |= from;
                    *to = any;
                }
            }
            Segment::Name(tokens) => {
                for (i, name) in names.iter().enumerate() {
                    next[i + 1] = now[i] && name_matches(tokens, name);
                }
            }
        }
        now = next;
    }
    now[names.len()]
}

/// One name, with at most one star remembered (the classical walk; a later star makes an earlier one irrelevant).
fn name_matches(tokens: &[Token], name: &[u32]) -> bool {
    let (mut t, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match tokens.get(t) {
            Some(Token::Star) => {
                star = Some((t, n));
                t += 1;
            }
            Some(token) if one_matches(token, name[n]) => {
                t += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                t = at + 1;
                n = from + 1;
            }
        }
    }
    tokens[t..].iter().all(|token| *token == Token::Star)
}

fn one_matches(token: &Token, c: u32) -> bool {
    match token {
        Token::One(own) => *own == c,
        Token::Any => true,
        Token::Star => false,
        Token::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Glob::new(pattern).unwrap().matches(&TreePath::parse(path).unwrap())
    }

    #[test]
    fn w13_patterns_mean_what_they_say() {
        for (pattern, yes, no) in [
            ("*.md", &["a.md", ".md"][..], &["docs/a.md", "a.mdx"][..]),
            ("/*.md", &["a.md"], &["docs/a.md"]),
            ("docs/*", &["docs/a"], &["docs", "docs/a/b", "x/docs/a"]),
            ("**/*.py", &["a.py", "a/b/c.py"], &["a.pyc"]),
            ("/docs/**", &["docs", "docs/a", "docs/a/b"], &["docsx", "other/docs"]),
            ("**/secrets/**", &["secrets", "secrets/a", "app/secrets", "app/secrets/x/y"], &["secretsx", "mysecrets/a"]),
            ("**/.git/**", &[".git", ".git/config", "sub/.git/HEAD"], &[".gitignore", "a.git/x"]),
            ("**/a/b.txt", &["a/b.txt", "x/y/a/b.txt"], &["b.txt", "a/x/b.txt"]),
            ("a/**/b/**", &["a/b", "a/b/c", "a/x/y/b/z"], &["a", "b", "x/a/b"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/b/c"]),
            ("**/*", &["a", "a/b", ".hidden"], &[""]),
            ("**", &["", "a", "a/b"], &[]),
            ("{a,b}", &["a", "b"], &["c", "ab", "{a,b}"]),
            ("**/*.{key,p{em,12}}", &["x.key", "d/x.pem", "x.p12"], &["x.p", "x.pub"]),
            ("{src,lib/**}/x", &["src/x", "lib/x", "lib/a/x"], &["x"]),
            ("[a-c]?[!0-9]", &["abx", "c.é"], &["ab1", "dxx", "abxx"]),
            ("[]a]", &["]", "a"], &["b"]),
            ("\\*\\{", &["*{"], &["a{"]),
            ("**/.env*", &[".env", ".env.local", "x/.environment"], &["env", "a.env"]),
            ("a**b", &["ab", "axxb"], &["a/b"]),
            ("s[éa]", &["sé", "sa"], &["se"]),
        ] {
            yes.iter().for_each(|path| assert!(matches(pattern, path), "{pattern} should match {path}"));
            no.iter().for_each(|path| assert!(!matches(pattern, path), "{pattern} should not match {path}"));
        }
        let strange = TreePath::parse(b"a\xff.key").unwrap();
        assert!(Glob::new("**/a?.key").unwrap().matches(&strange));
        assert!(!Glob::new("**/a\u{fffd}.key").unwrap().matches(&strange));
    }

    #[test]
    fn w13_a_pattern_that_cannot_be_is_refused() {
        let many = "{a,b}".repeat(9);
        for pattern in ["", "[a", "a[]", "{a", "a}", "{a,{b}", "a\\", "[z-a]", "../x", "a/../b", "!a", "a\0", &many, &"x".repeat(1025)] {
            assert!(Glob::new(pattern).is_err(), "{pattern:?}");
        }
    }

    #[test]
    fn a_hostile_pattern_costs_little() {
        let pattern = format!("{}b", "*a".repeat(400));
        assert!(!matches(&pattern, &"a".repeat(255)));
        let deep = format!("{}x", "**/a/".repeat(150));
        assert!(!matches(&deep, &"a/".repeat(1500)));
    }

    #[test]
    fn whole_directories_are_known() {
        let whole = |pattern: &str| Glob::new(pattern).unwrap().whole_directory().map(|p| p.to_string());
        assert_eq!(whole("/output/**").as_deref(), Some("/output"));
        assert_eq!(whole("a/b/**").as_deref(), Some("/a/b"));
        for none in ["**", "**/a/**", "a*/**", "a/*", "a", "{a,b}/**"] {
            assert_eq!(whole(none), None, "{none}");
        }
    }
}
