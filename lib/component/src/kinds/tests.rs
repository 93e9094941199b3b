use super::*;
use serde::Deserialize;

const KIND: Kind = Kind {
    api_version: "test.k8s.io/v1",
    kind: "TestConfiguration",
    unbuilt: &["clientConnection.qps", "profiles.*.pluginConfig"],
};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Config {
    parallelism: u32,
    client_connection: Connection,
    profiles: Vec<Profile>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Connection {
    kubeconfig: String,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
struct Profile {
    scheduler_name: String,
}

fn read(body: &str) -> Result<Loaded<Config>, KindError> {
    parse(&format!("apiVersion: test.k8s.io/v1\nkind: TestConfiguration\n{body}"), "f.yaml", &KIND)
}

#[test]
fn a_file_is_typed_and_unbuilt_fields_are_named() {
    let loaded = read(
        "parallelism: 3\nclientConnection: {kubeconfig: k, qps: 5}\nprofiles: [{schedulerName: a, pluginConfig: []}]\n",
    )
    .unwrap();
    assert_eq!((loaded.config.parallelism, loaded.config.client_connection.kubeconfig.as_str()), (3, "k"));
    assert_eq!(loaded.config.profiles[0].scheduler_name, "a");
    assert_eq!(loaded.unbuilt, ["clientConnection.qps", "profiles[0].pluginConfig"]);
    assert_eq!(show(&loaded.config, &KIND)["kind"], "TestConfiguration");
}

#[test]
fn errors_name_the_field_and_the_file() {
    let table = [
        ("nonesuch: 1\n", "f.yaml: nonesuch: unknown field `nonesuch`"),
        ("profiles: [{schedulerName: a}, {nonesuch: 1}]\n", "f.yaml: profiles[1].nonesuch: unknown field `nonesuch`"),
        ("clientConnection: {kubeconfig: [1]}\n", "f.yaml: clientConnection.kubeconfig"),
        ("parallelism: many\n", "f.yaml: parallelism: invalid type: string \"many\", expected u32"),
        ("parallelism: -1\n", "f.yaml: parallelism: invalid value: integer `-1`, expected u32"),
    ];
    for (body, start) in table {
        let error = read(body).unwrap_err().to_string();
        assert!(error.starts_with(start) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn another_kind_and_broken_yaml_are_refused() {
    let error = parse::<Config>("apiVersion: v1\nkind: Pod\n", "f.yaml", &KIND).unwrap_err();
    assert!(matches!(error, KindError::OtherKind { .. }), "{error}");
    let error = parse::<Config>("a: [}", "f.yaml", &KIND).unwrap_err();
    assert!(matches!(error, KindError::Syntax { .. }) && error.to_string().lines().count() == 1, "{error}");
    assert!(parse::<Config>("- 1\n", "f.yaml", &KIND).is_err());
    assert!(matches!(load::<Config>(Path::new("/nonexistent"), &KIND), Err(KindError::Read { .. })));
}
