//! From arguments to an exit status: reads what must be read, hands the plan to the engine, tells whoever watches.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::RawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use enclos_sandbox::direct::{self, Bounds, Exec};
use enclos_spec::Report;
use enclos_spec::plan::{FilterSource, Plan};

use super::command_line::{CommandLine, From, Kind};
use super::message::{Message, system_text};
use super::parse::{Wanted, parse};
use super::plan::{Caller, Directory, Launch, plan};
use super::status::{NAMESPACES, Started, exit_code};
use super::{descriptors, failure, help, limits, version};
use crate::report_file;

/// Exit status of every failure of ours.
const FAILURE: u8 = 1;

/// Runs `bwrap ARGUMENTS`. `called_as` is what we were called, for the usage line.
pub fn main(called_as: &OsStr, arguments: impl Iterator<Item = OsString>) -> u8 {
    let parent = std::os::unix::process::parent_id();
    let arguments: Vec<OsString> = arguments.collect();
    let parsed = parse(&arguments, &mut read_all);
    for message in &parsed.messages {
        say(message);
    }
    match parsed.wanted {
        None => FAILURE,
        Some(Wanted::Help) => answer(&help::help(&called_as.to_string_lossy())),
        Some(Wanted::Version) => answer(&version()),
        Some(Wanted::Usage) => {
            // Nobody is left to be told when standard error cannot be written.
            let _ = io::stderr().write_all(help::help(&called_as.to_string_lossy()).as_bytes());
            FAILURE
        }
        Some(Wanted::Run(line)) => match run(&line, parent) {
            Ok(code) => code,
            Err(text) => {
                say(&Message::error(text, parsed.level_prefix));
                FAILURE
            }
        },
    }
}

fn answer(text: &str) -> u8 {
    match io::stdout().write_all(text.as_bytes()).and_then(|()| io::stdout().flush()) {
        Ok(()) => enclos_spec::exit::SUCCESS,
        Err(_) => FAILURE,
    }
}

fn say(message: &Message) {
    // One write, so that lines of several processes do not mix. Nobody is left to be told when it fails.
    let _ = io::stderr().write_all(format!("{message}\n").as_bytes());
}

/// `parent`: as it was at the very start.
fn run(line: &CommandLine, parent: u32) -> Result<u8, String> {
    refuse_set_uid()?;
    // Before anything of ours is open.
    let closed = descriptors::occupy_all(line)?;
    let mut filters = Vec::new();
    for fd in &line.add_seccomp {
        filters.push(filter(*fd)?);
    }
    let mut launch = plan(line, &caller(line))?;
    if let Some(fd) = line.seccomp {
        filters.push(filter(fd)?);
    }
    launch.plan.seccomp = filters.into_iter().map(FilterSource::Program).collect();
    descriptors::check(line, &mut launch, &closed)?;
    let bounds = bounds(line, &mut launch.plan)?;
    let wrong = |text: &str| format!("--enclos-report: {text}");
    let mut file = line.report.as_deref().map(report_file::open).transpose().map_err(|text| wrong(&text))?;
    if line.die_with_parent {
        die_with(parent)?;
    }
    let outcome = start(line, &launch, bounds);
    if let (Some(file), Some(path)) = (&mut file, &line.report) {
        let report = match &outcome {
            Ok((_, report)) => report.clone(),
            Err(text) => Some(report_file::no_run(text.clone())),
        };
        let written = report.map_or(Ok(()), |report| report_file::write(file, &report, &[]));
        written.map_err(|error| wrong(&format!("{path:?}: {}", text_of(&error))))?;
    }
    outcome.map(|(code, _)| code)
}

/// The limits asked for, over the plan, and the meters of a report.
fn bounds(line: &CommandLine, plan: &mut Plan) -> Result<Option<Bounds>, String> {
    if line.limits.is_empty() && line.report.is_none() {
        return Ok(None);
    }
    let bounds = Bounds::over(plan, &limits::policy(&line.limits)?, line.report.is_some());
    bounds.map(Some).map_err(|error| format!("--enclos-limits: {error}"))
}

