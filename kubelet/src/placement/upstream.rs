//! The same choices as upstream's kubelet made, on random machines.
//!
//! `upstream.txt` holds some; `UPSTREAM_PLACEMENTS` may name a file with more. A line is
//! `take|MANNER|CPUS|FREE|WANTED|RESULT` or `hints|BY SOCKET|CPUS|FREE|REUSED|WANTED|RESULT`; CPUS has core, socket,
//! node and cache of each processor.

use super::cpuset::CpuSet;
use super::distribute::distributed;
use super::hints::Hint;
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

fn show(hints: &[Hint]) -> String {
    hints.iter().map(|h| format!("{}{} ", h.nodes.unwrap(), if h.preferred { "p" } else { "n" })).collect()
}

/// What differs from upstream in a line; `None` if nothing does.
fn difference(line: &str) -> Option<String> {
    let set = |text: &str| CpuSet::parse(text).unwrap();
    let parts: Vec<&str> = line.split('|').collect();
    let (got, want) = match parts[..] {
        ["take", manner, cpus, free, wanted, want] => {
            (taken(manner, &machine(cpus), &set(free), wanted.parse().unwrap()), want)
        }
        ["hints", by_socket, cpus, free, reused, wanted, want] => {
            let options = Options { by_socket: by_socket == "true", ..Options::default() };
            let hints = hints_for(&machine(cpus), options, &set(free), &set(reused), wanted.parse().unwrap());
            (show(&hints), want)
        }
        _ => return None,
    };
    (got != want).then(|| format!("{line}\n got {got}"))
}

#[test]
fn as_upstream_chooses() {
    let more = std::env::var("UPSTREAM_PLACEMENTS").map(|file| std::fs::read_to_string(file).unwrap());
    let more = more.unwrap_or_default();
    let lines = include_str!("upstream.txt").lines().chain(more.lines());
    let (mut count, mut wrong) = (0, Vec::new());
    for line in lines {
        count += 1;
        wrong.extend(difference(line));
    }
    println!("{count} choices, {} differ", wrong.len());
    assert!(wrong.is_empty(), "{} of {count} differ:\n{}", wrong.len(), wrong[..wrong.len().min(10)].join("\n"));
}
