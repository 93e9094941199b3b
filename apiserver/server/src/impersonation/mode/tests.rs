use super::*;

fn user(name: &str) -> UserInfo {
    UserInfo { name: name.into(), ..UserInfo::default() }
}

fn with_groups(name: &str, groups: &[&str]) -> UserInfo {
    UserInfo { groups: groups.iter().map(|group| (*group).to_owned()).collect(), ..user(name) }
}

fn with_extra(name: &str, extra: &[(&str, &[&str])]) -> UserInfo {
    let owned =
        |(key, values): &(&str, &[&str])| ((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
    UserInfo { extra: extra.iter().map(owned).collect(), ..user(name) }
}

/// The pod `robot` runs on node `n1`.
fn robot() -> UserInfo {
    with_extra("system:serviceaccount:ops:robot", &[(NODE_NAME, &["n1"]), ("b", &["x"])])
}

#[test]
fn each_way_is_for_some_users() {
    use Mode::{ArbitraryNode, AssociatedNode, Legacy, ServiceAccount, UserInfo as Other};
    for (requestor, wanted, want) in [
        (robot(), user("system:node:n1"), &[AssociatedNode, ArbitraryNode, Legacy][..]),
        (robot(), user("system:node:n2"), &[ArbitraryNode, Legacy]),
        (user("me"), user("system:node:n1"), &[ArbitraryNode, Legacy]),
        (with_extra("me", &[(NODE_NAME, &["n1"])]), user("system:node:n1"), &[ArbitraryNode, Legacy]),
        (
            with_extra("system:serviceaccount:ops:robot", &[(NODE_NAME, &["n1", "n2"])]),
            user("system:node:n1"),
            &[ArbitraryNode, Legacy],
        ),
        (robot(), with_groups("system:node:n1", &["g"]), &[Legacy]),
        (robot(), user("system:node:N1"), &[Other, Legacy]),
        (robot(), user("system:node:"), &[Other, Legacy]),
        (user("me"), user("system:serviceaccount:a:b"), &[ServiceAccount, Legacy]),
        (user("me"), with_groups("system:serviceaccount:a:b", &["g"]), &[Legacy]),
        (user("me"), with_extra("system:serviceaccount:a:b", &[("k", &["v"])]), &[Legacy]),
        (user("me"), user("system:serviceaccount:a.b:c"), &[Other, Legacy]),
        (user("me"), user("system:serviceaccount:a:b:c"), &[Other, Legacy]),
        (user("me"), with_groups("you", &["g"]), &[Other, Legacy]),
    ] {
        let fits: Vec<Mode> = Mode::ALL.into_iter().filter(|mode| mode.fits(&wanted, &requestor)).collect();
        assert_eq!(fits, want, "{} as {}", requestor.name, wanted.name);
    }
}

/// `group/resource/subresource namespace name`, with what is special about a step before it.
fn spelled(steps: Vec<Step>) -> Vec<String> {
    let check = |Check { group, resource, subresource, namespace, name }: Check| {
        format!("{group}/{resource}/{subresource} {namespace} {name}")
    };
    let step = |step| match step {
        Step::One(one) => vec![check(one)],
        Step::AllOrEach(all, each) => {
            let each = each.into_iter().map(check);
            [format!("either {}", check(all))].into_iter().chain(each).collect()
        }
        Step::Refuse(of, why) => vec![format!("refuse {}: {why}", check(of))],
    };
    steps.into_iter().flat_map(step).collect()
}

#[test]
fn each_part_of_a_user_must_be_allowed() {
    let all = UserInfo { uid: "1".into(), ..with_groups("you", &["a", "b"]) };
    let all = UserInfo { extra: with_extra("", &[("x.io/a", &["1", "2"])]).extra, ..all };
    for (mode, wanted, want) in [
        (Mode::AssociatedNode, user("system:node:n1"), &["authentication.k8s.io/nodes/  *"][..]),
        (Mode::ArbitraryNode, user("system:node:n1"), &["authentication.k8s.io/nodes/  n1"]),
        (Mode::Legacy, user("system:node:n1"), &["/users/  system:node:n1"]),
        (Mode::ServiceAccount, user("system:serviceaccount:a:b"), &["authentication.k8s.io/serviceaccounts/ a b"]),
        (Mode::Legacy, user("system:serviceaccount:a:b"), &["/serviceaccounts/ a b"]),
        (
            Mode::UserInfo,
            all.clone(),
            &[
                "authentication.k8s.io/users/  you",
                "authentication.k8s.io/uids/  1",
                "authentication.k8s.io/groups/  a",
                "authentication.k8s.io/groups/  b",
                "authentication.k8s.io/userextras/x.io/a  1",
                "authentication.k8s.io/userextras/x.io/a  2",
            ],
        ),
        (
            Mode::Legacy,
            all,
            &[
                "/users/  you",
                "authentication.k8s.io/uids/  1",
                "/groups/  a",
                "/groups/  b",
                "authentication.k8s.io/userextras/x.io/a  1",
                "authentication.k8s.io/userextras/x.io/a  2",
            ],
        ),
        (
            Mode::UserInfo,
            with_groups("you", &["a", "b", "c", "d"]),
            &[
                "authentication.k8s.io/users/  you",
                "either authentication.k8s.io/groups/  *",
                "authentication.k8s.io/groups/  a",
                "authentication.k8s.io/groups/  b",
                "authentication.k8s.io/groups/  c",
                "authentication.k8s.io/groups/  d",
            ],
        ),
        (
            Mode::UserInfo,
            with_extra("you", &[("x.io/a", &["1", "2"]), ("x.io/b", &["3", "4"])]),
            &[
                "authentication.k8s.io/users/  you",
                "either authentication.k8s.io/userextras/*  *",
                "authentication.k8s.io/userextras/x.io/a  1",
                "authentication.k8s.io/userextras/x.io/a  2",
                "authentication.k8s.io/userextras/x.io/b  3",
                "authentication.k8s.io/userextras/x.io/b  4",
            ],
        ),
        (
            Mode::Legacy,
            with_groups("you", &["", PRIVILEGED]),
            &["/users/  you", "/groups/  ", "/groups/  system:masters"],
        ),
    ] {
        assert_eq!(spelled(mode.steps(&wanted)), want, "{mode:?}");
    }
}

#[test]
fn some_parts_nobody_may_take_on() {
    let key = "impersonating an invalid key in extra is not allowed: ";
    for (wanted, resource, why) in [
        (with_groups("you", &["a", ""]), "groups/  ", "impersonating the empty string group is not allowed".to_owned()),
        (
            with_groups("you", &[PRIVILEGED]),
            "groups/  system:masters",
            "impersonating the system:masters group is not allowed".into(),
        ),
        (
            with_extra("you", &[("", &["v"])]),
            "userextras/  ",
            "impersonating the empty string key in extra is not allowed".into(),
        ),
        (
            with_extra("you", &[("k", &["v"])]),
            "userextras/  ",
            format!("{key}extra.key: Invalid value: \"k\": must be a domain-prefixed path (such as \"acme.io/foo\")"),
        ),
        (
            with_extra("you", &[("x.io/a b", &["v"])]),
            "userextras/  ",
            format!(
                "{key}extra.key: Invalid value: \"a b\": Invalid path (regex used for validation is \
                 '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')"
            ),
        ),
        (
            with_extra("you", &[("x.io/A", &["v"])]),
            "userextras/  ",
            "impersonating a non-lowercase key in extra is not allowed: \"x.io/A\"".into(),
        ),
        (
            with_extra("you", &[("x.io/a", &["v", ""])]),
            "userextras/  ",
            "impersonating the empty string value in extra is not allowed".into(),
        ),
    ] {
        let want = format!("refuse authentication.k8s.io/{resource}: {why}");
        assert_eq!(spelled(Mode::UserInfo.steps(&wanted)), ["authentication.k8s.io/users/  you".to_owned(), want]);
    }
}

#[test]
fn users_have_the_groups_that_are_implied() {
    for (mode, wanted, groups) in [
        (Mode::UserInfo, user("you"), &[AUTHENTICATED][..]),
        (Mode::UserInfo, with_groups("you", &["g"]), &["g", AUTHENTICATED]),
        (Mode::UserInfo, with_groups("you", &[AUTHENTICATED, "g"]), &[AUTHENTICATED, "g"]),
        (Mode::UserInfo, with_groups("you", &[UNAUTHENTICATED]), &[UNAUTHENTICATED]),
        (Mode::Legacy, user(ANONYMOUS), &[UNAUTHENTICATED]),
        (Mode::Legacy, with_groups(ANONYMOUS, &[AUTHENTICATED]), &[AUTHENTICATED, UNAUTHENTICATED]),
        (
            Mode::ServiceAccount,
            user("system:serviceaccount:a:b"),
            &["system:serviceaccounts", "system:serviceaccounts:a", AUTHENTICATED],
        ),
        (Mode::Legacy, with_groups("system:serviceaccount:a:b", &["g"]), &["g", AUTHENTICATED]),
        (Mode::ArbitraryNode, user("system:node:n1"), &[NODES, AUTHENTICATED]),
        (Mode::Legacy, user("system:node:n1"), &[AUTHENTICATED]),
    ] {
        let name = wanted.name.clone();
        assert_eq!(mode.user(wanted).groups, groups, "{mode:?} of {name}");
    }
}

#[test]
fn a_pod_on_any_node_asks_alike() {
    let seen = Mode::AssociatedNode.requestor(&robot()).expect("another");
    assert_eq!(seen, with_extra(&robot().name, &[(NODE_KEYS, &[NODE_NAME, "b"])]));
    assert_eq!(Mode::ArbitraryNode.requestor(&robot()), None);
    assert_eq!(Mode::AssociatedNode.verb_on("list").as_deref(), Some("impersonate-on:associated-node:list"));
    assert_eq!(Mode::Legacy.verb_on("list"), None);
}
