//! From words and variables to the request init executes.

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use enclos_spec::Policy;
use enclos_sys::Errno;
use rustix::fs::{Mode, OFlags, fchmod, fstat};

use crate::error::{Error, Failure, Result, Stage};
use crate::init::message::ExecRequest;
use crate::launch::idmap::errno_of;

/// What to execute.
#[derive(Clone, Debug)]
pub(crate) struct Words {
    /// The first is the program.
    pub arguments: Vec<OsString>,
    /// Over the policy's variables.
    pub environment: Vec<(OsString, OsString)>,
    /// Over the policy's directory.
    pub directory: Option<PathBuf>,
}

impl Words {
    /// A program without arguments.
    pub fn new(program: &OsStr) -> Self {
        Words { arguments: vec![program.to_owned()], environment: Vec::new(), directory: None }
    }
}

/// Where `execvp(3)` looks without a `PATH`.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// Encodes them; the program's name is looked up in the `PATH` the command itself will have, inside the sandbox.
pub(crate) fn request(words: &Words, environment: &[(OsString, OsString)], directories: &[PathBuf]) -> Result<ExecRequest> {
    let mut variables: Vec<(OsString, OsString)> = environment.to_vec();
    for (key, value) in &words.environment {
        variables.retain(|(k, _)| k != key);
        variables.push((key.clone(), value.clone()));
    }
    let directories = words.directory.as_ref().map_or(directories, std::slice::from_ref);
    let program = &words.arguments[0];
    let path = variables.iter().find(|(key, _)| key == "PATH").map_or_else(|| OsString::from(DEFAULT_PATH), |(_, value)| value.clone());
    let lines = variables.iter().map(|(key, value)| {
        let mut line = key.clone();
        line.push("=");
        line.push(value);
        line
    });
    let mut request = ExecRequest {
        files: texts(candidates(program, &path).into_iter().map(PathBuf::into_os_string))?,
        arguments: texts(words.arguments.iter().cloned())?,
        ..ExecRequest::default()
    };
    let pwd = directories.iter().map(|directory| {
        let mut line = OsString::from("PWD=");
        line.push(directory);
        line
    });
    if variables.iter().all(|(key, _)| key != "PWD") {
        request.flags |= crate::init::message::flag::PWD;
        request.variables = texts(pwd.chain(lines))?;
    } else {
        request.variables = texts(lines)?;
    }
    request.directories = texts(directories.iter().map(|d| d.clone().into_os_string()))?;
    Ok(request)
}

fn texts(words: impl Iterator<Item = OsString>) -> Result<Vec<CString>> {
    words
        .map(|word| {
            CString::new(word.into_vec()).map_err(|error| {
                let shown = String::from_utf8_lossy(&error.into_vec()).replace('\0', "\\0");
                Failure::about(Stage::Prepare, Errno::INVAL, format!("a zero byte in {shown:?}")).into()
            })
        })
        .collect()
}

/// Files to try for a program's name, as `execvp(3)`.
fn candidates(program: &OsStr, path: &OsStr) -> Vec<PathBuf> {
    if program.is_empty() || program.as_bytes().contains(&b'/') {
        return vec![program.into()];
    }
    path.as_bytes()
        .split(|b| *b == b':')
        .map(|directory| Path::new(if directory.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(directory) }).join(program))
        .collect()
}

/// Files for the streams are of one command; a sandbox that has many has them by [`Stdio`](crate::Stdio).
pub(crate) fn refuse_stream_files(policy: &Policy) -> Result<()> {
    let named = [("stdin", &policy.stdin), ("stdout", &policy.stdout), ("stderr", &policy.stderr)];
    match named.into_iter().find(|(_, file)| file.is_some()) {
        None => Ok(()),
        Some((field, _)) => Err(Error::Unenforceable {
            field,
            missing: "a sandbox of many commands has no file of its own for a stream; give each command its Stdio".to_owned(),
        }),
    }
}

/// Makes the directories of layers that are kept, where the layer's directory is there or can be made.
pub(crate) fn make_layers(policy: &Policy) -> Result<()> {
    for layer in policy.overlay.iter().filter_map(|o| o.layer.as_ref()) {
        let real = std::fs::canonicalize(layer).map_err(|e| Failure::about(Stage::Prepare, errno_of(&e), layer.display().to_string()))?;
        if real != *layer {
            return Err(Failure::about(Stage::Source, Errno::LOOP, layer.display().to_string()).into());
        }
        close_to_others(layer).map_err(|e| Failure::about(Stage::Prepare, e, layer.display().to_string()))?;
        for name in ["upper", "work"] {
            let path = layer.join(name);
            match std::fs::create_dir(&path) {
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
                other => other,
            }
            .map_err(|e| Failure::about(Stage::Prepare, errno_of(&e), path.display().to_string()))?;
        }
    }
    Ok(())
}

/// A set-user-id program below the overlay comes into the layer with its bit when it is opened for writing, and keeps it when it is changed through a shared mapping:
/// nobody else may get to it there.
fn close_to_others(layer: &Path) -> Result<(), Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(layer, flags, Mode::empty())?;
    let mode = Mode::from_raw_mode(fstat(&directory)?.st_mode);
    if mode.intersects(Mode::RWXG | Mode::RWXO) { fchmod(&directory, mode - Mode::RWXG - Mode::RWXO) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_path_is_not() {
        let path = OsStr::new("/bin::/usr/bin");
        assert_eq!(candidates(OsStr::new("ls"), path), ["/bin/ls", "./ls", "/usr/bin/ls"].map(PathBuf::from));
        assert_eq!(candidates(OsStr::new("./ls"), path), [PathBuf::from("./ls")]);
    }

    #[test]
    fn later_variables_win() {
        let mut words = Words::new(OsStr::new("x"));
        words.environment = vec![("A".into(), "2".into())];
        let request = request(&words, &[("A".into(), "1".into()), ("B".into(), "1".into())], &["/w".into()]).unwrap();
        let texts: Vec<_> = request.variables.iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(texts, ["PWD=/w", "B=1", "A=2"]);
    }

    #[test]
    fn a_zero_byte_is_named() {
        let words = Words::new(OsStr::new("a\0b"));
        assert!(request(&words, &[], &[]).unwrap_err().to_string().contains("zero byte"));
    }
}
