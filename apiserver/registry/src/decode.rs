//! Request bodies to trees of the expected kind, with upstream's words for what is wrong with them.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/{create,update}.go` and `rest.go`
//! (`transformDecodeError`).

use crate::{Body, Context, Format};
use apimachinery::Value;
use apimachinery::codec::json::Head;
use apimachinery::codec::{DecodeError, Decoded, FieldValidation, NO_KIND, json, protobuf, yaml};
use apimachinery::go::quoted;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::{Origin, Schema, TypeRef};
use apimachinery::status::Status;

/// Decodes a body as an object of `kind`; `kind` and `apiVersion` are filled in if absent, but for custom resources, which
/// say what they are.
pub(crate) fn object(cx: &Context, body: &Body, ty: &TypeRef, kind: &GroupVersionKind) -> Result<Value, Status> {
    let read = read(ty, body);
    match read {
        // What came out whole and is what it should be needs no second look.
        Ok(Decoded { value, findings }) if findings.is_empty() && is_of(&value, kind) => Ok(value),
        read => {
            let head = head(body).map_err(|why| unrecognized(cx, body, kind, &why))?;
            if head.api_version.matches('/').count() > 1 {
                let why = format!("unexpected GroupVersion string: {}", head.api_version);
                return Err(unrecognized(cx, body, kind, &why));
            }
            match ty.schema.origin {
                Origin::Definition => custom(cx, body, kind, &head, read),
                _ => builtin(cx, body, kind, &head, read),
            }
        }
    }
}

type Read = Result<Decoded, DecodeError>;

fn read(ty: &TypeRef, body: &Body) -> Read {
    let decoded = match body.format {
        Format::Json => json::decode(ty, &body.bytes),
        Format::Yaml => yaml::decode(ty, &body.bytes),
        Format::Protobuf => message(ty, body),
    };
    match decoded {
        // Go reads `null` as an object of which nothing is set.
        Err(DecodeError::Mismatch { found, .. }) if found == "null" => json::decode(ty, b"{}"),
        decoded => decoded,
    }
}

fn is_of(value: &Value, kind: &GroupVersionKind) -> bool {
    let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    text("kind") == kind.kind && text("apiVersion") == kind.api_version()
}

/// What a body says it is, or in upstream's words why it does not.
pub fn head(body: &Body) -> Result<Head, String> {
    let told = |error: DecodeError| match error {
        DecodeError::Limit(limit) => {
            let opened = if body.bytes.trim_ascii_start().first() == Some(&b'[') { '[' } else { '{' };
            format!("{NO_KIND}invalid character '{opened}' {limit}")
        }
        error => format!("{NO_KIND}{error}"),
    };
    match body.format {
        Format::Json => json::head(&body.bytes).map_err(told),
        Format::Yaml => {
            let tree = yaml::to_value(&body.bytes).map_err(|error| error.to_string())?;
            json::head_of(&tree).map_err(told)
        }
        Format::Protobuf => {
            let envelope = protobuf::open(&body.bytes).map_err(|error| error.to_string())?;
            Ok(Head { kind: envelope.kind, api_version: envelope.api_version })
        }
    }
}

/// An object that is read as what it says it is, or else as what it should be, and then must be of that kind and version.
///
/// Upstream: `Decode` in `apimachinery/pkg/runtime/serializer/{json/json,versioning/versioning}.go`.
fn builtin(cx: &Context, body: &Body, kind: &GroupVersionKind, head: &Head, read: Read) -> Result<Value, Status> {
    let wanted = kind.api_version();
    let version = if head.api_version.is_empty() { &wanted } else { &head.api_version };
    let name = if head.kind.is_empty() { &*kind.kind } else { &head.kind };
    let given = GroupVersionKind::parse(version, name).unwrap_or_else(|| kind.clone());
    if given == *kind {
        let decoded = read.map_err(|error| unfit(cx, &given, kind, &error.to_string()))?;
        return accepted(cx, decoded, &given, kind);
    }
    if !is_registered(&given, &kind.group) {
        return Err(unfit(cx, &given, kind, &unregistered_in(&kind.group, name, version)));
    }
    let Some(other) = Schema::builtin().kind(&given) else {
        return Err(unfit(cx, &given, kind, &converting(&given, kind)));
    };
    let decoded = self::read(&other, body).map_err(|error| unfit(cx, &given, kind, &error.to_string()))?;
    if given.kind != kind.kind {
        return Err(unfit(cx, &given, kind, &converting(&given, kind)));
    }
    let is_old_eviction = *name == *"Eviction" && *version == *"policy/v1beta1";
    let value = accepted(cx, decoded, &given, kind)?;
    // Of evictions upstream takes the version that went before, too.
    if is_old_eviction { Ok(value) } else { Err(other_version(version, &wanted)) }
}

/// An object with its findings judged, as one of the kind that was wanted.
fn accepted(
    cx: &Context,
    Decoded { mut value, findings }: Decoded,
    given: &GroupVersionKind,
    kind: &GroupVersionKind,
) -> Result<Value, Status> {
    judge(cx, findings, |text| unfit(cx, given, kind, &text))?;
    let Some(map) = value.as_object_mut() else {
        return Err(Status::bad_request("the object provided is not an object"));
    };
    map.insert("kind".into(), kind.kind.as_ref().into());
    map.insert("apiVersion".into(), kind.api_version().into());
    Ok(value)
}

