//! Writes `kube-root-ca.crt` into one namespace.

use super::plan::{self, Change};
use crate::scaffold::context::namespaced;
use crate::scaffold::error::is_namespace_terminating;
use crate::scaffold::patch::{self, Guard, Part};
use crate::scaffold::{At, Controller, Next, ReconcileError, Writes, is_exists, is_not_found};
use client::{Informer, ObjectKey};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::PostParams;

pub(super) struct RootCa {
    pub(super) client: kube::Client,
    pub(super) namespaces: Informer<Namespace>,
    pub(super) maps: Informer<ConfigMap>,
    pub(super) writes: Writes,
    pub(super) root_ca: String,
}

impl Controller for RootCa {
    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, ReconcileError> {
        let Some(namespace) = self.namespaces.get("", &key.name) else { return Ok(Next::OnChange) };
        let current = self.maps.get(&key.name, plan::CONFIG_MAP);
        let api = namespaced::<ConfigMap>(&self.client, &key.name);
        let written = match (plan::plan(&namespace, current.as_deref(), &self.root_ca), &current) {
            (Change::Create(map), _) => api.create(&PostParams::default(), &map).await.map(Some),
            (Change::Restore(map), Some(current)) => {
                patch::write(&api, Part::Object, Guard::Version, current, &map).await
            }
            _ => Ok(None),
        };
        match written {
            Ok(Some(map)) => self.writes.wrote(key, &self.maps, &map),
            Ok(None) => {}
            Err(error) if is_exists(&error) || is_not_found(&error) || is_namespace_terminating(&error) => {}
            Err(error) => return Err(error).at(|| format!("publish the root CA in {key}")),
        }
        Ok(Next::OnChange)
    }
}
