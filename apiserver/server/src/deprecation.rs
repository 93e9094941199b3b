//! What clients of outdated kinds are told with every answer.
//!
//! Upstream: `apiserver/pkg/endpoints/deprecation`, `api/core/v1/lifecycle.go`.

use apimachinery::resources::ResourceInfo;

/// Built-in resources that are outdated, of the core group and version 1.
const OUTDATED: &[(&str, &str)] = &[
    ("componentstatuses", "v1 ComponentStatus is deprecated in v1.19+"),
    ("endpoints", "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
];

/// The warning that comes with a resource, if it is outdated.
pub(crate) fn warning(resource: &ResourceInfo) -> Option<&str> {
    if let Some(custom) = &resource.custom {
        return custom.warning();
    }
    let is_core = resource.group.is_empty() && resource.version == "v1";
    OUTDATED.iter().find(|(plural, _)| is_core && resource.plural == *plural).map(|(_, warning)| *warning)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apimachinery::resources;

    #[test]
    fn outdated_kinds_have_a_warning() {
        let of = |group: &str, plural: &str| warning(resources::find(group, "v1", plural).expect("built in"));
        assert_eq!(of("", "componentstatuses"), Some("v1 ComponentStatus is deprecated in v1.19+"));
        assert!(of("", "endpoints").is_some_and(|text| text.ends_with("; use discovery.k8s.io/v1 EndpointSlice")));
        assert_eq!((of("", "pods"), of("discovery.k8s.io", "endpointslices")), (None, None));
    }
}
