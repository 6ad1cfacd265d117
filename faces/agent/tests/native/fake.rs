//! An agent in memory. Commands are words: `echo TEXT`, `cat` (its input), `fail N`, `wait` (until it is cancelled), `flood N`, `together N`
//! (until N of them run), `quota`, `panic`.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use enclos_agent::api::*;
use enclos_vfs::{Rules, TreePath};

pub const PATIENCE: Duration = Duration::from_secs(60);

/// Permission bits and contents, by path.
type Files = BTreeMap<String, (u32, Vec<u8>)>;

#[derive(Default)]
pub struct State {
    next: u64,
    codebases: BTreeMap<String, (Arc<str>, Codebase, Vec<Files>)>,
    sandboxes: BTreeMap<String, (Arc<str>, Sandbox)>,
    files: BTreeMap<(String, String), (u32, Vec<u8>)>,
    sessions: BTreeMap<String, Session>,
    snapshots: BTreeMap<String, Snapshot>,
    /// Other ends of terminals.
    pub slaves: BTreeMap<String, std::os::fd::OwnedFd>,
    attached: Vec<String>,
    /// What calls were given last.
    pub new: Option<NewSandbox>,
    pub exec: Option<Exec>,
}

#[derive(Default)]
pub struct Fake {
    state: Arc<Mutex<State>>,
    changed: Condvar,
    pub running: AtomicUsize,
    pub watching: AtomicUsize,
    together: Mutex<usize>,
    /// Largest part that is read of a file at once.
    pub part: AtomicUsize,
}

/// While it lives something runs.
struct Running<'a>(&'a AtomicUsize);

impl<'a> Running<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn page<T>(items: Vec<T>, page: &PageRequest) -> Result<Page<T>> {
    let from: usize =
        if page.token.is_empty() { 0 } else { page.token.parse().map_err(|_| AgentError::invalid("page_token", "not ours"))? };
    let size = if page.size == 0 { 100 } else { page.size };
    let next = (from.saturating_add(size) < items.len()).then(|| (from + size).to_string());
    Ok(Page { items: items.into_iter().skip(from).take(size).collect(), next })
}

fn clean(path: &str) -> Result<String> {
    let path = TreePath::parse(path).map_err(|error| AgentError::invalid("path", error.why))?;
    Ok(path.to_string().trim_start_matches('/').to_owned())
}

/// What comes of a command that wrote nothing.
fn well() -> ExecResult {
    ExecResult {
        stdout: Vec::new(),
        stderr: Vec::new(),
        exit_code: 0,
        signal: None,
        verdict: Verdict::Ended,
        truncated: [0; 2],
        wall_us: 5,
        cpu_us: Some(3),
        memory_peak: None,
        evidence: None,
    }
}

struct Place(Arc<Mutex<State>>, String);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.lock().unwrap().attached.retain(|id| *id != self.1);
    }
}

impl Fake {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn id(&self, prefix: &str) -> String {
        let mut state = self.lock();
        state.next += 1;
        format!("{prefix}_{:016x}", state.next)
    }

    fn owned<'a>(caller: &Caller, owner: &str, kind: &'static str, id: &'a str) -> Result<&'a str> {
        if caller.operator || &*caller.name == owner { Ok(id) } else { Err(AgentError::not_found(kind, id)) }
    }

    fn known(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        let state = self.lock();
        let (owner, sandbox) = state.sandboxes.get(id).ok_or_else(|| AgentError::not_found("sandbox", id))?;
        Self::owned(caller, owner, "sandbox", id)?;
        Ok(sandbox.clone())
    }

    fn alive(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        let sandbox = self.known(caller, id)?;
        if sandbox.status == SandboxStatus::Running { Ok(sandbox) } else { Err(AgentError::NotRunning) }
    }

    fn change(&self, caller: &Caller, id: &str, change: impl FnOnce(&mut Sandbox)) -> Result<Sandbox> {
        self.known(caller, id)?;
        let mut state = self.lock();
        let sandbox = &mut state.sandboxes.get_mut(id).unwrap().1;
        change(sandbox);
        Ok(sandbox.clone())
    }

    fn version(&self, codebase: &str, files: Files) -> Version {
        let mut state = self.lock();
        let (_, record, versions) = state.codebases.get_mut(codebase).unwrap();
        record.file_count = files.len() as u64;
        record.size = files.values().map(|(_, bytes)| bytes.len() as u64).sum();
        versions.push(files);
        record.version = versions.len() as u64 - 1;
        let (number, size, file_count) = (record.version, record.size, record.file_count);
        Version { number, parent: number.checked_sub(1), tree: "0".repeat(64), author: "fake".into(), created_at: 0, size, file_count }
    }

