//! Recording `Event` objects: correlated, rate-limited, never blocking the caller.
//!
//! Upstream: `client-go/tools/record`.

mod correlate;

use correlate::{Correlator, EventKey, Verdict};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use std::time::Duration;
use tokio::sync::mpsc;

/// Events that may wait for the sender; more are dropped rather than block their reporter.
const WAITING_AT_MOST: usize = 10_000;
/// Events that are sent at the same time.
const AT_ONCE: usize = 16;
/// Attempts to send one event while the apiserver cannot be reached.
const ATTEMPTS: u32 = 12;
/// Pause between attempts.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(10);

/// What was reported.
#[derive(Clone, Debug)]
struct Report {
    object: ObjectReference,
    kind: &'static str,
    reason: String,
    message: String,
    at: Timestamp,
}

/// Records events for one component. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    reports: mpsc::Sender<Report>,
}

impl Recorder {
    /// A recorder for `component` (on `host`, empty if none), and the future that sends.
    pub fn new(client: kube::Client, component: &str, host: &str) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (reports, waiting) = mpsc::channel(WAITING_AT_MOST);
        let source = EventSource {
            component: Some(component.to_owned()),
            host: Some(host.to_owned()).filter(|host| !host.is_empty()),
        };
        (Self { reports }, send_all(client, source, waiting))
    }

    /// A `Normal` event about `object`.
    pub fn normal(&self, object: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.report(object, "Normal", reason, message.into());
    }

    /// A `Warning` event about `object`.
    pub fn warning(&self, object: &ObjectReference, reason: &str, message: impl Into<String>) {
        self.report(object, "Warning", reason, message.into());
    }

    fn report(&self, object: &ObjectReference, kind: &'static str, reason: &str, mut message: String) {
        truncate(&mut message, 1024);
        let report = Report { object: object.clone(), kind, reason: reason.to_owned(), message, at: Timestamp::now() };
        if self.reports.try_send(report).is_err() {
            tracing::warn!(reason, name = object.name, "event dropped: too many wait to be sent");
        }
    }
}

/// A reference to a typed object.
pub fn reference<K>(object: &K) -> ObjectReference
where
    K: kube::Resource<DynamicType = ()>,
{
    let meta = object.meta();
    ObjectReference {
        api_version: Some(K::api_version(&()).into_owned()),
        kind: Some(K::kind(&()).into_owned()),
        name: meta.name.clone(),
        namespace: meta.namespace.clone(),
        uid: meta.uid.clone(),
        resource_version: meta.resource_version.clone(),
        field_path: None,
    }
}

async fn send_all(client: kube::Client, source: EventSource, mut waiting: mpsc::Receiver<Report>) {
    let mut correlator = Correlator::default();
    let mut sending = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some((key, stored)) = sending.next(), if !sending.is_empty() => note(&mut correlator, &key, stored),
            report = waiting.recv(), if sending.len() < AT_ONCE => {
                let Some(report) = report else { break };
                let Verdict::Send { event, key } = correlator.judge(&source, report) else { continue };
                if event.count.unwrap_or(1) > 1 {
                    // It counts one up that may be under way.
                    while let Some((key, stored)) = sending.next().await {
                        note(&mut correlator, &key, stored);
                    }
                }
                let client = &client;
                // Boxed, as most recorders never send anything.
                sending.push(Box::pin(async move { (key, send(client, *event).await) }));
            }
        }
    }
    while sending.next().await.is_some() {}
}

fn note(correlator: &mut Correlator, key: &EventKey, stored: Option<String>) {
    if let Some(stored) = stored {
        correlator.stored(key, stored);
    }
}

/// Sends one event, again while the server cannot be reached; gives the stored event's name.
async fn send(client: &kube::Client, event: Event) -> Option<String> {
    for _ in 0..ATTEMPTS {
        match attempt(client, &event).await {
            Ok(()) => return event.metadata.name,
            // The server's word is final: a namespace that is going away, a forbidden write.
            Err(kube::Error::Api(status)) => {
                tracing::debug!(reason = event.reason, %status, "event refused");
                return None;
            }
            Err(error) => {
                tracing::warn!(reason = event.reason, %error, "cannot send event; trying again");
                tokio::time::sleep(BETWEEN_ATTEMPTS).await;
            }
        }
    }
    None
}

/// A first event is created, a repeated one counted up by a patch; one that is gone, created anew. The answer is not
/// read: it says nothing new.
async fn attempt(client: &kube::Client, event: &Event) -> Result<(), kube::Error> {
    let namespace = event.metadata.namespace.as_deref().unwrap_or_default();
    if event.count.unwrap_or(1) > 1 {
        let events: Api<Event> = Api::namespaced(client.clone(), namespace);
        let name = event.metadata.name.as_deref().unwrap_or_default();
        let patch = serde_json::json!({
            "count": event.count, "lastTimestamp": event.last_timestamp, "message": event.message,
        });
        match events.patch(name, &PatchParams::default(), &Patch::Strategic(patch)).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            other => return other.map(drop),
        }
    }
    let body = serde_json::to_vec(event).map_err(kube::Error::SerdeError)?;
    let request = http::Request::post(format!("/api/v1/namespaces/{namespace}/events"));
    let request = request.header(http::header::CONTENT_TYPE, "application/json").body(body);
    client.request_text(request.map_err(kube::Error::HttpError)?).await.map(drop)
}

/// A new event; its name is the object's with the time in hexadecimal, as upstream's.
fn event(source: &EventSource, report: &Report) -> Event {
    let name = report.object.name.as_deref().unwrap_or_default();
    let namespace = report.object.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| "default".to_owned());
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{name}.{:x}", report.at.as_nanosecond())),
            namespace: Some(namespace),
            ..Default::default()
        },
        involved_object: report.object.clone(),
        reason: Some(report.reason.clone()),
        message: Some(report.message.clone()),
        first_timestamp: Some(Time(report.at)),
        last_timestamp: Some(Time(report.at)),
        count: Some(1),
        type_: Some(report.kind.to_owned()),
        source: Some(source.clone()),
        reporting_component: source.component.clone(),
        reporting_instance: Some(source.host.clone().unwrap_or_default()),
        ..Default::default()
    }
}

fn truncate(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        text.truncate(text.floor_char_boundary(bytes));
    }
}

#[cfg(test)]
#[path = "events/tests.rs"]
mod tests;
