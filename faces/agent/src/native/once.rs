//! `Idempotency-Key`: a request that makes something, sent again, makes nothing again and has the same answer.
//!
//! Kept in memory: a server that was restarted has forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use enclos_host::axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use enclos_host::axum::response::Response;
use enclos_host::bytes::Bytes;
use enclos_host::tokio::{self, sync::OnceCell};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::{Answer, json_response};
use crate::api::Caller;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How many are kept; the oldest go first.
const MOST: usize = 10_000;

/// What was made: its JSON and its address.
type Made = (Bytes, String);

struct Entry {
    request: [u8; 32],
    made: OnceCell<Made>,
}

#[derive(Default)]
struct Known {
    by_key: HashMap<(Arc<str>, String), Arc<Entry>>,
    order: VecDeque<(Arc<str>, String)>,
}

/// Requests with a key, and their answers.
#[derive(Default)]
pub struct Once {
    known: Mutex<Known>,
}

fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(KEY) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| (1..=255).contains(&text.len()));
    text.map(|text| Some(text.to_owned())).ok_or_else(|| Problem::invalid("Idempotency-Key", "write 1 to 255 visible ASCII characters"))
}

fn answer((json, place): Made, again: bool) -> Response {
    let mut response = json_response(StatusCode::CREATED, json);
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    if again {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

impl Once {
    /// 201 with what `make` made, and where it is: `place` and its id. `request`: all that the request says.
    pub async fn make<T: Serialize + 'static>(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        request: &[&[u8]],
        place: fn(&T) -> String,
        make: impl Future<Output = Result<T, Problem>> + Send + 'static,
    ) -> Answer {
        let made = async move {
            let made = make.await?;
            let json = serde_json::to_vec(&made).map_err(|error| Problem::internal(&error))?;
            Ok::<Made, Problem>((json.into(), place(&made)))
        };
        let Some(key) = key(headers)? else { return Ok(answer(made.await?, false)) };
        let mut digest = Sha256::new();
        for part in request {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        let request = digest.finalize().into();
        let entry = self.entry(caller, key, request);
        if entry.request != request {
            let message = "the same key came with another request: a key is for one request and its repetitions";
            return Err(Problem::new(StatusCode::CONFLICT, "idempotency_conflict", message));
        }
        let again = entry.made.initialized();
        // A task of its own: a client that leaves now and comes again finds what was made.
        let making = tokio::spawn(async move { entry.made.get_or_try_init(|| made).await.cloned() });
        Ok(answer(making.await.map_err(|error| Problem::internal(&error))??, again))
    }

    fn entry(&self, caller: &Caller, key: String, request: [u8; 32]) -> Arc<Entry> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Arc::clone(&caller.name), key);
        if let Some(entry) = known.by_key.get(&key) {
            return Arc::clone(entry);
        }
        if known.order.len() >= MOST
            && let Some(oldest) = known.order.pop_front()
        {
            known.by_key.remove(&oldest);
        }
        let entry = Arc::new(Entry { request, made: OnceCell::new() });
        known.order.push_back(key.clone());
        known.by_key.insert(key, Arc::clone(&entry));
        entry
    }
}
