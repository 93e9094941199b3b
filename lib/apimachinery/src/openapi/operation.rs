//! An operation apart from the dialect it is written in.

use super::parameters::Parameter;
use crate::gvk::GroupVersionKind;

/// A path and what can be done there.
#[derive(Debug)]
pub(super) struct Path {
    pub(super) path: String,
    pub(super) operations: Vec<Operation>,
}

/// One method on a path.
#[derive(Debug)]
pub(super) struct Operation {
    /// HTTP method in lower case.
    pub(super) method: &'static str,
    /// `operationId`.
    pub(super) id: String,
    /// One line about it.
    pub(super) summary: String,
    /// The tag that groups it.
    pub(super) tag: String,
    /// `x-kubernetes-action` and the kind it works on; not for discovery.
    pub(super) action: Option<(&'static str, GroupVersionKind)>,
    /// All its parameters, those in the path included.
    pub(super) parameters: Vec<Parameter>,
    /// What it takes.
    pub(super) body: Option<Body>,
    /// What it answers, with these HTTP codes.
    pub(super) answer: Content,
    pub(super) codes: &'static [u16],
    /// Media types it answers in.
    pub(super) media: Media,
}

/// A request body.
#[derive(Debug)]
pub(super) enum Body {
    /// An object of this type.
    Object(String),
    /// `DeleteOptions`, which may be left out.
    Options,
    /// A patch of one of these types.
    Patch(&'static [&'static str]),
}

/// A value in a response.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// An object of this type.
    Object(String),
    /// Text.
    Text,
}

/// In what an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Media {
    Object,
    Watch,
    Log,
    Connection,
}

/// Patches of built-in resources.
pub(super) const PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Patches of custom resources: no strategic ones, which clients find out here.
pub(super) const CUSTOM_PATCHES: &[&str] =
    &["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];

impl Media {
    /// The media types.
    pub(super) fn types(self) -> &'static [&'static str] {
        const OBJECT: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
        const WATCH: &[&str] = &[
            "application/json",
            "application/yaml",
            "application/vnd.kubernetes.protobuf",
            "application/json;stream=watch",
            "application/vnd.kubernetes.protobuf;stream=watch",
        ];
        const LOG: &[&str] =
            &["text/plain", "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
        match self {
            Media::Object => OBJECT,
            Media::Watch => WATCH,
            Media::Log => LOG,
            Media::Connection => &["*/*"],
        }
    }
}

/// What an HTTP code means.
pub(super) fn meaning(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        _ => "Unauthorized",
    }
}

impl Path {
    /// The parameters that all operations of the path share: they stand beside the operations.
    pub(super) fn shared_parameters(&self) -> Vec<&Parameter> {
        let Some((first, rest)) = self.operations.split_first() else { return Vec::new() };
        first.parameters.iter().filter(|p| rest.iter().all(|o| o.parameters.contains(p))).collect()
    }
}
