//! What pods get, and with which states the policy does not start.

use super::super::topology::tests::machine;
use super::*;
use crate::resources::requests::tests::{container, pod};

fn set(text: &str) -> CpuSet {
    CpuSet::parse(text).unwrap()
}

/// Two sockets of four cores with two threads each; processor 0 is reserved.
fn policy(options: Options) -> Static {
    Static::new(machine(2, 1, 4, 2), options, (&CpuSet::default(), 1), Assignments::default()).unwrap()
}

fn wants(name: &str, cpu: &str) -> Container {
    container(name, &[], &[("cpu", cpu), ("memory", "1Mi")])
}

fn sidecar(name: &str, cpu: &str) -> Container {
    Container { restart_policy: Some("Always".into()), ..wants(name, cpu) }
}

fn of(uid: &str, init: Vec<Container>, containers: Vec<Container>) -> Pod {
    let mut pod = pod(init, containers);
    pod.metadata.uid = Some(uid.to_owned());
    pod
}

/// What each container of a pod runs on when all have been asked for.
fn admit(policy: &mut Static, pod: &Pod) -> Vec<String> {
    let all = || pod.init_containers().iter().chain(&PodExt::spec(pod).containers);
    all().for_each(|container| drop(policy.allocate(pod, container, None).unwrap()));
    all().map(|container| policy.affinity(pod.uid(), &container.name).to_string()).collect()
}

#[test]
fn who_gets_processors_and_gives_them_back() {
    let mut policy = policy(Options::default());
    assert_eq!(admit(&mut policy, &of("a", vec![], vec![wants("c", "2"), wants("d", "500m")])), ["2-3", "0-1,4-15"]);
    let burstable = of("b", vec![], vec![container("c", &[("cpu", "2")], &[])]);
    assert_eq!(admit(&mut policy, &burstable), ["0-1,4-15"]);
    assert_eq!(admit(&mut policy, &of("a", vec![], vec![wants("c", "2")])), ["2-3"]);
    assert_eq!(policy.release("a", "c"), Some(set("2-3")));
    assert_eq!((policy.release("a", "c"), policy.assignments().shared.to_string()), (None, "0-15".to_owned()));
}

#[test]
fn init_containers_leave_theirs_and_sidecars_keep_theirs() {
    let init = vec![wants("i", "4"), sidecar("s", "2"), wants("j", "2")];
    let mut policy = policy(Options::default());
    let got = admit(&mut policy, &of("a", init, vec![wants("c", "2"), wants("d", "2")]));
    assert_eq!(got, ["2-5", "2-3", "4-5", "4-5", "6-7"]);
    assert_eq!(policy.release("a", "i"), Some(CpuSet::default()));
    assert_eq!(policy.release("a", "c"), Some(CpuSet::default()));
    assert_eq!(policy.release("a", "j"), Some(set("4-5")));
}

#[test]
fn only_whole_cores() {
    let mut policy = policy(Options { full_cores: true, ..Options::default() });
    let refusal = |policy: &mut Static, cpu| {
        let pod = of("a", vec![], vec![wants("c", cpu)]);
        policy.allocate(&pod, &pod.spec().containers[0], None).unwrap_err().to_string()
    };
    assert_eq!(refusal(&mut policy, "3"), "SMT Alignment Error: requested 3 cpus not multiple cpus per core = 2");
    assert_eq!(
        refusal(&mut policy, "16"),
        "SMT Alignment Error: not enough free physical CPUs: available physical CPUs = 14, requested CPUs = 16, CPUs per core = 2"
    );
}

#[test]
fn states_of_other_machines_or_configurations() {
    let kept = |shared: &str, entries: &[(&str, &str)]| {
        let mut kept = Assignments { shared: set(shared), ..Assignments::default() };
        entries.iter().for_each(|(container, cpus)| kept.set("p", container, set(cpus)));
        kept
    };
    for (strict, kept, want) in [
        (false, kept("0-3,6-15", &[("c", "4-5")]), None),
        (true, kept("1-3,6-15", &[("c", "4-5")]), None),
        (false, kept("", &[("c", "4-5")]), Some("default cpuset cannot be empty")),
        (true, kept("0-15", &[]), Some("some of strictly reserved cpus: \"0\" are present in defaultCpuSet: \"0-15\"")),
        (false, kept("1-15", &[]), Some("not all reserved cpus: \"0\" are present in defaultCpuSet: \"1-15\"")),
        (
            false,
            kept("0-15", &[("c", "4-5")]),
            Some("pod: p, container: c cpuset: \"4-5\" overlaps with default cpuset \"0-15\""),
        ),
        (
            false,
            kept("0-7", &[]),
            Some("current set of available CPUs \"0-15\" doesn't match with CPUs in state \"0-7\""),
        ),
    ] {
        let options = Options { strict, ..Options::default() };
        let got = Static::new(machine(2, 1, 4, 2), options, (&set("0"), 1), kept).map(drop);
        assert_eq!(got.err().map(|e| e.to_string()).as_deref(), want);
    }
    let too_many =
        Static::new(machine(1, 1, 1, 2), Options::default(), (&CpuSet::default(), 3), Assignments::default());
    assert_eq!(
        too_many.unwrap_err().to_string(),
        "[cpumanager] unable to reserve the required amount of CPUs (size of  did not equal 3)"
    );
}

#[test]
fn from_which_nodes() {
    let mut policy = policy(Options::default());
    let hints = |policy: &Static, cpu| {
        let pod = of("a", vec![], vec![wants("c", cpu)]);
        let hints = policy.hints(&pod, &pod.spec().containers[0]).unwrap();
        assert_eq!(policy.pod_hints(&pod).as_ref(), Some(&hints));
        hints.iter().map(|h| format!("{}{}", h.nodes.unwrap(), u8::from(h.preferred))).collect::<Vec<_>>()
    };
    assert_eq!(hints(&policy, "8"), ["101", "110"]);
    assert_eq!(hints(&policy, "9"), ["111"]);
    let pod = of("a", vec![], vec![wants("c", "8")]);
    let second = [1].into_iter().collect();
    assert_eq!(policy.allocate(&pod, &pod.spec().containers[0], Some(second)), Ok(Grant::New(set("8-15"))));
    assert_eq!(hints(&policy, "8"), ["101", "110"]);
    assert!(hints(&policy, "7").is_empty());
}
