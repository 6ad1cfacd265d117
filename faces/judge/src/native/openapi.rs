//! The OpenAPI document: shapes from the wire types, addresses from the table here. It is checked in as `openapi.json`; a test compares
//! them, and another that every address of the document is served and no other.

mod examples;
mod table;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::problem::{MEDIA_TYPE, Problem};
use super::wire;
use examples::examples;
use table::{Carries, Operation, operations};

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

fn answer(status: u16, description: &str, carries: &Carries) -> Value {
    let mut answer = json!({ "description": description });
    match carries {
        Carries::Nothing => {}
        Carries::Json(name) => answer["content"] = json!({"application/json": {"schema": reference(name)}}),
        Carries::AnyJson => answer["content"] = json!({"application/json": {"schema": {"type": "object"}}}),
        Carries::JsonOrEvents(name) => {
            answer["content"] =
                json!({"application/json": {"schema": reference(name)}, "text/event-stream": {"schema": {"type": "string"}}});
        }
    }
    if status == 202 {
        answer["headers"] = json!({"Location": {"description": "Where it is read.", "schema": {"type": "string"}}});
    }
    if let Carries::Json(name) = carries {
        let links = links(name);
        if !links.is_empty() {
            answer["links"] = links.into();
        }
    }
    answer
}

/// What can be done with the tokens of an answer.
fn links(shape: &str) -> Map<String, Value> {
    let (token, run) = ("$response.body#/token", "$response.body#/runs/0/token");
    let found: &[(&str, &str)] = match shape {
        "Accepted" => &[("readRun", token), ("cancelRun", token), ("deleteRun", token)],
        "BatchAccepted" => &[("readBatch", token), ("deleteBatch", token), ("readRun", run), ("cancelRun", run), ("deleteRun", run)],
        _ => &[],
    };
    let link = |(id, place): &(&str, &str)| ((*id).to_owned(), json!({"operationId": id, "parameters": {"token": place}}));
    found.iter().map(link).collect()
}

fn problem(status: u16) -> Value {
    let description = match status {
        400 => "The request cannot be read: no JSON, or a field that is missing, unknown, of a wrong type or out of bounds.",
        401 => "A key is needed, or this one is not known.",
        403 => "Pages of other sites may not connect.",
        404 => "There is no such thing, or it belongs to another key.",
        408 => "The body came too slowly.",
        413 => "The body is too large.",
        415 => "The body does not say that it is JSON.",
        422 => "The request can be read, but not carried out: a language that is not here, a limit beyond what is allowed.",
        426 => "This address speaks WebSocket only.",
        429 => "This key's quota or share of the queue is used up.",
        503 => "The queue is full, or the server is shutting down.",
        _ => "The server failed.",
    };
    let mut answer = json!({"description": description, "content": {MEDIA_TYPE: {"schema": reference("Problem")}}});
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
    for (status, description, carries) in std::iter::once(&operation.answer).chain(&operation.also) {
        responses.insert(status.to_string(), answer(*status, description, carries));
    }
    for status in operation.problems {
        responses.insert(status.to_string(), problem(*status));
    }
    let mut value = json!({"operationId": operation.id, "summary": operation.summary, "responses": responses});
    if !operation.description.is_empty() {
        value["description"] = operation.description.into();
    }
    if !operation.parameters.is_empty() {
        value["parameters"] = operation.parameters.clone().into();
    }
    if let Some(name) = operation.body {
        let content = json!({"schema": reference(name), "examples": examples(name)});
        value["requestBody"] = json!({"required": true, "content": {"application/json": content}});
    }
    value
}

/// A shape and all that it names.
fn collect<T: ToSchema + PartialSchema>(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((T::name().into_owned(), T::schema()));
    T::schemas(schemas);
}

fn schemas() -> Map<String, Value> {
    let mut found = Vec::new();
    collect::<wire::RunRequest>(&mut found);
    collect::<wire::BatchRequest>(&mut found);
    collect::<wire::RunResult>(&mut found);
    collect::<wire::Accepted>(&mut found);
    collect::<wire::BatchAccepted>(&mut found);
    collect::<wire::RunRecord>(&mut found);
    collect::<wire::BatchRecord>(&mut found);
    collect::<wire::Languages>(&mut found);
    collect::<wire::Info>(&mut found);
    collect::<wire::Event>(&mut found);
    collect::<wire::ClientMessage>(&mut found);
    collect::<Problem>(&mut found);
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
            "title": "Enclos judge",
            "version": "1",
            "description": "Compiles and runs programs that nobody trusts: confined, limited and measured. Unknown fields are refused. \
                Errors are problem documents (RFC 9457).",
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
        assert!(stored == text(), "openapi.json is not current: ENCLOS_BLESS=1 cargo test -p enclos-judge openapi writes it");
    }

    #[test]
    fn every_shape_that_is_named_is_there() {
        let document = document();
        let mut named = Vec::new();
        references(&document, &mut named);
        assert!(named.len() > 50);
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
    fn the_examples_are_requests() {
        for value in examples("RunRequest").as_object().unwrap().values() {
            let request = super::super::decode::json(value["value"].to_string().as_bytes()).unwrap();
            super::super::build::job(request).unwrap();
        }
        let batch = examples("BatchRequest")["two"]["value"].to_string();
        super::super::decode::json::<wire::BatchRequest>(batch.as_bytes()).unwrap();
    }

    #[test]
    fn every_link_leads_to_an_operation() {
        let known: Vec<&str> = operations().iter().map(|operation| operation.id).collect();
        for shape in ["Accepted", "BatchAccepted"] {
            let links = links(shape);
            assert!(!links.is_empty() && links.keys().all(|id| known.contains(&id.as_str())), "{links:?}");
        }
    }

    #[test]
    fn shapes_of_requests_are_closed() {
        let schemas = schemas();
        for name in [
            "RunRequest",
            "BatchRequest",
            "Source",
            "File",
            "CompileOptions",
            "RunOptions",
            "Limits",
            "Test",
            "Checker",
            "Program",
            "Callback",
        ] {
            assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
        }
    }
}
