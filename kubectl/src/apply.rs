//! Client-side apply: what was applied last, what is to be applied, and what is there make one
//! patch.
//!
//! Upstream: `kubectl/pkg/cmd/apply/patcher.go`, `apimachinery/pkg/util/strategicpatch`.

pub mod published;

use crate::writing::PatchKind;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::{Schema, Semantics, Shape, TypeRef};
use apimachinery::{Map, Value};
use serde_json::json;

/// The annotation that keeps what was applied last.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The annotation that `--record` writes.
pub const CHANGE_CAUSE: &str = "kubernetes.io/change-cause";

/// Sets an annotation. What is no map of annotations stays as it is, for the server to refuse.
pub fn annotate(object: &mut Value, key: &str, text: String) {
    if let Some(map) = annotations_mut(object) {
        map.insert(key.to_owned(), text.into());
    }
}

fn annotations_mut(object: &mut Value) -> Option<&mut Map> {
    let annotations = object.metadata_mut().entry("annotations").or_insert(Value::Null);
    if annotations.is_null() {
        *annotations = json!({});
    }
    annotations.as_object_mut()
}

/// The object with its own text in the annotation.
pub fn with_last_applied(object: &Value) -> Value {
    let mut bare = without_last_applied(object.clone());
    let text = format!("{}\n", go_json(&bare));
    annotate(&mut bare, LAST_APPLIED, text);
    bare
}

/// An object without what was applied last.
pub fn without_last_applied(mut object: Value) -> Value {
    if let Some(map) = annotations_mut(&mut object) {
        map.remove(LAST_APPLIED);
    }
    object
}

/// What was applied last to an object.
pub fn last_applied(object: &Value) -> Option<Value> {
    let text = object.annotations()?.get(LAST_APPLIED)?.as_str()?;
    serde_json::from_str(text).ok()
}

