//! A program that can be run: what is put into its sandbox, and the words that start it.

use std::path::PathBuf;
use std::sync::Arc;

use enclos_sandbox::Files;

use crate::api::{JobError, SourceFile};
use crate::language::{Definition, Words};
use crate::run::BOX;
use crate::toolchain::Toolchain;

/// Ready to be run, any number of times.
#[derive(Clone, Debug)]
pub struct Runnable {
    /// Its language.
    pub language: Arc<Definition>,
    /// The language's programs.
    pub toolchain: Arc<Toolchain>,
    /// What is put below [`BOX`].
    pub files: Files,
    /// Name of what is run, below [`BOX`].
    pub name: String,
}

impl Runnable {
    /// Path of what is executed, and the arguments before the job's own. `memory`: the limit, bytes.
    #[must_use]
    pub fn words(&self, memory: Option<u64>) -> (String, Vec<String>) {
        let path = format!("{BOX}/{}", self.name);
        let run = &self.language.run;
        let mut words = known_words(&self.language, &self.toolchain, run.program.as_deref(), memory);
        words.program.clone_from(&path);
        let arguments = words.fill(&run.arguments);
        let program = run.program.as_deref().and_then(|command| self.toolchain.path(&self.language, command));
        (program.map_or(path, str::to_owned), arguments)
    }

    /// Host paths it sees.
    #[must_use]
    pub fn see(&self) -> &[PathBuf] {
        &self.toolchain.see
    }
}

/// What stands for options, programs and memory in the words of a step that calls `command`.
#[must_use]
pub fn known_words(language: &Definition, toolchain: &Toolchain, command: Option<&str>, memory: Option<u64>) -> Words {
    let options = command.and_then(|command| language.program(command)).map(|program| program.options.clone()).unwrap_or_default();
    // Where nothing bounds memory a program may have what a large one needs.
    const UNBOUNDED_MIB: u64 = 4096;
    let memory = memory.map_or(UNBOUNDED_MIB, |bytes| (bytes >> 20).max(1));
    let programs = language.program.iter().map(|program| {
        let path = toolchain.path(language, &program.command).unwrap_or_default().to_owned();
        (program.command.clone(), path, program.options.clone())
    });
    let mut words = Words { options, memory, programs: programs.collect(), ..Words::default() };
    // Options may use `{memory}` and the like too.
    words.options = words.fill(&words.options);
    words.programs = words.programs.iter().map(|(command, path, options)| (command.clone(), path.clone(), words.fill(options))).collect();
    words
}

/// Names of a program's source files in the sandbox: each one's own, and for the first, where it has none, `main`.
///
/// # Errors
/// [`JobError::Refused`] for a name that is missing, no path below the working directory, or there twice; about `field`.
pub fn names<'a>(sources: &'a [SourceFile], main: Option<&'a str>, field: &str) -> Result<Vec<&'a str>, JobError> {
    let mut names: Vec<&str> = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter().enumerate() {
        let refused = |message: String| Err(JobError::Refused { field: format!("{field}[{index}].name"), message });
        let name = match (&source.name, main) {
            (Some(name), _) => &name[..],
            (None, Some(main)) if index == 0 => main,
            (None, _) => return refused("is missing: only the first file of a program may have none".to_owned()),
        };
        if !is_path_below(name) {
            return refused(format!("{:?} is not allowed: write a path below the working directory, e.g. lib/x.py", shown(name)));
        }
        names.push(name);
    }
    let mut sorted = names.clone();
    sorted.sort_unstable();
    // A name that is also a directory of another sorts before it, with nothing between but names that begin the same.
    let clash = |pair: &[&str]| {
        pair[0] == pair[1] || sorted.iter().any(|name| name.strip_prefix(pair[0]).is_some_and(|rest| rest.starts_with('/')))
    };
    let last = sorted.windows(2).find(|pair| clash(pair)).map(|pair| shown(pair[0]));
    match last {
        Some(name) => {
            Err(JobError::Refused { field: field.to_owned(), message: format!("{name:?} is there twice, or is a file and a directory") })
        }
        None => Ok(names),
    }
}

fn shown(name: &str) -> String {
    name.chars().take(64).collect()
}

/// A relative path of plain parts, none of which a program takes for an option.
#[must_use]
pub fn is_path_below(name: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != ".." && part.len() <= 255 && !part.starts_with('-');
    name.len() <= 1024 && !name.contains('\0') && name.split('/').count() <= 16 && name.split('/').all(part)
}

/// Seals files, directories included. `mode` of each file.
///
/// # Errors
/// When there is no memory for them, or there are too many.
pub fn seal<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8])>, mode: u32) -> Result<Files, JobError> {
    let mut made = std::collections::BTreeSet::new();
    let mut builder = Files::builder();
    for (name, contents) in files {
        for (at, _) in name.match_indices('/') {
            if made.insert(name[..at].to_owned()) {
                builder = builder.directory(&name[..at], 0o755);
            }
        }
        builder = builder.file(name, contents, mode);
    }
    builder.seal().map_err(|error| JobError::Internal(format!("files: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(names: &[Option<&str>]) -> Vec<SourceFile> {
        names.iter().map(|name| SourceFile { name: name.map(str::to_owned), contents: Vec::new() }).collect()
    }

    #[test]
    fn names_are_paths_below_the_working_directory() {
        let fine = sources(&[None, Some("lib/a.py"), Some("lib/b.py"), Some("lib-x")]);
        assert_eq!(names(&fine, Some("compiled.py"), "sources").unwrap(), ["compiled.py", "lib/a.py", "lib/b.py", "lib-x"]);
        for bad in ["", "/etc/passwd", "../x", "a/../b", "a//b", "a/", "-o", "lib/-x", ".", "a\0b"] {
            let error = names(&sources(&[Some(bad)]), Some("x"), "sources").unwrap_err();
            assert!(matches!(error, JobError::Refused { ref field, .. } if field == "sources[0].name"), "{bad:?}: {error}");
        }
        assert!(names(&sources(&[None, None]), Some("x"), "s").is_err());
        assert!(names(&sources(&[None]), None, "s").is_err());
    }

    #[test]
    fn no_file_is_there_twice_or_is_a_directory_too() {
        for bad in [[Some("a"), Some("a")], [Some("a"), Some("a/b")], [Some("lib/x"), Some("lib")]] {
            assert!(names(&sources(&bad), None, "s").is_err(), "{bad:?}");
        }
        assert!(names(&sources(&[Some("a"), Some("a-"), Some("a/b")]), None, "s").is_err());
        assert!(names(&sources(&[Some("a.b"), Some("a-"), Some("ab/b")]), None, "s").is_ok());
    }
}
