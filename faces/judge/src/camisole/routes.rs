//! The routes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use enclos_host::axum::Router;
use enclos_host::axum::body::Body;
use enclos_host::axum::extract::{Request, State};
use enclos_host::axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use enclos_host::axum::response::{IntoResponse, Response};
use enclos_host::axum::routing::any;
use enclos_host::body::{Bodies, BodyError, Share};
use enclos_host::keys::{Admitted, Denied, Head, Keys};
use enclos_host::tokio::sync::Mutex;
use enclos_host::tokio::task::spawn_blocking;
use enclos_pool::Refusal;

use super::answer::{Answer, accepted};
use super::format::{DecodeError, Format};
use super::request::{self, Bounds};
use super::settings::Options;
use super::value::Value;
use super::{report, status};
use crate::api::{Job, JobError, Judge, StepReport, Verdict};
use crate::work::{Jobs, submit};

const WELCOME: &str = "Welcome to Camisole. Use the /run endpoint to run some code!\n";

/// Bytes of a body or an answer above which it is read or written on a thread of its own, so that the runtime is not held up.
const LARGE: usize = 256 << 10;

/// For how long what is known of the languages holds.
const FRESH: Duration = Duration::from_secs(10);

/// What the routes need.
#[derive(Clone)]
pub struct Camisole {
    /// Runs the jobs.
    pub judge: Arc<dyn Judge>,
    /// Where they wait.
    pub queue: Arc<Jobs>,
    /// Who may call.
    pub keys: Arc<Keys>,
    /// Reads bodies.
    pub bodies: Bodies,
    /// Bounds.
    pub options: Options,
}

impl std::fmt::Debug for Camisole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Camisole").field("options", &self.options).finish_non_exhaustive()
    }
}

struct Shared {
    camisole: Camisole,
    bounds: Bounds,
    languages: Mutex<Option<(Instant, Value)>>,
}

type Served = State<Arc<Shared>>;

/// Camisole's five routes. Other paths are left to the caller; [`not_found`] is camisole's answer to them.
pub fn router(camisole: Camisole) -> Router {
    let bounds = Bounds::of(camisole.judge.limits(), camisole.options.max_tests, camisole.options.refuse_beyond);
    let shared = Shared { camisole, bounds, languages: Mutex::new(None) };
    Router::new()
        .route("/", any(async || WELCOME))
        .route("/run", any(run))
        .route("/languages", any(languages))
        .route("/system", any(system))
        .route("/test", any(test))
        .with_state(Arc::new(shared))
}

/// For every other path.
pub async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "404: Not Found").into_response()
}

/// A request that was let in and read. What it holds is given back when it is answered.
struct Call {
    value: Value,
    admitted: Admitted,
    _share: Share,
}

impl Shared {
    /// Who calls, and what the body says.
    async fn call(&self, headers: &Head, body: Body) -> Result<Call, Answer> {
        let admitted = self.camisole.keys.admit(headers).map_err(|denied| deny(&denied))?;
        let held = self.camisole.bodies.read(body, self.camisole.options.max_body).await.map_err(|error| no_body(&error))?;
        let format = Format::of_request(headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes));
        let bytes = held.bytes;
        let decoded = if bytes.len() > LARGE { aside(move || format.decode(&bytes)).await? } else { format.decode(&bytes) };
        let value = decoded.map_err(|error| match error {
            DecodeError::Malformed(format) => Answer::error(StatusCode::BAD_REQUEST, format!("malformed {}", format.content_type())),
            DecodeError::TooMany => too_large(),
        })?;
        Ok(Call { value, admitted, _share: held.share })
    }

    /// Runs a job in the caller's lane.
    async fn run(&self, caller: &str, job: Job) -> Result<crate::api::Answer, Answer> {
        let language = job.language.clone();
        let submitted = submit(&self.camisole.queue, caller, job).map_err(|refusal| refuse(&refusal))?;
        let answer = submitted.answer().await.map_err(|error| failed(&language, &error))?;
        // There is no word for a stream that was cut; without one it would pass for what the program printed.
        if steps(&answer).any(|step| (step.stdout_truncated || step.stderr_truncated) && step.verdict != Verdict::OutputLimit) {
            return Err(Answer::error(StatusCode::OK, "the programs printed more together than one answer may hold"));
        }
        Ok(answer)
    }
}

/// Does what takes long on a thread where that harms nobody.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Answer> {
    // An error means that it panicked, or that the runtime ends.
    spawn_blocking(work).await.map_err(|_| Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal error"))
}

fn deny(denied: &Denied) -> Answer {
    match denied.retry_after() {
        None => Answer::error(StatusCode::UNAUTHORIZED, denied.to_string()),
        Some(after) => Answer::retry(StatusCode::TOO_MANY_REQUESTS, denied.to_string(), after.as_secs()),
    }
}

