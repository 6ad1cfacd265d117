//! The text form of a language, and what makes no sense in one.

use std::collections::BTreeMap;

use enclos_sandbox::spec::{Bound, Size, Span};
use serde::Deserialize;

use super::words;
use crate::api::Limits;

/// One language, as its file says. Every key is described in the guide (`docs/guide/judge-language.md`); unknown keys are refused.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// Display name. Its lower-cased form is the key.
    pub name: String,
    /// Other names it answers to, lower case.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Of source files, with the dot.
    pub extension: String,
    /// Debian packages that bring its programs.
    #[serde(default)]
    pub packages: Vec<String>,
    /// One line for people.
    #[serde(default)]
    pub note: Option<String>,
    /// Host paths that its programs read beside the system directories; `*` in the last part matches. Those that are not there are left out.
    #[serde(default)]
    pub see: Vec<String>,
    /// Name of the main source file while it is compiled; default `source` and the extension.
    #[serde(default)]
    pub source: Option<String>,
    /// Its programs reserve address space by the gigabyte: where no control group holds memory (`best-effort`), no bound on address space takes
    /// its place.
    #[serde(default)]
    pub reserves_address_space: bool,
    /// Programs it needs.
    #[serde(default)]
    pub program: Vec<Program>,
    /// How to compile: each stage's first output is the next one's source. Empty: it is not compiled.
    #[serde(default)]
    pub compile: Vec<Stage>,
    /// How to run.
    #[serde(default)]
    pub run: Run,
    /// A program that prints `42` and a newline.
    pub reference: String,
}

/// A program that a language needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Program {
    /// Its name; looked up below `/usr`, `/lib` and `/bin` only.
    pub command: String,
    /// Names to try when it is not there.
    #[serde(default)]
    pub or: Vec<String>,
    /// Options it is always called with (`{options}`).
    #[serde(default)]
    pub options: Vec<String>,
    /// Arguments that make it tell its version; empty: it has none.
    #[serde(default = "version_arguments")]
    pub version: Vec<String>,
}

fn version_arguments() -> Vec<String> {
    vec!["--version".to_owned()]
}

/// One stage of compiling.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stage {
    /// Which of the language's programs.
    pub program: String,
    /// Its arguments, with placeholders.
    pub arguments: Vec<String>,
    /// Variables.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Name under which this stage finds what the one before made; needed from the second stage on.
    #[serde(default)]
    pub source: Option<String>,
    /// Files that are kept; `*` matches within a name. The first is what the next stage compiles, or what is run.
    #[serde(default = "outputs")]
    pub outputs: Vec<String>,
    /// What the program prints is the first output.
    #[serde(default)]
    pub output_is_stdout: bool,
    /// Files of the language's own that the stage needs: name below `{helpers}` and contents.
    #[serde(default)]
    pub helpers: BTreeMap<String, String>,
    /// Limits over the defaults.
    #[serde(default)]
    pub limits: LimitTexts,
}

fn outputs() -> Vec<String> {
    vec!["compiled".to_owned()]
}

/// How to run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// Which of the language's programs; `None`: what was compiled is executed.
    pub program: Option<String>,
    /// Its arguments, with placeholders; the job's follow.
    pub arguments: Vec<String>,
    /// Variables.
    pub environment: BTreeMap<String, String>,
    /// Limits over the defaults.
    pub limits: LimitTexts,
    /// A limit on address space that a job sets for all tests does not count; one of a test itself does.
    pub ignore_address_space: bool,
}

/// Limits as written in a file: sizes and spans with units, as in a policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LimitTexts {
    cpu: Option<Bound<Span>>,
    wall: Option<Bound<Span>>,
    idle: Option<Bound<Span>>,
    memory: Option<Bound<Size>>,
    stack: Option<Bound<Size>>,
    file_size: Option<Bound<Size>>,
    disk: Option<Bound<Size>>,
    output: Option<Bound<Size>>,
    processes: Option<Bound<u64>>,
    inodes: Option<Bound<u64>>,
    open_files: Option<Bound<u64>>,
}

impl LimitTexts {
    /// As limits; `unlimited` says nothing, so that the default holds: a language cannot lift a limit.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let span = |bound: Option<Bound<Span>>| bound.and_then(Bound::value).map(|span| span.0);
        let size = |bound: Option<Bound<Size>>| bound.and_then(Bound::value).map(Size::bytes);
        let count = |bound: Option<Bound<u64>>| bound.and_then(Bound::value);
        Limits {
            cpu: span(self.cpu),
            extra_cpu: None,
            wall: span(self.wall),
            idle: span(self.idle),
            memory: size(self.memory),
            address_space: None,
            stack: size(self.stack),
            file_size: size(self.file_size),
            processes: count(self.processes),
            disk: size(self.disk),
            inodes: count(self.inodes),
            output: size(self.output),
            open_files: count(self.open_files),
        }
    }
}

/// A language file that makes no sense; one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}")]
pub struct DefinitionError {
    /// Name of the file, without its directory.
    pub file: String,
    /// What is wrong.
    pub message: String,
}

