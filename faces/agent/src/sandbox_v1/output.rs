//! What a command wrote, in a message that its client takes.

use enclos_proto::prost_types::Duration;
use enclos_proto::sandbox_v1::ExecResult;
use enclos_proto::tonic::metadata::{MetadataMap, MetadataValue};
use enclos_proto::tonic::{Code, Response, Status};

use crate::api;
use crate::api::Verdict;

/// Bytes of both streams in one answer: a client takes messages of 4 MiB unless it is told otherwise.
const MOST: usize = (4 << 20) - (64 << 10);

/// Bytes of each stream in trailers: both, in base64, stay below the 8 KiB that clients take without a word.
const TRAILED: usize = 2 << 10;

/// The answer to a command that ended, or the status of one that was ended.
pub fn answer(result: api::ExecResult) -> Result<Response<ExecResult>, Status> {
    if let Some(mut status) = ended(result.verdict) {
        describe(status.metadata_mut(), &result, result.truncated);
        for (key, bytes) in [("x-enclos-stdout-bin", &result.stdout), ("x-enclos-stderr-bin", &result.stderr)] {
            if !bytes.is_empty() {
                let tail = &bytes[bytes.len().saturating_sub(TRAILED)..];
                status.metadata_mut().insert_bin(key, MetadataValue::from_bytes(tail));
            }
        }
        return Err(status);
    }
    let api::ExecResult { exit_code, wall_us, mut truncated, .. } = result;
    let mut metadata = MetadataMap::new();
    let (verdict, streams) = (result.verdict, [text(result.stdout), text(result.stderr)]);
    let room = shares(streams.each_ref().map(String::len));
    let mut index = 0;
    let [stdout, stderr] = streams.map(|text| {
        let (text, omitted) = shortened(text, room[index]);
        truncated[index] += omitted as u64;
        index += 1;
        text
    });
    say(&mut metadata, verdict, exit_code, truncated);
    let duration = Duration { seconds: (wall_us / 1_000_000) as i64, nanos: (wall_us % 1_000_000) as i32 * 1000 };
    let message = ExecResult { stdout, stderr, exit_code, duration: Some(duration) };
    Ok(Response::from_parts(metadata, message, enclos_proto::tonic::Extensions::new()))
}

/// The status that ends a stream of output.
pub fn last(result: &api::ExecResult) -> Status {
    let mut status = ended(result.verdict).unwrap_or_else(|| match result.exit_code {
        0 => Status::new(Code::Ok, ""),
        code => Status::internal(format!("failed to execute command: exit status {code}")),
    });
    describe(status.metadata_mut(), result, result.truncated);
    status
}

/// The status of a stream that has told of the end already.
pub fn trailers(result: &api::ExecResult) -> Status {
    let mut status = Status::new(Code::Ok, "");
    describe(status.metadata_mut(), result, result.truncated);
    status
}

/// The status of a command that did not come to its own end.
fn ended(verdict: Verdict) -> Option<Status> {
    match verdict {
        Verdict::Ended | Verdict::Signaled | Verdict::OutOfMemory | Verdict::DiskLimit | Verdict::Truncated => None,
        Verdict::TimedOut => Some(Status::deadline_exceeded("command timed out")),
        Verdict::Cancelled => Some(Status::cancelled("the command was cancelled")),
        Verdict::Lost => Some(Status::aborted("the command's sandbox or session ended under it")),
    }
}

fn describe(metadata: &mut MetadataMap, result: &api::ExecResult, truncated: [u64; 2]) {
    say(metadata, result.verdict, result.exit_code, truncated);
}

