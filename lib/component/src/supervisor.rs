//! Every task has an owner: it hangs on a supervisor, which ends it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Owns tasks. Clones share the same tasks; a child's end with its parent.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Supervisor {
    /// A supervisor without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Runs a task until it ends by itself. It should watch [`Self::stopping`]; a panic in it is
    /// logged with the task's name and takes nothing else down.
    pub fn spawn<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.own(name, Box::pin(task));
    }

    /// Runs a task that is dropped at its next await point when the supervisor stops.
    pub fn spawn_until_stop<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (token, task): (_, Task) = (self.token.clone(), Box::pin(task));
        self.own(
            name,
            Box::pin(async move {
                token.run_until_cancelled_owned(task).await;
            }),
        );
    }

    /// Tasks come boxed: each future around another one may hold it twice, which made large ones eight times as large.
    fn own(&self, name: &'static str, task: Task) {
        let task = std::panic::AssertUnwindSafe(task);
        #[expect(clippy::disallowed_methods, reason = "the one place that spawns")]
        tokio::spawn(self.tasks.track_future(async move {
            if futures::FutureExt::catch_unwind(task).await.is_err() {
                tracing::error!(task = name, "task panicked");
            }
        }));
    }

    /// A supervisor that stops with this one, or earlier by itself.
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), tasks: self.tasks.clone() }
    }

    /// Tells all tasks to stop; does not wait.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Resolves when the supervisor stops.
    pub async fn stopping(&self) {
        self.token.cancelled().await;
    }

    /// Whether the supervisor was told to stop.
    pub fn is_stopping(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Stops and waits for the tasks, at most `grace`. `false` if some did not end in time.
    pub async fn shutdown(&self, grace: Duration) -> bool {
        self.stop();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}