impl Definition {
    /// Reads one.
    ///
    /// # Errors
    /// Not TOML, an unknown key, or a value that makes no sense: one line that names it.
    pub fn parse(file: &str, text: &str) -> Result<Definition, DefinitionError> {
        let error = |message: String| DefinitionError { file: file.to_owned(), message };
        let definition: Definition = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(0, |span| span.start.min(text.len()));
            let line = text.as_bytes()[..at].iter().filter(|b| **b == b'\n').count() + 1;
            error(format!("line {line}: {}", e.message().replace('\n', " ")))
        })?;
        definition.check().map_err(error)?;
        Ok(definition)
    }

    /// Lower-cased name.
    #[must_use]
    pub fn key(&self) -> String {
        self.name.to_lowercase()
    }

    /// Name of the main source file while compiling.
    #[must_use]
    pub fn source_name(&self) -> String {
        self.source.clone().unwrap_or_else(|| format!("source{}", self.extension))
    }

    /// Name of what is run: of a compiled language its first output, of another the main source file.
    #[must_use]
    pub fn program_name(&self) -> String {
        match self.compile.last().and_then(|stage| stage.outputs.first()) {
            Some(output) => output.clone(),
            None => format!("compiled{}", self.extension),
        }
    }

    /// The program called `command`.
    #[must_use]
    pub fn program(&self, command: &str) -> Option<&Program> {
        self.program.iter().find(|program| program.command == command)
    }

    fn check(&self) -> Result<(), String> {
        if self.name.trim().is_empty() {
            return Err("name: write the name people know it by".to_owned());
        }
        if !self.extension.starts_with('.') || !is_plain_name(&self.extension) {
            return Err(format!("extension: {:?} is not one: write e.g. .py", self.extension));
        }
        for (field, name) in
            [("source", self.source.as_ref())].into_iter().chain(self.compile.iter().map(|s| ("source", s.source.as_ref())))
        {
            if let Some(name) = name.filter(|name| !is_plain_name(name)) {
                return Err(format!("{field}: {name:?} is not a file name"));
            }
        }
        for path in &self.see {
            if !path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return Err(format!("see: {path:?} is not allowed: write an absolute path"));
            }
        }
        for program in &self.program {
            if let Some(name) = std::iter::once(&program.command).chain(&program.or).find(|name| !is_plain_name(name)) {
                return Err(format!("program: {name:?} is not the name of a program: write it without a directory"));
            }
        }
        for (index, stage) in self.compile.iter().enumerate() {
            self.check_stage(stage, index)?;
        }
        self.check_run()
    }

    fn check_stage(&self, stage: &Stage, index: usize) -> Result<(), String> {
        self.known("compile", &stage.program)?;
        if index > 0 && stage.source.is_none() {
            return Err(format!(
                "compile: stage {} has no source: write the name under which it finds what the stage before made",
                index + 1
            ));
        }
        if stage.outputs.is_empty() {
            return Err("compile: outputs is empty: write the name of the file that is made".to_owned());
        }
        if let Some(output) = stage.outputs.iter().find(|output| !is_plain_name(&output.replace('*', "x"))) {
            return Err(format!("compile: output {output:?} is not a file name"));
        }
        if let Some(name) = stage.helpers.keys().find(|name| !is_plain_name(name)) {
            return Err(format!("compile: helper {name:?} is not a file name"));
        }
        for argument in &stage.arguments {
            words::check(argument, words::COMPILE, self).map_err(|e| format!("compile: {e}"))?;
        }
        Ok(())
    }

    fn check_run(&self) -> Result<(), String> {
        match &self.run.program {
            Some(program) => self.known("run", program)?,
            None if self.compile.is_empty() => {
                return Err("run: program is missing: a language without a compiler needs an interpreter".to_owned());
            }
            None => {}
        }
        for argument in &self.run.arguments {
            words::check(argument, words::RUN, self).map_err(|e| format!("run: {e}"))?;
        }
        Ok(())
    }

    fn known(&self, field: &str, program: &str) -> Result<(), String> {
        match self.program(program) {
            Some(_) => Ok(()),
            None => Err(format!("{field}: program {program:?} has no [[program]] of its own")),
        }
    }
}

/// One part of a path, that is no option and no directory.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 128 && !name.starts_with('-') && name != "." && name != ".." && !name.contains(['/', '\0', '*'])
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "name = \"X\"\nextension = \".x\"\nreference = \"\"\n[[program]]\ncommand = \"x\"\n[run]\nprogram = \"x\"\n";

    fn refused(text: &str) -> String {
        Definition::parse("x.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn the_least_there_is() {
        let x = Definition::parse("x.toml", SMALL).unwrap();
        assert_eq!((x.key().as_str(), x.source_name().as_str(), x.program_name().as_str()), ("x", "source.x", "compiled.x"));
        assert_eq!(x.program[0].version, ["--version"]);
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let cases = [
            (SMALL.replace("name", "nmae"), "nmae"),
            (SMALL.replace(".x", "x"), "extension: \"x\""),
            (SMALL.replace("command = \"x\"", "command = \"/usr/bin/x\""), "\"/usr/bin/x\" is not the name of a program"),
            (SMALL.replace("[run]\nprogram = \"x\"", "[run]\nprogram = \"y\""), "run: program \"y\""),
            (SMALL.replace("[run]\nprogram = \"x\"", ""), "run: program is missing"),
            (format!("{SMALL}arguments = [\"{{output}}\"]"), "{output}"),
            (format!("see = [\"etc\"]\n{SMALL}"), "see: \"etc\""),
            (format!("{SMALL}[[compile]]\nprogram = \"x\"\narguments = []\noutputs = [\"../x\"]"), "output \"../x\""),
            (
                format!("{SMALL}[[compile]]\nprogram = \"x\"\narguments = []\n[[compile]]\nprogram = \"x\"\narguments = []"),
                "stage 2 has no source",
            ),
            (format!("{SMALL}limits = {{ memory = \"much\" }}"), "much"),
        ];
        for (text, part) in cases {
            let message = refused(&text);
            assert!(message.starts_with("x.toml: ") && message.contains(part), "{part}: {message}");
        }
    }
}
