//! Extenders: HTTP servers that take part in decisions. They are asked between decisions' parts,
//! while the cache is not locked.
//!
//! Upstream: `pkg/scheduler/extender.go`, `kube-scheduler/extender/v1`.

use crate::config::ExtenderConfig;
use crate::config::extenders::ExtenderTls;
use crate::model::Pod;
use http_body_util::{BodyExt as _, Limited};
use k8s_openapi::api::core::v1 as core;
use kube::config::{
    AuthInfo, Cluster, Context, KubeConfigOptions, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// The longest answer that is read: names of 5,000 nodes, or whole nodes of a good part of them.
const ANSWER_AT_MOST: usize = 64 << 20;
/// What plugins' scores are to extenders'.
pub const SCORE_SCALE: i64 = 10;
/// Who rejected a pod if an extender did.
pub const NAME: &str = "Extender";

/// Why an extender did not help.
#[derive(Debug, thiserror::Error)]
pub enum ExtenderError {
    /// It cannot be spoken to at all.
    #[error("extender {url}: {why}")]
    Configuration {
        /// Which.
        url: String,
        /// Why.
        why: String,
    },
    /// The request cannot be made.
    #[error("Post {url:?}: {source}")]
    Request {
        /// Where it would have gone.
        url: String,
        /// Why.
        source: http::Error,
    },
    /// It did not answer.
    #[error("Post {url:?}: {source}")]
    Unreachable {
        /// Where the request went.
        url: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took too long.
    #[error("Post {0:?}: context deadline exceeded (Client.Timeout exceeded while awaiting headers)")]
    Timeout(String),
    /// It answered with something else than success.
    #[error("failed {verb} with extender at URL {url}, code {code}")]
    Refused {
        /// What was asked.
        verb: String,
        /// Where.
        url: String,
        /// The HTTP status.
        code: u16,
    },
    /// Its answer cannot be read.
    #[error("{0}")]
    Answer(String),
}

/// An extender.
#[derive(Clone)]
pub struct Extender {
    config: ExtenderConfig,
    client: kube::Client,
}

impl std::fmt::Debug for Extender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extender").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The pod and the nodes that an extender is asked about, as it wants them.
#[derive(Clone)]
pub struct Question<'a> {
    /// The pod as the API has it.
    pub pod: &'a core::Pod,
    /// The nodes' names, in order.
    pub names: &'a [Arc<str>],
    /// The nodes as the API has them; only asked for if the extender does not know them by name.
    pub nodes: &'a (dyn Fn(&str) -> Option<Arc<core::Node>> + Sync),
}

impl std::fmt::Debug for Question<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Question")
            .field("pod", &self.pod.metadata.name)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// What an extender says about nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filtered {
    /// They remain.
    pub nodes: Vec<Arc<str>>,
    /// They do not, but driving pods away could help.
    pub failed: HashMap<String, String>,
    /// They do not, and nothing helps.
    pub hopeless: HashMap<String, String>,
}

/// Pods to be driven from a node, as extenders speak of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Victims {
    /// UIDs.
    pub pods: Vec<String>,
    /// How many a disruption budget protects.
    pub violations: usize,
}

impl Extender {
    /// Speaks as the configuration says; connects when first asked.
    pub async fn new(config: &ExtenderConfig, user_agent: &str) -> Result<Self, ExtenderError> {
        let fail = |why: String| ExtenderError::Configuration { url: config.url_prefix.clone(), why };
        let options = KubeConfigOptions::default();
        let address = kube::Config::from_custom_kubeconfig(address(config), &options).await;
        let address = address.map_err(|error| fail(error.to_string()))?;
        let client = client::config::connect_to(address, user_agent).map_err(|error| fail(error.to_string()))?;
        Ok(Self { config: config.clone(), client })
    }

    /// Its address, which is its name.
    pub fn name(&self) -> &str {
        &self.config.url_prefix
    }

    /// Whether pods are scheduled without it while it cannot be reached.
    pub fn is_ignorable(&self) -> bool {
        self.config.ignorable
    }

    /// Whether it has a say about the pod.
    pub fn is_interested(&self, pod: &Pod) -> bool {
        let asks = |name: &str| pod.requests.scalars.iter().any(|(known, _)| &**known == name);
        self.config.managed_resources.is_empty() || self.config.managed_resources.iter().any(|r| asks(&r.name))
    }

    /// Whether it leaves nodes out.
    pub fn filters(&self) -> bool {
        !self.config.filter_verb.is_empty()
    }

    /// Whether it scores nodes.
    pub fn prioritizes(&self) -> bool {
        !self.config.prioritize_verb.is_empty()
    }

    /// Whether it has a say about who is driven away.
    pub fn preempts(&self) -> bool {
        !self.config.preempt_verb.is_empty()
    }