    fn of_version(&self, caller: &Caller, id: &str, version: Option<u64>) -> Result<Files> {
        let state = self.lock();
        let (owner, _, versions) = state.codebases.get(id).ok_or_else(|| AgentError::not_found("codebase", id))?;
        Self::owned(caller, owner, "codebase", id)?;
        let number = version.unwrap_or(versions.len() as u64 - 1);
        let files = usize::try_from(number).ok().and_then(|number| versions.get(number));
        files.cloned().ok_or_else(|| AgentError::not_found("version", number.to_string()))
    }

    fn carry_out(&self, exec: &Exec, cancel: &Cancel, watcher: &dyn Watcher) -> Result<ExecResult> {
        self.lock().exec = Some(exec.clone());
        let _running = Running::new(&self.running);
        let line = if exec.argv.is_empty() { exec.command.clone() } else { exec.argv.join(" ") };
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        if word == "quota" {
            return Err(AgentError::Quota { what: "sandboxes".into(), limit: 3 });
        }
        assert!(word != "panic", "as it was told to");
        watcher.started();
        let mut result = well();
        let write = |stream, bytes: &[u8], result: &mut ExecResult| {
            if watcher.takes_output() {
                return watcher.wrote(stream, bytes);
            }
            if stream == Stream::Stdout { &mut result.stdout } else { &mut result.stderr }.extend_from_slice(bytes);
            true
        };
        match word {
            "echo" => drop(write(Stream::Stdout, format!("{rest}\n").as_bytes(), &mut result)),
            "cat" => drop(write(Stream::Stdout, &exec.stdin, &mut result)),
            "fail" => {
                write(Stream::Stderr, b"it failed\n", &mut result);
                result.exit_code = rest.parse().unwrap_or(1);
            }
            "wait" => {
                while !cancel.is_cancelled() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                return Err(AgentError::Cancelled);
            }
            "flood" => {
                for _ in 0..rest.parse().unwrap_or(1_000_000) {
                    if !write(Stream::Stdout, &[b'x'; 4096], &mut result) {
                        return Err(AgentError::Cancelled);
                    }
                }
            }
            "together" => {
                let mut together = self.together.lock().unwrap();
                *together += 1;
                self.changed.notify_all();
                let all: usize = rest.parse().unwrap_or(1);
                let (_together, wait) = self.changed.wait_timeout_while(together, PATIENCE, |now| *now < all).unwrap();
                assert!(!wait.timed_out());
            }
            _ => {}
        }
        Ok(result)
    }
}

