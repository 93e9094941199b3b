//! The same choices as upstream's kubelet made, on random machines.
//!
//! `upstream.txt` holds some; `UPSTREAM_MEMORY` may name a file with more. A line is `memory|NODES|DEEDS|RESULTS|FILE`.
//! NODES are `MI/RESERVED MI/HUGE PAGES OF 2 MI,`. DEEDS are `POD:HINT:CONTAINERS;` to admit one, `-POD;` to end it and
//! `~POD;` when its first container has started; CONTAINERS are `NAME/MI/HUGE PAGES,`, and a name's first letter says
//! whether it is an init container, a sidecar or neither. Results are the pod's hints, for each container its hints and
//! what it got, and the pod's hints again. FILE is the state's file in the end.

use super::demand::Bytes;
use super::machine::{MEMORY, fresh};
use super::policy::Static;
use super::state::{self, State};
use crate::placement::hints::{Hint, Hints, Mask};
use crate::placement::numa::Node;
use crate::pod::PodExt;
use crate::resources::requests::tests as fixture;
use k8s_openapi::api::core::v1::{Container, Pod};
use std::collections::BTreeMap;

const HUGE: &str = "hugepages-2Mi";

fn machine(text: &str, with_huge: bool) -> Static {
    let (mut nodes, mut reserved) = (Vec::new(), BTreeMap::new());
    for (id, of) in text.split_terminator(',').enumerate() {
        let of: Vec<u64> = of.split('/').map(|n| n.parse().unwrap()).collect();
        let huge_pages = with_huge.then_some((2048, of[2])).into_iter().collect();
        nodes.push(Node { id, memory: of[0] << 20, huge_pages, ..Node::default() });
        reserved.insert(id, Bytes::from([(MEMORY.to_owned(), of[1] << 20)]));
    }
    Static::new(fresh(&nodes, &reserved), State::default()).unwrap()
}

fn pod(uid: &str, containers: &str) -> Pod {
    let (mut init, mut main) = (Vec::new(), Vec::new());
    for text in containers.split_terminator(',') {
        let of: Vec<&str> = text.split('/').collect();
        let (memory, huge) = (format!("{}Mi", of[1]), format!("{}Mi", of[2].parse::<u64>().unwrap() * 2));
        let mut limits = vec![("cpu", "1"), (MEMORY, memory.as_str())];
        if of[2] != "0" {
            limits.push((HUGE, huge.as_str()));
        }
        let mut container = fixture::container(of[0], &[], &limits);
        if of[0].starts_with('s') {
            container.restart_policy = Some("Always".to_owned());
        }
        if of[0].starts_with('c') { main.push(container) } else { init.push(container) }
    }
    let mut pod = fixture::pod(init, main);
    pod.metadata.uid = Some(uid.to_owned());
    pod
}

fn hint(text: &str) -> Hint {
    let (nodes, preferred) = text.split_at(text.len() - 1);
    let bits = |text: &str| text.chars().rev().enumerate().filter(|(_, c)| *c == '1').map(|(n, _)| n).collect::<Mask>();
    Hint { nodes: (nodes != "nil").then(|| bits(nodes)), preferred: preferred == "p" }
}

fn show(hints: &Hints) -> String {
    let one = |hint: &Hint| format!("{}{}", hint.nodes.unwrap(), if hint.preferred { "p" } else { "n" });
    let list = |hints: &Vec<Hint>| hints.iter().map(one).collect::<Vec<_>>().join(" ");
    hints.iter().map(|(name, hints)| format!("{name}={},", list(hints))).collect()
}

fn all(pod: &Pod) -> Vec<Container> {
    pod.init_containers().iter().chain(&PodExt::spec(pod).containers).cloned().collect()
}

fn admit(policy: &mut Static, pod: &Pod, hint: Hint) -> String {
    let mut out = show(&policy.pod_hints(pod));
    for container in all(pod) {
        out += &format!("/{}", show(&policy.hints(pod, &container)));
        if let Err(refusal) = policy.allocate(pod, &container, hint) {
            out += &format!("!{refusal}");
            continue;
        }
        let blocks = policy.blocks(pod.uid(), &container.name).iter();
        let blocks: Vec<_> = blocks.map(|b| format!("{}:{}@{}", b.resource, b.size >> 20, b.nodes())).collect();
        out += &format!("={}", blocks.join(" "));
    }
    out + &format!("/{}", show(&policy.pod_hints(pod)))
}

/// Masks without leading zeros, and any node without a word.
fn plain(text: &str) -> String {
    let mut out = String::new();
    for c in text.replace("nil", "").chars() {
        if c != '0' || !out.ends_with(['=', ' ', '@']) {
            out.push(c);
        }
    }
    out
}

/// What differs from upstream in a line.
fn difference(line: &str) -> Option<String> {
    let parts: Vec<&str> = line.split('|').collect();
    let mut policy = machine(parts[1], parts[4].contains(HUGE));
    let (mut pods, mut got) = (BTreeMap::new(), String::new());
    for deed in parts[2].split_terminator(';') {
        if let Some(uid) = deed.strip_prefix('-') {
            let pod: Pod = pods.remove(uid).unwrap();
            for container in all(&pod) {
                policy.release(uid, &container.name);
            }
        } else if let Some(uid) = deed.strip_prefix('~') {
            let init = pods[uid].init_containers().iter().filter(|c| !crate::pod::is_sidecar(c));
            for container in init {
                policy.release(uid, &container.name);
            }
        } else {
            let of: Vec<&str> = deed.split(':').collect();
            let pod = pod(of[0], of[2]);
            got += &admit(&mut policy, &pod, hint(of[1]));
            pods.insert(of[0].to_owned(), pod);
        }
        got += ";";
    }
    let file = state::tests::text("Static", policy.state());
    let same = plain(&got) == plain(parts[3]) && file == parts[4];
    (!same).then(|| format!("{line}\n got {got}\n and {file}"))
}

#[test]
fn as_upstream_chooses() {
    let more = std::env::var("UPSTREAM_MEMORY").map(|file| std::fs::read_to_string(file).unwrap()).unwrap_or_default();
    let lines: Vec<&str> = include_str!("upstream.txt").lines().chain(more.lines()).collect();
    let wrong: Vec<String> = lines.iter().filter_map(|line| difference(line)).collect();
    println!("{} machines, {} differ", lines.len(), wrong.len());
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(5)].join("\n"));
}

#[test]
fn upstreams_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(state::FILE);
    for line in include_str!("upstream.txt").lines() {
        let parts: Vec<&str> = line.split('|').collect();
        std::fs::write(&file, parts[4]).unwrap();
        let kept = state::read(&file, "Static").unwrap().unwrap();
        assert_eq!(state::tests::text("Static", &kept), parts[4]);
        let mut later = machine(parts[1], parts[4].contains(HUGE)).state().cells.clone();
        for cell in later.values_mut() {
            cell.memory_map.remove(HUGE);
        }
        assert!(Static::new(later, kept).is_err() || !parts[4].contains(HUGE));
    }
}
