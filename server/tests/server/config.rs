//! Configuration and command line.

use std::process::{Command, Output};

use super::world::{PROGRAM, World};

fn serve(args: &[&str]) -> Output {
    Command::new(PROGRAM).arg("serve").args(args).output().unwrap()
}

fn check(file: &str) -> Output {
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&config, file).unwrap();
    serve(&["--check-config", "--config", config.path().to_str().unwrap()])
}

fn told(output: &Output) -> Vec<String> {
    String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect()
}

#[test]
fn a_configuration_that_is_right_is_said_to_be() {
    let output = check("[server]\nlisten = [\"127.0.0.1:1\"]\n[judge.limits.run]\nmemory = \"1G\"\n[judge.camisole]\nmax-tests = 5\n");
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"the configuration is right\n"[..]), "{:?}", told(&output));
}

#[test]
fn everything_that_is_wrong_is_told_with_its_file() {
    let output = check("[server]\nlissten = []\n[log]\nlevel = \"loud\"\n");
    let told = told(&output);
    assert!(!output.status.success());
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[0].starts_with("enclos-server serve: /")
            && told[0].ends_with("log.level: \"loud\" is not right: write one of \"off\", \"error\", \"warn\", \"info\", \"debug\""),
        "{told:?}"
    );
    assert!(told[1].ends_with(": server.lissten: unknown key: did you mean server.listen?"), "{told:?}");
}

#[test]
fn an_open_server_is_not_started_by_accident() {
    for args in [&["--listen", "0.0.0.0:0"][..], &["--listen", "0.0.0.0:0", "--check-config"]] {
        let output = serve(args);
        let told = told(&output);
        assert!(!output.status.success() && told.len() == 1, "{told:?}");
        assert!(told[0].contains("can be reached from other hosts") && told[0].contains("[[keys]]"), "{told:?}");
    }
}

#[test]
fn wrong_flags_and_files_are_told_in_one_line() {
    for (args, start) in [
        (&["--confi", "x"][..], "enclos-server serve: --confi: unknown flag: did you mean --config?"),
        (&["--config", "/does/not/exist"], "enclos-server serve: --config: /does/not/exist: No such file or directory"),
        (&["--set", "judge.cache=much"], "enclos-server serve: judge.cache: \"much\" is not right: write a size"),
        (&["--set", "server.listen=nowhere"], "enclos-server serve: server.listen: \"nowhere\" is no address"),
    ] {
        let output = serve(args);
        let told = told(&output);
        assert!(!output.status.success() && told.len() == 1 && told[0].starts_with(start), "{told:?}");
    }
    for args in [&[][..], &["nothing"]] {
        let output = Command::new(PROGRAM).args(args).output().unwrap();
        assert!(!output.status.success() && told(&output).len() == 1, "{:?}", told(&output));
    }
}

#[test]
fn an_address_that_is_taken_is_told() {
    let world = World::new();
    let state = tempfile::tempdir().unwrap();
    let output = serve(&["--listen", &world.address, "--set", &format!("server.state={}", state.path().display())]);
    let told = told(&output);
    let line = told.last().cloned().unwrap_or_default();
    assert!(!output.status.success() && line.contains("cannot listen there: Address already in use"), "{told:?}");
}

#[test]
fn a_socket_in_the_file_system_is_served() {
    let state = tempfile::tempdir().unwrap();
    let path = state.path().join("judge.sock");
    let mut world = World::with(&["--listen", &format!("127.0.0.1:0,unix:{}", path.display())]);
    assert_eq!(world.line(), format!("listening on unix:{}", path.display()));
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    std::io::Write::write_all(&mut stream, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
    assert!(text.ends_with("Welcome to Camisole. Use the /run endpoint to run some code!\n"), "{text}");
    drop(world);
    assert!(!path.exists());
}

#[test]
fn a_host_on_which_nothing_can_be_run_is_told_at_the_start() {
    if !rustix::process::geteuid().is_root() {
        return println!(
            "SKIP: a_host_on_which_nothing_can_be_run_is_told_at_the_start: only root can become a user that has no control group"
        );
    }
    // A user without a control group of its own cannot hold the limit of memory.
    let state = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&state, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    // Where that user can reach it.
    let program = state.path().join("enclos-server");
    std::fs::copy(PROGRAM, &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid", "65533", "--regid", "65533", "--clear-groups", "--"])
        .arg(&program)
        .args(["serve", "--listen", "127.0.0.1:0", "--set"])
        .arg(format!("server.state={}", state.path().display()))
        .output()
        .unwrap();
    let told = told(&output);
    let line = told.last().cloned().unwrap_or_default();
    assert!(!output.status.success() && output.stdout.is_empty(), "{told:?}");
    assert!(line.starts_with("enclos-server serve: no program can be run here: ") && line.contains("judge.best-effort=true"), "{told:?}");
}
