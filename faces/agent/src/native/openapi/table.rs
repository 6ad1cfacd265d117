//! Every operation, in one table.

use serde_json::{Value, json};

/// What an answer carries.
#[derive(Clone, Copy)]
pub(super) enum Carries {
    /// Nothing.
    Nothing,
    /// JSON of this shape.
    Json(&'static str),
    /// JSON of this shape, or a stream of events.
    JsonOrEvents(&'static str),
    /// A stream of events.
    Events,
    /// JSON of any shape.
    AnyJson,
    /// Bytes of this media type.
    Bytes(&'static str),
}

/// What a request carries.
#[derive(Clone, Copy)]
pub(super) enum Body {
    /// Nothing.
    None,
    /// JSON of this shape.
    Json(&'static str),
    /// The same, or nothing.
    MaybeJson(&'static str),
    /// Bytes of this media type.
    Bytes(&'static str),
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
    /// Words of the query.
    pub query: &'static [&'static str],
    /// What the request carries.
    pub body: Body,
    /// The status of success, and what comes with it.
    pub answer: (u16, &'static str, Carries),
    /// It takes `Range`.
    pub ranges: bool,
    /// Further statuses of problems.
    pub also: &'static [u16],
}

impl Operation {
    /// Statuses of the problems there can be.
    pub(super) fn problems(&self) -> Vec<u16> {
        if self.id == "readDocument" {
            return Vec::new();
        }
        let mut statuses = vec![401, 429, 500, 503];
        if self.path.contains('{') {
            statuses.push(404);
        }
        if !self.query.is_empty() || self.method != "get" {
            statuses.push(400);
        }
        match self.body {
            Body::None => {}
            Body::Bytes(_) => statuses.extend([408, 413]),
            Body::Json(_) | Body::MaybeJson(_) => statuses.extend([408, 413, 415]),
        }
        if self.method != "get" {
            statuses.extend([403, 409, 501, 504]);
        }
        statuses.extend(self.also);
        statuses.sort_unstable();
        statuses.dedup();
        statuses
    }

    /// Of the path, the query and the head.
    pub(super) fn parameters(&self) -> Vec<Value> {
        let mut parameters = Vec::new();
        if self.path.contains("{id}") {
            parameters.push(json!({"name": "id", "in": "path", "required": true, "description": "As it was given when it was made.",
                "schema": {"type": "string", "pattern": "^(cb|sb|sn|sess)_[0-9a-f]{16}$"}}));
        }
        if self.path.contains("{path}") {
            parameters.push(json!({"name": "path", "in": "path", "required": true, "allowReserved": true,
                "description": "From the top of the workspace; holds slashes as they are.",
                "schema": {"type": "string", "minLength": 1, "pattern": "^[a-z]+(/[a-z]+)*$"}}));
        }
        parameters.extend(self.query.iter().map(|name| query(name)));
        if self.answer.0 == 201 {
            parameters.push(json!({"name": "Idempotency-Key", "in": "header", "required": false,
                "description": "The same key with the same request makes nothing again, and has the same answer.",
                "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}}));
        }
        if self.ranges {
            parameters.push(json!({"name": "Range", "in": "header", "required": false, "description": "One range of bytes.",
                "schema": {"type": "string", "pattern": "^bytes=([0-9]{1,9}-|-[0-9]{1,9})$"}}));
        }
        parameters
    }
}

fn query(name: &str) -> Value {
    let number = |most: u64| json!({"type": "integer", "minimum": 0, "maximum": most});
    let (description, schema) = match name {
        "page_size" => ("Entries at most; 100 without it.", json!({"type": "integer", "minimum": 1, "maximum": 1000})),
        "page_token" => ("`next_page_token` of the page before.", json!({"type": "string"})),
        "owner_id" => ("Of this owner.", json!({"type": "string"})),
        "codebase_id" => ("Of this codebase.", json!({"type": "string"})),
        "status" => ("In this state.", json!({"type": "string", "enum": ["pending", "running", "stopped", "error"]})),
        "label." => {
            return json!({"name": "label.NAME", "in": "query", "required": false, "schema": {"type": "string"},
                "description": "With this label; `NAME` stands for its name. May be there more than once, for several labels."});
        }
        "path" => ("From the top of the workspace; the top without it.", json!({"type": "string"})),
        "recursive" => ("With all below it.", json!({"type": "boolean"})),
        "replace" => ("In the place of what is there, instead of over it.", json!({"type": "boolean"})),
        "version" => ("The version; the newest without it.", number(9_007_199_254_740_991)),
        _ => ("Permission bits in octal; 0644 without it.", json!({"type": "string", "pattern": "^0?[0-7]{3}$"})),
    };
    json!({"name": name, "in": "query", "required": false, "description": description, "schema": schema})
}

const OCTETS: &str = "application/octet-stream";
const TAR: &str = "application/x-tar";

fn of(method: &'static str, path: &'static str, id: &'static str, summary: &'static str) -> Operation {
    let answer = (200, "Done.", Carries::Nothing);
    Operation { path, method, id, summary, description: "", query: &[], body: Body::None, answer, ranges: false, also: &[] }
}

impl Operation {
    fn asks(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    fn takes(self, body: Body) -> Self {
        Self { body, ..self }
    }

    fn json(self, description: &'static str, shape: &'static str) -> Self {
        Self { answer: (200, description, Carries::Json(shape)), ..self }
    }

    fn makes(self, description: &'static str, shape: &'static str) -> Self {
        Self { answer: (201, description, Carries::Json(shape)), ..self }
    }

    fn gone(self) -> Self {
        Self { answer: (204, "It is gone.", Carries::Nothing), ..self }
    }

    fn answers(self, status: u16, description: &'static str, carries: Carries) -> Self {
        Self { answer: (status, description, carries), ..self }
    }

    fn says(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    fn also(self, also: &'static [u16]) -> Self {
        Self { also, ..self }
    }
}

const PAGES: &[&str] = &["page_size", "page_token"];
const EVENTS: &str = "Answers with the result, or, with `Accept: text/event-stream`, with a stream of server-sent events, each a JSON document \
    of shape `Event`, named by its `type`. A client that goes away ends its command.";

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations = codebases();
    operations.extend(sandboxes());
    operations.extend(changes());
    operations.extend(files());
    operations.extend(sessions());
    operations.extend(server());
    operations
}

fn codebases() -> Vec<Operation> {
    vec![
        of("post", "/v1/agent/codebases", "createCodebase", "Make an empty codebase")
            .takes(Body::Json("NewCodebase"))
            .makes("The codebase.", "Codebase"),
        of("get", "/v1/agent/codebases", "listCodebases", "Codebases")
            .asks(&["page_size", "page_token", "owner_id"])
            .json("A page of them.", "Codebases"),
        of("get", "/v1/agent/codebases/{id}", "readCodebase", "A codebase").json("The codebase.", "Codebase"),
        of("delete", "/v1/agent/codebases/{id}", "deleteCodebase", "Remove a codebase")
            .gone()
            .says("Refused while a sandbox or snapshot stands on it."),
        of("put", "/v1/agent/codebases/{id}/files/{path}", "uploadFile", "Store one file as a new version")
            .asks(&["mode"])
            .takes(Body::Bytes(OCTETS))
            .json("What was stored.", "Uploaded"),
        of("get", "/v1/agent/codebases/{id}/files/{path}", "downloadFile", "A file of a version").asks(&["version"]).answers(
            200,
            "Its bytes; `X-File-Mode` has its permission bits.",
            Carries::Bytes(OCTETS),
        ),
        of("delete", "/v1/agent/codebases/{id}/files/{path}", "removeFile", "Remove a path, with all below it, as a new version")
            .json("The new version.", "Version"),
        of("put", "/v1/agent/codebases/{id}/archive", "uploadArchive", "Store a tar archive as a new version")
            .asks(&["replace"])
            .takes(Body::Bytes(TAR))
            .json("The new version.", "Version"),
        of("get", "/v1/agent/codebases/{id}/archive", "downloadArchive", "A version as a tar archive").asks(&["version"]).answers(
            200,
            "The archive.",
            Carries::Bytes(TAR),
        ),
        of("get", "/v1/agent/codebases/{id}/tree", "listTree", "Files of a version")
            .asks(&["page_size", "page_token", "path", "recursive", "version"])
            .json("A page of them.", "Tree"),
        of("get", "/v1/agent/codebases/{id}/versions", "listVersions", "Versions").asks(PAGES).json("A page of them.", "Versions"),
    ]
}

fn sandboxes() -> Vec<Operation> {
    vec![
        of("post", "/v1/agent/sandboxes", "createSandbox", "Make a sandbox")
            .takes(Body::Json("NewSandbox"))
            .makes("The sandbox; nothing runs yet.", "Sandbox"),
        of("get", "/v1/agent/sandboxes", "listSandboxes", "Sandboxes")
            .asks(&["page_size", "page_token", "codebase_id", "status", "label."])
            .json("A page of them.", "Sandboxes"),
        of("get", "/v1/agent/sandboxes/{id}", "readSandbox", "A sandbox").json("The sandbox.", "Sandbox"),
        of("delete", "/v1/agent/sandboxes/{id}", "destroySandbox", "End a sandbox and remove it with its changes").gone(),
        of("post", "/v1/agent/sandboxes/{id}/start", "startSandbox", "Bring a sandbox to life").json("The sandbox.", "Sandbox"),
        of("post", "/v1/agent/sandboxes/{id}/stop", "stopSandbox", "End every process of a sandbox; its files stay")
            .json("The sandbox.", "Sandbox"),
        of("post", "/v1/agent/sandboxes/{id}/exec", "execInSandbox", "Run a command")
            .takes(Body::Json("ExecRequest"))
            .answers(200, "What came of it.", Carries::JsonOrEvents("ExecResult"))
            .says(EVENTS),
        of("get", "/v1/agent/sandboxes/{id}/exec/stream", "talkToCommand", "Run a command and talk to it")
            .says(TALK)
            .answers(101, "The connection is a WebSocket now.", Carries::Nothing)
            .also(&[403, 426]),
        of("post", "/v1/agent/run", "run", "Make a sandbox, run a command in it, and destroy it")
            .takes(Body::Json("RunRequest"))
            .answers(200, "What came of it.", Carries::JsonOrEvents("ExecResult"))
            .says(EVENTS)
            .also(&[404]),
        of("put", "/v1/agent/sandboxes/{id}/rules", "setRules", "Put other rules in place")
            .takes(Body::Json("SetRules"))
            .json("The sandbox.", "Sandbox"),
        of("get", "/v1/agent/sandboxes/{id}/explain", "explainPath", "Which rule decides a path, and why")
            .asks(&["path"])
            .json("Why.", "Explanation"),
        of("put", "/v1/agent/sandboxes/{id}/expiry", "setExpiry", "Put the end of its life elsewhere")
            .takes(Body::Json("SetExpiry"))
            .json("The sandbox.", "Sandbox"),
    ]
}

fn changes() -> Vec<Operation> {
    vec![
        of("get", "/v1/agent/sandboxes/{id}/diff", "diffSandbox", "What was changed and not committed")
            .json("All of it, sorted by path.", "Changes")
            .also(&[409, 501]),
        of("post", "/v1/agent/sandboxes/{id}/commit", "commitSandbox", "Make a version of what was changed, all of it or nothing")
            .takes(Body::MaybeJson("Commit"))
            .json("The version, or that there was nothing to commit.", "Committed"),
        of("post", "/v1/agent/sandboxes/{id}/rollback", "rollbackSandbox", "Throw away what was changed")
            .takes(Body::MaybeJson("Rollback"))
            .json("The sandbox.", "Sandbox"),
        of("post", "/v1/agent/sandboxes/{id}/snapshots", "createSnapshot", "Copy what was changed").makes("The snapshot.", "Snapshot"),
        of("get", "/v1/agent/sandboxes/{id}/snapshots", "listSnapshots", "Snapshots of a sandbox")
            .asks(PAGES)
            .json("A page of them.", "Snapshots"),
        of("post", "/v1/agent/sandboxes/{id}/restore", "restoreSnapshot", "Put a snapshot in place of what was changed")
            .takes(Body::Json("Restore"))
            .json("The sandbox.", "Sandbox"),
        of("delete", "/v1/agent/snapshots/{id}", "deleteSnapshot", "Remove a snapshot").gone(),
        of("post", "/v1/agent/sandboxes/{id}/fork", "forkSandbox", "Make a second sandbox with the same files, rules and settings")
            .makes("The new sandbox, stopped.", "Sandbox"),
    ]
}

fn files() -> Vec<Operation> {
    let read = of("get", "/v1/agent/sandboxes/{id}/files/{path}", "readLiveFile", "A file of a running sandbox, as its commands see it");
    let read =
        read.answers(200, "Its bytes; `X-File-Mode` has its permission bits.", Carries::Bytes(OCTETS)).also(&[400, 403, 409, 416, 501]);
    vec![
        Operation { ranges: true, ..read },
        of("put", "/v1/agent/sandboxes/{id}/files/{path}", "writeLiveFile", "Write a file of a running sandbox, whole or not at all")
            .asks(&["mode"])
            .takes(Body::Bytes(OCTETS))
            .json("What was written.", "Written"),
        of("delete", "/v1/agent/sandboxes/{id}/files/{path}", "removeLiveFile", "Remove a file of a running sandbox")
            .asks(&["recursive"])
            .gone(),
        of("get", "/v1/agent/sandboxes/{id}/list", "listLiveFiles", "A directory of a running sandbox")
            .asks(&["path"])
            .json("The directory.", "Entries")
            .also(&[403, 409, 501]),
        of("get", "/v1/agent/sandboxes/{id}/watch", "watchLiveFiles", "What changes in a running sandbox")
            .asks(&["path"])
            .answers(200, "Server-sent events, each of shape `WatchEvent`, named by its kind.", Carries::Events)
            .also(&[403, 409, 501]),
    ]
}

fn sessions() -> Vec<Operation> {
    vec![
        of("post", "/v1/agent/sandboxes/{id}/sessions", "createSession", "Start a shell that lasts")
            .takes(Body::MaybeJson("NewSession"))
            .makes("The session.", "Session"),
        of("get", "/v1/agent/sandboxes/{id}/sessions", "listSessions", "Sessions of a sandbox, closed ones too")
            .asks(PAGES)
            .json("A page of them.", "Sessions"),
        of("get", "/v1/agent/sessions/{id}", "readSession", "A session").json("The session.", "Session"),
        of("delete", "/v1/agent/sessions/{id}", "destroySession", "End a session with everything its shell started").gone(),
        of("post", "/v1/agent/sessions/{id}/exec", "execInSession", "Run a command in a session's shell; one at a time")
            .takes(Body::Json("SessionExec"))
            .answers(200, "What came of it.", Carries::JsonOrEvents("ExecResult"))
            .says(EVENTS),
        of("get", "/v1/agent/sessions/{id}/terminal", "attachTerminal", "Take the terminal of a session")
            .says(TERMINAL)
            .answers(101, "The connection is a WebSocket now.", Carries::Nothing)
            .also(&[403, 409, 426]),
    ]
}

const TALK: &str = "A WebSocket. The first message is a `StreamedExec`; after it the client sends `ClientMessage`s as text, or standard input as \
    binary messages of at most 1 MiB. Back come events of shape `Event` as text, and then the close. Input that the command does not read holds \
    up the client, signals behind it too. A client that goes away ends its command.";

const TERMINAL: &str = "A WebSocket. Binary messages are bytes, both ways; text from the client is a `TerminalMessage`. When the shell has ended \
    comes `{\"exit\": {\"exit_code\": N}}` and the close. One holder at a time; who leaves detaches.";

fn server() -> Vec<Operation> {
    vec![
        of("get", "/v1/agent/images", "listImages", "Root file systems that can be named").json("All of them.", "Images"),
        of("get", "/v1/agent/presets", "listPresets", "Ready-made lists of rules").json("All of them.", "Presets"),
        of("get", "/v1/agent/openapi.json", "readDocument", "This document").answers(200, "OpenAPI 3.1.", Carries::AnyJson),
    ]
}
