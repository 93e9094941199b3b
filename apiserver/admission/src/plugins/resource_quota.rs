//! `ResourceQuota`: what a namespace may use, counted when it is asked for.
//!
//! [`rules::quota`] says what an object uses and whether a quota is about it; here they are
//! compared and the count is written. The quota controller corrects counts of what did not come about.
//!
//! Upstream: `apiserver/pkg/admission/plugin/resourcequota`.

mod limits;

use crate::denial::forbidden;
use crate::lookup::list;
use crate::pod::map;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;
use apimachinery::quantity::Quantity;
use apimachinery::resources;
use apimachinery::status::{Reason, Status};
use apiserver_registry::Context;
use apiserver_registry::admission::{Attributes, Operation, Plugin};
use apiserver_storage::{Change, Match, Object, StorageError, Store};
use async_trait::async_trait;
use limits::{Limits, Uncovered};
use rules::placement::requests::amounts;
use rules::quota::{self, Amounts};
use std::sync::Arc;

/// Lost races over one quota until the client has to try again.
const ATTEMPTS: usize = 10;

pub(crate) struct ResourceQuota {
    store: Store,
    limits: Limits,
}

impl ResourceQuota {
    /// With its configuration, if there is one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(store: Store, configuration: Option<&Value>) -> Result<Self, String> {
        let limits = configuration.map(Limits::parse).transpose()?.unwrap_or_default();
        Ok(Self { store, limits })
    }

    async fn charge(&self, attributes: &Attributes<'_>, quota: Arc<Object>, delta: &Amounts) -> Result<(), Status> {
        let Some(resource) = resources::find("", "v1", "resourcequotas") else { return Ok(()) };
        let mut quota = quota;
        for _ in 0..ATTEMPTS {
            let charged = charged(&quota.value(), delta).map_err(|why| forbidden(attributes, &why))?;
            let Some(charged) = charged.filter(|_| !attributes.context.dry_run) else { return Ok(()) };
            let mut change = Some(Change::Put(charged));
            let once = async move |_: &Arc<Object>| Ok::<_, StorageError>(change.take().unwrap_or(Change::Keep));
            match self.store.update(resource, quota.key(), Some(quota.revision()), once).await {
                Ok(_) | Err(StorageError::NotFound { .. }) => return Ok(()),
                Err(StorageError::Conflict { .. }) => {}
                Err(error) => return Err(Status::internal(error)),
            }
            let fresh = self.store.get(resource, quota.key(), Match::MostRecent).await.map_err(Status::internal)?;
            let Some(fresh) = fresh else { return Ok(()) };
            quota = fresh;
        }
        Err(Status::conflict(
            &resource.group_resource(),
            quota.name(),
            "the object has been modified; please apply your changes to the latest version and try again",
        ))
    }
}

#[async_trait]
impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, operation: Operation, context: &Context) -> bool {
        let main = context.subresource.is_none() || context.subresource_name() == "resize";
        let counted = !context.namespace.is_empty() && !context.resource.storage_prefix.is_empty();
        main && counted && matches!(operation, Operation::Create | Operation::Update)
    }

    async fn validate(&self, attributes: &Attributes<'_>) -> Result<(), Status> {
        let context = attributes.context;
        let quotas = list(&self.store, ("", "v1", "resourcequotas"), Some(&context.namespace));
        if quotas.is_empty() && self.limits.is_empty() {
            return Ok(());
        }
        let (resource, object): (_, &Value) = (counted(context), &*attributes.object);
        let mut whole = quota::of(resource, object);
        whole.retain(|_, amount| !amount.is_zero());
        let growth = growth(&whole, &quota::of(resource, attributes.old_object));
        let is_update = attributes.operation == Operation::Update;
        let trees: Vec<Value> = quotas.iter().map(|quota| quota.value()).collect();
        let mut charges = Vec::new();
        for (quota, tree) in quotas.into_iter().zip(&trees).filter(|(_, tree)| quota::covers(tree, resource, object)) {
            if is_update && quota::covers(tree, resource, attributes.old_object) {
                charges.push((quota, &growth));
            } else {
                check_specified(tree, attributes)?;
                charges.push((quota, &whole));
            }
        }
        let uses_more = match charges.is_empty() {
            true => !(if is_update { &growth } else { &whole }).is_empty(),
            false => charges.iter().any(|(_, delta)| !delta.is_empty()),
        };
        if uses_more {
            let checked = self.limits.check(resource, object, &whole, &trees);
            checked.map_err(|uncovered| uncovered_status(attributes, uncovered))?;
        }
        for (quota, delta) in charges {
            self.charge(attributes, quota, delta).await?;
        }
        Ok(())
    }
}

