//! The findings of `enclos doctor`, line by line.

use crate::text::look::{Tone, tame};
use crate::text::wrap::wrap;
use crate::text::{Grid, Look};

/// How a thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As it should be.
    Ok,
    /// There, but less than it could be.
    Weak,
    /// Not there.
    Missing,
}

/// One finding.
pub struct Line<'a> {
    /// What was looked at.
    pub subject: &'a str,
    /// How it stands.
    pub mark: Mark,
    /// What was found.
    pub detail: &'a str,
    /// What that costs the user; empty when nothing.
    pub cost: &'a str,
    /// What to do about it; empty when nothing.
    pub remedy: &'a str,
}

/// Where the detail begins: behind the mark and the widest subject.
const DETAIL: usize = 72;

/// All findings, and a sum.
pub fn render(lines: &[Line<'_>], look: Look) -> String {
    let mut grid = Grid::new();
    for line in lines {
        let (mark, tone) = word(line.mark);
        let mut mark = mark;
        let mut subject = tame(line.subject);
        let texts = [("", line.detail), ("costs: ", line.cost), ("remedy: ", line.remedy)];
        for (lead, text) in texts.into_iter().filter(|(lead, text)| lead.is_empty() || !text.is_empty()) {
            // Broken by hand because a grid does not break its cells; an empty detail still needs its line.
            let broken = wrap(&format!("{lead}{}", tame(text)), DETAIL);
            for part in if broken.is_empty() { vec![String::new()] } else { broken } {
                let tone_of_text = if lead == "costs: " { Tone::Dim } else { Tone::Plain };
                grid.row().toned(tone, std::mem::take(&mut mark)).cell(std::mem::take(&mut subject)).toned(tone_of_text, part);
            }
        }
    }
    let count = |mark| lines.iter().filter(|line| line.mark == mark).count();
    let sum = format!("{} ok, {} weak, {} missing", count(Mark::Ok), count(Mark::Weak), count(Mark::Missing));
    format!("{}\n{}\n", grid.render(0, look), look.paint(Tone::Heading, &sum))
}

fn word(mark: Mark) -> (&'static str, Tone) {
    match mark {
        Mark::Ok => ("ok", Tone::Good),
        Mark::Weak => ("weak", Tone::Warn),
        Mark::Missing => ("missing", Tone::Bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_its_cost_and_remedy() {
        let line = |subject, mark, detail, cost, remedy| Line { subject, mark, detail, cost, remedy };
        let lines = [
            line("user namespaces", Mark::Ok, "at most 95000", "", ""),
            line("landlock", Mark::Weak, "ABI 3", "no rules for TCP and signals", "Linux 6.12 or newer"),
            line(
                "cgroup controller memory",
                Mark::Missing,
                "no cgroup tree has it",
                "--memory is refused, or with --best-effort bounds each process alone",
                "start the system with cgroup_enable=memory, or delegate it: systemd-run --user --scope -p Delegate=yes enclos run ...",
            ),
            line("odd\x1b[2J", Mark::Ok, "", "", ""),
        ];
        crate::expect::file("src/snapshots/doctor.txt", &render(&lines, Look::PLAIN));
    }
}
