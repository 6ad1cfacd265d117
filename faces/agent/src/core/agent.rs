//! The calls of the seam: who may, what is written down about it, and who does it.

use std::io::Read;
use std::time::Duration;

use super::LocalAgent;
use super::quota::Counted;
use super::{Inner, clock, lifecycle, may_see, shown};
use crate::api::{
    Agent, AgentError, Caller, Cancel, Change, Codebase, Commit, Committed, Download, Endings, Entry, Exec, ExecResult, Explanation,
    FilePart, FileRange, Image, Interaction, NewCodebase, NewSandbox, NewSession, Page, PageRequest, Result, Rule, Sandbox, SandboxFilter,
    Session, Snapshot, Terminal, TreeEntry, Uploaded, Version, WatchEvent, Watcher,
};
use crate::audit::{About, Audit};
use crate::exec::{self, Limits};
use crate::session;
use crate::state;

impl LocalAgent {
    /// Does something and writes down what came of it.
    fn audited<T>(&self, caller: &Caller, what: &str, which: &str, done: Result<T>) -> Result<T> {
        self.inner.audit.write(&caller.name, what, which, done.as_ref().err());
        done
    }

    /// The same for a command.
    fn audited_command(&self, caller: &Caller, what: &str, which: &str, done: Result<ExecResult>) -> Result<ExecResult> {
        self.inner.audit.write_about(&caller.name, what, which, About::command(&done), done.as_ref().err());
        done
    }

    /// The sandbox of a session.
    fn sandbox_of(&self, session: &str) -> Option<String> {
        self.inner.sessions.get(session).map(|session| session.sandbox.clone())
    }
}

/// Who holds a terminal; that it was left is written down, then the next may come.
struct Attached {
    place: Option<Box<dyn Send>>,
    audit: std::sync::Arc<Audit>,
    who: std::sync::Arc<str>,
    id: String,
    sandbox: Option<String>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.audit.write_about(&self.who, "session.detach", &self.id, About::default().of(self.sandbox.as_deref()), None);
        self.place = None;
    }
}

impl Inner {
    /// The clock of one command.
    fn command_limits(&self, timeout_ms: Option<u64>) -> Result<Limits> {
        let most = self.settings.most_timeout;
        let timeout = match timeout_ms {
            None => self.settings.timeout,
            Some(asked) if Duration::from_millis(asked) > most => {
                return Err(AgentError::invalid("timeout", format!("{asked} ms: {} ms is the most", most.as_millis())));
            }
            Some(asked) => Duration::from_millis(asked),
        };
        Ok(Limits { output: self.settings.output, timeout })
    }

    fn execute(
        &self,
        entry: &super::entry::Entry,
        exec: &Exec,
        with: Option<&Interaction>,
        cancel: &Cancel,
        watcher: &dyn Watcher,
    ) -> Result<ExecResult> {
        let limits = self.command_limits(exec.timeout_ms)?;
        let life = entry.living()?;
        self.admit(entry)?;
        let _running = life.begin(self.settings.quota_commands)?;
        entry.touch();
        let done = exec::run(&life, exec, with, limits, cancel, watcher);
        // What it wrote until now may not have been there when somebody looked.
        entry.touch();
        let done = done?;
        self.figures.command(done.verdict);
        Ok(done)
    }

    /// Makes a sandbox, runs a command in it and destroys it.
    pub(super) fn run_once(
        self: &std::sync::Arc<Self>,
        caller: &Caller,
        new: &NewSandbox,
        exec: &Exec,
        cancel: &Cancel,
        watcher: &dyn Watcher,
    ) -> Result<ExecResult> {
        // What is wrong with the command is told before anything is made.
        exec::words(exec)?;
        self.command_limits(exec.timeout_ms)?;
        let entry = self.create(caller, new, true)?;
        let done = self.start_entry(&entry).and_then(|_| self.execute(&entry, exec, None, cancel, watcher));
        let gone = self.destroy_entry(&entry, lifecycle::Why::Asked);
        done.and_then(|result| gone.map(|()| result))
    }

