//! What nobody waits for: removing files.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;

type Work = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after the other.
#[derive(Debug)]
pub struct Later {
    sender: Mutex<Option<Sender<Work>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Later {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be none.
    pub fn start() -> std::io::Result<Later> {
        let (sender, receiver) = channel::<Work>();
        let run = move || {
            while let Ok(work) = receiver.recv() {
                work();
            }
        };
        let thread = std::thread::Builder::new().name("agent-later".to_owned()).spawn(run)?;
        Ok(Later { sender: Mutex::new(Some(sender)), thread: Mutex::new(Some(thread)) })
    }

    /// Has something done. After [`Later::end`] it is left to the next start.
    pub fn push(&self, work: impl FnOnce() + Send + 'static) {
        if let Some(sender) = &*self.sender.lock().unwrap_or_else(PoisonError::into_inner) {
            // The thread lives as long as the sender.
            let _ = sender.send(Box::new(work));
        }
    }

    /// Waits until everything is done, and takes nothing more.
    pub fn end(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.thread().id() != std::thread::current().id()
        {
            let _ = thread.join();
        }
    }
}
