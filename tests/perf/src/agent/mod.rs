//! P9: the agent face, over its own interface on a socket, by a client that does nothing but wait.
//!
//! The original's figures were recorded on the reference machine (interface dossier, sections 0 and 7.1) beside a bare start of `/bin/true`. Here
//! that program runs in turns with ours, and every figure is scaled by how much slower or faster it is now.

mod published;
mod size;

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::race::{Contender, Pace, Quartiles, Race, race};
use crate::server::{Client, Server};
use crate::setup::{Setup, ends_well};
use crate::table::{Bound, Figure, Row, Unit};

/// A bare start of `/bin/true` when the original was measured, milliseconds.
const TRUE: f64 = 0.5;
/// Files of the workspace that is read.
const FILES: usize = 2000;

/// Latency, rates, reads, and how long a look takes beside all that.
///
/// # Errors
/// When the server or a command fails.
pub fn lives(setup: &Setup, rounds: usize) -> Result<Vec<Row>> {
    let server = Server::start(
        setup,
        &["--set", "agent.grpc=", "--set", "agent.rest=", "--set", "agent.quota.sandboxes=10000", "--set", "agent.on-exit=destroy"],
    )?;
    let (mut rows, slowness) = latency(&server, rounds)?;
    rows.push(rate(&server, rounds, slowness)?);
    rows.push(reads(&server, setup, rounds)?);
    rows.push(looks(&server, slowness)?);
    rows.extend(idle(&server)?);
    rows.extend(size::grown(&server, setup)?);
    drop(server);
    rows.extend(published::calls(setup, rounds, setup.python.as_deref())?);
    Ok(rows)
}

fn is_well(answer: &Value) -> Result<()> {
    ensure!(answer["exit_code"] == 0, "{answer}");
    Ok(())
}

fn id(answer: &Value) -> Result<String> {
    Ok(answer["id"].as_str().with_context(|| format!("no id: {answer}"))?.to_owned())
}

/// A sandbox that runs.
fn running(client: &mut Client, fields: &Value) -> Result<String> {
    let sandbox = id(&client.request("POST", "/v1/agent/sandboxes", Some(fields))?)?;
    client.request("POST", &format!("/v1/agent/sandboxes/{sandbox}/start"), None)?;
    Ok(sandbox)
}

fn latency(server: &Server, rounds: usize) -> Result<(Vec<Row>, f64)> {
    const LIFE: &str = "one call: life";
    const EXEC: &str = "exec true";
    const SESSION: &str = "session: true";
    const BARE: &str = "bare /bin/true";
    let (mut life, mut exec, mut session) = (server.client()?, server.client()?, server.client()?);
    let sandbox = running(&mut exec, &json!({}))?;
    let shell = id(&session.request("POST", &format!("/v1/agent/sandboxes/{sandbox}/sessions"), Some(&json!({})))?)?;
    let (exec_path, session_path) = (format!("/v1/agent/sandboxes/{sandbox}/exec"), format!("/v1/agent/sessions/{shell}/exec"));
    let program = json!({"argv": ["/bin/true"]});
    let mut bare = Command::new("/bin/true");
    bare.stdin(Stdio::null()).stdout(Stdio::null());
    let mut contenders = [
        Contender::timed(LIFE, || is_well(&life.request("POST", "/v1/agent/run", Some(&program))?)),
        Contender::timed(EXEC, || is_well(&exec.request("POST", &exec_path, Some(&program))?)),
        Contender::timed(SESSION, || is_well(&session.request("POST", &session_path, Some(&json!({"command": "true"})))?)),
        Contender::timed(BARE, || ends_well(&mut bare)),
    ];
    let race = race(&mut contenders, Pace { warm_up: 20, rounds, rest: Duration::from_millis(3) })?;
    drop(contenders);
    let slowness = race.nanoseconds(BARE)?.median / 1e6 / TRUE;
    let rows = vec![
        scaled("create, start, exec true, destroy in one call", &race, LIFE, slowness, 1.2, 111.0)?,
        scaled("exec true", &race, EXEC, slowness, 0.9, 5.8)?,
        scaled("session exec true", &race, SESSION, slowness, 0.5, 10.9)?,
    ];
    session.request("DELETE", &format!("/v1/agent/sandboxes/{sandbox}"), None)?;
    Ok((rows, slowness))
}

