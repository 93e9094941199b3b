use super::*;
use crate::cluster::Standalone;
use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, ObjectFieldSelector, PodSpec,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

fn pod(volume: Volume) -> Pod {
    let mount = VolumeMount { name: volume.name.clone(), mount_path: "/x".into(), ..VolumeMount::default() };
    let container = Container { volume_mounts: Some(vec![mount]), ..Container::default() };
    Pod {
        metadata: ObjectMeta { name: Some("p".into()), uid: Some("u".into()), ..ObjectMeta::default() },
        spec: Some(PodSpec { containers: vec![container], volumes: Some(vec![volume]), ..PodSpec::default() }),
        ..Pod::default()
    }
}

fn volumes(dir: &tempfile::TempDir) -> Volumes {
    let (root, cluster) = (dir.path().to_owned(), Arc::new(Standalone));
    let events = crate::events::Events::new(Arc::new(crate::events::LogOnly));
    let csi = Csi::new(root.clone(), "n".into(), cluster.clone(), Arc::new(crate::cluster::storage::NoStorage), events);
    Volumes::new(root, cluster, csi)
}

#[tokio::test]
async fn an_empty_dir_survives_a_second_setup_and_goes_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let volumes = volumes(&dir);
    let volume = Volume { name: "v".into(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    let pod = pod(volume);
    let path = volumes.ensure(&PodFacts::new(&pod)).await.unwrap()["v"].clone();
    std::fs::write(path.join("f"), "x").unwrap();
    volumes.ensure(&PodFacts::new(&pod)).await.unwrap();
    assert!(path.join("f").exists());
    assert_eq!(volumes.pods_on_disk(), ["u"]);
    volumes.tear_down("u").await.unwrap();
    assert!(volumes.pods_on_disk().is_empty());
}

#[tokio::test]
async fn errors_name_the_volume() {
    let dir = tempfile::tempdir().unwrap();
    let map = ConfigMapVolumeSource { name: "m".into(), ..ConfigMapVolumeSource::default() };
    let pod = pod(Volume { name: "v".into(), config_map: Some(map), ..Volume::default() });
    let err = volumes(&dir).ensure(&PodFacts::new(&pod)).await.unwrap_err();
    assert!(err.to_string().starts_with("MountVolume.SetUp failed for volume \"v\" : "), "{err}");
}

#[tokio::test]
async fn downward_files_need_no_apiserver() {
    let item = DownwardAPIVolumeFile {
        path: "name".into(),
        field_ref: Some(ObjectFieldSelector { api_version: None, field_path: "metadata.name".into() }),
        ..DownwardAPIVolumeFile::default()
    };
    let source = DownwardAPIVolumeSource { items: Some(vec![item]), default_mode: None };
    let volume = Volume { name: "v".into(), downward_api: Some(source), ..Volume::default() };
    let pod = pod(volume.clone());
    let tokens = Tokens::new(Arc::new(Standalone));
    let files = payload::collect(&PodFacts::new(&pod), &volume, &Standalone, &tokens).await.unwrap();
    assert_eq!(files["name"].data, b"p");
}
