//! Turns: how many sandboxes run at once, and on which CPUs.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::api::{Cancel, JobError};

#[derive(Debug, Default)]
struct State {
    /// How many run in each seat.
    taken: Vec<usize>,
    /// Numbers handed out, and the number whose turn comes next; those who leave before their turn are noted.
    next_ticket: u64,
    serving: u64,
    left: std::collections::BTreeSet<u64>,
}

impl State {
    fn advance(&mut self) {
        self.serving += 1;
        while self.left.remove(&self.serving) {
            self.serving += 1;
        }
    }
}

/// First come, first served.
#[derive(Clone, Debug)]
pub struct Turns {
    shared: Arc<(Mutex<State>, Condvar)>,
    most: usize,
    /// The CPUs of each seat; none: all.
    seats: Arc<[Vec<usize>]>,
}

/// Held while a sandbox runs.
#[derive(Debug)]
pub struct Turn {
    shared: Arc<(Mutex<State>, Condvar)>,
    seats: Arc<[Vec<usize>]>,
    seat: usize,
}

impl Turn {
    /// The CPUs to run on, nobody else's while there are as many seats as turns; none: all.
    #[must_use]
    pub fn cpus(&self) -> &[usize] {
        &self.seats[self.seat]
    }
}

impl Turns {
    /// At most `most` at once, at least one. Each in one of these seats, the emptiest; without any, on all CPUs.
    #[must_use]
    pub fn new(most: usize, seats: Vec<Vec<usize>>) -> Turns {
        let seats = if seats.is_empty() { vec![Vec::new()] } else { seats };
        let state = State { taken: vec![0; seats.len()], ..State::default() };
        Turns { shared: Arc::new((Mutex::new(state), Condvar::new())), most: most.max(1), seats: seats.into() }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`JobError::Cancelled`].
    pub fn wait(&self, cancel: &Cancel) -> Result<Turn, JobError> {
        let (mutex, changed) = &*self.shared;
        let shared = Arc::clone(&self.shared);
        let _guard = cancel.on_cancel(move || {
            // Taken and let go, so that nobody is between looking at the flag and falling asleep.
            drop(shared.0.lock());
            shared.1.notify_all();
        });
        let mut state = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        while !(state.serving == ticket && state.taken.iter().sum::<usize>() < self.most) {
            if cancel.is_cancelled() {
                if state.serving == ticket {
                    state.advance();
                } else {
                    state.left.insert(ticket);
                }
                changed.notify_all();
                return Err(JobError::Cancelled);
            }
            state = changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.advance();
        let seat = (0..state.taken.len()).min_by_key(|seat| state.taken[*seat]).unwrap_or(0);
        state.taken[seat] += 1;
        changed.notify_all();
        drop(state);
        Ok(Turn { shared: Arc::clone(&self.shared), seats: Arc::clone(&self.seats), seat })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner).taken[self.seat] -= 1;
        self.shared.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn never_more_than_allowed_and_everybody_gets_one() {
        let turns = Turns::new(3, Vec::new());
        let (now, most, done) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..40 {
                scope.spawn(|| {
                    let turn = turns.wait(&Cancel::new()).unwrap();
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    std::thread::yield_now();
                    now.fetch_sub(1, Ordering::SeqCst);
                    done.fetch_add(1, Ordering::SeqCst);
                    drop(turn);
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
        assert_eq!(done.load(Ordering::SeqCst), 40);
    }

    #[test]
    fn nobody_shares_a_seat_while_one_is_free() {
        let turns = Turns::new(3, vec![vec![4, 5], vec![6, 7]]);
        let take = || turns.wait(&Cancel::new()).unwrap();
        let (one, two) = (take(), take());
        assert_eq!((one.cpus(), two.cpus()), (&[4, 5][..], &[6, 7][..]));
        drop(one);
        let one = take();
        assert_eq!(one.cpus(), [4, 5]);
        let three = take();
        drop((one, two));
        assert_eq!(take().cpus(), [6, 7], "the third sits in the first seat");
        drop(three);
        assert!(Turns::new(1, Vec::new()).wait(&Cancel::new()).unwrap().cpus().is_empty());
    }

    #[test]
    fn who_is_cancelled_leaves_the_line_and_the_rest_move_up() {
        let turns = Turns::new(1, Vec::new());
        let held = turns.wait(&Cancel::new()).unwrap();
        let cancels: Vec<Cancel> = (0..6).map(|_| Cancel::new()).collect();
        std::thread::scope(|scope| {
            let waiting: Vec<_> = cancels.iter().map(|cancel| scope.spawn(|| turns.wait(cancel).is_ok())).collect();
            cancels[0].cancel();
            cancels[3].cancel();
            cancels[5].cancel();
            for index in [0, 3, 5] {
                while !waiting[index].is_finished() {
                    std::thread::yield_now();
                }
            }
            drop(held);
            let ended: Vec<bool> = waiting.into_iter().map(|thread| thread.join().unwrap()).collect();
            assert_eq!(ended, [false, true, true, false, true, false]);
        });
    }
}
