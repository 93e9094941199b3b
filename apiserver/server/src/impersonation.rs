//! `Impersonate-*` headers: acting as somebody else, if the real user may.
//!
//! Upstream: `apiserver/pkg/endpoints/filters/impersonation`.

use apimachinery::gvk::GroupResource;
use apimachinery::status::Status;
use apiserver_auth::{Attributes, Authorizer, Decision};
use apiserver_registry::UserInfo;
use http::HeaderMap;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";
const ANONYMOUS: &str = "system:anonymous";

/// Removes the headers of impersonation, as they end here.
pub fn strip(headers: &mut HeaderMap) {
    let names: Vec<_> = headers.keys().filter(|k| k.as_str().starts_with("impersonate-")).cloned().collect();
    for name in names {
        headers.remove(name);
    }
}

/// The user that counts: the one who asks, or the one who is impersonated.
pub async fn effective(
    authorizer: &Authorizer,
    user: Arc<UserInfo>,
    headers: &HeaderMap,
) -> Result<Arc<UserInfo>, Status> {
    if !headers.keys().any(|k| k.as_str().starts_with("impersonate-")) {
        return Ok(user);
    }
    let asked = Asked::read(headers);
    let Some(name) = asked.user else {
        return match asked.is_empty() {
            true => Ok(user),
            false => Err(Status::bad_request(format!("requested {} without impersonating a user name", asked.in_go()))),
        };
    };
    asked.check(authorizer, &user).await?;
    Ok(Arc::new(asked.into_user(name)))
}

#[derive(Debug, Default)]
struct Asked<'a> {
    user: Option<&'a str>,
    groups: Vec<&'a str>,
    uid: Option<&'a str>,
    extra: BTreeMap<String, Vec<String>>,
}

impl<'a> Asked<'a> {
    fn read(headers: &'a HeaderMap) -> Self {
        let text = |v: &'a http::HeaderValue| v.to_str().ok().filter(|t| !t.is_empty());
        let mut asked = Self {
            user: headers.get(USER).and_then(text),
            groups: headers.get_all(GROUP).iter().filter_map(text).collect(),
            uid: headers.get(UID).and_then(text),
            extra: BTreeMap::new(),
        };
        for (name, value) in headers {
            if let (Some(key), Some(value)) = (name.as_str().strip_prefix(EXTRA), text(value)) {
                let key: Cow<'_, str> = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
                asked.extra.entry(key.into_owned()).or_default().push(value.to_owned());
            }
        }
        asked
    }

    fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.uid.is_none() && self.extra.is_empty()
    }

    /// The user as Go prints it.
    fn in_go(&self) -> String {
        let list = |texts: &[&str]| match texts {
            [] => "[]string(nil)".to_owned(),
            texts => {
                format!("[]string{{{}}}", texts.iter().map(|text| format!("{text:?}")).collect::<Vec<_>>().join(", "))
            }
        };
        let of = |(key, values): (&String, &Vec<String>)| {
            format!("{key:?}:{}", list(&values.iter().map(String::as_str).collect::<Vec<_>>()))
        };
        let extra = match self.extra.is_empty() {
            true => "(nil)".to_owned(),
            false => format!("{{{}}}", self.extra.iter().map(of).collect::<Vec<_>>().join(", ")),
        };
        let (uid, groups) = (self.uid.unwrap_or_default(), list(&self.groups));
        format!("&user.DefaultInfo{{Name:\"\", UID:{uid:?}, Groups:{groups}, Extra:map[string][]string{extra}}}")
    }

    async fn check(&self, authorizer: &Authorizer, user: &UserInfo) -> Result<(), Status> {
        let name = self.user.unwrap_or_default();
        match service_account(name) {
            Some((namespace, name)) => may(authorizer, user, "", "serviceaccounts", "", namespace, name).await?,
            None => may(authorizer, user, "", "users", "", "", name).await?,
        }
        for group in &self.groups {
            may(authorizer, user, "", "groups", "", "", group).await?;
        }
        if let Some(uid) = self.uid {
            may(authorizer, user, "authentication.k8s.io", "uids", "", "", uid).await?;
        }
        for (key, values) in &self.extra {
            for value in values {
                may(authorizer, user, "authentication.k8s.io", "userextras", key, "", value).await?;
            }
        }
        Ok(())
    }

    fn into_user(self, name: &str) -> UserInfo {
        let mut groups: Vec<String> = self.groups.iter().map(|g| (*g).to_owned()).collect();
        if let (true, Some((namespace, _))) = (groups.is_empty(), service_account(name)) {
            groups = vec!["system:serviceaccounts".into(), format!("system:serviceaccounts:{namespace}")];
        }
        let implied = if name == ANONYMOUS { UNAUTHENTICATED } else { AUTHENTICATED };
        if !groups.iter().any(|g| g == AUTHENTICATED || g == UNAUTHENTICATED) {
            groups.push(implied.into());
        }
        UserInfo { name: name.into(), uid: self.uid.unwrap_or_default().into(), groups, extra: self.extra }
    }
}