fn refuse(refusal: &Refusal) -> Answer {
    let status = match refusal {
        Refusal::KeyFull { .. } => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Answer::retry(status, refusal.to_string(), refusal.retry_after().as_secs())
}

fn no_body(error: &BodyError) -> Answer {
    match error {
        BodyError::TooLarge { .. } => too_large(),
        BodyError::TooSlow { .. } => Answer::error(StatusCode::REQUEST_TIMEOUT, error.to_string()),
        BodyError::NoRoom => Answer::retry(StatusCode::SERVICE_UNAVAILABLE, error.to_string(), 1),
        BodyError::Broken => Answer::error(StatusCode::BAD_REQUEST, error.to_string()),
    }
}

fn too_large() -> Answer {
    Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large")
}

/// camisole answered 500 with a traceback; the line it ended with is kept where it had one.
fn failed(language: &str, error: &JobError) -> Answer {
    match error {
        JobError::UnknownLanguage { .. } => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, format!("Incorrect language {language}")),
        JobError::MissingLanguage { .. } => {
            Answer::error(StatusCode::INTERNAL_SERVER_ERROR, format!("Incorrect language {language}: {error}"))
        }
        JobError::Refused { .. } => Answer::error(StatusCode::OK, format!("malformed payload: {error}")),
        JobError::Cancelled => Answer::retry(StatusCode::SERVICE_UNAVAILABLE, "the server is shutting down; try again", 5),
        // What failed may be told only in words of the host: paths, control groups. The log has them.
        JobError::Internal(_) => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "the judge failed; its log says how"),
    }
}

impl Shared {
    /// Answers in the client's format, on another thread when there is much to write.
    async fn encode(&self, answer: Result<Answer, Answer>, headers: &HeaderMap, large: bool) -> Response {
        let (answer, formats, bodies) = (answer.unwrap_or_else(|error| error), accepted(headers), self.camisole.bodies.clone());
        if !large {
            return answer.encode(&formats, &bodies);
        }
        let written = aside(move || answer.encode(&formats, &bodies)).await;
        written.unwrap_or_else(|error| error.encode(&[Format::Json], &self.camisole.bodies))
    }
}

async fn run(State(shared): Served, request: Request) -> Response {
    let (mut head, body) = request.into_parts();
    let headers = Head::take(&mut head);
    if head.method != Method::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "POST")], "405: Method Not Allowed").into_response();
    }
    let mut large = false;
    let answer = async {
        let call = shared.call(&headers, body).await?;
        let request =
            request::Request::read(&call.value, &shared.bounds).map_err(|wrong| Answer::error(StatusCode::OK, wrong.to_string()))?;
        let mut answer = shared.run(call.admitted.name(), request.job).await?;
        if request.is_empty && answer.compile.is_none() {
            answer.tests.clear();
        }
        large = size(&answer) > LARGE;
        Ok(Answer::success(report::answer(answer)))
    };
    let answer = answer.await;
    shared.encode(answer, &headers, large).await
}

fn size(answer: &crate::api::Answer) -> usize {
    steps(answer).map(|step| step.stdout.len() + step.stderr.len()).sum()
}

fn steps(answer: &crate::api::Answer) -> impl Iterator<Item = &StepReport> {
    answer.compile.iter().chain(answer.tests.iter().filter_map(|test| test.step.as_ref()))
}

async fn languages(State(shared): Served, headers: Head, body: Body) -> Response {
    let answer = async {
        let _call = shared.call(&headers, body).await?;
        // One look at the host at a time, and none as long as the last one holds.
        let mut known = shared.languages.lock().await;
        let value = match &*known {
            Some((when, value)) if when.elapsed() < FRESH => value.clone(),
            _ => {
                let judge = Arc::clone(&shared.camisole.judge);
                let value = aside(move || status::languages(&judge.languages())).await?;
                *known = Some((Instant::now(), value.clone()));
                value
            }
        };
        Ok(Answer::success([("languages", value)]))
    };
    shared.encode(answer.await, &headers, false).await
}

async fn system(State(shared): Served, headers: Head, body: Body) -> Response {
    let answer = async {
        let _call = shared.call(&headers, body).await?;
        let judge = Arc::clone(&shared.camisole.judge);
        let value = aside(move || status::system(&judge.system())).await?;
        Ok(Answer::success([("system", value)]))
    };
    shared.encode(answer.await, &headers, false).await
}

/// Every reference program, one after the other, as camisole did.
async fn test(State(shared): Served, headers: Head, body: Body) -> Response {
    let answer = async {
        let call = shared.call(&headers, body).await?;
        let excluded = request::excluded(&call.value).map_err(|wrong| Answer::error(StatusCode::OK, wrong.to_string()))?;
        let judge = Arc::clone(&shared.camisole.judge);
        let languages = aside(move || judge.languages()).await?;
        let mut results = Vec::new();
        for language in languages.into_iter().filter(|language| language.available && !excluded.contains(&language.key)) {
            let job = shared.camisole.judge.reference(&language.key).map_err(|error| failed(&language.key, &error))?;
            let answer = shared.run(call.admitted.name(), job).await?;
            let success = answer.verdict == Verdict::Ok;
            let raw = Value::map(report::answer(answer));
            results.push((language.key, Value::map([("success", Value::Bool(success)), ("raw", raw)])));
        }
        Ok(Answer::success([("results", Value::map(results))]))
    };
    shared.encode(answer.await, &headers, false).await
}