impl Agent for Fake {
    fn create_codebase(&self, caller: &Caller, new: &NewCodebase) -> Result<Codebase> {
        if new.name.is_empty() {
            return Err(AgentError::invalid("name", "\"\" is no name: write 1 to 256 bytes"));
        }
        let id = self.id("cb");
        let (name, owner_id) = (new.name.clone(), new.owner_id.clone());
        let made = Codebase { id: id.clone(), name, owner_id, size: 0, file_count: 0, version: 0, created_at: 0, updated_at: 0 };
        self.lock().codebases.insert(id, (caller.name.clone(), made.clone(), vec![BTreeMap::new()]));
        Ok(made)
    }
    fn codebase(&self, caller: &Caller, id: &str) -> Result<Codebase> {
        self.of_version(caller, id, None)?;
        Ok(self.lock().codebases[id].1.clone())
    }
    fn codebases(&self, caller: &Caller, owner_id: Option<&str>, at: &PageRequest) -> Result<Page<Codebase>> {
        let state = self.lock();
        let seen = state.codebases.values().filter(|(owner, ..)| caller.operator || *owner == caller.name).map(|(_, codebase, _)| codebase);
        page(seen.filter(|codebase| owner_id.is_none_or(|id| codebase.owner_id == id)).cloned().collect(), at)
    }
    fn delete_codebase(&self, caller: &Caller, id: &str) -> Result<()> {
        self.of_version(caller, id, None)?;
        let mut state = self.lock();
        if state.sandboxes.values().any(|(_, sandbox)| sandbox.codebase_id == id) {
            return Err(AgentError::Precondition("a sandbox stands on it".into()));
        }
        state.codebases.remove(id);
        Ok(())
    }
    fn upload(
        &self,
        caller: &Caller,
        codebase: &str,
        path: &str,
        mode: Option<u32>,
        expected: Option<u64>,
        from: &mut dyn Read,
    ) -> Result<Uploaded> {
        let mut files = self.of_version(caller, codebase, None)?;
        let path = clean(path)?;
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(|error| AgentError::Internal(error.to_string()))?;
        assert!(expected.is_none_or(|expected| expected == bytes.len() as u64));
        let size = bytes.len() as u64;
        files.insert(path.clone(), (mode.unwrap_or(0o644), bytes));
        let version = self.version(codebase, files).number;
        Ok(Uploaded { version, path, size, sha256: "0".repeat(64), md5: String::new() })
    }
    fn upload_archive(&self, caller: &Caller, codebase: &str, replace: bool, from: &mut dyn Read) -> Result<Version> {
        let files = self.of_version(caller, codebase, None)?;
        let mut files = if replace { BTreeMap::new() } else { files };
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(|error| AgentError::Internal(error.to_string()))?;
        files.insert("archive".to_owned(), (0o644, bytes));
        Ok(self.version(codebase, files))
    }
    fn remove_files(&self, caller: &Caller, codebase: &str, paths: &[String]) -> Result<Version> {
        let mut files = self.of_version(caller, codebase, None)?;
        for path in paths {
            files.remove(&clean(path)?).ok_or_else(|| AgentError::not_found("file", path))?;
        }
        Ok(self.version(codebase, files))
    }
    fn download(&self, caller: &Caller, codebase: &str, version: Option<u64>, path: &str) -> Result<Download> {
        let files = self.of_version(caller, codebase, version)?;
        let (mode, bytes) = files.get(&clean(path)?).cloned().ok_or_else(|| AgentError::not_found("file", path))?;
        Ok(Download { size: bytes.len() as u64, mode, from: Box::new(Cursor::new(bytes)) })
    }
    fn download_archive(&self, caller: &Caller, codebase: &str, version: Option<u64>) -> Result<Box<dyn Read + Send>> {
        let files = self.of_version(caller, codebase, version)?;
        Ok(Box::new(Cursor::new(files.get("archive").map(|(_, bytes)| bytes.clone()).unwrap_or_default())))
    }
    fn files(
        &self,
        caller: &Caller,
        codebase: &str,
        version: Option<u64>,
        path: &str,
        recursive: bool,
        at: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        let start = clean(if path.is_empty() { "/" } else { path })?;
        let entry = |(path, (mode, bytes)): (String, (u32, Vec<u8>))| TreeEntry {
            name: path.rsplit('/').next().unwrap_or_default().to_owned(),
            path,
            is_dir: false,
            link: None,
            size: bytes.len() as u64,
            mode,
            modified_at: 0,
        };
        let files = self.of_version(caller, codebase, version)?.into_iter();
        page(files.filter(|(path, _)| path.starts_with(&start) && (recursive || !path.contains('/'))).map(entry).collect(), at)
    }
    fn versions(&self, caller: &Caller, codebase: &str, at: &PageRequest) -> Result<Page<Version>> {
        self.of_version(caller, codebase, None)?;
        let count = self.lock().codebases[codebase].2.len() as u64;
        let version = |number: u64| Version {
            number,
            parent: number.checked_sub(1),
            tree: "0".repeat(64),
            author: "fake".into(),
            created_at: 0,
            size: 0,
            file_count: 0,
        };
        page((0..count).map(version).collect(), at)
    }

