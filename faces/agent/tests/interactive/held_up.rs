//! Who takes nothing is held up, and holds no memory of ours.

use std::time::Duration;

use enclos_agent::api::{Agent, FileRange, ROOM};
use enclos_host::bytes::Bytes;
use enclos_host::tokio::time::timeout;
use enclos_proto::agent_v1 as proto;
use enclos_proto::agent_v1::run_input::Input;

use crate::run::{Talk, sh};
use crate::served::{Served, processes, seconds, until};

/// What lies between a client and its command besides: windows of HTTP/2, buffers of sockets and of the client itself.
const ON_THE_WAY: usize = 4 << 20;

const PIECE: usize = 64 << 10;

#[test]
fn who_says_much_to_a_command_that_reads_nothing_is_held_up() {
    let served = Served::new();
    let (id, marker) = (served.sandbox(), seconds(4));
    let mut talk = Talk::start(&served, sh(&id, &format!("echo ready; exec sleep {marker}")));
    talk.shows("ready\n");
    let (say, piece) = (talk.take_say(), Bytes::from(vec![0; PIECE]));
    let mut said = 0;
    served.block(async {
        let piece = || proto::RunInput { input: Some(Input::Stdin(piece.clone())) };
        while timeout(Duration::from_secs(1), say.send(piece())).await.is_ok() {
            said += PIECE;
            assert!(said < 1 << 30, "nothing holds it up");
        }
    });
    assert!(said < ROOM + ON_THE_WAY, "{said}");
    // It is noticed all the same that the client leaves.
    drop(talk);
    until(|| processes(&marker) == 0, "it has ended");
    drop(say);
}

/// Writes until it is held up, and counts.
const FLOOD: &str = "i=0; while head -c 65536 /dev/zero; do i=$((i+1)); echo $i > count; done";

fn written(served: &Served, id: &str) -> usize {
    let part = served.world.agent.read_file(&served.world.caller, id, "count", FileRange::default());
    part.ok().and_then(|part| String::from_utf8_lossy(&part.bytes).trim().parse::<usize>().ok()).unwrap_or(0) * PIECE
}

#[test]
fn who_reads_nothing_holds_up_its_command_and_loses_it_in_the_end() {
    let served = Served::waiting(Duration::from_secs(3));
    let id = served.sandbox();
    let talk = Talk::start(&served, sh(&id, FLOOD));
    // It comes to a halt, before the client is given up.
    let mut before = 0;
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = written(&served, &id);
        assert!(now < ON_THE_WAY, "{now}");
        if now > 0 && now == before {
            break;
        }
        before = now;
    }
    assert_eq!(processes(FLOOD), 1, "it is held up, not ended");
    until(|| processes(FLOOD) == 0, "it is ended");
    drop(talk);
}
