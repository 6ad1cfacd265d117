//! Output of every kind. Dossier rows 7, 37, 40.

use enclos_judge::api::Verdict;

use crate::case::Case;

const CAP: usize = 1 << 20;

#[test]
fn flood_of_stdout_c() {
    let ended = Case::new("c", include_str!("programs/flood.c")).run().is(Verdict::OutputLimit).by("output");
    assert_eq!((ended.step().stdout.len(), ended.step().stdout_truncated, ended.step().stderr_truncated), (CAP, true, false));
}

#[test]
fn flood_of_stderr_c() {
    let ended = Case::new("c", include_str!("programs/flood.c")).arguments(&["x"]).run().is(Verdict::OutputLimit).by("output");
    assert_eq!((ended.step().stderr.len(), ended.step().stdout_truncated, ended.step().stderr_truncated), (CAP, false, true));
}

#[test]
fn flood_of_stdout_python() {
    let ended = Case::new("python", include_str!("programs/flood.py")).run().is(Verdict::OutputLimit);
    assert_eq!(ended.step().stdout.len(), CAP);
}

#[test]
fn flood_of_stderr_python() {
    let ended = Case::new("python", include_str!("programs/flood.py")).arguments(&["x"]).run().is(Verdict::OutputLimit);
    assert_eq!(ended.step().stderr.len(), CAP);
}

#[test]
fn a_stream_is_a_file_too() {
    let ended = Case::new("python", "print('x' * 10000)").limits(|l| l.file_size = Some(9000)).run().is(Verdict::OutputLimit);
    assert_eq!(ended.step().stdout.len(), 9000);
}

#[test]
fn input_that_is_never_read() {
    let program = "#include <stdio.h>\nint main(void) { puts(\"done\"); return 0; }\n";
    Case::new("c", program).stdin(vec![b'x'; 50 << 20]).run().is(Verdict::Ok).prints("done\n");
}

#[test]
fn input_that_is_closed_early() {
    Case::new("python", include_str!("programs/early.py")).stdin(vec![b'x'; 50 << 20]).run().is(Verdict::Ok).prints("enough\n");
}

#[test]
fn input_cannot_be_written_to() {
    let program = "import os\ntry:\n    os.write(os.open('/dev/stdin', os.O_WRONLY), b'changed')\n    print('WROTE')\nexcept OSError:\n    print('refused')\n";
    Case::new("python", program).stdin(b"first".to_vec()).run().is(Verdict::Ok).prints("refused\n");
}

#[test]
fn garbage_comes_back_byte_by_byte() {
    let ended = Case::new("c", include_str!("programs/garbage.c")).run().is(Verdict::Ok);
    let mut wanted: Vec<u8> = (0..=255).collect();
    wanted.extend(b"\x1b[2J\x1b]0;title\x07\xc3\x28");
    assert_eq!(ended.step().stdout, wanted);
}

#[test]
fn merged_streams_keep_their_order() {
    let program = "import os\nfor i in range(4):\n    os.write(1 + i % 2, b'%d' % i)\n";
    let mut case = Case::new("python", program);
    case.job.run.merge_stderr = true;
    let ended = case.run().is(Verdict::Ok).prints("0123");
    assert!(ended.step().stderr.is_empty());
}
