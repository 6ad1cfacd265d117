//! An agent in memory. Its commands are words that say what should happen.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, mpsc};
use std::time::Duration;

use enclos_agent::api::{
    Agent, AgentError, Caller, Cancel, Change, Codebase, Commit, Committed, Download, Endings, Entry, Exec, ExecResult, Explanation,
    FilePart, FileRange, Image, Interaction, NewCodebase, NewSandbox, NewSession, Page, PageRequest, Result, Rule, Sandbox, SandboxFilter,
    SandboxStatus, Session, SessionStatus, Snapshot, Stream, Terminal, TreeEntry, Uploaded, Verdict, Version, WatchEvent, Watcher,
};

/// When everything happens.
pub const NOW: i64 = 1_700_000_000_123;

#[derive(Default)]
pub struct Fake {
    state: Mutex<State>,
    /// Commands that wait now.
    pub waiting: AtomicUsize,
    /// Commands that were cancelled.
    pub cancelled: AtomicUsize,
    /// Uploads that broke off.
    pub broken: AtomicUsize,
}

/// A codebase, the key that made it, and its files.
type Held = (Codebase, String, BTreeMap<String, Vec<u8>>);

#[derive(Default)]
struct State {
    next: u64,
    codebases: BTreeMap<String, Held>,
    sandboxes: BTreeMap<String, (Sandbox, NewSandbox)>,
    sessions: BTreeMap<String, Session>,
}

impl State {
    fn id(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}_{:016x}", self.next)
    }

    fn sandbox(&mut self, caller: &Caller, id: &str) -> Result<&mut (Sandbox, NewSandbox)> {
        let found = self.sandboxes.get_mut(id).filter(|(sandbox, _)| caller.operator || sandbox.owner == *caller.name);
        found.ok_or_else(|| AgentError::not_found("sandbox", id))
    }

    fn codebase(&mut self, caller: &Caller, id: &str) -> Result<&mut Held> {
        let found = self.codebases.get_mut(id).filter(|(_, owner, _)| caller.operator || *owner == *caller.name);
        found.ok_or_else(|| AgentError::not_found("codebase", id))
    }

    fn session(&mut self, caller: &Caller, id: &str) -> Result<&mut Session> {
        let sandbox = self.sessions.get(id).map(|session| session.sandbox_id.clone());
        let sandbox = sandbox.ok_or_else(|| AgentError::not_found("session", id))?;
        self.sandbox(caller, &sandbox).map_err(|_| AgentError::not_found("session", id))?;
        Ok(self.sessions.get_mut(id).unwrap())
    }
}

fn paged<T>(items: Vec<T>, page: &PageRequest) -> Result<Page<T>> {
    let start = if page.token.is_empty() { Ok(0) } else { page.token.parse::<usize>() };
    let start = start.map_err(|_| AgentError::invalid("page_token", format!("{:?}: it must be one that a listing gave", page.token)))?;
    let size = if page.size == 0 { 100 } else { page.size.min(1000) };
    let next = (items.len() > start + size).then(|| (start + size).to_string());
    Ok(Page { items: items.into_iter().skip(start).take(size).collect(), next })
}

fn unsupported<T>() -> Result<T> {
    Err(AgentError::Unsupported("not in this fake".to_owned()))
}

impl Fake {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// What the newest sandbox was asked to be.
    pub fn asked(&self) -> NewSandbox {
        self.state().sandboxes.values().last().unwrap().1.clone()
    }