    /// The session of this id, if the caller may see it.
    fn visible_session(&self, caller: &Caller, id: &str) -> Result<std::sync::Arc<session::Session>> {
        let session = if clock::is_id("sess", id) { self.sessions.get(id) } else { None };
        session.filter(|session| may_see(caller, &session.owner)).ok_or_else(|| AgentError::not_found("session", id))
    }

    fn open_session(&self, caller: &Caller, sandbox: &str, new: &NewSession) -> Result<std::sync::Arc<session::Session>> {
        let entry = self.visible(caller, sandbox)?;
        entry.lasting()?;
        exec::check_env("env", &new.env)?;
        if new.shell.len() > 4096 || new.shell.contains('\0') {
            return Err(AgentError::invalid("shell", "a path has at most 4096 bytes, and no zero byte"));
        }
        match (new.terminal, new.argv.is_empty(), new.shell.is_empty()) {
            (Some((0, _) | (_, 0)), ..) => return Err(AgentError::invalid("terminal", "0: a terminal has rows and columns")),
            (None, false, _) => return Err(AgentError::invalid("argv", "a program in the shell's place needs a terminal")),
            (Some(_), false, false) => return Err(AgentError::invalid("shell", "name a shell or a program with its arguments, not both")),
            _ => {}
        }
        if !new.argv.is_empty() {
            exec::words(&Exec { argv: new.argv.clone(), ..Exec::default() })?;
        }
        let life = entry.living()?;
        self.admit(&entry)?;
        let running = life.begin(self.settings.quota_commands)?;
        let share = self.quotas.take(&entry.owner, Counted::Sessions, self.settings.quota_sessions)?;
        entry.touch();
        let record = state::Session {
            id: clock::new_id("sess")?,
            sandbox: entry.id.clone(),
            shell: match new.argv.first() {
                Some(program) => program.clone(),
                None if new.shell.is_empty() => "/bin/sh".to_owned(),
                None => new.shell.clone(),
            },
            terminal: new.terminal.is_some(),
            created_at: clock::now(),
            closed_at: None,
            exit_code: None,
        };
        let number = self.number();
        let start =
            session::Start { life: &life, new, output: self.settings.output, running, share, audit: std::sync::Arc::clone(&self.audit) };
        let session = std::sync::Arc::new(session::Session::start(number, record, &entry.owner, start)?);
        // Before a command holds it.
        let kept = self.keeps().then(|| session.keep()).flatten();
        self.state.put_session(number, &session.known(&self.state))?;
        entry.add_session(std::sync::Arc::clone(&session));
        self.sessions.insert(number, &session.id, std::sync::Arc::clone(&session));
        self.keep_session(&session.id, kept);
        Ok(session)
    }
}

impl Agent for LocalAgent {
    fn create_codebase(&self, caller: &Caller, new: &NewCodebase) -> Result<Codebase> {
        let done = self.inner.make_codebase(caller, new);
        let id = done.as_ref().map_or("", |made| &made.id).to_owned();
        self.audited(caller, "codebase.create", &id, done)
    }

    fn codebase(&self, caller: &Caller, id: &str) -> Result<Codebase> {
        self.inner.read_codebase(caller, id)
    }

    fn codebases(&self, caller: &Caller, owner_id: Option<&str>, page: &PageRequest) -> Result<Page<Codebase>> {
        self.inner.list_codebases(caller, owner_id, page)
    }

    fn delete_codebase(&self, caller: &Caller, id: &str) -> Result<()> {
        self.audited(caller, "codebase.delete", id, self.inner.remove_codebase(caller, id))
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
        self.audited(caller, "codebase.upload", codebase, self.inner.upload_file(caller, codebase, path, mode, expected, from))
    }

