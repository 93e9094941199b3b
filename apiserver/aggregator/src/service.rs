//! An `APIService`, as far as routing is concerned.

use crate::priority::Priority;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A group version, and who serves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiService {
    /// `VERSION.GROUP`.
    pub name: String,
    /// API group.
    pub group: String,
    /// Version.
    pub version: String,
    /// Where it stands in lists.
    pub priority: Priority,
    /// The Service of the server that serves it; `None`: this server.
    pub backend: Option<Reference>,
    /// Its `Available` condition is true.
    pub is_available: bool,
}

/// The way to another API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// Namespace of its Service.
    pub namespace: String,
    /// Name of its Service.
    pub name: String,
    /// Port of its Service.
    pub port: u16,
    /// Which serving certificates it may have.
    pub trust: Trust,
}

/// What a serving certificate is checked against.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// `caBundle`, as PEM.
    Bundle(Vec<u8>),
    /// No `caBundle`: the authorities that this machine trusts.
    System,
    /// `insecureSkipTLSVerify`.
    Anything,
}

/// The port of a Service reference that names none.
const DEFAULT_PORT: u64 = 443;

impl ApiService {
    /// Reads an object.
    pub fn of(object: &Value) -> Self {
        let spec = object.get("spec").unwrap_or(&Value::Null);
        let int = |key: &str| spec.get(key).and_then(Value::as_i64).unwrap_or_default();
        Self {
            name: object.name().to_owned(),
            group: text(spec, "group").to_owned(),
            version: text(spec, "version").to_owned(),
            priority: Priority { group: int("groupPriorityMinimum"), version: int("versionPriority") },
            backend: spec.get("service").filter(|s| s.is_object()).map(|s| Reference::of(s, spec)),
            is_available: condition(object).is_some_and(|c| text(c, "status") == "True"),
        }
    }

    /// The path of its discovery document.
    pub fn path(&self) -> String {
        match self.group.as_str() {
            "" => format!("/api/{}", self.version),
            group => format!("/apis/{group}/{}", self.version),
        }
    }
}

impl Reference {
    fn of(service: &Value, spec: &Value) -> Self {
        let port = service.get("port").and_then(Value::as_u64).unwrap_or(DEFAULT_PORT);
        Self {
            namespace: text(service, "namespace").to_owned(),
            name: text(service, "name").to_owned(),
            // Validation has made sure that it fits.
            port: u16::try_from(port).unwrap_or_default(),
            trust: Trust::of(spec),
        }
    }

    /// The name that the serving certificate must have.
    pub fn server_name(&self) -> String {
        format!("{}.{}.svc", self.name, self.namespace)
    }
}

impl Trust {
    fn of(spec: &Value) -> Self {
        match (text(spec, "caBundle"), spec.get("insecureSkipTLSVerify").and_then(Value::as_bool)) {
            (_, Some(true)) => Trust::Anything,
            ("", _) => Trust::System,
            // What is not base64 becomes an empty bundle, which trusts nobody.
            (bundle, _) => Trust::Bundle(STANDARD.decode(bundle).unwrap_or_default()),
        }
    }
}

/// The `Available` condition.
pub(crate) fn condition(object: &Value) -> Option<&Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|c| text(c, "type") == "Available")
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_objects() {
        let object = json!({
            "metadata": {"name": "v1.wardle.example.com"},
            "spec": {"group": "wardle.example.com", "version": "v1", "groupPriorityMinimum": 2000, "versionPriority": 15,
                "caBundle": "UEVN", "service": {"namespace": "ns", "name": "api", "port": 7443}},
            "status": {"conditions": [{"type": "Available", "status": "True"}]},
        });
        let service = ApiService::of(&object);
        assert_eq!((service.path().as_str(), service.is_available), ("/apis/wardle.example.com/v1", true));
        let backend = service.backend.expect("a backend");
        assert_eq!((backend.server_name().as_str(), backend.port), ("api.ns.svc", 7443));
        assert_eq!(backend.trust, Trust::Bundle(b"PEM".to_vec()));
    }

    #[test]
    fn trust_and_defaults() {
        let of = |spec: Value| ApiService::of(&json!({"spec": spec})).backend.map(|b| (b.port, b.trust));
        assert_eq!(of(json!({})), None);
        assert_eq!(of(json!({"service": {"name": "x"}})), Some((443, Trust::System)));
        assert_eq!(of(json!({"service": {}, "insecureSkipTLSVerify": true})), Some((443, Trust::Anything)));
    }
}
