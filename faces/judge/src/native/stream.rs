//! `POST /v1/runs` with `Accept: text/event-stream`: what happens, as it happens (server-sent events, WHATWG HTML section 9.2).

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use enclos_host::axum::response::sse::{self, KeepAlive, Sse};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::tokio::sync::mpsc;
use enclos_pool::Position;
use futures_core::Stream;

use super::events::ears;
use super::problem::Problem;
use super::wire::Event;
use super::{Call, Native};
use crate::api::{Answer, Cancel, Job, JobError};
use crate::work::{Submitted, submit_observed};

/// A comment is sent when nothing else was for this long, so that nobody on the way takes the connection for dead.
const ALIVE: Duration = Duration::from_secs(15);

type Answering = Pin<Box<dyn Future<Output = Result<Answer, JobError>> + Send>>;

/// What a client hears of one run. Dropping it ends the run.
pub struct Hearing {
    /// Told before anything else.
    first: Option<Event>,
    /// `None` once the judge has nothing more to say.
    events: Option<mpsc::Receiver<Event>>,
    /// `None` once the last event was given.
    answer: Option<Answering>,
}

impl Hearing {
    /// Of a run that was submitted with the other end of `events`.
    pub fn new(submitted: Submitted, events: mpsc::Receiver<Event>) -> Self {
        let first = match submitted.position() {
            Some(Position::Waiting { ahead, estimate, .. }) => {
                Some(Event::Queued { ahead, estimate_ms: u64::try_from(estimate.as_millis()).unwrap_or(u64::MAX) })
            }
            Some(Position::Running { .. }) | None => None,
        };
        Self { first, events: Some(events), answer: Some(Box::pin(submitted.answer())) }
    }

    /// The next event; `None` after the last. May be dropped and called again.
    pub fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Some(events) = &mut self.events {
            match events.poll_recv(context) {
                Poll::Ready(Some(event)) => return Poll::Ready(Some(event)),
                Poll::Ready(None) => self.events = None,
                Poll::Pending => return Poll::Pending,
            }
        }
        let Some(answer) = &mut self.answer else { return Poll::Ready(None) };
        let Poll::Ready(answer) = answer.as_mut().poll(context) else { return Poll::Pending };
        self.answer = None;
        Poll::Ready(Some(match answer {
            Ok(answer) => Event::Result { result: Box::new(answer.into()) },
            Err(error) => Event::Problem { problem: error.into() },
        }))
    }

    /// The next event; `None` after the last.
    pub async fn next(&mut self) -> Option<Event> {
        std::future::poll_fn(|context| self.poll_event(context)).await
    }
}

/// A hearing, and what is given back when it ends.
struct Events {
    hearing: Hearing,
    _call: Call,
}

impl Stream for Events {
    type Item = Result<sse::Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.hearing.poll_event(context).map(|event| event.map(|event| Ok(written(&event))))
    }
}

/// JSON never holds a line end, so an event is always one line of data.
fn written(event: &Event) -> sse::Event {
    let data = serde_json::to_string(event).unwrap_or_default();
    sse::Event::default().event(event.name()).data(data)
}

/// 200 with the stream.
pub fn respond(native: &Arc<Native>, call: Call, live: bool, job: Job) -> Result<Response, Problem> {
    let (ears, events) = ears(live, None);
    let submitted = submit_observed(&native.queue, call.admitted.name(), job, Cancel::new(), Box::new(ears))?;
    let events = Events { hearing: Hearing::new(submitted, events), _call: call };
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE)).into_response())
}
