//! The hostile programs: C sources in `hostile/`, compiled once into one static program, `probe`.
//!
//! C, because the probe says what no safe wrapper lets one say: `int $0x80`, system call numbers with high bits set, clone with
//! senseless flags. Static, because it must also start in a root file system that holds nothing else.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

macro_rules! sources {
    ($($name:literal),+ $(,)?) => { &[$(($name, include_str!(concat!("../hostile/", $name)))),+] };
}

const SOURCES: &[(&str, &str)] = sources!["probe.h", "probe.c", "calls.c", "processes.c", "memory.c", "files.c", "channels.c", "held.c"];

const FLAGS: &[&str] = &["-static", "-O1", "-pthread", "-Wall", "-Wno-infinite-recursion", "-Wno-unused-result"];

/// The compiled probe.
///
/// # Errors
/// One line: no C compiler here, or what it said.
pub fn probe() -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    (SOURCES, FLAGS).hash(&mut hasher);
    let dir = hostile_dir()?;
    let program = dir.join(format!("probe-{:016x}", hasher.finish()));
    if program.exists() {
        return Ok(program);
    }
    // Tests run side by side, each in a process of its own: one compiles, the others wait.
    let lock = std::fs::File::create(dir.join("lock")).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if !program.exists() {
        compile(&dir, &program)?;
    }
    Ok(program)
}

/// Beside the running test, or where that belongs to somebody else, below the directory for temporary files.
fn hostile_dir() -> Result<PathBuf, String> {
    let beside = build_dir().join("hostile");
    if std::fs::create_dir_all(&beside).is_ok() && rustix::fs::access(&beside, rustix::fs::Access::WRITE_OK).is_ok() {
        return Ok(beside);
    }
    let own = std::env::temp_dir().join(format!("enclos-test-hostile-{}", rustix::process::geteuid().as_raw()));
    std::fs::create_dir_all(&own).map_err(|e| format!("{}: {e}", own.display()))?;
    Ok(own)
}

fn compile(dir: &Path, program: &Path) -> Result<(), String> {
    let compiler = crate::find_program(&["cc", "gcc", "clang"]).ok_or("no C compiler here (cc, gcc or clang)")?;
    let unfinished = dir.join("probe.unfinished");
    let mut command = Command::new(compiler);
    command.args(FLAGS).arg("-o").arg(&unfinished);
    for (name, text) in SOURCES {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|e| format!("{}: {e}", path.display()))?;
        if name.ends_with(".c") {
            command.arg(path);
        }
    }
    let output = command.output().map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("the probe does not compile: {}", String::from_utf8_lossy(&output.stderr)));
    }
    std::fs::rename(&unfinished, program).map_err(|e| e.to_string())
}

/// The directory cargo puts this build's programs in: the running test is in it, or in `deps` below it.
#[must_use]
pub fn build_dir() -> PathBuf {
    let exe = std::env::current_exe().expect("a test knows its own program");
    let dir = exe.parent().expect("a program is in a directory");
    if dir.ends_with("deps") { dir.parent().expect("deps is in the build directory").to_owned() } else { dir.to_owned() }
}
