//! The summary of a run, on stderr.

use enclos_spec::{Figure, Layer, LayerState, LimitReport, Report, Verdict};

use serde::Serialize;

use crate::text::look::{Tone, tame};
use crate::text::wrap::wrap;
use crate::text::{Grid, Look, units};

const BAR: usize = 10;

/// The summary: verdict, evidence, figures, limits, layers, and what is weaker than asked. `notes` are decisions of this face.
pub fn render(report: &Report, notes: &[String], look: Look) -> String {
    let mut out = headline(report, look);
    if let Some(evidence) = &report.evidence {
        out += &format!("  {}\n", tame(evidence));
    }
    for grid in [figures(report), limits(report, look), layers(report), remarks(report, notes)].iter().filter(|grid| !grid.is_empty()) {
        out.push('\n');
        out += &grid.render(2, look);
    }
    out
}

/// The document: the report, and the notes of this face as `notes`.
pub fn json(report: &Report, notes: &[String]) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        schema: u32,
        verdict: Verdict,
        exit_code: Option<i32>,
        signal: Option<i32>,
        evidence: &'a Option<String>,
        figures: &'a [Figure],
        limits: &'a [LimitReport],
        layers: &'a [Layer],
        weakened: &'a [String],
        notes: &'a [String],
    }
    // Taken apart in full: a field that is added to the report does not compile until it stands here.
    let Report { schema, verdict, exit_code, signal, evidence, figures, limits, layers, weakened } = report;
    let (schema, verdict, exit_code, signal) = (*schema, *verdict, *exit_code, *signal);
    let document = Document { schema, verdict, exit_code, signal, evidence, figures, limits, layers, weakened, notes };
    super::json(&document)
}

fn headline(report: &Report, look: Look) -> String {
    let tone = match report.verdict {
        Verdict::Ok => Tone::Good,
        Verdict::RuntimeError | Verdict::Signaled => Tone::Warn,
        _ => Tone::Bad,
    };
    let how = match (report.signal, report.exit_code) {
        (Some(signal), _) => match enclos_spec::signal::name(signal) {
            Some(name) => format!(", ended by signal {signal} ({name})"),
            None => format!(", ended by signal {signal}"),
        },
        (None, Some(code)) => format!(", exit status {code}"),
        (None, None) => String::new(),
    };
    format!("{} {}{how}\n", look.paint(Tone::Heading, "enclos:"), look.paint(tone, report.verdict.as_str()))
}

/// What was used. A figure of zero says nothing here (it stands in the JSON), but that a run took no time would be strange to leave out.
fn figures(report: &Report) -> Grid {
    let mut grid = Grid::new();
    if report.figures.is_empty() {
        return grid;
    }
    grid.row().toned(Tone::Heading, "used").toned(Tone::Heading, "").toned(Tone::Heading, "read from");
    for figure in report.figures.iter().filter(|figure| figure.value > 0 || ["wall", "cpu"].contains(&figure.name.as_str())) {
        grid.row().cell(&figure.name).number(units::human(figure.value, &figure.unit)).toned(Tone::Dim, &figure.source);
    }
    grid
}

fn limits(report: &Report, look: Look) -> Grid {
    let mut grid = Grid::new();
    if report.limits.is_empty() {
        return grid;
    }
    grid.row();
    for title in ["limit", "", "used", "", "", "enforced by"] {
        grid.toned(Tone::Heading, title);
    }
    for limit in &report.limits {
        let used = measured(report, limit).map(|figure| (figure, units::percent(figure.value, limit.value)));
        let tone = match (limit.hit, used) {
            (true, _) => Tone::Bad,
            (false, Some((_, 80..))) => Tone::Warn,
            _ => Tone::Plain,
        };
        grid.row().toned(tone, &limit.name).number(units::human(limit.value, &limit.unit));
        match used {
            Some((figure, percent)) => {
                grid.number(units::human(figure.value, &figure.unit)).number(format!("{percent}%")).toned(tone, bar(percent, look))
            }
            None => grid.cell("").cell("").cell(""),
        };
        let enforcer = if limit.hit { format!("{}  <- reached", limit.enforcer) } else { limit.enforcer.clone() };
        grid.toned(if limit.hit { Tone::Bad } else { Tone::Dim }, enforcer);
    }
    grid
}

/// The figure that a limit bounds: of its own name, of its name and `-peak`, or else the one its meter read; of several (the streams), the fullest.
fn measured<'a>(report: &'a Report, limit: &LimitReport) -> Option<&'a Figure> {
    let of_unit = || report.figures.iter().filter(|figure| figure.unit == limit.unit);
    let peak = format!("{}-peak", limit.name);
    let named = of_unit().find(|figure| figure.name == limit.name || figure.name == peak);
    named.or_else(|| of_unit().filter(|figure| figure.source == limit.meter).max_by_key(|figure| figure.value))
}

fn bar(percent: u64, look: Look) -> String {
    let full = usize::try_from(percent.min(100)).unwrap_or(100) * BAR / 100;
    let (on, off) = if look.colour { ("■", "·") } else { ("#", ".") };
    on.repeat(full) + &off.repeat(BAR - full)
}

