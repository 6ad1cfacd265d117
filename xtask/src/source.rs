//! Rust source with everything that is not code blanked out, so that a check can search for words without tripping over
//! comments, texts and tests.

/// What the scanner is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    Code,
    LineComment,
    /// Nested this deep.
    BlockComment(usize),
    Text,
    /// Raw text that ends at a quote and this many `#`.
    RawText(usize),
}

/// `source` with comments, texts and character literals replaced by spaces; line breaks stay, so line numbers hold.
#[must_use]
pub fn code_only(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut out = String::with_capacity(source.len());
    let mut inside = In::Code;
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (next, step) = match inside {
            In::Code => step_in_code(rest, at.checked_sub(1).map(|i| chars[i])),
            In::LineComment => (if rest[0] == '\n' { In::Code } else { inside }, 1),
            In::BlockComment(depth) => match rest {
                ['*', '/', ..] => (if depth == 1 { In::Code } else { In::BlockComment(depth - 1) }, 2),
                ['/', '*', ..] => (In::BlockComment(depth + 1), 2),
                _ => (inside, 1),
            },
            In::Text => match rest {
                ['\\', _, ..] => (inside, 2),
                ['"', ..] => (In::Code, 1),
                _ => (inside, 1),
            },
            In::RawText(hashes) => {
                let ends = rest[0] == '"' && rest[1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes;
                if ends { (In::Code, 1 + hashes) } else { (inside, 1) }
            }
        };
        let keep = inside == In::Code && next == In::Code && step == 1;
        for c in &rest[..step.min(rest.len())] {
            out.push(if *c == '\n' || keep { *c } else { ' ' });
        }
        inside = next;
        at += step;
    }
    out
}

/// One step in code: what comes next, and how many characters belong to it. A step longer than one is never code.
fn step_in_code(rest: &[char], before: Option<char>) -> (In, usize) {
    let starts_word = !before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest {
        ['/', '/', ..] => (In::LineComment, 2),
        ['/', '*', ..] => (In::BlockComment(1), 2),
        ['"', ..] => (In::Text, 1),
        ['r', '"' | '#', ..] | ['b' | 'c', 'r', '"' | '#', ..] if starts_word => {
            let prefix = if rest[0] == 'r' { 1 } else { 2 };
            let hashes = rest[prefix..].iter().take_while(|c| **c == '#').count();
            // `r#name` is a raw identifier, not a text.
            if rest.get(prefix + hashes) == Some(&'"') { (In::RawText(hashes), prefix + hashes + 1) } else { (In::Code, 1) }
        }
        ['\'', '\\', ..] => (In::Code, 3 + rest[3..].iter().take_while(|c| **c != '\'').count() + 1),
        ['\'', _, '\'', ..] => (In::Code, 3),
        _ => (In::Code, 1),
    }
}

/// [`code_only`] text without the items under `#[cfg(test)]`.
#[must_use]
pub fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut out = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find(MARK) {
        out.push_str(&rest[..start]);
        let item = &rest[start..];
        let end = item_end(item);
        out.extend(item[..end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &item[end..];
    }
    out.push_str(rest);
    out
}

/// Where the item that starts here ends: after its braces, or after the `;` that comes before any.
fn item_end(item: &str) -> usize {
    let mut depth = 0usize;
    for (at, c) in item.char_indices() {
        match c {
            ';' if depth == 0 => return at + 1,
            '{' => depth += 1,
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    item.len()
}

/// Numbers (from 1) of the lines of `code` that contain `word` between characters that cannot belong to a name.
pub fn lines_with<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.lines().enumerate().filter(move |(_, line)| has_word(line, word)).map(|(index, _)| index + 1)
}

/// Whether `line` contains `word` between characters that cannot belong to a name.
#[must_use]
pub fn has_word(line: &str, word: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let open_start = word.starts_with(part_of_name) && before.is_some_and(part_of_name);
        let open_end = word.ends_with(part_of_name) && after.is_some_and(part_of_name);
        !open_start && !open_end
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_vanish_and_lines_stay() {
        let source = "let a = \"unsafe \\\" {\"; // unsafe\n/* unsafe /* nested */ unsafe */ let b = r#\"unsafe\"#;\nlet c = '\"'; let d = unsafe { 1 };\n";
        let code = code_only(source);
        assert_eq!(code.lines().count(), 3);
        assert_eq!(lines_with(&code, "unsafe").collect::<Vec<_>>(), [3]);
        assert!(code.contains("let b =") && code.contains("let c ="));
    }

    #[test]
    fn lifetimes_and_raw_identifiers_are_code() {
        let code = code_only("fn f<'a>(x: &'a str, r#type: char) -> &'a str { let q = '\\''; let z = '\\u{1F600}'; unsafe_free(x) }");
        assert!(code.contains("fn f<'a>(x: &'a str, r#type: char)"), "{code}");
        assert!(code.contains("unsafe_free(x) }"), "{code}");
    }

    #[test]
    fn words_are_whole() {
        assert!(has_word("unsafe{", "unsafe"));
        assert!(!has_word("unsafe_code", "unsafe"));
        assert!(!has_word("an_unsafe", "unsafe"));
        assert!(has_word("x println!(y)", "println!"));
        assert!(!has_word("eprintln!(y)", "println!"));
    }

    #[test]
    fn test_items_vanish() {
        let code = without_tests("fn a() {}\n#[cfg(test)]\nmod tests {\n fn b() { {} }\n}\nfn c() {}\n#[cfg(test)]\nuse x;\nfn d() {}\n");
        assert!(!code.contains("fn b") && !code.contains("use x"), "{code}");
        assert!(code.contains("fn a") && code.contains("fn c") && code.contains("fn d"), "{code}");
        assert_eq!(code.lines().count(), 9);
    }
}
