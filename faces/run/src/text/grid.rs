//! Columns.

use super::look::{Look, Tone};

/// One cell.
#[derive(Clone, Debug, Default)]
struct Cell {
    text: String,
    tone: Tone,
    right: bool,
}

/// Rows of cells; a column is as wide as its widest cell. The last cell of a row is never padded.
#[derive(Debug, Default)]
pub struct Grid {
    rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// No rows.
    pub fn new() -> Self {
        Grid::default()
    }

    /// Begins a row.
    pub fn row(&mut self) -> &mut Self {
        self.rows.push(Vec::new());
        self
    }

    /// Adds a cell to the row.
    pub fn cell(&mut self, text: impl Into<String>) -> &mut Self {
        self.toned(Tone::Plain, text)
    }

    /// Adds a cell with a tone.
    pub fn toned(&mut self, tone: Tone, text: impl Into<String>) -> &mut Self {
        self.push(Cell { text: text.into(), tone, right: false })
    }

    /// Adds a cell that stands to the right of its column.
    pub fn number(&mut self, text: impl Into<String>) -> &mut Self {
        self.push(Cell { text: text.into(), tone: Tone::Plain, right: true })
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn push(&mut self, cell: Cell) -> &mut Self {
        if self.rows.is_empty() {
            self.rows.push(Vec::new());
        }
        if let Some(row) = self.rows.last_mut() {
            row.push(cell);
        }
        self
    }

    /// The lines, each indented by `indent` spaces and ended.
    pub fn render(&self, indent: usize, look: Look) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let width = cell.text.chars().count();
                match widths.get_mut(column) {
                    Some(widest) => *widest = (*widest).max(width),
                    None => widths.push(width),
                }
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            let mut line = " ".repeat(indent);
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column] - cell.text.chars().count());
                let (before, after) = if cell.right { (gap.as_str(), "") } else { ("", gap.as_str()) };
                line += before;
                line += &look.paint(cell.tone, &cell.text);
                if column + 1 < row.len() {
                    line += after;
                    line += "  ";
                }
            }
            out += line.trim_end();
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut grid = Grid::new();
        grid.row().cell("a").number("1").cell("x").row().cell("long").number("100").cell("").row().cell("é").number("10").cell("y");
        assert_eq!(grid.render(2, Look::PLAIN), "  a       1  x\n  long  100\n  é      10  y\n");
    }
}
