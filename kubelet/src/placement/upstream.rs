//! The same choices as upstream's kubelet made, on random machines.
//!
//! `upstream.txt` holds some; `UPSTREAM_PLACEMENTS` may name a file with more. A line is
//! `take|MANNER|CPUS|FREE|WANTED|RESULT`, `hints|BY SOCKET|CPUS|FREE|REUSED|WANTED|RESULT` or
//! `merge|POLICY|CLOSEST|NODES|DISTANCES|HINTS;HINTS;|RESULT|ADMITTED`; CPUS has core, socket, node and cache of each processor.

use super::cpuset::CpuSet;
use super::distribute::distributed;
use super::hints::{Hint, Hints};
use super::merge::{Merger, Policy};
use super::numa::Node;
use super::options::Options;
use super::policy::hints_for;
use super::take::{Manner, packed};
use super::topology::{Cpu, Topology};

fn machine(text: &str) -> Topology {
    let cpu = |text: &str| {
        let of: Vec<usize> = text.split('/').map(|n| n.parse().unwrap()).collect();
        Cpu { core: of[0], socket: of[1], node: of[2], cache: of[3] }
    };
    Topology::new(text.split(',').map(cpu).enumerate().collect())
}

fn taken(manner: &str, topology: &Topology, free: &CpuSet, wanted: usize) -> String {
    let plain = Manner::default();
    let got = match manner {
        "packed" => packed(topology, free, wanted, plain),
        "spread" => packed(topology, free, wanted, Manner { spread: true, ..plain }),
        "cache" => packed(topology, free, wanted, Manner { by_cache: true, ..plain }),
        "even1" => distributed(topology, free, wanted, 1, false),
        "evencore" => distributed(topology, free, wanted, topology.per_core(), false),
        other => panic!("{other}"),
    };
    got.map_or_else(|error| format!("!{error}"), |cpus| cpus.to_string())
}

fn merged(policy: &str, closest: bool, distances: &str, hints: &str) -> String {
    let policy = match policy {
        "best-effort" => Policy::BestEffort,
        "restricted" => Policy::Restricted,
        _ => Policy::SingleNode,
    };
    let row = |text: &str| text.split_whitespace().map(|n| n.parse().unwrap()).collect();
    let node = |(id, text)| Node { id, distances: row(text), ..Node::default() };
    let nodes = distances.split_terminator(',').enumerate().map(node).collect();
    let list = |text: &str| match text {
        "nil" => Hints::new(),
        "none" => [("x".to_owned(), Vec::new())].into(),
        hints => [("x".to_owned(), hints.split_whitespace().map(hint).collect())].into(),
    };
    let providers: Vec<Hints> = hints.split_terminator(';').map(list).collect();
    let (best, admitted) = Merger { policy, closest, nodes }.merge(&providers);
    format!("{}|{admitted}", show(&[best]))
}

fn hint(text: &str) -> Hint {
    let (nodes, preferred) = text.split_at(text.len() - 1);
    let bits = nodes.chars().rev().enumerate().filter(|(_, c)| *c == '1').map(|(node, _)| node);
    Hint { nodes: Some(bits.collect()), preferred: preferred == "p" }
}

fn show(hints: &[Hint]) -> String {
    let nodes = |hint: &Hint| hint.nodes.map_or("-".to_owned(), |nodes| nodes.to_string());
    plain(&hints.iter().map(|h| format!("{}{} ", nodes(h), if h.preferred { "p" } else { "n" })).collect::<String>())
}

/// Masks without leading zeros, of which upstream writes some.
fn plain(hints: &str) -> String {
    hints.split(' ').map(|hint| hint.trim_start_matches('0')).collect::<Vec<_>>().join(" ")
}

/// What differs from upstream in a line; `None` if nothing does.
fn difference(line: &str) -> Option<String> {
    let set = |text: &str| CpuSet::parse(text).unwrap();
    let parts: Vec<&str> = line.split('|').collect();
    let (got, want): (String, String) = match parts[..] {
        ["take", manner, cpus, free, wanted, want] => {
            (taken(manner, &machine(cpus), &set(free), wanted.parse().unwrap()), want.to_owned())
        }
        ["hints", by_socket, cpus, free, reused, wanted, want] => {
            let options = Options { by_socket: by_socket == "true", ..Options::default() };
            let hints = hints_for(&machine(cpus), options, &set(free), &set(reused), wanted.parse().unwrap());
            (show(&hints), plain(want))
        }
        ["merge", policy, closest, _, distances, hints, want, admitted] => {
            (merged(policy, closest == "true", distances, hints), format!("{}|{admitted}", plain(want)))
        }
        _ => return None,
    };
    (got != want).then(|| format!("{line}\n got {got}"))
}

/// Upstream overwrites the best nodes that it has found where there are more than four (`docs/resource-managers.md`).
fn is_beyond_upstream(line: &str) -> bool {
    let parts: Vec<&str> = line.split('|').collect();
    matches!(parts[..], ["take", manner, cpus, ..] if manner.starts_with("even") && machine(cpus).nodes > 4)
}

#[test]
fn as_upstream_chooses() {
    let more = std::env::var("UPSTREAM_PLACEMENTS").map(|file| std::fs::read_to_string(file).unwrap());
    let more = more.unwrap_or_default();
    let lines: Vec<&str> = include_str!("upstream.txt").lines().chain(more.lines()).collect();
    let differ: Vec<(bool, String)> =
        lines.iter().filter_map(|line| Some((is_beyond_upstream(line), difference(line)?))).collect();
    let wrong: Vec<&str> = differ.iter().filter(|(beyond, _)| !beyond).map(|(_, text)| text.as_str()).collect();
    println!(
        "{} choices, {} differ, {} where upstream is at fault",
        lines.len(),
        wrong.len(),
        differ.len() - wrong.len()
    );
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}
