//! `scale`.

use super::Session;
use crate::cli::Scale;
use crate::targets;
use anyhow::bail;
use apimachinery::Value;
use http::Method;
use serde_json::json;

pub(super) async fn run(session: &Session, scale: &Scale) -> anyhow::Result<()> {
    if scale.replicas < 0 {
        bail!("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0");
    }
    let discovery = session.discovery().await?;
    for target in targets::parse(&discovery, "scale", &scale.resources)? {
        let Some(name) = &target.name else { bail!("resource(s) were provided, but no name was specified") };
        let path = format!("{}/{name}/scale", target.resource.path(Some(&session.namespace)));
        if scale.current_replicas >= 0 {
            let current = session.client.get(&path, "application/json").await?;
            let replicas = current.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(0);
            if replicas != i64::from(scale.current_replicas) {
                bail!("Expected replicas to be {}, was {replicas}", scale.current_replicas);
            }
        }
        let patch = json!({"spec": {"replicas": scale.replicas}});
        session.client.write(Method::PATCH, &path, "application/merge-patch+json", &patch).await?;
        crate::outln!("{}/{name} scaled", target.resource.display());
    }
    Ok(())
}