    /// Whether it binds pods.
    pub fn binds(&self) -> bool {
        !self.config.bind_verb.is_empty()
    }

    /// Which of the nodes remain.
    pub async fn filter(&self, question: &Question<'_>) -> Result<Filtered, ExtenderError> {
        let answer = self.send(&self.config.filter_verb, self.arguments(question)).await?;
        let answer = Answer::of(answer)?;
        if let Some(error) = answer.get("Error").and_then(Value::as_str).filter(|error| !error.is_empty()) {
            return Err(ExtenderError::Answer(error.to_owned()));
        }
        let names: Option<Vec<String>> = match answer.get("NodeNames").filter(|_| self.config.node_cache_capable) {
            Some(names) => Some(read(names)?),
            None => answer.get("Nodes").map(node_names),
        };
        let known = |name: &String| {
            let found = question.names.iter().find(|known| ***known == **name).cloned();
            found.ok_or_else(|| {
                let extender = &self.config.url_prefix;
                ExtenderError::Answer(format!(
                    "extender {extender:?} claims a filtered node {name:?} which is not found in the input node list"
                ))
            })
        };
        Ok(Filtered {
            nodes: names.unwrap_or_default().iter().map(known).collect::<Result<_, _>>()?,
            failed: answer.get("FailedNodes").map(read).transpose()?.unwrap_or_default(),
            hopeless: answer.get("FailedAndUnresolvableNodes").map(read).transpose()?.unwrap_or_default(),
        })
    }

    /// What it adds to the nodes' scores.
    pub async fn prioritize(&self, question: &Question<'_>) -> Result<HashMap<String, i64>, ExtenderError> {
        let answer = self.send(&self.config.prioritize_verb, self.arguments(question)).await?;
        let Value::Array(hosts) = answer else { return Ok(HashMap::new()) };
        let mut scores = HashMap::new();
        for host in hosts {
            let host = Answer::of(host)?;
            let name = host.get("Host").and_then(Value::as_str).unwrap_or_default().to_owned();
            let score = host.get("Score").and_then(Value::as_i64).unwrap_or(0);
            let weighed = score.saturating_mul(self.config.weight).saturating_mul(SCORE_SCALE);
            let sum: &mut i64 = scores.entry(name).or_default();
            *sum = sum.saturating_add(weighed);
        }
        Ok(scores)
    }

    /// On which nodes who may be driven away. `victims` are by node; `pods` gives them as the API has them.
    pub async fn preempt(
        &self,
        pod: &core::Pod,
        victims: &HashMap<Arc<str>, Victims>,
        pods: &(dyn Fn(&str, &str) -> Option<Arc<core::Pod>> + Sync),
    ) -> Result<HashMap<String, Victims>, ExtenderError> {
        let mut by_node = Map::new();
        for (node, victims) in victims {
            let of = |uid: &String| match self.config.node_cache_capable {
                true => Some(json!({"UID": uid})),
                false => serde_json::to_value(&*pods(node, uid)?).ok(),
            };
            let pods: Vec<Value> = victims.pods.iter().filter_map(of).collect();
            by_node.insert(node.to_string(), json!({"Pods": pods, "NumPDBViolations": victims.violations}));
        }
        let (whole, meta) = match self.config.node_cache_capable {
            true => (Value::Null, Value::Object(by_node)),
            false => (Value::Object(by_node), Value::Null),
        };
        let arguments = json!({"Pod": pod, "NodeNameToVictims": whole, "NodeNameToMetaVictims": meta});
        let answer = Answer::of(self.send(&self.config.preempt_verb, arguments).await?)?;
        let Some(Value::Object(by_node)) = answer.get("NodeNameToMetaVictims") else { return Ok(HashMap::new()) };
        let mut remaining = HashMap::new();
        for (node, victims) in by_node {
            let victims = Answer::of(victims.clone())?;
            let pods = victims.get("Pods").and_then(Value::as_array).into_iter().flatten();
            let uid = |pod: &Value| Some(Answer::of(pod.clone()).ok()?.get("UID")?.as_str()?.to_owned());
            let violations = victims.get("NumPDBViolations").and_then(Value::as_u64).unwrap_or(0);
            let violations = usize::try_from(violations).unwrap_or(usize::MAX);
            remaining.insert(node.clone(), Victims { pods: pods.filter_map(uid).collect(), violations });
        }
        Ok(remaining)
    }

    /// Binds the pod.
    pub async fn bind(&self, pod: &Pod, node: &str) -> Result<(), ExtenderError> {
        let arguments =
            json!({"PodName": &*pod.name, "PodNamespace": &*pod.namespace, "PodUID": pod.uid, "Node": node});
        let answer = Answer::of(self.send(&self.config.bind_verb, arguments).await?)?;
        match answer.get("Error").and_then(Value::as_str).filter(|error| !error.is_empty()) {
            Some(error) => Err(ExtenderError::Answer(error.to_owned())),
            None => Ok(()),
        }
    }

