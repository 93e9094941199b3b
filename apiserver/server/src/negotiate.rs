//! Content negotiation: which form the client wants; `bodies` is which form its body has, `router` what upstream's router
//! looks at before.
//!
//! Upstream: `apiserver/pkg/endpoints/handlers/negotiation`, `.../handlers/response.go`.

mod accept;
mod bodies;
mod router;

use accept::{Clause, clauses};
pub use bodies::{body_format, patch_type};
pub(crate) use router::{routed, routed_to};

use crate::query::Query;
use apimachinery::resources::ResourceInfo;
use apimachinery::status::{Reason, Status};
use http::HeaderMap;
use http::header::{ACCEPT, USER_AGENT};

/// Encodings of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub enum Media {
    #[default]
    Json,
    Yaml,
    Protobuf,
}

/// What of an object is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum View {
    /// All of it.
    #[default]
    Whole,
    /// A `Table`.
    Table,
    /// `PartialObjectMetadata`, or its list.
    Metadata,
}

/// `includeObject`: what a Table's rows carry of their objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum RowObject {
    /// Their metadata.
    #[default]
    Metadata,
    /// All of them.
    Object,
    /// Nothing.
    None,
}

impl RowObject {
    /// Reads the parameter.
    pub fn of(query: &Query<'_>) -> Result<Self, Status> {
        match query.get("includeObject").unwrap_or_default() {
            "" | "Metadata" => Ok(RowObject::Metadata),
            "Object" => Ok(RowObject::Object),
            "None" => Ok(RowObject::None),
            other => Err(Status::bad_request(format!(
                "Unable to convert to Table as requested: includeObject: Invalid value: {other:?}: must be 'Metadata', 'Object', \
                 'None', or empty"
            ))),
        }
    }
}

/// The negotiated form of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Output {
    /// Encoding.
    pub media: Media,
    /// Transformation.
    pub view: View,
    /// The transformation was asked for in `meta.k8s.io/v1beta1`.
    pub beta: bool,
    /// Indented JSON.
    pub pretty: bool,
    /// What the rows of a Table carry.
    pub rows: RowObject,
    /// The metadata of a list was asked for where there is one object, or that of an object where there is a list: what
    /// was done cannot be shown.
    pub misfit: bool,
}

/// In which forms there are whole objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Forms {
    All,
    /// Custom resources have no protobuf form.
    Text,
}

impl Forms {
    fn of(resource: &ResourceInfo) -> Self {
        if resource.custom.is_some() { Forms::Text } else { Forms::All }
    }
}

impl Output {
    /// Whether the rows of a Table can carry what the client wants. Upstream looks when all else is done.
    ///
    /// # Errors
    /// 400.
    pub fn check_rows(&self, query: &Query<'_>) -> Result<(), Status> {
        if self.view == View::Table { RowObject::of(query).map(drop) } else { Ok(()) }
    }

    /// What is made of parts of custom resources is sent as text, too.
    fn readable(self, resource: &ResourceInfo) -> Self {
        match (self.media, &resource.custom) {
            (Media::Protobuf, Some(_)) => Self { media: Media::Json, ..self },
            _ => self,
        }
    }
}

/// Which transformations an endpoint offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// None: errors, fixed documents.
    Plain,
    /// Metadata of one object: reviews, subresources with kinds of their own.
    Part,
    /// Tables and metadata of one object.
    Object,
    /// Tables and metadata of a list.
    List,
}

const MEDIA: &[(&str, &str, Media)] = &[
    ("application", "json", Media::Json),
    ("application", "yaml", Media::Yaml),
    ("application", "vnd.kubernetes.protobuf", Media::Protobuf),
];
pub(crate) const SUPPORTED: &str = "application/json, application/yaml, application/vnd.kubernetes.protobuf";
const STREAMED: &str = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch";
impl Media {
    /// The `Content-Type` of a response.
    pub fn content_type(self) -> &'static str {
        match self {
            Media::Json => "application/json",
            Media::Yaml => "application/yaml",
            Media::Protobuf => "application/vnd.kubernetes.protobuf",
        }
    }

    /// The `Content-Type` of a watch.
    pub fn stream_content_type(self) -> &'static str {
        match self {
            Media::Protobuf => "application/vnd.kubernetes.protobuf;stream=watch",
            _ => "application/json",
        }
    }
}

/// The form of a response that is sent in one piece.
pub fn output(headers: &HeaderMap, query: &Query<'_>, offers: Offers) -> Result<Output, Status> {
    whole(headers, query, offers, Forms::All)
}

/// The form of a response about a resource's objects.
pub fn output_of(
    headers: &HeaderMap,
    query: &Query<'_>,
    offers: Offers,
    resource: &ResourceInfo,
) -> Result<Output, Status> {
    Ok(whole(headers, query, offers, Forms::of(resource))?.readable(resource))
}

