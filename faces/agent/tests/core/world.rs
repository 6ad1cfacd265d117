//! What these tests share: a face of their own in a directory of its own, and words to use it with.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use enclos_agent::LocalAgent;
use enclos_agent::api::{Agent, Caller, Cancel, Exec, ExecResult, NewCodebase, NewSandbox, NewSession, NoWatcher, Preset, Rule, Verdict};
use enclos_agent::settings::{self, Settings};
use enclos_host::settings::Settings as Configuration;
use enclos_sandbox::Launcher;

/// A face, gone with everything it made when it is dropped.
pub struct World {
    pub agent: LocalAgent,
    pub caller: Caller,
    pub directory: tempfile::TempDir,
}

/// The launcher of these tests: an example of this crate, built beside them.
pub fn launcher() -> Launcher {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join("examples/agent_launch");
    assert!(program.is_file(), "{} is missing: cargo build -p enclos-agent --examples", program.display());
    Launcher::start(program).unwrap()
}

pub fn caller(name: &str) -> Caller {
    Caller { name: Arc::from(name), operator: false }
}

impl World {
    pub fn new() -> World {
        World::with("")
    }

    /// With these keys of the configuration.
    pub fn with(file: &str) -> World {
        let directory = tempfile::tempdir().unwrap();
        let agent = World::open(directory.path(), file);
        World { agent, caller: caller("alice"), directory }
    }

    pub fn settings(directory: &std::path::Path, file: &str) -> Settings {
        // Without control groups memory and processes are bounded by what there is.
        let weakened = ("agent.best-effort".to_owned(), "true".to_owned());
        let pairs = if is_root() { vec![] } else { vec![weakened] };
        settings::of(&Configuration::read(&settings::GROUPS, file, &pairs).unwrap(), directory.join("agent"))
    }

    pub fn open(directory: &std::path::Path, file: &str) -> LocalAgent {
        LocalAgent::open(World::settings(directory, file), launcher(), None).unwrap()
    }

    /// A codebase with these files.
    pub fn codebase(&self, files: &[(&str, &str)]) -> String {
        let new = NewCodebase { name: "demo".to_owned(), owner_id: "user".to_owned() };
        let id = self.agent.create_codebase(&self.caller, &new).unwrap().id;
        for (path, text) in files {
            self.upload(&id, path, text);
        }
        id
    }

    pub fn upload(&self, codebase: &str, path: &str, text: &str) -> enclos_agent::api::Uploaded {
        self.agent.upload(&self.caller, codebase, path, None, Some(text.len() as u64), &mut text.as_bytes()).unwrap()
    }

    pub fn download(&self, codebase: &str, path: &str) -> Option<String> {
        let mut download = self.agent.download(&self.caller, codebase, None, path).ok()?;
        let mut text = String::new();
        download.from.read_to_string(&mut text).unwrap();
        Some(text)
    }

    /// A running sandbox on a codebase.
    pub fn started(&self, codebase: &str, rules: &[Rule]) -> String {
        let new = NewSandbox { codebase_id: Some(codebase.to_owned()), rules: rules.to_vec(), ..NewSandbox::default() };
        self.start(&new)
    }

    /// A running sandbox.
    pub fn start(&self, new: &NewSandbox) -> String {
        let id = self.agent.create_sandbox(&self.caller, new).unwrap().id;
        self.agent.start(&self.caller, &id).unwrap();
        id
    }

    /// A running sandbox with an empty workspace of its own.
    pub fn empty(&self) -> String {
        self.start(&NewSandbox::default())
    }

    pub fn exec(&self, sandbox: &str, exec: &Exec) -> ExecResult {
        self.agent.exec(&self.caller, sandbox, exec, &Cancel::new(), &NoWatcher).unwrap()
    }

    pub fn sh(&self, sandbox: &str, command: &str) -> ExecResult {
        self.exec(sandbox, &Exec { command: command.to_owned(), ..Exec::default() })
    }

    /// What a command prints, both streams; it must end well.
    #[track_caller]
    pub fn says(&self, sandbox: &str, command: &str) -> String {
        let result = self.sh(sandbox, command);
        let text = String::from_utf8_lossy(&result.stdout).into_owned() + &String::from_utf8_lossy(&result.stderr);
        assert_eq!((result.exit_code, result.verdict), (0, Verdict::Ended), "{command}: {text}");
        text
    }

    /// Paths that were changed.
    pub fn agent_diff(&self, sandbox: &str) -> Vec<String> {
        self.agent.diff(&self.caller, sandbox).unwrap().into_iter().map(|change| change.path).collect()
    }

    pub fn session(&self, sandbox: &str, shell: &str) -> String {
        let new = NewSession { shell: shell.to_owned(), ..NewSession::default() };
        self.agent.create_session(&self.caller, sandbox, &new).unwrap().id
    }

    pub fn in_session(&self, session: &str, command: &str, timeout: Duration) -> ExecResult {
        let timeout = u64::try_from(timeout.as_millis()).ok();
        self.agent.session_exec(&self.caller, session, command, timeout, &Cancel::new(), &NoWatcher).unwrap()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.agent.leave();
    }
}

/// Everything may be changed.
pub fn all() -> Vec<Rule> {
    Preset::FullAccess.rules()
}

/// Whether control groups and ids of the host are ours to give.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
