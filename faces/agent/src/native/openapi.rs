//! The OpenAPI document: shapes from the wire types, addresses from the table here. It is checked in as `openapi.json`; a test compares
//! them, and another that every address of the document is served and no other.

mod examples;
mod table;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::wire;
use examples::examples;
use table::{Body, Carries, Operation, operations};

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let mut text = serde_json::to_string_pretty(&document()).unwrap_or_default();
    text.push('\n');
    text
});

/// The document, as it is served and checked in.
#[must_use]
pub fn text() -> &'static str {
    &TEXT
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn answer(operation: &Operation) -> Value {
    let (status, description, carries) = &operation.answer;
    let mut answer = json!({ "description": description });
    match carries {
        Carries::Nothing => {}
        Carries::Json(name) => answer["content"] = json!({"application/json": {"schema": reference(name)}}),
        Carries::AnyJson => answer["content"] = json!({"application/json": {"schema": {"type": "object"}}}),
        Carries::Events => answer["content"] = json!({"text/event-stream": {"schema": {"type": "string"}}}),
        Carries::JsonOrEvents(name) => {
            answer["content"] =
                json!({"application/json": {"schema": reference(name)}, "text/event-stream": {"schema": {"type": "string"}}});
        }
        Carries::Bytes(kind) => answer["content"] = json!({*kind: {"schema": {"type": "string", "format": "binary"}}}),
    }
    if *status == 201 {
        answer["headers"] = json!({"Location": {"description": "Where it is read.", "schema": {"type": "string"}}});
        answer["links"] = links(operation.id).into();
    }
    answer
}

/// What can be done with the id of what was made.
fn links(id: &str) -> Map<String, Value> {
    let found: &[&str] = match id {
        "createCodebase" => &["readCodebase", "listVersions", "listTree", "uploadFile", "downloadFile", "deleteCodebase"],
        "createSandbox" | "forkSandbox" => {
            &["readSandbox", "startSandbox", "execInSandbox", "diffSandbox", "createSession", "destroySandbox"]
        }
        "createSnapshot" => &["deleteSnapshot"],
        "createSession" => &["readSession", "execInSession", "destroySession"],
        _ => &[],
    };
    found.iter().map(|id| ((*id).to_owned(), json!({"operationId": id, "parameters": {"id": "$response.body#/id"}}))).collect()
}