    fn upload_archive(&self, caller: &Caller, codebase: &str, replace: bool, from: &mut dyn Read) -> Result<Version> {
        self.audited(caller, "codebase.upload", codebase, self.inner.upload_tar(caller, codebase, replace, from))
    }

    fn remove_files(&self, caller: &Caller, codebase: &str, paths: &[String]) -> Result<Version> {
        self.audited(caller, "codebase.remove", codebase, self.inner.remove_paths(caller, codebase, paths))
    }

    fn download(&self, caller: &Caller, codebase: &str, version: Option<u64>, path: &str) -> Result<Download> {
        self.inner.open_file(caller, codebase, version, path)
    }

    fn download_archive(&self, caller: &Caller, codebase: &str, version: Option<u64>) -> Result<Box<dyn Read + Send>> {
        self.inner.open_tar(caller, codebase, version)
    }

    fn files(
        &self,
        caller: &Caller,
        codebase: &str,
        version: Option<u64>,
        path: &str,
        recursive: bool,
        page: &PageRequest,
    ) -> Result<Page<TreeEntry>> {
        self.inner.list_tree(caller, codebase, version, path, recursive, page)
    }

    fn versions(&self, caller: &Caller, codebase: &str, page: &PageRequest) -> Result<Page<Version>> {
        self.inner.list_versions(caller, codebase, page)
    }

    fn create_sandbox(&self, caller: &Caller, new: &NewSandbox) -> Result<Sandbox> {
        let done = self.inner.create(caller, new, false).map(|entry| shown(&entry.known().record));
        let id = done.as_ref().map_or("", |made| &made.id).to_owned();
        self.audited(caller, "create", &id, done)
    }

    fn sandbox(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        self.inner.visible(caller, id).map(|entry| shown(&entry.known().record))
    }

    fn sandboxes(&self, caller: &Caller, filter: &SandboxFilter, page: &PageRequest) -> Result<Page<Sandbox>> {
        self.inner.sandboxes.page(page, |entry| {
            if !may_see(caller, &entry.owner) {
                return None;
            }
            let known = entry.known();
            let record = &known.record;
            let codebase = filter.codebase_id.as_ref().is_none_or(|id| id.is_empty() || (record.named && *id == record.codebase));
            let labels = filter.labels.iter().all(|(name, value)| record.labels.get(name) == Some(value));
            let sandbox = (codebase && labels).then(|| shown(record))?;
            filter.status.is_none_or(|status| status == sandbox.status).then_some(sandbox)
        })
    }

    fn start(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        let done = self.inner.visible(caller, id).and_then(|entry| entry.lasting().and_then(|()| self.inner.start_entry(&entry)));
        self.audited(caller, "start", id, done.map(|known| shown(&known.record)))
    }

