//! Request bodies to trees of the expected kind, with upstream's words for what is wrong with them.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/{create,update}.go` and `rest.go`
//! (`transformDecodeError`).

use crate::{Body, Context, Format};
use apimachinery::Value;
use apimachinery::codec::{DecodeError, Decoded, FieldValidation, NO_KIND, json, protobuf, yaml};
use apimachinery::go::quoted;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Origin, Schema, TypeRef};
use apimachinery::status::Status;

/// Decodes a body as an object of `kind`; `kind` and `apiVersion` are filled in if absent.
pub(crate) fn object(cx: &Context, body: &Body, ty: &TypeRef, kind: &GroupVersionKind) -> Result<Value, Status> {
    let decoded = match body.format {
        Format::Json => json::decode(ty, &body.bytes),
        Format::Yaml => yaml::decode(ty, &body.bytes),
        Format::Protobuf => message(ty, body),
    };
    // Go reads `null` as an object of which nothing is set.
    let decoded = match decoded {
        Err(DecodeError::Mismatch { found, .. }) if found == "null" => json::decode(ty, b"{}"),
        decoded => decoded,
    };
    if ty.schema.origin == Origin::Definition {
        require_kind(body, kind, &decoded)?;
    }
    let Decoded { value, findings } = decoded.map_err(|error| {
        // That it is of a kind that nobody knows explains more than the types of its fields.
        let unknown = Some(body)
            .filter(|_| error.nameless().is_none())
            .and_then(head)
            .and_then(|(given, version)| check_kind(&given, &version, kind, &kind.api_version()).err());
        unknown.unwrap_or_else(|| refused(body, kind, &error))
    })?;
    let version = value.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    if version.matches('/').count() > 1 {
        return Err(unrecognized(body, kind, &format!("unexpected GroupVersion string: {version}")));
    }
    if ty.schema.origin == Origin::Definition && version.is_empty() {
        return Err(other_version(version, &kind.api_version()));
    }
    // Another kind has other fields: that it is the wrong kind explains more than its fields.
    let value = with_kind(value, kind)?;
    judge(cx, findings, |text| {
        Status::bad_request(format!("{0} in version {1:?} cannot be handled as a {0}: {text}", kind.kind, kind.version))
    })?;
    Ok(value)
}

/// Custom resources say what they are; of others it is known.
///
/// Upstream: `UnstructuredJSONScheme` in `apimachinery/pkg/apis/meta/v1/unstructured`.
fn require_kind(body: &Body, kind: &GroupVersionKind, decoded: &Result<Decoded, DecodeError>) -> Result<(), Status> {
    let is_told = match decoded {
        Ok(decoded) => !decoded.value.get("kind").and_then(Value::as_str).unwrap_or_default().is_empty(),
        Err(error) if error.nameless().is_some() => true,
        Err(_) => head(body).is_none_or(|(kind, _)| !kind.is_empty()),
    };
    match is_told {
        true => Ok(()),
        false => {
            let text = String::from_utf8_lossy(&body.bytes).into_owned();
            Err(unrecognized(body, kind, &DecodeError::MissingKind(text).to_string()))
        }
    }
}

/// The kind and version that a body has, whatever else is wrong with it.
fn head(body: &Body) -> Option<(String, String)> {
    let value = match body.format {
        Format::Json => json::to_value(&body.bytes).ok()?,
        Format::Yaml => yaml::to_value(&body.bytes).ok()?,
        Format::Protobuf => return protobuf::open(&body.bytes).ok().map(|open| (open.kind, open.api_version)),
    };
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some((text("kind"), text("apiVersion")))
}

/// Passes what strict decoding found to the client, as the request's `fieldValidation` wants it.
pub(crate) fn judge(cx: &Context, findings: Vec<String>, refuse: impl FnOnce(String) -> Status) -> Result<(), Status> {
    if findings.is_empty() {
        return Ok(());
    }
    match cx.field_validation {
        FieldValidation::Strict => Err(refuse(format!("strict decoding error: {}", findings.join(", ")))),
        FieldValidation::Ignore => Ok(()),
        FieldValidation::Warn => {
            findings.iter().flat_map(|finding| warnings(finding)).for_each(|text| cx.warn(text));
            Ok(())
        }
    }
}