/// Layers in force by name only; the others one by one, with the detail that says why.
fn layers(report: &Report) -> Grid {
    let mut grid = Grid::new();
    let of = |state| report.layers.iter().filter(move |layer: &&Layer| layer.state == state);
    let active: Vec<&str> = of(LayerState::Active).map(|layer| layer.name.as_str()).collect();
    let mut title = "active";
    for line in wrap(&active.join(", "), 84) {
        grid.row().toned(Tone::Good, std::mem::take(&mut title)).cell(line);
    }
    for (state, title, tone) in
        [(LayerState::Weakened, "weakened", Tone::Warn), (LayerState::Off, "off", Tone::Warn), (LayerState::Missing, "missing", Tone::Bad)]
    {
        for layer in of(state) {
            let detail = if layer.detail.is_empty() { String::new() } else { format!(": {}", tame(&layer.detail)) };
            grid.row().toned(tone, title).cell(format!("{}{detail}", layer.name));
        }
    }
    grid
}

fn remarks(report: &Report, notes: &[String]) -> Grid {
    let mut grid = Grid::new();
    for line in &report.weakened {
        grid.row().toned(Tone::Warn, "weaker").cell(tame(line));
    }
    for line in notes {
        grid.row().toned(Tone::Dim, "note").cell(tame(line));
    }
    grid
}

#[cfg(test)]
mod tests {
    use enclos_spec::report::SCHEMA;

    use super::*;

    fn figure(name: &str, value: u64, unit: &str, source: &str) -> Figure {
        Figure { name: name.into(), value, unit: unit.into(), source: source.into() }
    }

    fn limit(name: &str, value: u64, unit: &str, enforcer: &str, hit: bool) -> LimitReport {
        LimitReport { name: name.into(), value, unit: unit.into(), enforcer: enforcer.into(), meter: "bytes seen".into(), hit }
    }

    fn layer(name: &str, state: LayerState, detail: &str) -> Layer {
        Layer { name: name.into(), state, detail: detail.into() }
    }

    fn killed() -> Report {
        Report {
            schema: SCHEMA,
            verdict: Verdict::OutOfMemory,
            exit_code: None,
            signal: Some(9),
            evidence: Some("memory: 64 MiB reached; the kernel ended 1 process (cgroup v1 memory.oom_control)".into()),
            figures: vec![
                figure("wall", 412_345, "us", "CLOCK_MONOTONIC"),
                figure("cpu", 380_000, "us", "cgroup v2 cpu.stat usage_usec"),
                figure("memory-peak", 64 << 20, "bytes", "cgroup v1 memory.max_usage_in_bytes"),
                figure("disk", 900 << 20, "bytes", "statfs"),
                figure("processes-refused", 0, "count", "cgroup v1 pids.events max"),
                figure("stdout", 12, "bytes", "bytes seen"),
                figure("stderr", 60, "bytes", "bytes seen"),
            ],
            limits: vec![
                limit("memory", 64 << 20, "bytes", "cgroup v1 memory.limit_in_bytes", true),
                limit("disk", 1 << 30, "bytes", "tmpfs size", false),
                limit("output", 100, "bytes", "the watch", false),
                limit("processes", 4096, "count", "cgroup v1 pids.max", false),
            ],
            layers: vec![
                layer("user namespace", LayerState::Active, ""),
                layer("pid namespace", LayerState::Active, ""),
                layer("seccomp", LayerState::Active, "default"),
                layer("landlock", LayerState::Weakened, "ABI 3: no tcp, no scopes"),
                layer("net namespace", LayerState::Off, "--net host"),
            ],
            weakened: vec!["swap counts no longer: memory.memsw.limit_in_bytes is missing".into()],
        }
    }

    #[test]
    fn a_summary_is_as_kept() {
        let notes = ["the current directory /root is not shown: it is a home; --ro . shows it".to_owned()];
        crate::expect::file("src/snapshots/report.txt", &render(&killed(), &notes, Look::PLAIN));
        crate::expect::file("src/snapshots/report-colour.txt", &render(&killed(), &notes, Look { colour: true }));
    }

    #[test]
    fn the_document_is_a_report_with_notes() {
        let text = json(&killed(), &["a note".to_owned()]);
        let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_object_mut().unwrap().remove("notes"), Some(serde_json::json!(["a note"])));
        assert_eq!(serde_json::from_value::<Report>(value).unwrap(), killed());
        assert!(text.starts_with("{\n  \"schema\": 1,\n  \"verdict\": \"OUT_OF_MEMORY\""), "{text}");
    }

    #[test]
    fn a_plain_end_is_short() {
        let report = Report {
            verdict: Verdict::RuntimeError,
            exit_code: Some(3),
            signal: None,
            evidence: None,
            figures: vec![],
            limits: vec![],
            layers: vec![],
            weakened: vec![],
            ..killed()
        };
        assert_eq!(render(&report, &[], Look::PLAIN), "enclos: RUNTIME_ERROR, exit status 3\n");
    }
}
