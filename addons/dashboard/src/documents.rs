//! `/documents`: the objects of a text of YAML documents, as JSON. Pages show and take YAML, and the apiserver
//! reads it; only which object is where in a text of several has to be known before.

use crate::guard;
use crate::proxy::ProxyError;
use crate::server::{App, failure};
use crate::session::Use;
use apimachinery::codec::yaml;
use component::serve::{Request, Response, router};
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use std::time::Duration;

/// Most bytes of a text, and most documents in it.
const LONGEST: usize = 3 << 20;
const DOCUMENTS: usize = 500;
/// How long it may take to come.
const SLOWEST: Duration = Duration::from_secs(30);

/// What is wrong with a text.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Too many documents.
    #[error("there are more than {DOCUMENTS} documents")]
    Many,
    /// One of them cannot be read.
    #[error("document {number}: {why}")]
    Malformed {
        /// Which, from 1.
        number: usize,
        /// What is wrong.
        why: String,
    },
    /// One of them is no object.
    #[error("document {0} is no object: it needs apiVersion, kind and metadata")]
    NoObject(usize),
}

/// Answers `/documents`.
pub async fn handle(app: App, request: Request) -> Response {
    let request = request.http;
    if let Err(foreign) = guard::check(request.headers(), guard::host(&request), guard::Kind::Fetch) {
        return ProxyError::Foreign(foreign).response();
    }
    if let Err(refusal) = app.session(request.headers(), Use::Viewer) {
        return refusal;
    }
    if request.method() != Method::POST {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", "documents are posted");
    }
    let body = tokio::time::timeout(SLOWEST, Limited::new(request.into_body(), LONGEST).collect()).await;
    let Ok(Ok(body)) = body else { return ProxyError::Body.response() };
    match read(&String::from_utf8_lossy(&body.to_bytes())) {
        Ok(objects) => router::json(StatusCode::OK, &objects),
        Err(error) => failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", &error.to_string()),
    }
}

/// The objects of a text; documents without content are none.
pub fn read(text: &str) -> Result<Vec<apimachinery::Value>, DocumentError> {
    let mut objects = Vec::new();
    for (index, document) in split(text).enumerate() {
        let number = index + 1;
        if number > DOCUMENTS {
            return Err(DocumentError::Many);
        }
        let value = yaml::to_value(document.as_bytes())
            .map_err(|error| DocumentError::Malformed { number, why: error.to_string() })?;
        if value.is_null() {
            continue;
        }
        let is_object = value["apiVersion"].is_string() && value["kind"].is_string() && value["metadata"].is_object();
        objects.push(is_object.then_some(value).ok_or(DocumentError::NoObject(number))?);
    }
    Ok(objects)
}

/// Documents stand between lines that begin with `---`.
fn split(text: &str) -> impl Iterator<Item = String> {
    let mut documents = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == "---" || line.starts_with("--- ") {
            documents.push(String::new());
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    documents.into_iter().filter(|document| !document.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_objects_of_several_documents() {
        let text = "---\n# nothing\n---\napiVersion: v1\nkind: A\nmetadata: {name: a}\n--- # next\n\
                    {\"apiVersion\": \"v1\", \"kind\": \"B\", \"metadata\": {}}\n";
        let objects = read(text).expect("objects");
        let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap_or_default()).collect();
        assert_eq!(kinds, ["A", "B"]);
        assert_eq!(read("").expect("nothing").len(), 0);
    }

    #[test]
    fn lines_in_block_texts_do_not_split() {
        let text = "apiVersion: v1\nkind: A\nmetadata: {name: a}\ndata:\n  x: |\n    ---\n    b\n";
        let objects = read(text).expect("objects");
        assert_eq!(objects[0]["data"]["x"], "---\nb\n");
    }

    #[test]
    fn says_which_document_is_wrong() {
        let fine = "apiVersion: v1\nkind: A\nmetadata: {name: a}\n---\n";
        assert_eq!(read(&format!("{fine}kind: B\n")), Err(DocumentError::NoObject(2)));
        assert!(matches!(read(&format!("{fine}a: [")), Err(DocumentError::Malformed { number: 2, .. })));
        assert_eq!(read(&fine.repeat(DOCUMENTS + 1)), Err(DocumentError::Many));
        let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n\
                    d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e]\n";
        assert!(read(bomb).is_err(), "aliases do not multiply without end");
    }
}
