//! Reading objects without their managed fields: nobody looks at them in a cache, and to read them
//! takes as long as to read the rest of a pod.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, IntoDeserializer as _, MapAccess, Visitor};
use serde::forward_to_deserialize_any;
use std::borrow::Cow;
use std::marker::PhantomData;

/// Where they are.
const PATH: &[&str] = &["metadata", "managedFields"];

/// An object that is read without them.
#[derive(Clone, Debug)]
pub(super) struct Lean<K>(pub(super) K);

impl<'de, K: Deserialize<'de>> Deserialize<'de> for Lean<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        K::deserialize(Without { inner: deserializer, path: PATH }).map(Self)
    }
}

impl<K: kube::Resource<DynamicType = ()>> kube::Resource for Lean<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn kind(_: &()) -> Cow<'_, str> {
        K::kind(&())
    }

    fn group(_: &()) -> Cow<'_, str> {
        K::group(&())
    }

    fn version(_: &()) -> Cow<'_, str> {
        K::version(&())
    }

    fn plural(_: &()) -> Cow<'_, str> {
        K::plural(&())
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.meta()
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.meta_mut()
    }
}

/// Reads an object without the member that the path leads to.
struct Without<D> {
    inner: D,
    path: &'static [&'static str],
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Without<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_any(Passing { inner: visitor, path: self.path })
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_option(Passing { inner: visitor, path: self.path })
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.inner.deserialize_map(Passing { inner: visitor, path: self.path })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.inner.deserialize_struct(name, fields, Passing { inner: visitor, path: self.path })
    }

    // Objects of the API are nothing else.
    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct enum identifier ignored_any
    }
}

struct Passing<V> {
    inner: V,
    path: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Passing<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.inner.expecting(f)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_none()
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<V::Value, E> {
        self.inner.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        self.inner.visit_some(Without { inner: deserializer, path: self.path })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.inner.visit_map(Members { inner: map, path: self.path, is_on_path: false })
    }
}

struct Members<A> {
    inner: A,
    path: &'static [&'static str],
    /// Whether the value that comes next is the one that the path goes through.
    is_on_path: bool,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Members<A> {
    type Error = A::Error;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, A::Error> {
        while let Some(Key(key)) = self.inner.next_key()? {
            self.is_on_path = self.path.first() == Some(&&*key);
            if self.is_on_path && self.path.len() == 1 {
                self.inner.next_value::<IgnoredAny>()?;
                continue;
            }
            return seed.deserialize((&*key).into_deserializer()).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, A::Error> {
        match self.is_on_path {
            true => self.inner.next_value_seed(Seed { inner: seed, path: &self.path[1..] }),
            false => self.inner.next_value_seed(seed),
        }
    }
}

struct Seed<S> {
    inner: S,
    path: &'static [&'static str],
}

impl<'de, S: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<S> {
    type Value = S::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<S::Value, D::Error> {
        self.inner.deserialize(Without { inner: deserializer, path: self.path })
    }
}

/// A member's name, borrowed where that is possible.
struct Key<'de>(Cow<'de, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name<'de>(PhantomData<&'de ()>);

        impl<'de> Visitor<'de> for Name<'de> {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Name(PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Pod;
    use serde_json::json;

    #[test]
    fn an_object_is_what_it_was_but_for_its_managed_fields() {
        let fields = json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}});
        let object = |managed: bool| {
            let mut pod = json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": "p", "labels": {"managedFields": "x", "metadata": "y"}},
                "spec": {"containers": [{"name": "c", "env": [{"name": "metadata", "value": "z"}]}]}});
            if managed {
                pod["metadata"]["managedFields"] = json!([{"manager": "m", "fieldsV1": fields}]);
            }
            pod.to_string()
        };
        let lean: Lean<Pod> = serde_json::from_str(&object(true)).unwrap();
        assert_eq!(lean.0, serde_json::from_str::<Pod>(&object(false)).unwrap());
        let event = format!("{{\"type\":\"MODIFIED\",\"object\":{}}}", object(true));
        let event: kube::api::WatchEvent<Lean<Pod>> = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, kube::api::WatchEvent::Modified(Lean(pod)) if pod == lean.0));
        let bare: Lean<Pod> = serde_json::from_str("{\"metadata\": null}").unwrap();
        assert_eq!(bare.0, Pod::default());
        assert!(serde_json::from_str::<Lean<Pod>>("7").is_err());
    }
}
