use super::*;
use crate::testing::{Answer, FakeServer};
use k8s_openapi::api::core::v1::Pod;

fn pod() -> ObjectReference {
    let mut pod = Pod::default();
    pod.metadata.name = Some("p".into());
    pod.metadata.namespace = Some("n".into());
    pod.metadata.uid = Some("u".into());
    reference(&pod)
}

fn report(message: &str, second: i64) -> Report {
    let at = Timestamp::from_second(1_000_000 + second).unwrap();
    Report { object: pod(), kind: "Warning", reason: "Failed".into(), message: message.into(), at }
}

fn source() -> EventSource {
    EventSource { component: Some("test".into()), host: None }
}

fn sent(verdict: Verdict) -> Option<Event> {
    match verdict {
        Verdict::Drop => None,
        Verdict::Send { event, .. } => Some(*event),
    }
}

#[test]
fn a_reference_names_the_object() {
    let object = pod();
    assert_eq!((object.api_version.as_deref(), object.kind.as_deref()), (Some("v1"), Some("Pod")));
    assert_eq!((object.name.as_deref(), object.uid.as_deref()), (Some("p"), Some("u")));
}

#[test]
fn equal_events_count_up_one() {
    let mut correlator = Correlator::default();
    let first = sent(correlator.judge(&source(), report("m", 0))).unwrap();
    let second = sent(correlator.judge(&source(), report("m", 5))).unwrap();
    assert_eq!((first.count, second.count), (Some(1), Some(2)));
    assert_eq!(first.metadata.name, second.metadata.name);
    assert_eq!(second.first_timestamp, first.first_timestamp);
    assert_ne!(second.last_timestamp, first.last_timestamp);
    assert!(first.metadata.name.unwrap().starts_with("p."));
}

#[test]
fn the_tenth_similar_event_is_combined() {
    let mut correlator = Correlator::default();
    let events: Vec<_> = (0..12).filter_map(|i| sent(correlator.judge(&source(), report(&i.to_string(), i)))).collect();
    assert_eq!(events[8].message.as_deref(), Some("8"));
    assert_eq!(events[9].message.as_deref(), Some("(combined from similar events): 9"));
    assert_eq!(events[11].count, Some(3));
}

#[test]
fn a_flood_about_one_object_is_cut_off_and_refills() {
    let mut correlator = Correlator::default();
    let passed = (0..40).filter_map(|_| sent(correlator.judge(&source(), report("m", 0)))).count();
    assert_eq!(passed, 25);
    assert!(sent(correlator.judge(&source(), report("m", 299))).is_none());
    assert!(sent(correlator.judge(&source(), report("m", 301))).is_some());
}

#[test]
fn a_long_message_is_cut_at_a_character() {
    let mut text = "é".repeat(600);
    truncate(&mut text, 1023);
    assert_eq!(text.len(), 1022);
}

#[tokio::test(start_paused = true)]
async fn a_repeated_event_is_patched() {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let server = FakeServer::new(move |request| {
        sender.send(request.method.clone()).unwrap();
        let mut event: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        event["metadata"] = serde_json::json!({"name": "stored", "namespace": "n"});
        event["involvedObject"] = serde_json::json!({});
        Answer::json(200, &event)
    });
    let (recorder, run) = Recorder::new(server.client(), "test", "");
    recorder.normal(&pod(), "Started", "m");
    recorder.normal(&pod(), "Started", "m");
    let check = async { (receiver.recv().await.unwrap(), receiver.recv().await.unwrap()) };
    let methods = tokio::select! { methods = check => methods, () = run => unreachable!("runs until dropped") };
    assert_eq!(methods, ("POST".into(), "PATCH".into()));
    assert!(server.requests()[1].uri.starts_with("/api/v1/namespaces/n/events/p."));
}