/// A time on the reference machine.
fn scaled(what: &'static str, race: &Race, name: &str, slowness: f64, most: f64, original: f64) -> Result<Row> {
    let now = race.nanoseconds(name)?.map(|ns| ns / 1e6);
    let figure = Figure { name: name.to_owned(), unit: Unit::Milliseconds, value: now.map(|ms| ms / slowness) };
    let note = format!(
        "{:.2} ms as measured, scaled by {slowness:.2} (a bare true takes {:.2} ms); the original {original}",
        now.median,
        slowness * TRUE
    );
    Ok(Row::alone("P9", what, figure, Some(Bound::AtMost(most))).noting(note))
}

/// Whole lives a second at concurrency 8.
fn rate(server: &Server, rounds: usize, slowness: f64) -> Result<Row> {
    let (lives, next) = ((rounds * 10).clamp(200, 3000), AtomicUsize::new(0));
    let work = || -> Result<()> {
        let mut client = server.client()?;
        while next.fetch_add(1, Ordering::Relaxed) < lives {
            is_well(&client.request("POST", "/v1/agent/run", Some(&json!({"argv": ["/bin/true"]})))?)?;
        }
        Ok(())
    };
    let started = Instant::now();
    std::thread::scope(|scope| -> Result<()> {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
    })?;
    let rate = lives as f64 / started.elapsed().as_secs_f64();
    let figure = Figure::exactly("rate", Unit::PerSecond, rate * slowness);
    let note = format!("{rate:.0}/s as measured, of {lives}; the original 9.1");
    Ok(Row::alone("P9", "whole lives at concurrency 8", figure, Some(Bound::AtLeast(1000.0))).noting(note))
}

/// Walks, opens and reads every file below the current directory; prints nanoseconds.
const READER: &str = "import os,time\nt=time.perf_counter_ns()\nn=0\nfor d,_,fs in os.walk('.'):\n for f in fs:\n  with open(os.path.join(d,f),'rb') as o: n+=len(o.read())\n\
                      t=time.perf_counter_ns()-t\nassert n,n\nprint(t)";