/// What a finding is as warnings: YAML's keys that are given twice come all in one, below a heading.
///
/// Upstream: `parseYAMLWarnings` in `apiserver/pkg/endpoints/handlers/rest.go`.
pub(crate) fn warnings(finding: &str) -> Vec<String> {
    const HEADING: &str = "yaml: unmarshal errors:\n";
    let listed = finding.strip_prefix("error converting YAML to JSON: ").unwrap_or(finding).strip_prefix(HEADING);
    match listed {
        None => vec![finding.to_owned()],
        Some(lines) => lines.split('\n').map(|line| line.trim().to_owned()).collect(),
    }
}

fn message(ty: &TypeRef, body: &Body) -> Result<Decoded, DecodeError> {
    let envelope = protobuf::open(&body.bytes)?;
    if envelope.content_type.contains("json") {
        return json::decode(ty, envelope.raw);
    }
    let mut value = protobuf::decode(ty, envelope.raw)?;
    for (key, text) in [("kind", envelope.kind), ("apiVersion", envelope.api_version)] {
        if let (false, Some(map)) = (text.is_empty(), value.as_object_mut()) {
            map.insert(key.into(), text.into());
        }
    }
    Ok(Decoded { value, findings: Vec::new() })
}

/// Checks the body's kind and version; absent ones are the expected ones.
fn with_kind(mut value: Value, expected: &GroupVersionKind) -> Result<Value, Status> {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let wanted = expected.api_version();
    let (kind, version) = (text("kind"), text("apiVersion"));
    if kind == expected.kind && version == wanted {
        return Ok(value);
    }
    check_kind(kind, version, expected, &wanted)?;
    let Some(map) = value.as_object_mut() else {
        return Err(Status::bad_request("the object provided is not an object"));
    };
    map.insert("kind".into(), expected.kind.as_ref().into());
    map.insert("apiVersion".into(), wanted.into());
    Ok(value)
}

fn check_kind(kind: &str, version: &str, expected: &GroupVersionKind, wanted: &str) -> Result<(), Status> {
    let kind = if kind.is_empty() { expected.kind.as_ref() } else { kind };
    let version = if version.is_empty() { wanted } else { version };
    let is_known =
        || GroupVersionKind::parse(version, kind).is_some_and(|given| Schema::builtin().kind(&given).is_some());
    if kind != expected.kind || version != wanted && !is_known() {
        return Err(wrong_kind(kind, version, expected));
    }
    if version != wanted {
        return Err(other_version(version, wanted));
    }
    Ok(())
}

fn other_version(version: &str, wanted: &str) -> Status {
    Status::bad_request(format!(
        "the API version in the data ({version}) does not match the expected API version ({wanted})"
    ))
}

fn wrong_kind(kind: &str, version: &str, expected: &GroupVersionKind) -> Status {
    let Some(given) = GroupVersionKind::parse(version, kind) else {
        return Status::bad_request(format!("unexpected GroupVersion string: {version}"));
    };
    let why = match is_registered(&given) {
        true => converting(&given, expected),
        false => unregistered_in(&expected.group, kind, version),
    };
    Status::bad_request(format!(
        "{kind} in version {:?} cannot be handled as a {}: {why}",
        given.version, expected.kind
    ))
}

/// Whether upstream knows a kind.
pub(crate) fn is_registered(kind: &GroupVersionKind) -> bool {
    EVERYWHERE.contains(&&*kind.kind) || Schema::builtin().kind(kind).is_some()
}

/// Upstream's words for an object of one kind that should be one of another.
pub(crate) fn converting(given: &GroupVersionKind, wanted: &GroupVersionKind) -> String {
    let (version, kind, wanted_kind) = (&given.version, &given.kind, &wanted.kind);
    format!("converting ({version}.{kind}) to ({}.{wanted_kind}): unknown conversion", package(&wanted.group))
}

