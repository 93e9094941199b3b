use super::*;
use crate::testing::{Answer, FakeServer};
use k8s_openapi::jiff::Timestamp;

fn config(identity: &str) -> LeaderConfig {
    LeaderConfig {
        name: "kube-scheduler".into(),
        namespace: "kube-system".into(),
        identity: identity.into(),
        lease_duration: Duration::from_secs(15),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    }
}

fn now() -> Timestamp {
    "2026-01-02T03:04:05.678901Z".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_taken_over_only_after_it_stood_still() {
    let held = lease::first(&config("other"), now());
    let start = Instant::now();
    let observed = Observed::note(None, held.clone(), start);
    let us = config("us");
    assert!(matches!(observed.judge(&us, start + Duration::from_secs(14), now()), Verdict::HeldByAnother));
    // Unchanged: the time of the first sight counts.
    let observed = Observed::note(Some(observed), held.clone(), start + Duration::from_secs(14));
    let Verdict::Write(taken) = observed.judge(&us, start + Duration::from_secs(15), now()) else {
        panic!("not taken")
    };
    let spec = taken.spec.unwrap();
    assert_eq!((spec.holder_identity.as_deref(), spec.lease_transitions), (Some("us"), Some(1)));
    // Renewed meanwhile: the time counts anew.
    let mut renewed = held;
    renewed.spec.as_mut().unwrap().renew_time = None;
    let observed = Observed::note(Some(observed), renewed, start + Duration::from_secs(14));
    assert!(matches!(observed.judge(&us, start + Duration::from_secs(20), now()), Verdict::HeldByAnother));
}

#[tokio::test(start_paused = true)]
async fn renewing_keeps_the_acquire_time_and_releasing_empties_the_holder() {
    let observed = Observed::new(lease::first(&config("us"), now()), Instant::now());
    let later = "2026-01-02T03:04:07Z".parse().unwrap();
    let Verdict::Write(renewed) = observed.judge(&config("us"), Instant::now(), later) else { panic!("not renewed") };
    let spec = renewed.spec.unwrap();
    assert_eq!((spec.acquire_time.unwrap().0, spec.renew_time.unwrap().0), (now(), later));
    assert_eq!(spec.lease_transitions, Some(0));
    let released = observed.released("us", later).unwrap().spec.unwrap();
    assert_eq!((released.holder_identity.as_deref(), released.lease_duration_seconds), (Some(""), Some(1)));
    assert!(observed.released("other", later).is_none());
    // An empty holder can be taken at once.
    let free = Lease { spec: Some(released), ..Default::default() };
    let observed = Observed::new(free, Instant::now());
    assert!(matches!(observed.judge(&config("next"), Instant::now(), later), Verdict::Write(_)));
}

#[tokio::test(start_paused = true)]
async fn the_first_candidate_leads_and_releases_on_stop() {
    let server = FakeServer::new(|request| match request.method.as_str() {
        "GET" => Answer::status(404, "NotFound"),
        _ => Answer::json(200, &serde_json::from_slice::<serde_json::Value>(&request.body).unwrap()),
    });
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let lead = async {
        stop.send(()).unwrap();
        std::future::pending().await
    };
    let stopped = async { stopped.await.unwrap() };
    let ended = run(server.client(), config("us"), lead, stopped).await;
    assert_eq!(ended, Ended::Stopped);
    let requests = server.requests();
    let methods: Vec<_> = requests.iter().map(|r| r.method.as_str()).collect();
    assert_eq!(methods, ["GET", "POST", "PUT"]);
    let released: Lease = serde_json::from_slice(&requests[2].body).unwrap();
    assert_eq!(released.spec.unwrap().holder_identity.as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn leadership_is_lost_when_renewing_fails_for_the_deadline() {
    let mut created = false;
    let server = FakeServer::new(move |request| {
        if created {
            return Answer::status(500, "InternalError");
        }
        created = request.method == "POST";
        match created {
            true => Answer::json(201, &serde_json::from_slice::<serde_json::Value>(&request.body).unwrap()),
            false => Answer::status(404, "NotFound"),
        }
    });
    let start = Instant::now();
    let ended = run(server.client(), config("us"), std::future::pending(), std::future::pending()).await;
    assert_eq!(ended, Ended::Lost);
    assert!((10..13).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn who_leads_writes_without_reading_until_somebody_else_wrote() {
    let mut writes = 0;
    let server = FakeServer::new(move |request| match request.method.as_str() {
        "GET" if writes < 3 => Answer::status(404, "NotFound"),
        // Another one has taken it.
        "GET" => {
            let lease = Observed::new(lease::first(&config("other"), now()), Instant::now());
            let Verdict::Write(lease) = lease.judge(&config("other"), Instant::now(), now()) else { unreachable!() };
            Answer::json(200, &serde_json::to_value(*lease).unwrap())
        }
        _ => {
            writes += 1;
            match writes {
                4.. => Answer::status(409, "Conflict"),
                _ => Answer::json(200, &serde_json::from_slice::<serde_json::Value>(&request.body).unwrap()),
            }
        }
    });
    let ended = run(server.client(), config("us"), std::future::pending(), std::future::pending()).await;
    assert_eq!(ended, Ended::Lost);
    let requests = server.requests();
    let methods: Vec<_> = requests.iter().map(|r| r.method.as_str()).take(6).collect();
    assert_eq!(methods, ["GET", "POST", "PUT", "PUT", "PUT", "GET"]);
}
