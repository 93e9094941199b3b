use super::*;
use k8s_openapi::api::core::v1::{ConfigMapEnvSource, ConfigMapKeySelector, Pod, PodSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

fn pod() -> Pod {
    Pod {
        metadata: ObjectMeta { name: Some("p".into()), namespace: Some("ns".into()), ..ObjectMeta::default() },
        spec: Some(PodSpec { enable_service_links: Some(false), ..PodSpec::default() }),
        ..Pod::default()
    }
}

fn plain(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.into(), value: Some(value.into()), value_from: None }
}

fn map(name: &str, data: &[(&str, &str)]) -> Referenced {
    let data = data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let map = ConfigMap { data: Some(data), ..ConfigMap::default() };
    Referenced { config_maps: [(name.to_owned(), Arc::new(map))].into(), ..Referenced::default() }
}

fn key_ref(key: &str, optional: bool) -> EnvVar {
    let selector = ConfigMapKeySelector { name: "m".into(), key: key.into(), optional: Some(optional) };
    EnvVar {
        name: "K".into(),
        value: None,
        value_from: Some(EnvVarSource { config_map_key_ref: Some(selector), ..EnvVarSource::default() }),
    }
}

fn run(container: &Container, refs: &Referenced) -> Result<Vec<(String, String)>, EnvError> {
    environment(&PodFacts::new(&pod()), container, refs)
}

#[test]
fn later_variables_see_earlier_ones() {
    let container = Container {
        env: Some(vec![plain("A", "1"), plain("B", "$(A)2"), plain("C", "$(D)$$(A)"), plain("A", "9")]),
        ..Container::default()
    };
    let want = [("A", "9"), ("B", "12"), ("C", "$(D)$(A)")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(run(&container, &Referenced::default()).unwrap(), want);
}

#[test]
fn env_overrides_env_from_and_prefixes_apply() {
    let from = EnvFromSource {
        prefix: Some("P_".into()),
        config_map_ref: Some(ConfigMapEnvSource { name: "m".into(), optional: None }),
        secret_ref: None,
    };
    let container =
        Container { env_from: Some(vec![from]), env: Some(vec![plain("P_x", "own")]), ..Container::default() };
    let got = run(&container, &map("m", &[("x", "1"), ("y", "2")])).unwrap();
    assert_eq!(got, [("P_x", "own"), ("P_y", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert_eq!(run(&container, &Referenced::default()), Err(EnvError::NoConfigMap("m".into())));
}

#[test]
fn missing_keys_fail_unless_optional() {
    let refs = map("m", &[("x", "1")]);
    let with = |e| Container { env: Some(vec![e]), ..Container::default() };
    assert_eq!(run(&with(key_ref("x", false)), &refs).unwrap(), [("K".to_owned(), "1".to_owned())]);
    assert!(run(&with(key_ref("z", true)), &refs).unwrap().is_empty());
    let err = run(&with(key_ref("z", false)), &refs).unwrap_err();
    assert_eq!(err.to_string(), "couldn't find key z in ConfigMap ns/m");
}

#[test]
fn commands_are_expanded() {
    let container = Container {
        command: Some(vec!["/bin/$(X)".into()]),
        args: Some(vec!["$(Y)".into(), "$(NO)".into()]),
        ..Container::default()
    };
    let env = [("X".to_owned(), "sh".to_owned()), ("Y".to_owned(), "a b".to_owned())];
    let (command, args) = command_and_args(&container, &env);
    assert_eq!((command, args), (vec!["/bin/sh".to_owned()], vec!["a b".to_owned(), "$(NO)".to_owned()]));
}