/// Kinds that upstream knows in every version of every group.
const EVERYWHERE: [&str; 12] = [
    "APIGroup",
    "APIGroupList",
    "APIResourceList",
    "APIVersions",
    "CreateOptions",
    "DeleteOptions",
    "GetOptions",
    "ListOptions",
    "PatchOptions",
    "Status",
    "UpdateOptions",
    "WatchEvent",
];

/// Upstream's words for a kind that nothing is known of, with the place where it keeps what it knows of a group.
pub(crate) fn unregistered_in(group: &str, kind: &str, version: &str) -> String {
    let scheme = match group {
        "apiextensions.k8s.io" => "k8s.io/apiextensions-apiserver/pkg/apiserver/apiserver.go:55",
        "apiregistration.k8s.io" => "k8s.io/kube-aggregator/pkg/apiserver/scheme/scheme.go:28",
        _ => "pkg/api/legacyscheme/scheme.go:30",
    };
    let wanted = match version {
        "" => format!("the internal version of group {}", quoted(group)),
        version => format!("version {}", quoted(version)),
    };
    format!("no kind {} is registered for {wanted} in scheme \"{scheme}\"", quoted(kind))
}

/// The name of the package that upstream keeps a group's internal types in.
fn package(group: &str) -> &str {
    match group.split('.').next() {
        None | Some("") => "core",
        Some(first) => first,
    }
}

fn refused(body: &Body, kind: &GroupVersionKind, error: &DecodeError) -> Status {
    // What is in a whole envelope is of a known kind.
    let known = matches!(error, DecodeError::Type(_) | DecodeError::Mismatch { .. })
        || body.format == Format::Protobuf && protobuf::open(&body.bytes).is_ok();
    match error.nameless() {
        Some(why) => unrecognized(body, kind, &format!("{NO_KIND}{why}")),
        None if known => Status::bad_request(format!(
            "{0} in version {1:?} cannot be handled as a {0}: {error}",
            kind.kind, kind.version
        )),
        None => unrecognized(body, kind, &syntax(body, error)),
    }
}

fn unrecognized(body: &Body, kind: &GroupVersionKind, why: &str) -> Status {
    let head = summary(&body.bytes);
    Status::bad_request(format!("the object provided is unrecognized (must be of type {}): {why} ({head})", kind.kind))
}

fn syntax(body: &Body, error: &DecodeError) -> String {
    match (body.format, error) {
        (Format::Json, DecodeError::Syntax(text)) => format!("{NO_KIND}{text}"),
        (Format::Json, DecodeError::Limit(limit)) => {
            let opened = if body.bytes.trim_ascii_start().first() == Some(&b'[') { '[' } else { '{' };
            format!("{NO_KIND}invalid character '{opened}' {limit}")
        }
        _ => error.to_string(),
    }
}

