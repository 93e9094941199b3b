//! Object metadata on its way in: names, system fields, and what an update may not change.
//!
//! Upstream: `apiserver/pkg/registry/rest/{create,update,meta}.go`, `storage/names/generate.go`.

use crate::Context;
use apimachinery::meta::ObjectMeta;
use apimachinery::status::{Reason, Status};
use apimachinery::{Map, Value, time};
use rand::RngExt;

const SUFFIX_LENGTH: usize = 5;
const MAX_GENERATED: usize = 63;
/// No vowels and no look-alikes, so that no words come about.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// `base` cut to leave room, with a random suffix.
pub(crate) fn generate_name(base: &str) -> String {
    let mut end = base.len().min(MAX_GENERATED - SUFFIX_LENGTH);
    while !base.is_char_boundary(end) {
        end -= 1;
    }
    let mut name = String::with_capacity(end + SUFFIX_LENGTH);
    name.push_str(&base[..end]);
    let mut random = rand::rng();
    name.extend((0..SUFFIX_LENGTH).map(|_| char::from(ALPHABET[random.random_range(0..ALPHABET.len())])));
    name
}

/// The object gets the request's namespace; another one is an error.
pub(crate) fn ensure_namespace(cx: &Context, object: &mut Value) -> Result<(), Status> {
    let wanted = if cx.resource.namespaced { cx.namespace.as_str() } else { "" };
    match (object.namespace(), wanted) {
        (given, wanted) if given == wanted => Ok(()),
        (_, "") => {
            object.metadata_mut().remove("namespace");
            Ok(())
        }
        ("", wanted) => {
            object.set_meta("namespace", wanted);
            Ok(())
        }
        _ => Err(Status::bad_request(
            "the namespace of the provided object does not match the namespace sent on the request",
        )),
    }
}

/// The object of an update must be the one that the request names.
pub(crate) fn ensure_name(cx: &Context, object: &Value) -> Result<(), Status> {
    match object.name() {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            cx.name
        ))),
        name if name != cx.name => Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            cx.name
        ))),
        _ => Ok(()),
    }
}

/// What the server alone sets on a new object.
pub(crate) fn fill_new(object: &mut Value) {
    let metadata = object.metadata_mut();
    metadata.insert("uid".into(), uuid::Uuid::new_v4().to_string().into());
    metadata.insert("creationTimestamp".into(), time::now().into());
}

/// Takes out of a new object what is not stored. A resource version is an error, but what is no number is none.
pub(crate) fn prepare_stored(object: &mut Value) -> Result<(), Status> {
    if revision(object).is_ok_and(|revision| revision != 0) {
        let why = "resourceVersion should not be set on objects to be created";
        return Err(Status::plain(500, Reason::Unknown, why));
    }
    let metadata = object.metadata_mut();
    metadata.remove("resourceVersion");
    metadata.remove("selfLink");
    Ok(())
}

/// Forgets the revision of an object that is not there, and is made by a request that writes what there is: it need
/// only be a number. A dry run answers with it.
pub(crate) fn forget_revision(cx: &Context, object: &mut Value) -> Result<(), Status> {
    revision(object).map_err(unreadable)?;
    if !cx.dry_run {
        object.metadata_mut().remove("resourceVersion");
    }
    Ok(())
}

/// Upstream passes Go's words on without a reason.
pub(crate) fn unreadable(why: String) -> Status {
    Status::plain(500, Reason::Unknown, why)
}

/// The revision that an object names, 0 if it names none; Go's words for a text that is no number.
pub(crate) fn revision(object: &Value) -> Result<u64, String> {
    let text = object.resource_version();
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    match (text, text.parse()) {
        ("", _) => Ok(0),
        // Rust reads a sign, which Go does not.
        (_, Ok(revision)) if is_number => Ok(revision),
        (text, _) => {
            let why = if is_number { "value out of range" } else { "invalid syntax" };
            Err(format!("strconv.ParseUint: parsing {}: {why}", apimachinery::go::quoted(text)))
        }
    }
}

/// Clears what a client has no say in.
pub(crate) fn wipe(object: &mut Value) {
    let metadata = object.metadata_mut();
    for key in ["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        metadata.remove(key);
    }
}

