//! Rotating the logs of containers of a runtime in memory.

use component::Supervisor;
use kubelet::logs::rotate::Policy;
use kubelet::logs::{LogError, Rotation};
use kubelet::runtime::{Endpoint, Runtime};
use proto::cri;
use std::path::PathBuf;
use std::time::Duration;
use testkit::cri::{FakeContainer, FakeCri, FakeSandbox};

const FOLDER: &str = "ns_web_uid";

/// A runtime with one running container `c`, and where its log is.
async fn runtime() -> (FakeCri, Rotation, PathBuf) {
    let cri = FakeCri::start().await.expect("a runtime");
    let logs = cri.folder().join("pods");
    let folder = logs.join(FOLDER);
    std::fs::create_dir_all(folder.join("c")).expect("a folder");
    let pod = [("name", "web"), ("namespace", "ns"), ("uid", "uid")];
    let mut labels: std::collections::HashMap<String, String> =
        pod.map(|(k, v)| (format!("io.kubernetes.pod.{k}"), v.to_owned())).into();
    labels.insert("io.kubernetes.container.name".into(), "c".into());
    let sandbox = cri::PodSandboxConfig { log_directory: folder.display().to_string(), ..Default::default() };
    let container = cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: "c".into(), attempt: 0 }),
        log_path: "c/0.log".into(),
        labels,
        annotations: [("io.kubernetes.container.restartCount".to_owned(), "0".to_owned())].into(),
        ..Default::default()
    };
    {
        let mut state = cri.state();
        let sandbox = FakeSandbox { config: sandbox, ready: true, ip: String::new(), created_at: 1 };
        state.sandboxes.insert("s".into(), sandbox);
        let container = FakeContainer {
            sandbox: "s".into(),
            config: container,
            state: cri::ContainerState::ContainerRunning,
            created_at: 1,
            started_at: 1,
            finished_at: 0,
            exit_code: 0,
        };
        state.containers.insert("c".into(), container);
    }
    let endpoint = Endpoint::parse(&cri.endpoint()).expect("its socket");
    let rotation = Rotation {
        runtime: Runtime::new(&endpoint, &endpoint, Duration::from_secs(10)),
        folder: logs,
        policy: Policy { longest: 5, files: 2 },
        every: Duration::from_secs(3600),
        workers: 1,
        supervisor: Supervisor::new(),
    };
    let path = folder.join("c/0.log");
    (cri, rotation, path)
}

/// How many files the log has.
fn files(log: &std::path::Path) -> usize {
    std::fs::read_dir(log.parent().expect("a folder")).expect("a folder").count()
}

#[tokio::test]
async fn a_long_log_is_moved_aside_and_begun_anew() {
    let (cri, rotation, path) = runtime().await;
    std::fs::write(&path, "long\n").expect("written");
    let supervisor = rotation.supervisor.clone();
    supervisor.spawn_until_stop("rotation", rotation.run());
    while cri.state().count("ReopenContainerLog", "c") == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(std::fs::read_to_string(&path).expect("a new log"), "");
    assert_eq!(files(&path), 2);
    assert!(supervisor.shutdown(Duration::from_secs(10)).await);
}

#[tokio::test]
async fn short_logs_stay_and_lost_ones_are_begun_anew() {
    let (cri, rotation, path) = runtime().await;
    std::fs::write(&path, "shrt").expect("written");
    rotation.look("c", path.clone()).await.expect("nothing to do");
    assert_eq!((files(&path), cri.state().count("ReopenContainerLog", "c")), (1, 0));
    std::fs::remove_file(&path).expect("removed");
    rotation.look("c", path.clone()).await.expect("made anew");
    assert!(path.exists());
}

#[tokio::test]
async fn a_log_that_the_runtime_keeps_open_comes_back() {
    let (cri, rotation, path) = runtime().await;
    std::fs::write(&path, "long\n").expect("written");
    cri.state().failures.insert("ReopenContainerLog", "no".into());
    let error = rotation.look("c", path.clone()).await.expect_err("a failure");
    assert!(matches!(error, LogError::Reopen(_)), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("the log"), "long\n");
}
