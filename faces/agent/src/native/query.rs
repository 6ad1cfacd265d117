//! What stands behind the question mark: known words only, each once.

use enclos_host::axum::extract::Query as Pairs;
use enclos_host::axum::http::Uri;
use enclos_sandbox::spec::policy::edit_distance;

use super::problem::Problem;
use crate::api::PageRequest;

/// A query that was looked through.
#[derive(Debug)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

/// Of every listing.
pub const PAGE: [&str; 2] = ["page_size", "page_token"];

impl Query {
    /// The query of an address; `known` are its words, those that end with a dot begin one.
    ///
    /// # Errors
    ///
    /// 400: an unknown word, or one that is there twice.
    pub fn of(uri: &Uri, known: &[&str]) -> Result<Self, Problem> {
        let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri).map_err(|error| Problem::invalid("query", &error.body_text()))?.0;
        for (index, (name, _)) in pairs.iter().enumerate() {
            let is = |word: &&&str| if word.ends_with('.') { name.starts_with(**word) && name.len() > word.len() } else { name == **word };
            if !known.iter().any(|word| is(&word)) {
                let nearest = known.iter().min_by_key(|word| edit_distance(name, word));
                let right = nearest.map_or("it takes none".to_owned(), |nearest| format!("did you mean {nearest:?}?"));
                return Err(Problem::invalid(
                    &name.chars().take(100).collect::<String>(),
                    &format!("this query has no such parameter; {right}"),
                ));
            }
            if pairs[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Problem::invalid(name, "given twice: write it once"));
            }
        }
        Ok(Self { pairs })
    }

    /// A text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn parsed<T>(&self, name: &str, right: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| {
            let shown: String = text.chars().take(100).collect();
            Problem::invalid(name, &format!("{shown:?} is not right: write {right}"))
        })
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.parsed(name, "a whole number", |text| text.parse().ok().filter(|number| *number <= i64::MAX as u64))
    }

    /// Yes or no; no without it.
    pub fn flag(&self, name: &str) -> Result<bool, Problem> {
        let word = |text: &str| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        Ok(self.parsed(name, "true or false", word)?.unwrap_or(false))
    }

    /// Permission bits.
    pub fn mode(&self) -> Result<Option<u32>, Problem> {
        let octal = |text: &str| {
            let digits = text.bytes().all(|digit| (b'0'..=b'7').contains(&digit)) && text.len() <= 5;
            u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777)
        };
        self.parsed("mode", "permission bits in octal from 0 to 0777, e.g. 0644", octal)
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let right = words.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
        self.parsed(name, &format!("one of {right}"), |text| words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value))
    }

    /// All that begin with `start`, without it.
    pub fn starting(&self, start: &str) -> impl Iterator<Item = (String, String)> {
        self.pairs.iter().filter_map(move |(name, value)| Some((name.strip_prefix(start)?.to_owned(), value.clone())))
    }

    /// Which page.
    pub fn page(&self) -> Result<PageRequest, Problem> {
        let size = self.number("page_size")?.map(|size| usize::try_from(size).unwrap_or(usize::MAX)).unwrap_or(0);
        if size > 1000 {
            return Err(Problem::invalid("page_size", &format!("{size} is too many: write 1 to 1000")));
        }
        Ok(PageRequest { size, token: self.text("page_token").unwrap_or_default().to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Result<Query, Problem> {
        Query::of(&text.parse().unwrap(), &["path", "recursive", "label.", "mode", "page_size", "page_token"])
    }

    #[test]
    fn words_are_known_and_read() {
        let given = query("/x?path=a%20b&recursive=true&label.k=v&label.l=&mode=0755&page_size=7&page_token=t").unwrap();
        assert_eq!((given.text("path"), given.flag("recursive").unwrap(), given.mode().unwrap()), (Some("a b"), true, Some(0o755)));
        assert_eq!(given.starting("label.").collect::<Vec<_>>(), [("k".into(), "v".into()), ("l".into(), String::new())]);
        assert_eq!(given.page().unwrap(), PageRequest { size: 7, token: "t".into() });
    }

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_right() {
        for (text, field, says) in
            [("/x?pth=a", "pth", "did you mean \"path\"?"), ("/x?path=a&path=b", "path", "twice"), ("/x?label.=v", "label.", "no such")]
        {
            let info = query(text).unwrap_err().into_info();
            assert!(info.field.as_deref() == Some(field) && info.message.contains(says), "{info:?}");
        }
        for text in ["/x?mode=8", "/x?mode=1777", "/x?mode=", "/x?mode=%2b7", "/x?mode=000644"] {
            assert!(query(text).unwrap().mode().is_err(), "{text}");
        }
        assert!(query("/x?recursive=yes").unwrap().flag("recursive").is_err());
        assert!(query("/x?page_size=-1").unwrap().page().is_err());
        assert!(query("/x?page_size=1001").unwrap().page().is_err());
    }
}
