//! P8: what the judge measures of honest programs, alone and beside hostile ones, in turns.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::race::Quartiles;
use crate::server::{Server, at_once};
use crate::table::{Bound, Figure, Row, Unit};

/// Times that all honest jobs are run without and with hostile ones beside them.
const TURNS: usize = 7;
/// Honest clients at once.
const CLIENTS: usize = 4;
/// What is promised of both times: within a tenth.
const MOST: f64 = 1.1;

/// One client each, over and over.
const HOSTILE: [&str; 4] = [
    "import os\nwhile True:\n try:\n  if os.fork() == 0:\n   while True: pass\n except OSError: pass",
    "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "while True: print('y' * 65536)",
    "i = 0\nwhile True:\n open(str(i), 'w').write('x' * 4096)\n i += 1",
];

/// What was measured of one job, microseconds: CPU time and wall time.
type Times = [f64; 2];

/// Both times of honest Python jobs, beside hostile jobs against alone.
///
/// # Errors
/// When a job fails, or an honest one is not answered as it must be.
pub fn hostile(server: &Server, rounds: usize) -> Result<Vec<Row>> {
    let jobs = (rounds / 8).clamp(CLIENTS, 40);
    honest(server, CLIENTS)?;
    let mut turns: [Vec<[f64; 2]>; 2] = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        let alone = medians(&honest(server, jobs)?);
        let beside = medians(&beside_hostile(server, jobs)?);
        turns.iter_mut().zip(alone.into_iter().zip(beside)).for_each(|(turns, (alone, beside))| turns.push([beside, alone]));
    }
    let whats = ["python jobs' CPU time, beside hostile jobs", "python jobs' wall time, beside hostile jobs"];
    Ok(whats.into_iter().zip(&turns).map(|(what, turns)| row(what, turns, jobs)).collect())
}

fn row(what: &'static str, turns: &[[f64; 2]], jobs: usize) -> Row {
    let of = |value: fn(&[f64; 2]) -> f64| Quartiles::of(&turns.iter().map(value).collect::<Vec<_>>());
    let figure = |name: &str, value| Figure { name: name.to_owned(), unit: Unit::Milliseconds, value };
    let mut row = Row::alone("P8", what, figure("beside", of(|[beside, _]| beside / 1e3)), None);
    row.b = Some(figure("alone", of(|[_, alone]| alone / 1e3)));
    let note = format!("medians of {jobs} jobs each, {} times; {CLIENTS} honest clients, {} hostile ones", turns.len(), HOSTILE.len());
    row.against(of(|[beside, alone]| beside / alone), Bound::AtMost(MOST)).noting(note)
}

fn medians(times: &[Times]) -> Times {
    [0, 1].map(|which| Quartiles::of(&times.iter().map(|both| both[which]).collect::<Vec<_>>()).median)
}

fn honest(server: &Server, jobs: usize) -> Result<Vec<Times>> {
    let next = AtomicUsize::new(0);
    let work = || -> Result<Vec<Times>> {
        let mut client = server.client()?;
        let mut times = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= jobs {
                return Ok(times);
            }
            let source = format!("print(sum(i * i for i in range(200_000)) + {number})");
            let answer = client.request("POST", "/v1/runs", Some(&json!({"language": "python", "source": source, "tests": [{}]})))?;
            let step = &answer["tests"][0]["run"];
            ensure!(answer["verdict"] == "OK" && printed(step) == expected(number), "job {number}: {answer}");
            let microseconds = |name: &str| step[name].as_f64().with_context(|| format!("no {name}: {answer}"));
            times.push([microseconds("cpu_us")?, microseconds("wall_us")?]);
        }
    };
    at_once(CLIENTS, work)
}

fn printed(step: &Value) -> &str {
    step["stdout"]["data"].as_str().unwrap_or_default().trim()
}

fn expected(number: usize) -> String {
    ((0..200_000u64).map(|i| i * i).sum::<u64>() + number as u64).to_string()
}

fn beside_hostile(server: &Server, jobs: usize) -> Result<Vec<Times>> {
    let stop = AtomicBool::new(false);
    let limits =
        json!({"cpu_ms": 200, "wall_ms": 500, "memory_bytes": 64 << 20, "processes": 20, "output_bytes": 1 << 20, "disk_bytes": 16 << 20});
    let attack = |source: &str| -> Result<()> {
        let mut client = server.client()?;
        let job = json!({"language": "python", "source": source, "run": {"limits": limits}, "tests": [{}]});
        while !stop.load(Ordering::Relaxed) {
            let answer = client.request("POST", "/v1/runs", Some(&job))?;
            ensure!(answer["verdict"] != "OK" && answer["verdict"] != "INTERNAL_ERROR", "{source}: {answer}");
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let attackers: Vec<_> = HOSTILE.iter().map(|source| scope.spawn(|| attack(source))).collect();
        // For all of them to be under way.
        std::thread::sleep(std::time::Duration::from_millis(300));
        let times = honest(server, jobs);
        stop.store(true, Ordering::Relaxed);
        for attacker in attackers {
            attacker.join().map_err(|_| anyhow::anyhow!("an attacker panicked"))??;
        }
        times
    })
}
