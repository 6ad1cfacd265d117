//! Memory of every kind. Dossier rows 3 to 6, 39.

use enclos_judge::api::Verdict;

use crate::case::Case;

#[test]
fn memory_bomb_c() {
    let ended = Case::new("c", include_str!("programs/memory_bomb.c")).run().is(Verdict::OutOfMemory).by("memory");
    let peak = ended.step().memory.unwrap();
    assert!((60 << 20..=64 << 20).contains(&peak), "{peak}");
    assert!(ended.step().killed && ended.step().oom_kills > 0);
}

#[test]
fn memory_bomb_python() {
    Case::new("python", "x = []\nwhile True:\n    x.append('x' * (1 << 20))\n").run().is(Verdict::OutOfMemory).by("memory");
}

#[test]
fn memory_of_children_counts_together() {
    let ended = Case::new("c", include_str!("programs/memory_children.c")).limits(|l| l.memory = Some(100 << 20)).run();
    ended.is(Verdict::OutOfMemory);
}

fn shared(kind: &str) {
    let case = Case::new("c", include_str!("programs/memory_shared.c")).arguments(&[kind]);
    let ended =
        case.limits(|l| (l.memory, l.disk, l.file_size, l.open_files) = (Some(100 << 20), Some(1 << 30), Some(1 << 30), Some(4096))).run();
    assert!(!ended.said().contains("all of it"), "{}", ended.described());
    // Some kinds have a bound of their own below the limit; then the program is told so and fails.
    ended.ends_as(&[Verdict::OutOfMemory, Verdict::RuntimeError]);
}

#[test]
fn memory_in_dev_shm() {
    shared("shm");
}

#[test]
fn memory_in_memfds() {
    shared("memfd");
}

#[test]
fn memory_in_sysv_segments() {
    shared("sysv");
}

#[test]
fn memory_in_pipes() {
    shared("pipes");
}

#[test]
fn memory_in_sockets() {
    shared("sockets");
}

#[test]
fn memory_that_is_locked() {
    shared("mlock");
}

#[test]
fn reserved_and_never_touched_is_fine() {
    Case::new("c", include_str!("programs/reserve.c")).run().is(Verdict::Ok).prints("reserved\n");
}

#[test]
fn reserved_beyond_the_limit_on_address_space_is_refused() {
    let case = Case::new("c", include_str!("programs/reserve.c")).limits(|l| l.address_space = Some(1 << 30));
    case.run().is(Verdict::RuntimeError);
}

#[test]
fn address_space_python() {
    let case = |count: &str| {
        Case::new("python", &format!("x = list(range({count}))\nprint('OK')")).limits(|l| l.address_space = Some(50_000 << 10))
    };
    case("10 ** 5").run().is(Verdict::Ok).prints("OK\n");
    let ended = case("10 ** 6").run().is(Verdict::RuntimeError).prints("");
    assert!(ended.described().contains("MemoryError"));
}

#[test]
fn stack_overflow_c() {
    let ended = Case::new("c", include_str!("programs/recursion.c")).limits(|l| l.stack = Some(8 << 20)).run().is(Verdict::Signaled);
    assert_eq!(ended.step().signal, Some(11));
}

#[test]
fn endless_recursion_python() {
    let case = Case::new("python", include_str!("programs/recursion.py")).limits(|l| l.cpu = Some(std::time::Duration::from_secs(10)));
    case.run().ends_as(&[Verdict::OutOfMemory, Verdict::Signaled]);
}
