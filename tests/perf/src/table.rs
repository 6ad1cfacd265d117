//! What was measured, as rows for a person and for a program.

use serde::Serialize;

use crate::race::{Quartiles, Race};

/// One line of the table.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Id of the promise.
    pub id: &'static str,
    /// What was done.
    pub what: String,
    /// Ours.
    pub a: Option<Figure>,
    /// What it is compared with.
    pub b: Option<Figure>,
    /// A divided by B, round by round.
    pub ratio: Option<Quartiles>,
    /// What is promised of the ratio, or of A where there is no B; `None`: shown for orientation.
    pub promise: Option<Bound>,
    /// Whether it was held; `None`: nothing was promised, or nothing measured.
    pub held: Option<bool>,
    /// Why there is nothing to see, or what to know when reading it.
    pub note: Option<String>,
}

/// A measured value.
#[derive(Debug, Serialize)]
pub struct Figure {
    /// What it is of.
    pub name: String,
    /// Its unit.
    pub unit: Unit,
    /// In that unit.
    pub value: Quartiles,
}

/// A unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Time of one job.
    Nanoseconds,
    /// Time by which something is late.
    Milliseconds,
    /// Jobs a second.
    PerSecond,
    /// Memory.
    Kibibytes,
    /// Things.
    Count,
}

/// What a value is promised to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Not more.
    AtMost(f64),
    /// Not less.
    AtLeast(f64),
}

impl Bound {
    fn holds(self, value: f64) -> bool {
        match self {
            Bound::AtMost(most) => value <= most,
            Bound::AtLeast(least) => value >= least,
        }
    }
}

impl Row {
    /// Time of `a` against time of `b` in a race.
    ///
    /// # Errors
    /// When one of them took no part.
    pub fn times(id: &'static str, what: &str, race: &Race, [a, b]: [&str; 2], promise: Option<Bound>) -> anyhow::Result<Row> {
        let figure = |name: &str| -> anyhow::Result<_> {
            Ok(Some(Figure { name: name.to_owned(), unit: Unit::Nanoseconds, value: race.nanoseconds(name)? }))
        };
        Ok(Row::judged(id, what, [figure(a)?, figure(b)?], Some(race.ratio(a, b)?), promise))
    }

    /// Jobs a second of `a` against those of `b` in a race.
    ///
    /// # Errors
    /// When one of them took no part.
    pub fn rates(id: &'static str, what: &str, race: &Race, [a, b]: [&str; 2], promise: Option<Bound>) -> anyhow::Result<Row> {
        let figure = |name: &str| -> anyhow::Result<_> {
            Ok(Some(Figure { name: name.to_owned(), unit: Unit::PerSecond, value: race.nanoseconds(name)?.map(|ns| 1e9 / ns) }))
        };
        // Twice the rate is half the time.
        Ok(Row::judged(id, what, [figure(a)?, figure(b)?], Some(race.ratio(b, a)?), promise))
    }

    /// A value that is compared with nothing.
    #[must_use]
    pub fn alone(id: &'static str, what: &str, figure: Figure, promise: Option<Bound>) -> Row {
        Row::judged(id, what, [Some(figure), None], None, promise)
    }

    /// What cannot be measured here.
    #[must_use]
    pub fn skipped(id: &'static str, what: &str, reason: &str) -> Row {
        Row::judged(id, what, [None, None], None, None).noting(format!("SKIPPED: {reason}"))
    }

    /// Judged by this ratio instead of the one of the two values.
    #[must_use]
    pub fn against(self, ratio: Quartiles, promise: Bound) -> Row {
        Row { ratio: Some(ratio), promise: Some(promise), held: Some(promise.holds(ratio.median)), ..self }
    }

    /// With something to know when reading it.
    #[must_use]
    pub fn noting(self, note: String) -> Row {
        Row { note: Some(note), ..self }
    }

    fn judged(id: &'static str, what: &str, [a, b]: [Option<Figure>; 2], ratio: Option<Quartiles>, promise: Option<Bound>) -> Row {
        let value = ratio.or(a.as_ref().map(|figure| figure.value)).map(|value| value.median);
        let held = promise.zip(value).map(|(bound, value)| bound.holds(value));
        Row { id, what: what.to_owned(), a, b, ratio, promise, held, note: None }
    }

