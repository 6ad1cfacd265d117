//! Threads that watch commands. One that has nothing to watch any more waits a moment for the next command: making a thread, and the first pages of its
//! stack and its memory, costs more than watching a short command does.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Threads that wait at most.
const MOST: usize = 16;
/// How long one waits.
const PATIENCE: Duration = Duration::from_secs(1);

type Work = Box<dyn FnOnce() + Send>;

/// Those that wait, each by a name of its own; the one that has waited least is last, and taken first.
static WAITING: Mutex<Waiting> = Mutex::new(Waiting { next: 0, threads: Vec::new() });

struct Waiting {
    next: u64,
    threads: Vec<(u64, Sender<Work>)>,
}

fn waiting() -> MutexGuard<'static, Waiting> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has something done by a thread of its own; what it gives arrives at the receiver, or nothing where it panics.
///
/// # Errors
/// When there can be no thread.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> std::io::Result<Receiver<T>> {
    let (done, outcome) = channel();
    // Nobody listens any more: then nobody wants to know.
    let mut work: Work = Box::new(move || drop(done.send(work())));
    loop {
        let Some((_, thread)) = waiting().threads.pop() else { break };
        match thread.send(work) {
            Ok(()) => return Ok(outcome),
            Err(back) => work = back.0,
        }
    }
    std::thread::Builder::new().name("enclos-watch".to_owned()).spawn(move || serve(work))?;
    Ok(outcome)
}

fn serve(first: Work) {
    first();
    let (sender, given) = channel::<Work>();
    while let Some(work) = next(&sender, &given) {
        work();
    }
}

/// Waits for something to do; `None`: nothing came, or enough others wait.
fn next(sender: &Sender<Work>, given: &Receiver<Work>) -> Option<Work> {
    let name = {
        let mut waiting = waiting();
        if waiting.threads.len() >= MOST {
            return None;
        }
        waiting.next += 1;
        let name = waiting.next;
        waiting.threads.push((name, sender.clone()));
        name
    };
    match given.recv_timeout(PATIENCE) {
        Ok(work) => Some(work),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => {
            let mut waiting = waiting();
            let at = waiting.threads.iter().position(|(other, _)| *other == name);
            match at {
                Some(at) => {
                    waiting.threads.remove(at);
                    None
                }
                // Somebody has taken it, and is about to say for what.
                None => {
                    drop(waiting);
                    given.recv_timeout(PATIENCE).ok()
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_gets_its_own_answer_and_a_panic_is_nobody_elses() {
        let many: Vec<_> = (0..100u32).map(|n| run(move || n).unwrap()).collect();
        for (n, outcome) in (0..).zip(many) {
            assert_eq!(outcome.recv(), Ok(n));
        }
        assert!(run(|| panic!("this one is meant to")).unwrap().recv().is_err());
        assert_eq!(run(|| 7).unwrap().recv(), Ok(7));
        assert!(waiting().threads.len() <= MOST);
    }

    #[test]
    fn one_that_is_done_serves_the_next() {
        let thread = || run(|| std::thread::current().id()).unwrap().recv().unwrap();
        let first = thread();
        // It answers before it waits, and others of this test may take it.
        let again = (0..200).any(|_| {
            std::thread::sleep(Duration::from_millis(5));
            thread() == first
        });
        assert!(again);
    }
}
