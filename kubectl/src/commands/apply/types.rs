//! Types of the objects that are applied: built-in ones, and those that the server publishes.

use super::Session;
use crate::apply::{published, schema_of};
use apimachinery::Value;
use apimachinery::gvk::GroupVersionKind;
use apimachinery::schema::TypeRef;
use std::collections::HashMap;
use tokio::sync::Mutex;

/// Types by kind; those of a server are asked for once.
pub(in crate::commands) struct Types<'a> {
    session: &'a Session,
    /// Whether the server's OpenAPI documents tell of what is not built in.
    asks: bool,
    asked: Mutex<HashMap<GroupVersionKind, Option<TypeRef>>>,
}

impl<'a> Types<'a> {
    pub(in crate::commands) fn new(session: &'a Session, asks: bool) -> Self {
        Self { session, asks, asked: Mutex::default() }
    }

    /// The type by which an object is patched; without one it is merged as JSON.
    pub(in crate::commands) async fn of(&self, object: &Value) -> Option<TypeRef> {
        let builtin = schema_of(object);
        if builtin.is_some() || !self.asks {
            return builtin;
        }
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
        let kind = GroupVersionKind::parse(text("apiVersion"), text("kind"))?;
        let mut asked = self.asked.lock().await;
        if let Some(known) = asked.get(&kind) {
            return known.clone();
        }
        let ty = self.published(&kind).await;
        asked.insert(kind, ty.clone());
        ty
    }

    /// A server that does not tell knows no better way than JSON.
    async fn published(&self, kind: &GroupVersionKind) -> Option<TypeRef> {
        let client = &self.session.client;
        let index = client.get("/openapi/v3", "application/json").await.ok()?;
        let url = index["paths"][format!("apis/{}/{}", kind.group, kind.version)]["serverRelativeURL"].as_str()?;
        let document = client.get(client.below(url), "application/json").await.ok()?;
        published::type_of(&document, kind)
    }
}
