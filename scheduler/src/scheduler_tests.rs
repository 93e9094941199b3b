use super::*;
use crate::model::builders::{node, pod};

fn scheduler() -> Scheduler {
    Scheduler::new(&Configuration::default()).unwrap()
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
