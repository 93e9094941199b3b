use super::*;

#[derive(Clone, Debug, clap::Args)]
struct Options {
    #[arg(long)]
    kubeconfig: Option<String>,
    #[arg(long, action = clap::ArgAction::Set, default_value_t = true)]
    leader_elect: bool,
    #[arg(long, default_value_t = 10259)]
    secure_port: u16,
    #[arg(long, value_delimiter = ',')]
    tls_cipher_suites: Vec<String>,
    #[arg(long, default_value = "15s")]
    leader_elect_lease_duration: crate::GoDuration,
    #[arg(long, action = clap::ArgAction::Set, default_value_t = false)]
    ours: bool,
}

fn start(words: &[&str]) -> Result<Start<Options>, FlagError> {
    start_with(words, |_| None)
}

fn start_with(words: &[&str], environment: impl Fn(&str) -> Option<String>) -> Result<Start<Options>, FlagError> {
    match parse("kube-scheduler", words.iter().map(|&word| word.to_owned()), environment)? {
        Parsed::Start(start) => Ok(start),
        Parsed::Print(text) => panic!("printed {text}"),
    }
}

#[test]
fn flags_are_read_as_go_reads_them() {
    let line = [
        "--kubeconfig",
        "a",
        "--leader-elect=false",
        "--secure_port=1",
        "--secure-port",
        "2",
        "-v=4",
        "--ours",
        "--tls-cipher-suites=a,b",
        "--tls-cipher-suites",
        "c",
        "--leader-elect-lease-duration",
        "1m0s",
    ];
    let start = start(&line).unwrap();
    let options = start.options;
    assert_eq!(options.kubeconfig.as_deref(), Some("a"));
    assert_eq!((options.leader_elect, options.ours, options.secure_port), (false, true, 2));
    assert_eq!(options.tls_cipher_suites, ["a", "b", "c"]);
    assert_eq!(options.leader_elect_lease_duration, crate::GoDuration::from_secs(60));
    assert_eq!(start.common.verbosity, 4);
    assert!(start.unbuilt.is_empty());
}

#[test]
fn a_bool_does_not_take_the_next_word() {
    let error = start(&["--leader-elect", "false"]).unwrap_err();
    assert_eq!(error.to_string(), "unknown command \"false\" for \"kube-scheduler\"");
}

#[test]
fn unbuilt_flags_are_consumed_with_their_values_and_named() {
    let line = ["--profiling", "--master", "http://x", "--kube-api-qps=5", "--kubeconfig=k", "--master=y"];
    let start = start(&line).unwrap();
    assert_eq!(start.unbuilt, ["profiling", "master", "kube-api-qps"]);
    assert_eq!(start.options.kubeconfig.as_deref(), Some("k"));
}

#[test]
fn errors_are_one_line_in_upstreams_words() {
    let table: [(&[&str], &str); 8] = [
        (&["--nonesuch"], "unknown flag: --nonesuch"),
        (&["--nonesuch=1"], "unknown flag: --nonesuch"),
        (&["-x"], "unknown shorthand flag: 'x' in -x"),
        (&["--kubeconfig"], "flag needs an argument: --kubeconfig"),
        (&["--profiling=maybe"], "invalid argument \"maybe\" for \"--profiling\" flag: must be true or false"),
        (
            &["--leader-elect-lease-duration=10"],
            "invalid argument \"10\" for \"--leader-elect-lease-duration\" flag: missing unit in duration \"10\"",
        ),
        (
            &["--logging-format=xml"],
            "invalid argument \"xml\" for \"--logging-format\" flag: must be one of text, json",
        ),
        (&["start"], "unknown command \"start\" for \"kube-scheduler\""),
    ];
    for (line, message) in table {
        assert_eq!(start(line).unwrap_err().to_string(), message);
    }
    let error = start(&["--secure-port=70000"]).unwrap_err().to_string();
    assert!(
        error.starts_with("invalid argument \"70000\" for \"--secure-port\" flag: ") && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn the_environment_yields_to_the_command_line() {
    let environment = |name: &str| match name {
        "KUBE_SCHEDULER_KUBECONFIG" => Some("env".to_owned()),
        "KUBE_SCHEDULER_SECURE_PORT" => Some("7".to_owned()),
        _ => None,
    };
    let start = start_with(&["--secure-port=8"], environment).unwrap();
    assert_eq!((start.options.kubeconfig.as_deref(), start.options.secure_port), (Some("env"), 8));
    assert!(start.given.contains(&("kubeconfig".to_owned(), "env".to_owned())));
}

#[test]
fn help_and_version_are_printed() {
    let print = |word: &str| match parse::<Options>("kube-scheduler", [word.to_owned()], |_| None).unwrap() {
        Parsed::Print(text) => text,
        Parsed::Start(_) => panic!("started"),
    };
    assert!(print("--version").starts_with("Kubernetes v1.36."));
    assert!(print("-h").contains("--kubeconfig"));
    assert!(print("--version=raw").contains("gitVersion"));
}

#[test]
fn a_version_to_report_is_a_reason_to_start() {
    let own = crate::version::GIT_VERSION;
    let custom = format!("{own}-custom");
    let version = start(&[&format!("--version={custom}")]).unwrap().version;
    assert_eq!(version, Some(custom));
    let start = start_with(&["--version=false", "--kube-api-content-type="], |_| None).unwrap();
    assert_eq!((start.version, start.unbuilt), (None, vec![]));
    for (word, why) in [
        ("v1.2.3", format!("version \"v1.2.3\" must match major/minor/patch of default version \"{own}\"")),
        ("maybe", "strconv.ParseBool: parsing \"maybe\": invalid syntax".to_owned()),
    ] {
        let error = start_with(&[&format!("--version={word}")], |_| None).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid argument \"{word}\" for \"--version\" flag: {why}"));
    }
}

#[test]
fn every_daemon_knows_its_upstream_flags() {
    let table = [
        ("kube-apiserver", "etcd-servers", Kind::Text),
        ("kube-controller-manager", "node-monitor-period", Kind::Duration),
        ("kube-proxy", "cleanup", Kind::Bool),
        ("kube-proxy", "proxy-mode", Kind::Text),
        ("kubelet", "max-pods", Kind::Int),
        ("dns", "version", Kind::Version),
    ];
    for (component, flag, kind) in table {
        assert_eq!(table::lookup(component, flag), Some(kind), "{component} --{flag}");
    }
}

#[test]
fn one_dash_is_enough_where_upstream_uses_go_s_own_flags() {
    let given = |component: &'static str, words: &[&str]| match parse::<Options>(
        component,
        words.iter().map(|&word| word.to_owned()),
        |_| None,
    ) {
        Ok(Parsed::Start(start)) => Ok(start.given),
        Ok(Parsed::Print(_)) => Ok(vec![("printed".to_owned(), String::new())]),
        Err(error) => Err(error.to_string()),
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        given("flanneld", &["-kubeconfig", "a", "-leader-elect=false", "-v=2", "--secure-port", "1", "-ip-masq"]),
        Ok(vec![pair("kubeconfig", "a"), pair("leader-elect", "false"), pair("v", "2"), pair("secure-port", "1")])
    );
    assert_eq!(given("flanneld", &["-h"]), Ok(vec![pair("printed", "")]));
    assert_eq!(
        given("kube-scheduler", &["-kubeconfig=a"]),
        Err("unknown shorthand flag: 'k' in -kubeconfig=a".to_owned())
    );
}