    fn stop(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.stop_entry(&entry, lifecycle::Why::Asked));
        self.audited(caller, "stop", id, done.map(|known| shown(&known.record)))
    }

    fn destroy(&self, caller: &Caller, id: &str) -> Result<()> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.destroy_entry(&entry, lifecycle::Why::Asked));
        self.audited(caller, "destroy", id, done)
    }

    fn set_rules(&self, caller: &Caller, id: &str, rules: &[Rule], endings: Endings) -> Result<Sandbox> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.put_rules(&entry, rules, endings));
        self.audited(caller, "set-rules", id, done.map(|known| shown(&known.record)))
    }

    fn explain(&self, caller: &Caller, id: &str, path: &str) -> Result<Explanation> {
        self.inner.visible(caller, id).and_then(|entry| self.inner.explained(&entry, path))
    }

    fn set_expiry(&self, caller: &Caller, id: &str, expires_in_ms: Option<u64>) -> Result<Sandbox> {
        let put = || {
            let entry = self.inner.visible(caller, id)?;
            let expires = self.inner.expiry(clock::now(), expires_in_ms, false)?;
            let _turn = entry.turn()?;
            let known = entry.change(&self.inner.state, |record| record.expires_at = expires)?;
            self.inner.expire_later(&entry);
            Ok(shown(&known.record))
        };
        self.audited(caller, "set-expiry", id, put())
    }

    fn images(&self, _caller: &Caller) -> Result<Vec<Image>> {
        self.inner.list_images()
    }

    fn diff(&self, caller: &Caller, id: &str) -> Result<Vec<Change>> {
        self.inner.visible(caller, id).and_then(|entry| self.inner.changes(&entry))
    }

    fn commit(&self, caller: &Caller, id: &str, commit: &Commit) -> Result<Committed> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.make_version(caller, &entry, commit));
        self.audited(caller, "commit", id, done)
    }

    fn rollback(&self, caller: &Caller, id: &str, onto: Option<u64>, endings: Endings) -> Result<Sandbox> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.roll_back(&entry, onto, endings));
        self.audited(caller, "rollback", id, done.map(|known| shown(&known.record)))
    }

    fn snapshot(&self, caller: &Caller, id: &str) -> Result<Snapshot> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.take_snapshot(&entry));
        self.audited(caller, "snapshot", id, done)
    }

    fn snapshots(&self, caller: &Caller, id: &str, page: &PageRequest) -> Result<Page<Snapshot>> {
        self.inner.visible(caller, id).and_then(|entry| self.inner.list_snapshots(&entry, page))
    }

    fn restore(&self, caller: &Caller, id: &str, snapshot: &str, endings: Endings) -> Result<Sandbox> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.put_snapshot_back(caller, &entry, snapshot, endings));
        self.audited(caller, "restore", id, done.map(|known| shown(&known.record)))
    }

    fn delete_snapshot(&self, caller: &Caller, snapshot: &str) -> Result<()> {
        self.audited(caller, "snapshot.delete", snapshot, self.inner.remove_snapshot(caller, snapshot))
    }

    fn fork(&self, caller: &Caller, id: &str) -> Result<Sandbox> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.fork_entry(caller, &entry));
        self.audited(caller, "fork", id, done.map(|made| shown(&made.known().record)))
    }

    fn exec(&self, caller: &Caller, id: &str, exec: &Exec, cancel: &Cancel, watcher: &dyn Watcher) -> Result<ExecResult> {
        let done = self.inner.visible(caller, id).and_then(|entry| self.inner.execute(&entry, exec, None, cancel, watcher));
        self.audited_command(caller, "exec", id, done)
    }

    fn interact(
        &self,
        caller: &Caller,
        id: &str,
        exec: &Exec,
        with: &Interaction,
        cancel: &Cancel,
        watcher: &dyn Watcher,
    ) -> Result<ExecResult> {
        let run = || {
            let entry = self.inner.visible(caller, id)?;
            if let Some((0, _) | (_, 0)) = with.terminal {
                return Err(AgentError::invalid("terminal", "0: a terminal has rows and columns"));
            }
            self.inner.execute(&entry, exec, Some(with), cancel, watcher)
        };
        self.audited_command(caller, "exec", id, run())
    }

    fn run(&self, caller: &Caller, new: &NewSandbox, exec: &Exec, cancel: &Cancel, watcher: &dyn Watcher) -> Result<ExecResult> {
        self.audited_command(caller, "run", "", self.inner.run_once(caller, new, exec, cancel, watcher))
    }

    fn create_session(&self, caller: &Caller, sandbox: &str, new: &NewSession) -> Result<Session> {
        let done = self.inner.open_session(caller, sandbox, new).map(|session| session.known(&self.inner.state).shown());
        let about = About { session: done.as_ref().ok().map(|made: &Session| made.id.as_str()), ..About::default() };
        self.inner.audit.write_about(&caller.name, "session.create", sandbox, about, done.as_ref().err());
        done
    }

    fn session(&self, caller: &Caller, id: &str) -> Result<Session> {
        self.inner.visible_session(caller, id).map(|session| session.known(&self.inner.state).shown())
    }

    fn sessions(&self, caller: &Caller, sandbox: &str, page: &PageRequest) -> Result<Page<Session>> {
        let entry = self.inner.visible(caller, sandbox)?;
        let of = |session: &session::Session| (session.sandbox == entry.id).then(|| session.known(&self.inner.state).shown());
        self.inner.sessions.page(page, of)
    }

    fn destroy_session(&self, caller: &Caller, id: &str) -> Result<()> {
        let end = || {
            let session = self.inner.visible_session(caller, id)?;
            session.end(&self.inner.state);
            self.inner.let_go(&session.id);
            Ok(())
        };
        self.audited(caller, "session.destroy", id, end())
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
        let run = || {
            if command.is_empty() {
                return Err(AgentError::invalid("command", "it is empty: name a command"));
            }
            if command.contains('\0') {
                return Err(AgentError::invalid("command", "a command has no zero byte"));
            }
            let limits = self.inner.command_limits(timeout_ms)?;
            let session = self.inner.visible_session(caller, id)?;
            let entry = self.inner.sandboxes.get(&session.sandbox).ok_or(AgentError::SessionClosed)?;
            self.inner.admit(&entry)?;
            entry.touch();
            let done = session.run(command, limits, cancel, watcher, &self.inner.state);
            entry.touch();
            done.inspect(|result| self.inner.figures.command(result.verdict))
        };
        let done = run();
        let sandbox = self.sandbox_of(id);
        self.inner.audit.write_about(&caller.name, "session.exec", id, About::command(&done).of(sandbox.as_deref()), done.as_ref().err());
        done
    }

    fn attach(&self, caller: &Caller, id: &str) -> Result<Terminal> {
        let done = self.inner.visible_session(caller, id).and_then(|session| session.attach(&self.inner.state));
        let sandbox = self.sandbox_of(id);
        self.inner.audit.write_about(&caller.name, "session.attach", id, About::default().of(sandbox.as_deref()), done.as_ref().err());
        let (audit, who, id) = (std::sync::Arc::clone(&self.inner.audit), std::sync::Arc::clone(&caller.name), id.to_owned());
        done.map(|terminal| Terminal { place: Box::new(Attached { place: Some(terminal.place), audit, who, id, sandbox }), ..terminal })
    }

    fn read_file(&self, caller: &Caller, sandbox: &str, path: &str, range: FileRange) -> Result<FilePart> {
        self.inner.visible(caller, sandbox).and_then(|entry| self.inner.read_inside(&entry, path, range))
    }

    fn write_file(&self, caller: &Caller, sandbox: &str, path: &str, mode: Option<u32>, from: &mut dyn Read) -> Result<u64> {
        let done = self.inner.visible(caller, sandbox).and_then(|entry| self.inner.write_inside(&entry, path, mode, from));
        self.audited(caller, "file.write", sandbox, done)
    }

    fn list_files(&self, caller: &Caller, sandbox: &str, path: &str) -> Result<Vec<Entry>> {
        self.inner.visible(caller, sandbox).and_then(|entry| self.inner.list_inside(&entry, path))
    }

    fn remove_file(&self, caller: &Caller, sandbox: &str, path: &str, recursive: bool) -> Result<()> {
        let done = self.inner.visible(caller, sandbox).and_then(|entry| self.inner.remove_inside(&entry, path, recursive));
        self.audited(caller, "file.remove", sandbox, done)
    }

    fn watch_files(
        &self,
        caller: &Caller,
        sandbox: &str,
        path: &str,
        cancel: &Cancel,
        receive: &mut dyn FnMut(WatchEvent) -> bool,
    ) -> Result<()> {
        self.inner.visible(caller, sandbox).and_then(|entry| self.inner.watch_inside(&entry, path, cancel, receive))
    }
}