    fn create_sandbox(&self, caller: &Caller, new: &NewSandbox) -> Result<Sandbox> {
        if let Some(id) = &new.codebase_id {
            self.of_version(caller, id, new.version)?;
        }
        if let Some(image) = &new.image {
            return Err(AgentError::not_found("image", image));
        }
        self.lock().new = Some(new.clone());
        let id = self.id("sb");
        let sandbox = Sandbox {
            id: id.clone(),
            codebase_id: new.codebase_id.clone().unwrap_or_default(),
            version: new.version.unwrap_or(0),
            rules: new.rules.clone(),
            status: SandboxStatus::Pending,
            problem: None,
            labels: new.labels.clone(),
            created_at: 0,
            started_at: None,
            stopped_at: None,
            expires_at: new.expires_in_ms.map(u64::cast_signed),
            runtime: new.runtime,
            image: None,
            resources: new.resources.clone(),
            network: new.network,
            owner: caller.name.to_string(),
        };
        self.lock().sandboxes.insert(id, (caller.name.clone(), sandbox.clone()));
        Ok(sandbox)
    }
    fn sandbox(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        self.known(caller, id)
    }
    fn sandboxes(&self, caller: &Caller, filter: &SandboxFilter, at: &PageRequest) -> Result<Page<Sandbox>> {
        let state = self.lock();
        let fits = |sandbox: &&Sandbox| {
            filter.codebase_id.as_ref().is_none_or(|id| sandbox.codebase_id == *id)
                && filter.status.is_none_or(|status| sandbox.status == status)
                && filter.labels.iter().all(|(name, value)| sandbox.labels.get(name) == Some(value))
        };
        let seen = state.sandboxes.values().filter(|(owner, _)| caller.operator || *owner == caller.name).map(|(_, sandbox)| sandbox);
        page(seen.filter(fits).cloned().collect(), at)
    }
    fn start(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        if self.known(caller, id)?.status == SandboxStatus::Running {
            return Err(AgentError::AlreadyRunning);
        }
        self.change(caller, id, |sandbox| (sandbox.status, sandbox.started_at) = (SandboxStatus::Running, Some(1)))
    }
    fn stop(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        self.alive(caller, id)?;
        self.change(caller, id, |sandbox| (sandbox.status, sandbox.stopped_at) = (SandboxStatus::Stopped, Some(2)))
    }
    fn destroy(&self, caller: &Caller, id: &str) -> Result<()> {
        self.known(caller, id)?;
        self.lock().sandboxes.remove(id);
        Ok(())
    }
    fn set_rules(&self, caller: &Caller, id: &str, rules: &[Rule], endings: Endings) -> Result<Sandbox> {
        if self.known(caller, id)?.status == SandboxStatus::Running && endings == Endings::Refuse {
            return Err(AgentError::Precondition("1 session is open".into()));
        }
        self.change(caller, id, |sandbox| sandbox.rules = rules.to_vec())
    }
    fn explain(&self, caller: &Caller, id: &str, path: &str) -> Result<Explanation> {
        let rules = Rules::new(&self.known(caller, id)?.rules).map_err(|error| AgentError::Internal(error.to_string()))?;
        Ok(rules.explain(&TreePath::parse(path).map_err(|error| AgentError::invalid("path", error.why))?))
    }
    fn set_expiry(&self, caller: &Caller, id: &str, expires_in_ms: Option<u64>) -> Result<Sandbox> {
        self.change(caller, id, |sandbox| sandbox.expires_at = expires_in_ms.map(u64::cast_signed))
    }
    fn images(&self, _: &Caller) -> Result<Vec<Image>> {
        Ok(vec![Image { name: "python:3".into(), source: "directory".into(), registered_at: 0 }])
    }

    fn diff(&self, caller: &Caller, id: &str) -> Result<Vec<Change>> {
        self.known(caller, id)?;
        let state = self.lock();
        let change = |((_, path), (mode, bytes)): (&(String, String), &(u32, Vec<u8>))| Change {
            path: path.clone(),
            kind: "added",
            what: "file",
            size: Some(bytes.len() as u64),
            mode: Some(*mode),
            denied: path.starts_with("denied").then(|| "glob \"denied*\" read".to_owned()),
        };
        Ok(state.files.iter().filter(|((of, _), _)| of == id).map(change).collect())
    }
    fn commit(&self, caller: &Caller, id: &str, commit: &Commit) -> Result<Committed> {
        let (dropped, changes): (Vec<_>, Vec<_>) = self.diff(caller, id)?.into_iter().partition(|change| change.denied.is_some());
        if changes.iter().any(|change| change.path == "conflict") {
            return Ok(Committed::Conflicts(vec![Conflict { path: "conflict".into(), why: "both changed it".into() }]));
        }
        if !dropped.is_empty() && !commit.drop_denied {
            return Ok(Committed::Denied(dropped));
        }
        if changes.is_empty() { Ok(Committed::Nothing) } else { Ok(Committed::Made { version: 7, changes, dropped }) }
    }
    fn rollback(&self, caller: &Caller, id: &str, onto: Option<u64>, _: Endings) -> Result<Sandbox> {
        self.known(caller, id)?;
        self.lock().files.retain(|(of, _), _| of != id);
        self.change(caller, id, |sandbox| sandbox.version = onto.unwrap_or(sandbox.version))
    }
    fn snapshot(&self, caller: &Caller, id: &str) -> Result<Snapshot> {
        let version = self.known(caller, id)?.version;
        let made = Snapshot { id: self.id("sn"), sandbox_id: id.to_owned(), version, created_at: 0 };
        self.lock().snapshots.insert(made.id.clone(), made.clone());
        Ok(made)
    }
    fn snapshots(&self, caller: &Caller, id: &str, at: &PageRequest) -> Result<Page<Snapshot>> {
        self.known(caller, id)?;
        page(self.lock().snapshots.values().filter(|snapshot| snapshot.sandbox_id == id).cloned().collect(), at)
    }
    fn restore(&self, caller: &Caller, id: &str, snapshot: &str, _: Endings) -> Result<Sandbox> {
        let sandbox = self.known(caller, id)?;
        if self.lock().snapshots.contains_key(snapshot) { Ok(sandbox) } else { Err(AgentError::not_found("snapshot", snapshot)) }
    }
    fn delete_snapshot(&self, _: &Caller, snapshot: &str) -> Result<()> {
        self.lock().snapshots.remove(snapshot).map(drop).ok_or_else(|| AgentError::not_found("snapshot", snapshot))
    }
    fn fork(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        let first = self.known(caller, id)?;
        let made = Sandbox { id: self.id("sb"), status: SandboxStatus::Stopped, ..first };
        self.lock().sandboxes.insert(made.id.clone(), (caller.name.clone(), made.clone()));
        Ok(made)
    }

