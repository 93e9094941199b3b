//! Errors as kubectl words them.
//!
//! Upstream: `kubectl/pkg/cmd/util/helpers.go`.

use crate::generate::GenerateError;
use crate::http::{Refused, Unanswered};
use crate::print::OutputError;
use crate::writing::{Failures, Fatal};
use apimachinery::Value;

/// Whether the reader of standard output is gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    let written = matches!(error.downcast_ref(), Some(OutputError::Write(error)) if broken(error));
    written || error.chain().any(|cause| cause.downcast_ref().is_some_and(broken))
}

/// An error as kubectl words it.
pub fn error_text(error: &anyhow::Error) -> String {
    if let Some(Failures(list)) = error.downcast_ref::<Failures>() {
        let text = list.iter().map(one_of_several).collect::<Vec<_>>().join("\n");
        return if text.ends_with('\n') { text + "\n" } else { text };
    }
    if let Some(fatal) = error.downcast_ref::<Fatal>() {
        return fatal.to_string();
    }
    match standard(error) {
        Some(_) if let Some(refused) = error.downcast_ref::<Refused>().filter(|r| r.is_invalid()) => invalid(refused),
        Some(text) => text,
        None => {
            let text = format!("{error:#}");
            let known = [
                "The connection to the server",
                "Unable to connect",
                "Error in configuration",
                "Warning",
                "error: ",
                "Server-side apply",
            ];
            let text = text.strip_suffix('\n').unwrap_or(&text);
            let bare = matches!(error.downcast_ref(), Some(GenerateError::NoSuchType(..)));
            if bare || known.iter().any(|k| text.starts_with(k)) { text.to_owned() } else { format!("error: {text}") }
        }
    }
}

/// An error among others: they stand for themselves.
///
/// Upstream: `kubectl/pkg/cmd/util/helpers.go` (`messageForError`).
fn one_of_several(error: &anyhow::Error) -> String {
    if let Some(Failures(list)) = error.downcast_ref::<Failures>() {
        return list.iter().map(one_of_several).collect::<Vec<_>>().join("\n");
    }
    standard(error).unwrap_or_else(|| format!("{error:#}"))
}

/// The words for errors that upstream knows.
///
/// Upstream: `kubectl/pkg/cmd/util/helpers.go` (`StandardErrorMessage`).
fn standard(error: &anyhow::Error) -> Option<String> {
    // With words around it, it is no longer what upstream knows.
    if error.chain().len() > 1 {
        return None;
    }
    if let Some(refused) = error.downcast_ref::<Refused>() {
        let Refused { reason, message, .. } = refused;
        return Some(match reason.as_str() {
            "Unauthorized" => format!("error: You must be logged in to the server ({message})"),
            "" => format!("Error from server: {message}"),
            reason => format!("Error from server ({reason}): {message}"),
        });
    }
    error.downcast_ref::<Unanswered>().map(Unanswered::told)
}

/// What is wrong with an object, cause by cause.
fn invalid(refused: &Refused) -> String {
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name) = (text(&refused.details, "kind"), text(&refused.details, "name"));
    let is_unnamed = kind.is_empty() && name.is_empty();
    let head = match is_unnamed {
        true => "The request is invalid".to_owned(),
        false => format!("The {kind} {name:?} is invalid"),
    };
    let mut causes: Vec<String> = Vec::new();
    for cause in refused.details.get("causes").and_then(Value::as_array).into_iter().flatten() {
        let told = format!("{}: {}", text(cause, "field"), text(cause, "message"));
        if !causes.contains(&told) {
            causes.push(told);
        }
    }
    match causes.as_slice() {
        [] if is_unnamed && !refused.message.is_empty() => format!("{head}: {}", refused.message),
        [] => head,
        [one] => format!("{head}: {one}"),
        several => {
            let lines: String = several.iter().map(|cause| format!("\n* {cause}")).collect();
            format!("{head}: {lines}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_errors_as_kubectl_does() {
        let refused = Refused {
            code: 404,
            reason: "NotFound".into(),
            message: "pods \"x\" not found".into(),
            details: Value::Null,
        };
        assert_eq!(error_text(&refused.into()), "Error from server (NotFound): pods \"x\" not found");
        assert_eq!(error_text(&anyhow::anyhow!("no")), "error: no");
    }
}