    fn run_command(
        &self,
        command: &str,
        exec: &Exec,
        timeout_ms: Option<u64>,
        cancel: &Cancel,
        watcher: &dyn Watcher,
    ) -> Result<ExecResult> {
        let (word, rest) = command.split_once(' ').unwrap_or((command, ""));
        let number = || rest.parse::<usize>().unwrap();
        let (mut stdout, mut stderr, mut exit_code, mut verdict) = (Vec::new(), Vec::new(), 0, Verdict::Ended);
        watcher.started();
        match word {
            "echo" => stdout = format!("{rest}\n").into(),
            "err" => stderr = format!("{rest}\n").into(),
            "bytes" => stdout = vec![0xff, 0, b'a'],
            "exit" => exit_code = rest.parse().unwrap(),
            "large" => stdout = vec![b'x'; number()],
            "cat" => stdout = exec.stdin.clone(),
            "show" => stdout = format!("{:?} {:?} {timeout_ms:?}", exec.workdir, exec.env).into(),
            "signal" => (exit_code, verdict) = (137, Verdict::Signaled),
            "oom" => (exit_code, verdict) = (137, Verdict::OutOfMemory),
            "lost" => verdict = Verdict::Lost,
            "panic" => panic!("on purpose"),
            "ticks" => {
                for tick in 0..number() {
                    let stream = if tick % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
                    if !watcher.wrote(stream, format!("{tick}\n").as_bytes()) {
                        self.cancelled.fetch_add(1, Ordering::SeqCst);
                        return Err(AgentError::Cancelled);
                    }
                }
            }
            "wait" => {
                stdout = b"before".to_vec();
                stderr = b"and".to_vec();
                let (sender, receiver) = mpsc::channel();
                let _guard = cancel.on_cancel(move || sender.send(()).unwrap_or_default());
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let told = receiver.recv_timeout(Duration::from_millis(timeout_ms.unwrap_or(60_000)));
                self.waiting.fetch_sub(1, Ordering::SeqCst);
                if told.is_ok() {
                    self.cancelled.fetch_add(1, Ordering::SeqCst);
                    return Err(AgentError::Cancelled);
                }
                (exit_code, verdict) = (-1, Verdict::TimedOut);
            }
            other => return Err(AgentError::invalid("command", format!("{other:?} is no word of this fake"))),
        }
        if watcher.takes_output() {
            watcher.wrote(Stream::Stdout, &stdout);
            watcher.wrote(Stream::Stderr, &stderr);
            (stdout, stderr) = (Vec::new(), Vec::new());
        }
        let (signal, truncated) = (None, [0, 0]);
        Ok(ExecResult {
            stdout,
            stderr,
            exit_code,
            signal,
            verdict,
            truncated,
            wall_us: 1_500_000,
            cpu_us: None,
            memory_peak: None,
            evidence: None,
        })
    }
}

impl Agent for Fake {
    fn create_codebase(&self, caller: &Caller, new: &NewCodebase) -> Result<Codebase> {
        let mut state = self.state();
        let id = state.id("cb");
        let (name, owner_id) = (new.name.clone(), new.owner_id.clone());
        let made = Codebase { id: id.clone(), name, owner_id, size: 0, file_count: 0, version: 0, created_at: NOW, updated_at: NOW };
        state.codebases.insert(id, (made.clone(), caller.name.to_string(), BTreeMap::new()));
        Ok(made)
    }

    fn codebase(&self, caller: &Caller, id: &str) -> Result<Codebase> {
        self.state().codebase(caller, id).map(|found| found.0.clone())
    }

    fn codebases(&self, caller: &Caller, owner_id: Option<&str>, page: &PageRequest) -> Result<Page<Codebase>> {
        let state = self.state();
        let seen = state.codebases.values().filter(|(_, owner, _)| caller.operator || *owner == *caller.name);
        paged(seen.map(|found| found.0.clone()).filter(|found| owner_id.is_none_or(|owner| owner == found.owner_id)).collect(), page)
    }

    fn delete_codebase(&self, caller: &Caller, id: &str) -> Result<()> {
        let mut state = self.state();
        state.codebase(caller, id)?;
        if state.sandboxes.values().any(|(sandbox, _)| sandbox.codebase_id == id) {
            return Err(AgentError::Precondition("a sandbox stands on this codebase".to_owned()));
        }
        state.codebases.remove(id);
        Ok(())
    }

    fn upload(
        &self,
        caller: &Caller,
        codebase: &str,
        path: &str,
        _mode: Option<u32>,
        expected: Option<u64>,
        from: &mut dyn Read,
    ) -> Result<Uploaded> {
        self.state().codebase(caller, codebase)?;
        if path.split('/').any(|part| part == "..") {
            return Err(AgentError::invalid("path", format!("{path:?} leads out")));
        }
        let mut bytes = Vec::new();
        if let Err(error) = from.read_to_end(&mut bytes) {
            self.broken.fetch_add(1, Ordering::SeqCst);
            return Err(AgentError::Unavailable(error.to_string()));
        }
        let size = bytes.len() as u64;
        if expected.is_some_and(|expected| expected != size) {
            return Err(AgentError::invalid("total_size", format!("{size} bytes came")));
        }
        let mut state = self.state();
        let (found, _, files) = state.codebase(caller, codebase)?;
        files.insert(path.to_owned(), bytes);
        (found.size, found.file_count) = (files.values().map(|file| file.len() as u64).sum(), files.len() as u64);
        Ok(Uploaded { version: 1, path: path.to_owned(), size, sha256: "s".to_owned(), md5: "m".to_owned() })
    }

    fn upload_archive(&self, _: &Caller, _: &str, _: bool, _: &mut dyn Read) -> Result<Version> {
        unsupported()
    }

    fn remove_files(&self, _: &Caller, _: &str, _: &[String]) -> Result<Version> {
        unsupported()
    }

