use super::*;
use crate::runtime::SandboxRecord;
use k8s_openapi::api::core::v1::PodSpec;

fn container(name: &str) -> Container {
    Container { name: name.into(), image: Some("x".into()), ..Container::default() }
}

fn sidecar(name: &str) -> Container {
    Container { restart_policy: Some("Always".into()), ..container(name) }
}

fn pod(policy: &str, init: Vec<Container>, main: &[&str]) -> Pod {
    Pod {
        spec: Some(PodSpec {
            restart_policy: Some(policy.into()),
            init_containers: Some(init),
            containers: main.iter().map(|n| container(n)).collect(),
            ..PodSpec::default()
        }),
        ..Pod::default()
    }
}

/// `r` running, `u` unknown, a digit: ended with it.
fn record(of: &[(&str, char)]) -> PodRecord {
    let containers = of.iter().map(|(name, state)| {
        let (state, exit_code) = match state {
            'r' => (ContainerState::Running, 0),
            'u' => (ContainerState::Unknown, 0),
            n => (ContainerState::Exited, n.to_digit(10).unwrap() as i32),
        };
        let hash = Some(labels::hash(&container(name)));
        let id = format!("id-{name}");
        ContainerRecord { id, name: (*name).into(), sandbox: "s".into(), state, exit_code, hash, ..Default::default() }
    });
    let sandbox = SandboxRecord { id: "s".into(), ready: true, ips: vec!["1".into()], ..Default::default() };
    PodRecord { sandboxes: vec![sandbox], containers: containers.collect() }
}

fn started(names: &[&str]) -> ProbeVerdicts {
    ProbeVerdicts { started: names.iter().map(|n| format!("id-{n}")).collect(), ..ProbeVerdicts::default() }
}

#[test]
fn a_new_pod_gets_a_sandbox_and_its_first_containers() {
    let none = ProbeVerdicts::default();
    let got = compute(&pod("Always", vec![], &["a", "b"]), &PodRecord::default(), &none);
    assert_eq!((got.sandbox, got.start), (SandboxAction::Create { attempt: 0 }, vec!["a".to_owned(), "b".to_owned()]));
    let got = compute(&pod("Always", vec![container("i"), container("j")], &["a"]), &PodRecord::default(), &none);
    assert_eq!(got.start, ["i"]);
}

#[test]
fn main_containers_by_policy() {
    for (policy, state, want) in [
        ("Always", "r", ""),
        ("Always", "0", "a"),
        ("Always", "u", "a"),
        ("OnFailure", "0", ""),
        ("OnFailure", "2", "a"),
        ("Never", "2", ""),
        ("Never", "u", "a"),
    ] {
        let got = compute(
            &pod(policy, vec![], &["a"]),
            &record(&[("a", state.chars().next().unwrap())]),
            &ProbeVerdicts::default(),
        );
        assert_eq!(got.start.concat(), want, "{policy} {state}");
        assert!(got.kill.is_empty());
    }
}

#[test]
fn init_containers_one_after_the_other() {
    let init = || vec![container("i"), container("j")];
    for (policy, of, want) in [
        ("Always", vec![], vec!["i"]),
        ("Always", vec![("i", 'r')], vec![]),
        ("Always", vec![("i", '0')], vec!["j"]),
        ("Always", vec![("i", '1')], vec!["i"]),
        ("Never", vec![("i", '1')], vec![]),
        ("Always", vec![("i", '0'), ("j", '0')], vec!["a"]),
        ("Always", vec![("i", '0'), ("j", '0'), ("a", '1')], vec!["a"]),
        ("Always", vec![("a", 'r')], vec![]),
    ] {
        let got = compute(&pod(policy, init(), &["a"]), &record(&of), &ProbeVerdicts::default());
        assert_eq!(got.start, want, "{policy} {of:?}");
    }
}

#[test]
fn sidecars_hold_up_the_start_only_until_they_are_up() {
    let p = || pod("Always", vec![sidecar("s"), container("i")], &["a"]);
    for (of, up, want) in [
        (vec![], vec![], vec!["s"]),
        (vec![("s", 'r')], vec![], vec![]),
        (vec![("s", 'r')], vec!["s"], vec!["i"]),
        (vec![("s", 'r'), ("i", '0')], vec!["s"], vec!["a"]),
        (vec![("s", '1'), ("i", '0'), ("a", 'r')], vec![], vec!["s"]),
    ] {
        assert_eq!(compute(&p(), &record(&of), &started(&up)).start, want, "{of:?} {up:?}");
    }
}

#[test]
fn changed_and_unhealthy_containers_are_replaced() {
    let mut changed = pod("Never", vec![], &["a"]);
    changed.spec.as_mut().unwrap().containers[0].image = Some("y".into());
    let got = compute(&changed, &record(&[("a", 'r')]), &ProbeVerdicts::default());
    assert_eq!((got.kill[0].reason.clone(), got.start), (KillReason::SpecChanged, vec!["a".to_owned()]));

    let failed = ProbeVerdicts { failed_liveness: ["id-a".to_owned()].into(), ..ProbeVerdicts::default() };
    let got = compute(&pod("Always", vec![], &["a"]), &record(&[("a", 'r')]), &failed);
    assert_eq!((got.kill.len(), got.start.len()), (1, 1));
    let got = compute(&pod("Never", vec![], &["a"]), &record(&[("a", 'r')]), &failed);
    assert_eq!((got.kill.len(), got.start.len()), (1, 0));
}

#[test]
fn a_lost_sandbox_starts_over_unless_all_is_done() {
    let lost = |of| {
        let mut r = record(of);
        r.sandboxes[0].ready = false;
        r
    };
    let none = ProbeVerdicts::default();
    let got = compute(&pod("Always", vec![container("i")], &["a"]), &lost(&[("i", '0'), ("a", 'u')]), &none);
    assert_eq!((got.sandbox, got.start), (SandboxAction::Create { attempt: 1 }, vec!["i".to_owned()]));
    let got = compute(&pod("Never", vec![], &["a"]), &lost(&[("a", '0')]), &none);
    assert_eq!(got.sandbox, SandboxAction::None);
}
