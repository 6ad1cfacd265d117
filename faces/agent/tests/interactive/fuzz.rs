//! Whatever is said to a command, the server answers and lives.

use enclos_host::bytes::Bytes;
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::run_input::Input;
use enclos_proto::prost::Message;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::run::{Talk, sh};
use crate::served::Served;

/// What can be said, sense or not, as far as a client's own types can write it.
fn inputs() -> impl Strategy<Value = Option<Input>> {
    prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..300).prop_map(|bytes| Some(Input::Stdin(Bytes::from(bytes)))),
        2 => (any::<u16>(), any::<u16>()).prop_map(|(rows, cols)| Some(Input::Resize(proto::Size { rows: rows.into(), cols: cols.into() }))),
        1 => (-2..70).prop_map(|number| Some(Input::Signal(number))),
        1 => Just(Some(Input::StdinEnd(proto::StdinEnd {}))),
        1 => Just(Some(Input::Command(proto::Command::default()))),
        1 => Just(None),
    ]
}

#[test]
fn anything_may_be_said_to_a_command() {
    let served = Served::new();
    let id = served.sandbox();
    let cases = (prop::collection::vec(inputs(), 0..12), any::<bool>());
    let mut runner = TestRunner::new(Config { cases: 150, failure_persistence: None, ..Config::default() });
    let tried = runner.run(&cases, |(inputs, terminal)| {
        let terminal = terminal.then_some(proto::Size { rows: 5, cols: 5 });
        let mut talk = Talk::start(&served, proto::Command { terminal, ..sh(&id, "cat") });
        let say = talk.take_say();
        for input in inputs {
            let message = proto::RunInput { input };
            prop_assert!(message.encoded_len() < 1 << 20);
            // One that was ended takes nothing more.
            if served.block(say.send(message)).is_err() {
                break;
            }
        }
        // `cat` on a terminal may have eaten the end of its input as a key: a signal ends it then.
        let _ = served.block(say.send(proto::RunInput { input: Some(Input::Signal(9)) }));
        drop(say);
        // It comes to its end, whatever that is.
        let _ = talk.rest();
        Ok(())
    });
    tried.unwrap();
    assert_eq!(served.world.says(&id, "echo alive"), "alive\n");
}