fn whole(headers: &HeaderMap, query: &Query<'_>, offers: Offers, forms: Forms) -> Result<Output, Status> {
    let mut output = accept(headers, offers, forms).ok_or_else(|| not_acceptable(SUPPORTED))?;
    output.pretty = output.media == Media::Json && (output.pretty || wants_pretty(headers, query));
    if output.view == View::Table {
        output.rows = RowObject::of(query).unwrap_or_default();
    }
    Ok(output)
}

/// The form of a watch.
pub fn stream_output(headers: &HeaderMap, query: &Query<'_>, resource: &ResourceInfo) -> Result<Output, Status> {
    match accept(headers, Offers::Object, Forms::of(resource)).map(|output| output.readable(resource)) {
        Some(output) if output.media != Media::Yaml && !output.misfit => {
            let rows = if output.view == View::Table { RowObject::of(query)? } else { RowObject::default() };
            Ok(Output { pretty: false, rows, ..output })
        }
        _ => Err(not_acceptable(STREAMED)),
    }
}

/// Whether there is a form at all that the client takes.
///
/// # Errors
/// 406.
pub fn acceptable(headers: &HeaderMap, resource: &ResourceInfo) -> Result<(), Status> {
    accept(headers, Offers::Object, Forms::of(resource)).map(|_| ()).ok_or_else(|| not_acceptable(SUPPORTED))
}

/// 406 for what has been done and cannot be shown as the client wants it.
///
/// Upstream: `asPartialObjectMetadata` and its sibling in `apiserver/pkg/endpoints/handlers/response.go`.
pub fn misfit(group: &str, kind: &str, is_list: bool) -> Status {
    let package = match group.split('.').next().unwrap_or_default() {
        "" | "events" => "core",
        first => first,
    };
    let message = match is_list {
        true => {
            format!("you requested PartialObjectMetadata, but the requested object is a list (*{package}.{kind})")
        }
        false => {
            format!(
                "you requested PartialObjectMetadataList, but the requested object is not a list (*{package}.{kind})"
            )
        }
    };
    Status::plain(406, Reason::NotAcceptable, message)
}

/// The form of an error: the client's choice if it can be met, indented JSON otherwise.
pub fn error_output(headers: &HeaderMap, query: &Query<'_>) -> Output {
    output(headers, query, Offers::Plain).unwrap_or(Output { pretty: true, ..Output::default() })
}

fn not_acceptable(supported: &str) -> Status {
    let message = format!("only the following media types are accepted: {supported}");
    Status::plain(406, Reason::NotAcceptable, message)
}

fn wants_pretty(headers: &HeaderMap, query: &Query<'_>) -> bool {
    match query.get("pretty") {
        Some(value) if !value.is_empty() => matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"),
        _ => {
            let agent = headers.get(USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default();
            ["curl", "Wget", "Mozilla/5.0"].iter().any(|a| agent.starts_with(a))
        }
    }
}

fn accept(headers: &HeaderMap, offers: Offers, forms: Forms) -> Option<Output> {
    let header = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    match header {
        "" | "application/json" | "*/*" => return Some(Output::default()),
        _ => {}
    }
    clauses(header).into_iter().find_map(|clause| {
        MEDIA
            .iter()
            .filter(|(kind, subtype, _)| clause.matches(kind, subtype))
            .find_map(|(_, _, media)| options(&clause, *media, offers, forms))
    })
}

/// What the client likes best of the types that a fixed document has, by type and subtype.
pub(crate) fn prefer<T: Copy>(headers: &HeaderMap, forms: &[(&str, &str, T)]) -> Option<T> {
    let header = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).filter(|header| !header.is_empty());
    clauses(header.unwrap_or("*/*"))
        .into_iter()
        .find_map(|clause| forms.iter().find(|(kind, subtype, _)| clause.matches(kind, subtype)))
        .map(|(_, _, form)| *form)
}

