use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs the queue until `work` has been called `calls` times; gives the items in order.
async fn process(
    queue: Queue<&'static str>,
    calls: usize,
    outcome: impl Fn(usize) -> Outcome + Send + Sync + 'static,
) -> Vec<(&'static str, Duration)> {
    let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
    let count = AtomicUsize::new(0);
    let start = Instant::now();
    let run = queue.run(2, move |item| {
        let call = count.fetch_add(1, Ordering::SeqCst);
        sender.send((item, start.elapsed())).unwrap();
        std::future::ready(outcome(call))
    });
    let collect = async {
        let mut seen = Vec::new();
        while seen.len() < calls {
            seen.push(receiver.recv().await.unwrap());
        }
        seen
    };
    tokio::select! {
        seen = collect => seen,
        () = run => unreachable!("runs until dropped"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_is_queued_once() {
    let queue = Queue::new("once");
    for item in ["a", "b", "a", "a"] {
        queue.add(item);
    }
    assert_eq!(queue.len(), 2);
    let seen = process(queue.clone(), 2, |_| Outcome::Done).await;
    assert_eq!(seen.iter().map(|s| s.0).collect::<Vec<_>>(), ["a", "b"]);
    assert!(queue.is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_come_back_with_doubling_delay() {
    let queue = Queue::new("failures");
    queue.add("a");
    let seen = process(queue, 4, |_| Outcome::Failed).await;
    let at: Vec<_> = seen.iter().map(|s| s.1.as_millis()).collect();
    assert!(at[1] >= 5 && at[2] >= 15 && at[3] >= 35 && at[3] < 60, "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn of_two_delays_the_earlier_counts() {
    let queue = Queue::new("delays");
    queue.add_after("a", Duration::from_secs(60));
    queue.add_after("a", Duration::from_secs(1));
    queue.add_after("a", Duration::from_secs(30));
    queue.add_after("b", Duration::from_secs(2));
    let seen = process(queue.clone(), 2, |_| Outcome::Done).await;
    let at: Vec<_> = seen.iter().map(|s| (s.0, s.1.as_secs())).collect();
    assert_eq!(at, [("a", 1), ("b", 2)]);
    assert!(queue.shared.state.lock().delayed.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_item_added_while_in_work_comes_again_afterwards() {
    let queue = Queue::new("in-work");
    queue.add("a");
    let again = queue.clone();
    let running = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(Notify::new());
    let (r, d) = (Arc::clone(&running), Arc::clone(&done));
    let calls = Arc::new(AtomicUsize::new(0));
    let run = queue.run(4, move |item| {
        let (again, running, done, calls) = (again.clone(), Arc::clone(&r), Arc::clone(&d), Arc::clone(&calls));
        async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two workers on one item");
            if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                again.add(item);
                tokio::task::yield_now().await;
            } else {
                done.notify_one();
            }
            running.fetch_sub(1, Ordering::SeqCst);
            Outcome::Done
        }
    });
    tokio::select! {
        () = done.notified() => {}
        () = run => unreachable!("runs until dropped"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_the_queue_lives_on() {
    let queue = Queue::new("panics");
    queue.add("a");
    let seen = process(queue, 2, |call| if call == 0 { panic!("expected by the test") } else { Outcome::Done }).await;
    assert_eq!(seen.len(), 2);
}

#[test]
fn the_delay_is_bounded() {
    let mut state: State<u8> = State {
        ready: VecDeque::new(),
        queued: HashSet::new(),
        working: HashSet::new(),
        delayed: BTreeMap::new(),
        due: HashMap::new(),
        failures: HashMap::from([(1, 40)]),
        sequence: 0,
    };
    assert_eq!(state.next_backoff(&1), LAST_RETRY);
    assert_eq!(state.next_backoff(&2), FIRST_RETRY);
}