    fn cells(&self) -> [String; 7] {
        let dash = || "-".to_owned();
        let name = |figure: &Option<Figure>| figure.as_ref().map_or_else(dash, |f| f.name.clone());
        let value = |figure: &Option<Figure>| figure.as_ref().map_or_else(dash, Figure::text);
        let held = match (&self.note, self.held) {
            (Some(note), None) => note.clone(),
            (Some(note), Some(held)) => format!("{} ({note})", if held { "yes" } else { "NO" }),
            (None, Some(true)) => "yes".to_owned(),
            (None, Some(false)) => "NO".to_owned(),
            (None, None) => dash(),
        };
        [
            self.id.to_owned(),
            self.what.clone(),
            format!("{} {}", name(&self.a), value(&self.a)),
            format!("{} {}", name(&self.b), value(&self.b)),
            self.ratio.map_or_else(dash, |r| format!("{:.3} [{:.3} {:.3}]", r.median, r.q1, r.q3)),
            match self.promise {
                Some(Bound::AtMost(most)) => format!("≤ {most}"),
                Some(Bound::AtLeast(least)) => format!("≥ {least}"),
                None => dash(),
            },
            held,
        ]
    }
}

impl Figure {
    /// A value without spread.
    #[must_use]
    pub fn exactly(name: &str, unit: Unit, value: f64) -> Figure {
        Figure { name: name.to_owned(), unit, value: Quartiles::exactly(value) }
    }

    fn text(&self) -> String {
        let Quartiles { q1, median, q3 } = self.value;
        let spread = |scale: f64, unit: &str| {
            let digits = if median / scale < 10.0 { 2 } else { 0 };
            format!("{:.digits$} [{:.digits$} {:.digits$}] {unit}", median / scale, q1 / scale, q3 / scale)
        };
        match self.unit {
            Unit::Nanoseconds => spread(1e3, "µs"),
            Unit::Milliseconds => spread(1.0, "ms"),
            Unit::PerSecond => spread(1.0, "/s"),
            Unit::Kibibytes => spread(1.0, "KiB"),
            Unit::Count => format!("{median:.0}"),
        }
    }
}

/// The table; quartiles in brackets.
#[must_use]
pub fn text(rows: &[Row]) -> String {
    let head = ["id", "what", "A", "B", "A/B", "promise", "held"].map(str::to_owned);
    let lines: Vec<[String; 7]> = std::iter::once(head).chain(rows.iter().map(Row::cells)).collect();
    // The last column may be long: nothing stands behind it.
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).chain([0]).collect();
    let mut out = String::new();
    for line in &lines {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ratio: f64, promise: Bound) -> Row {
        let [a, b] =
            [("ours", 1_500_000.0), ("theirs", 2_000_000.0)].map(|(name, value)| Some(Figure::exactly(name, Unit::Nanoseconds, value)));
        Row::judged("P1", "x", [a, b], Some(Quartiles::exactly(ratio)), Some(promise))
    }

    #[test]
    fn a_broken_promise_shows() {
        let text = text(&[row(0.75, Bound::AtMost(0.5)), row(0.5, Bound::AtMost(0.5)), row(4.0, Bound::AtLeast(5.0))]);
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines[1].ends_with("≤ 0.5    NO") && lines[2].ends_with("≤ 0.5    yes") && lines[3].ends_with("≥ 5      NO"), "{text}");
        assert!(lines[1].contains("ours 1500 [1500 1500] µs"), "{text}");
    }

    #[test]
    fn what_was_not_measured_is_neither_held_nor_broken_and_says_why() {
        let skipped = Row::skipped("P5", "many", "no room");
        assert_eq!(skipped.held, None);
        assert!(text(&[skipped]).contains("SKIPPED: no room"));
    }

    #[test]
    fn without_a_ratio_the_value_itself_is_judged() {
        let of = |kib| Row::alone("P5", "x", Figure::exactly("PSS", Unit::Kibibytes, kib), Some(Bound::AtMost(300.0))).held;
        assert_eq!((of(300.0), of(301.0)), (Some(true), Some(false)));
    }
}