/// Namespace and name of `system:serviceaccount:NAMESPACE:NAME`.
fn service_account(user: &str) -> Option<(&str, &str)> {
    user.strip_prefix("system:serviceaccount:")?.split_once(':')
}

async fn may(
    authorizer: &Authorizer,
    user: &UserInfo,
    group: &'static str,
    resource: &'static str,
    subresource: &str,
    namespace: &str,
    name: &str,
) -> Result<(), Status> {
    let attributes = Attributes {
        verb: "impersonate",
        is_resource: true,
        group,
        version: "v1",
        resource,
        subresource,
        namespace,
        name,
        ..Attributes::default()
    };
    match authorizer.authorize(user, &attributes).await {
        Decision::Allow(_) => Ok(()),
        Decision::Deny(reason) | Decision::NoOpinion(reason) => {
            let why = crate::authorization::refusal(user, &attributes, &reason);
            Err(Status::forbidden(&GroupResource::new(group, resource), name, &why))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use apiserver_auth::authorization::Mode;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (http::HeaderName::from_static(k), http::HeaderValue::from_static(v))).collect()
    }

    async fn act(mode: Mode, pairs: &[(&'static str, &'static str)]) -> Result<UserInfo, Status> {
        let authorizer = Authorizer { modes: vec![mode], ..Authorizer::default() };
        let user = Arc::new(UserInfo { name: "me".into(), ..UserInfo::default() });
        effective(&authorizer, user, &headers(pairs)).await.map(|u| (*u).clone())
    }

    #[tokio::test]
    async fn takes_on_users_and_groups() {
        for (pairs, name, groups) in [
            (&[][..], "me", &[][..]),
            (&[(USER, "you")], "you", &[AUTHENTICATED]),
            (&[(USER, "you"), (GROUP, "g")], "you", &["g", AUTHENTICATED]),
            (&[(USER, ANONYMOUS)], ANONYMOUS, &[UNAUTHENTICATED]),
            (
                &[(USER, "system:serviceaccount:a:b")],
                "system:serviceaccount:a:b",
                &["system:serviceaccounts", "system:serviceaccounts:a", AUTHENTICATED],
            ),
        ] {
            let user = act(Mode::AlwaysAllow, pairs).await.expect("allowed");
            assert_eq!((user.name.as_str(), user.groups), (name, groups.iter().map(|g| (*g).to_owned()).collect()));
        }
        let user = act(Mode::AlwaysAllow, &[(USER, "you"), ("impersonate-extra-a%2fb", "c")]).await.expect("allowed");
        assert_eq!(user.extra, BTreeMap::from([("a/b".to_owned(), vec!["c".to_owned()])]));
    }

    #[tokio::test]
    async fn refuses_in_upstreams_words() {
        let refusal = act(Mode::AlwaysDeny, &[(USER, "you")]).await.expect_err("denied");
        assert_eq!(
            refusal.message,
            "users \"you\" is forbidden: User \"me\" cannot impersonate resource \"users\" in API group \"\" at the cluster scope: Everything is forbidden."
        );
        let refusal = act(Mode::AlwaysAllow, &[(GROUP, "g")]).await.expect_err("no user");
        let want = "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g\"}, \
                    Extra:map[string][]string(nil)} without impersonating a user name";
        assert_eq!((refusal.code, refusal.message.as_str()), (400, want));
    }
}