/// The engine's work, and the documents around it.
fn start(line: &CommandLine, launch: &Launch, bounds: Option<Bounds>) -> Result<(u8, Option<Report>), String> {
    let failed = |error: enclos_sandbox::Error| failure::words(&error, line, launch);
    let exec = exec(launch);
    // Whoever watches is told of the process before anything else happens. Without a watcher it need not wait.
    let watched = line.info_fd.is_some() || line.json_status_fd.is_some() || line.userns_block_fd.is_some();
    if !watched {
        check_sources(line)?;
    }
    let started = direct::start(&launch.plan, &exec, bounds, watched).map_err(failed)?;
    let mut status = line.json_status_fd.map(writer).transpose()?;
    if watched {
        tell(line, &started, &launch.plan, status.as_mut())?;
        check_sources(line)?;
        if let Some(fd) = line.userns_block_fd {
            // Whoever maps the ids says so here; the engine then maps none.
            await_byte(fd);
        }
    }
    started.release().map_err(failed)?;
    started.wait_executed().map_err(failed)?;
    let ended = started.wait().map_err(failed)?;
    let code = u8::try_from(if ended.status < 0 { 128 - ended.status } else { ended.status }).unwrap_or(u8::MAX);
    if let Some(status) = &mut status {
        // A reader that has gone has heard enough: the command has ended all the same.
        let _ = write(status, &exit_code(code));
    }
    if ended.report.is_none() {
        #[expect(clippy::exit, reason = "nothing is left to do, and what the process holds the kernel frees faster than we would")]
        std::process::exit(i32::from(code));
    }
    Ok((code, ended.report))
}

/// The documents about the process that was made.
fn tell(line: &CommandLine, started: &direct::Started<'_>, plan: &Plan, status: Option<&mut std::fs::File>) -> Result<(), String> {
    let told = Started { child_pid: started.pid(), namespaces: namespaces(&plan.namespaces, started.pid()) };
    if let Some(fd) = line.info_fd {
        write(&mut writer(fd)?, &told.info())?;
        // Its reader waits for the end.
        if line.json_status_fd != Some(fd) {
            drop(enclos_sys::fd::adopt(fd));
        }
    }
    status.map_or(Ok(()), |status| write(status, &told.status()))
}

/// `--die-with-parent`, for a parent that may have ended before the kernel was told.
fn die_with(parent: u32) -> Result<(), String> {
    let set = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
    set.map_err(|errno| format!("prctl(PR_SET_PDEATHSIG): {}", system_text(errno.raw_os_error())))?;
    if std::os::unix::process::parent_id() == parent { Ok(()) } else { Err("the parent has ended".to_owned()) }
}

fn exec(launch: &Launch) -> Exec {
    let root = PathBuf::from("/");
    let directories = match &launch.directory {
        Directory::Must(path) => vec![path.clone()],
        Directory::Root => vec![root],
        Directory::First(paths) => paths.iter().cloned().chain([root]).collect(),
    };
    Exec {
        program: launch.program.clone(),
        argv0: launch.arguments.first().cloned(),
        arguments: launch.arguments.get(1..).unwrap_or_default().to_vec(),
        environment: launch.environment.clone(),
        directories,
    }
}

/// A set-user-ID installation lends our caller powers this front was not built to guard (CVE-2020-5291).
fn refuse_set_uid() -> Result<(), String> {
    use rustix::process::{getegid, geteuid, getgid, getuid};
    if getuid() != geteuid() || getgid() != getegid() {
        return Err("must not be installed set-user-ID or set-group-ID: it needs no privileges".to_owned());
    }
    Ok(())
}

/// All sources are looked for before the first operation, and the first that is missing is told. What this process cannot reach the sandbox may, so
/// any other trouble is left to it.
fn check_sources(line: &CommandLine) -> Result<(), String> {
    let needed = line.ops.iter().filter(|op| !matches!(op.kind, Kind::Bind { optional: true, .. }));
    for path in needed.flat_map(|op| op.sources()) {
        if let Err(error) = std::fs::canonicalize(path)
            && error.kind() == io::ErrorKind::NotFound
        {
            return Err(format!("Can't find source path {}: {}", path.display(), text_of(&error)));
        }
    }
    Ok(())
}