    fn arguments(&self, question: &Question<'_>) -> Value {
        let (nodes, names) = match self.config.node_cache_capable {
            true => {
                let names = question.names.iter().map(|name| Value::from(&**name)).collect::<Vec<_>>();
                (Value::Null, Value::Array(names))
            }
            false => {
                let items = question.names.iter().filter_map(|name| (question.nodes)(name));
                let items: Vec<Value> = items.filter_map(|node| serde_json::to_value(&*node).ok()).collect();
                (json!({"metadata": {}, "items": items}), Value::Null)
            }
        };
        json!({"Pod": question.pod, "Nodes": nodes, "NodeNames": names})
    }

    async fn send(&self, verb: &str, arguments: Value) -> Result<Value, ExtenderError> {
        let url = format!("{}/{verb}", self.config.url_prefix.trim_end_matches('/'));
        match tokio::time::timeout(self.config.timeout(), self.ask(verb, &url, arguments)).await {
            Ok(answer) => answer,
            Err(_) => Err(ExtenderError::Timeout(url)),
        }
    }

    async fn ask(&self, verb: &str, url: &str, arguments: Value) -> Result<Value, ExtenderError> {
        let request = http::Request::post(format!("/{verb}")).header(http::header::CONTENT_TYPE, "application/json");
        let request = request.body(arguments.to_string().into_bytes().into());
        let request = request.map_err(|source| ExtenderError::Request { url: url.to_owned(), source })?;
        let unreachable = |source| ExtenderError::Unreachable { url: url.to_owned(), source };
        let answer = self.client.send(request).await.map_err(|error| unreachable(error.into()))?;
        if answer.status() != http::StatusCode::OK {
            let code = answer.status().as_u16();
            return Err(ExtenderError::Refused { verb: verb.to_owned(), url: url.to_owned(), code });
        }
        let body = Limited::new(answer.into_body(), ANSWER_AT_MOST).collect().await.map_err(unreachable)?;
        serde_json::from_slice(&body.to_bytes()).map_err(|error| ExtenderError::Answer(error.to_string()))
    }
}

/// As a kubeconfig, which has a place for all that can be said about TLS.
fn address(config: &ExtenderConfig) -> Kubeconfig {
    let tls = config.tls_config.clone().unwrap_or_default();
    let ExtenderTls { insecure, server_name, cert_file, key_file, ca_file, cert_data, key_data, ca_data } = tls;
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let (ca_file, ca_data) = (given(ca_file), given(ca_data));
    let is_unchecked = insecure || (config.enable_https && ca_file.is_none() && ca_data.is_none());
    let name = || "extender".to_owned();
    let cluster = Cluster {
        server: Some(config.url_prefix.trim_end_matches('/').to_owned()),
        insecure_skip_tls_verify: Some(is_unchecked),
        certificate_authority: ca_file,
        certificate_authority_data: ca_data,
        tls_server_name: given(server_name),
        ..Cluster::default()
    };
    let identity = AuthInfo {
        client_certificate: given(cert_file),
        client_certificate_data: given(cert_data),
        client_key: given(key_file),
        client_key_data: given(key_data).map(Into::into),
        ..AuthInfo::default()
    };
    let context = Context { cluster: name(), user: Some(name()), ..Context::default() };
    Kubeconfig {
        clusters: vec![NamedCluster { name: name(), cluster: Some(cluster), other: Default::default() }],
        auth_infos: vec![NamedAuthInfo { name: name(), auth_info: Some(identity), other: Default::default() }],
        contexts: vec![NamedContext { name: name(), context: Some(context), other: Default::default() }],
        current_context: Some(name()),
        ..Kubeconfig::default()
    }
}

/// An object whose members are found whatever the case of their names is, as Go does it.
struct Answer(Map<String, Value>);

impl Answer {
    fn of(value: Value) -> Result<Self, ExtenderError> {
        match value {
            Value::Object(members) => Ok(Self(members)),
            Value::Null => Ok(Self(Map::new())),
            other => Err(ExtenderError::Answer(format!("json: cannot unmarshal {other} into an object"))),
        }
    }

    /// `None` also for `null`.
    fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(member, _)| member.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value).filter(|value| !value.is_null())
    }
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, ExtenderError> {
    serde_json::from_value(value.clone()).map_err(|error| ExtenderError::Answer(error.to_string()))
}

/// The names of a list of nodes.
fn node_names(list: &Value) -> Vec<String> {
    let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
    items.filter_map(|node| Some(node.get("metadata")?.get("name")?.as_str()?.to_owned())).collect()
}

#[cfg(test)]
#[path = "extender_tests.rs"]
mod tests;