/// JSON as Go writes it: compact, sorted, with what HTML minds escaped.
pub fn go_json(value: &Value) -> String {
    let text = value.to_string();
    if !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']) {
        return text;
    }
    let escaped = |c: char| match c {
        '<' => "\\u003c".to_owned(),
        '>' => "\\u003e".to_owned(),
        '&' => "\\u0026".to_owned(),
        '\u{2028}' => "\\u2028".to_owned(),
        '\u{2029}' => "\\u2029".to_owned(),
        other => other.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// A merge patch that makes `new` of `old`.
pub fn merge_patch(old: &Value, new: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (old, new) else { return new.clone() };
    let mut patch = Map::new();
    for (key, value) in after {
        match before.get(key) {
            Some(same) if same == value => {}
            Some(other) if other.is_object() && value.is_object() => {
                patch.insert(key.clone(), merge_patch(other, value));
            }
            _ => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    Value::Object(patch)
}

/// The built-in type of an object.
pub fn schema_of(object: &Value) -> Option<TypeRef> {
    let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
    GroupVersionKind::parse(text("apiVersion"), text("kind")).and_then(|kind| Schema::builtin().kind(&kind))
}

/// The patch that brings what is wanted to an object of a type, if it is known; an empty one
/// changes nothing.
pub fn three_way(ty: Option<&TypeRef>, last: Option<&Value>, wanted: &Value, current: &Value) -> (PatchKind, Value) {
    let kind = if ty.is_some() { PatchKind::Strategic } else { PatchKind::Merge };
    let empty = json!({});
    (kind, Value::Object(object(ty, last.unwrap_or(&empty), wanted, current)))
}

/// The patch between two states of an object.
pub fn patch_between(old: &Value, new: &Value) -> (PatchKind, Value) {
    three_way(schema_of(new).as_ref(), Some(old), new, old)
}

/// Changes that turn `current` into `wanted`, and deletions of what only `last` has.
fn object(ty: Option<&TypeRef>, last: &Value, wanted: &Value, current: &Value) -> Map {
    let mut patch = Map::new();
    for (key, value) in wanted.as_object().into_iter().flatten() {
        let member = Member::of(ty, key);
        let before = last.get(key).unwrap_or(&Value::Null);
        if let Some(change) = change(ty, &member, before, value, current.get(key)) {
            order(&mut patch, key, &member.lists, value, current.get(key));
            patch.insert(key.clone(), change);
        }
        if let Some(gone) = gone(&member.lists, before, value, current.get(key)) {
            order(&mut patch, key, &member.lists, value, current.get(key));
            patch.insert(format!("$deleteFromPrimitiveList/{key}"), gone);
        }
    }
    for key in last.as_object().into_iter().flatten().map(|(key, _)| key) {
        if wanted.get(key).is_none() && current.get(key).is_some() {
            patch.insert(key.clone(), Value::Null);
        }
    }
    patch
}

/// The same for a union, of which the server keeps only the members that are wanted: what it
/// defaulted for one kind does not stay with another.
fn union(ty: Option<&TypeRef>, last: &Value, wanted: &Value, current: &Value) -> Map {
    let mut patch = object(ty, last, wanted, current);
    let present = |object: &Value| -> Vec<String> {
        let members = object.as_object().into_iter().flatten();
        members.filter(|(_, value)| !value.is_null()).map(|(key, _)| key.clone()).collect()
    };
    let mut kept = present(wanted);
    let outgrown = present(current).iter().any(|key| wanted.get(key).is_none());
    if !kept.is_empty() && (!patch.is_empty() || outgrown) {
        kept.sort_unstable();
        patch.insert("$retainKeys".into(), kept.into());
    }
    patch
}

/// Tells the server the order of a merged list.
fn order(patch: &mut Map, key: &str, lists: &Lists, wanted: &Value, current: Option<&Value>) {
    let (Some(items), Some(Value::Array(_))) = (wanted.as_array(), current) else { return };
    let order: Vec<Value> = match lists {
        Lists::Replace => return,
        Lists::Scalars => items.clone(),
        Lists::ByKey(by) => items.iter().map(|item| json!({by: item.get(by)})).collect(),
    };
    patch.insert(format!("$setElementOrder/{key}"), order.into());
}

/// Scalars of a merged list that were taken out.
fn gone(lists: &Lists, last: &Value, wanted: &Value, current: Option<&Value>) -> Option<Value> {
    let (Lists::Scalars, Some(last), Some(wanted), Some(current)) =
        (lists, last.as_array(), wanted.as_array(), current.and_then(Value::as_array))
    else {
        return None;
    };
    let gone: Vec<Value> =
        last.iter().filter(|item| !wanted.contains(item) && current.contains(item)).cloned().collect();
    (!gone.is_empty()).then_some(Value::Array(gone))
}

/// How a list is patched.
enum Lists {
    Replace,
    Scalars,
    ByKey(String),
}

/// How a member is patched.
struct Member<'a> {
    /// What it is, where the schema knows.
    shape: Option<&'a Shape>,
    lists: Lists,
    /// Objects of it are unions: what is not wanted goes.
    retains: bool,
}

impl<'a> Member<'a> {
    fn of(ty: Option<&'a TypeRef>, key: &str) -> Self {
        let field = ty.and_then(|ty| ty.field(key));
        let strategy = field.and_then(|f| f.patch.as_ref());
        let lists = match strategy.filter(|p| p.merge) {
            Some(strategy) if strategy.key.is_empty() => Lists::Scalars,
            Some(strategy) => Lists::ByKey(strategy.key.to_string()),
            None => Lists::Replace,
        };
        let granular = field.filter(|f| f.semantics != Semantics::AtomicMap);
        Self { shape: granular.map(|f| &f.shape), lists, retains: strategy.is_some_and(|p| p.retain_keys) }
    }

    fn object(&self, ty: Option<&TypeRef>, last: &Value, wanted: &Value, current: &Value) -> Map {
        let patch = if self.retains { union } else { object };
        patch(ty, last, wanted, current)
    }
}

fn change(
    ty: Option<&TypeRef>,
    member: &Member<'_>,
    last: &Value,
    wanted: &Value,
    current: Option<&Value>,
) -> Option<Value> {
    let Some(current) = current else { return Some(wanted.clone()) };
    let inner = |shape: Option<&Shape>| match (ty, shape) {
        (Some(ty), Some(Shape::Message(id))) => Some(ty.sibling(*id)),
        _ => None,
    };
    match (wanted, current) {
        (Value::Object(_), Value::Object(_)) => {
            let patch = member.object(inner(member.shape).as_ref(), last, wanted, current);
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (Value::Array(wanted_items), Value::Array(current_items)) if wanted != current => {
            let element = match member.shape {
                Some(Shape::List(element)) => inner(Some(element)),
                _ => None,
            };
            list(element.as_ref(), member, last, wanted_items, current_items)
        }
        _ => (!same(wanted, current)).then(|| wanted.clone()),
    }
}

fn list(ty: Option<&TypeRef>, member: &Member<'_>, last: &Value, wanted: &[Value], current: &[Value]) -> Option<Value> {
    let last = last.as_array().map(Vec::as_slice).unwrap_or_default();
    let items: Vec<Value> = match &member.lists {
        Lists::Replace => return Some(Value::Array(wanted.to_vec())),
        Lists::Scalars => wanted.iter().filter(|item| !current.contains(item)).cloned().collect(),
        Lists::ByKey(key) => by_key(ty, member, key, last, wanted, current),
    };
    (!items.is_empty()).then_some(Value::Array(items))
}

fn by_key(
    ty: Option<&TypeRef>,
    member: &Member<'_>,
    key: &str,
    last: &[Value],
    wanted: &[Value],
    current: &[Value],
) -> Vec<Value> {
    let find = |list: &[Value], item: &Value| {
        list.iter().find(|other| other.get(key).is_some() && other.get(key) == item.get(key)).cloned()
    };
    let mut items = Vec::new();
    for item in wanted {
        match find(current, item) {
            None => items.push(item.clone()),
            Some(there) => {
                let before = find(last, item).unwrap_or(Value::Null);
                let mut patch = member.object(ty, &before, item, &there);
                if !patch.is_empty() {
                    patch.insert(key.to_owned(), item.get(key).cloned().unwrap_or_default());
                    items.push(Value::Object(patch));
                }
            }
        }
    }
    for gone in last.iter().filter(|item| find(wanted, item).is_none() && find(current, item).is_some()) {
        items.push(json!({key: gone.get(key), "$patch": "delete"}));
    }
    items
}

/// Equal, or quantities of equal value: the server prints those in canonical form.
fn same(wanted: &Value, current: &Value) -> bool {
    if wanted == current {
        return true;
    }
    let quantity = |value: &Value| -> Option<apimachinery::quantity::Quantity> {
        match value {
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.to_string().parse().ok(),
            _ => None,
        }
    };
    match (wanted, current) {
        // Only where the server turned a number into text, or the text differs in form.
        (Value::Number(_) | Value::String(_), Value::String(_)) => {
            quantity(wanted).zip(quantity(current)).is_some_and(|(a, b)| a == b)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The patch of a built-in object.
    fn three_way(last: Option<&Value>, wanted: &Value, current: &Value) -> (PatchKind, Value) {
        super::three_way(schema_of(wanted).as_ref(), last, wanted, current)
    }

    fn deployment(spec: Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}, "spec": {"template": {"spec": spec}}})
    }

    fn spec(patch: &Value) -> Option<&Value> {
        patch.pointer("/spec/template/spec")
    }

    #[test]
    fn containers_are_merged_by_name() {
        let last = deployment(json!({"containers": [{"name": "a", "image": "x:1"}, {"name": "gone", "image": "y"}]}));
        let wanted = deployment(json!({"containers": [{"name": "a", "image": "x:2"}]}));
        let current = deployment(
            json!({"containers": [{"name": "a", "image": "x:1", "imagePullPolicy": "Always"}, {"name": "gone", "image": "y"}, {"name": "injected"}]}),
        );
        let (kind, patch) = three_way(Some(&last), &wanted, &current);
        assert_eq!(kind, PatchKind::Strategic);
        let want = json!({"$setElementOrder/containers": [{"name": "a"}],
            "containers": [{"name": "a", "image": "x:2"}, {"name": "gone", "$patch": "delete"}]});
        assert_eq!(spec(&patch), Some(&want));
    }

    #[test]
    fn what_was_defaulted_for_one_kind_goes_with_another() {
        let strategy =
            |value: Value| json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"strategy": value}});
        let rolling = strategy(json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}));
        let patch = three_way(None, &strategy(json!({"type": "Recreate"})), &rolling).1;
        assert_eq!(patch["spec"]["strategy"], json!({"$retainKeys": ["type"], "type": "Recreate"}));
        let volumes = |source: Value| deployment(json!({"volumes": [source]}));
        let wanted = volumes(json!({"name": "v", "hostPath": {"path": "/x"}}));
        let patch = three_way(None, &wanted, &volumes(json!({"name": "v", "emptyDir": {}}))).1;
        let want = json!([{"$retainKeys": ["hostPath", "name"], "hostPath": {"path": "/x"}, "name": "v"}]);
        assert_eq!(spec(&patch).map(|spec| &spec["volumes"]), Some(&want));
    }

    #[test]
    fn nothing_to_change_is_an_empty_patch() {
        let wanted = deployment(
            json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "0.5", "memory": "1024Mi"}}}]}),
        );
        let current = deployment(
            json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}}], "dnsPolicy": "ClusterFirst"}),
        );
        assert_eq!(three_way(Some(&wanted), &wanted, &current).1, json!({}));
    }

    #[test]
    fn fields_taken_out_are_deleted() {
        let last = deployment(json!({"nodeSelector": {"a": "1", "b": "2"}, "hostNetwork": true}));
        let wanted = deployment(json!({"nodeSelector": {"a": "1"}}));
        let current = deployment(json!({"nodeSelector": {"a": "1", "b": "2", "c": "3"}, "hostNetwork": true}));
        let patch = three_way(Some(&last), &wanted, &current).1;
        assert_eq!(spec(&patch), Some(&json!({"nodeSelector": {"b": null}, "hostNetwork": null})));
    }

    #[test]
    fn scalars_taken_out_are_deleted() {
        let pod = |finalizers: Value| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "finalizers": finalizers}});
        let patch = three_way(Some(&pod(json!(["a", "b"]))), &pod(json!(["b", "c"])), &pod(json!(["a", "b", "x"]))).1;
        let want = json!({"$deleteFromPrimitiveList/finalizers": ["a"], "$setElementOrder/finalizers": ["b", "c"], "finalizers": ["c"]});
        assert_eq!(patch["metadata"], want);
    }

    /// Whatever two states are, the patch between them, applied along the rules, makes one of the other.
    mod properties {
        use super::*;
        use proptest::prelude::*;

        fn containers() -> impl Strategy<Value = Value> {
            let names = proptest::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4);
            (names, proptest::collection::vec((0..3_i32, any::<bool>()), 4)).prop_map(|(names, values)| {
                let one = |(name, (port, tty)): (&&str, &(i32, bool))| json!({"name": name, "image": format!("i:{port}"), "tty": tty});
                names.iter().zip(&values).map(one).collect()
            })
        }

        proptest! {
            #[test]
            fn patches_lead_from_one_state_to_the_other(old in containers(), new in containers(), paused: bool) {
                let deployment = |list: Value, paused: bool| {
                    let mut object = super::deployment(json!({"containers": list}));
                    if paused {
                        object["spec"]["paused"] = true.into();
                    }
                    object
                };
                let (old, new) = (deployment(old, paused), deployment(new, !paused));
                let (kind, patch) = patch_between(&old, &new);
                prop_assert_eq!(kind, PatchKind::Strategic);
                let ty = schema_of(&old).expect("built in");
                let made = rules::patch::strategic::apply(&ty, old, &patch).expect("applies");
                prop_assert_eq!(made, new);
            }

            #[test]
            fn merge_patches_lead_from_one_state_to_the_other(old in containers(), new in containers()) {
                let (old, new) = (json!({"x": old, "y": {"a": 1}}), json!({"x": new, "y": {"b": 1}}));
                let made = rules::patch::merge::apply(old.clone(), &merge_patch(&old, &new)).expect("applies");
                prop_assert_eq!(made, new);
            }
        }
    }

    #[test]
    fn custom_resources_are_merged_as_json() {
        let object = |list: Value| json!({"apiVersion": "x.io/v1", "kind": "X", "metadata": {"name": "a"}, "spec": {"list": list}});
        let (kind, patch) = three_way(None, &object(json!([1, 2])), &object(json!([1])));
        assert_eq!((kind, patch), (PatchKind::Merge, json!({"spec": {"list": [1, 2]}})));
    }

    #[test]
    fn odd_annotations_are_left_to_the_server() {
        for odd in [json!("text"), json!([1])] {
            let object = json!({"kind": "X", "metadata": {"annotations": odd}});
            assert_eq!(with_last_applied(&object), object);
        }
        let mut bare = json!({"metadata": {"annotations": null}});
        annotate(&mut bare, "k", "v".into());
        assert_eq!(bare["metadata"]["annotations"], json!({"k": "v"}));
    }

    #[test]
    fn remembers_what_was_applied() {
        let object = json!({"kind": "X", "metadata": {"name": "a", "annotations": {"k": "v"}}});
        let kept = with_last_applied(&object);
        assert_eq!(last_applied(&kept), Some(object));
        assert_eq!(last_applied(&with_last_applied(&kept)), last_applied(&kept));
    }
}
