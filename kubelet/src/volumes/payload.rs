//! The files of configMap, secret, downwardAPI and projected volumes.

use super::VolumeError;
use super::atomic::{File, Files};
use super::tokens::Tokens;
use crate::cluster::{Cluster, ClusterError, TokenWish};
use crate::env::fields::{self, FieldError, PodFacts};
use crate::pod::PodExt;
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, Pod, Secret, ServiceAccountTokenProjection, Volume, VolumeProjection,
};

const DEFAULT_MODE: i32 = 0o644;

/// The plug-in that such a volume belongs to, and whether it lies in memory only.
pub fn kind(volume: &Volume) -> Option<(&'static str, bool)> {
    if volume.config_map.is_some() {
        Some(("configmap", false))
    } else if volume.secret.is_some() {
        Some(("secret", true))
    } else if volume.downward_api.is_some() {
        Some(("downward-api", true))
    } else if volume.projected.is_some() {
        Some(("projected", true))
    } else {
        None
    }
}

/// Everything that the volume is to show.
pub async fn collect(
    facts: &PodFacts<'_>,
    volume: &Volume,
    cluster: &dyn Cluster,
    tokens: &Tokens,
) -> Result<Files, VolumeError> {
    let mut out = Collector { facts, cluster, files: Files::new() };
    if let Some(source) = &volume.config_map {
        let wanted = Wanted::new(&source.name, source.items.as_deref(), source.default_mode, source.optional);
        out.config_map(&wanted).await?;
    } else if let Some(source) = &volume.secret {
        let name = source.secret_name.clone().unwrap_or_default();
        let wanted = Wanted::new(&name, source.items.as_deref(), source.default_mode, source.optional);
        out.secret(&wanted).await?;
    } else if let Some(source) = &volume.downward_api {
        out.downward(source.items.as_deref(), source.default_mode)?;
    } else if let Some(source) = &volume.projected {
        for projection in source.sources.iter().flatten() {
            out.projection(projection, source.default_mode, tokens).await?;
        }
    }
    Ok(out.files)
}

struct Wanted<'a> {
    name: String,
    items: Option<&'a [KeyToPath]>,
    mode: i32,
    optional: bool,
}

impl<'a> Wanted<'a> {
    fn new(name: &str, items: Option<&'a [KeyToPath]>, mode: Option<i32>, optional: Option<bool>) -> Self {
        let items = items.filter(|i| !i.is_empty());
        Self { name: name.to_owned(), items, mode: mode.unwrap_or(DEFAULT_MODE), optional: optional == Some(true) }
    }
}

struct Collector<'a, 'p> {
    facts: &'a PodFacts<'p>,
    cluster: &'a dyn Cluster,
    files: Files,
}

