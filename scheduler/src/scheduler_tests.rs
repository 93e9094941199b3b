use super::*;
use crate::model::builders::{claim, node, pod, volume};
use crate::plugins::testing::class;

fn scheduler() -> Scheduler {
    Scheduler::new(&Configuration::default()).unwrap()
}

fn choose(scheduler: &Scheduler, pod: &Arc<Pod>) -> Choice {
    scheduler.choose(&scheduler.profiles["default-scheduler"], pod, &mut Trace::default())
}

#[tokio::test(start_paused = true)]
async fn pods_spread_over_equal_nodes_until_they_are_full() {
    let scheduler = scheduler();
    for name in ["n1", "n2"] {
        scheduler.set_node(name, node().cpu("2").facts());
    }
    for i in 0..4 {
        scheduler.set_pod(Arc::new(pod(&format!("p{i}")).requests("1", "1Gi").build()));
    }
    let mut taken = Vec::new();
    for _ in 0..4 {
        taken.push(scheduler.try_next().await.unwrap().to_string());
    }
    taken.sort();
    assert_eq!(taken, ["n1", "n1", "n2", "n2"]);
    scheduler.set_pod(Arc::new(pod("late").requests("1", "1Gi").build()));
    assert_eq!(scheduler.try_next().await, None);
    assert_eq!(scheduler.queue.lengths().unschedulable, 1);
    // A node that comes makes room.
    scheduler.set_node("n3", node().cpu("1").facts());
    assert_eq!(scheduler.try_next().await.as_deref(), Some("n3"));
    assert_eq!(scheduler.placed(), 5);
}

#[tokio::test(start_paused = true)]
async fn pods_of_other_schedulers_and_dying_ones_are_left_alone() {
    let scheduler = scheduler();
    scheduler.set_pod(Arc::new(pod("other").spec("schedulerName", "other".into()).build()));
    let mut dying = pod("dying").build();
    dying.is_terminating = true;
    scheduler.set_pod(Arc::new(dying));
    assert_eq!(scheduler.queue.lengths(), crate::queue::Lengths::default());
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_makes_room() {
    let scheduler = scheduler();
    scheduler.set_node("n1", node().cpu("1").facts());
    let running = Arc::new(pod("running").requests("1", "1Gi").on("n1").build());
    scheduler.set_pod(Arc::clone(&running));
    scheduler.set_pod(Arc::new(pod("waiting").requests("1", "1Gi").build()));
    assert_eq!(scheduler.try_next().await, None);
    scheduler.remove_pod(&running);
    assert_eq!(scheduler.try_next().await.as_deref(), Some("n1"));
}

#[tokio::test(start_paused = true)]
async fn a_volume_is_reserved_until_its_pod_cannot_be_bound() {
    let scheduler = scheduler();
    scheduler.set_node("n1", node().facts());
    scheduler.change_storage(|storage| {
        let mut local = class("WaitForFirstConsumer");
        local.provisioner = "kubernetes.io/no-provisioner".to_owned();
        storage.classes.insert("late".to_owned(), local);
        storage.set_volume(volume("v").build());
        storage.set_claim(claim("c1").build());
        storage.set_claim(claim("c2").build());
        Vec::new()
    });
    scheduler.set_pod(Arc::new(pod("first").claims(&["c1"]).build()));
    let attempt = scheduler.queue.pop().await;
    let Choice::Node { node, plan, devices } = choose(&scheduler, &attempt.pod) else { panic!("no place") };
    assert_eq!(plan.bindings.len(), 1);

    let second = Arc::new(pod("second").claims(&["c2"]).build());
    let Choice::Nowhere { diagnosis, .. } = choose(&scheduler, &second) else { panic!("taken twice") };
    let message = "0/1 nodes are available: 1 node(s) didn't find available persistent volumes to bind.";
    assert_eq!(diagnosis.message(), message);

    scheduler.unbound(&Placement {
        attempt,
        node,
        plan,
        devices,
        timeouts: Timeouts::default(),
        started: Instant::now(),
    });
    assert!(matches!(choose(&scheduler, &second), Choice::Node { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_pod_waits_untried_until_its_claim_is_there() {
    let scheduler = scheduler();
    scheduler.set_node("n1", node().facts());
    let class = serde_json::json!({"metadata": {"name": "gpu"}, "spec": {}});
    let slice = serde_json::json!({"metadata": {"name": "s"}, "spec": {"driver": "d.example.com", "nodeName": "n1",
        "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}, "devices": [{"name": "a"}]}});
    scheduler.change_devices(|devices| {
        devices.set_class(crate::devices::Class::of(&serde_json::from_value(class).unwrap()));
        devices.set_slice(crate::devices::Slice::of(&serde_json::from_value(slice).unwrap()));
    });
    let named = |name: &str, claim: &str| {
        pod(name).spec("resourceClaims", serde_json::json!([{"name": "mine", "resourceClaimName": claim}])).build()
    };
    scheduler.set_pod(Arc::new(named("first", "c1")));
    scheduler.set_pod(Arc::new(named("second", "c2")));
    assert_eq!(scheduler.queue.lengths(), crate::queue::Lengths { gated: 2, ..Default::default() });
    let add = |name: &str| {
        let key = ClaimKey { namespace: Arc::from("default"), name: Arc::from(name) };
        let request = serde_json::json!([{"name": "r", "exactly": {"deviceClassName": "gpu"}}]);
        let claim = serde_json::json!({"metadata": {"namespace": "default", "name": name, "uid": name, "resourceVersion": "1"},
            "spec": {"devices": {"requests": request}}});
        scheduler.change_claims(&key, |claims| {
            claims.set(&key, Arc::new(serde_json::from_value(claim).unwrap()));
            Some(Event::DeviceClaim { key: key.clone(), is_freed: false })
        });
    };
    add("c2");
    assert_eq!(scheduler.try_next().await.as_deref(), Some("n1"));
    add("c1");
    assert_eq!(scheduler.try_next().await, None, "the device is taken");
    assert_eq!(scheduler.queue.lengths().unschedulable, 1);
    // The device is given back: whoever waits for one is tried again.
    let key = ClaimKey { namespace: Arc::from("default"), name: Arc::from("c2") };
    scheduler.change_claims(&key, |claims| {
        claims.unreserve(&key);
        Some(Event::DeviceClaim { key: key.clone(), is_freed: true })
    });
    assert_eq!(scheduler.try_next().await.as_deref(), Some("n1"));
}
