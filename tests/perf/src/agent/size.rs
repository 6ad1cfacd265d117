//! What grows with a project: setting up a workspace with the number of its files and rules, committing with the size of the change.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{id, is_well, running};
use crate::race::Quartiles;
use crate::server::{Client, Server};
use crate::setup::Setup;
use crate::table::{Figure, Row, Unit};

/// How often each is done.
const TIMES: usize = 15;
const FILES: [usize; 3] = [100, 2000, 10_000];
/// Of the codebase of 2 000 files.
const RULES: [usize; 4] = [0, 10, 100, 1000];
const CHANGES: [usize; 3] = [1, 100, 1000];

/// A row for each size.
///
/// # Errors
/// When the server or a command fails.
pub fn grown(server: &Server, setup: &Setup) -> Result<Vec<Row>> {
    let mut client = server.client()?;
    let mut rows = Vec::new();
    for files in FILES {
        let codebase = codebase(&mut client, setup, files)?;
        rows.push(start(
            &mut client,
            &format!("start on {files} files, preset agent-safe"),
            &json!({"codebase_id": codebase, "preset": "agent-safe"}),
        )?);
        if files == 2000 {
            for rules in RULES {
                let rule = |number| json!({"pattern": format!("{}/{number}*", number % 20), "level": "view", "priority": number});
                let rules: Vec<Value> = (0..rules).map(rule).collect();
                let sandbox = json!({"codebase_id": codebase, "preset": "development", "rules": rules});
                rows.push(start(&mut client, &format!("start on 2000 files, {} rules", rules.len()), &sandbox)?);
            }
            for changed in CHANGES {
                rows.push(commit(&mut client, &codebase, changed)?);
            }
        }
    }
    Ok(rows)
}

fn codebase(client: &mut Client, setup: &Setup, files: usize) -> Result<String> {
    let place = setup.directory().join(format!("sized-{files}"));
    for number in 0..files {
        let directory = place.join((number % 20).to_string());
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(number.to_string()), format!("{number}\n"))?;
    }
    let archive = Command::new("/usr/bin/tar").arg("-C").arg(&place).args(["-cf", "-", "."]).output()?;
    ensure!(archive.status.success(), "tar failed");
    let codebase = id(&client.request("POST", "/v1/agent/codebases", Some(&json!({"name": format!("sized-{files}")})))?)?;
    client.send("PUT", &format!("/v1/agent/codebases/{codebase}/archive"), "application/x-tar", &archive.stdout)?;
    Ok(codebase)
}

/// From a sandbox that is there to one that runs.
fn start(client: &mut Client, what: &str, fields: &Value) -> Result<Row> {
    let mut took = Vec::new();
    for _ in 0..TIMES {
        let sandbox = id(&client.request("POST", "/v1/agent/sandboxes", Some(fields))?)?;
        let path = format!("/v1/agent/sandboxes/{sandbox}/start");
        took.push(timed(|| client.request("POST", &path, None).map(drop))?);
        client.request("DELETE", &format!("/v1/agent/sandboxes/{sandbox}"), None)?;
    }
    Ok(row(what, &took))
}

/// Files of 4 KiB that a command has written, taken over into the codebase.
fn commit(client: &mut Client, codebase: &str, changed: usize) -> Result<Row> {
    let mut took = Vec::new();
    for turn in 0..TIMES {
        let sandbox = running(client, &json!({"codebase_id": codebase, "preset": "development"}))?;
        let write = format!("mkdir -p made; for i in $(seq {changed}); do head -c 4096 /dev/zero | tr '\\0' {} > made/$i; done", turn % 10);
        is_well(&client.request("POST", &format!("/v1/agent/sandboxes/{sandbox}/exec"), Some(&json!({"command": write})))?)?;
        let path = format!("/v1/agent/sandboxes/{sandbox}/commit");
        took.push(timed(|| client.request("POST", &path, Some(&json!({}))).map(drop))?);
        client.request("DELETE", &format!("/v1/agent/sandboxes/{sandbox}"), None)?;
    }
    Ok(row(&format!("commit {changed} changed files of 4 KiB"), &took))
}

fn timed(act: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    act().map(|()| started.elapsed())
}

fn row(what: &str, took: &[Duration]) -> Row {
    let took: Vec<f64> = took.iter().map(|took| took.as_secs_f64() * 1e3).collect();
    Row::alone("P9", what, Figure { name: "as measured".to_owned(), unit: Unit::Milliseconds, value: Quartiles::of(&took) }, None)
}
