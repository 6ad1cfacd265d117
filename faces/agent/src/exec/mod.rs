//! Commands: started by the sandbox's init, watched by the calling thread, their output bounded and exact.
//!
//! ```text
//!   calling thread ── poll ──┬── stdout, stderr ──► kept up to a bound, told to the watcher, the rest counted
//!                            ├── stdin  ◄── what the caller brought, and what it says while the command runs; signals and sizes with it
//!                            ├── its end          ──► what is in the pipes by then is read, and no more: who it left behind may go on writing
//!                            ├── the clock        ──► everything it started is killed, what it wrote is kept
//!                            └── the caller's cancel
//! ```

mod capture;
mod input;
mod run;

pub use capture::Capture;
pub use run::{Limits, TERM, run};

use crate::api::{AgentError, Exec, Result};

/// Where the workspace is, inside.
pub const WORKSPACE: &str = "/workspace";

/// Most variables, and most bytes of them, that a call may bring.
const MOST_VARIABLES: usize = 1000;
const MOST_BYTES: usize = 1 << 20;

/// Checks variables and their names.
///
/// # Errors
/// [`AgentError::Invalid`], by the variable.
pub fn check_env(field: &str, env: &std::collections::BTreeMap<String, String>) -> Result<()> {
    if env.len() > MOST_VARIABLES {
        return Err(AgentError::invalid(field, format!("{} variables: {MOST_VARIABLES} are the most", env.len())));
    }
    let bytes: usize = env.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MOST_BYTES {
        return Err(AgentError::invalid(field, format!("{bytes} bytes: {MOST_BYTES} are the most")));
    }
    for (name, value) in env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(AgentError::invalid(field, format!("{name:?}: a name is not empty and has no `=` and no zero byte")));
        }
        if value.contains('\0') {
            return Err(AgentError::invalid(format!("{field}.{name}"), "a value has no zero byte"));
        }
    }
    Ok(())
}

/// The directory to start in; relative ones are below the workspace.
///
/// # Errors
/// [`AgentError::Invalid`].
pub fn directory(workdir: Option<&str>) -> Result<std::path::PathBuf> {
    let Some(given) = workdir.filter(|given| !given.is_empty()) else { return Ok(WORKSPACE.into()) };
    if given.contains('\0') || given.len() > 4096 {
        return Err(AgentError::invalid("workdir", "a path has at most 4096 bytes, and no zero byte"));
    }
    Ok(std::path::Path::new(WORKSPACE).join(given))
}

/// The words to execute.
///
/// # Errors
/// [`AgentError::Invalid`].
pub fn words(exec: &Exec) -> Result<Vec<String>> {
    const MOST: usize = 1 << 20;
    let words = match (exec.command.is_empty(), exec.argv.is_empty()) {
        (false, true) => vec!["/bin/sh".to_owned(), "-c".to_owned(), exec.command.clone()],
        (true, false) => exec.argv.clone(),
        (true, true) => return Err(AgentError::invalid("command", "it is empty: name a command")),
        (false, false) => return Err(AgentError::invalid("argv", "name a command line or a program with its arguments, not both")),
    };
    if words.iter().any(|word| word.contains('\0')) {
        return Err(AgentError::invalid("command", "a command has no zero byte"));
    }
    // One argument of more than 128 KiB is refused by the kernel (execve(2), MAX_ARG_STRLEN).
    if let Some(long) = words.iter().find(|word| word.len() >= 128 << 10) {
        return Err(AgentError::invalid(
            "command",
            format!("{} bytes: 131071 are the most; bring more by a file or standard input", long.len()),
        ));
    }
    if words.iter().map(String::len).sum::<usize>() > MOST {
        return Err(AgentError::invalid("argv", format!("more than {MOST} bytes")));
    }
    Ok(words)
}
