//! The findings of `enclos doctor`, line by line.

use enclos_sandbox::probe::doctor::{Finding, State};

use crate::text::look::{Tone, tame};
use crate::text::wrap::wrap;
use crate::text::{Grid, Look};

/// Widths of the two columns of text; together with the mark they leave room on a terminal of 120.
const SUBJECT: usize = 30;
const DETAIL: usize = 76;

/// All findings, and a sum.
pub fn render(findings: &[Finding], look: Look) -> String {
    let mut grid = Grid::new();
    let mut remedies: Vec<(&str, &str)> = Vec::new();
    for finding in findings {
        let (mark, tone) = word(finding.state);
        let mut texts: Vec<(Tone, String)> = lines(Tone::Plain, "", &finding.detail);
        texts.extend(lines(Tone::Dim, "costs: ", &finding.cost));
        // One missing thing makes many lines weak; its remedy is worth reading once.
        match remedies.iter().find(|(remedy, _)| *remedy == finding.remedy) {
            Some((_, subject)) => texts.extend(lines(Tone::Plain, "remedy: ", &format!("as for {subject}"))),
            None => texts.extend(lines(Tone::Plain, "remedy: ", &finding.remedy)),
        }
        if !finding.remedy.is_empty() {
            remedies.push((&finding.remedy, &finding.subject));
        }
        let subject = wrap(&tame(&finding.subject), SUBJECT);
        for row in 0..texts.len().max(subject.len()) {
            let (tone_of_text, text) = texts.get(row).cloned().unwrap_or_default();
            let subject = subject.get(row).cloned().unwrap_or_default();
            grid.row().toned(tone, if row == 0 { mark } else { "" }).cell(subject).toned(tone_of_text, text);
        }
    }
    let count = |state| findings.iter().filter(|finding| finding.state == state).count();
    let sum = format!("{} ok, {} weak, {} missing", count(State::Ok), count(State::Weak), count(State::Missing));
    format!("{}\n{}\n", grid.render(0, look), look.paint(Tone::Heading, &sum))
}

/// A text broken into lines; none for an empty one.
fn lines(tone: Tone, lead: &str, text: &str) -> Vec<(Tone, String)> {
    if text.is_empty() {
        return Vec::new();
    }
    wrap(&format!("{lead}{}", tame(text)), DETAIL).into_iter().map(|line| (tone, line)).collect()
}

fn word(state: State) -> (&'static str, Tone) {
    match state {
        State::Ok => ("ok", Tone::Good),
        State::Weak => ("weak", Tone::Warn),
        State::Missing => ("missing", Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_its_cost_and_remedy() {
        let line = |subject: &str, state, detail: &str, cost: &str, remedy: &str| Finding {
            subject: subject.into(),
            state,
            detail: detail.into(),
            cost: cost.into(),
            remedy: remedy.into(),
        };
        let lines = [
            line("user namespaces", State::Ok, "at most 95000", "", ""),
            line("landlock", State::Weak, "ABI 3", "no rules for TCP and signals", "Linux 6.12 or newer"),
            line(
                "cgroup controller memory",
                State::Missing,
                "no cgroup tree has it",
                "--memory is refused, or with --best-effort bounds each process alone",
                "start the system with cgroup_enable=memory, or delegate it: systemd-run --user --scope -p Delegate=yes enclos run ...",
            ),
            line("a sandbox with limits on memory and processes", State::Missing, "refused", "nothing runs", "Linux 6.12 or newer"),
            line("odd\x1b[2J", State::Ok, "", "", ""),
        ];
        crate::expect::file("src/snapshots/doctor.txt", &render(&lines, Look::PLAIN));
    }
}
