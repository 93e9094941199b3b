//! `-o`: which printer, made of the flags.

use super::columns::{Columns, ColumnsError};
use super::jsonpath::{self, JsonPath};
use super::template::{self, Template};
use super::{json, kyaml, name_of, typed};
use crate::cli::PrintFlags;
use apimachinery::Value;
use std::io::Write;

/// Which forms a command has beside those that all have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// Objects only.
    Objects,
    /// Tables, too: `wide` and `custom-columns`.
    Tables,
}

/// A way to print objects.
#[derive(Debug)]
pub enum Printer {
    /// JSON, members sorted.
    Json,
    /// JSON, members as Go's types declare them.
    TypedJson,
    /// YAML; documents after the first are set off.
    Yaml {
        /// Documents so far.
        documents: usize,
    },
    /// YAML with braces.
    Kyaml,
    /// `kind.group/name`.
    Name,
    /// JSONPath.
    JsonPath(JsonPath, String),
    /// JSONPath, values as JSON.
    JsonPathAsJson(JsonPath, String),
    /// A Go template.
    Template(Template),
    /// Columns by JSONPath.
    Columns(Columns),
}

/// An output form that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It does not exist.
    #[error("unable to match a printer suitable for the output format {format:?}, allowed formats are: {allowed}")]
    Unknown {
        /// What was asked for.
        format: String,
        /// What there is.
        allowed: String,
    },
    /// `-o jsonpath` without one, `-o go-template` without one.
    #[error("template format specified but no template given")]
    NoTemplate,
    /// A template's file cannot be read.
    #[error("error reading --template {path}, open {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// As Go words it.
        why: String,
    },
    /// A JSONPath that makes no sense.
    #[error("error parsing jsonpath {0}, {1}")]
    JsonPath(String, jsonpath::SyntaxError),
    /// A Go template that makes no sense.
    #[error("error parsing template {0}, {1}")]
    Template(String, template::SyntaxError),
    /// Columns that make no sense.
    #[error(transparent)]
    Columns(#[from] ColumnsError),
    /// An object that does not fit the JSONPath.
    #[error("error executing jsonpath {0:?}: {1}")]
    EvalJsonPath(String, String),
    /// An object that does not fit the template.
    #[error("error executing template {0:?}: {1}")]
    EvalTemplate(String, template::EvalError),
    /// The reader is gone.
    #[error(transparent)]
    Write(#[from] std::io::Error),
}

/// The forms that name a template before `=`.
const TEMPLATES: [&str; 8] = [
    "custom-columns-file",
    "custom-columns",
    "go-template-file",
    "go-template",
    "templatefile",
    "template",
    "jsonpath-as-json",
    "jsonpath-file",
];

impl Printer {
    /// The printer of the flags; none if a table is wanted.
    pub fn of(flags: &PrintFlags, set: Set, no_headers: bool) -> Result<Option<Self>, OutputError> {
        let output = flags.output.as_str();
        // Words of any case, where a format takes nothing else.
        match output.to_ascii_lowercase().as_str() {
            "" if flags.template.is_empty() => return Ok(None),
            "wide" if set == Set::Tables && output == "wide" => return Ok(None),
            "json" => return Ok(Some(Printer::Json)),
            "yaml" => return Ok(Some(Printer::Yaml { documents: 0 })),
            "kyaml" => return Ok(Some(Printer::Kyaml)),
            "name" => return Ok(Some(Printer::Name)),
            _ => {}
        }
        let (format, argument) = output.split_once('=').unwrap_or((output, ""));
        let format = if output.is_empty() { "go-template" } else { format };
        let known = format == "jsonpath" || TEMPLATES.contains(&format);
        if !known || (set == Set::Objects && format.starts_with("custom-columns")) {
            return Err(OutputError::Unknown { format: output.into(), allowed: allowed(set) });
        }
        let argument = if argument.is_empty() { flags.template.as_str() } else { argument };
        if format.starts_with("custom-columns") {
            return Ok(Some(Printer::Columns(columns(format, argument, no_headers)?)));
        }
        if argument.is_empty() {
            return Err(OutputError::NoTemplate);
        }
        let text = if format.ends_with("file") { read(argument)? } else { argument.to_owned() };
        Self::templated(format, text, flags.allow_missing_template_keys).map(Some)
    }

    fn templated(format: &str, text: String, allow_missing: bool) -> Result<Self, OutputError> {
        if !format.starts_with("jsonpath") {
            let template = Template::parse(&text, allow_missing);
            return template.map(Printer::Template).map_err(|e| OutputError::Template(text, e));
        }
        match JsonPath::parse(&text, allow_missing) {
            Err(error) => Err(OutputError::JsonPath(text, error)),
            Ok(path) if format == "jsonpath-as-json" => Ok(Printer::JsonPathAsJson(path, text)),
            Ok(path) => Ok(Printer::JsonPath(path, text)),
        }
    }

    /// The same for objects that kubectl holds in Go's types.
    pub fn typed(self) -> Self {
        match self {
            Printer::Json => Printer::TypedJson,
            other => other,
        }
    }

    /// Prints an object or a list.
    pub fn print(&mut self, out: &mut dyn Write, object: &Value) -> Result<(), OutputError> {
        match self {
            Printer::Json => out.write_all(json::pretty(object).as_bytes())?,
            Printer::TypedJson => out.write_all(typed::pretty(object).as_bytes())?,
            Printer::Yaml { documents } => {
                *documents += 1;
                if *documents > 1 {
                    out.write_all(b"---\n")?;
                }
                out.write_all(super::yaml(object).as_bytes())?;
            }
            Printer::Kyaml => out.write_all(kyaml::to_string(object).as_bytes())?,
            Printer::Name => match object.get("items").and_then(Value::as_array) {
                Some(items) => items.iter().try_for_each(|item| writeln!(out, "{}", name_of(item)))?,
                None => writeln!(out, "{}", name_of(object))?,
            },
            Printer::JsonPath(path, source) => match path.render(object) {
                Ok(text) => out.write_all(text.as_bytes())?,
                Err(error) => return explain_jsonpath(out, source, object, &error),
            },
            Printer::JsonPathAsJson(path, source) => match path.render_json(object) {
                Ok(text) => out.write_all(text.as_bytes())?,
                Err(error) => return explain_jsonpath(out, source, object, &error),
            },
            Printer::Template(template) => {
                let (text, outcome) = template.render(object);
                out.write_all(text.as_bytes())?;
                if let Err(error) = outcome {
                    return explain_template(out, template.source(), object, error);
                }
            }
            Printer::Columns(columns) => columns.print(out, object)?,
        }
        Ok(())
    }

    /// Whether `managedFields` would show.
    pub fn shows_objects(&self) -> bool {
        matches!(self, Printer::Json | Printer::TypedJson | Printer::Yaml { .. } | Printer::Kyaml)
    }
}

fn columns(format: &str, argument: &str, no_headers: bool) -> Result<Columns, OutputError> {
    match format {
        "custom-columns" => Ok(Columns::parse(argument, no_headers)?),
        _ if argument.is_empty() => Err(ColumnsError::NoFile.into()),
        _ => Ok(Columns::from_file(&read(argument)?, no_headers)?),
    }
}

fn read(path: &str) -> Result<String, OutputError> {
    std::fs::read_to_string(path)
        .map_err(|error| OutputError::File { path: path.to_owned(), why: crate::http::io_words(&error) })
}

fn allowed(set: Set) -> String {
    let mut formats = vec![
        "go-template",
        "go-template-file",
        "json",
        "jsonpath",
        "jsonpath-as-json",
        "jsonpath-file",
        "kyaml",
        "name",
        "template",
        "templatefile",
        "yaml",
    ];
    if set == Set::Tables {
        formats.extend(["custom-columns", "custom-columns-file", "wide"]);
        formats.sort_unstable();
    }
    formats.join(",")
}

/// Upstream shows on standard output what the expression was given.
fn explain_jsonpath(
    out: &mut dyn Write,
    source: &str,
    object: &Value,
    error: &jsonpath::EvalError,
) -> Result<(), OutputError> {
    writeln!(out, "Error executing template: {error}. Printing more information for debugging the template:")?;
    writeln!(out, "\ttemplate was:\n\t\t{source}")?;
    write!(out, "\tobject given to jsonpath engine was:\n\t\t{}\n\n", go_syntax(object, true))?;
    Err(OutputError::EvalJsonPath(source.to_owned(), format!("{error}\n")))
}

fn explain_template(
    out: &mut dyn Write,
    source: &str,
    object: &Value,
    error: template::EvalError,
) -> Result<(), OutputError> {
    writeln!(out, "Error executing template: {error}. Printing more information for debugging the template:")?;
    writeln!(out, "\ttemplate was:\n\t\t{source}")?;
    writeln!(out, "\traw data was:\n\t\t{}", json::compact(object))?;
    write!(out, "\tobject given to template engine was:\n\t\t{}\n\n", template::print(object))?;
    Err(OutputError::EvalTemplate(source.to_owned(), error))
}

/// `%#v`.
fn go_syntax(value: &Value, top: bool) -> String {
    match value {
        Value::Null => if top { "<nil>" } else { "interface {}(nil)" }.into(),
        Value::Array(list) => {
            let items: Vec<String> = list.iter().map(|v| go_syntax(v, false)).collect();
            format!("[]interface {{}}{{{}}}", items.join(", "))
        }
        Value::Object(map) => {
            let entries: Vec<String> = map.iter().map(|(k, v)| format!("{k:?}:{}", go_syntax(v, false))).collect();
            format!("map[string]interface {{}}{{{}}}", entries.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn printed(output: &str, template: &str) -> String {
        let flags = PrintFlags {
            output: output.into(),
            template: template.into(),
            allow_missing_template_keys: true,
            show_managed_fields: false,
        };
        let object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "n": 1});
        let mut out = Vec::new();
        match Printer::of(&flags, Set::Tables, false) {
            Err(error) => error.to_string(),
            Ok(None) => "a table".into(),
            Ok(Some(mut printer)) => match printer.print(&mut out, &object) {
                Ok(()) => String::from_utf8(out).expect("text"),
                Err(error) => format!("!{error}"),
            },
        }
    }

    #[test]
    fn chooses_by_the_flags() {
        for (output, template, want) in [
            ("", "", "a table"),
            ("wide", "", "a table"),
            ("name", "", "deployment.apps/web\n"),
            ("jsonpath={.kind}", "", "Deployment"),
            ("jsonpath", "{.kind}", "Deployment"),
            ("jsonpath-as-json={.n}", "", "[\n    1\n]\n"),
            ("go-template={{.kind}}", "", "Deployment"),
            ("template", "{{.n}}", "1"),
            ("", "{{.n}}", "1"),
            ("custom-columns=N:.metadata.name,X:.x", "", "N     X\nweb   <none>\n"),
            ("jsonpath", "", "template format specified but no template given"),
            ("jsonpath={", "", "error parsing jsonpath {, unclosed action"),
            ("go-template={{", "", "error parsing template {{, template: output:1: unclosed action"),
        ] {
            assert_eq!(printed(output, template), want, "{output}");
        }
        assert!(printed("xml", "").starts_with(
            "unable to match a printer suitable for the output format \"xml\", allowed formats are: custom-columns,"
        ));
        assert!(printed("jsonpath={.kind[0]}", "").starts_with("!error executing jsonpath"));
    }
}
