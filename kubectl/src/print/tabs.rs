//! Text in columns: cells end in tabs, and a column is as wide as its widest cell over adjacent lines.
//!
//! Upstream: Go's `text/tabwriter` with blanks for padding.

/// Aligns text. A column is at least `minimum` wide and `padding` wider than its widest cell; what stands behind a
/// line's last tab belongs to no column.
pub fn align(text: &str, minimum: usize, padding: usize) -> String {
    let lines: Vec<Vec<&str>> = text.split('\n').map(|line| line.split('\t').collect()).collect();
    let mut table = Table { out: String::with_capacity(text.len() * 2), minimum, padding, widths: Vec::new() };
    table.format(&lines);
    // Each line got its end, the text behind the last one, too.
    table.out.pop();
    table.out
}

struct Table {
    out: String,
    minimum: usize,
    padding: usize,
    /// Of the columns that the lines at hand have in common.
    widths: Vec<usize>,
}

impl Table {
    fn format(&mut self, lines: &[Vec<&str>]) {
        let column = self.widths.len();
        let has_cell = |line: &Vec<&str>| column + 1 < line.len();
        let mut rest = lines;
        while let Some(begin) = rest.iter().position(has_cell) {
            let (before, from) = rest.split_at(begin);
            self.write(before);
            let (block, after) = from.split_at(from.iter().position(|l| !has_cell(l)).unwrap_or(from.len()));
            let widest = block.iter().map(|line| width(line[column])).max().unwrap_or_default();
            self.widths.push((widest + self.padding).max(self.minimum));
            self.format(block);
            self.widths.pop();
            rest = after;
        }
        self.write(rest);
    }

    fn write(&mut self, lines: &[Vec<&str>]) {
        for line in lines {
            for (i, cell) in line.iter().enumerate() {
                self.out.push_str(cell);
                let blanks = self.widths.get(i).map_or(0, |w| w.saturating_sub(width(cell)));
                self.out.extend(std::iter::repeat_n(' ', blanks));
            }
            self.out.push('\n');
        }
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_end_where_a_line_has_no_cell() {
        for (text, want) in [
            ("", ""),
            ("a", "a"),
            ("a\n", "a\n"),
            ("a\tb\n", "a  b\n"),
            ("long\tb\na\tc\n", "long  b\na     c\n"),
            ("long\tb\nplain\na\tc\n", "long  b\nplain\na  c\n"),
            ("a\tb\tc\nx\ty\nlong\tb\tc\n", "a     b  c\nx     y\nlong  b  c\n"),
            ("a\t\n\tb\n", "a  \n   b\n"),
            ("ä\tb\nab\tc\n", "ä   b\nab  c\n"),
        ] {
            assert_eq!(align(text, 0, 2), want, "{text:?}");
        }
        assert_eq!(align("a\tb\n", 6, 3), "a     b\n");
    }
}