/// The parameters of a clause, if this endpoint can meet them.
fn options(clause: &Clause<'_>, media: Media, offers: Offers, forms: Forms) -> Option<Output> {
    let mut output = Output { media, ..Output::default() };
    let (mut kind, mut group, mut version) = (None, None, None);
    let (mut stream, mut server_version) = ("", "");
    for (key, value) in clause.parameters() {
        match key {
            "as" => kind = Some(value),
            "g" => group = Some(value),
            "v" => version = Some(value),
            "pretty" => output.pretty = value == "1",
            "stream" => stream = value,
            "sv" => server_version = value,
            _ => {}
        }
    }
    let is_served = server_version.is_empty() || server_version == "v1" && offers != Offers::Plain;
    if !is_served || !(stream.is_empty() || stream == "watch" && media != Media::Yaml) {
        return None;
    }
    let (kind, group, version) = match (kind, group, version) {
        (None, None, None) => return (media != Media::Protobuf || forms == Forms::All).then_some(output),
        (kind, group, version) => (kind.unwrap_or_default(), group.unwrap_or_default(), version.unwrap_or_default()),
    };
    if group != "meta.k8s.io" || !matches!(version, "v1" | "v1beta1") {
        return None;
    }
    output.beta = version == "v1beta1";
    output.view = match (kind, offers) {
        ("Table", Offers::Object | Offers::List) if media != Media::Protobuf => View::Table,
        ("PartialObjectMetadata", Offers::Object | Offers::Part) | ("PartialObjectMetadataList", Offers::List) => {
            View::Metadata
        }
        ("PartialObjectMetadata", Offers::List) | ("PartialObjectMetadataList", Offers::Object | Offers::Part) => {
            output.misfit = true;
            View::Whole
        }
        _ => return None,
    };
    Some(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, accept.parse().expect("a value"))])
    }

    fn negotiated(accept: &str, offers: Offers) -> Option<(Media, View)> {
        let output = output(&headers(accept), &Query::default(), offers).ok()?;
        Some((output.media, output.view))
    }

    const KUBECTL: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";

    #[test]
    fn misfits_are_told_when_all_is_done() {
        for (kind, offers, is_misfit) in [
            ("PartialObjectMetadata", Offers::List, true),
            ("PartialObjectMetadataList", Offers::List, false),
            ("PartialObjectMetadataList", Offers::Object, true),
            ("PartialObjectMetadataList", Offers::Part, true),
            ("PartialObjectMetadata", Offers::Part, false),
        ] {
            let accept = format!("application/json;as={kind};v=v1;g=meta.k8s.io");
            let output = output(&headers(&accept), &Query::default(), offers).expect("negotiated");
            assert_eq!(output.misfit, is_misfit, "{kind} {offers:?}");
        }
        for (group, kind, is_list, want) in [
            (
                "",
                "PodList",
                true,
                "you requested PartialObjectMetadata, but the requested object is a list (*core.PodList)",
            ),
            (
                "rbac.authorization.k8s.io",
                "Role",
                false,
                "you requested PartialObjectMetadataList, but the requested object is not a list (*rbac.Role)",
            ),
        ] {
            let status = misfit(group, kind, is_list);
            assert_eq!((status.code, status.message.as_str()), (406, want));
        }
    }

    #[test]
    fn accept_headers() {
        for (accept, offers, want) in [
            ("", Offers::List, Some((Media::Json, View::Whole))),
            ("*/*", Offers::List, Some((Media::Json, View::Whole))),
            ("application/*", Offers::List, Some((Media::Json, View::Whole))),
            ("application/yaml", Offers::List, Some((Media::Yaml, View::Whole))),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Offers::List,
                Some((Media::Protobuf, View::Whole)),
            ),
            ("application/json;q=0.5, application/yaml", Offers::List, Some((Media::Yaml, View::Whole))),
            (KUBECTL, Offers::List, Some((Media::Json, View::Table))),
            (KUBECTL, Offers::Plain, Some((Media::Json, View::Whole))),
            ("application/json;as=Table;v=v1;g=meta.k8s.io", Offers::Plain, None),
            (
                "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io",
                Offers::List,
                Some((Media::Json, View::Metadata)),
            ),
            ("application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", Offers::Plain, None),
            (
                "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
                Offers::Object,
                Some((Media::Json, View::Metadata)),
            ),
            ("text/html", Offers::List, None),
            ("text/html, */*;q=0.1", Offers::List, Some((Media::Json, View::Whole))),
        ] {
            assert_eq!(negotiated(accept, offers), want, "{accept}");
        }
    }

    #[test]
    fn refusals_name_what_is_supported() {
        let refusal = output(&headers("text/html"), &Query::default(), Offers::Plain).expect_err("not acceptable");
        assert_eq!(
            (refusal.code, refusal.message.as_str()),
            (
                406,
                "only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf"
            )
        );
        let pods = apimachinery::resources::find("", "v1", "pods").expect("served");
        let refusal = stream_output(&headers("application/yaml"), &Query::default(), pods).expect_err("not acceptable");
        assert!(refusal.message.ends_with(STREAMED));
    }

    #[test]
    fn humans_get_indented_json() {
        let agent = |a: &str| HeaderMap::from_iter([(USER_AGENT, a.parse().expect("a value"))]);
        let pretty = |h: &HeaderMap, q: &str| output(h, &Query::parse(q), Offers::Plain).is_ok_and(|o| o.pretty);
        assert!(pretty(&agent("curl/8"), ""));
        assert!(!pretty(&agent("curl/8"), "pretty=false"));
        assert!(pretty(&HeaderMap::new(), "pretty=true"));
        assert!(!pretty(&agent("kubectl"), ""));
    }
}
