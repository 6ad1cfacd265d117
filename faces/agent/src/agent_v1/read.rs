//! What the messages of `enclos.agent.v1` mean. What makes no sense is refused by the name of its field.

use enclos_host::bytes::Bytes;
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::{run_input, terminal_input};
use enclos_proto::tonic::Status;

use crate::api::{Exec, NewSession};
use crate::sandbox_v1::convert::{id, span};
use crate::sandbox_v1::status::{invalid, required};

/// Which terminal is asked for.
#[derive(Debug)]
pub enum Opening {
    /// Of a session there is; it gets this size.
    Known(String, Option<(u16, u16)>),
    /// Of a new session in this sandbox.
    New(String, Box<NewSession>),
}

/// What is said to a terminal.
#[derive(Debug)]
pub enum Keys {
    /// Bytes.
    Data(Bytes),
    /// Rows and columns.
    Size(u16, u16),
    /// By number.
    Signal(i32),
    /// The client is done; whether the session ends.
    Close(bool),
}

/// What to run.
#[derive(Debug)]
pub struct Asked {
    /// In which sandbox.
    pub sandbox: String,
    /// What.
    pub exec: Exec,
    /// Rows and columns of its terminal, if it has one.
    pub terminal: Option<(u16, u16)>,
}

/// What is said to a command.
#[derive(Debug)]
pub enum Word {
    /// Standard input.
    Stdin(Bytes),
    /// Its end.
    End,
    /// By number.
    Signal(i32),
    /// Rows and columns.
    Size(u16, u16),
}

fn size(field: &str, size: proto::Size) -> Result<(u16, u16), Status> {
    let number = |number: u32| u16::try_from(number).ok().filter(|number| *number > 0);
    number(size.rows)
        .zip(number(size.cols))
        .ok_or_else(|| invalid(field, format_args!("{} rows and {} cols: each is a number from 1 to 65535", size.rows, size.cols)))
}

fn signal(number: i32) -> Result<i32, Status> {
    if (1..=64).contains(&number) { Ok(number) } else { Err(invalid("signal", format_args!("{number} is no signal: write 1 to 64"))) }
}

/// The first message to a terminal.
pub fn opening(first: Option<proto::TerminalInput>) -> Result<Opening, Status> {
    let Some(terminal_input::Input::Open(open)) = first.and_then(|first| first.input) else {
        return Err(invalid("open", "the first message is another: it says which terminal"));
    };
    let given = open.size.map(|given| size("open.size", given)).transpose()?;
    if open.session_id.is_empty() {
        if open.sandbox_id.is_empty() {
            return Err(required("open.sandbox_id, or open.session_id,"));
        }
        let terminal = given.ok_or_else(|| invalid("open.size", "missing: a new terminal has rows and columns"))?;
        let new = NewSession {
            shell: open.shell,
            env: open.env,
            terminal: Some(terminal),
            argv: open.argv,
            workdir: Some(open.workdir).filter(|workdir| !workdir.is_empty()),
        };
        return Ok(Opening::New(id("open.sandbox_id", open.sandbox_id)?, Box::new(new)));
    }
    let others = [
        ("sandbox_id", !open.sandbox_id.is_empty()),
        ("shell", !open.shell.is_empty()),
        ("argv", !open.argv.is_empty()),
        ("env", !open.env.is_empty()),
        ("workdir", !open.workdir.is_empty()),
    ];
    if let Some((field, _)) = others.into_iter().find(|(_, given)| *given) {
        return Err(invalid(&format!("open.{field}"), "a session that is there has its own: leave it out, or session_id"));
    }
    Ok(Opening::Known(id("open.session_id", open.session_id)?, given))
}

/// A further message to a terminal.
pub fn keys(message: proto::TerminalInput) -> Result<Keys, Status> {
    match message.input {
        Some(terminal_input::Input::Data(bytes)) => Ok(Keys::Data(bytes)),
        Some(terminal_input::Input::Resize(given)) => size("resize", given).map(|(rows, cols)| Keys::Size(rows, cols)),
        Some(terminal_input::Input::Signal(number)) => signal(number).map(Keys::Signal),
        Some(terminal_input::Input::Close(close)) => Ok(Keys::Close(close.end_session)),
        Some(terminal_input::Input::Open(_)) => Err(invalid("open", "only the first message is one")),
        None => Err(invalid("input", "it is empty: write data, resize, signal or close")),
    }
}

/// The first message to a command.
pub fn command(first: Option<proto::RunInput>) -> Result<Asked, Status> {
    let Some(run_input::Input::Command(command)) = first.and_then(|first| first.input) else {
        return Err(invalid("command", "the first message is another: it says what to run"));
    };
    let terminal = command.terminal.map(|given| size("terminal", given)).transpose()?;
    let exec = Exec {
        command: command.command,
        argv: command.argv,
        stdin: Vec::new(),
        env: command.env,
        workdir: Some(command.workdir).filter(|workdir| !workdir.is_empty()),
        timeout_ms: span("timeout", command.timeout)?,
    };
    Ok(Asked { sandbox: id("sandbox_id", command.sandbox_id)?, exec, terminal })
}

