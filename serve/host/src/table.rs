//! Tables for people: columns as wide as their widest cell, two blanks between.

/// A table. Cells are plain text; what a program printed is escaped before it gets here.
#[derive(Debug, Default)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// With these headings.
    pub fn new(headings: &[&str]) -> Table {
        Table { rows: vec![headings.iter().map(|&heading| heading.to_owned()).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As text.
    pub fn text(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                line.push_str(cell);
                line.extend(std::iter::repeat_n(' ', width + 2 - cell.chars().count().min(*width)));
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Milliseconds.
pub fn ms(span: std::time::Duration) -> String {
    format!("{:.1} ms", span.as_secs_f64() * 1e3)
}

/// Mebibytes.
pub fn mib(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)))
}

/// Text of a program, bounded, safe to show on a terminal: line breaks stay, other control characters do not.
pub fn printable(bytes: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(most)]);
    let mut out: String = text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c }).collect();
    if bytes.len() > most {
        out.push_str(&format!("\n… ({} bytes)", bytes.len()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["a", "b"]);
        table.row(["long".to_owned(), "x".to_owned()]);
        table.row(["é".to_owned(), "y".to_owned()]);
        assert_eq!(table.text(), "a     b\nlong  x\né     y\n");
    }

    #[test]
    fn no_terminal_is_told_what_to_do() {
        assert_eq!(printable(b"a\x1b[2J\nb\xff", 100), "a\u{fffd}[2J\nb\u{fffd}");
        assert_eq!(printable(b"abcdef", 3), "abc\n… (6 bytes)");
    }
}
