//! `-o custom-columns`. Upstream: `kubectl/pkg/cmd/get/customcolumn.go`.

use super::jsonpath::{JsonPath, RelaxedError, SyntaxError, relaxed};
use super::table::Grid;
use super::template;
use apimachinery::Value;
use std::io::Write;

/// Columns with a title and an expression each.
#[derive(Debug)]
pub struct Columns {
    columns: Vec<(String, JsonPath)>,
    /// Whether the next print starts with titles.
    header_due: bool,
}

/// Columns that make no sense.
#[derive(Debug, thiserror::Error)]
pub enum ColumnsError {
    /// None.
    #[error("custom-columns format specified but no custom columns given")]
    Nothing,
    /// No file.
    #[error("custom-columns-file format specified but no file given")]
    NoFile,
    /// One without an expression.
    #[error("unexpected custom-columns spec: {0}, expected <header>:<json-path-expr>")]
    Form(String),
    /// An expression that is none.
    #[error(transparent)]
    Relaxed(#[from] RelaxedError),
    /// An expression that makes no sense.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A file without two lines.
    #[error(
        "invalid template, missing {0} line. Expected format is one line of space separated headers, one line of space separated column specs."
    )]
    File(&'static str),
    /// As many titles as expressions.
    #[error("number of headers ({titles}) and field specifications ({fields}) don't match")]
    Count {
        /// Titles.
        titles: usize,
        /// Expressions.
        fields: usize,
    },
}

impl Columns {
    /// `NAME:.metadata.name,X:.spec.x`.
    pub fn parse(spec: &str, no_headers: bool) -> Result<Self, ColumnsError> {
        if spec.is_empty() {
            return Err(ColumnsError::Nothing);
        }
        let column = |part: &str| match part.split_once(':') {
            // What is behind another colon is not looked at.
            Some((title, path)) if !path.contains('[') => {
                self::column(title, path.split(':').next().unwrap_or_default())
            }
            Some((title, path)) => self::column(title, path),
            None => Err(ColumnsError::Form(part.to_owned())),
        };
        let columns = spec.split(',').map(column).collect::<Result<_, _>>()?;
        Ok(Self { columns, header_due: !no_headers })
    }

    /// A line of titles and a line of expressions.
    pub fn from_file(text: &str, no_headers: bool) -> Result<Self, ColumnsError> {
        let mut lines = text.lines();
        let titles = lines.next().ok_or(ColumnsError::File("header"))?;
        let fields = lines.next().ok_or(ColumnsError::File("spec"))?;
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (titles, fields) = (words(titles), words(fields));
        if titles.len() != fields.len() {
            return Err(ColumnsError::Count { titles: titles.len(), fields: fields.len() });
        }
        let columns =
            titles.iter().zip(&fields).map(|(title, field)| column(title, field)).collect::<Result<_, _>>()?;
        Ok(Self { columns, header_due: !no_headers })
    }

    /// Prints an object, or the items of a list.
    pub fn print(&mut self, out: &mut dyn Write, object: &Value) -> std::io::Result<()> {
        let rows = match object.get("items").and_then(Value::as_array) {
            Some(items) => items.iter().map(|item| self.row(item)).collect(),
            None => vec![self.row(object)],
        };
        let header = self.columns.iter().map(|(title, _)| title.clone()).collect();
        let grid = Grid { header, rows };
        out.write_all(grid.render(!std::mem::take(&mut self.header_due)).as_bytes())
    }

    fn row(&self, object: &Value) -> Vec<String> {
        let cell = |(_, path): &(String, JsonPath)| {
            let found = path.find(object).unwrap_or_default();
            let mut texts: Vec<String> = found.iter().flatten().map(|v| template::print(v)).collect();
            if found.first().is_none_or(Vec::is_empty) {
                texts.insert(0, "<none>".into());
            }
            super::harmless(&texts.join(",")).replace('\n', " ")
        };
        self.columns.iter().map(cell).collect()
    }
}

fn column(title: &str, path: &str) -> Result<(String, JsonPath), ColumnsError> {
    Ok((title.to_owned(), JsonPath::parse(&relaxed(path)?, true)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed(columns: Result<Columns, ColumnsError>) -> String {
        let list = json!({"items": [{"metadata": {"name": "a"}, "n": [1, 2], "m": {"x": "y"}}, {"metadata": {"name": "longer"}}]});
        let mut out = Vec::new();
        match columns {
            Err(error) => error.to_string(),
            Ok(mut columns) => {
                columns.print(&mut out, &list).expect("prints");
                String::from_utf8(out).expect("text")
            }
        }
    }

    #[test]
    fn prints_columns() {
        let columns = Columns::parse("NAME:.metadata.name,N:n[*],M:{.m}", false);
        assert_eq!(printed(columns), "NAME     N        M\na        1,2      map[x:y]\nlonger   <none>   <none>\n");
        assert_eq!(printed(Columns::from_file("A B\nmetadata.name .n[0]\n", true)), "a        1\nlonger   <none>\n");
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for (spec, want) in [
            ("", "custom-columns format specified but no custom columns given"),
            ("NAME", "unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>"),
            (
                "N:{",
                "unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{name1.name2}' or '{.name1.name2}'",
            ),
        ] {
            assert_eq!(printed(Columns::parse(spec, false)), want);
        }
        assert_eq!(
            printed(Columns::from_file("A B\nx\n", false)),
            "number of headers (2) and field specifications (1) don't match"
        );
    }
}
