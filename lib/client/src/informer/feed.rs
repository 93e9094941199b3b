//! Feeds a cache from the apiserver: a streaming list where the server has it, else list and
//! watch; after a failure again, with a growing delay.

use super::lean::Lean;
use super::{Cached, Scope, Shared, Trim};
use futures::StreamExt as _;
use kube::Api;
use kube::runtime::watcher::{self, Event};
use std::sync::Arc;
use std::time::Duration;

const FIRST_DELAY: Duration = Duration::from_millis(100);
const LAST_DELAY: Duration = Duration::from_secs(5);

/// How the initial list is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    /// As a watch that begins with everything there is.
    Streaming,
    /// As a list, then a watch; the server refused the streaming list.
    ListWatch,
}

pub(super) async fn run<K: Cached>(client: kube::Client, scope: Scope, trim: Vec<Trim<K>>, shared: Arc<Shared<K>>) {
    let mut strategy = Strategy::Streaming;
    loop {
        follow(api::<K>(&client, &scope), config(&scope, strategy), &trim, &shared, strategy).await;
        tracing::debug!(kind = %K::kind(&()), "no streaming list; listing");
        strategy = Strategy::ListWatch;
    }
}

/// Follows one watcher; returns if the server does not know streaming lists.
async fn follow<K: Cached>(
    api: Api<Lean<K>>,
    config: watcher::Config,
    trim: &[Trim<K>],
    shared: &Shared<K>,
    strategy: Strategy,
) {
    let mut events = std::pin::pin!(watcher::watcher(api, config));
    let mut delay = FIRST_DELAY;
    let mut is_listed = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => {
                is_listed = !matches!(event, Event::Init | Event::InitApply(_));
                if is_listed {
                    delay = FIRST_DELAY;
                }
                ingest(event, trim, shared);
            }
            Err(error) if strategy == Strategy::Streaming && is_refusal(&error, is_listed) => return,
            Err(error) => {
                tracing::warn!(kind = %K::kind(&()), %error, "watch failed; trying again");
                tokio::time::sleep(jittered(delay)).await;
                delay = (delay * 2).min(LAST_DELAY);
            }
        }
    }
}

fn ingest<K: Cached>(event: Event<Lean<K>>, trim: &[Trim<K>], shared: &Shared<K>) {
    match event {
        Event::Init => shared.list_begins(),
        Event::InitApply(Lean(mut object)) | Event::Apply(Lean(mut object)) => {
            trim.iter().for_each(|trim| trim(&mut object));
            shared.apply(object);
        }
        Event::Delete(Lean(object)) => shared.delete(&object),
        Event::InitDone => shared.list_ends(),
    }
}

/// `Api::namespaced` wants the kind's scope at compile time, and an informer is generic over it:
/// the namespace is put into the path on the way out.
fn api<K: Cached>(client: &kube::Client, scope: &Scope) -> Api<Lean<K>> {
    let Some(namespace) = scope.namespace.clone() else { return Api::all(client.clone()) };
    let default = client.default_namespace().to_owned();
    let client = client.clone();
    let into_namespace = tower::service_fn(move |mut request: http::Request<kube::client::Body>| {
        if let Some(uri) = in_namespace(request.uri(), &namespace) {
            *request.uri_mut() = uri;
        }
        let client = client.clone();
        async move { client.send(request).await }
    });
    Api::all(kube::Client::new(into_namespace, default))
}

/// `/api/v1/pods?watch=1` → `/api/v1/namespaces/n/pods?watch=1`.
fn in_namespace(uri: &http::Uri, namespace: &str) -> Option<http::Uri> {
    let (prefix, plural) = uri.path().rsplit_once('/')?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{prefix}/namespaces/{namespace}/{plural}{query}").parse().ok()?);
    http::Uri::from_parts(parts).ok()
}

fn config(scope: &Scope, strategy: Strategy) -> watcher::Config {
    let mut config = watcher::Config::default();
    config.label_selector.clone_from(&scope.label_selector);
    config.field_selector.clone_from(&scope.field_selector);
    match strategy {
        Strategy::Streaming => config.streaming_lists(),
        Strategy::ListWatch => config,
    }
}

/// Whether the server does not know streaming lists (400, 422), offers no watch (405), or takes the request
/// and gives up before the list is complete: upstream's says with an event that its etcd lacks what they need.
fn is_refusal(error: &watcher::Error, is_listed: bool) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => matches!(status.code, 400 | 405 | 422),
        watcher::Error::WatchError(status) => !is_listed && status.code != 410,
        _ => false,
    }
}

/// Between 75 % and 125 % of a delay: many informers must not come back at the same time.
fn jittered(delay: Duration) -> Duration {
    delay.mul_f64(rand::random_range(0.75..1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_goes_before_the_resource() {
        let uri = in_namespace(&"/apis/apps/v1/deployments?watch=true".parse().unwrap(), "n").unwrap();
        assert_eq!(uri.to_string(), "/apis/apps/v1/namespaces/n/deployments?watch=true");
        let uri = in_namespace(&"/api/v1/pods".parse().unwrap(), "n").unwrap();
        assert_eq!(uri.to_string(), "/api/v1/namespaces/n/pods");
    }
}
