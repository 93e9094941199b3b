//! Whole statuses from what a runtime holds.
use super::*;
use crate::runtime::{ContainerRecord, ContainerState, SandboxRecord};
use k8s_openapi::api::core::v1::{Container, PodCondition, PodReadinessGate, PodSpec};

fn pod(policy: &str, init: &[&str], main: &[&str]) -> Pod {
    let named =
        |names: &[&str]| names.iter().map(|n| Container { name: (*n).into(), ..Container::default() }).collect();
    Pod {
        spec: Some(PodSpec {
            restart_policy: Some(policy.into()),
            init_containers: Some(named(init)),
            containers: named(main),
            ..PodSpec::default()
        }),
        ..Pod::default()
    }
}

fn record(of: &[(&str, ContainerState, i32)]) -> PodRecord {
    let container = |(name, state, exit_code): &(&str, ContainerState, i32)| ContainerRecord {
        id: format!("id-{name}"),
        name: (*name).into(),
        state: *state,
        exit_code: *exit_code,
        started_at: 5_000_000_000,
        ..ContainerRecord::default()
    };
    PodRecord {
        sandboxes: vec![SandboxRecord {
            id: "s".into(),
            ready: true,
            ips: vec!["10.1.1.1".into()],
            ..Default::default()
        }],
        containers: of.iter().map(container).collect(),
    }
}

struct Case {
    pod: Pod,
    record: PodRecord,
    old: PodStatus,
    waiting: HashMap<String, Waiting>,
    ready: bool,
    progress: Progress,
    devices: BTreeMap<String, Vec<ResourceStatus>>,
}

impl Case {
    fn new(pod: Pod, record: PodRecord) -> Self {
        let (old, waiting) = (PodStatus::default(), HashMap::new());
        Self { pod, record, old, waiting, ready: true, progress: Progress::Running, devices: BTreeMap::new() }
    }

    fn generate(&self) -> PodStatus {
        let probed = Probed { started: true, ready: self.ready };
        generate(&Observed {
            pod: &self.pod,
            record: &self.record,
            old: &self.old,
            waiting: &self.waiting,
            probed: &self.record.containers.iter().map(|c| (c.id.clone(), probed)).collect(),
            messages: &HashMap::new(),
            verdict: None,
            progress: self.progress,
            host_ips: &["192.0.2.1".to_owned()],
            applied: &Applied::new(),
            standing: &Standing::default(),
            devices: &self.devices,
        })
    }
}

fn condition<'a>(status: &'a PodStatus, kind: &str) -> &'a PodCondition {
    status.conditions.iter().flatten().find(|c| c.type_ == kind).unwrap()
}

#[test]
fn a_running_pod_is_ready() {
    let case = Case::new(pod("Always", &[], &["c"]), record(&[("c", ContainerState::Running, 0)]));
    let got = case.generate();
    assert_eq!(got.phase.as_deref(), Some("Running"));
    assert_eq!(condition(&got, "Ready").status, "True");
    assert_eq!(got.pod_ip.as_deref(), Some("10.1.1.1"));
    let c = &got.container_statuses.unwrap()[0];
    assert!(c.ready && c.state.as_ref().unwrap().running.is_some());
    assert_eq!(c.container_id.as_deref(), Some("containerd://id-c"));
}

#[test]
fn an_unready_container_is_named() {
    let mut case = Case::new(pod("Always", &[], &["c"]), record(&[("c", ContainerState::Running, 0)]));
    case.ready = false;
    let got = case.generate();
    let ready = condition(&got, "Ready");
    assert_eq!(ready.reason.as_deref(), Some("ContainersNotReady"));
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [c]"));
}

