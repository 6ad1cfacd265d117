//! What may follow `enclos agent`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use super::remote;
use super::words::{Flag, Given, Record};
use crate::api::{Level, Network, Preset, Resources, Rule};

macro_rules! flags {
    ($($constant:ident = $name:literal $takes:literal $(($often:ident))?: $help:literal;)+) => {
        $(pub const $constant: Flag = Flag { name: $name, short: "", takes: $takes, often: flags!(often $($often)?), help: $help };)+
    };
    (often) => { false };
    (often often) => { true };
}

flags! {
    PRESET = "--preset" "NAME": "rules for its paths: agent-safe, development (default), full-access, read-only, view-only";
    RULE = "--rule" "PATTERN=LEVEL" (often): "over the preset: none, view, read or write, e.g. --rule 'docs/**=read'";
    NET = "--net" "WORD": "what of the network it sees: none (default), loopback, host";
    SHELL = "--shell" "PATH": "the shell (default /bin/bash, else /bin/sh)";
    IMAGE = "--image" "NAME": "a root file system (enclos agent image) in the place of the host's system directories";
    MEMORY = "--memory" "SIZE": "most memory, e.g. 512M";
    PROCESSES = "--processes" "N": "most processes and threads at once";
    DISK = "--disk" "SIZE": "most that it writes outside of the directory";
    TIMEOUT = "--timeout" "TIME": "end it after this time, e.g. 10m";
    ENV = "--env" "NAME=VALUE" (often): "a variable of its environment";
    ACCEPT = "--accept" "WORD": "without asking: all changes are kept, or none";
    BEST_EFFORT = "--best-effort" "": "weaken limits that this host cannot hold, instead of refusing";
    STATE = "--state" "DIR": "the state directory of the server (default: where enclos serve has its own)";
    JSON = "--json" "": "one JSON document instead of a table";
}

const SHELL_COMMAND: Record = Record {
    name: "shell",
    operands: "DIR|SANDBOX [FLAGS] [-- COMMAND…]",
    plain: (1, 1),
    rest: true,
    flags: &[
        &remote::SERVER,
        &remote::KEY,
        &remote::CA,
        &remote::CERT,
        &remote::CERT_KEY,
        &PRESET,
        &RULE,
        &NET,
        &SHELL,
        &IMAGE,
        &MEMORY,
        &PROCESSES,
        &DISK,
        &TIMEOUT,
        &ENV,
        &ACCEPT,
        &BEST_EFFORT,
        &STATE,
    ],
    help: "A shell, or a command, in a sandbox that shows a copy of DIR; what it changed is brought back if you say so. Needs no server. Of a sandbox on a server (sb_…): a terminal in it",
};

const IMAGE_ADD: Record = Record {
    name: "image add",
    operands: "NAME DIR|ARCHIVE",
    plain: (2, 2),
    rest: false,
    flags: &[&STATE, &JSON],
    help: "Register a root file system: a directory, an OCI archive, what docker save or docker export writes",
};
const IMAGE_LIST: Record =
    Record { name: "image ls", operands: "", plain: (0, 0), rest: false, flags: &[&STATE, &JSON], help: "List root file systems" };
const IMAGE_REMOVE: Record =
    Record { name: "image rm", operands: "NAME…", plain: (1, 1000), rest: false, flags: &[&STATE], help: "Remove root file systems" };

/// Commands that need no server, in the order of the help.
const OWN: [&Record; 4] = [&SHELL_COMMAND, &IMAGE_ADD, &IMAGE_LIST, &IMAGE_REMOVE];

/// Every command.
fn commands() -> impl Iterator<Item = &'static Record> {
    OWN.into_iter().chain(remote::commands().map(|entry| &entry.record))
}

