use super::*;
use crate::model::builders::{PodBuilder, pod};

const SECOND: Duration = Duration::from_secs(1);

fn state() -> State {
    State::new(SECOND, SECOND * 10)
}

fn add(state: &mut State, pod: PodBuilder, now: Instant) {
    state.set(Arc::new(pod.build()), now);
}

fn pop(state: &mut State, now: Instant) -> Option<Attempt> {
    state.advance(now);
    state.pop(now)
}

fn name(attempt: Option<Attempt>) -> Option<String> {
    attempt.map(|attempt| attempt.pod.name.to_string())
}

#[test]
fn priority_comes_first_then_arrival() {
    let (mut state, now) = (state(), Instant::now());
    for (name, priority) in [("a", 0), ("b", 10), ("c", 0), ("d", 10)] {
        add(&mut state, pod(name).priority(priority), now);
    }
    let order: Vec<_> = std::iter::from_fn(|| name(pop(&mut state, now))).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
}

#[test]
fn an_unschedulable_pod_waits_for_an_event_that_helps() {
    let (mut state, now) = (state(), Instant::now());
    add(&mut state, pod("a"), now);
    let attempt = pop(&mut state, now).unwrap();
    state.unschedulable(&attempt, vec!["Fit"], |_| false, now);
    assert_eq!(state.lengths(), Lengths { unschedulable: 1, ..Lengths::default() });
    state.wake(Event::NodeLabels, |_, _| false, now);
    assert_eq!(state.lengths().unschedulable, 1);
    state.wake(Event::PodRemoved, |_, plugins| plugins == ["Fit"], now);
    assert_eq!(state.lengths().backoff, 1);
    assert!(pop(&mut state, now).is_none());
    assert_eq!(name(pop(&mut state, now + SECOND)).as_deref(), Some("a"));
}

#[test]
fn an_event_during_the_attempt_counts() {
    let (mut state, now) = (state(), Instant::now());
    add(&mut state, pod("a"), now);
    let attempt = pop(&mut state, now).unwrap();
    state.wake(Event::PodRemoved, |_, _| true, now);
    state.unschedulable(&attempt, vec!["Fit"], |event| *event == Event::PodRemoved, now);
    assert_eq!(state.lengths().backoff, 1);
    assert!(state.recent.is_empty());
}

#[test]
fn backoff_doubles_up_to_its_bound_and_patience_ends() {
    let (mut state, mut now) = (state(), Instant::now());
    add(&mut state, pod("a"), now);
    for seconds in [1, 2, 4, 8, 10, 10] {
        let attempt = pop(&mut state, now).unwrap();
        state.failed(&attempt, now);
        assert_eq!(state.next_due(), Some(now + SECOND * seconds));
        now += SECOND * seconds;
    }
    let attempt = pop(&mut state, now).unwrap();
    state.unschedulable(&attempt, vec!["Fit"], |_| false, now);
    assert!(pop(&mut state, now + PATIENCE - SECOND).is_none());
    assert!(pop(&mut state, now + PATIENCE).is_some());
}

#[test]
fn gated_pods_wait_for_their_gates() {
    let (mut state, now) = (state(), Instant::now());
    add(&mut state, pod("a").spec("schedulingGates", serde_json::json!([{"name": "g"}])), now);
    assert_eq!(state.lengths().gated, 1);
    assert!(pop(&mut state, now).is_none());
    add(&mut state, pod("a"), now);
    assert_eq!(name(pop(&mut state, now)).as_deref(), Some("a"));
}

#[test]
fn a_change_of_the_pod_may_help_it() {
    let (mut state, now) = (state(), Instant::now());
    add(&mut state, pod("a").requests("2", "1Gi"), now);
    let attempt = pop(&mut state, now).unwrap();
    state.unschedulable(&attempt, vec!["Fit"], |_| false, now);
    add(&mut state, pod("a").requests("2", "1Gi"), now);
    assert_eq!(state.lengths().unschedulable, 1);
    add(&mut state, pod("a").requests("1", "1Gi"), now);
    assert_eq!(state.lengths().backoff, 1);
}

#[test]
fn a_removed_pod_does_not_come_back() {
    let (mut state, now) = (state(), Instant::now());
    add(&mut state, pod("a"), now);
    let attempt = pop(&mut state, now).unwrap();
    state.remove(&attempt.pod.key());
    state.failed(&attempt, now);
    state.unschedulable(&attempt, vec![], |_| true, now);
    assert_eq!((state.lengths(), state.entries.len(), state.in_flight), (Lengths::default(), 0, 0));
}
