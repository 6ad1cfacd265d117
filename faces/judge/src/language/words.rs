//! Arguments with placeholders.
//!
//! A word that is one placeholder of many values (`{options}`, `{sources}`, `{arguments}`, `{options:NAME}`) becomes that many words, none
//! included. Any other placeholder is replaced where it stands, so that `-o{output}` is one word. Nothing is quoted or split: each word goes to
//! the program as it is, and no shell sees it.

use super::Definition;

/// Placeholders of a compile stage.
pub const COMPILE: &[&str] = &["options", "arguments", "source", "sources", "output", "helpers", "memory"];
/// Placeholders of a run.
pub const RUN: &[&str] = &["options", "program", "memory"];

/// What the placeholders stand for.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// Options of the program that is called.
    pub options: Vec<String>,
    /// What the job adds.
    pub arguments: Vec<String>,
    /// Path of the main source.
    pub source: String,
    /// Paths of all sources of the language.
    pub sources: Vec<String>,
    /// Path of the first output.
    pub output: String,
    /// Path of what is run.
    pub program: String,
    /// Directory of the language's own files.
    pub helpers: String,
    /// Memory limit in MiB.
    pub memory: u64,
    /// Options and path of every program of the language, by command.
    pub programs: Vec<(String, String, Vec<String>)>,
}

/// Words ready for a program.
pub type Filled = Vec<String>;

impl Words {
    /// Replaces every placeholder. Unknown ones were refused when the language was read.
    #[must_use]
    pub fn fill(&self, arguments: &[String]) -> Filled {
        let mut out = Vec::with_capacity(arguments.len() + 8);
        for argument in arguments {
            match self.many(argument) {
                Some(words) => out.extend(words.iter().cloned()),
                None => out.push(self.one(argument)),
            }
        }
        out
    }

    fn many(&self, argument: &str) -> Option<&[String]> {
        let name = argument.strip_prefix('{')?.strip_suffix('}')?;
        match name {
            "options" => Some(&self.options),
            "arguments" => Some(&self.arguments),
            "sources" => Some(&self.sources),
            _ => {
                let command = name.strip_prefix("options:")?;
                self.programs.iter().find(|(known, _, _)| known == command).map(|(_, _, options)| &options[..])
            }
        }
    }

    /// One pass, so that a value that looks like a placeholder is none.
    fn one(&self, argument: &str) -> String {
        let mut out = String::with_capacity(argument.len() + 16);
        let mut rest = argument;
        while let Some(start) = rest.find('{') {
            let Some(length) = rest[start..].find('}') else { break };
            out.push_str(&rest[..start]);
            let name = &rest[start + 1..start + length];
            match name {
                "source" => out.push_str(&self.source),
                "output" => out.push_str(&self.output),
                "program" => out.push_str(&self.program),
                "helpers" => out.push_str(&self.helpers),
                "memory" => out.push_str(&self.memory.to_string()),
                _ => {
                    let path = name.strip_prefix("path:").and_then(|command| self.programs.iter().find(|(known, _, _)| known == command));
                    out.push_str(path.map_or("", |(_, path, _)| path));
                }
            }
            rest = &rest[start + length + 1..];
        }
        out.push_str(rest);
        out
    }
}

/// Whether every placeholder in `argument` is one of `known`.
///
/// # Errors
/// Names the one that is not.
pub fn check(argument: &str, known: &[&str], language: &Definition) -> Result<(), String> {
    let mut rest = argument;
    while let Some(start) = rest.find('{') {
        let Some(length) = rest[start..].find('}') else {
            return Err(format!("{argument:?} has a {{ without a }}"));
        };
        let name = &rest[start + 1..start + length];
        let of_program = name.strip_prefix("options:").or_else(|| name.strip_prefix("path:"));
        let fine = match of_program {
            Some(command) => language.program(command).is_some(),
            None => known.contains(&name),
        };
        if !fine {
            let list: Vec<String> = known.iter().map(|name| format!("{{{name}}}")).collect();
            return Err(format!("{{{name}}} is not known here: write {}, or {{path:PROGRAM}}, {{options:PROGRAM}}", list.join(", ")));
        }
        let many = matches!(name, "options" | "arguments" | "sources") || name.starts_with("options:");
        if many && argument.len() != name.len() + 2 {
            return Err(format!("{argument:?}: {{{name}}} stands for several words and must stand alone"));
        }
        rest = &rest[start + length + 1..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn separate_glued_and_many() {
        let words = Words {
            options: texts(&["-O2", "-lm"]),
            sources: texts(&["a.c", "b.c"]),
            output: "/box/compiled".to_owned(),
            memory: 64,
            programs: vec![("javac".to_owned(), "/usr/bin/javac".to_owned(), texts(&["-g"]))],
            ..Words::default()
        };
        let filled = words.fill(&texts(&[
            "{options}",
            "{arguments}",
            "-o",
            "{output}",
            "-of={output}",
            "{sources}",
            "-m{memory}m",
            "{path:javac}",
            "{options:javac}",
        ]));
        let wanted = ["-O2", "-lm", "-o", "/box/compiled", "-of=/box/compiled", "a.c", "b.c", "-m64m", "/usr/bin/javac", "-g"];
        assert_eq!(filled, wanted);
    }

    proptest! {
        #[test]
        fn what_a_job_says_is_never_a_placeholder(text in ".*", braces in "\\{(output|program|options)\\}") {
            let words = Words { arguments: vec![text.clone(), braces.clone()], source: braces.clone(), ..Words::default() };
            prop_assert_eq!(words.fill(&texts(&["{arguments}", "{source}"])), vec![text, braces.clone(), braces]);
        }
    }
}
