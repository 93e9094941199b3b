//! Server-side apply, and who manages which fields of an object.
//!
//! Every write goes through [`track`], which moves the fields that it changes to its manager, or
//! [`apply`], which also merges, refuses what others have, and removes what is no longer applied.
//! Both are pure: the caller gives the time and converts between versions.
//!
//! Upstream: `apimachinery/pkg/util/managedfields`, `sigs.k8s.io/structured-merge-diff`.

mod check;
mod compare;
mod created;
mod element;
mod error;
mod extract;
mod fields;
mod last_applied;
mod managers;
mod merge;
mod overlay;
mod ownership;
mod place;
mod remove;
mod reset;
pub mod scale;
mod set;

pub use check::{Misfit, Misfits};
pub use compare::Changes;
pub use element::{Element, ElementError};
pub use error::{ApplyError, Conflict};
pub use fields::{decode, encode};
pub use managers::{ManagedError, Manager, Operation};
pub use overlay::{OverlayError, overlay};
pub use place::KeyError;
pub use reset::{Paths, Reset};
pub use set::{FieldSet, Node};

use apimachinery::codec::json;
use apimachinery::meta::ObjectMeta;
use apimachinery::schema::{Origin, Schema, Shape, TypeRef};
use apimachinery::{Map, Value};
use managers::Managed;
use ownership::{Transition, prune};
use place::Place;

/// The manager of what was there before an object was first applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager of a write that names none.
const UNKNOWN: &str = "unknown";
const MANAGED_FIELDS: &str = "managedFields";

/// Who writes what and how.
pub struct Writer<'a> {
    /// Name of the manager.
    pub manager: &'a str,
    /// Version that the request is in.
    pub api_version: &'a str,
    /// Subresource that it writes to; may be empty.
    pub subresource: &'a str,
    /// The time, as `meta/v1.Time` prints it.
    pub now: &'a str,
    /// Type of the objects.
    pub ty: &'a TypeRef,
    /// Fields that it has no say in.
    pub reset: Reset,
    /// An object in another version, with its type there; `None` if there is no such version.
    pub convert: &'a Convert<'a>,
}

/// See [`Writer::convert`].
pub type Convert<'a> = dyn Fn(&Value, &str) -> Option<(Value, TypeRef)> + Send + Sync + 'a;

/// Tracks an ordinary write: `new` gets the managed fields of `live`, changed by what differs
/// between both. `live` is null on create; the `fieldsV1` of a new object may be a text, see
/// [`apimachinery::codec::fields`].
///
/// Clients may also set managed fields, or reset them by an empty list. What makes no sense is
/// ignored; an object that nobody manages stays so until it is applied.
pub fn track(writer: &Writer<'_>, live: &Value, new: &mut Value) {
    let given = new.metadata_mut().remove(MANAGED_FIELDS);
    if live.is_null()
        && given.is_none()
        && let Some(fields) = writer.created(new)
    {
        if !fields.is_empty() {
            let manager = writer.as_manager(writer.manager, Operation::Update);
            new.set_meta(MANAGED_FIELDS, managers::alone(manager, writer.now, fields));
        }
        return;
    }
    let managed = starting(writer, live, given);
    // Upstream would rather lose track than fail the write.
    let managed = managed.and_then(|managed| writer.updated(writer.manager, managed, live, new).ok());
    set_managed(new, managed.unwrap_or_default());
}

/// Who manages what before a write; `None` if that is not tracked.
fn starting(writer: &Writer<'_>, live: &Value, given: Option<Value>) -> Option<Managed> {
    let stored = || live.metadata().and_then(|metadata| metadata.get(MANAGED_FIELDS));
    let managed = match given {
        given if given.as_ref() == stored() => Managed::read(given).unwrap_or_default(),
        given if given.is_none() || !writer.subresource.is_empty() => {
            Managed::read(stored().cloned()).unwrap_or_default()
        }
        given if is_reset(given.as_ref()) => Managed::default(),
        given => match Managed::read_strictly(given) {
            Ok(managed) if !managed.entries.is_empty() => managed,
            _ => Managed::read(stored().cloned()).unwrap_or_default(),
        },
    };
    let is_create = live.uid().is_empty();
    (is_create || !managed.entries.is_empty()).then_some(managed)
}

/// An empty list, or one empty entry.
fn is_reset(given: Option<&Value>) -> bool {
    given.and_then(Value::as_array).is_some_and(|list| match list.as_slice() {
        [] => true,
        [one] => one.as_object().is_some_and(Map::is_empty),
        _ => false,
    })
}

fn set_managed(object: &mut Value, managed: Managed) {
    let metadata = object.metadata_mut();
    match managed.write() {
        Some(list) => drop(metadata.insert(MANAGED_FIELDS.to_owned(), list)),
        None => drop(metadata.remove(MANAGED_FIELDS)),
    }
}