    fn exec(&self, caller: &Caller, id: &str, exec: &Exec, cancel: &Cancel, watcher: &dyn Watcher) -> Result<ExecResult> {
        self.alive(caller, id)?;
        self.carry_out(exec, cancel, watcher)
    }
    /// `cat` shows what it hears: input on standard output, the rest on standard error.
    fn interact(
        &self,
        caller: &Caller,
        id: &str,
        exec: &Exec,
        with: &Interaction,
        cancel: &Cancel,
        watcher: &dyn Watcher,
    ) -> Result<ExecResult> {
        self.alive(caller, id)?;
        if exec.command != "cat" {
            return self.carry_out(exec, cancel, watcher);
        }
        let _running = Running::new(&self.running);
        watcher.started();
        while !cancel.is_cancelled() {
            let (signals, size) = with.talk.hear();
            let heard = signals
                .into_iter()
                .map(|signal| format!("signal {signal}\n"))
                .chain(size.map(|(rows, cols)| format!("size {rows} {cols}\n")));
            for line in heard {
                watcher.wrote(Stream::Stderr, line.as_bytes());
            }
            match with.talk.next() {
                Next::Bytes(bytes) if watcher.wrote(Stream::Stdout, &bytes) => {}
                Next::Bytes(_) => break,
                Next::Nothing => std::thread::sleep(Duration::from_millis(1)),
                Next::End => return Ok(well()),
            }
        }
        Err(AgentError::Cancelled)
    }
    fn run(&self, caller: &Caller, new: &NewSandbox, exec: &Exec, cancel: &Cancel, watcher: &dyn Watcher) -> Result<ExecResult> {
        let made = self.create_sandbox(caller, new)?;
        let result = self.carry_out(exec, cancel, watcher);
        self.destroy(caller, &made.id)?;
        result
    }

