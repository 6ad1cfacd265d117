//! Comparing texts: byte by byte, line by line, word by word, in any order.

use super::Found;

/// Blank of a text: what C's `isspace` says.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// Most of a line or word that a message shows.
const SHOWN: usize = 60;

/// Fit for a message: bounded, with what is not printable ASCII escaped.
fn shown(bytes: &[u8]) -> String {
    let cut = &bytes[..bytes.len().min(SHOWN)];
    format!("\"{}\"{}", cut.escape_ascii(), if cut.len() < bytes.len() { "…" } else { "" })
}

fn or_end(bytes: Option<&[u8]>, end: &str) -> String {
    bytes.map_or_else(|| end.to_owned(), shown)
}

/// Byte by byte.
pub fn exact(expected: &[u8], printed: &[u8]) -> Found {
    if expected == printed {
        return Found::Same;
    }
    let at = expected.iter().zip(printed).position(|(a, b)| a != b).unwrap_or_else(|| expected.len().min(printed.len()));
    let line = expected[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let rest = |bytes: &[u8]| if at < bytes.len() { shown(&bytes[at..bytes.len().min(at + SHOWN)]) } else { "the end".to_owned() };
    Found::Differs(format!("byte {} (line {line}): expected {}, got {}", at + 1, rest(expected), rest(printed)))
}

/// Lines without the blanks at their ends; empty lines at the end of the text are none.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = text.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
    let text = &text[..end];
    let count = if text.is_empty() { 0 } else { usize::MAX };
    text.split(|byte| *byte == b'\n').take(count).map(|line| {
        let end = line.iter().rposition(|byte| !is_blank(*byte)).map_or(0, |last| last + 1);
        &line[..end]
    })
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty())
}

/// The first place where two sequences differ.
fn first_difference<'a>(
    unit: &str,
    mut expected: impl Iterator<Item = &'a [u8]>,
    mut printed: impl Iterator<Item = &'a [u8]>,
    same: impl Fn(&[u8], &[u8]) -> bool,
) -> Found {
    let mut number = 1u64;
    loop {
        match (expected.next(), printed.next()) {
            (None, None) => return Found::Same,
            (Some(a), Some(b)) if same(a, b) => number += 1,
            (a, b) => return Found::Differs(format!("{unit} {number}: expected {}, got {}", or_end(a, "the end"), or_end(b, "the end"))),
        }
    }
}

/// Line by line, blanks at ends not counted.
pub fn trimmed(expected: &[u8], printed: &[u8]) -> Found {
    first_difference("line", lines(expected), lines(printed), |a, b| a == b)
}

/// Word by word.
pub fn tokens(expected: &[u8], printed: &[u8], same: impl Fn(&[u8], &[u8]) -> bool) -> Found {
    first_difference("word", words(expected), words(printed), same)
}