/// The first bytes of a body: as text if it looks like JSON, else in hexadecimal.
fn summary(bytes: &[u8]) -> String {
    const LENGTH: usize = 30;
    let head = &bytes[..bytes.len().min(LENGTH)];
    let more = if bytes.len() > LENGTH { " ..." } else { "" };
    match head.first() {
        None => "<empty>".into(),
        Some(b'{') => format!("{}{more}", String::from_utf8_lossy(head)),
        Some(_) => {
            let hex: String = head.iter().map(|b| format!("{b:02x}")).collect();
            format!("{hex}{more}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::codec::TYPE_META;
    use serde_json::json;

    fn pod() -> GroupVersionKind {
        GroupVersionKind::new("", "v1", "Pod")
    }

    #[test]
    fn fills_in_and_checks_the_kind() {
        let full = json!({"kind": "Pod", "apiVersion": "v1"});
        for body in [json!({}), json!({"kind": "Pod"}), json!({"apiVersion": "v1"}), full.clone()] {
            assert_eq!(with_kind(body, &pod()).expect("a pod"), full);
        }
        for (body, want) in [
            (
                json!({"kind": "Pod", "apiVersion": "apps/v1"}),
                "Pod in version \"v1\" cannot be handled as a Pod: no kind \"Pod\" is registered for version \"apps/v1\" \
                 in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            ),
            (
                json!({"kind": "Service", "apiVersion": "v1"}),
                "Service in version \"v1\" cannot be handled as a Pod: converting (v1.Service) to (core.Pod): unknown \
                 conversion",
            ),
            (
                json!({"kind": "Foo", "apiVersion": "v1"}),
                "Foo in version \"v1\" cannot be handled as a Pod: no kind \"Foo\" is registered for version \"v1\" in \
                 scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            ),
        ] {
            let status = with_kind(body, &pod()).expect_err("refused");
            assert_eq!((status.code, status.message.as_str()), (400, want));
        }
    }

    #[test]
    fn says_why_a_body_is_no_object() {
        use crate::context::testing::context;
        let cx = context("", "pods");
        let no_object = |found: &str, bytes: &str| {
            format!("{NO_KIND}json: cannot unmarshal {found} into Go value of type {TYPE_META} ({bytes})")
        };
        for (format, text, want) in [
            (Format::Json, "[]", no_object("array", "5b5d")),
            (Format::Json, "5", no_object("number", "35")),
            (Format::Json, "\"x\"", no_object("string", "227822")),
            (Format::Yaml, "x", no_object("string", "78")),
            (
                Format::Json,
                "{\"kind\":7}",
                format!(
                    "{NO_KIND}json: cannot unmarshal number into Go struct field .kind of type string ({{\"kind\":7}})"
                ),
            ),
            (
                Format::Json,
                "{\u{0}",
                [NO_KIND, "invalid character '\\x00' looking for beginning of object key string ({\u{0})"].concat(),
            ),
            (
                Format::Json,
                "{\"apiVersion\":\"a/b/c\"}",
                "unexpected GroupVersion string: a/b/c ({\"apiVersion\":\"a/b/c\"})".into(),
            ),
            (Format::Protobuf, "", "empty data (<empty>)".into()),
            (Format::Protobuf, "k8s\u{0}", "empty body (6b387300)".into()),
        ] {
            let body = Body { format, bytes: text.to_owned().into() };
            let refused = object(&cx, &body, &cx.resource.schema, &pod()).expect_err("refused");
            let want = format!("the object provided is unrecognized (must be of type Pod): {want}");
            assert_eq!((refused.code, refused.message), (400, want), "{text:?}");
        }
        let body = Body { format: Format::Json, bytes: r#"{"kind":"Foo","metadata":{"name":[]}}"#.into() };
        let refused = object(&cx, &body, &cx.resource.schema, &pod()).expect_err("refused");
        assert!(refused.message.starts_with("Foo in version \"v1\" cannot be handled as a Pod: no kind \"Foo\""));
        for (format, text) in [(Format::Json, "null"), (Format::Yaml, "---"), (Format::Json, "{}")] {
            let body = Body { format, bytes: text.to_owned().into() };
            let object = object(&cx, &body, &cx.resource.schema, &pod()).expect("a pod");
            assert_eq!(object["kind"], "Pod", "{text}");
        }
    }

    #[test]
    fn warns_of_each_key_that_is_given_twice() {
        for (finding, want) in [
            ("unknown field \"a\"", vec!["unknown field \"a\""]),
            (
                "yaml: unmarshal errors:\n  line 1: key \"a\" already set in map",
                vec!["line 1: key \"a\" already set in map"],
            ),
            (
                "error converting YAML to JSON: yaml: unmarshal errors:\n  line 1: x\n  line 2: y",
                vec!["line 1: x", "line 2: y"],
            ),
        ] {
            assert_eq!(warnings(finding), want);
        }
    }

    #[test]
    fn shows_the_head_of_a_body() {
        for (bytes, want) in [
            (&b""[..], "<empty>"),
            (b"{\"a\":1}", "{\"a\":1}"),
            (b"abc", "616263"),
            (b"{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}", "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaa ..."),
        ] {
            assert_eq!(summary(bytes), want);
        }
    }
}