    fn create_session(&self, caller: &Caller, sandbox: &str, new: &NewSession) -> Result<Session> {
        self.alive(caller, sandbox)?;
        let session = Session {
            id: self.id("sess"),
            sandbox_id: sandbox.to_owned(),
            status: SessionStatus::Active,
            shell: if new.shell.is_empty() { "/bin/sh".to_owned() } else { new.shell.clone() },
            created_at: 0,
            closed_at: None,
            exit_code: None,
            terminal: new.terminal.is_some(),
        };
        self.lock().sessions.insert(session.id.clone(), session.clone());
        Ok(session)
    }
    fn session(&self, caller: &Caller, id: &str) -> Result<Session> {
        let session = self.lock().sessions.get(id).cloned().ok_or_else(|| AgentError::not_found("session", id))?;
        // Whose sandbox it is not, theirs the session is not either.
        self.known(caller, &session.sandbox_id).map_err(|_| AgentError::not_found("session", id))?;
        Ok(session)
    }
    fn sessions(&self, caller: &Caller, sandbox: &str, at: &PageRequest) -> Result<Page<Session>> {
        self.known(caller, sandbox)?;
        page(self.lock().sessions.values().filter(|session| session.sandbox_id == sandbox).cloned().collect(), at)
    }
    fn destroy_session(&self, caller: &Caller, id: &str) -> Result<()> {
        self.session(caller, id)?;
        let mut state = self.lock();
        state.slaves.remove(id);
        let session = state.sessions.get_mut(id).ok_or_else(|| AgentError::not_found("session", id))?;
        (session.status, session.exit_code, session.closed_at) = (SessionStatus::Closed, Some(129), Some(3));
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
        self.carry_out(&Exec { command: command.to_owned(), timeout_ms, ..Exec::default() }, cancel, watcher)
    }
    fn attach(&self, caller: &Caller, id: &str) -> Result<Terminal> {
        if !self.session(caller, id)?.terminal {
            return Err(AgentError::Precondition("the session has no terminal".into()));
        }
        let mut state = self.lock();
        if state.attached.iter().any(|attached| attached == id) {
            return Err(AgentError::Conflict("somebody holds the terminal".into()));
        }
        use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(name, rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
        state.slaves.insert(id.to_owned(), slave);
        state.attached.push(id.to_owned());
        let place = Box::new(Place(Arc::clone(&self.state), id.to_owned()));
        Ok(Terminal { master: master.into(), signals: Box::new(|_| {}), place })
    }

    fn read_file(&self, caller: &Caller, sandbox: &str, path: &str, range: FileRange) -> Result<FilePart> {
        self.alive(caller, sandbox)?;
        let key = (sandbox.to_owned(), clean(path)?);
        let (mode, bytes) = self.lock().files.get(&key).cloned().ok_or_else(|| AgentError::not_found("file", path))?;
        let most = self.part.load(Ordering::SeqCst).max(1);
        let start = usize::try_from(range.offset).unwrap_or(usize::MAX).min(bytes.len());
        let length = range.length.map_or(usize::MAX, |length| usize::try_from(length).unwrap_or(usize::MAX)).min(most);
        let end = start.saturating_add(length).min(bytes.len());
        Ok(FilePart { bytes: bytes[start..end].to_vec(), size: bytes.len() as u64, mode })
    }
    fn write_file(&self, caller: &Caller, sandbox: &str, path: &str, mode: Option<u32>, from: &mut dyn Read) -> Result<u64> {
        self.alive(caller, sandbox)?;
        if path.starts_with("secret") {
            return Err(AgentError::Denied { path: path.to_owned(), why: "glob \"secret*\" none".into() });
        }
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes).map_err(|error| AgentError::Internal(error.to_string()))?;
        let size = bytes.len() as u64;
        self.lock().files.insert((sandbox.to_owned(), clean(path)?), (mode.unwrap_or(0o644), bytes));
        Ok(size)
    }
    fn list_files(&self, caller: &Caller, sandbox: &str, _: &str) -> Result<Vec<Entry>> {
        self.alive(caller, sandbox)?;
        let state = self.lock();
        let entry = |((_, path), (mode, bytes)): (&(String, String), &(u32, Vec<u8>))| Entry {
            name: path.clone(),
            kind: EntryKind::File,
            size: bytes.len() as u64,
            mode: *mode,
            modified_at: 0,
            link: None,
        };
        Ok(state.files.iter().filter(|((of, _), _)| of == sandbox).map(entry).collect())
    }
    fn remove_file(&self, caller: &Caller, sandbox: &str, path: &str, _: bool) -> Result<()> {
        self.alive(caller, sandbox)?;
        let key = (sandbox.to_owned(), clean(path)?);
        self.lock().files.remove(&key).map(drop).ok_or_else(|| AgentError::not_found("file", path))
    }
    fn watch_files(&self, _: &Caller, sandbox: &str, _: &str, cancel: &Cancel, receive: &mut dyn FnMut(WatchEvent) -> bool) -> Result<()> {
        let _watching = Running::new(&self.watching);
        let mut told = Vec::new();
        while !cancel.is_cancelled() {
            let now: Vec<String> = self.lock().files.keys().filter(|(of, _)| of == sandbox).map(|(_, path)| path.clone()).collect();
            for path in now.iter().filter(|path| !told.contains(*path)) {
                if !receive(WatchEvent { path: path.clone(), kind: "added" }) {
                    return Ok(());
                }
            }
            told = now;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}
