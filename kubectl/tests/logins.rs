//! Who we are: logins with OpenID Connect whose token is over, and people who are asked.

#[path = "support/secure.rs"]
mod secure;
#[path = "support/terminal.rs"]
mod terminal;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secure::{Asked, Secure};
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use terminal::Terminal;

/// An identity that is over at a time, in seconds.
fn token(expires: i64) -> String {
    format!("e30.{}.c", URL_SAFE_NO_PAD.encode(json!({"exp": expires}).to_string()))
}

/// An identity that is not over for long.
fn fresh() -> String {
    token(4_000_000_000)
}

/// A provider of identities and an apiserver in one; tokens are asked for below `/token`.
fn serve(token: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static) -> Secure {
    secure::serve("127.0.0.1", move |asked| match asked.line.as_str() {
        "GET /issuer/.well-known/openid-configuration" => {
            (200, json!({"token_endpoint": format!("https://{}/token", asked.host)}).to_string())
        }
        "POST /token" => token(asked),
        "GET /readyz" if asked.authorization == format!("Bearer {}", fresh()) => (200, "ok".into()),
        _ => (404, format!("{asked:?}")),
    })
}

/// A folder with two kubeconfigs, of which the second has the user.
struct Home {
    folder: tempfile::TempDir,
    server: Secure,
}

impl Home {
    fn new(server: Secure) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Self { folder, server };
        let url = format!("https://{}", home.server.address);
        std::fs::write(home.path("ca.crt"), &home.server.certificate).expect("written");
        let clusters = json!([{"name": "c", "cluster": {"server": url, "certificate-authority": "ca.crt"}}]);
        let contexts = json!([{"name": "x", "context": {"cluster": "c", "user": "u"}}]);
        home.write("first", &json!({"clusters": clusters, "contexts": contexts, "current-context": "x"}));
        let config = json!({
            "idp-issuer-url": format!("{url}/issuer/"), "idp-certificate-authority": home.path("ca.crt"),
            "client-id": "me", "client-secret": "a b", "id-token": token(1), "refresh-token": "r1", "more": "m"});
        home.write("second", &user(&config));
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, config: &Value) {
        std::fs::write(self.path(name), config.to_string()).expect("written");
        std::fs::set_permissions(self.path(name), PermissionsExt::from_mode(0o600)).expect("set");
    }

    /// What it says, and what it complains of.
    fn run(&self) -> (String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
        let files = std::env::join_paths([self.path("first"), self.path("second")]).expect("paths");
        command.env_clear().env("KUBECONFIG", files).env("HOME", self.folder.path());
        let output = command.args(["get", "--raw", "/readyz"]).output().expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (text(&output.stdout), text(&output.stderr))
    }
}

/// A kubeconfig with a user, and with others.
fn user(config: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Config", "preferences": {"colors": true}, "current-context": "y",
        "clusters": [{"name": "d", "cluster": {"server": "https://d", "certificate-authority": "d.crt"}}],
        "contexts": [{"name": "y", "context": {"cluster": "d", "user": "v"}}],
        "users": [
            {"name": "u", "user": {"as-groups": ["g"], "as": "w", "auth-provider": {"name": "oidc", "config": config}}},
            {"name": "v", "user": {"client-certificate": "v.crt", "client-key": "v.key"}}]})
}

fn read(path: &Path) -> Value {
    apimachinery::codec::yaml::to_value(&std::fs::read(path).expect("there")).expect("YAML")
}

#[test]
fn a_token_that_is_over_is_renewed_and_kept() {
    let home = Home::new(serve(|asked| {
        let right =
            asked.authorization == "Basic bWU6YSti" && asked.body == "grant_type=refresh_token&refresh_token=r1";
        let tokens = json!({"access_token": "a", "token_type": "bearer", "id_token": fresh(), "refresh_token": "r2"});
        if right { (200, tokens.to_string()) } else { (400, format!("{asked:?}")) }
    }));
    let before = std::fs::read(home.path("first")).expect("there");
    let mut want = read(&home.path("second"));
    for _ in 0..2 {
        assert_eq!(home.run(), ("ok".into(), String::new()));
        let config = &mut want["users"][0]["user"]["auth-provider"]["config"];
        (config["id-token"], config["refresh-token"]) = (fresh().into(), "r2".into());
        assert_eq!(read(&home.path("second")), want);
    }
    let mode = std::fs::metadata(home.path("second")).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read(home.path("first")).expect("there"), before);
    assert!(!home.path("second.lock").exists());
}

