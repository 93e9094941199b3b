//! `why`: fetches an object with what belongs to it; the crate's `why` makes sense of them.

use super::{Session, with_query};
use crate::cli::why::Why;
use crate::pods::selector_of;
use crate::writing::{is_not_found, usage};
use crate::{print, why};
use anyhow::bail;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

pub(super) async fn run(session: &Session, flags: &Why) -> anyhow::Result<()> {
    let (kind, name) = match flags.words.as_slice() {
        [pair] => match pair.split_once('/') {
            Some((kind, name)) if !name.is_empty() && !name.contains('/') => (kind, name),
            _ => return Err(usage("why", "a type and a name are required: why pod|service|node|namespace|pvc NAME")),
        },
        [kind, name] => (kind.as_str(), name.as_str()),
        _ => return Err(usage("why", "a type and a name are required: why pod|service|node|namespace|pvc NAME")),
    };
    let place = format!("/api/v1/namespaces/{}", session.namespace);
    let kind = kind.to_lowercase();
    let (path, explain) = match kind.as_str() {
        "pod" | "pods" | "po" => (format!("{place}/pods/{name}"), Kind::Pod),
        "service" | "services" | "svc" => (format!("{place}/services/{name}"), Kind::Service),
        "node" | "nodes" | "no" => (format!("/api/v1/nodes/{name}"), Kind::Node),
        "namespace" | "namespaces" | "ns" => (format!("/api/v1/namespaces/{name}"), Kind::Namespace),
        "persistentvolumeclaim" | "persistentvolumeclaims" | "pvc" => {
            (format!("{place}/persistentvolumeclaims/{name}"), Kind::Claim)
        }
        other => bail!("why knows pods, services, nodes, namespaces and persistent volume claims, not {other:?}"),
    };
    let object = session.client.get(&path, "application/json").await?;
    let explanation = match explain {
        Kind::Pod => pod(session, &place, &object).await?,
        Kind::Service => service(session, &place, &object).await?,
        Kind::Node => node(session, &object).await?,
        Kind::Namespace => {
            let quotas = all(session, &format!("/api/v1/namespaces/{name}/resourcequotas"), &[]).await?;
            why::namespace(&object, &quotas)
        }
        Kind::Claim => claim(session, &place, &object).await?,
    };
    crate::out!("{}", explanation.text(&print::name_of(&object)));
    Ok(())
}

/// What is asked about.
enum Kind {
    Pod,
    Service,
    Node,
    Namespace,
    Claim,
}

/// The items of a list; none if there is nothing of the kind, or one may not see it.
async fn all(session: &Session, path: &str, query: &[(&str, &str)]) -> anyhow::Result<Vec<Value>> {
    match session.client.get(&with_query(path, query), "application/json").await {
        Ok(mut list) => Ok(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default()),
        Err(error) if matches!(crate::writing::code(&error), Some(403 | 404)) => {
            eprintln!("Warning: left out: {}", super::error_text(&error));
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

/// One object, if it is there.
async fn one(session: &Session, path: &str) -> anyhow::Result<Option<Value>> {
    match session.client.get(path, "application/json").await {
        Ok(object) => Ok(Some(object)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn events(session: &Session, place: &str, object: &Value) -> anyhow::Result<Vec<Value>> {
    let selector = format!("involvedObject.name={},involvedObject.uid={}", object.name(), object.uid());
    all(session, &format!("{place}/events"), &[("fieldSelector", &selector)]).await
}

async fn pod(session: &Session, place: &str, pod: &Value) -> anyhow::Result<why::Explanation> {
    let mut claims = Vec::new();
    // Only a pod without a node waits for its claims.
    if pod["spec"]["nodeName"].is_null() {
        for volume in pod["spec"]["volumes"].as_array().into_iter().flatten() {
            if let Some(name) = volume["persistentVolumeClaim"]["claimName"].as_str() {
                let claim = one(session, &format!("{place}/persistentvolumeclaims/{name}")).await?;
                claims.push((name.to_owned(), claim));
            }
        }
    }
    Ok(why::pod(pod, &events(session, place, pod).await?, &claims))
}

async fn service(session: &Session, place: &str, service: &Value) -> anyhow::Result<why::Explanation> {
    let selector = selector_of(service);
    let pods = match selector.is_empty() {
        true => Vec::new(),
        false => all(session, &format!("{place}/pods"), &[("labelSelector", &selector)]).await?,
    };
    let namespace = service.namespace();
    let slices = format!("/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices");
    let of_service = format!("kubernetes.io/service-name={}", service.name());
    let slices = all(session, &slices, &[("labelSelector", &of_service)]).await?;
    Ok(why::service(service, &pods, &slices))
}

async fn node(session: &Session, node: &Value) -> anyhow::Result<why::Explanation> {
    // The events of nodes are in the default namespace, and name the node as its own UID.
    let selector = format!("involvedObject.kind=Node,involvedObject.name={}", node.name());
    let events = all(session, "/api/v1/namespaces/default/events", &[("fieldSelector", &selector)]).await?;
    let lease = format!("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{}", node.name());
    let lease = one(session, &lease).await.unwrap_or_default();
    Ok(why::node(node, &events, lease.as_ref()))
}

async fn claim(session: &Session, place: &str, claim: &Value) -> anyhow::Result<why::Explanation> {
    let classes = all(session, "/apis/storage.k8s.io/v1/storageclasses", &[]).await?;
    let pods = all(session, &format!("{place}/pods"), &[]).await?;
    Ok(why::claim(claim, &events(session, place, claim).await?, &classes, &pods))
}