#[test]
fn main_containers_wait_for_init_containers() {
    let case = Case::new(pod("Always", &["i", "j"], &["c"]), record(&[("i", ContainerState::Running, 0)]));
    let got = case.generate();
    assert_eq!(got.phase.as_deref(), Some("Pending"));
    assert_eq!(condition(&got, "Initialized").message.as_deref(), Some("containers with incomplete status: [i j]"));
    let c = &got.container_statuses.unwrap()[0];
    let waiting = c.state.as_ref().unwrap().waiting.as_ref().unwrap();
    assert_eq!(waiting.reason.as_deref(), Some("PodInitializing"));
}

#[test]
fn a_crashing_container_keeps_its_last_end() {
    let mut case = Case::new(pod("Always", &[], &["c"]), record(&[("c", ContainerState::Exited, 3)]));
    let waiting = Waiting { reason: "CrashLoopBackOff".into(), message: "back-off 10s".into() };
    case.waiting.insert("c".into(), waiting);
    let got = case.generate();
    assert_eq!(got.phase.as_deref(), Some("Running"));
    let c = &got.container_statuses.unwrap()[0];
    assert_eq!(c.state.as_ref().unwrap().waiting.as_ref().unwrap().reason.as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(c.last_state.as_ref().unwrap().terminated.as_ref().unwrap().exit_code, 3);
    assert!(!c.ready);
}

#[test]
fn a_finished_pod_says_how_it_ended() {
    for (policy, code, phase, reason) in [
        ("Never", 0, "Succeeded", "PodCompleted"),
        ("Never", 1, "Failed", "PodFailed"),
        ("OnFailure", 0, "Succeeded", "PodCompleted"),
    ] {
        let got = Case::new(pod(policy, &[], &["c"]), record(&[("c", ContainerState::Exited, code)])).generate();
        assert_eq!(got.phase.as_deref(), Some(phase));
        assert_eq!(condition(&got, "Ready").reason.as_deref(), Some(reason));
    }
}

#[test]
fn a_vanished_container_of_a_stopped_pod_is_unknown() {
    let mut case = Case::new(pod("Always", &[], &["c"]), record(&[("c", ContainerState::Running, 0)]));
    case.old = case.generate();
    case.record = PodRecord::default();
    case.progress = Progress::Stopped;
    let got = case.generate();
    assert_eq!(got.phase.as_deref(), Some("Failed"));
    let ended = got.container_statuses.unwrap()[0].state.clone().unwrap().terminated.unwrap();
    assert_eq!((ended.exit_code, ended.reason.as_deref()), (137, Some("ContainerStatusUnknown")));
    assert_eq!(got.pod_ip.as_deref(), Some("10.1.1.1"), "the address stays");
}

#[test]
fn readiness_gates_hold_the_pod_back() {
    let mut case = Case::new(pod("Always", &[], &["c"]), record(&[("c", ContainerState::Running, 0)]));
    let spec = case.pod.spec.as_mut().unwrap();
    spec.readiness_gates = Some(vec![PodReadinessGate { condition_type: "example.com/x".into() }]);
    assert_eq!(condition(&case.generate(), "Ready").reason.as_deref(), Some("ReadinessGatesNotReady"));
    let gate = PodCondition { type_: "example.com/x".into(), status: "True".into(), ..PodCondition::default() };
    case.old.conditions = Some(vec![gate]);
    let got = case.generate();
    assert_eq!(condition(&got, "Ready").status, "True");
    assert_eq!(condition(&got, "example.com/x").status, "True", "others' conditions are kept");
}

#[test]
fn conditions_keep_the_time_of_their_last_change() {
    let mut case = Case::new(pod("Always", &[], &["c"]), record(&[("c", ContainerState::Running, 0)]));
    let mut old = case.generate();
    let long_ago = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(k8s_openapi::jiff::Timestamp::UNIX_EPOCH);
    for c in old.conditions.iter_mut().flatten() {
        c.last_transition_time = Some(long_ago.clone());
    }
    case.old = old;
    assert_eq!(condition(&case.generate(), "Ready").last_transition_time.as_ref(), Some(&long_ago));
    case.ready = false;
    assert_ne!(condition(&case.generate(), "Ready").last_transition_time.as_ref(), Some(&long_ago));
}