#[test]
fn providers_that_give_no_token_are_told() {
    for (status, answer, want) in [
        (
            400,
            r#"{"error": "invalid_grant", "error_description": "over"}"#,
            r#"failed to refresh token: oauth2: "invalid_grant" "over""#,
        ),
        (200, r#"{"error": "invalid_grant"}"#, r#"failed to refresh token: oauth2: "invalid_grant""#),
        (401, "{}", "failed to refresh token: oauth2: cannot fetch token: 401 X\nResponse: {}"),
        (403, "no", "failed to refresh token: oauth2: cannot fetch token: 403 X\nResponse: no"),
        (200, "{}", "failed to refresh token: oauth2: server response missing access_token"),
        (
            200,
            r#"{"access_token": "a"}"#,
            "token response did not contain an id_token, either the scope \"openid\" wasn't requested upon login, or the provider doesn't support id_tokens as part of the refresh response",
        ),
    ] {
        let home = Home::new(serve(move |_| (status, answer.to_owned())));
        let before = std::fs::read(home.path("second")).expect("there");
        assert_eq!(home.run(), (String::new(), format!("Unable to connect to the server: {want}\n")));
        assert_eq!(std::fs::read(home.path("second")).expect("there"), before);
    }
}

#[test]
fn who_is_unknown_is_asked() {
    let server = secure::serve("127.0.0.1", |asked| (200, asked.authorization.clone()));
    let home = tempfile::tempdir().expect("a folder");
    let authority = home.path().join("ca.crt");
    std::fs::write(&authority, &server.certificate).expect("writes");
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
    command.env("KUBECONFIG", "/dev/null").env("HOME", home.path()).args(["get", "--raw", "/"]);
    command.arg(format!("--server=https://{}", server.address)).arg("--certificate-authority").arg(&authority);
    let mut terminal = Terminal::new(24, 80);
    let mut child = terminal.start(&command);
    terminal.expect("Please enter Username: ");
    terminal.press(b"me\r");
    terminal.expect("Please enter Password: ");
    terminal.press(b"secret\r");
    let shown = terminal.expect("Basic bWU6c2VjcmV0");
    assert!(!shown.contains("secret"), "{shown}");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    // Nobody types a password into a pipe.
    for (input, shown, why) in
        [("", "", "EOF"), ("me\n", "Please enter Password: ", "error reading input for Password")]
    {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("writes");
        let output = child.wait_with_output().expect("ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("Please enter Username: {shown}"));
        assert_eq!(String::from_utf8_lossy(&output.stderr), format!("error: {why}\n"));
        assert_eq!(output.status.code(), Some(1));
    }
}

/// A server that takes the token of the second run only, and a program that counts its runs.
fn counted(home: &Path, address: &str, certificate: &str, expires: &str) {
    std::fs::write(home.join("ca.crt"), certificate).expect("written");
    let status = format!(r#"{{\"token\":\"t$n\"{expires}}}"#);
    let script = format!(
        "#!/bin/sh\nn=$(($(cat {0}/runs)+1)); echo $n > {0}/runs\necho \"{{\\\"apiVersion\\\":\\\"client.authentication.k8s.io/v1\\\",\\\"kind\\\":\\\"ExecCredential\\\",\\\"status\\\":{1}}}\"\n",
        home.display(),
        status,
    );
    std::fs::write(home.join("runs"), "0").expect("written");
    std::fs::write(home.join("who"), script).expect("written");
    std::fs::set_permissions(home.join("who"), PermissionsExt::from_mode(0o755)).expect("set");
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": format!("https://{address}"), "certificate-authority": "ca.crt"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"exec": {"apiVersion": "client.authentication.k8s.io/v1",
            "command": "./who", "interactiveMode": "Never"}}}]});
    std::fs::write(home.join("config"), config.to_string()).expect("written");
}

#[test]
fn programs_are_asked_again_when_what_they_said_is_over() {
    for (expires, want) in [
        // The server does not take the first token, which is told only after the second is known.
        (
            "",
            (
                "",
                "error: You must be logged in to the server (the server has asked for the client to provide credentials)\n",
                "2",
            ),
        ),
        // The first token is over before the first request.
        (r#",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\""#, ("t2", "", "2")),
    ] {
        let server = secure::serve("127.0.0.1", |asked| match asked.authorization.as_str() {
            "Bearer t2" => (200, "t2".into()),
            _ => (401, "no".into()),
        });
        let home = tempfile::tempdir().expect("a folder");
        counted(home.path(), &server.address.to_string(), &server.certificate, expires);
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-rs"));
        command.env("KUBECONFIG", home.path().join("config")).env("HOME", home.path());
        let output = command.args(["get", "--raw", "/x"]).output().expect("runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let runs = std::fs::read_to_string(home.path().join("runs")).expect("there");
        assert_eq!((text(&output.stdout).as_str(), text(&output.stderr).as_str(), runs.trim()), want);
    }
}