    fn download(&self, caller: &Caller, codebase: &str, _: Option<u64>, path: &str) -> Result<Download> {
        let mut state = self.state();
        let bytes = state.codebase(caller, codebase)?.2.get(path).cloned().ok_or_else(|| AgentError::not_found("file", path))?;
        Ok(Download { size: bytes.len() as u64, mode: 0o644, from: Box::new(Cursor::new(bytes)) })
    }

    fn download_archive(&self, _: &Caller, _: &str, _: Option<u64>) -> Result<Box<dyn Read + Send>> {
        unsupported()
    }

    fn files(
        &self,
        caller: &Caller,
        codebase: &str,
        _: Option<u64>,
        path: &str,
        recursive: bool,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        let mut state = self.state();
        let files = &state.codebase(caller, codebase)?.2;
        let inside = if path.is_empty() { String::new() } else { format!("{path}/") };
        let mut found = BTreeMap::new();
        for (name, bytes) in files {
            let Some(rest) = name.strip_prefix(&inside) else { continue };
            let deep = rest.split_once('/').filter(|_| !recursive);
            let (rest, is_dir) = deep.map_or((rest, false), |(top, _)| (top, true));
            let entry = TreeEntry {
                path: format!("{inside}{rest}"),
                name: rest.rsplit('/').next().unwrap().to_owned(),
                is_dir,
                link: None,
                size: bytes.len() as u64,
                mode: 0o644,
                modified_at: NOW,
            };
            found.insert(entry.path.clone(), entry);
        }
        if found.is_empty() && !path.is_empty() {
            return Err(AgentError::not_found("file", path));
        }
        paged(found.into_values().collect(), page)
    }

    fn versions(&self, _: &Caller, _: &str, _: &PageRequest) -> Result<Page<Version>> {
        unsupported()
    }

    fn create_sandbox(&self, caller: &Caller, new: &NewSandbox) -> Result<Sandbox> {
        let mut state = self.state();
        let codebase_id = new.codebase_id.clone().unwrap_or_default();
        state.codebase(caller, &codebase_id)?;
        if let Some(index) = new.rules.iter().position(|rule| rule.pattern.is_empty()) {
            return Err(AgentError::invalid(format!("rules[{index}].pattern"), "\"\" is empty"));
        }
        let id = state.id("sb");
        let made = Sandbox {
            id: id.clone(),
            codebase_id,
            version: 0,
            rules: new.rules.clone(),
            status: SandboxStatus::Pending,
            problem: None,
            labels: new.labels.clone(),
            created_at: NOW,
            started_at: None,
            stopped_at: None,
            expires_at: new.expires_in_ms.map(|after| NOW + after as i64),
            runtime: new.runtime,
            image: new.image.clone(),
            resources: new.resources.clone(),
            network: new.network,
            owner: caller.name.to_string(),
        };
        state.sandboxes.insert(id, (made.clone(), new.clone()));
        Ok(made)
    }

    fn sandbox(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        self.state().sandbox(caller, id).map(|found| found.0.clone())
    }

    fn sandboxes(&self, caller: &Caller, filter: &SandboxFilter, page: &PageRequest) -> Result<Page<Sandbox>> {
        let state = self.state();
        let seen = state.sandboxes.values().map(|found| &found.0).filter(|found| caller.operator || found.owner == *caller.name);
        paged(seen.filter(|found| filter.codebase_id.as_ref().is_none_or(|id| *id == found.codebase_id)).cloned().collect(), page)
    }

    fn start(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        let mut state = self.state();
        let (sandbox, _) = state.sandbox(caller, id)?;
        if sandbox.status == SandboxStatus::Running {
            return Err(AgentError::AlreadyRunning);
        }
        (sandbox.status, sandbox.started_at) = (SandboxStatus::Running, Some(NOW));
        Ok(sandbox.clone())
    }

    fn stop(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        let mut state = self.state();
        let (sandbox, _) = state.sandbox(caller, id)?;
        if sandbox.status != SandboxStatus::Running {
            return Err(AgentError::NotRunning);
        }
        (sandbox.status, sandbox.stopped_at) = (SandboxStatus::Stopped, Some(NOW));
        Ok(sandbox.clone())
    }

    fn destroy(&self, caller: &Caller, id: &str) -> Result<()> {
        let mut state = self.state();
        state.sandbox(caller, id)?;
        state.sandboxes.remove(id);
        state.sessions.retain(|_, session| session.sandbox_id != id);
        Ok(())
    }

    fn set_rules(&self, _: &Caller, _: &str, _: &[Rule], _: Endings) -> Result<Sandbox> {
        unsupported()
    }

    fn explain(&self, _: &Caller, _: &str, _: &str) -> Result<Explanation> {
        unsupported()
    }

    fn set_expiry(&self, _: &Caller, _: &str, _: Option<u64>) -> Result<Sandbox> {
        unsupported()
    }