/// A further message to a command, which has a terminal or not.
pub fn word(message: proto::RunInput, terminal: bool) -> Result<Word, Status> {
    match message.input {
        Some(run_input::Input::Stdin(bytes)) => Ok(Word::Stdin(bytes)),
        Some(run_input::Input::StdinEnd(_)) => Ok(Word::End),
        Some(run_input::Input::Signal(number)) => signal(number).map(Word::Signal),
        Some(run_input::Input::Resize(_)) if !terminal => {
            Err(invalid("resize", "the command has no terminal: give it one with command.terminal"))
        }
        Some(run_input::Input::Resize(given)) => size("resize", given).map(|(rows, cols)| Word::Size(rows, cols)),
        Some(run_input::Input::Command(_)) => Err(invalid("command", "only the first message is one")),
        None => Err(invalid("input", "it is empty: write stdin, stdin_end, signal or resize")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(open: proto::Open) -> Result<Opening, Status> {
        opening(Some(proto::TerminalInput { input: Some(terminal_input::Input::Open(open)) }))
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        let (sandbox, session) = ("sb_0123456789abcdef".to_owned(), "sess_0123456789abcdef".to_owned());
        let fits = Some(proto::Size { rows: 24, cols: 80 });
        let none = proto::Open::default;
        for (message, told) in [
            (open(none()), "open.sandbox_id, or open.session_id, is required"),
            (open(proto::Open { sandbox_id: sandbox.clone(), ..none() }), "open.size: missing"),
            (open(proto::Open { sandbox_id: "x".to_owned(), size: fits, ..none() }), "open.sandbox_id: \"x\" is no id"),
            (open(proto::Open { session_id: "x".to_owned(), ..none() }), "open.session_id: \"x\" is no id"),
            (open(proto::Open { session_id: session.clone(), sandbox_id: sandbox.clone(), ..none() }), "open.sandbox_id: a session"),
            (open(proto::Open { session_id: session.clone(), workdir: "a".to_owned(), ..none() }), "open.workdir: a session"),
            (
                open(proto::Open { sandbox_id: sandbox.clone(), size: Some(proto::Size { rows: 0, cols: 70_000 }), ..none() }),
                "open.size: 0 rows and 70000 cols",
            ),
            (opening(None), "open: the first message"),
            (opening(Some(proto::TerminalInput::default())), "open: the first message"),
        ] {
            let status = message.unwrap_err();
            assert!(status.code() == enclos_proto::tonic::Code::InvalidArgument && status.message().starts_with(told), "{status}");
        }
        assert!(matches!(open(proto::Open { session_id: session, ..none() }), Ok(Opening::Known(_, None))));
        assert!(
            matches!(open(proto::Open { sandbox_id: sandbox, size: fits, ..none() }), Ok(Opening::New(_, new)) if new.terminal == Some((24, 80)))
        );
    }

    #[test]
    fn words_to_a_command_are_named_too() {
        let said = |input: run_input::Input, terminal| {
            word(proto::RunInput { input: Some(input) }, terminal).map_err(|status| status.message().to_owned())
        };
        let resize = |rows| run_input::Input::Resize(proto::Size { rows, cols: 1 });
        for (told, start) in [
            (said(run_input::Input::Signal(65), false), "signal: 65 is no signal"),
            (said(run_input::Input::Signal(0), true), "signal: 0 is no signal"),
            (said(resize(1), false), "resize: the command has no terminal"),
            (said(resize(0), true), "resize: 0 rows"),
            (said(run_input::Input::Command(proto::Command::default()), true), "command: only the first"),
        ] {
            assert!(told.as_ref().is_err_and(|told| told.starts_with(start)), "{told:?}");
        }
        assert!(matches!(said(resize(65_535), true), Ok(Word::Size(65_535, 1))));
        assert!(word(proto::RunInput::default(), true).is_err() && keys(proto::TerminalInput::default()).is_err());
        assert!(command(None).unwrap_err().message().starts_with("command: "));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_a_message_or_none(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64), terminal: bool) {
            use enclos_proto::prost::Message;
            if let Ok(message) = proto::RunInput::decode(&bytes[..]) {
                let _ = (word(message.clone(), terminal), command(Some(message)));
            }
            if let Ok(message) = proto::TerminalInput::decode(&bytes[..]) {
                let _ = (keys(message.clone()), opening(Some(message)));
            }
        }

        /// Messages that are well-formed, with numbers by chance.
        #[test]
        fn any_number_is_taken_or_refused(rows: u32, cols: u32, number: i32) {
            let given = proto::Size { rows, cols };
            let fits = (1..=65_535).contains(&rows) && (1..=65_535).contains(&cols);
            proptest::prop_assert_eq!(size("size", given).is_ok(), fits);
            proptest::prop_assert_eq!(signal(number).is_ok(), (1..=64).contains(&number));
        }
    }
}
