//! Which group versions are served elsewhere, and how to get there.

use crate::service::{ApiService, Reference};
use crate::transport::{Connector, Credentials};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The way to the server of one group version.
#[derive(Debug)]
pub struct Route {
    /// What is served there.
    pub service: ApiService,
    /// Its Service, the same as in `service.backend`.
    pub backend: Reference,
    pub(crate) connector: Arc<Connector>,
    /// What the last look said, ahead of the `Available` condition that is read back.
    pub(crate) answers: AtomicBool,
}

impl Route {
    /// Whether requests are worth sending there.
    pub fn is_available(&self) -> bool {
        self.answers.load(Ordering::Relaxed)
    }
}

/// All routes.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    /// By group, then by version.
    groups: HashMap<String, HashMap<String, Arc<Route>>>,
}

impl Routes {
    /// Makes the routes, taking over connectors that have not changed.
    pub(crate) fn new(services: Vec<ApiService>, before: &Routes, credentials: &Credentials) -> Self {
        let mut connectors: HashMap<Reference, Arc<Connector>> = before
            .all()
            .filter(|r| r.connector.is_of(credentials))
            .map(|r| (r.backend.clone(), r.connector.clone()))
            .collect();
        let mut groups: HashMap<String, HashMap<String, Arc<Route>>> = HashMap::new();
        for service in services {
            let Some(backend) = service.backend.clone() else { continue };
            let connector = connectors
                .entry(backend.clone())
                .or_insert_with(|| Arc::new(Connector::new(&backend, credentials)))
                .clone();
            let (group, version) = (service.group.clone(), service.version.clone());
            let answers = AtomicBool::new(service.is_available);
            let route = Route { service, backend, connector, answers };
            groups.entry(group).or_default().insert(version, Arc::new(route));
        }
        Self { groups }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.groups.values().flat_map(HashMap::values)
    }

    /// The route of a path below `/apis/GROUP/VERSION`, if that is served elsewhere.
    pub(crate) fn find(&self, path: &str) -> Option<&Arc<Route>> {
        let (group, rest) = match path.strip_prefix("/apis/") {
            Some(rest) => rest.split_once('/')?,
            None => ("", path.strip_prefix("/api/")?),
        };
        self.groups.get(group)?.get(rest.split('/').next()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(group: &str, remote: bool) -> ApiService {
        let mut object =
            json!({"metadata": {"name": format!("v1.{group}")}, "spec": {"group": group, "version": "v1"}});
        if remote {
            object["spec"]["service"] = json!({"namespace": "n", "name": "s"});
            object["spec"]["insecureSkipTLSVerify"] = true.into();
        }
        ApiService::of(&object)
    }

    #[test]
    fn finds_what_is_served_elsewhere() {
        let services = || vec![service("a.io", true), service("apps", false)];
        let credentials = Credentials::default();
        let routes = Routes::new(services(), &Routes::default(), &credentials);
        for (path, want) in [
            ("/apis/a.io/v1", true),
            ("/apis/a.io/v1/", true),
            ("/apis/a.io/v1/namespaces/x/things", true),
            ("/apis/a.io/v2/things", false),
            ("/apis/a.io", false),
            ("/apis/a.io/v11", false),
            ("/apis/apps/v1/deployments", false),
            ("/api/v1/pods", false),
            ("/version", false),
        ] {
            assert_eq!(routes.find(path).is_some(), want, "{path}");
        }
        let again = Routes::new(services(), &routes, &credentials);
        let connector = |r: &Routes| r.find("/apis/a.io/v1").expect("a route").connector.clone();
        assert!(Arc::ptr_eq(&connector(&routes), &connector(&again)));
    }
}