impl Collector<'_, '_> {
    async fn config_map(&mut self, wanted: &Wanted<'_>) -> Result<(), VolumeError> {
        match self.cluster.config_map(self.facts.pod.namespace(), &wanted.name).await {
            Ok(map) => self.keys("configmap", &config_map_data(&map), wanted),
            Err(ClusterError::NotFound { .. }) if wanted.optional => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    async fn secret(&mut self, wanted: &Wanted<'_>) -> Result<(), VolumeError> {
        match self.cluster.secret(self.facts.pod.namespace(), &wanted.name).await {
            Ok(secret) => self.keys("secret", &secret_data(&secret), wanted),
            Err(ClusterError::NotFound { .. }) if wanted.optional => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    async fn projection(
        &mut self,
        p: &VolumeProjection,
        mode: Option<i32>,
        tokens: &Tokens,
    ) -> Result<(), VolumeError> {
        if let Some(s) = &p.config_map {
            self.config_map(&Wanted::new(&s.name, s.items.as_deref(), mode, s.optional)).await?;
        }
        if let Some(s) = &p.secret {
            self.secret(&Wanted::new(&s.name, s.items.as_deref(), mode, s.optional)).await?;
        }
        if let Some(s) = &p.downward_api {
            self.downward(s.items.as_deref(), mode)?;
        }
        if let Some(s) = &p.service_account_token {
            self.token(s, mode.unwrap_or(DEFAULT_MODE), tokens).await?;
        }
        Ok(())
    }

    async fn token(
        &mut self,
        s: &ServiceAccountTokenProjection,
        mode: i32,
        tokens: &Tokens,
    ) -> Result<(), VolumeError> {
        let pod = self.facts.pod;
        let token = tokens.get(&wish(pod, s)).await?;
        let owner = common_user(pod);
        // A token is for the pod's user or group alone where there is one.
        let restricted = owner.is_some() || super::fs_group(pod).is_some();
        let mode = if restricted { 0o600 } else { mode };
        self.put(&s.path, token.into_bytes(), mode);
        if let Some(file) = self.files.get_mut(&s.path) {
            file.owner = owner;
        }
        Ok(())
    }

    fn downward(&mut self, items: Option<&[DownwardAPIVolumeFile]>, mode: Option<i32>) -> Result<(), VolumeError> {
        for item in items.unwrap_or_default() {
            let text = self.downward_text(item)?;
            self.put(&item.path, text.into_bytes(), item.mode.or(mode).unwrap_or(DEFAULT_MODE));
        }
        Ok(())
    }

    fn downward_text(&self, item: &DownwardAPIVolumeFile) -> Result<String, FieldError> {
        if let Some(field) = &item.field_ref {
            return fields::pod_field(self.facts, &field.field_path);
        }
        let Some(resource) = &item.resource_field_ref else { return Ok(String::new()) };
        let name = resource.container_name.clone().unwrap_or_default();
        let container = self.facts.pod.container(&name).ok_or(FieldError::Container(name))?;
        fields::resource_field(self.facts, &container, resource)
    }

    fn keys(&mut self, kind: &'static str, data: &[(&str, &[u8])], wanted: &Wanted<'_>) -> Result<(), VolumeError> {
        let Some(items) = wanted.items else {
            data.iter().for_each(|(key, value)| self.put(key, value.to_vec(), wanted.mode));
            return Ok(());
        };
        for item in items {
            match data.iter().find(|(key, _)| *key == item.key) {
                Some((_, value)) => self.put(&item.path, value.to_vec(), item.mode.unwrap_or(wanted.mode)),
                None if wanted.optional => {}
                None => return Err(VolumeError::NoKey { kind, key: item.key.clone() }),
            }
        }
        Ok(())
    }

    fn put(&mut self, path: &str, data: Vec<u8>, mode: i32) {
        let mode = u32::try_from(mode).unwrap_or(0o644);
        self.files.insert(path.to_owned(), File { data, mode, owner: None });
    }
}

fn config_map_data(map: &ConfigMap) -> Vec<(&str, &[u8])> {
    let text = map.data.iter().flatten().map(|(k, v)| (k.as_str(), v.as_bytes()));
    let binary = map.binary_data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice()));
    text.chain(binary).collect()
}

fn secret_data(secret: &Secret) -> Vec<(&str, &[u8])> {
    secret.data.iter().flatten().map(|(k, v)| (k.as_str(), v.0.as_slice())).collect()
}

fn wish(pod: &Pod, s: &ServiceAccountTokenProjection) -> TokenWish {
    TokenWish {
        namespace: pod.namespace().to_owned(),
        service_account: PodExt::spec(pod).service_account_name.clone().unwrap_or_else(|| "default".into()),
        audience: s.audience.clone().filter(|a| !a.is_empty()),
        seconds: s.expiration_seconds.unwrap_or(3600),
        pod_name: pod.name().to_owned(),
        pod_uid: pod.uid().to_owned(),
        service_account_uid: None,
    }
}

/// The user that all containers run as, if it is one and the same.
fn common_user(pod: &Pod) -> Option<u32> {
    let spec = PodExt::spec(pod);
    let of_pod = spec.security_context.as_ref().and_then(|c| c.run_as_user);
    let mut users = spec
        .containers
        .iter()
        .chain(pod.init_containers())
        .map(|c| c.security_context.as_ref().and_then(|s| s.run_as_user).or(of_pod));
    let first = users.next()??;
    users.all(|u| u == Some(first)).then_some(first).and_then(|u| u32::try_from(u).ok())
}