/// Waits for one byte or the end. A descriptor that cannot be read is no reason to wait.
fn await_byte(fd: RawFd) {
    let Ok(fd) = enclos_sys::fd::borrow(fd) else { return };
    let mut byte = [0u8];
    while matches!(rustix::io::read(fd, &mut byte), Err(rustix::io::Errno::INTR)) {}
}

/// Everything about the caller and the host that the plan depends on.
fn caller(line: &CommandLine) -> Caller {
    let capabilities = rustix::thread::capabilities(None).map_or(0, |sets| sets.permitted.bits());
    Caller {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        capabilities,
        last_capability: enclos_sys::capability::last_known(),
        directory: std::env::current_dir().ok(),
        environment: std::env::vars_os().collect(),
        terminal: terminal(),
        // Looked for where the answer matters.
        user_namespaces: line.unshare.user_try && user_namespaces(),
        cgroup_namespaces: (line.unshare.cgroup || line.unshare.cgroup_try) && Path::new("/proc/self/ns/cgroup").exists(),
        missing: missing(line),
    }
}

/// Whether this kernel has them, and lets one be made.
fn user_namespaces() -> bool {
    let allowed = std::fs::read_to_string("/proc/sys/user/max_user_namespaces").is_ok_and(|text| text.trim() != "0");
    allowed && Path::new("/proc/self/ns/user").exists()
}

/// The terminal on standard output, if it is one.
fn terminal() -> Option<PathBuf> {
    let stdout = enclos_sys::fd::borrow(1).ok()?;
    rustix::termios::isatty(stdout).then(|| rustix::termios::ttyname(stdout, Vec::new()).ok()).flatten().map(|name| {
        use std::os::unix::ffi::OsStringExt;
        PathBuf::from(OsString::from_vec(name.into_bytes()))
    })
}

/// Sources of `-try` binds that do not exist. Any other trouble with them is the run's.
fn missing(line: &CommandLine) -> Vec<PathBuf> {
    let optional = line.ops.iter().filter_map(|op| match &op.kind {
        Kind::Bind { from: From::Path(path), optional: true, .. } => Some(path),
        _ => None,
    });
    optional.filter(|path| std::fs::canonicalize(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)).cloned().collect()
}

/// Inode numbers of the new namespaces of a process. One that cannot be read is not told.
fn namespaces(new: &enclos_spec::plan::Namespaces, pid: u32) -> Vec<(&'static str, u64)> {
    let is_new = |name: &str| match name {
        "cgroup" => new.cgroup,
        "ipc" => new.ipc,
        "net" => new.net,
        "pid" => new.pid,
        "uts" => new.uts,
        _ => true,
    };
    let number = |name: &'static str| Some((name, std::fs::metadata(format!("/proc/{pid}/ns/{name}")).ok()?.ino()));
    NAMESPACES.into_iter().filter(|name| is_new(name)).filter_map(number).collect()
}

fn writer(fd: RawFd) -> Result<std::fs::File, String> {
    // A copy: closing ours must not close a descriptor that the caller gave twice.
    let copy = enclos_sys::fd::borrow(fd).and_then(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 3));
    copy.map(std::fs::File::from).map_err(|errno| format!("Write to info_fd: {}", system_text(errno.raw_os_error())))
}

fn write(file: &mut std::fs::File, text: &str) -> Result<(), String> {
    file.write_all(text.as_bytes()).map_err(|error| format!("Write to info_fd: {}", text_of(&error)))
}

/// Reads a descriptor to its end and closes it.
fn read_all(number: RawFd) -> Result<Vec<u8>, String> {
    let fd = enclos_sys::fd::adopt(number).map_err(|errno| system_text(errno.raw_os_error()))?;
    let mut bytes = Vec::new();
    std::fs::File::from(fd).read_to_end(&mut bytes).map_err(|error| text_of(&error))?;
    descriptors::occupy([number])?;
    Ok(bytes)
}

/// A compiled filter.
fn filter(fd: RawFd) -> Result<Vec<u8>, String> {
    let bytes = read_all(fd).map_err(|error| format!("Can't read seccomp data: {error}"))?;
    if bytes.len().is_multiple_of(8) { Ok(bytes) } else { Err("Invalid seccomp data, must be multiple of 8".to_owned()) }
}

fn text_of(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), system_text)
}
