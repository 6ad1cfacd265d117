//! Telling somebody that an asynchronous run has ended.
//!
//! The run's record goes by POST to the address that the request named, where the operator allows that ([`enclos_host::outbound`]). It is
//! tried [`ATTEMPTS`] times; an answer of 2xx is success, anything else, a redirect too, is not. What was due when a server ended is tried
//! by the next one, so a callback may come twice; its token tells.

use std::sync::Arc;
use std::time::Duration;

use enclos_host::axum::http::{HeaderValue, Method, header};
use enclos_host::bytes::Bytes;
use enclos_host::outbound::{Outbound, OutboundError, Target};
use enclos_host::tokio::sync::{Semaphore, mpsc};
use enclos_host::tokio::time::sleep;
use enclos_host::{tokio, tracing};
use enclos_pool::{Notice, Record, Store, Token};

use super::problem::Problem;
use super::wire::RunRequest;
use super::{aside, decode, records};

/// How often one is tried.
pub const ATTEMPTS: u32 = 4;

/// Before the second attempt; four times as long before each that follows.
const PAUSE: Duration = Duration::from_secs(1);

/// How many are made at once.
const AT_ONCE: usize = 16;

/// A run that ended, and whose it is.
pub type Ended = (String, Token);

/// Whether a callback may be asked for.
///
/// # Errors
///
/// 422: callbacks are off here, or not for this address.
pub fn check(outbound: Option<&Outbound>, request: &RunRequest) -> Result<(), Problem> {
    let Some(callback) = &request.callback else { return Ok(()) };
    let Some(outbound) = outbound else {
        return Err(Problem::refused("callback", "callbacks are switched off on this server: ask for the result with the token"));
    };
    match outbound.check(&callback.url) {
        Ok(_) => Ok(()),
        Err(error) => Err(Problem::refused("callback.url", &error.to_string())),
    }
}

/// Makes the callbacks of runs as they end, for as long as there is somebody to tell of them. One that waits for its next attempt holds up
/// no other.
pub async fn deliver(outbound: Outbound, store: Arc<Store>, mut ended: mpsc::UnboundedReceiver<Ended>) {
    let calls = Arc::new(Calls { outbound, store, places: Semaphore::new(AT_ONCE) });
    while let Some((owner, token)) = ended.recv().await {
        tokio::spawn(Arc::clone(&calls).tell(owner, token));
    }
}

/// What calls share.
struct Calls {
    outbound: Outbound,
    store: Arc<Store>,
    places: Semaphore,
}

/// What came of one attempt.
enum Attempt {
    /// It was answered with success.
    Delivered,
    /// Another may do better.
    Again,
    /// None ever will.
    Never,
    /// Nobody is to be told, or it cannot be known.
    Nothing,
}

impl Calls {
    async fn tell(self: Arc<Self>, owner: String, token: Token) {
        let mut delivered = false;
        for attempt in 1..=ATTEMPTS {
            match self.attempt(&owner, token, attempt).await {
                Attempt::Delivered => delivered = true,
                Attempt::Again if attempt < ATTEMPTS => {
                    sleep(PAUSE * 4u32.pow(attempt - 1)).await;
                    continue;
                }
                Attempt::Again | Attempt::Never => {}
                Attempt::Nothing => return,
            }
            break;
        }
        let noted = aside(move || self.store.noticed(&token, delivered)).await;
        if !matches!(noted, Ok(Ok(()))) {
            tracing::error!(?token, "what came of a callback could not be stored");
        }
    }

    /// The record is read anew for each: one that waits holds no memory.
    async fn attempt(self: &Arc<Self>, owner: &str, token: Token, attempt: u32) -> Attempt {
        let Ok(_place) = self.places.acquire().await else { return Attempt::Nothing };
        let (calls, owner) = (Arc::clone(self), owner.to_owned());
        let record = match aside(move || calls.store.get(&owner, &token)).await {
            Ok(Ok(Some(record))) if record.notice == Notice::Due => record,
            _ => return Attempt::Nothing,
        };
        let (target, body) = match message(&self.outbound, record) {
            Ok(message) => message,
            Err(error) => {
                tracing::warn!(?token, %error, "a callback cannot be made");
                return Attempt::Never;
            }
        };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::USER_AGENT, HeaderValue::from_static(concat!("enclos/", env!("CARGO_PKG_VERSION")))),
        ];
        match self.outbound.send(Method::POST, &target, &headers, body).await {
            Ok(200..=299) => return Attempt::Delivered,
            Ok(status) => tracing::warn!(?token, attempt, status, "a callback was answered without success"),
            Err(error @ OutboundError::Refused { .. }) => {
                tracing::warn!(?token, %error, "a callback cannot be made");
                return Attempt::Never;
            }
            Err(error) => tracing::warn!(?token, attempt, %error, "a callback failed"),
        }
        Attempt::Again
    }
}

/// Where to, and what.
fn message(outbound: &Outbound, record: Record) -> Result<(Target, Bytes), String> {
    let request: RunRequest = decode::json(&record.request).map_err(|problem| problem.detail)?;
    let url = request.callback.map(|callback| callback.url).unwrap_or_default();
    let target = outbound.check(&url).map_err(|error| error.to_string())?;
    // What is told says of itself that it is delivered, not that it is due.
    let record = Record { notice: Notice::Delivered, ..record };
    let shown = records::shown(record, None).map_err(|problem| problem.detail)?;
    let body = serde_json::to_vec(&shown).map_err(|error| error.to_string())?;
    Ok((target, body.into()))
}