/// Upstream's answers: one of them is no refusal of an admission plugin.
fn uncovered_status(attributes: &Attributes<'_>, uncovered: Uncovered) -> Status {
    match uncovered {
        Uncovered::Amounts(names) => forbidden(attributes, &format!("insufficient quota to consume: {names}")),
        Uncovered::Scopes(scopes) => {
            Status::plain(500, Reason::Unknown, format!("insufficient quota to match these scopes: [{scopes}]"))
        }
    }
}

/// What an object uses more than before. What it uses less, the quota controller finds.
fn growth(now: &Amounts, before: &Amounts) -> Amounts {
    let more = now.iter().map(|(name, amount)| match before.get(name) {
        Some(before) => (name.clone(), *amount - *before),
        None => (name.clone(), *amount),
    });
    more.filter(|(_, amount)| !amount.is_zero() && !amount.is_negative()).collect()
}

fn counted(context: &Context) -> quota::Resource<'_> {
    quota::Resource { group: &context.resource.group, plural: &context.resource.plural }
}

/// A quota on cpu or memory makes every container say what it needs.
fn check_specified(quota: &Value, attributes: &Attributes<'_>) -> Result<(), Status> {
    let hard = hard(quota);
    let missing = quota::unspecified(counted(attributes.context), attributes.object, &hard);
    match missing.is_empty() {
        true => Ok(()),
        false => {
            let why = format!("failed quota: {}: must specify {}", quota.name(), missing.join("; "));
            Err(forbidden(attributes, &why))
        }
    }
}

fn hard(quota: &Value) -> Amounts {
    quota.get("status").map(|status| amounts(status, "hard")).unwrap_or_default()
}

