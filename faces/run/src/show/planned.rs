//! `--explain`: the command, its limits and surroundings, and then the plan itself.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use enclos_sandbox::plan::{By, Planned, Resolved};

use super::plan;
use crate::text::look::{Tone, tame};
use crate::text::{Grid, Look, units};

/// Everything that would be done.
pub fn render(planned: &Planned, command: &[OsString], notes: &[String], look: Look) -> String {
    let mut out = String::new();
    for (title, grid) in [("Command", start(planned, command)), ("Limits", limits(&planned.limits))] {
        if !grid.is_empty() {
            out += &format!("{}\n{}\n", look.paint(Tone::Heading, title), grid.render(2, look));
        }
    }
    out += &plan::render(&planned.plan, look);
    let mut remarks = Grid::new();
    for line in &planned.weakened {
        remarks.row().toned(Tone::Warn, "weaker").cell(tame(line));
    }
    for line in notes {
        remarks.row().toned(Tone::Dim, "note").cell(tame(line));
    }
    if !remarks.is_empty() {
        out.push('\n');
        out += &remarks.render(0, look);
    }
    out
}

/// `NAME=VALUE`.
pub fn assignment(name: &OsStr, value: &OsStr) -> String {
    format!("{}={}", name.to_string_lossy(), value.to_string_lossy())
}

fn start(planned: &Planned, command: &[OsString]) -> Grid {
    let mut grid = Grid::new();
    let words: Vec<String> = command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    grid.row().cell("words").cell(tame(&words.join(" ")));
    let mut title = "starts in";
    for directory in &planned.directories {
        grid.row().cell(std::mem::replace(&mut title, "or else")).cell(tame(&directory.display().to_string()));
    }
    let mut title = "environment";
    for (name, value) in &planned.environment {
        grid.row().cell(std::mem::take(&mut title)).cell(tame(&assignment(name, value)));
    }
    grid.row().cell("on the host").cell(tame(&planned.identity));
    grid
}

fn limits(limits: &Resolved) -> Grid {
    let mut grid = Grid::new();
    let span = |span: Duration| units::human(u64::try_from(span.as_micros()).unwrap_or(u64::MAX), "us");
    for (name, limit) in [("wall", limits.wall), ("idle", limits.idle), ("cpu", limits.cpu)] {
        if let Some(limit) = limit {
            grid.row().cell(name).number(span(limit)).toned(Tone::Dim, "held by the watch");
        }
    }
    for (name, hold, unit, rlimit) in
        [("memory", limits.memory, "bytes", "RLIMIT_AS"), ("processes", limits.processes, "count", "RLIMIT_NPROC")]
    {
        if let Some(hold) = hold {
            let by = match hold.by {
                By::Cgroup => "held by the control group",
                By::Rlimit => rlimit,
            };
            grid.row().cell(name).number(units::human(hold.value, unit)).toned(Tone::Dim, by);
        }
    }
    for (name, value, unit, by) in [
        ("disk", limits.disk, "bytes", "size of the private tmpfs"),
        ("inodes", limits.inodes, "count", "files of the private tmpfs"),
        ("output", limits.output, "bytes", "held by the watch, each stream"),
        ("file-size", limits.file_size, "bytes", "RLIMIT_FSIZE"),
    ] {
        if let Some(value) = value {
            grid.row().cell(name).number(units::human(value, unit)).toned(Tone::Dim, by);
        }
    }
    grid
}
