//! The end of a server: first asked for, then, after some patience, insisted on.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether the server is to end. Clones are one.
#[derive(Clone, Debug)]
pub struct Stop {
    sender: Arc<watch::Sender<bool>>,
}

impl Default for Stop {
    fn default() -> Self {
        Stop { sender: Arc::new(watch::Sender::new(false)) }
    }
}

impl Stop {
    /// Asks everybody to end.
    pub fn ask(&self) {
        self.sender.send_replace(true);
    }

    /// Whether somebody asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.sender.borrow()
    }

    /// Until somebody asks.
    pub async fn asked(&self) {
        // An error would mean that the sender is gone, and we hold it.
        let _ = self.sender.subscribe().wait_for(|asked| *asked).await;
    }

    /// Asks when SIGTERM or SIGINT comes; gives a future that ends with the second such signal, for those who will not wait.
    ///
    /// # Errors
    /// When signals cannot be caught.
    pub fn on_signals(&self) -> std::io::Result<impl Future<Output = ()> + Send + use<>> {
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = self.clone();
        Ok(async move {
            for _ in 0..2 {
                tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} }
                stop.ask();
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn asking_wakes_every_clone_also_those_who_come_late() {
        let stop = Stop::default();
        let waiting = tokio::spawn({
            let stop = stop.clone();
            async move { stop.asked().await }
        });
        assert!(!stop.is_asked());
        stop.ask();
        waiting.await.unwrap();
        stop.clone().asked().await;
        assert!(stop.is_asked());
    }
}