/// A custom resource, which says what it is, and may be of another kind: that is for validation to refuse.
///
/// Upstream: `unstructuredSchemaCoercer` in `apiextensions-apiserver/pkg/apiserver/customresource_handler.go`.
fn custom(cx: &Context, body: &Body, kind: &GroupVersionKind, head: &Head, read: Read) -> Result<Value, Status> {
    let tree = match body.format {
        Format::Yaml => yaml::to_value(&body.bytes),
        _ => json::to_value(&body.bytes),
    };
    let tree = tree.map_err(|error| {
        let version = if head.api_version.is_empty() { kind.api_version() } else { head.api_version.clone() };
        let name = if head.kind.is_empty() { kind.kind.to_string() } else { head.kind.clone() };
        unfit(cx, &GroupVersionKind::parse(&version, &name).unwrap_or_else(|| kind.clone()), kind, &error.to_string())
    })?;
    let text = |key: &str| tree.get(key).and_then(Value::as_str).unwrap_or_default();
    let given = GroupVersionKind::parse(text("apiVersion"), text("kind")).filter(|given| !given.kind.is_empty());
    let Some(given) = given else {
        let missing = DecodeError::MissingKind(String::from_utf8_lossy(&body.bytes).into_owned());
        return Err(unrecognized(cx, body, kind, &missing.to_string()));
    };
    if tree.get("apiVersion").is_some_and(Value::is_null) {
        let why = ".apiVersion accessor error: <nil> is of the type <nil>, expected string";
        return Err(unfit(cx, &given, kind, why));
    }
    // Nobody knows what belongs into an object of another kind.
    let read = if given == *kind { read } else { self::read(json::any_kind(), body) };
    let Decoded { value, findings } = read.map_err(|error| unfit(cx, &given, kind, &error.to_string()))?;
    judge(cx, findings, |text| unfit(cx, &given, kind, &text))?;
    match (&given.group, &given.version) == (&kind.group, &kind.version) {
        true => Ok(value),
        false => Err(other_version(text("apiVersion"), &kind.api_version())),
    }
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

fn other_version(version: &str, wanted: &str) -> Status {
    Status::bad_request(format!(
        "the API version in the data ({version}) does not match the expected API version ({wanted})"
    ))
}

/// Whether upstream knows a kind where it looks for those of a group: two groups have places of their own.
pub(crate) fn is_registered(kind: &GroupVersionKind, group: &str) -> bool {
    let has_own_place = |group: &str| matches!(group, "apiextensions.k8s.io" | "apiregistration.k8s.io");
    let is_there = kind.group == group || !has_own_place(group) && !has_own_place(&kind.group);
    EVERYWHERE.contains(&&*kind.kind) || is_there && Schema::builtin().kind(kind).is_some()
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

/// What was read as one kind and does not do as another.
///
/// Upstream: `transformDecodeError` in `endpoints/handlers/rest.go`.
fn unfit(cx: &Context, given: &GroupVersionKind, kind: &GroupVersionKind, why: &str) -> Status {
    let version = quoted(&given.version);
    let text = format!("{} in version {version} cannot be handled as a {}: {why}", given.kind, kind.kind);
    undecodable(cx, text)
}

fn unrecognized(cx: &Context, body: &Body, kind: &GroupVersionKind, why: &str) -> Status {
    let head = summary(&body.bytes);
    undecodable(cx, format!("the object provided is unrecognized (must be of type {}): {why} ({head})", kind.kind))
}

/// Of a custom resource's scale upstream does not find the words: what it looks them up by does not know scales.
fn undecodable(cx: &Context, text: String) -> Status {
    match cx.resource.custom.is_some() && cx.subresource_name() == "scale" {
        true => Status::bad_request(
            "no kind is registered for the type v1.Scale in scheme \
             \"k8s.io/apiextensions-apiserver/pkg/apiserver/customresource_handler.go:781\"",
        ),
        false => Status::bad_request(text),
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

    fn decoded(text: &str) -> Result<Value, Status> {
        let cx = crate::context::testing::context("", "pods");
        let body = Body { format: Format::Json, bytes: text.to_owned().into() };
        object(&cx, &body, &cx.resource.schema, &pod())
    }

    #[test]
    fn fills_in_and_checks_the_kind() {
        for body in [
            "{}",
            r#"{"kind":"Pod"}"#,
            r#"{"apiVersion":"v1"}"#,
            r#"{"kind":"Pod","apiVersion":"v1"}"#,
            r#"{"Kind":"Pod","ApiVersion":"v1"}"#,
            "null",
        ] {
            let pod = decoded(body).expect("a pod");
            assert_eq!((&pod["kind"], &pod["apiVersion"]), (&json!("Pod"), &json!("v1")), "{body}");
        }
        for (body, want) in [
            (
                r#"{"kind":"Pod","apiVersion":"apps/v1"}"#,
                "Pod in version \"v1\" cannot be handled as a Pod: no kind \"Pod\" is registered for version \"apps/v1\" \
                 in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            ),
            (
                r#"{"kind":"Service","apiVersion":"v1"}"#,
                "Service in version \"v1\" cannot be handled as a Pod: converting (v1.Service) to (core.Pod): unknown \
                 conversion",
            ),
            (
                r#"{"kind":"Service","apiVersion":"v1","spec":5}"#,
                "Service in version \"v1\" cannot be handled as a Pod: json: cannot unmarshal number into Go struct field \
                 Service.spec of type v1.ServiceSpec",
            ),
            (
                r#"{"kind":"Foo","apiVersion":"v1","spec":5}"#,
                "Foo in version \"v1\" cannot be handled as a Pod: no kind \"Foo\" is registered for version \"v1\" in \
                 scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            ),
        ] {
            let status = decoded(body).expect_err("refused");
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
            (
                Format::Json,
                "{\"kind\":7,}",
                format!("{NO_KIND}invalid character '}}' looking for beginning of object key string ({{\"kind\":7,}})"),
            ),
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
