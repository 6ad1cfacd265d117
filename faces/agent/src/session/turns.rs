//! One command at a time, in the order in which they were asked for (W-36).

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use crate::api::{AgentError, Cancel, Result};

#[derive(Debug, Default)]
struct Queue {
    next: u64,
    waiting: VecDeque<u64>,
    closed: bool,
}

/// A queue of callers.
#[derive(Debug, Default)]
pub struct Turns {
    inner: Arc<(Mutex<Queue>, Condvar)>,
}

/// A caller's turn; the next one's when it is dropped.
#[derive(Debug)]
pub struct Turn {
    inner: Arc<(Mutex<Queue>, Condvar)>,
    ticket: u64,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (queue, changed) = &*self.inner;
        queue.lock().unwrap_or_else(PoisonError::into_inner).waiting.retain(|ticket| *ticket != self.ticket);
        changed.notify_all();
    }
}

impl Turns {
    /// Waits.
    ///
    /// # Errors
    /// [`AgentError::Cancelled`], or [`AgentError::SessionClosed`].
    pub fn wait(&self, cancel: &Cancel) -> Result<Turn> {
        let (queue, changed) = &*self.inner;
        let mut held = queue.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = held.next;
        held.next += 1;
        held.waiting.push_back(ticket);
        drop(held);
        let turn = Turn { inner: Arc::clone(&self.inner), ticket };
        let inner = Arc::clone(&self.inner);
        let _guard = cancel.on_cancel(move || {
            // Under the lock, so that nobody is between looking and waiting.
            let _held = inner.0.lock().unwrap_or_else(PoisonError::into_inner);
            inner.1.notify_all();
        });
        let mut held = queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let outcome = if held.closed {
                Some(Err(AgentError::SessionClosed))
            } else if cancel.is_cancelled() {
                Some(Err(AgentError::Cancelled))
            } else if held.waiting.front() == Some(&ticket) {
                Some(Ok(()))
            } else {
                None
            };
            if let Some(outcome) = outcome {
                drop(held);
                return outcome.map(|()| turn);
            }
            held = changed.wait(held).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether somebody has the turn, or is about to.
    pub fn is_taken(&self) -> bool {
        !self.inner.0.lock().unwrap_or_else(PoisonError::into_inner).waiting.is_empty()
    }

    /// Nobody gets a turn any more.
    pub fn close(&self) {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.inner.1.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_come_in_order_and_a_waiter_can_give_up() {
        let turns = Arc::new(Turns::default());
        let first = turns.wait(&Cancel::new()).unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut threads = Vec::new();
        let impatient = Cancel::new();
        for number in 0..5 {
            let (waiters, order, cancel) =
                (Arc::clone(&turns), Arc::clone(&order), if number == 2 { impatient.clone() } else { Cancel::new() });
            threads.push(std::thread::spawn(move || {
                if let Ok(turn) = waiters.wait(&cancel) {
                    order.lock().unwrap().push(number);
                    drop(turn);
                }
            }));
            while turns.inner.0.lock().unwrap().waiting.len() < number + 2 {
                std::thread::yield_now();
            }
        }
        impatient.cancel();
        while turns.inner.0.lock().unwrap().waiting.len() > 5 {
            std::thread::yield_now();
        }
        drop(first);
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 3, 4]);
        let held = turns.wait(&Cancel::new()).unwrap();
        turns.close();
        assert_eq!(turns.wait(&Cancel::new()).unwrap_err(), AgentError::SessionClosed);
        drop(held);
    }
}
