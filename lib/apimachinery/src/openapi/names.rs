//! How paths, tags and operations are called.

/// `api/v1` or `apis/GROUP/VERSION`.
pub(super) fn root(group: &str, version: &str) -> String {
    match group.is_empty() {
        true => format!("api/{version}"),
        false => format!("apis/{group}/{version}"),
    }
}

/// `core_v1`, `rbacAuthorization_v1`.
pub(super) fn tag(group: &str, version: &str) -> String {
    match version.is_empty() {
        true => group_word(group),
        false => format!("{}_{version}", group_word(group)),
    }
}

/// `CoreV1`, `RbacAuthorizationV1`: the middle of an operation's name.
pub(super) fn infix(group: &str, version: &str) -> String {
    format!("{}{}", capital(&group_word(group)), capital(version))
}

fn group_word(group: &str) -> String {
    if group.is_empty() {
        return "core".into();
    }
    let mut words = group.trim_end_matches(".k8s.io").split('.');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| name + &capital(word))
}

/// The word with its first letter in upper case.
pub(super) fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_upstream() {
        for (group, version, wanted) in [
            ("", "v1", ("api/v1", "core_v1", "CoreV1")),
            ("apps", "v1", ("apis/apps/v1", "apps_v1", "AppsV1")),
            (
                "rbac.authorization.k8s.io",
                "v1",
                ("apis/rbac.authorization.k8s.io/v1", "rbacAuthorization_v1", "RbacAuthorizationV1"),
            ),
            (
                "flowcontrol.apiserver.k8s.io",
                "v1",
                ("apis/flowcontrol.apiserver.k8s.io/v1", "flowcontrolApiserver_v1", "FlowcontrolApiserverV1"),
            ),
        ] {
            let got = (root(group, version), tag(group, version), infix(group, version));
            assert_eq!((&*got.0, &*got.1, &*got.2), wanted);
        }
    }
}
