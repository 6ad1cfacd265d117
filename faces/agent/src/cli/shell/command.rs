//! A command, or a script on standard input, with the streams we have.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use enclos_sandbox::spec::exit;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{End, Session, terminal};
use crate::api::{Agent, Cancel, Exec, Stream, Verdict, Watcher};

/// Most bytes of standard input, which is read to its end before the command starts.
const MOST_INPUT: u64 = 256 << 20;

/// Passes output on as it comes.
struct Pass {
    gone: AtomicBool,
}

impl Watcher for Pass {
    fn wrote(&self, stream: Stream, bytes: &[u8]) -> bool {
        let written = match stream {
            Stream::Stdout => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            Stream::Stderr => std::io::stderr().write_all(bytes),
        };
        // A reader that is gone ends the command, as it would end one in a pipe.
        if written.is_err() {
            self.gone.store(true, Ordering::Relaxed);
        }
        written.is_ok()
    }

    fn takes_output(&self) -> bool {
        true
    }
}

impl Session<'_> {
    /// Runs the command with our streams; without one, the shell, which reads its commands from standard input.
    pub(super) fn piped(&self, sandbox: &str, signals: &OwnedFd) -> Result<End, String> {
        let argv = if self.wanted.argv.is_empty() { vec![self.shell()] } else { self.wanted.argv.clone() };
        let exec = Exec {
            argv,
            stdin: input()?,
            timeout_ms: self.wanted.timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX)),
            ..Exec::default()
        };
        let (cancel, pass) = (Cancel::new(), Pass { gone: AtomicBool::new(false) });
        let (told, done) = (AtomicI32::new(0), AtomicBool::new(false));
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let patience = Timespec::try_from(Duration::from_millis(50)).ok();
                    // What a signal ends is ended a little later where this fails.
                    let _ = poll(&mut [PollFd::new(signals, PollFlags::IN)], patience.as_ref());
                    if let Ok(Some(signal)) = terminal::ends(signals) {
                        told.store(signal, Ordering::Release);
                        cancel.cancel();
                    }
                }
            });
            let result = self.agent.exec(&self.caller, sandbox, &exec, &cancel, &pass);
            done.store(true, Ordering::Release);
            result
        });
        let signal = told.load(Ordering::Acquire);
        if signal != 0 {
            return Ok(End::Told(signal));
        }
        let result = result.map_err(|error| error.to_string())?;
        Ok(match result.verdict {
            Verdict::TimedOut => End::TimedOut,
            // As after SIGPIPE.
            Verdict::Cancelled if pass.gone.load(Ordering::Relaxed) => End::Exited(exit::SIGNAL_BASE + 13),
            _ => End::Exited(u8::try_from(result.exit_code).unwrap_or(exit::SIGNAL_BASE + 9)),
        })
    }
}

/// All of standard input; nothing of a terminal, whose output only is elsewhere.
fn input() -> Result<Vec<u8>, String> {
    use std::io::IsTerminal as _;
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Ok(Vec::new());
    }
    let mut bytes = Vec::new();
    match stdin.lock().take(MOST_INPUT + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > MOST_INPUT => Err(format!("stdin: more than {MOST_INPUT} bytes")),
        Ok(_) => Ok(bytes),
        // Closed by whoever started us.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::BADF.raw_os_error()) => Ok(Vec::new()),
        Err(error) => Err(format!("stdin: {error}")),
    }
}
