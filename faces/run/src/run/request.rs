//! What one call of `enclos run` asks for: the policy file, the flags over it, and what only this face knows.

use std::ffi::OsString;
use std::path::PathBuf;

use enclos_spec::Policy;

use super::directory;
use super::environment::{self, Variables};
use super::paths::{Anchor, reason};
use crate::flags::{Flag, parse};

/// A whole `enclos run`.
#[derive(Debug)]
pub struct Request {
    /// What is asked of the engine.
    pub policy: Policy,
    /// Where relative paths of flags start.
    pub anchor: Anchor,
    /// Show the current directory where that is safe.
    pub show_directory: bool,
    /// Summary on stderr.
    pub report: bool,
    /// JSON into this file.
    pub report_file: Option<PathBuf>,
    /// The summary, or the plan, as JSON.
    pub json: bool,
    /// Print the plan and run nothing.
    pub explain: bool,
    /// Names of the flags that were given.
    pub flags: Vec<&'static str>,
    /// The command and its arguments.
    pub command: Vec<OsString>,
    /// What was decided here and the user should know, a line each.
    pub notes: Vec<String>,
}

impl Request {
    /// Nothing asked yet.
    pub fn new(anchor: Anchor) -> Self {
        Request {
            policy: Policy::default(),
            anchor,
            show_directory: true,
            report: false,
            report_file: None,
            json: false,
            explain: false,
            flags: Vec::new(),
            command: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Takes on the policy file, then the flags in order, then decides what is left to this face: the current directory and the environment.
    ///
    /// # Errors
    /// One line that names what is wrong and what would be right.
    pub fn fill(
        &mut self,
        flags: &[(&'static Flag<Request>, OsString)],
        command: Vec<OsString>,
        variables: &Variables,
    ) -> Result<(), String> {
        let mut files = flags.iter().filter(|(flag, _)| flag.name == "policy");
        if let Some((_, file)) = files.next() {
            if let Some((_, second)) = files.next() {
                return Err(format!("--policy: {second:?} is a second file: give one"));
            }
            self.read_policy(file.into())?;
        }
        parse::apply(self, flags)?;
        if command.first().is_none_or(|program| program.is_empty()) {
            return Err("the command is missing: write enclos run [FLAGS] -- COMMAND [ARGUMENTS]".to_owned());
        }
        self.flags = flags.iter().map(|(flag, _)| flag.name).collect();
        self.command = command;
        self.report |= self.json && self.report_file.is_none() && !self.explain;
        directory::decide(self, variables);
        environment::resolve(&mut self.policy, variables)
    }

    fn read_policy(&mut self, file: PathBuf) -> Result<(), String> {
        let file = self.anchor.absolute(&file).map_err(|wrong| format!("--policy: {wrong}"))?;
        let text = std::fs::read_to_string(&file).map_err(|error| format!("--policy: {file:?}: {}", reason(&error)))?;
        self.policy = Policy::from_toml(&text).map_err(|wrong| format!("{}: {wrong}", file.display()))?;
        let base = file.parent().map_or_else(|| PathBuf::from("/"), PathBuf::from);
        Anchor::at(base).policy(&mut self.policy).map_err(|wrong| format!("{}: {wrong}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use enclos_spec::{Bound, Net, Size};

    use super::*;
    use crate::flags::parse::Parsed;
    use crate::flags::table::RUN;

    /// The request that these words make in `/srv/project`.
    fn request(words: &[&str]) -> Result<Request, String> {
        let mut request = Request::new(Anchor::at("/srv/project".into()));
        match parse::parse(&RUN, words.iter().map(OsString::from))? {
            Parsed::Help(_) => panic!("asked for help"),
            Parsed::Given { flags, operands } => {
                request.fill(&flags, operands, &Variables::of(&[("HOME", "/home/a"), ("TERM", "xterm"), ("SECRET", "1")]))?
            }
        }
        Ok(request)
    }

    fn policy_file(name: &str, text: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("enclos-{name}-{}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn flags_override_the_policy_file_and_add_to_its_lists() {
        let file = policy_file(
            "override",
            "memory = \"1G\"\nnet = \"loopback\"\nro = [\"/srv/a\", \"b\"]\nenv = { A = \"file\", B = \"file\" }\n",
        );
        let seen = request(&["--memory", "64M", "--policy", file.to_str().unwrap(), "--ro=c", "--env", "A=flag", "true"]);
        std::fs::remove_file(&file).unwrap();
        let policy = seen.unwrap().policy;
        assert_eq!(policy.memory, Some(Bound::At(Size::mib(64))));
        assert_eq!(policy.net, Net::Loopback);
        assert_eq!(policy.ro, [Path::new("/srv/a"), &std::env::temp_dir().join("b"), Path::new("/srv/project/c")]);
        assert_eq!(policy.env["A"], "flag");
        assert_eq!(policy.env["B"], "file");
    }

    #[test]
    fn what_is_wrong_in_a_policy_file_is_named() {
        let file = policy_file("wrong", "net = \"none\"\nmemry = \"64M\"\n");
        let name = file.to_str().unwrap().to_owned();
        let seen = request(&["--policy", &name, "true"]);
        std::fs::remove_file(&file).unwrap();
        assert_eq!(seen.unwrap_err(), format!("{name}: policy line 2: unknown key `memry`: did you mean `memory`?"));
        assert_eq!(request(&["--policy", "no", "true"]).unwrap_err(), "--policy: \"/srv/project/no\": No such file or directory");
        assert_eq!(request(&["--policy", "/dev/null", "--policy", "b", "true"]).unwrap_err(), "--policy: \"b\" is a second file: give one");
    }

    #[test]
    fn every_wrong_call_gives_one_line() {
        for (words, line) in [
            (&[][..], "the command is missing: write enclos run [FLAGS] -- COMMAND [ARGUMENTS]"),
            (&["--", ""], "the command is missing: write enclos run [FLAGS] -- COMMAND [ARGUMENTS]"),
            (&["--bind", "/a", "x"], "--bind: \"/a\" is not allowed: write SRC:DST with an absolute DST, e.g. ./data:/data"),
            (&["--bind", "/a:b", "x"], "--bind: \"/a:b\" is not allowed: write SRC:DST with an absolute DST, e.g. ./data:/data"),
            (&["--ro", "", "x"], "--ro: the path is empty: write a path"),
            (&["--landlock", "maybe", "x"], "--landlock: \"maybe\" is not allowed: write on or off"),
            (
                &["--seccomp", "strict", "x"],
                "--seccomp: \"strict\" is not allowed: write default, log, none, or the path of a compiled filter with a / in it",
            ),
        ] {
            assert_eq!(request(words).unwrap_err(), line, "{words:?}");
        }
    }

    #[test]
    fn json_alone_is_a_report_on_stderr() {
        assert!(request(&["--json", "true"]).unwrap().report);
        assert!(!request(&["--json", "--report=x", "true"]).unwrap().report);
        assert!(!request(&["--json", "--explain", "true"]).unwrap().report);
        let both = request(&["--report", "--report=x", "true"]).unwrap();
        assert_eq!((both.report, both.report_file), (true, Some("/srv/project/x".into())));
    }

    #[test]
    fn the_environment_is_clean() {
        let env = request(&["--keep-env", "SECRET", "true"]).unwrap().policy.env;
        assert_eq!(env.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), [("SECRET", "1"), ("TERM", "xterm")]);
        assert_eq!(request(&["true"]).unwrap().policy.env.keys().collect::<Vec<_>>(), ["TERM"]);
        assert_eq!(request(&["--env", "TERM=dumb", "--keep-env", "TERM", "true"]).unwrap().policy.env["TERM"], "dumb");
    }

    proptest::proptest! {
        #[test]
        fn no_words_panic_and_every_complaint_is_one_line(words in proptest::collection::vec("(--[a-z-]{0,12}(=.{0,8})?|.{0,12})", 0..6)) {
            let words: Vec<&str> = words.iter().map(String::as_str).filter(|word| !["-h", "--help"].contains(word)).collect();
            if let Err(wrong) = request(&words) {
                let line = crate::text::look::tame(&wrong);
                proptest::prop_assert!(!line.is_empty() && !line.contains('\n'), "{line:?}");
            }
        }

        #[test]
        fn a_wrong_value_is_named_with_its_flag(at in 0..RUN.flags().count(), value in "[!-~]{1,8}") {
            let flag = RUN.flags().nth(at).unwrap();
            if let Err(wrong) = request(&[&format!("--{}={value}", flag.name), "true"]) {
                // A policy file's complaint names the file; every other one the flag.
                proptest::prop_assert!(wrong.starts_with(&format!("--{}: ", flag.name)) || flag.name == "policy", "{wrong}");
            }
        }
    }
}