fn say(metadata: &mut MetadataMap, verdict: Verdict, exit_code: i32, truncated: [u64; 2]) {
    metadata.insert("x-enclos-exit-code", exit_code.into());
    let verdict = match verdict {
        Verdict::Ended => "ended",
        Verdict::Signaled => "signaled",
        Verdict::TimedOut => "timed_out",
        Verdict::OutOfMemory => "out_of_memory",
        Verdict::DiskLimit => "disk_limit",
        Verdict::Truncated => "truncated",
        Verdict::Cancelled => "cancelled",
        Verdict::Lost => "lost",
    };
    metadata.insert("x-enclos-verdict", MetadataValue::from_static(verdict));
    if truncated != [0, 0] {
        let [stdout, stderr] = truncated;
        if let Ok(told) = format!("stdout={stdout}, stderr={stderr}").parse() {
            metadata.insert("x-enclos-truncated", told);
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// How much of each stream is shown: all of it if there is room, else half of the room each, or what the other leaves.
fn shares([stdout, stderr]: [usize; 2]) -> [usize; 2] {
    if stdout + stderr <= MOST {
        return [stdout, stderr];
    }
    let half = MOST / 2;
    if stdout <= half {
        [stdout, MOST - stdout]
    } else if stderr <= half {
        [MOST - stderr, stderr]
    } else {
        [half, half]
    }
}

/// The beginning and the end of a text, and a line between them that says what is missing; and how many bytes that are.
fn shortened(text: String, most: usize) -> (String, usize) {
    if text.len() <= most {
        return (text, 0);
    }
    // The line is shorter than this, however long the text.
    let kept = most.saturating_sub(64);
    let head = text.floor_char_boundary(kept / 2);
    let tail = text.ceil_char_boundary(text.len() - (kept - kept / 2));
    let omitted = tail - head;
    (format!("{}\n... omitting {omitted} bytes ...\n{}", &text[..head], &text[tail..]), omitted)
}

#[cfg(test)]
mod tests {
    use enclos_proto::prost::Message;

    use super::*;

    fn result(stdout: Vec<u8>, stderr: Vec<u8>) -> api::ExecResult {
        api::ExecResult {
            stdout,
            stderr,
            exit_code: 3,
            signal: None,
            verdict: Verdict::Ended,
            truncated: [0, 5],
            wall_us: 1_500_001,
            cpu_us: None,
            memory_peak: None,
            evidence: None,
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let answer = answer(result(b"a\xff\n".to_vec(), b"e".to_vec())).unwrap();
        assert_eq!(answer.metadata().get("x-enclos-truncated").unwrap(), "stdout=0, stderr=5");
        let message = answer.into_inner();
        assert_eq!((message.stdout.as_str(), message.stderr.as_str(), message.exit_code), ("a\u{fffd}\n", "e", 3));
        assert_eq!(message.duration, Some(Duration { seconds: 1, nanos: 500_001_000 }));
    }

    #[test]
    fn whatever_a_command_writes_its_client_takes_the_answer() {
        let large = || vec![b'x'; 6 << 20];
        for (stdout, stderr) in
            [(large(), vec![]), (vec![], large()), (large(), large()), (vec![0xff; 4 << 20], "é".repeat(3 << 20).into())]
        {
            let short = stderr.is_empty();
            let answer = answer(result(stdout, stderr)).unwrap();
            assert!(answer.metadata().contains_key("x-enclos-truncated"));
            let message = answer.into_inner();
            assert!(message.encoded_len() <= 4 << 20 && message.encoded_len() > 3 << 20, "{}", message.encoded_len());
            assert!(!short || message.stdout.contains("\n... omitting "));
        }
    }

    #[test]
    fn a_timeout_has_the_end_of_what_was_written_and_stays_small() {
        let timed_out = api::ExecResult { verdict: Verdict::TimedOut, ..result(vec![0; 1 << 20], b"late".to_vec()) };
        let status = answer(timed_out).unwrap_err();
        assert_eq!((status.code(), status.message()), (Code::DeadlineExceeded, "command timed out"));
        assert_eq!(status.metadata().get_bin("x-enclos-stderr-bin").unwrap().to_bytes().unwrap(), "late");
        let size: usize = status.metadata().as_ref().iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(size < 7 << 10, "{size}");
    }

    #[test]
    fn a_stream_ends_with_the_words_that_clients_know() {
        let status = last(&result(vec![], vec![]));
        assert_eq!((status.code(), status.message()), (Code::Internal, "failed to execute command: exit status 3"));
        assert_eq!(status.metadata().get("x-enclos-exit-code").unwrap(), "3");
        assert_eq!(last(&api::ExecResult { exit_code: 0, ..result(vec![], vec![]) }).code(), Code::Ok);
    }
}