/// Carries over from the stored object what an update leaves out or has no say in. Changes of
/// `name`, `namespace` and `uid` are left for validation to refuse.
pub(crate) fn carry_over(new: &mut Value, old: &Value) {
    let (metadata, before) = (new.metadata_mut(), old.metadata());
    let from = |key: &str| before.and_then(|m| m.get(key));
    for key in ["generation", "creationTimestamp"] {
        set_or_remove(metadata, key, from(key));
    }
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        match from(key) {
            // Neither can be taken back; a changed grace period is for validation to refuse.
            Some(value) if key == "deletionTimestamp" || !metadata.contains_key(key) => {
                metadata.insert(key.into(), value.clone());
            }
            // Nor can an update begin a deletion, which validation says.
            _ => {}
        }
    }
    if metadata.get("uid").and_then(Value::as_str).unwrap_or_default().is_empty() {
        set_or_remove(metadata, "uid", from("uid"));
    }
    if metadata.get("namespace").is_none() {
        set_or_remove(metadata, "namespace", from("namespace"));
    }
}

/// Sets `key` to a value, or removes it if there is none.
pub(crate) fn set_or_remove(map: &mut Map, key: &str, value: Option<&Value>) {
    match value {
        Some(value) => {
            map.insert(key.to_owned(), value.clone());
        }
        None => {
            map.remove(key);
        }
    }
}

/// `metadata.generation`; 0 if absent.
pub(crate) fn generation(object: &Value) -> i64 {
    object.metadata().and_then(|m| m.get("generation")).and_then(Value::as_i64).unwrap_or_default()
}

/// `metadata.deletionGracePeriodSeconds`.
pub(crate) fn grace_period(object: &Value) -> Option<i64> {
    object.metadata()?.get("deletionGracePeriodSeconds")?.as_i64()
}

/// Now, in whole seconds from `from` on, as `meta/v1.Time`.
pub(crate) fn seconds_after(from: jiff::Timestamp, seconds: i64) -> String {
    let at = from.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(from);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn generated_names_fit() {
        for (base, prefix) in [("web-", "web-"), ("", ""), (&"x".repeat(80), &"x".repeat(58)), ("é", "é")] {
            let name = generate_name(base);
            assert!(name.starts_with(prefix) && name.len() == prefix.len() + 5 && name.len() <= 63, "{name}");
            assert!(name[prefix.len()..].bytes().all(|b| ALPHABET.contains(&b)), "{name}");
        }
    }

    #[test]
    fn new_objects_get_system_fields() {
        let mut object = json!({"metadata": {"name": "a", "uid": "forged", "deletionTimestamp": "x"}});
        wipe(&mut object);
        fill_new(&mut object);
        assert!(object.uid() != "forged" && !object.is_deleting());
        assert_eq!(object["metadata"].as_object().map(Map::len), Some(3));
    }

    #[test]
    fn new_objects_have_no_revision() {
        for (version, want) in [("", 0), ("0", 0), ("x", 0), ("-1", 0), ("5", 500), ("18446744073709551615", 500)] {
            let mut object = json!({"metadata": {"resourceVersion": version, "selfLink": "/a"}});
            let code = prepare_stored(&mut object).err().map_or(0, |status| status.code);
            assert_eq!(code, want, "{version}");
            assert_eq!(object["metadata"].as_object().map(Map::is_empty), Some(want == 0), "{version}");
        }
    }

    #[test]
    fn revisions_are_gos_numbers() {
        for (version, want) in [
            ("", Ok(0)),
            ("007", Ok(7)),
            ("+7", Err("strconv.ParseUint: parsing \"+7\": invalid syntax")),
            ("99999999999999999999", Err("strconv.ParseUint: parsing \"99999999999999999999\": value out of range")),
        ] {
            let object = json!({"metadata": {"resourceVersion": version}});
            assert_eq!(revision(&object), want.map_err(str::to_owned), "{version}");
        }
    }

    #[test]
    fn updates_keep_system_fields() {
        let old = json!({"metadata": {"name": "a", "namespace": "n", "uid": "u", "creationTimestamp": "t",
            "generation": 3, "deletionTimestamp": "d", "deletionGracePeriodSeconds": 30}});
        let mut new = json!({"metadata": {"name": "a", "generation": 9, "creationTimestamp": "forged"}});
        carry_over(&mut new, &old);
        assert_eq!(new, old);
        let mut fresh = json!({"metadata": {"name": "a", "deletionTimestamp": "forged"}});
        carry_over(&mut fresh, &json!({"metadata": {"name": "a"}}));
        assert_eq!(fresh["metadata"]["deletionTimestamp"], "forged", "left for validation to refuse");
    }
}