/// What is asked for.
#[derive(Debug)]
pub enum Command {
    /// Text to print.
    Help(String),
    /// `shell`.
    Shell(Box<Shell>),
    /// `image`.
    Image(Image),
    /// One that asks a server.
    Remote(&'static remote::Entry, Given),
    /// `shell` of a sandbox on a server.
    RemoteShell(Given),
}

/// Of `image`.
#[derive(Debug, PartialEq, Eq)]
pub struct Image {
    /// `--state`.
    pub state: Option<PathBuf>,
    /// `--json`.
    pub json: bool,
    /// What to do.
    pub action: ImageAction,
}

/// What to do with images.
#[derive(Debug, PartialEq, Eq)]
pub enum ImageAction {
    /// `add`.
    Add(String, PathBuf),
    /// `ls`.
    List,
    /// `rm`.
    Remove(Vec<String>),
}

/// What becomes of changes without a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accept {
    /// All are brought back.
    All,
    /// None is.
    None,
}

/// Of `shell`.
#[derive(Debug, PartialEq)]
pub struct Shell {
    /// The directory.
    pub directory: PathBuf,
    /// The rules of its paths.
    pub rules: Vec<Rule>,
    /// `--net`.
    pub network: Network,
    /// `--shell`.
    pub shell: Option<String>,
    /// `--image`.
    pub image: Option<String>,
    /// Limits.
    pub resources: Resources,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--env`.
    pub env: BTreeMap<String, String>,
    /// `--accept`.
    pub accept: Option<Accept>,
    /// `--best-effort`.
    pub best_effort: bool,
    /// `--state`.
    pub state: Option<PathBuf>,
    /// The command; empty: the shell.
    pub argv: Vec<String>,
}

/// Rules of a command line decide over those of a preset, whose highest priority is 100.
const OVER_PRESETS: i32 = 1000;

/// Reads a command line.
///
/// # Errors
/// One line that names the word and what would be right.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, String> {
    let mut args = args.peekable();
    let names = || commands().map(|record| record.name).collect::<Vec<_>>().join(", ");
    let Some(first) = args.next() else { return Err(format!("the command is missing: write one of {} (--help tells more)", names())) };
    let first = first.into_string().map_err(|word| format!("{} is no text", word.display()))?;
    if matches!(&first[..], "--help" | "-h" | "help") {
        return Ok(Command::Help(help()));
    }
    let mut name = first;
    if commands().any(|record| record.name.split_once(' ').is_some_and(|(group, _)| group == name)) {
        match args.peek().and_then(|word| word.to_str()) {
            Some("--help" | "-h") => return Ok(Command::Help(help_of(&name))),
            Some(word) => name = format!("{name} {word}"),
            None => {}
        }
        args.next();
    }
    let Some(record) = commands().find(|record| record.name == name) else {
        return Err(format!("{name:?} is not a command: write one of {}", names()));
    };
    let given = record.read(args)?;
    if given.help {
        return Ok(Command::Help(record.text()));
    }
    if let Some(entry) = remote::commands().find(|entry| entry.record.name == record.name) {
        return Ok(Command::Remote(entry, given));
    }
    let state = given.one(&STATE).map(PathBuf::from);
    let json = given.on(&JSON);
    Ok(match record.name {
        "shell" if remote::is_sandbox(&given.plain[0]) => Command::RemoteShell(given),
        "shell" => Command::Shell(Box::new(shell(&given)?)),
        "image add" => {
            let action = ImageAction::Add(given.plain[0].clone(), PathBuf::from(&given.plain[1]));
            Command::Image(Image { state, json, action })
        }
        "image ls" => Command::Image(Image { state, json, action: ImageAction::List }),
        _ => Command::Image(Image { state, json, action: ImageAction::Remove(given.plain) }),
    })
}

fn shell(given: &Given) -> Result<Shell, String> {
    let argv = given.rest.clone().unwrap_or_default();
    if given.rest.is_some() && argv.is_empty() {
        return Err("the command after -- is missing".to_owned());
    }
    if !argv.is_empty() && given.one(&SHELL).is_some() {
        return Err("--shell: the command after -- runs without a shell; leave one of both out".to_owned());
    }
    Ok(Shell {
        directory: PathBuf::from(&given.plain[0]),
        rules: rules(given)?,
        network: given
            .word(&NET, &[("none", Network::None), ("loopback", Network::Loopback), ("host", Network::Host)])?
            .unwrap_or(Network::None),
        shell: given.one(&SHELL).map(str::to_owned),
        image: given.one(&IMAGE).map(str::to_owned),
        resources: Resources {
            memory_bytes: given.size(&MEMORY)?,
            pids_limit: given.count(&PROCESSES)?,
            disk_bytes: given.size(&DISK)?,
            ..Resources::default()
        },
        timeout: given.span(&TIMEOUT)?,
        env: given.pairs(&ENV)?,
        accept: given.word(&ACCEPT, &[("all", Accept::All), ("none", Accept::None)])?,
        best_effort: given.on(&BEST_EFFORT),
        state: given.one(&STATE).map(PathBuf::from),
        argv,
    })
}

/// The preset's rules, and those of `--rule` over them.
pub fn rules(given: &Given) -> Result<Vec<Rule>, String> {
    let preset = match given.one(&PRESET) {
        None => Preset::Development,
        Some(name) => name.parse::<Preset>().map_err(|error| format!("--preset: {name:?} is not one: {}", error.why))?,
    };
    let mut rules = preset.rules();
    for text in given.all(&RULE) {
        let Some((pattern, level)) = text.rsplit_once('=').filter(|(pattern, _)| !pattern.is_empty()) else {
            return Err(format!("--rule: {text:?} is not right: write --rule PATTERN=LEVEL, e.g. --rule 'docs/**=read'"));
        };
        let level: Level = level.parse().map_err(|_| format!("--rule: {level:?} is not a level: write none, view, read or write"))?;
        rules.push(Rule::glob(pattern, level).priority(OVER_PRESETS));
    }
    enclos_vfs::Rules::new(&rules).map_err(|error| format!("--rule: {error}"))?;
    Ok(rules)
}

fn help() -> String {
    let mut text = "Gives an agent, or any program, a project to work on, and nothing else.\n\n".to_owned();
    for record in commands() {
        text += &format!("enclos agent {} {}\n    {}\n", record.name, record.operands, record.help);
    }
    text + "\nenclos agent COMMAND --help names its flags. Start with: enclos agent shell .\n\n\
            Exit status: that of the shell or command; 125 Enclos failed, 126 the command cannot be executed, 127 it was not found.\n"
}

fn help_of(group: &str) -> String {
    let of = |record: &&Record| record.name.split_once(' ').is_some_and(|(name, _)| name == group);
    commands().filter(of).map(|record| record.text()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn commands_are_read() {
        let line =
            "shell dir --preset read-only --rule out/**=write --net=host --memory 64M --env A=b=c --accept all --timeout 2m -- a --json";
        let Command::Shell(shell) = read(line).unwrap() else { panic!() };
        assert_eq!((shell.directory.to_str(), shell.network, shell.accept), (Some("dir"), Network::Host, Some(Accept::All)));
        assert_eq!((shell.resources.memory_bytes, shell.timeout), (Some(64 << 20), Some(Duration::from_secs(120))));
        assert_eq!((&shell.argv[..], &shell.env["A"][..]), (&["a".to_owned(), "--json".to_owned()][..], "b=c"));
        let rules = enclos_vfs::Rules::new(&shell.rules).unwrap();
        let level = |path: &str| rules.explain(&enclos_vfs::TreePath::parse(path).unwrap()).level;
        assert_eq!((level("a"), level("out/x")), (Level::Read, Level::Write));
        assert!(matches!(read("ls --json").unwrap(), Command::Remote(entry, _) if entry.record.name == "ls"));
        for line in ["exec sb_1 -it -- a -i", "exec sb_1 -t --interactive -- a", "exec sb_1 --tty -i -- a"] {
            let Command::Remote(_, given) = read(line).unwrap() else { panic!() };
            assert!(given.on(&remote::INTERACTIVE) && given.on(&remote::TTY), "{line}");
        }
        assert!(matches!(read("codebase create dir").unwrap(), Command::Remote(entry, _) if entry.record.name == "codebase create"));
        assert!(matches!(read("shell sb_0123456789abcdef").unwrap(), Command::RemoteShell(_)));
        let Command::Image(image) = read("image add x/y:1 file --state /s").unwrap() else { panic!() };
        assert_eq!((image.action, image.state), (ImageAction::Add("x/y:1".to_owned(), "file".into()), Some("/s".into())));
    }

    #[test]
    fn a_rule_of_the_command_line_decides_over_the_preset() {
        let Command::Shell(shell) = read("shell . --rule .env=read").unwrap() else { panic!() };
        let rules = enclos_vfs::Rules::new(&shell.rules).unwrap();
        let level = |path: &str| rules.explain(&enclos_vfs::TreePath::parse(path).unwrap()).level;
        assert_eq!((level(".env"), level("sub/.env"), level("a")), (Level::Read, Level::None, Level::Write));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, part) in [
            ("", "the command is missing"),
            ("frobnicate", "\"frobnicate\" is not a command"),
            ("image", "\"image\" is not a command"),
            ("image frob", "\"image frob\" is not a command"),
            ("shell", "something is missing: write shell DIR|SANDBOX"),
            ("shell a b", "\"b\" is too much"),
            ("shell a --presett x", "--presett is not known to shell: did you mean --preset?"),
            ("shell a --preset safe", "--preset: \"safe\" is not one: a preset is one of agent-safe"),
            ("shell a --rule x", "--rule: \"x\" is not right"),
            ("shell a --rule x=rw", "--rule: \"rw\" is not a level"),
            ("shell a --rule [=read", "--rule: "),
            ("shell a --net lan", "--net: \"lan\" is not one: write none, loopback, host"),
            ("shell a --memory much", "--memory: \"much\" is not a size"),
            ("shell a --memory", "--memory: the value is missing"),
            ("shell a --memory 1M --memory 2M", "--memory is given twice"),
            ("shell a --env X", "--env: \"X\" is not right: write --env NAME=VALUE"),
            ("shell a --best-effort=1", "--best-effort takes no value"),
            ("shell a --", "the command after -- is missing"),
            ("shell a --shell /bin/sh -- true", "--shell: the command after --"),
            ("image ls -- x", "--: image ls runs no command"),
            ("exec sb_1", "something is missing: write exec SANDBOX -- COMMAND…"),
            ("exec sb_1 -ix -- a", "-ix is not known to exec"),
            ("exec sb_1 -i -it -- a", "--interactive is given twice"),
            ("exec sb_1 -i=1 -- a", "-i takes no value"),
            ("ls x", "\"x\" is too much"),
            ("commit sb_1 --dropdenied", "--dropdenied is not known to commit: did you mean --drop-denied?"),
            ("image add x", "something is missing: write image add NAME DIR|ARCHIVE"),
        ] {
            let message = read(line).unwrap_err();
            assert!(message.contains(part), "{line}: {message}");
        }
    }

    #[test]
    fn help_names_every_command_and_flag() {
        let Command::Help(text) = read("--help").unwrap() else { panic!() };
        for record in commands() {
            assert!(text.contains(record.name));
            let Command::Help(own) = read(&format!("{} --help", record.name)).unwrap() else { panic!() };
            assert!(record.flags.iter().all(|flag| own.contains(flag.name)), "{own}");
        }
        let Command::Help(images) = read("image --help").unwrap() else { panic!() };
        assert!(images.contains("image rm") && !images.contains("shell DIR"));
    }
}
