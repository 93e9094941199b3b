//! Who writes admission policies that read parameters has to be allowed to read those: what a policy
//! says of a violation may show what is in them.
//!
//! Upstream: `pkg/registry/admissionregistration/*/authz.go`.

use crate::hooks::{Permission, Reading};
use crate::{Context, Registry, UserInfo};
use apimachinery::Value;
use apimachinery::field::{FieldError, FieldErrorKind, Path};
use apimachinery::gvk::{GroupVersionKind, parse_api_version};

/// What is wrong with the parameters that a policy or binding wants to read, for itself and not as
/// `old` did.
pub(crate) async fn check(registry: &Registry, cx: &Context, new: &Value, old: &Value) -> Vec<FieldError> {
    let Some(permission) = &registry.options.permission else { return Vec::new() };
    let is_privileged = cx.user.groups.iter().any(|group| group == "system:masters");
    let (member, refusal) = match &*cx.resource.plural {
        _ if is_privileged || &*cx.resource.group != "admissionregistration.k8s.io" => return Vec::new(),
        "validatingadmissionpolicies" | "mutatingadmissionpolicies" => {
            ("paramKind", kind(registry, permission.as_ref(), cx, new, old).await)
        }
        "validatingadmissionpolicybindings" | "mutatingadmissionpolicybindings" => {
            ("paramRef", reference(registry, permission.as_ref(), cx, new, old).await)
        }
        _ => return Vec::new(),
    };
    let path = Path::new("spec").child(member);
    refusal.map(|why| FieldError { path, kind: FieldErrorKind::Forbidden(why) }).into_iter().collect()
}

fn spec<'a>(object: &'a Value, member: &str) -> Option<&'a Value> {
    object.get("spec")?.get(member)
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// Why the user may not write a policy with parameters of this kind.
async fn kind(
    registry: &Registry,
    permission: &dyn Permission,
    cx: &Context,
    new: &Value,
    old: &Value,
) -> Option<String> {
    let kind = spec(new, "paramKind")?;
    if spec(old, "paramKind") == Some(kind) {
        return None;
    }
    let (resource, _) = resource(registry, Some(kind));
    let reading = Reading { verb: "get", namespace: "*", name: "*", ..resource.reading() };
    if permission.reads(cx, &reading).await {
        return None;
    }
    let (user, name, version) = (shown(&cx.user), text(kind, "kind"), text(kind, "apiVersion"));
    Some(format!(
        "user {user} must have \"get\" permission on all objects of the referenced paramKind (kind={name}, \
         apiVersion={version})"
    ))
}

/// Why the user may not bind a policy to these parameters.
async fn reference(
    registry: &Registry,
    permission: &dyn Permission,
    cx: &Context,
    new: &Value,
    old: &Value,
) -> Option<String> {
    let reference = spec(new, "paramRef")?;
    if spec(old, "paramRef") == Some(reference) && spec(old, "policyName") == spec(new, "policyName") {
        return None;
    }
    let policy = text(new.get("spec")?, "policyName");
    let found = policy_of(registry, cx, policy).await;
    let (resource, trouble) = match &found {
        Some(found) => resource(registry, spec(found, "paramKind")),
        None => (Resource::default(), Some(format!("unable to get policy {policy}"))),
    };
    let name = text(reference, "name");
    let verb = if name.is_empty() { "list" } else { "get" };
    let reading = Reading { verb, namespace: text(reference, "namespace"), name, ..resource.reading() };
    if permission.reads(cx, &reading).await {
        return None;
    }
    let user = shown(&cx.user);
    Some(match trouble {
        Some(trouble) => format!(
            "{trouble} to determine minimum required permissions and user {user} does not have \"{verb}\" permission for \
             all groups, versions and resources"
        ),
        None => format!("user {user} does not have \"{verb}\" permission on the object referenced by paramRef"),
    })
}

/// The policy that a binding of the request's kind is about.
async fn policy_of(registry: &Registry, cx: &Context, name: &str) -> Option<Value> {
    let plural = cx.resource.plural.replace("policybindings", "policies");
    let policies = registry.resource(&cx.resource.group, &cx.resource.version, &plural)?;
    registry.peek(&policies, "", name).await.ok()?
}

/// What is read; stars where that cannot be told.
struct Resource {
    group: String,
    version: String,
    plural: String,
}

impl Default for Resource {
    fn default() -> Self {
        Self { group: "*".into(), version: "*".into(), plural: "*".into() }
    }
}

impl Resource {
    fn reading(&self) -> Reading<'_> {
        Reading {
            verb: "get",
            group: &self.group,
            version: &self.version,
            resource: &self.plural,
            namespace: "",
            name: "",
        }
    }
}

/// The resource of a `paramKind`, and why it is not known precisely.
fn resource(registry: &Registry, kind: Option<&Value>) -> (Resource, Option<String>) {
    let Some(kind) = kind else { return (Resource::default(), None) };
    let (name, version) = (text(kind, "kind"), text(kind, "apiVersion"));
    let shown = format!("&ParamKind{{APIVersion:{version},Kind:{name},}}");
    let Some((group, version)) = parse_api_version(version) else {
        return (Resource::default(), Some(format!("unable to parse paramKind {shown}")));
    };
    let found =
        registry.resource_of_kind(&GroupVersionKind::new(group.to_owned(), version.to_owned(), name.to_owned()));
    let trouble = found.is_none().then(|| format!("unable to resolve paramKind {shown}"));
    let plural = found.map_or_else(|| "*".to_owned(), |resource| resource.plural.to_string());
    (Resource { group: group.to_owned(), version: version.to_owned(), plural }, trouble)
}

/// A user as Go prints one.
fn shown(user: &UserInfo) -> String {
    let extra = user.extra.iter().map(|(key, values)| format!("{key}:[{}]", values.join(" ")));
    let extra = extra.collect::<Vec<_>>().join(" ");
    format!("&{{{} {} [{}] map[{extra}]}}", user.name, user.uid, user.groups.join(" "))
}
