//! Time of every kind. Dossier rows 9, 11.

use std::time::Duration;

use enclos_judge::api::Verdict;

use crate::case::Case;

const LIMIT: Duration = Duration::from_secs(1);

#[test]
fn sleep_python_is_idleness() {
    let ended =
        Case::new("python", "import time\ntime.sleep(1000)\n").limits(|l| l.wall = Some(LIMIT)).run().is(Verdict::Idleness).by("wall");
    let wall = ended.step().wall;
    assert!(wall >= LIMIT && wall < LIMIT * 3, "{wall:?}");
}

#[test]
fn sleep_c_is_idleness() {
    let case = Case::new("c", "#include <unistd.h>\nint main(void) { for (;;) pause(); }\n").limits(|l| l.wall = Some(LIMIT));
    case.run().is(Verdict::Idleness).by("wall");
}

#[test]
fn waiting_without_a_word_is_idleness() {
    let case = Case::new("python", "import time\nprint('x', flush=True)\ntime.sleep(1000)\n").limits(|l| l.idle = Some(LIMIT));
    case.run().is(Verdict::Idleness).by("idle");
}

#[test]
fn a_program_that_reads_what_is_not_there_reads_the_end() {
    Case::new("python", "import sys\nprint(len(sys.stdin.read()))\n").run().is(Verdict::Ok).prints("0\n");
}

fn burns(case: Case) {
    let ended = case.run().is(Verdict::TimedOut).by("cpu");
    let cpu = ended.step().cpu;
    // Noticed within milliseconds on a quiet machine; a busy one may wake the watch late.
    assert!(cpu >= LIMIT && cpu < LIMIT * 2, "{cpu:?}");
}

#[test]
fn busy_loop_c() {
    burns(Case::new("c", include_str!("programs/burn.c")));
}

#[test]
fn busy_loop_python() {
    burns(Case::new("python", "while True:\n    pass\n"));
}

#[test]
fn busy_children_count_together() {
    burns(Case::new("c", include_str!("programs/burn.c")).arguments(&["children", "3"]));
}

#[test]
fn busy_threads_count_together() {
    burns(Case::new("c", include_str!("programs/burn.c")).arguments(&["threads", "15"]));
}

#[test]
fn extra_time_lets_it_end_but_judges_by_the_limit() {
    let case = Case::new("python", "import time\nwhile time.process_time() < 0.5:\n    pass\nprint('done')\n");
    let case = case.limits(|l| (l.cpu, l.extra_cpu) = (Some(Duration::from_millis(300)), Some(Duration::from_secs(5))));
    case.run().is(Verdict::TimedOut).by("cpu").prints("done\n");
}