    fn images(&self, _: &Caller) -> Result<Vec<Image>> {
        unsupported()
    }

    fn diff(&self, _: &Caller, _: &str) -> Result<Vec<Change>> {
        unsupported()
    }

    fn commit(&self, _: &Caller, _: &str, _: &Commit) -> Result<Committed> {
        unsupported()
    }

    fn rollback(&self, _: &Caller, _: &str, _: Option<u64>, _: Endings) -> Result<Sandbox> {
        unsupported()
    }

    fn snapshot(&self, _: &Caller, _: &str) -> Result<Snapshot> {
        unsupported()
    }

    fn snapshots(&self, _: &Caller, _: &str, _: &PageRequest) -> Result<Page<Snapshot>> {
        unsupported()
    }

    fn restore(&self, _: &Caller, _: &str, _: &str, _: Endings) -> Result<Sandbox> {
        unsupported()
    }

    fn delete_snapshot(&self, _: &Caller, _: &str) -> Result<()> {
        unsupported()
    }

    fn fork(&self, _: &Caller, _: &str) -> Result<Sandbox> {
        unsupported()
    }

    fn exec(&self, caller: &Caller, id: &str, exec: &Exec, cancel: &Cancel, watcher: &dyn Watcher) -> Result<ExecResult> {
        if self.sandbox(caller, id)?.status != SandboxStatus::Running {
            return Err(AgentError::NotRunning);
        }
        self.run_command(&exec.command, exec, exec.timeout_ms, cancel, watcher)
    }

    fn interact(&self, _: &Caller, _: &str, _: &Exec, _: &Interaction, _: &Cancel, _: &dyn Watcher) -> Result<ExecResult> {
        unsupported()
    }

    fn run(&self, _: &Caller, _: &NewSandbox, _: &Exec, _: &Cancel, _: &dyn Watcher) -> Result<ExecResult> {
        unsupported()
    }

    fn create_session(&self, caller: &Caller, sandbox: &str, new: &NewSession) -> Result<Session> {
        let mut state = self.state();
        if state.sandbox(caller, sandbox)?.0.status != SandboxStatus::Running {
            return Err(AgentError::NotRunning);
        }
        let id = state.id("sess");
        let made = Session {
            id: id.clone(),
            sandbox_id: sandbox.to_owned(),
            status: SessionStatus::Active,
            shell: if new.shell.is_empty() { "/bin/sh".to_owned() } else { new.shell.clone() },
            created_at: NOW,
            closed_at: None,
            exit_code: None,
            terminal: false,
        };
        state.sessions.insert(id, made.clone());
        Ok(made)
    }

    fn session(&self, caller: &Caller, id: &str) -> Result<Session> {
        self.state().session(caller, id).map(|session| session.clone())
    }

    fn sessions(&self, caller: &Caller, sandbox: &str, page: &PageRequest) -> Result<Page<Session>> {
        let mut state = self.state();
        state.sandbox(caller, sandbox)?;
        paged(state.sessions.values().filter(|session| session.sandbox_id == sandbox).cloned().collect(), page)
    }

    fn destroy_session(&self, caller: &Caller, id: &str) -> Result<()> {
        let mut state = self.state();
        let session = state.session(caller, id)?;
        (session.status, session.closed_at) = (SessionStatus::Closed, Some(NOW));
        Ok(())
    }

    fn session_exec(
        &self,
        caller: &Caller,
        id: &str,
        command: &str,
        timeout_ms: Option<u64>,
        cancel: &Cancel,
        watcher: &dyn Watcher,
    ) -> Result<ExecResult> {
        if self.session(caller, id)?.status == SessionStatus::Closed {
            return Err(AgentError::SessionClosed);
        }
        self.run_command(command, &Exec::default(), timeout_ms, cancel, watcher)
    }

    fn attach(&self, _: &Caller, _: &str) -> Result<Terminal> {
        unsupported()
    }

    fn read_file(&self, _: &Caller, _: &str, _: &str, _: FileRange) -> Result<FilePart> {
        unsupported()
    }

    fn write_file(&self, _: &Caller, _: &str, _: &str, _: Option<u32>, _: &mut dyn Read) -> Result<u64> {
        unsupported()
    }

    fn list_files(&self, _: &Caller, _: &str, _: &str) -> Result<Vec<Entry>> {
        unsupported()
    }

    fn remove_file(&self, _: &Caller, _: &str, _: &str, _: bool) -> Result<()> {
        unsupported()
    }

    fn watch_files(&self, _: &Caller, _: &str, _: &str, _: &Cancel, _: &mut dyn FnMut(WatchEvent) -> bool) -> Result<()> {
        unsupported()
    }
}
