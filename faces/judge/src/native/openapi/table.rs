//! Every operation, in one table.

use serde_json::{Value, json};

use crate::native::runs::MOST_WAIT;

/// What an answer carries.
pub(super) enum Carries {
    /// Nothing.
    Nothing,
    /// JSON of this shape.
    Json(&'static str),
    /// JSON of this shape, or a stream of events.
    JsonOrEvents(&'static str),
    /// JSON of any shape.
    AnyJson,
}

/// One method of one address.
pub(super) struct Operation {
    /// With its placeholders.
    pub path: &'static str,
    /// In lower case.
    pub method: &'static str,
    /// Unique in the document.
    pub id: &'static str,
    /// One line.
    pub summary: &'static str,
    /// More lines, or none.
    pub description: &'static str,
    /// Of the path and the query.
    pub parameters: Vec<Value>,
    /// The shape of the body, where there is one.
    pub body: Option<&'static str>,
    /// The status of success, and what comes with it.
    pub answer: (u16, &'static str, Carries),
    /// Other successes.
    pub also: Vec<(u16, &'static str, Carries)>,
    /// Statuses of the problems there can be.
    pub problems: &'static [u16],
}

/// Of everything that receives a body.
const RECEIVES: &[u16] = &[400, 401, 408, 413, 415, 422, 429, 500, 503];
/// Of everything with a token in its path.
const WITH_TOKEN: &[u16] = &[400, 401, 404, 500];

fn token_parameter() -> Value {
    json!({"name": "token", "in": "path", "required": true, "description": "The name that was given in the 202.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{32}$"}})
}

fn query(name: &str, description: &str, schema: &Value) -> Value {
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = run_operations();
    operations.extend(batch_operations());
    operations.extend(server_operations());
    operations
}

fn run_operations() -> Vec<Operation> {
    let wait = query("wait", "`false`: as if the request said `\"async\": true`.", &json!({"type": "boolean"}));
    let seconds = "Seconds to wait for the end of the run before answering.";
    let seconds = query("wait", seconds, &json!({"type": "integer", "minimum": 0, "maximum": MOST_WAIT}));
    vec![
        Operation {
            path: "/v1/runs",
            method: "post",
            id: "createRun",
            summary: "Compile and run a program",
            description: "Answers with the result; with 202 and a token, when the run is asynchronous; or, with `Accept: text/event-stream`, \
                with a stream of server-sent events, each a JSON document of shape `Event`, named by its `type`. A client that goes away \
                ends its run, unless it is asynchronous.",
            parameters: vec![wait],
            body: Some("RunRequest"),
            answer: (200, "What came of the run.", Carries::JsonOrEvents("RunResult")),
            also: vec![(202, "The run is accepted, and will be done even if the server is killed.", Carries::Json("Accepted"))],
            problems: RECEIVES,
        },
        Operation {
            path: "/v1/runs/stream",
            method: "get",
            id: "streamRun",
            summary: "Run a program and talk to it",
            description: "A WebSocket. The first message is a `RunRequest`; after it the client sends `ClientMessage`s as text, or standard \
                input as binary messages. Back come `Event`s, one to a message. A client that goes away ends its run.",
            parameters: vec![],
            body: None,
            answer: (101, "The connection is a WebSocket now.", Carries::Nothing),
            also: vec![],
            problems: &[401, 403, 426, 429],
        },
        Operation {
            path: "/v1/runs/{token}",
            method: "get",
            id: "readRun",
            summary: "An asynchronous run and, once it has ended, its result",
            description: "",
            parameters: vec![token_parameter(), seconds],
            body: None,
            answer: (200, "The run as it is now.", Carries::Json("RunRecord")),
            also: vec![],
            problems: WITH_TOKEN,
        },
        Operation {
            path: "/v1/runs/{token}",
            method: "delete",
            id: "deleteRun",
            summary: "End an asynchronous run and forget it",
            description: "",
            parameters: vec![token_parameter()],
            body: None,
            answer: (204, "It is gone.", Carries::Nothing),
            also: vec![],
            problems: WITH_TOKEN,
        },
        Operation {
            path: "/v1/runs/{token}/cancel",
            method: "post",
            id: "cancelRun",
            summary: "End an asynchronous run",
            description: "A run that has ended stays as it is.",
            parameters: vec![token_parameter()],
            body: None,
            answer: (200, "The run as it is now.", Carries::Json("RunRecord")),
            also: vec![],
            problems: WITH_TOKEN,
        },
    ]
}

fn batch_operations() -> Vec<Operation> {
    vec![
        Operation {
            path: "/v1/batches",
            method: "post",
            id: "createBatch",
            summary: "Many asynchronous runs, taken together or not at all",
            description: "",
            parameters: vec![],
            body: Some("BatchRequest"),
            answer: (202, "All runs are accepted.", Carries::Json("BatchAccepted")),
            also: vec![],
            problems: RECEIVES,
        },
        Operation {
            path: "/v1/batches/{token}",
            method: "get",
            id: "readBatch",
            summary: "A batch, with the verdict of each of its runs",
            description: "Whole results are read run by run.",
            parameters: vec![token_parameter()],
            body: None,
            answer: (200, "The batch as it is now.", Carries::Json("BatchRecord")),
            also: vec![],
            problems: WITH_TOKEN,
        },
        Operation {
            path: "/v1/batches/{token}",
            method: "delete",
            id: "deleteBatch",
            summary: "End every run of a batch and forget them",
            description: "",
            parameters: vec![token_parameter()],
            body: None,
            answer: (204, "It is gone.", Carries::Nothing),
            also: vec![],
            problems: WITH_TOKEN,
        },
    ]
}

fn server_operations() -> Vec<Operation> {
    let read = |path, id, summary, answer| Operation {
        path,
        method: "get",
        id,
        summary,
        description: "",
        parameters: vec![],
        body: None,
        answer,
        also: vec![],
        problems: &[401, 500],
    };
    let document = read("/v1/openapi.json", "readDocument", "This document", (200, "OpenAPI 3.1.", Carries::AnyJson));
    vec![
        read("/v1/languages", "listLanguages", "Languages that are defined here", (200, "The languages.", Carries::Json("Languages"))),
        read("/v1/info", "readInfo", "Version, limits and queue of this server", (200, "The server.", Carries::Json("Info"))),
        Operation { problems: &[], ..document },
    ]
}