impl Writer<'_> {
    fn as_manager(&self, name: &str, operation: Operation) -> Manager {
        Manager {
            name: if name.is_empty() { UNKNOWN } else { name }.to_owned(),
            operation,
            api_version: self.api_version.to_owned(),
            subresource: self.subresource.to_owned(),
        }
    }

    /// The text of the fields of a new object; `None` if it takes more than one walk.
    fn created(&self, new: &Value) -> Option<String> {
        if self.ty.schema.origin == Origin::Definition {
            return None;
        }
        let shape = Shape::Message(self.ty.id);
        let fields = created::fields(Place::root(self.ty, &shape), self.reset, new)?;
        // Upstream would rather lose track than fail the write.
        Some(fields.unwrap_or_default())
    }

    /// The managers after an update by this one.
    fn updated(&self, name: &str, mut managed: Managed, live: &Value, new: &Value) -> Result<Managed, KeyError> {
        let mut transition = Transition::new(self, live, new)?;
        if !transition.is_empty() {
            transition.take_from(&mut managed, None)?;
            let own = without_system_fields(transition.into_own().into_set());
            if !own.is_empty() {
                managed.give(&self.as_manager(name, Operation::Update), own, self.now);
            }
        }
        managed.cap();
        Ok(managed)
    }
}

/// Merges a configuration into an object, which is empty if it does not exist yet. The result has
/// the managed fields that it will be stored with; it may not fit its type.
///
/// Unless `force` is set, fields that others manage and that would change are an error.
pub fn apply(writer: &Writer<'_>, live: &Value, config: &Value, force: bool) -> Result<Value, ApplyError> {
    let mut live = live.clone();
    let stored = live.metadata_mut().remove(MANAGED_FIELDS);
    let managed = Managed::read(stored)?;
    check_config(writer, config)?;
    let managed = match managed.entries.is_empty() {
        true => {
            let nothing = Value::Object(Map::new());
            writer.updated(BEFORE_FIRST_APPLY, managed, &nothing, &live)?
        }
        false => managed,
    };
    let mut applied = match applied(writer, &live, config, managed.clone(), force) {
        Err(ApplyError::Conflicts(conflicts)) if writer.manager == last_applied::KUBECTL => {
            match last_applied::remaining(writer, &live, &conflicts) {
                Some(rest) if rest.is_empty() => applied(writer, &live, config, managed, true),
                Some(rest) => Err(ApplyError::Conflicts(rest)),
                None => Err(ApplyError::Conflicts(conflicts)),
            }
        }
        result => result,
    }?;
    if writer.manager == last_applied::KUBECTL {
        last_applied::update(&mut applied, config);
    }
    Ok(applied)
}

fn is_entry(entry: &Value) -> bool {
    const NAME: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ManagedFieldsEntry";
    let ty = Schema::builtin().type_named(NAME);
    entry.is_object() && ty.is_some_and(|ty| json::from_tree(&ty, entry.clone(), &Value::Null).is_ok())
}

fn check_config(writer: &Writer<'_>, config: &Value) -> Result<(), ApplyError> {
    // What is no list of entries is for the schema to refuse.
    let managed = config.metadata().and_then(|metadata| metadata.get(MANAGED_FIELDS)).and_then(Value::as_array);
    if managed.is_some_and(|list| list.iter().all(is_entry)) {
        return Err(ApplyError::ManagedFieldsGiven);
    }
    let shape = Shape::Message(writer.ty.id);
    check::check(Place::root(writer.ty, &shape), config).map_err(|misfits| {
        let text = |key: &str| config.get(key).and_then(Value::as_str).unwrap_or_default();
        let kind = apimachinery::gvk::GroupVersionKind::parse(text("apiVersion"), text("kind"));
        let kind = kind.map(|kind| kind.to_string()).unwrap_or_default();
        ApplyError::Misfit { object: format!("{}/{}; {kind}", config.namespace(), config.name()), misfits }
    })
}

fn applied(
    writer: &Writer<'_>,
    live: &Value,
    config: &Value,
    mut managed: Managed,
    force: bool,
) -> Result<Value, ApplyError> {
    let shape = Shape::Message(writer.ty.id);
    let place = Place::root(writer.ty, &shape);
    let manager = writer.as_manager(writer.manager, Operation::Apply);
    let merged = merge::merge(place, Some(live.clone()), config)?;
    let last = managed.take(&manager);
    let set = writer.reset.filter(extract::fields(place, config));
    let last_time = last.as_ref().and_then(|entry| entry.time.clone());
    managed.entries.push(managers::Entry::new(manager.clone(), last_time, set));
    let mut new = match &last {
        Some(last) => prune(writer, merged, &managed, &last.set(), &last.manager.api_version),
        None => merged,
    };
    let mut transition = Transition::new(writer, live, &new)?;
    if !force {
        let conflicts = transition.conflicts(&managed, &manager)?;
        if !conflicts.is_empty() {
            return Err(ApplyError::Conflicts(conflicts));
        }
    }
    transition.take_from(&mut managed, Some(&manager))?;
    if let Some(own) = managed.take(&manager) {
        let time = if new == *live { own.time.clone() } else { Some(writer.now.to_owned()) };
        managed.entries.push(managers::Entry::new(manager, time, without_system_fields(own.set())));
    }
    set_managed(&mut new, managed);
    Ok(new)
}

/// Fields that belong to the server and to no manager.
const SYSTEM_FIELDS: [&str; 3] = ["apiVersion", "kind", "metadata"];
/// The same of `metadata`.
const SYSTEM_METADATA: [&str; 9] = [
    "clusterName",
    "creationTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// A set without the fields that belong to the server.
fn without_system_fields(mut set: FieldSet) -> FieldSet {
    SYSTEM_FIELDS.into_iter().for_each(|name| set.remove(&[name]));
    SYSTEM_METADATA.into_iter().for_each(|name| set.remove(&["metadata", name]));
    set
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
