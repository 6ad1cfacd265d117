//! System calls. Dossier rows 20, 22 to 25, 32, 33.

use enclos_judge::api::Verdict;

use crate::case::Case;

#[test]
fn calls_that_only_harm_are_refused() {
    Case::new("c", include_str!("programs/calls.c")).run().is(Verdict::Ok).prints("tried\n");
}

#[test]
fn calls_by_the_32_bit_door() {
    let ended = Case::new("c", include_str!("programs/old_calls.c")).run().ends_as(&[Verdict::Ok, Verdict::Security, Verdict::Signaled]);
    assert!(!ended.said().contains("ALLOWED"));
}

#[test]
fn calls_by_the_x32_door() {
    let ended = Case::new("c", include_str!("programs/old_calls.c")).arguments(&["x32"]).run();
    let ended = ended.ends_as(&[Verdict::Ok, Verdict::Security, Verdict::Signaled]);
    assert!(!ended.said().contains("ALLOWED"));
}