/// Lines in any order.
pub fn unordered(expected: &[u8], printed: &[u8]) -> Found {
    // Counted first, so that a program that prints many empty lines does not make us remember each.
    let counts = (lines(expected).count(), lines(printed).count());
    if counts.0 != counts.1 {
        return Found::Differs(format!("expected {} lines, got {}", counts.0, counts.1));
    }
    let sorted = |text| {
        let mut all: Vec<&[u8]> = lines(text).collect();
        all.sort_unstable();
        all
    };
    let (expected, printed) = (sorted(expected), sorted(printed));
    let mut pairs = (expected.iter().peekable(), printed.iter().peekable());
    loop {
        match (pairs.0.peek(), pairs.1.peek()) {
            (None, None) => return Found::Same,
            (Some(a), Some(b)) if a == b => {
                pairs.0.next();
                pairs.1.next();
            }
            (Some(a), b) if b.is_none_or(|b| a < b) => return Found::Differs(format!("line {} is missing", shown(a))),
            (_, b) => return Found::Differs(format!("line {} is too much", b.map_or_else(String::new, |b| shown(b)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(found: &Found) -> bool {
        *found == Found::Same
    }

    fn words_equal(a: &[u8], b: &[u8]) -> bool {
        same(&tokens(a, b, |a, b| a == b))
    }

    #[test]
    fn each_checker_forgives_what_it_should() {
        assert!(same(&exact(b"1\n", b"1\n")) && !same(&exact(b"1\n", b"1")));
        assert!(
            same(&trimmed(b"1 2\n\n3\n", b"1 2  \n\n3\r\n\n \n"))
                && !same(&trimmed(b"1 2", b"1  2"))
                && !same(&trimmed(b"1\n\n2", b"1\n2"))
        );
        assert!(!same(&trimmed(b" 1", b"1")), "blanks before a line count");
        assert!(words_equal(b"1 2\n3", b"\t1\n2 3 ") && !words_equal(b"12", b"1 2"));
        assert!(same(&unordered(b"a\nb\nb\n", b"b \na\nb")) && !same(&unordered(b"a\nb\nb", b"a\na\nb")));
        for check in [exact, trimmed, unordered] {
            assert!(same(&check(b"", b"")) && !same(&check(b"x", b"")) && !same(&check(b"", b"x")));
        }
        assert!(same(&trimmed(b"", b"\n\n")) && words_equal(b"", b" \n"));
    }

    #[test]
    fn a_message_says_where_and_is_bounded() {
        let message = |found: Found| match found {
            Found::Differs(message) => message,
            Found::Same => String::new(),
        };
        assert_eq!(message(exact(b"a\nb\n", b"a\nc\n")), "byte 3 (line 2): expected \"b\\n\", got \"c\\n\"");
        assert_eq!(message(tokens(b"1 2", b"1", |a, b| a == b)), "word 2: expected \"2\", got the end");
        assert_eq!(message(trimmed(b"a\nb", b"a\n\xff\x1b[2J")), "line 2: expected \"b\", got \"\\xff\\x1b[2J\"");
        assert_eq!(message(unordered(b"a\nb", b"a\nc")), "line \"b\" is missing");
        assert_eq!(message(unordered(b"b\nc", b"a\nb")), "line \"a\" is too much");
        assert_eq!(message(unordered(b"a", b"a\nc")), "expected 1 lines, got 2");
        assert!(message(exact(b"", &[0u8; 1 << 20])).len() < 400);
    }

    proptest! {
        #[test]
        fn every_text_is_itself(text: Vec<u8>) {
            prop_assert!(same(&exact(&text, &text)) && same(&trimmed(&text, &text)) && words_equal(&text, &text) && same(&unordered(&text, &text)));
        }
        #[test]
        fn a_stricter_checker_implies_the_next(a in "[ab \n]{0,12}", b in "[ab \n]{0,12}") {
            let (a, b) = (a.as_bytes(), b.as_bytes());
            prop_assert!(!same(&exact(a, b)) || same(&trimmed(a, b)));
            prop_assert!(!same(&trimmed(a, b)) || (words_equal(a, b) && same(&unordered(a, b))));
        }
        #[test]
        fn the_order_of_lines_does_not_count(mut lines in prop::collection::vec("[a-c]{1,3}", 0..8), seed: u64) {
            let before = lines.join("\n");
            let count = lines.len().max(1);
            lines.rotate_left(usize::try_from(seed % count as u64).unwrap_or(0));
            lines.reverse();
            prop_assert!(same(&unordered(before.as_bytes(), lines.join("\n").as_bytes())));
        }
        #[test]
        fn comparing_is_symmetric(a: Vec<u8>, b: Vec<u8>) {
            prop_assert_eq!(same(&exact(&a, &b)), same(&exact(&b, &a)));
            prop_assert_eq!(same(&trimmed(&a, &b)), same(&trimmed(&b, &a)));
            prop_assert_eq!(same(&unordered(&a, &b)), same(&unordered(&b, &a)));
        }
    }
}
