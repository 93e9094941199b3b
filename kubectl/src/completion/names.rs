//! Names out of the cluster and out of kubeconfig files.
//!
//! Upstream: `kubectl/pkg/util/completion`.

use super::{Answer, Directive};
use crate::cli::{self, Global, Walk};
use crate::commands::with_query;
use crate::config;
use crate::discovery::{Asks, Discovery, Resource};
use crate::http::Client;
use crate::kubeconfig::Access;
use apimachinery::Value;
use apimachinery::meta::ObjectMeta;

/// Names only, without what else there is in objects.
const NAMES_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

/// What may follow a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Types, and names of one.
    Objects,
    /// Types and names, of these types only.
    Of(&'static [&'static str]),
    /// Names of a type.
    Names(&'static str),
    /// One name of a type.
    OneName(&'static str),
    /// A pod or a workload.
    PodOrWorkload,
    /// A type.
    Types,
    /// An entry of a kubeconfig.
    Entry(&'static str),
    /// One of these.
    Words(&'static [&'static str]),
    /// Nothing that is known.
    Unknown,
}

const SCALABLE: &[&str] = &["deployment", "replicaset", "replicationcontroller", "statefulset"];
const ROLLABLE: &[&str] = &["deployment", "daemonset", "statefulset"];

const EXPOSABLE: &[&str] = &["pod", "service", "replicationcontroller", "deployment", "replicaset"];
/// The types that have pods.
const WITH_PODS: [&str; 8] =
    ["daemonsets", "deployments", "pods", "jobs", "replicasets", "replicationcontrollers", "services", "statefulsets"];

fn place(path: &[String]) -> Place {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["get" | "describe" | "delete" | "label" | "annotate" | "edit" | "patch"] => Place::Objects,
        ["expose"] => Place::Of(EXPOSABLE),
        ["scale" | "autoscale"] => Place::Of(SCALABLE),
        ["rollout", _] => Place::Of(ROLLABLE),
        ["exec" | "logs" | "attach" | "port-forward" | "debug"] => Place::PodOrWorkload,
        ["cordon" | "uncordon" | "drain"] => Place::Names("nodes"),
        ["taint"] => Place::Of(&["node"]),
        ["certificate", _] => Place::Names("certificatesigningrequests"),
        ["top", "node"] => Place::OneName("nodes"),
        ["top", "pod"] => Place::OneName("pods"),
        ["explain"] => Place::Types,
        ["config", "use-context" | "delete-context" | "rename-context" | "set-context" | "get-contexts"] => {
            Place::Entry("contexts")
        }
        ["config", "delete-cluster"] => Place::Entry("clusters"),
        ["config", "delete-user"] => Place::Entry("users"),
        ["completion"] => Place::Words(&["bash", "zsh", "fish", "powershell"]),
        ["why"] => Place::Of(&["pod", "service", "node", "namespace", "persistentvolumeclaim"]),
        _ => Place::Unknown,
    }
}

/// What may stand where the word is typed.
pub(super) async fn positional(line: &[String], walk: &Walk<'_>, typed: &str) -> Answer {
    let rest: Vec<&str> = walk.rest.iter().filter_map(|i| line.get(*i)).map(String::as_str).collect();
    let nothing = Answer::nothing(Directive::NoFiles);
    match place(&walk.path) {
        Place::Unknown => Answer::nothing(Directive::Default),
        Place::Words(words) if rest.is_empty() => Answer::values(words.iter().copied(), typed),
        Place::Entry(list) if rest.is_empty() => entries(line, list, typed),
        Place::OneName(_) if !rest.is_empty() => nothing,
        Place::OneName(kind) | Place::Names(kind) => without(objects(line, kind, typed).await, &rest),
        Place::Types if rest.is_empty() => types(line, typed).await,
        Place::PodOrWorkload if !rest.is_empty() && walk.path == ["logs"] => containers(line, walk, typed).await,
        Place::PodOrWorkload if !rest.is_empty() => nothing,
        Place::PodOrWorkload => match typed.contains('/') {
            true => pairs(line, typed).await,
            false => pods_or_types(line, typed).await,
        },
        Place::Of(kinds) if rest.is_empty() && !typed.contains('/') => Answer::values(kinds.iter().copied(), typed),
        Place::Objects if rest.is_empty() && !typed.contains('/') => types(line, typed).await,
        Place::Of(_) | Place::Objects => match rest.first() {
            Some(kind) if !kind.contains('/') => without(objects(line, kind, typed).await, &rest[1..]),
            _ => without(pairs(line, typed).await, &rest),
        },
        Place::Words(_) | Place::Entry(_) | Place::Types => nothing,
    }
}

/// What is on the command line already is not offered again.
fn without(mut answer: Answer, used: &[&str]) -> Answer {
    answer.candidates.retain(|(value, _)| !used.contains(&value.as_str()));
    answer
}

/// The flags of all commands that stand on the line.
fn global(line: &[String]) -> Global {
    let root = cli::command();
    let mut words = vec!["kubectl".to_owned()];
    let mut rest = line.iter().skip(1).take_while(|w| *w != "--");
    while let Some(word) = rest.next() {
        let name = word.split('=').next().unwrap_or_default();
        let named = |a: &&clap::Arg| {
            name.strip_prefix("--").is_some_and(|long| a.get_long() == Some(long))
                || (name.len() == 2 && name.starts_with('-') && a.get_short() == name.chars().nth(1))
        };
        let Some(flag) = root.get_arguments().filter(|a| a.is_global_set()).find(named) else { continue };
        if word.contains('=') || !cli::takes_word(flag) {
            words.push(word.clone());
        } else if let Some(value) = rest.next() {
            // A flag whose value is being typed says nothing yet.
            words.extend([word.clone(), value.clone()]);
        }
    }
    words.push("options".into());
    cli::parse(&words).map(|args| args.global).unwrap_or_default()
}