/// A walk through the workspace against the same files outside.
fn reads(server: &Server, setup: &Setup, rounds: usize) -> Result<Row> {
    const INSIDE: &str = "workspace";
    const OUTSIDE: &str = "the same files, no sandbox";
    let place = setup.directory().join("walked");
    for number in 0..FILES {
        let directory = place.join((number % 20).to_string());
        std::fs::create_dir_all(&directory)?;
        std::fs::write(directory.join(number.to_string()), vec![b'x'; 4096])?;
    }
    let archive = Command::new("/usr/bin/tar").arg("-C").arg(&place).args(["-cf", "-", "."]).output()?;
    ensure!(archive.status.success(), "tar failed");
    let mut client = server.client()?;
    let codebase = id(&client.request("POST", "/v1/agent/codebases", Some(&json!({"name": "walked"})))?)?;
    client.send("PUT", &format!("/v1/agent/codebases/{codebase}/archive"), "application/x-tar", &archive.stdout)?;
    let sandbox = running(&mut client, &json!({"codebase_id": codebase, "preset": "agent-safe"}))?;
    let path = format!("/v1/agent/sandboxes/{sandbox}/exec");
    let reader = json!({"argv": ["/usr/bin/python3", "-S", "-c", READER]});
    let inside = || -> Result<f64> {
        let answer = client.request("POST", &path, Some(&reader))?;
        is_well(&answer)?;
        Ok(answer["stdout"]["data"].as_str().context("no output")?.trim().parse()?)
    };
    let outside = || -> Result<f64> {
        let output = Command::new("/usr/bin/python3").args(["-S", "-c", READER]).current_dir(&place).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    let mut contenders = [Contender::told(INSIDE, inside), Contender::told(OUTSIDE, outside)];
    let race = race(&mut contenders, Pace { warm_up: 3, rounds: rounds.div_ceil(10).max(5), rest: Duration::from_millis(5) })?;
    drop(contenders);
    let speed = race.ratio(OUTSIDE, INSIDE)?;
    let row = Row::times("P9", "walk, open and read 2000 files of 4 KiB: speed against native", &race, [INSIDE, OUTSIDE], None)?;
    Ok(row.against(speed, Bound::AtLeast(0.8)))
}

/// How long a look takes (99th percentile) while 100 sandboxes are made and destroyed.
fn looks(server: &Server, slowness: f64) -> Result<Row> {
    let mut client = server.client()?;
    let sandbox = running(&mut client, &json!({}))?;
    let (path, done) = (format!("/v1/agent/sandboxes/{sandbox}"), AtomicBool::new(false));
    let mut took = Vec::new();
    std::thread::scope(|scope| -> Result<()> {
        let churn = scope.spawn(|| -> Result<()> {
            let made = (|| {
                let mut client = server.client()?;
                let made = (0..100).map(|_| running(&mut client, &json!({}))).collect::<Result<Vec<_>>>()?;
                made.iter().try_for_each(|sandbox| client.request("DELETE", &format!("/v1/agent/sandboxes/{sandbox}"), None).map(drop))
            })();
            done.store(true, Ordering::Release);
            made
        });
        while !done.load(Ordering::Acquire) {
            let started = Instant::now();
            client.request("GET", &path, None)?;
            took.push(started.elapsed().as_secs_f64() * 1e3);
            std::thread::sleep(Duration::from_micros(500));
        }
        churn.join().map_err(|_| anyhow::anyhow!("a client panicked"))?
    })?;
    client.request("DELETE", &path, None)?;
    took.sort_by(f64::total_cmp);
    let (median, slow) = (Quartiles::of(&took).median, took[took.len() * 99 / 100]);
    let figure = Figure::exactly("p99", Unit::Milliseconds, slow / slowness);
    let note = format!("of {} looks; median {median:.2} ms, p99 {slow:.2} ms as measured", took.len());
    Ok(Row::alone("P9", "a look at a sandbox while 100 are made and destroyed", figure, Some(Bound::AtMost(5.0))).noting(note))
}

/// Memory of the host for each of 100 sandboxes with an idle shell, and what of it is counted as whose.
fn idle(server: &Server) -> Result<Vec<Row>> {
    const MANY: usize = 100;
    let mut client = server.client()?;
    let (before, was) = (available()?, proportional()?);
    let mut made = Vec::new();
    for _ in 0..MANY {
        let sandbox = running(&mut client, &json!({}))?;
        client.request("POST", &format!("/v1/agent/sandboxes/{sandbox}/sessions"), Some(&json!({})))?;
        made.push(sandbox);
    }
    let each = |now: f64, was: f64| (now - was) / MANY as f64;
    let (cost, now) = (each(before, available()?), proportional()?);
    let (shell, rest) = (each(now.0, was.0), each(now.1, was.1));
    for sandbox in made {
        client.request("DELETE", &format!("/v1/agent/sandboxes/{sandbox}"), None)?;
    }
    let row = |what, kibibytes| Row::alone("P9", what, Figure::exactly("each", Unit::Kibibytes, kibibytes), None);
    Ok(vec![
        row("an idle sandbox with a shell: the host's memory", cost),
        row("an idle sandbox: proportional memory of its init and its slot, without the shell", rest),
        row("the same with the shell", rest + shell),
    ])
}

/// Proportional memory, KiB, of what is in a pid namespace below ours: of shells, and of everything else (proc_pid_smaps(5), `Pss`).
fn proportional() -> Result<(f64, f64)> {
    let (mut shells, mut others) = (0.0, 0.0);
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let field = |text: &str, name: &str| text.lines().find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()));
        // What has ended meanwhile has no memory.
        let levels = field(&read("status"), "NSpid:").unwrap_or_default();
        if levels.split_whitespace().count() < 2 {
            continue;
        }
        let pss = field(&read("smaps_rollup"), "Pss:").and_then(|text| text.trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0);
        if read("comm").trim() == "sh" { shells += pss } else { others += pss }
    }
    Ok((shells, others))
}

/// Memory that the host could give, KiB.
fn available() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:")).context("no MemAvailable")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