fn problem(status: u16) -> Value {
    let description = match status {
        400 => "The request cannot be read, or a field is missing, unknown, of a wrong type, out of bounds or makes no sense.",
        401 => "A key is needed, or this one is not known.",
        403 => "The rules or the kernel refuse it; or a page of another site wants to connect.",
        404 => "There is no such thing, or it belongs to another key.",
        408 => "The body came too slowly.",
        409 => "Not as things stand now; the code says how they stand.",
        413 => "The body is too large.",
        415 => "The body does not say that it is JSON.",
        416 => "None of the range is in the file.",
        426 => "This address speaks WebSocket only.",
        429 => "A quota is used up.",
        501 => "This host or this configuration cannot do it.",
        503 => "The server is full or ending.",
        504 => "It was not done in time.",
        _ => "The server failed.",
    };
    let mut answer = json!({"description": description, "content": {"application/json": {"schema": reference("ErrorBody")}}});
    if matches!(status, 429 | 503) {
        answer["headers"] = json!({"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}});
    }
    if status == 401 {
        answer["headers"] = json!({"WWW-Authenticate": {"description": "`Bearer`.", "schema": {"type": "string"}}});
    }
    answer
}

fn operation(operation: &Operation) -> Value {
    let mut responses = Map::new();
    responses.insert(operation.answer.0.to_string(), answer(operation));
    if operation.answer.0 == 200 && operation.ranges {
        responses.insert("206".to_owned(), {
            let mut part = answer(operation);
            part["description"] = "The range that was asked for.".into();
            part
        });
    }
    for status in operation.problems() {
        responses.insert(status.to_string(), problem(status));
    }
    let mut value = json!({"operationId": operation.id, "summary": operation.summary, "responses": responses});
    if !operation.description.is_empty() {
        value["description"] = operation.description.into();
    }
    let parameters = operation.parameters();
    if !parameters.is_empty() {
        value["parameters"] = parameters.into();
    }
    match operation.body {
        Body::None => {}
        Body::Json(name) | Body::MaybeJson(name) => {
            let content = json!({"schema": reference(name), "examples": examples(name)});
            value["requestBody"] = json!({"required": matches!(operation.body, Body::Json(_)), "content": {"application/json": content}});
        }
        Body::Bytes(kind) => {
            value["requestBody"] = json!({"required": true, "content": {kind: {"schema": {"type": "string", "format": "binary"}}}});
        }
    }
    value
}

/// A shape and all that it names.
fn collect<T: ToSchema + PartialSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

macro_rules! collect {
    ($found:expr, $($type:ident),+ $(,)?) => { $(collect::<wire::$type>($found);)+ };
}

fn schemas() -> Map<String, Value> {
    let mut found = Vec::new();
    collect!(
        &mut found,
        NewCodebase,
        NewSandbox,
        SetRules,
        SetExpiry,
        ExecRequest,
        RunRequest,
        SessionExec,
        NewSession,
        Commit,
        Rollback,
        Restore,
        TerminalMessage,
        StreamedExec,
        ClientMessage,
        Codebase,
        Codebases,
        Version,
        Versions,
        Tree,
        Uploaded,
        Written,
        Sandbox,
        Sandboxes,
        Explanation,
        Changes,
        Committed,
        Snapshot,
        Snapshots,
        Session,
        Sessions,
        Entries,
        WatchEvent,
        Images,
        Presets,
        ExecResult,
        Event,
        ErrorBody,
    );
    found.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default())).collect()
}

/// The document.
#[must_use]
pub fn document() -> Value {
    let mut paths = Map::new();
    for given in operations() {
        let path = paths.entry(given.path).or_insert_with(|| json!({}));
        path[given.method] = operation(&given);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Enclos agent",
            "version": "1",
            "description": "Sandboxes that live, hold a workspace, run commands and shells, and whose changes are looked at, kept or thrown \
                away. Unknown fields are refused. Spans of time are seconds or text like \"30s\", sizes bytes or text like \"512MiB\".",
            "license": {"name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0"},
        },
        "security": [{}, {"bearer": []}, {"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "Where the server has keys."},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
            },
            "schemas": schemas(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where the document is checked in.
    const PLACE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

    #[test]
    fn the_document_that_is_checked_in_is_current() {
        if std::env::var_os("ENCLOS_BLESS").is_some() {
            std::fs::write(PLACE, text()).unwrap();
        }
        let stored = std::fs::read_to_string(PLACE).unwrap_or_default();
        assert!(stored == text(), "openapi.json is not current: ENCLOS_BLESS=1 cargo test -p enclos-agent openapi writes it");
    }

    #[test]
    fn every_shape_that_is_named_is_there() {
        let document = document();
        let mut named = Vec::new();
        references(&document, &mut named);
        assert!(named.len() > 100);
        for name in named {
            assert!(document.pointer(name.trim_start_matches('#')).is_some(), "{name}");
        }
    }

    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_link_leads_to_an_operation() {
        let operations = operations();
        let known: Vec<&str> = operations.iter().map(|operation| operation.id).collect();
        for operation in operations.iter().filter(|operation| operation.answer.0 == 201) {
            let links = links(operation.id);
            assert!(!links.is_empty() && links.keys().all(|id| known.contains(&id.as_str())), "{links:?}");
        }
    }

    #[test]
    fn shapes_of_requests_are_closed() {
        let schemas = schemas();
        let bodies = operations().into_iter().filter_map(|operation| match operation.body {
            Body::Json(name) | Body::MaybeJson(name) => Some(name),
            _ => None,
        });
        for name in bodies.chain(["Rule", "Resources", "Size", "TerminalMessage", "StreamedExec"]) {
            assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
        }
    }
}
