//! Output as it comes.

use std::sync::atomic::Ordering;
use std::time::Duration;

use enclos_proto::sandbox_v1 as proto;
use enclos_proto::sandbox_v1::exec_output::OutputType;
use enclos_proto::tonic::{Code, Status, Streaming};

use super::world::{World, command_of};

/// Everything on both outputs, and how it ended.
async fn all(mut stream: Streaming<proto::ExecOutput>) -> ([Vec<u8>; 2], Status) {
    let mut outputs = [Vec::new(), Vec::new()];
    loop {
        match stream.message().await {
            Ok(Some(piece)) => outputs[usize::from(piece.r#type() == OutputType::Stderr)].extend_from_slice(&piece.data),
            Ok(None) => {
                let trailers = stream.trailers().await.unwrap().unwrap_or_default();
                return (outputs, Status::with_metadata(Code::Ok, "", trailers));
            }
            Err(status) => return (outputs, status),
        }
    }
}

fn stream(world: &World, sandbox: &str, command: &str) -> ([Vec<u8>; 2], Status) {
    world.block(async { all(world.sandboxes().exec_stream(command_of(sandbox, command)).await.unwrap().into_inner()).await })
}

#[test]
fn both_outputs_and_the_exit_code_come_over_a_stream() {
    let world = World::new();
    let sandbox = world.sandbox();
    let ([stdout, stderr], status) = stream(&world, &sandbox, "ticks 4");
    assert_eq!((stdout, stderr), (b"0\n2\n".to_vec(), b"1\n3\n".to_vec()));
    assert_eq!((status.code(), status.metadata().get("x-enclos-exit-code").unwrap().to_str().unwrap()), (Code::Ok, "0"));
    let ([stdout, _], status) = stream(&world, &sandbox, "bytes");
    assert_eq!((stdout, status.code()), (vec![0xff, 0, b'a'], Code::Ok));
    let (_, status) = stream(&world, &sandbox, "exit 3");
    assert_eq!((status.code(), status.message()), (Code::Internal, "failed to execute command: exit status 3"));
    assert_eq!(status.metadata().get("x-enclos-exit-code").unwrap(), "3");
}

#[test]
fn no_byte_of_a_large_output_is_missing() {
    let world = World::new();
    let sandbox = world.sandbox();
    let ([stdout, _], status) = stream(&world, &sandbox, "large 20000003");
    assert_eq!((stdout.len(), status.code()), (20_000_003, Code::Ok));
}

#[test]
fn what_goes_wrong_is_told_by_the_same_words() {
    let world = World::new();
    let (_, status) = stream(&world, "sb_ffffffffffffffff", "echo");
    assert_eq!(status.code(), Code::NotFound);
    let sandbox = world.sandbox();
    let late = proto::ExecRequest {
        timeout: Some(enclos_proto::prost_types::Duration { seconds: 0, nanos: 1_000_000 }),
        ..command_of(&sandbox, "wait")
    };
    let ([stdout, stderr], status) = world.block(async { all(world.sandboxes().exec_stream(late).await.unwrap().into_inner()).await });
    assert_eq!((stdout, stderr), (b"before".to_vec(), b"and".to_vec()));
    assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "command timed out"));
    let bad = world.block(world.sandboxes().exec_stream(command_of("x", "echo"))).unwrap_err();
    assert_eq!(bad.code(), Code::InvalidArgument);
}

#[test]
fn a_session_streams_too() {
    let world = World::new();
    let new = proto::CreateSessionRequest { sandbox_id: world.sandbox(), ..Default::default() };
    let session_id = world.block(world.sandboxes().create_session(new)).unwrap().into_inner().id;
    let request = proto::SessionExecRequest { session_id, command: "ticks 3".to_owned(), timeout: None };
    let ([stdout, stderr], status) =
        world.block(async { all(world.sandboxes().session_exec_stream(request).await.unwrap().into_inner()).await });
    assert_eq!((stdout, stderr, status.code()), (b"0\n2\n".to_vec(), b"1\n".to_vec(), Code::Ok));
}

#[test]
fn a_client_that_goes_away_ends_its_command() {
    let world = World::new();
    let sandbox = world.sandbox();
    // While it is silent.
    let silent = world.block(world.sandboxes().exec_stream(command_of(&sandbox, "wait"))).unwrap();
    world.until(|agent| agent.waiting.load(Ordering::SeqCst) == 1, "the command waits");
    drop(silent);
    world.until(|agent| agent.cancelled.load(Ordering::SeqCst) == 1, "it is cancelled");
    // While it writes.
    let mut busy = world.block(world.sandboxes().exec_stream(command_of(&sandbox, "ticks 1000000000"))).unwrap().into_inner();
    world.block(busy.message()).unwrap().unwrap();
    drop(busy);
    world.until(|agent| agent.cancelled.load(Ordering::SeqCst) == 2, "it is cancelled");
}

#[test]
fn a_client_that_takes_nothing_loses_its_command() {
    let world = World::waiting("", Duration::from_millis(100));
    let sandbox = world.sandbox();
    let _kept = world.block(world.sandboxes().exec_stream(command_of(&sandbox, "ticks 1000000000"))).unwrap();
    world.until(|agent| agent.cancelled.load(Ordering::SeqCst) == 1, "it is cancelled");
}