/// Entries of a kubeconfig.
pub(super) fn entries(line: &[String], list: &str, typed: &str) -> Answer {
    match Access::of(&global(line)).load() {
        Ok(config) => {
            let names = config.list(list).into_iter().flatten().map(|(name, _)| name.as_str());
            Answer::values(names, typed)
        }
        Err(_) => Answer::nothing(Directive::NoFiles),
    }
}

/// A connection, and what the server has.
struct Cluster {
    client: Client,
    discovery: Discovery,
}

impl Cluster {
    async fn reach(line: &[String]) -> Option<Self> {
        let client =
            Client::new(config::connect(&global(line), config::Wants::Server, config::Asking::Never).await.ok()?)
                .ok()?;
        let discovery = Discovery::load(&client, Asks::ONCE).await.ok()?;
        Some(Self { client, discovery })
    }

    async fn names(&self, kind: &str) -> Option<Vec<String>> {
        let resource = self.discovery.find(kind)?;
        let path = resource.path(Some(self.client.namespace()));
        let (mut names, mut token) = (Vec::new(), String::new());
        loop {
            let query = [("limit", "500"), ("continue", &token)];
            let page = self.client.get(&with_query(&path, &query), NAMES_ONLY).await.ok()?;
            names.extend(page["items"].as_array().into_iter().flatten().map(|o| o.name().to_owned()));
            token = page.meta_str("continue").to_owned();
            if token.is_empty() {
                return Some(names);
            }
        }
    }
}

/// Names of a type.
pub(super) async fn objects(line: &[String], kind: &str, typed: &str) -> Answer {
    let Some(cluster) = Cluster::reach(line).await else { return Answer::nothing(Directive::NoFiles) };
    let names = cluster.names(kind).await.unwrap_or_default();
    Answer::values(names.iter().map(String::as_str), typed)
}

/// Pods, and the types that have some.
async fn pods_or_types(line: &[String], typed: &str) -> Answer {
    let mut answer = objects(line, "pods", typed).await;
    if answer.candidates.is_empty() {
        answer.directive = Directive::NoFilesNoSpace;
    }
    let types = WITH_PODS.iter().filter(|t| t.starts_with(typed));
    answer.candidates.extend(types.map(|t| (format!("{t}/"), String::new())));
    answer
}

/// `type/name`.
async fn pairs(line: &[String], typed: &str) -> Answer {
    let Some((kind, name)) = typed.split_once('/') else { return types(line, typed).await };
    let found = objects(line, kind, name).await;
    let pair = |(name, about): (String, String)| (format!("{kind}/{name}"), about);
    Answer { candidates: found.candidates.into_iter().map(pair).collect(), ..found }
}

/// Types, also behind a comma.
async fn types(line: &[String], typed: &str) -> Answer {
    let Some(cluster) = Cluster::reach(line).await else { return Answer::nothing(Directive::NoFiles) };
    let (lead, last) = typed.rsplit_once(',').map_or(("", typed), |(lead, last)| (lead, last));
    let gets = |r: &&Resource| r.verbs.iter().any(|v| v == "get");
    let mut all: Vec<&Resource> = cluster.discovery.resources.iter().filter(gets).collect();
    all.sort_by(|a, b| (&a.group, &a.plural).cmp(&(&b.group, &b.plural)));
    let mut names: Vec<String> =
        all.into_iter().map(Resource::group_resource).filter(|n| n.starts_with(last)).collect();
    names.dedup();
    let whole = |name: String| if lead.is_empty() { name } else { format!("{lead},{name}") };
    let candidates = names.into_iter().map(|n| (whole(n), String::new())).collect();
    Answer { candidates, directive: Directive::NoFiles }
}

/// Containers of the pod on the line.
pub(super) async fn containers(line: &[String], walk: &Walk<'_>, typed: &str) -> Answer {
    let pod = walk.rest.first().and_then(|i| line.get(*i)).map_or("", String::as_str);
    let pod = pod.strip_prefix("pod/").or_else(|| pod.strip_prefix("pods/")).unwrap_or(pod);
    let Some(cluster) = Cluster::reach(line).await.filter(|_| !pod.is_empty()) else {
        return Answer::nothing(Directive::NoFiles);
    };
    let path = format!("/api/v1/namespaces/{}/pods/{pod}", cluster.client.namespace());
    let pod: Value = cluster.client.get(&path, "application/json").await.unwrap_or_default();
    let names = crate::pods::container_names(&pod);
    Answer::values(names.iter().map(String::as_str), typed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_of_all_commands_are_found() {
        let line: Vec<String> =
            "k get -o json -n ns --context=c pods --server https://x".split(' ').map(str::to_owned).collect();
        let global = global(&line);
        assert_eq!(
            (global.namespace.as_deref(), global.context.as_deref(), global.server.as_deref()),
            (Some("ns"), Some("c"), Some("https://x"))
        );
    }
}