/// The quota with the change counted; `None` if it is not about it; or what it would exceed.
fn charged(quota: &Value, delta: &Amounts) -> Result<Option<Value>, String> {
    let hard = hard(quota);
    let used = quota.get("status").map(|status| amounts(status, "used")).unwrap_or_default();
    let concerned: Vec<(&String, &Quantity)> = delta.iter().filter(|(name, _)| hard.contains_key(*name)).collect();
    if concerned.is_empty() {
        return Ok(None);
    }
    let unknown: Vec<&str> =
        concerned.iter().filter(|(n, _)| !used.contains_key(*n)).map(|(n, _)| n.as_str()).collect();
    if !unknown.is_empty() {
        return Err(format!("status unknown for quota: {}, resources: {}", quota.name(), unknown.join(",")));
    }
    let after = |name: &String, amount: &Quantity| used[name] + *amount;
    let over = |(name, amount): &&(&String, &Quantity)| !amount.is_negative() && after(name, amount) > hard[*name];
    let exceeded: Vec<&(&String, &Quantity)> = concerned.iter().filter(over).collect();
    if !exceeded.is_empty() {
        let print = |value: &dyn Fn(&String) -> Quantity| -> String {
            exceeded.iter().map(|(name, _)| format!("{name}={}", value(name))).collect::<Vec<_>>().join(",")
        };
        return Err(format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            quota.name(),
            print(&|name| delta[name]),
            print(&|name| used[name]),
            print(&|name| hard[name])
        ));
    }
    let mut charged = quota.clone();
    let counts = map(&mut charged["status"], "used");
    for (name, amount) in concerned {
        let total = after(name, amount);
        let total = if total.is_negative() { Quantity::ZERO } else { total };
        counts.insert(name.clone(), total.to_string().into());
    }
    Ok(Some(charged))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, context, create, run_in};
    use serde_json::json;

    fn quota(hard: Value, used: Value) -> Value {
        json!({"kind": "ResourceQuota", "apiVersion": "v1", "metadata": {"name": "q", "namespace": "ns"}, "spec": {"hard": hard},
            "status": {"hard": hard, "used": used}})
    }

    async fn plugin(quota: Value) -> (Cluster, ResourceQuota) {
        let cluster = Cluster::start().await;
        cluster.add("/resourcequotas", quota).await;
        let plugin = ResourceQuota::new(cluster.store.clone(), None).expect("a plugin");
        (cluster, plugin)
    }

    fn pod(cpu: &str) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "resources": {"requests": {"cpu": cpu}}}]}})
    }

    #[tokio::test]
    async fn pods_are_counted_until_the_quota_is_full() {
        let hard = json!({"pods": "2", "requests.cpu": "1"});
        let (cluster, plugin) = plugin(quota(hard, json!({"pods": "0", "requests.cpu": "0"}))).await;
        create(&plugin, "/pods", pod("600m")).await.expect("admitted");
        let quotas = resources::find("", "v1", "resourcequotas").expect("served");
        let stored = cluster.store.get(quotas, &quotas.key("ns", "q"), Match::MostRecent).await.expect("read");
        assert_eq!(stored.expect("there").value()["status"]["used"], json!({"pods": "1", "requests.cpu": "600m"}));
        let refused = create(&plugin, "/pods", pod("600m")).await.expect_err("over the quota");
        let text = "pods \"p\" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: \
                    requests.cpu=1";
        assert_eq!((refused.code, refused.message.as_str()), (403, text));
    }

    #[tokio::test]
    async fn pods_that_come_under_a_quota_are_counted_whole() {
        let hard = json!({"pods": "1"});
        let mut terminating = quota(hard.clone(), json!({"pods": "0"}));
        terminating["spec"] = json!({"hard": hard, "scopes": ["Terminating"]});
        let (cluster, plugin) = plugin(terminating).await;
        let with_deadline = |name: &str| json!({"metadata": {"name": name}, "spec": {"activeDeadlineSeconds": 60, "containers": [{"name": "c"}]}});
        create(&plugin, "/pods", pod("1")).await.expect("not terminating");
        let cx = context("/pods", "", "tester");
        let update = run_in(cluster.store.clone(), &plugin, &cx, Operation::Update, with_deadline("p"), pod("1"));
        update.await.expect("room for one");
        let again =
            run_in(cluster.store.clone(), &plugin, &cx, Operation::Update, with_deadline("p"), with_deadline("p"));
        again.await.expect("counted already");
        let refused = create(&plugin, "/pods", with_deadline("q")).await.expect_err("one too many");
        assert!(refused.message.contains("requested: pods=1, used: pods=1, limited: pods=1"), "{}", refused.message);
    }

    #[tokio::test]
    async fn containers_must_say_what_they_need() {
        let hard = json!({"limits.cpu": "1"});
        let (_cluster, plugin) = plugin(quota(hard, json!({"limits.cpu": "0"}))).await;
        let refused = create(&plugin, "/pods", pod("1")).await.expect_err("no limit");
        assert!(refused.message.ends_with("failed quota: q: must specify limits.cpu for: c"), "{refused}");
    }

    #[tokio::test]
    async fn any_resource_can_be_counted() {
        let hard = json!({"count/deployments.apps": "0", "configmaps": "0"});
        let (_cluster, plugin) = plugin(quota(hard.clone(), hard)).await;
        assert!(create(&plugin, "apps/deployments", json!({"metadata": {"name": "d"}})).await.is_err());
        assert!(create(&plugin, "/configmaps", json!({"metadata": {"name": "d"}})).await.is_err());
        create(&plugin, "/secrets", json!({"metadata": {"name": "s"}})).await.expect("not limited");
    }
}
